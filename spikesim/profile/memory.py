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
    ``ceil((n * (weight + delay + tag [+ index]) + header) / word)``.

    Parameters
    ----------
    synapses
        Synapses of each axon in this core; for ``dense`` the span from its first to its last target.
    memory
        The device's formula.
    layout
        ``"sparse"`` stores the target of each synapse, ``"dense"`` does not.
    weight_bits, delay_bits, index_bits, tag_bits
        Width of each field.

    Examples
    --------
    A column of 256 synapses with 8-bit weights on Loihi 1 (nengo-loihi's formula):

    >>> from spikesim.profile.device import load_device
    >>> int(words_per_axon(256, load_device("loihi1").synapse_memory, layout="dense"))
    35
    """
    n = np.asarray(synapses, np.int64)
    width = weight_bits + delay_bits + tag_bits + (index_bits if layout == "sparse" else 0)

    def words(count: NDArray[np.int64]) -> NDArray[np.int64]:
        return -(-(count * width + memory.header_bits) // memory.word_bits)

    full, rest = np.divmod(n, memory.synapses_per_entry)
    per_full = words(np.asarray(memory.synapses_per_entry, np.int64))
    return np.asarray(full * per_full + np.where(rest > 0, words(rest), 0), np.int64)


def delay_width(max_delay: int) -> int:
    """Return the bits of a delay field: a delay of 1 step is code 0."""
    return max(max_delay - 1, 0).bit_length()
