"""Several methods and seeds in one scenario: side by side, resumable, into one file."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from spikesim.continual.plans import Plan
from spikesim.continual.results import Study, StudyRun
from spikesim.continual.watching import Watch, Watcher
from spikesim.devices import cores
from spikesim.errors import InvalidValueError
from spikesim.files.continual import KIND, ContinualResults, load_results, save_results
from spikesim.files.envelope import check_target
from spikesim.optional import require
from spikesim.workers import Failure, work


@dataclass(frozen=True)
class Worker:
    """What is done for each plan, here or in another process.

    Parameters
    ----------
    folder
        Where runs keep their checkpoints; None for none.
    """

    folder: str | None

    def __call__(self, plan: Plan) -> StudyRun:
        """Run a plan, or go on with it."""
        if self.folder is None or not Path(self.folder).is_dir():  # on another machine, which does not see it
            return StudyRun(plan, plan.run())
        folder = Path(self.folder)
        told = folder / f"{plan.key}.json"

        def tell(number: int, row: Any) -> None:
            part = told.with_suffix(".part")
            part.write_text(json.dumps({"tasks": number + 1}))
            os.replace(part, told)

        return StudyRun(plan, plan.run(checkpoint=folder / f"{plan.key}.h5", progress=tell))


def study(
    scenario: str,
    methods: Sequence[str],
    *,
    seeds: int | Sequence[int] = 1,
    network: str = "100",
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    scenario_settings: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    out: str | Path,
    jobs: int = 1,
    cluster: str | None = None,
    progress: bool | Callable[[int, int], None] = False,
) -> Study:
    """Let several methods learn a scenario, with several seeds each.

    Every run that has ended is in the file at once; a run that was killed goes on behind its last finished task. Called
    again, only what is missing is run, and more methods or seeds may be asked for.

    Parameters
    ----------
    scenario, scenario_settings
        As :func:`spikesim.continual.named` takes them. Without a seed there, every seed has a scenario of its own
        (permutations, order of classes, samples), the same for all methods.
    methods
        Names; see :data:`spikesim.continual.METHODS`.
    seeds
        How many (0, 1, ...), or which.
    network, training
        See :class:`spikesim.continual.Plan`.
    settings
        Of the methods, by name.
    out
        HDF5 file of the results. Checkpoints of runs under way lie in a folder beside it, until they are over.
    jobs
        How many processes; 0: one per processor. With 1, no process is started.
    cluster
        Address of a Dask scheduler (``tcp://host:8786``), or ``"local"`` for one on this machine; needs
        ``pip install 'spikesim[dask]'``. Workers that see the folder of ``out`` keep checkpoints there, others none.
    progress
        True for a bar or lines on the terminal, or a function of (tasks done, tasks in all).

    Returns
    -------
    Study

    Raises
    ------
    UnknownNameError, InvalidValueError
        For a mistake in names and settings, before any work; or if the file holds other runs.
    BackendError
        If no process can be started.
    """
    plans = _plans(scenario, methods, seeds, network, settings or {}, scenario_settings or {}, training or {})
    tasks = [len(plan.make()[0]) for plan in plans[:1]] * len(plans)
    for plan in {plan.method: plan for plan in plans}.values():
        plan.make()  # a mistake comes out here, before any work
    target, about = check_target(out, KIND), _about(plans[0])
    done = _stored(target, about)
    keys = {r.plan.key for r in done}
    missing = [plan for plan in plans if plan.key not in keys]
    if jobs < 0:
        raise InvalidValueError(f"jobs must be at least 0 (0: one per processor), found {jobs}")
    folder = target.with_name(f"{target.stem}.runs")
    failures: list[str] = []
    interrupted = False
    if missing:
        folder.mkdir(exist_ok=True)
        watcher = Watcher(folder, {plan.key: n for plan, n in zip(plans, tasks, strict=True)}, keys)
        try:
            with Watch(watcher, progress):
                for plan, found in _done(Worker(str(folder)), missing, jobs, cluster):
                    if isinstance(found, Failure):
                        failures.append(f"{plan.method}, seed {plan.seed}: {found.error}")
                        continue
                    done.append(found)
                    save_results(ContinualResults(about, tuple(r.stored() for r in done)), target)
                    _forget(folder, plan, watcher)
        except KeyboardInterrupt:
            interrupted = True
        with suppress(OSError):
            folder.rmdir()  # only if it is empty
    asked = {plan.key for plan in plans}
    return Study(about, tuple(r for r in done if r.plan.key in asked), tuple(failures), interrupted)


def load_study(path: str | Path) -> Study:
    """Read the results of a study, also of one that is still going on or was killed.

    Raises
    ------
    MissingFileError, FileAccessError
        If the file cannot be read.
    FileFormatError
        If it is foreign, damaged, truncated or newer.
    """
    found = load_results(path)
    return Study(found.about, tuple(StudyRun.read(r) for r in found.runs))


def _plans(
    scenario: str,
    methods: Sequence[str],
    seeds: int | Sequence[int],
    network: str,
    settings: Mapping[str, Mapping[str, Any]],
    scenario_settings: Mapping[str, Any],
    training: Mapping[str, Any],
) -> list[Plan]:
    numbers = list(range(seeds)) if isinstance(seeds, int) else [int(s) for s in seeds]
    if not methods or not numbers:
        raise InvalidValueError("a study needs at least one method and one seed")
    if unused := [name for name in settings if name not in methods]:
        raise InvalidValueError(
            f"settings are given for {unused[0]!r}, which is not among the methods: {list(methods)}"
        )
    return [
        Plan(scenario, dict(scenario_settings), name, dict(settings.get(name, {})), network, dict(training), seed)
        for seed in numbers
        for name in dict.fromkeys(methods)
    ]


def _about(plan: Plan) -> dict[str, Any]:
    """Return what all runs of a file have in common."""
    return {k: v for k, v in plan.described().items() if k not in ("method", "settings", "seed")}


def _stored(target: Path, about: Mapping[str, Any]) -> list[StudyRun]:
    """Return the runs that a file has already."""
    if not target.exists():
        return []
    found = load_results(target)
    different = [f"{k} {found.about.get(k)!r} in place of {v!r}" for k, v in about.items() if found.about.get(k) != v]
    if different:
        raise InvalidValueError(
            f"{str(target)!r} holds a study with {' and '.join(different)}; choose another file, or delete it"
        )
    return [StudyRun.read(r) for r in found.runs]


def _forget(folder: Path, plan: Plan, watcher: Watcher) -> None:
    """Remove the checkpoint of a run whose result is stored, and what a killed process has left of one."""
    watcher.finished.add(plan.key)
    for pattern in (f"{plan.key}.*", f".{plan.key}.*"):
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)


def _done(worker: Worker, plans: Sequence[Plan], jobs: int, cluster: str | None) -> Iterator[tuple[Plan, Any]]:
    """Yield each plan and its run, as they end."""
    if cluster is not None:
        yield from _on_cluster(worker, plans, cluster)
    elif (jobs := min(jobs or cores(), len(plans))) > 1:
        yield from work(worker, plans, jobs)
    else:
        yield from ((plan, _tried(worker, plan)) for plan in plans)


def _tried(worker: Worker, plan: Plan) -> Any:
    try:
        return worker(plan)
    except Exception as error:
        return Failure(f"{type(error).__name__}: {error}")


def _on_cluster(worker: Worker, plans: Sequence[Plan], address: str) -> Iterator[tuple[Plan, Any]]:
    """Yield runs that the workers of a Dask cluster have done."""
    distributed = require("distributed", "a study on a cluster")
    with distributed.Client(**({} if address == "local" else {"address": address})) as client:
        futures = {client.submit(partial(_tried, worker), plan, pure=False): plan for plan in plans}
        for future in distributed.as_completed(list(futures)):
            error = future.exception()
            yield futures[future], future.result() if error is None else Failure(f"{type(error).__name__}: {error}")
