"""What quantising changed when a network runs: spikes, accuracy, registers that overflow, and which rounding did it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.engine import run
from spikesim.errors import InvalidValueError
from spikesim.quantise.calibrate import given
from spikesim.quantise.check import run_integers
from spikesim.quantise.distance import Difference, differences
from spikesim.quantise.plan import KINDS
from spikesim.quantise.report import Quantised
from spikesim.recording import Recording

FORM, ALL = "none (the chip's form of the equations)", "all: the integer network"


@dataclass(frozen=True)
class Cause:
    """A run in which only one kind of rounding was done to an otherwise float network.

    Parameters
    ----------
    rounding
        What was rounded.
    spikes, differing, share
        Spikes; those that only this run or the one without rounding has; these relative to all spikes of both. The runs
        without and with all rounding are compared with the float network itself, which differs after fine-tuning.
    accuracy
        On the labels, if there are any.
    """

    rounding: str
    spikes: int
    differing: int
    share: float
    accuracy: float | None = None


@dataclass(frozen=True, eq=False)
class Measured:
    """Float network against integers on the same input.

    Parameters
    ----------
    populations
        :class:`~spikesim.quantise.distance.Difference` by population.
    overflows
        By population: how often a current wrapped around 24 bits, how often a voltage was clipped.
    causes
        One run for each kind of rounding alone, framed by none and all.
    accuracy_float, accuracy_fixed
        On the labels; None without.
    steps, samples
        Size of the input.
    tau
        Of the van Rossum distance, in seconds.
    recordings
        ``"float"`` and ``"fixed"``, the latter under the names of the float network.
    """

    populations: Mapping[str, Difference]
    overflows: Mapping[str, tuple[int, int]]
    causes: tuple[Cause, ...]
    accuracy_float: float | None
    accuracy_fixed: float | None
    steps: int
    samples: int
    tau: float
    recordings: Mapping[str, Recording] = field(default_factory=dict)

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per population: spikes, distances, first step that differs, wraps and clips."""
        rows = []
        for name, d in self.populations.items():
            wraps, clips = self.overflows[name]
            rows.append({"population": name, **asdict(d), "wraps": wraps, "clips": clips})
        return rows

    def cause_rows(self) -> list[dict[str, Any]]:
        """Return one row per kind of rounding."""
        return [asdict(cause) for cause in self.causes]

    @property
    def blamed(self) -> str:
        """The kind of rounding that changes most spikes by itself; empty if none changes any."""
        single = [c for c in self.causes if c.rounding in KINDS]
        worst = max(single, key=lambda c: c.differing, default=None)
        return worst.rounding if worst is not None and worst.differing else ""

    def to_json(self, path: str | Path | None = None) -> str:
        """Return everything but the recordings as JSON text, and write it to a file if one is named."""
        found = {
            "steps": self.steps,
            "samples": self.samples,
            "tau_s": self.tau,
            "accuracy_float": self.accuracy_float,
            "accuracy_fixed": self.accuracy_fixed,
            "populations": self.rows(),
            "causes": self.cause_rows(),
            "blamed": self.blamed,
        }
        text = json.dumps(found, indent=2)
        if path is not None:
            Path(path).write_text(text + "\n", "utf-8")
        return text

    def __str__(self) -> str:
        lines = [f"{self.samples} samples of {self.steps} steps, float network against integers"]
        for r in self.rows():
            first = "never" if r["first_step"] is None else f"from step {r['first_step']}"
            lines.append(
                f"  {r['population']}: {r['before']} -> {r['after']} spikes, {r['share']:.2%} differ ({first}), "
                f"van Rossum {r['van_rossum']:.3g}, {r['wraps']} wraps, {r['clips']} clips"
            )
        for c in self.causes:
            accuracy = "" if c.accuracy is None else f", accuracy {c.accuracy:.2%}"
            lines.append(f"  rounding {c.rounding}: {c.share:.2%} of the spikes differ{accuracy}")
        if self.accuracy_float is not None and self.accuracy_fixed is not None:
            lines.append(f"  accuracy {self.accuracy_float:.2%} -> {self.accuracy_fixed:.2%}")
        return "\n".join(lines)


def measure(
    quantised: Quantised,
    inputs: Any = None,
    labels: Any = None,
    *,
    steps: int | None = None,
    readout: str = "rate",
    lengths: NDArray[np.int64] | None = None,
    tau: float = 10e-3,
    causes: bool = True,
) -> Measured:
    """Run a float network and its integers on sample input, and compare.

    Parameters
    ----------
    quantised
        What :func:`spikesim.quantise.quantise` returned.
    inputs
        As for :func:`spikesim.run`, or an array ``[steps, samples, n]`` for the only input.
    labels
        Class numbers ``[samples]``; the last population's read-out is compared with them.
    steps
        How long, where the network has no input.
    readout, lengths
        ``"rate"`` or ``"latency"``; steps of each sample that count, all by default.
    tau
        Time constant of the van Rossum distance in seconds.
    causes
        Also run the network with one kind of rounding at a time.

    Returns
    -------
    Measured

    Raises
    ------
    InvalidValueError
        If the inputs or labels do not fit.
    """
    if quantised.plan is None:
        raise InvalidValueError("this value holds no float network to compare with; quantise it anew")
    plan = quantised.plan
    data = given(plan.graph, inputs)
    before = run(quantised.original, steps=steps, inputs=data)
    fixed, overflowed = run_integers(quantised.network, data, steps)
    after = quantised.merge(fixed)
    answers = None if labels is None else _labels(labels, before)

    def accuracy(recording: Recording) -> float | None:
        return None if answers is None else _accuracy(recording, plan.order[-1], answers, readout, lengths)

    found = []
    if causes:
        form = run(plan.network(()).with_(probes=()), steps=steps, inputs=data)
        found.append(_cause(FORM, before, form, accuracy(form)))
        for kind in KINDS:
            other = run(plan.network((kind,)).with_(probes=()), steps=steps, inputs=data)
            found.append(_cause(kind, form, other, accuracy(other)))
    found.append(_cause(ALL, before, after, accuracy(after)))
    return Measured(
        populations=differences(before, after, tau),
        overflows=_merged(quantised, overflowed),
        causes=tuple(found),
        accuracy_float=accuracy(before),
        accuracy_fixed=accuracy(after),
        steps=before.steps,
        samples=before.samples,
        tau=tau,
        recordings={"float": before, "fixed": after},
    )


def _cause(rounding: str, before: Recording, after: Recording, accuracy: float | None) -> Cause:
    found = differences(before, after).values()
    differing, spikes = sum(d.differing for d in found), sum(d.after for d in found)
    total = sum(d.before for d in found) + spikes
    return Cause(rounding, spikes, differing, differing / max(total, 1), accuracy)


def _labels(labels: Any, recording: Recording) -> NDArray[np.int64]:
    found = np.asarray(labels)
    if found.shape != (recording.samples,) or found.dtype.kind not in "iu":
        raise InvalidValueError(
            f"labels must be one whole class number for each of {recording.samples} samples, found {found.dtype} "
            f"of the shape {list(found.shape)}"
        )
    return found.astype(np.int64)


def _accuracy(
    recording: Recording, last: str, labels: NDArray[np.int64], readout: str, lengths: NDArray[np.int64] | None
) -> float:
    from spikesim.train.readout import OF_SPIKES, Readout, predict, readout_name

    name = readout_name(readout)
    if name not in OF_SPIKES:
        raise InvalidValueError(f"readout must be one of {', '.join(OF_SPIKES)}: integers fire, found {readout!r}")
    reader = Readout(name, last, "", recording[last].n)
    return float(np.mean(predict(reader.read(recording, lengths)) == labels))


def _merged(quantised: Quantised, counted: Mapping[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    """Return overflows under the names of the float network."""
    parts = quantised.parts.populations
    owner = {part: name for name, own in parts.items() for part in own}
    found: dict[str, tuple[int, int]] = {}
    for name, (wraps, clips) in counted.items():
        whole = owner.get(name, name)
        old = found.get(whole, (0, 0))
        found[whole] = old[0] + wraps, old[1] + clips
    return found
