"""What a learner costs beside its mistakes: memory, weight writes, and spikes and energy of an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from spikesim.continual.learners import FineTune
from spikesim.profile.quantity import Energy
from spikesim.profile.report import profile


@dataclass(frozen=True)
class Costs:
    """Costs of a learner, at one moment.

    Parameters
    ----------
    memory
        Bytes kept besides the network.
    writes
        Weight updates that changed a value, since the beginning; None if the learner does not count them
        (``count_writes=True``).
    spikes, events
        Spikes and synaptic events of one inference, on average.
    energy
        Joules of one inference by device, with their range; None where the device states no total (it does not fit, or
        something has no price).
    """

    memory: int
    writes: int | None
    spikes: float
    events: float
    energy: dict[str, Energy | None]


def costs(
    learner: FineTune,
    x: NDArray[Any],
    task: int | None = None,
    *,
    devices: str | Sequence[str] = "cmos45",
    graded_as_events: bool = True,
) -> Costs:
    """Return what a learner costs now.

    Parameters
    ----------
    learner
        The learner.
    x
        Samples whose answers are counted, ``[samples, ...]``; they run at once.
    task
        Which task they belong to, where that is told.
    devices
        Names of devices (``spikesim list hardware``), or ``"all"``.
    graded_as_events
        See :func:`spikesim.profile.profile`.
    """
    network = learner.network_for(task)
    recording = learner.run(network, x, at_once=len(x)).recording
    found = profile(recording.counts, network.folded(), devices, graded_as_events=graded_as_events)
    counts = recording.counts
    return Costs(
        learner.memory, learner.writes, counts.spikes / counts.samples, counts.synaptic_events / counts.samples,
        {name: bill.total for name, bill in found.bills.items()},
    )  # fmt: skip
