"""What runs beside the kernels of static binary synapses: graded inputs, and projections that learn.

Both end as currents that are added to the arriving sum of a column, as a direct current is. What graded inputs bring is
known before the run; what a learning synapse brings is known one column ahead, so a run with such synapses goes column
by column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from spikesim.backends.loihi.learning import STATE, Learner, Part, flat
from spikesim.backends.loihi.learning_kernels import Learned, learn_column
from spikesim.fixedpoint import IntNetwork, IntRun, IntSample, IntState
from spikesim.fixedpoint.graded import Graded


def is_static(network: IntNetwork, projection: Any) -> bool:
    """Tell whether a projection is the kernels' own: it does not learn, and binary spikes come in."""
    return projection.learning is None and not network.graded(projection.pre)


class Beside:
    """The graded and learning projections of a network; holds no state.

    Parameters
    ----------
    network
        The network.
    first
        The first neuron or source of each group.
    n_neurons
        Neurons; inputs are numbered after them.
    """

    def __init__(self, network: IntNetwork, first: Mapping[str, int], n_neurons: int) -> None:
        self.network, self.first, self.n_neurons = network, first, n_neurons
        self.graded = Graded(network)
        learning = [p for p in network.projections if p.learning is not None]
        size = network.size
        self.learner = Learner([Part(p, first[p.pre], first[p.post], size(p.pre), size(p.post)) for p in learning])
        self.targets = list(dict.fromkeys(p.post for p in learning))
        self.slots = 2 + max((p.learning.modulator_delay for p in self.learner.parts), default=0)

    def begin(self, sample: IntSample, state: IntState, i: int, first: int, steps: int) -> Companion:
        """Prepare sample number `i` of a batch."""
        saved = {name: array[i].copy() for name, array in state.beside.items()}
        graded = {name: saved[f"graded/{name}"] for name in self.graded.targets} if saved else {}
        drive, waiting = self.graded.currents(sample, first, steps, graded)
        drives: dict[str, Any] = dict(sample.drive)
        for name in self.targets:
            drives.setdefault(name, np.zeros((steps, self.network.size(name)), np.int32))
        for name, current in drive.items():
            drives[name] = current + np.asarray(drives.get(name, np.int32(0)))
        learned = Learned(*(saved[f"learned/{n}"] for n in STATE)) if saved else self.learner.start()
        rewards = saved["rewards"] if saved else np.zeros((len(self.learner.parts), self.slots))
        spikes = {name: np.asarray(events)[:, :2] for name, events in sample.spikes.items()}
        return Companion(
            self, replace(sample, spikes=spikes, drive=drives), sample, waiting, learned, rewards, i, first, steps
        )

    def finish(self, run: IntRun, companions: Sequence[Companion]) -> IntRun:
        """Add to a run what the companions of its samples know."""
        arrays = [c.arrays() for c in companions]
        state = replace(
            cast(IntState, run.state), beside={name: np.stack([a[name] for a in arrays]) for name in arrays[0]}
        )
        values = np.stack([c.learned.values for c in companions])
        return replace(run, state=state, learned=self.learner.named(values if run.samples is not None else values[0]))


@dataclass(eq=False)
class Companion:
    """One sample of :class:`Beside` under way.

    Parameters
    ----------
    beside
        The network's.
    sample
        What the kernels are given: binary spikes, and currents with room for what synapses that learn bring.
    given
        The stimulus as it was, with the payloads of graded spikes.
    waiting
        What graded inputs bring after the run.
    learned, rewards
        State of the learning synapses; what modulators bring, shape (projections, slots).
    i, first, steps
        Number of the sample, and the columns of the run.
    """

    beside: Beside
    sample: IntSample
    given: IntSample
    waiting: Mapping[str, NDArray[np.int32]]
    learned: Learned
    rewards: NDArray[np.float64]
    i: int
    first: int
    steps: int

    def __post_init__(self) -> None:
        learner = self.beside.learner
        self.by_column = bool(learner.parts)
        if self.by_column:
            self.room = learner.room()
            self.draws = learner.draws(self.i, self.first, self.steps)
            self.outputs = self._input_spikes()
            self.places = self._places()
            self.modulated = self._modulators()

    def _input_spikes(self) -> list[NDArray[np.int32]]:
        """Return the sources of inputs that spike, for each column."""
        events = [np.zeros((0, 2), np.int32)]
        events += [np.asarray(e) + np.array([0, self.beside.first[name]]) for name, e in self.sample.spikes.items()]
        merged = np.concatenate(events).astype(np.int32)
        merged = merged[np.argsort(merged[:, 0], kind="stable")]
        bounds = np.searchsorted(merged[:, 0], np.arange(self.first, self.first + self.steps + 1))
        return [merged[a:b, 1] for a, b in pairwise(bounds)]

    def _places(self) -> list[tuple[slice, slice]]:
        """Return for each learning projection its targets among the driven neurons, and among its sums."""
        starts, at = {}, 0
        for name, current in self.sample.drive.items():
            starts[name] = at
            at += np.asarray(current).shape[1]
        posts, found = self.beside.learner.posts, []
        for p, part in enumerate(self.beside.learner.parts):
            begin = starts[part.projection.post]
            found.append((slice(begin, begin + part.n_post), slice(posts[p], posts[p + 1])))
        return found

    def _modulators(self) -> list[tuple[int, int, Any, int, int]]:
        """Return for each projection with a modulator: its number, delay, weight, and what the modulator emits.

        That is an array of totals by column for an input, or the range of neurons for a population.
        """
        found: list[tuple[int, int, Any, int, int]] = []
        for p, part in enumerate(self.beside.learner.parts):
            rule, name = part.learning.rule, part.learning.rule.modulator
            if not name:
                continue
            low = self.beside.first[name]
            totals = None
            if low >= self.beside.n_neurons:
                events = np.asarray(self.given.spikes.get(name, np.zeros((0, 2))))
                value = events[:, 2] if events.shape[1] > 2 else np.ones(len(events))
                column = events[:, 0].astype(np.int64) - self.first
                totals = np.bincount(column, value, self.steps) * rule.modulator_weight
            high = low + self.beside.network.size(name)
            found.append((p, part.learning.modulator_delay, totals, low, high))
        return found

    def before(self, row: NDArray[np.int32]) -> None:
        """Add to the currents of a column what synapses that learn bring."""
        for target, own in self.places:
            row[target] += self.learned.sums[own].astype(np.int32)

    def after(self, column: int, spiking: NDArray[np.int32]) -> None:
        """Take the neurons that spiked in a column, and learn."""
        k = column - self.first
        everything = np.concatenate([spiking, self.outputs[k]])
        slot = column % self.beside.slots
        reward = self.rewards[:, slot].copy()
        self.rewards[:, slot] = 0.0
        learner = self.beside.learner
        learn_column(learner.rules, learner.wiring, self.learned, self.room, everything, reward, self.draws[k], column)
        for p, delay, totals, low, high in self.modulated:
            if totals is not None:
                value = totals[k]
            else:
                weight = learner.parts[p].learning.rule.modulator_weight
                value = weight * np.count_nonzero((spiking >= low) & (spiking < high))
            self.rewards[p, (column + 1 + delay) % self.beside.slots] += value

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state after the run by name."""
        found: dict[str, NDArray[Any]] = {f"graded/{name}": array for name, array in self.waiting.items()}
        found |= {f"learned/{name}": array for name, array in flat(self.learned).items()}
        return found | {"rewards": self.rewards}
