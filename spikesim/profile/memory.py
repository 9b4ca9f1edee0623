"""Synapse memory of a core, by the formulas that makers publish."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikesim.profile.schema import SynapseMemory

Layout = Literal["dense", "sparse"]


def code_width(bits: int, codes: Sequence[int]) -> int:
    """Return the smallest width that exists and holds so many bits; the widest if none does (another rule refuses)."""
    return min((c for c in codes if c >= bits), default=max(codes))


def words_per_axon(
    synapses: ArrayLike,
    memory: SynapseMemory,
    *,
    layout: Layout,
    weight_bits: int = 8,
    delay_bits: int = 0,
    index_bits: int = 8,
    tag_bits: int = 0,
) -> NDArray[np.int64]:
    """Return the memory words that axons of so many synapses take in one core.

    An entry holds at most ``synapses_per_entry`` synapses and a header, and is rounded up to whole words:
    ``ceil((n * (weight + delay + tag [+ index]) + header + spare) / word)``.

    Parameters
    ----------
    synapses
        Synapses of each axon in this core; for ``dense`` the span from its first to its last target.
    memory
        The device's formula.
    layout
        ``"sparse"`` stores the target of each synapse; ``"dense"`` does not, or only the first one.
    weight_bits, delay_bits, index_bits, tag_bits
        Width of each field.

    Notes
    -----
    NxTF adds a word where an entry ends in bit 0 or 59 to 63 of a word, that is, where fewer than 6 bits stay free:
    the same as 6 spare bits.

    Examples
    --------
    Rows of 256 and of 6 synapses with 8-bit weights on Loihi 1, by nengo-loihi's formula and by NxTF's:

    >>> from spikesim.profile.device import load_device
    >>> loihi = load_device("loihi1")
    >>> words_per_axon([256, 6], loihi.synapse_memory, layout="dense").tolist()
    [35, 1]
    >>> words_per_axon([256, 6], loihi.synapse_memory_upper, layout="dense").tolist()
    [35, 2]
    """
    n = np.asarray(synapses, np.int64)
    width = weight_bits + delay_bits + tag_bits + (index_bits if layout == "sparse" else 0)
    fixed = memory.header_bits + memory.spare_bits
    if layout == "dense" and memory.dense_holds_first_index:
        fixed += index_bits

    def words(count: NDArray[np.int64]) -> NDArray[np.int64]:
        return -(-(count * width + fixed) // memory.word_bits)

    full, rest = np.divmod(n, memory.synapses_per_entry)
    per_full = words(np.asarray(memory.synapses_per_entry, np.int64))
    return np.asarray(full * per_full + np.where(rest > 0, words(rest), 0), np.int64)


def delay_width(max_delay: int) -> int:
    """Return the bits of a delay field: a delay of 1 step is code 0."""
    return max(max_delay - 1, 0).bit_length()


def cheapest_layout(
    synapses: NDArray[np.int64],
    spans: NDArray[np.int64],
    memory: SynapseMemory,
    *,
    neurons: int,
    weight_bits: int,
    delays: tuple[int, int],
) -> tuple[NDArray[np.int64], Layout]:
    """Return the words of each axon of one projection in one core, and the layout that needs fewer of them.

    Parameters
    ----------
    synapses, spans
        Of each axon: its synapses here, and the neurons from its first to its last target.
    memory
        The device's formula.
    neurons
        Neurons that an index tells apart.
    weight_bits, delays
        Bits of a weight; smallest and largest delay in steps. With different delays there is no dense layout, for a
        gap would need a delay of its own.
    """
    weight = code_width(weight_bits, memory.weight_bit_codes)
    index = code_width((neurons - 1).bit_length(), memory.index_bit_codes)
    found: dict[Layout, NDArray[np.int64]] = {}
    counted: list[tuple[Layout, NDArray[np.int64]]] = [("sparse", synapses), ("dense", spans)]
    for layout, n in counted:
        if layout == "dense" and delays[0] != delays[1]:
            continue
        found[layout] = words_per_axon(
            n, memory, layout=layout, weight_bits=weight, delay_bits=delay_width(delays[1]), index_bits=index
        )
    best = min(found, key=lambda layout: int(found[layout].sum()))
    return found[best], best
