"""What the child process is asked to do, and whether Lava can do it at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from spikesim.errors import UnsupportedError
from spikesim.fixedpoint import IntNetwork, IntPopulation, IntProjection, IntSample


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

    Values that are within the limits of the chip but not of the processes: Lava's LIF takes scalars for du, dv and
    vth, a matrix holds one synapse per pair, and a process that resets at intervals resets hard.
    """
    found: list[str] = []
    for population in network.populations:
        found += _population(population)
    for projection in network.projections:
        found += _projection(projection)
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
            yield f"{owner}: {label} has {values.size} different values, Lava's LIF takes one; split the population"
    if population.reset_interval and population.reset != "hard":
        yield f"{owner}: reset_interval with reset={population.reset!r}; Lava's LIFReset resets hard"


def _projection(projection: IntProjection) -> Iterator[str]:
    pairs = np.stack([projection.sources, projection.indices])
    repeated = projection.n_synapses - np.unique(pairs, axis=1).shape[1]
    if repeated:
        yield (
            f"projection {projection.name!r}: {repeated} synapses repeat a pair of neurons, Lava's matrices hold one "
            "for each; split the projection"
        )


def components(network: IntNetwork) -> list[IntNetwork]:
    """Split a network into parts that no projection connects; Lava compiles one connected graph at a time.

    Inputs that drive nothing are left out, as is a part without populations.
    """
    names = [*(p.name for p in network.populations), *(i.name for i in network.inputs)]
    label = {name: i for i, name in enumerate(names)}
    for projection in network.projections:
        old, new = label[projection.pre], label[projection.post]
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
