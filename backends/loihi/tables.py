"""The flat arrays that the emulator's kernels work on, as tuples that numba understands."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

HARD, SOFT, NONE = 0, 1, 2

# Columns of `Neurons.populations`.
FIRST, LAST, RESET, INTERVAL, OFFSET, KIND = range(6)
# Kinds: one value of each parameter for the whole population and never refractory; or one a neuron.
SHARED, OWN = 0, 1
# Weights of neighbours are stored in multiples of this many, the rest being 0, so that no loop has a remainder.
LANES = 16
# Neurons that are advanced, or skipped while they are at rest, together.
BLOCK = 256

I16 = NDArray[np.int16]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]


class Neurons(NamedTuple):
    """Parameters, one value a neuron; `hold` is how many columns after a spike v is held.

    `populations` has one row a population: first and last neuron, kind of reset, interval and offset, `KIND`.
    """

    keep_u: I32
    keep_v: I32
    threshold: I32
    quantum: I32
    bias: I32
    hold: I32
    populations: I64


class Synapses(NamedTuple):
    """Synapses by source: what to add, and where, counted from the first neuron of the next column's slot."""

    indptr: I64
    place: I32
    weight: I16


class Runs(NamedTuple):
    """Synapses by source whose places follow each other, as all-to-all connections have them: a run a row.

    Runs of different sources to the same places form a *block*: the rows of those that spike are summed in registers
    and added once. The weights of a run begin at `begin` and are filled up with zeros to the `length` of its block, a
    multiple of `LANES`. Block `b` goes to `place[b]` and has room for its rows at `room[b]` of `Scratch.rows`.
    """

    indptr: I64
    block: I32
    begin: I64
    weight: I16
    place: I32
    length: I32
    room: I64


class Bins(NamedTuple):
    """Sums that have to be complete before they are shifted right: one bin a projection, delay and target."""

    place: I32
    shift: U8


class State(NamedTuple):
    """State of one sample.

    Current, voltage, columns for which the voltage is still held at 0, and the ring of
    arriving sums, flat: slots * neurons, and `LANES` that stay 0.
    """

    u: I32
    v: I32
    wait: I32
    ring: I32


class Stimulus(NamedTuple):
    """Input spikes sorted by column, sources numbered after the neurons; and direct currents, (steps, targets)."""

    column: I32
    source: I32
    drive: I32
    drive_target: I32


class Counters(NamedTuple):
    """Spikes of each source; one row (active, wraps, clips) a population."""

    fired: I64
    updates: I64


class Traces(NamedTuple):
    """What to copy out: spikes of the marked populations, and u and v of listed neurons in every `stride`-th column.

    Population `p` writes rows (column, neuron) of `spikes`, which is flat, from row `begin[p]` on, at most up to row
    `begin[p + 1]`, and counts them in `filled[p]`.
    """

    record: U8
    begin: I64
    filled: I64
    spikes: I32
    u_neuron: I32
    v_neuron: I32
    u: I32
    v: I32


class Scratch(NamedTuple):
    """Room that the kernels write to within a column: who spikes (neurons and inputs), marks of a block.

    `resting` marks the blocks of neurons at rest. `rows`, `n_rows` and `busy` belong to the blocks of `Runs`; `sums`,
    `touched` and `seen` to the bins. Each column leaves counts and sums at 0.
    """

    out: I32
    fired: U8
    resting: U8
    rows: I64
    n_rows: I32
    busy: I32
    sums: I64
    touched: I32
    seen: U8


def scratch(neurons: Neurons, sources: int, runs: Runs, bins: Bins) -> Scratch:
    """Return room for a sample."""
    n_bins = bins.place.size
    return Scratch(
        out=np.empty(sources, np.int32),
        fired=np.zeros(BLOCK, np.uint8),
        resting=np.zeros(neurons.keep_u.size // BLOCK + len(neurons.populations), np.uint8),
        rows=np.empty(runs.begin.size, np.int64),
        n_rows=np.zeros(runs.place.size, np.int32),
        busy=np.empty(runs.place.size, np.int32),
        sums=np.zeros(n_bins, np.int64),
        touched=np.empty(n_bins, np.int32),
        seen=np.zeros(n_bins, np.uint8),
    )
