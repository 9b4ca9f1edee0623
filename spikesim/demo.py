"""The main job, end to end, on real handwritten digits: train, run, quantise, fixed point, Lava, profile."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spikesim.data import Dataset, load
from spikesim.encode import regular
from spikesim.engine import backend, run
from spikesim.errors import MissingPackageError, SpikesimError
from spikesim.lowering import lower
from spikesim.models.networks import digits_mlp
from spikesim.network import Network, Probe
from spikesim.quantise import Quantised, quantise
from spikesim.recording import Recording, differing_spikes

if TYPE_CHECKING:
    from spikesim.profile import Profile
    from spikesim.train import Evaluation


@dataclass(frozen=True)
class Settings:
    """What the demo does; everything that its figures depend on.

    Parameters
    ----------
    seeds
        Each seed has its own split, initial weights and order of training.
    hidden
        Neurons of the hidden layers.
    steps
        Time steps per digit.
    epochs
        Passes over the training digits.
    lava_samples
        Test digits that also run in Lava.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    hidden: tuple[int, ...] = (256,)
    steps: int = 8
    epochs: int = 80
    lava_samples: int = 20


@dataclass(eq=False)
class Result:
    """What the demo found; ``rows`` is the table for the terminal and the report."""

    settings: Settings
    rows: list[tuple[str, str, str]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    accuracies: list[float] = field(default_factory=list)
    network: Network | None = None
    data: Dataset | None = None
    quantised: Quantised | None = None
    float_run: Evaluation | None = None
    fixed_run: Evaluation | None = None
    traced: Recording | None = None
    profile: Profile | None = None

    def need(self, name: str) -> Any:
        """Return what an earlier stage found; the stages run in order."""
        value = getattr(self, name)
        if value is None:
            raise SpikesimError(f"the demo's stages run in order: {name!r} is not there yet")
        return value

    def add(self, what: str, figure: str, note: str = "") -> None:
        """Add a line to the table."""
        self.rows.append((what, figure, note))


Say = Callable[[str], None]


def demo(folder: str | Path, settings: Settings | None = None, say: Say = print) -> Result:
    """Do everything, write ``report.html``, ``run.h5`` and ``network.h5`` to a folder, and return the figures.

    Parameters
    ----------
    folder
        Made if it does not exist.
    settings
        What to do.
    say
        Called with one line per stage.
    """
    settings = settings or Settings()
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    result = Result(settings)
    stages = (
        ("training", _train),
        ("numba and torch", _run_both),
        ("fixed point", _fixed_point),
        ("Lava", _lava),
        ("profile", _profile),
    )
    for title, stage in stages:
        with _timed(result, title, say):
            stage(result)
    with _timed(result, "report", say):
        _record(result, folder)
        from spikesim.demo_report import write_report

        write_report(result, folder / "report.html")
    return result


@contextmanager
def _timed(result: Result, title: str, say: Say) -> Iterator[None]:
    say(f"{title} ...")
    begin = time.perf_counter()
    yield
    result.seconds[title] = time.perf_counter() - begin


def _fit(settings: Settings, data: Dataset, seed: int) -> Network:
    from spikesim.train import Augment, train

    return train(
        digits_mlp(settings.hidden, seed=seed),
        data,
        epochs=settings.epochs,
        encode=regular,
        steps=settings.steps,
        # chosen on held-out training samples; noise and decay keep the weights small, which quantising likes
        optimiser="adamw",
        weight_decay=0.1,
        augment=Augment(noise=0.15, limits=(0.0, 1.0)),
        surrogate="arctan",
        validation_fraction=0.0,
        seed=seed,
    ).network


def _test(settings: Settings, network: Network, data: Dataset, **options: Any) -> Evaluation:
    from spikesim.train import evaluate

    return evaluate(network, data.x_test, data.y_test, steps=settings.steps, encode=regular, **options)


def _train(result: Result) -> None:
    settings = result.settings
    for seed in settings.seeds:
        data = load("digits", seed=seed).scaled().flat()
        network = _fit(settings, data, seed)
        evaluation = _test(settings, network, data)
        result.accuracies.append(evaluation.accuracy)
        if result.network is None:
            result.network, result.data, result.float_run = network, data, evaluation
    mean, spread = float(np.mean(result.accuracies)), float(np.std(result.accuracies))
    seeds = len(settings.seeds)
    result.add("test accuracy, float", f"{mean:.2%}", f"mean of {seeds} seeds, sd {spread:.2%}; stratified 80/20 split")
    writers = load("digits", split="writers").scaled().flat()
    accuracy = _test(settings, _fit(settings, writers, 0), writers).accuracy
    result.add(
        "accuracy on other writers",
        f"{accuracy:.2%}",
        "trained on the other forms, tested on the file's last 360 digits",
    )


def _run_both(result: Result) -> None:
    reference = _test(result.settings, result.need("network"), result.need("data"), backend="torch")
    differing = differing_spikes(result.need("float_run").recording, reference.recording)
    spikes = result.need("float_run").recording.counts.spikes
    result.add("numba against torch", f"{differing} of {spikes} spikes differ", "whole test set, float64")


def _fixed_point(result: Result) -> None:
    settings, data = result.settings, result.need("data")
    result.quantised = quantise(result.need("network"))
    result.fixed_run = _test(settings, result.need("quantised").network, data, backend="loihi")
    same = _test(settings, result.need("quantised").network, data)
    before, after = result.need("float_run").accuracy, result.need("fixed_run").accuracy
    result.add("accuracy, fixed point", f"{after:.2%}", f"8-bit weights; float {before:.2%} on the same digits")
    differing = differing_spikes(result.need("fixed_run").recording, same.recording)
    result.add("emulator against numba", f"{differing} spikes differ", "the integer network, whole test set")


def _lava(result: Result) -> None:
    state = backend("lava").availability()
    if not state.ok:
        if os.environ.get("CI"):
            raise MissingPackageError("lava-nc", "the demo in CI", state.remedy)
        result.add("emulator against Lava", "not run", f"{state.reason}; {state.remedy}")
        return
    count = result.settings.lava_samples
    inputs = {"image": regular(result.need("data").x_test[:count], result.settings.steps)}
    network = result.need("quantised").network
    emulated, real = (run(network, inputs=inputs, backend=name) for name in ("loihi", "lava"))
    differing = differing_spikes(emulated, real)
    result.add(
        "emulator against Lava",
        f"{differing} of {real.counts.spikes} spikes differ",
        f"{count} digits in lava-nc's fixed_pt",
    )


def _profile(result: Result) -> None:
    from spikesim.profile import profile

    network = result.need("quantised").network
    result.profile = profile(result.need("fixed_run").recording, lower(network))


def _record(result: Result, folder: Path) -> None:
    """Run ten test digits with membranes recorded to ``run.h5``, and store the network."""
    network: Any = result.need("network")
    network.save(folder / "network.h5")
    probes = tuple(Probe(p.name, ("v",), neurons=tuple(range(min(p.n, 10)))) for p in network.populations)
    inputs = {"image": regular(result.need("data").x_test[:10], result.settings.steps)}
    result.traced = run(network.with_(probes=probes), inputs=inputs, out=folder / "run.h5")
