"""What the plots of spikes accept, brought to one form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.recording import Recording, Spikes

SpikeData: TypeAlias = Recording | Spikes | Mapping[str, Spikes]


def trains(data: SpikeData, populations: Sequence[str] | None = None) -> dict[str, Spikes]:
    """Return spikes by population.

    Parameters
    ----------
    data
        A recording, the spikes of one population, or several by name.
    populations
        Which; all by default.

    Raises
    ------
    UnknownNameError
        If a population is not there.
    """
    if isinstance(data, Spikes):
        found: Mapping[str, Spikes] = {"": data}
    else:
        found = data.spikes if isinstance(data, Recording) else data
    chosen = list(found) if populations is None else list(populations)
    for name in chosen:
        if name not in found:
            raise UnknownNameError("population", name, list(found))
    return {name: found[name] for name in chosen}


def one(data: SpikeData, population: str | None) -> tuple[str, Spikes]:
    """Return the name and the spikes of one population, which must be given where there are several."""
    found = trains(data, None if population is None else [population])
    if len(found) != 1:
        raise InvalidValueError(f"this plot shows one population; pass population= one of {', '.join(found)}")
    return next(iter(found.items()))


def of_sample(spikes: Spikes, sample: int) -> Spikes:
    """Return the spikes of one sample."""
    if not 0 <= sample < spikes.samples:
        raise InvalidValueError(f"sample must be 0 .. {spikes.samples - 1}, found {sample}")
    return spikes.of(sample)
