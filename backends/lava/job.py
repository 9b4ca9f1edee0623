"""What the child process is asked to do, and whether Lava can do it at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import UnsupportedError
from spikesim.fixedpoint import IntNetwork, IntPopulation, IntProjection, IntSample, sign_mode_of, truncate_weights
from spikesim.fixedpoint.weights import SignMode


@dataclass(frozen=True, eq=False)
class LavaJob:
    """One network and the samples to run it on.

    Parameters
    ----------
    network
        The network.
    steps
        Columns of each sample.
    samples
        Stimuli in canonical form (see `spikesim.fixedpoint.run.as_samples`).
    batched
        Whether the answer has a sample axis.
    record_u, record_v
        Populations whose currents and voltages to record; spikes are always recorded.
    stride
        u and v are recorded in the columns that it divides.
    """

    network: IntNetwork
    steps: int
    samples: Sequence[IntSample]
    batched: bool = False
    record_u: Sequence[str] = ()
    record_v: Sequence[str] = ()
    stride: int = 1


def find_unsupported(network: IntNetwork) -> list[str]:
    """List what Lava's processes cannot express; empty if there is nothing.

    These are values within the limits of the chip but not of the processes: Lava's LIF takes scalars for du, dv and
    vth, a matrix holds one synapse per pair, and a process that resets at intervals resets hard.
    """
    found: list[str] = []
    for population in network.populations:
        found += _population(population)
    for projection in network.projections:
        found += _projection(projection)
        found += _learning(projection, network)
    return found


def check_job(job: LavaJob) -> None:
    """Raise one `UnsupportedError` with everything `find_unsupported` lists."""
    found = find_unsupported(job.network)
    if found:
        raise UnsupportedError(found, "Lava cannot express this network:")


def _population(population: IntPopulation) -> Iterator[str]:
    owner = f"population {population.name!r}"
    names = ["du", "dv", "vth"] + ["soft_quantum"] * (population.reset == "soft")
    for name in names:
        values = np.unique(getattr(population, name))
        if values.size > 1:
            label = name.removeprefix("soft_")
            yield (
                f"{owner}: Lava has one {label} per population, not {values.size}; split it into "
                "populations of one value: quantise(network, bins=k)"
            )
    if np.any(np.not_equal(population.refractory, 1)):
        yield (
            f"{owner}: Lava's fixed-point neurons have no refractory period, found {np.max(population.refractory)}; "
            "use backend 'loihi', which has the chip's, or leave it out"
        )
    if population.reset_interval and population.reset != "hard":
        yield f"{owner}: reset_interval with reset={population.reset!r}; Lava's LIFReset resets hard"


def _projection(projection: IntProjection) -> Iterator[str]:
    """Lava's matrices hold one synapse per pair, so several must be one synapse with the summed weight."""
    owner = f"projection {projection.name!r} has several synapses between one pair of neurons"
    _, first, place = one_per_pair(projection)
    if first.size == projection.n_synapses:
        return
    sums = summed_weights(projection, place)
    stored = truncate_weights(sums, projection.num_weight_bits, resolved_sign_mode(projection))
    if not np.array_equal(stored, sums):
        worst = sums[stored != sums][0]
        yield f"{owner}, and Lava's one synapse cannot hold their sum {worst}; connect without multapses"
    delays = np.broadcast_to(projection.delay, projection.n_synapses)
    if np.any(delays != delays[first][place]):
        yield f"{owner} with different delays, and Lava has one synapse per pair; connect without multapses"


def _learning(projection: IntProjection, network: IntNetwork) -> Iterator[str]:
    if projection.learning is None:
        return
    owner = f"projection {projection.name!r} learns"
    pairs = one_per_pair(projection)[0].size
    wanted = network.size(projection.pre) * network.size(projection.post)
    if not pairs == projection.n_synapses == wanted:
        yield (
            f"{owner}, and Lava's LearningDense has one synapse for each of the {wanted} pairs, found "
            f"{projection.n_synapses} synapses between {pairs}; connect all to all, or run it on the backend 'loihi'"
        )
    if projection.learning.rule.arithmetic != "fixed":
        yield f"{owner} with floats, and Lava runs in fixed point; choose arithmetic='fixed', or the backend 'loihi'"


def one_per_pair(projection: IntProjection) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Group the synapses by pair of neurons.

    Returns
    -------
    pairs, first, place
        A number for each pair, its first synapse, and for every synapse the place of its pair.
    """
    pairs = projection.sources.astype(np.int64) << 32 | projection.indices
    unique, first, place = np.unique(pairs, return_index=True, return_inverse=True)
    return unique, first, place


def summed_weights(projection: IntProjection, place: NDArray[np.int64]) -> NDArray[np.int64]:
    """Add the effective weights of each pair; a weight as given may lose other bits than the sum would."""
    sums = np.zeros(place.max(initial=-1) + 1, np.int64)
    np.add.at(sums, place, projection.effective_weights)
    return sums


def resolved_sign_mode(projection: IntProjection) -> SignMode:
    """Return the sign mode, found from the weights if it is automatic."""
    return sign_mode_of(projection.weights) if projection.sign_mode == "auto" else projection.sign_mode


def components(network: IntNetwork) -> list[IntNetwork]:
    """Split a network into parts that no projection connects; Lava compiles one connected graph at a time.

    Inputs that drive nothing are left out, as is a part without populations.
    """
    names = [*(p.name for p in network.populations), *(i.name for i in network.inputs)]
    label = {name: i for i, name in enumerate(names)}
    links = [(p.pre, p.post) for p in network.projections]
    learning = [(p.learning.rule.modulator, p.post) for p in network.projections if p.learning]
    links += [link for link in learning if link[0]]
    for pre, post in links:
        old, new = label[pre], label[post]
        label = {name: new if part == old else part for name, part in label.items()}
    parts = []
    for part in dict.fromkeys(label[p.name] for p in network.populations):
        own = {name for name, its_part in label.items() if its_part == part}
        parts.append(
            IntNetwork(
                [p for p in network.populations if p.name in own],
                [p for p in network.projections if p.post in own],
                [i for i in network.inputs if i.name in own],
                network.allow_negative_bias_exp,
            )
        )
    return parts
