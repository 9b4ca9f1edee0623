"""Sweeps: a network over a grid of parameters and seeds, in processes side by side, into one file that can go on."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import spikesim
from spikesim.devices import cores
from spikesim.engine import run
from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.network import Network
from spikesim.recording import Recording
from spikesim.sweep_table import OK, SweepTable
from spikesim.units import si
from spikesim.workers import Failure, check_importable, work

RESULTS = ("spikes", "mean_rate_hz", "cv_isi", "synaptic_events", "sim_s")
RESERVED = ("seed", "status", "error", "failed", "recording", *RESULTS)


class Point(NamedTuple):
    """One run of a sweep: the values of the parameters by name, and the seed."""

    parameters: Mapping[str, Any]
    seed: int

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells points apart, also after they have been in a file."""
        return (*(_key(v) for v in self.parameters.values()), self.seed)


def _key(value: Any) -> Any:
    number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    return float(value) if number else str(value)


@dataclass(frozen=True)
class Task:
    """What is done for each point, here or in another process.

    Parameters
    ----------
    network
        Makes the network.
    options
        Of :func:`spikesim.run`.
    measure
        Called with the recording.
    folder
        Where recordings are kept, if they are.
    """

    network: Callable[..., Network]
    options: Mapping[str, Any]
    measure: Callable[[Recording], Any] | None
    folder: Path | None

    def build(self, point: Point) -> Network:
        """Return the network of a point."""
        takes_seed = "seed" in inspect.signature(self.network).parameters
        network = self.network(**point.parameters, **({"seed": point.seed} if takes_seed else {}))
        if not isinstance(network, Network):
            raise InvalidValueError(f"the function of a sweep must return a Network, found {type(network).__name__}")
        return network.with_(seed=point.seed)

    def __call__(self, point: Point) -> dict[str, Any]:
        """Run a point and return what goes into the table."""
        out = None
        if self.folder is not None:
            parts = [f"{name}={value}" for name, value in point.parameters.items()]
            out = self.folder / ("_".join([*parts, f"seed={point.seed}"]).replace("/", "-") + ".h5")
        recording = run(self.build(point), out=out, **self.options)
        if recording.meta["interrupted"]:
            raise KeyboardInterrupt
        found = figures(recording)
        if out is not None:
            found["recording"] = out.name
        found |= self._measured(recording)
        if taken := [name for name in point.parameters if name in found]:
            raise InvalidValueError(f"the parameter {taken[0]!r} has the name of a result; rename it in your function")
        return found

    def _measured(self, recording: Recording) -> dict[str, Any]:
        if self.measure is None:
            return {}
        value = self.measure(recording)
        found = dict(value) if isinstance(value, Mapping) else {"measured": value}
        for name, number in found.items():
            if name in RESERVED or name.startswith(("rate_", "cv_")) or "/" in name:
                raise InvalidValueError(f"measure returned {name!r}, which is taken or has a slash; call it otherwise")
            found[name] = np.asarray(number, np.float64)
        return found


def figures(recording: Recording) -> dict[str, Any]:
    """Return the figures of a run that every sweep keeps."""
    from spikesim.statistics import cv_isi

    counts = recording.counts
    neurons = sum(p.neurons for p in counts.populations.values())
    seconds = recording.steps * recording.dt * recording.samples * neurons
    found = {
        "spikes": float(counts.spikes),
        "mean_rate_hz": counts.spikes / seconds if seconds else 0.0,
        "synaptic_events": float(counts.synaptic_events),
        "sim_s": float(recording.meta["sim_s"]),
    }
    weighted = [0.0, 0]
    for name, spikes in recording.spikes.items():
        label, cv = name.replace("/", "-"), float(cv_isi(spikes))
        found |= {f"rate_{label}": spikes.rate(), f"cv_{label}": cv}
        if not np.isnan(cv):
            weighted = [weighted[0] + spikes.n * cv, weighted[1] + spikes.n]
    return found | {"cv_isi": weighted[0] / weighted[1] if weighted[1] else float("nan")}


def sweep(
    network: Callable[..., Network] | str | Path,
    grid: Mapping[str, Sequence[Any]] | None = None,
    *,
    seeds: int | Sequence[int] = 1,
    duration: float | None = None,
    steps: int | None = None,
    out: str | Path,
    jobs: int = 0,
    measure: Callable[[Recording], Any] | None = None,
    recordings: str | Path | None = None,
    backend: str = "numba",
    dtype: str = "float64",
    inputs: Mapping[str, Any] | None = None,
    progress: Callable[[int, int], None] | bool = False,
) -> SweepTable:
    """Run a network for every combination of parameters and seeds, side by side, and collect the results in a file.

    Each finished point is in the file at once. Called again, only what is missing or failed is run; a changed grid
    keeps the points that it shares with the old one, and the others stay in the file too.

    Parameters
    ----------
    network
        A function that takes the parameters and returns a :class:`~spikesim.network.Network`, such as
        :func:`spikesim.models.networks.brunel`, or the file of a network. To fix other parameters, use
        ``functools.partial``.
    grid
        Values by parameter; all combinations are run.
    seeds
        How many (0, 1, ...), or which.
    duration, steps
        How long each run is; see :func:`spikesim.run`.
    out
        HDF5 file of the results.
    jobs
        How many processes; 0: one per processor. Each uses its share of the processors. With 1, no process is started.
    measure
        Called with each recording; returns a number, an array, or a dictionary of such, which become columns.
    recordings
        Folder (made if missing) for the recordings themselves.
    backend, dtype, inputs
        See :func:`spikesim.run`.
    progress
        True for a bar on the terminal, or a function of (points done, points in all).

    Returns
    -------
    SweepTable
        All points in the file; ``interrupted`` after Ctrl-C.

    Raises
    ------
    InvalidValueError
        If a parameter is not known, or the file holds another sweep.

    Examples
    --------
    >>> import tempfile
    >>> from functools import partial
    >>> from spikesim.models.networks import brunel
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     table = sweep(partial(brunel, 200), {"g": [4, 5]}, duration=0.05, out=f"{folder}/sweep.h5", jobs=1)
    >>> table["g"].tolist(), table["status"].tolist()
    ([4, 5], ['ok', 'ok'])
    """
    from spikesim.session import bar

    if duration is not None:
        duration = si(duration, "s", "duration")
    options = {"duration": duration, "steps": steps, "backend": backend, "dtype": dtype, "inputs": inputs}
    folder = Path(recordings) if recordings is not None else None
    task = Task(_factory(network), options, measure, folder)
    points = _points(task.network, dict(grid or {}), seeds)
    about = _about(network, task, points)
    if jobs < 0:
        raise InvalidValueError(f"jobs must be at least 0 (0: one per processor), found {jobs}")
    jobs = min(jobs or cores(), len(points))
    if jobs > 1:
        for function in (task.network, measure):
            check_importable(function)
        task = replace(task, options={**options, "threads": max(1, cores() // jobs)})
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    results, missing = _open(out, about, task, points)
    interrupted = False
    try:
        with bar(progress, len(points), "sweeping") as report:
            report(len(points) - len(missing), len(points))
            for number, (point, found) in enumerate(_done(task, missing, jobs), len(points) - len(missing) + 1):
                failure = found.error if isinstance(found, Failure) else ""
                results.add({**point.parameters, "seed": point.seed, **({} if failure else found)}, failure)
                report(number, len(points))
    except KeyboardInterrupt:
        interrupted = True
    finally:
        results.close()
    return replace(load_sweep(out), interrupted=interrupted)


def load_sweep(path: str | Path) -> SweepTable:
    """Read the results of a sweep, also of one that is still going on or was killed.

    Raises
    ------
    MissingFileError, FileAccessError
        If the file cannot be read.
    FileFormatError
        If it is foreign, damaged, truncated or newer.
    """
    from spikesim.files.sweep_file import read_sweep

    return read_sweep(path)


def _factory(network: Callable[..., Network] | str | Path) -> Callable[..., Network]:
    if callable(network):
        return network
    if isinstance(network, (str, Path)):
        return partial(_from_file, str(Path(network).resolve()))
    raise InvalidValueError(
        f"sweep needs a function that returns a Network, or the file of one, found {type(network).__name__}"
    )


def _from_file(path: str) -> Network:
    return Network.load(path)


def _points(factory: Callable[..., Network], grid: dict[str, Sequence[Any]], seeds: int | Sequence[int]) -> list[Point]:
    """Return all points of a grid; the last parameter varies fastest, then the seed."""
    known = inspect.signature(factory).parameters
    anything = any(p.kind is p.VAR_KEYWORD for p in known.values())
    for name, values in grid.items():
        if name in RESERVED:
            raise InvalidValueError(f"{name!r} cannot be a parameter of a sweep, it is a column; use seeds= for seeds")
        if name not in known and not anything:
            raise UnknownNameError("parameter of the network:", name, [k for k in known if k != "seed"])
        if isinstance(values, str) or not len(values):
            raise InvalidValueError(f"parameter {name!r} needs a list of at least one value, found {values!r}")
    numbers = list(range(seeds)) if isinstance(seeds, (int, np.integer)) else [int(s) for s in seeds]
    if not numbers:
        raise InvalidValueError(f"a sweep needs at least one seed, found seeds={seeds!r}")
    combinations = itertools.product(*([_plain(v) for v in values] for values in grid.values()))
    found = [Point(dict(zip(grid, c, strict=True)), seed) for c in combinations for seed in numbers]
    return list({p.key: p for p in found}.values())


def _plain(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    if not isinstance(value, (int, float, str, bool)):
        raise InvalidValueError(f"the values of a sweep are numbers or texts, found {value!r}; give it a name instead")
    return value


def _about(network: Any, task: Task, points: Sequence[Point]) -> dict[str, Any]:
    """Return what is swept; the fingerprint of the first point's network tells whether the function has changed."""
    from spikesim.files.storage import fingerprint

    first = points[0]
    built = task.build(first)  # a mistake in the function comes out here, before any work
    return {
        "network": built.name,
        "parameters": list(first.parameters),
        "duration": task.options["duration"],
        "steps": task.options["steps"],
        "backend": task.options["backend"],
        "dtype": task.options["dtype"],
        "inputs": fingerprint(dict(task.options["inputs"])) if task.options["inputs"] else "",
        "measure": getattr(task.measure, "__qualname__", type(task.measure).__name__) if task.measure else "",
        "first": {"parameters": dict(first.parameters), "seed": first.seed, "fingerprint": fingerprint(built)},
        "spikesim": spikesim.__version__,
    }


def _open(out: str | Path, about: dict[str, Any], task: Task, points: Sequence[Point]) -> tuple[Any, list[Point]]:
    """Return the file of results with the points that it has, and those that are missing."""
    from spikesim.files.envelope import check_target
    from spikesim.files.sweep_file import KIND, Results, kind_of

    rows: list[dict[str, Any]] = []
    if check_target(out, KIND).exists():
        table = load_sweep(out)
        _check_same(out, table.about, about, task)
        rows = [_kept(row) for row in table.rows() if row["status"] == OK]
    names = about["parameters"]
    have = {Point({n: row[n] for n in names}, row["seed"]).key for row in rows}
    values = {n: [*(row[n] for row in rows), *(p.parameters[n] for p in points)] for n in names}
    kinds = {n: kind_of(found) for n, found in values.items()} | {"seed": np.int64}
    results = Results(out, about, kinds, rows, [""] * len(rows))
    return results, [p for p in points if p.key not in have]


def _kept(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of a row that a file stores."""
    return {name: value for name, value in row.items() if name not in ("status", "error") and value != ""}


def _check_same(out: str | Path, found: Mapping[str, Any], about: Mapping[str, Any], task: Task) -> None:
    from spikesim.files.storage import fingerprint

    names = ("network", "parameters", "duration", "steps", "backend", "dtype", "inputs", "measure", "spikesim")
    different = [f"{n} {found.get(n)!r} in place of {about[n]!r}" for n in names if found.get(n) != about[n]]
    if not different:
        built = task.build(Point(found["first"]["parameters"], found["first"]["seed"]))
        if fingerprint(built) != found["first"]["fingerprint"]:
            different = ["another network for the same parameters"]
    if different:
        raise InvalidValueError(
            f"{str(out)!r} holds a sweep with {' and '.join(different)}; choose another file, or delete it"
        )


def _done(task: Task, points: Sequence[Point], jobs: int) -> Iterator[tuple[Point, Any]]:
    """Yield each point and what was found, as they are finished."""
    if jobs > 1:
        yield from work(task, points, jobs)
        return
    for point in points:
        try:
            yield point, task(point)
        except Exception as error:
            yield point, Failure(f"{type(error).__name__}: {error}")
