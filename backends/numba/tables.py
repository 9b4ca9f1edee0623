"""Where compiled functions find what they work on: tables of addresses, which all have one type.

So no function has to be compiled again because of another network, and none takes dozens of arrays, which would be most
of what it costs to compile it. The arrays must outlive every use of a table.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Fixed(NamedTuple):
    """Arrays of a network and its state that all threads share; columns: :mod:`spikesim.backends.numba.loop`.

    Parameters
    ----------
    phases, tiles, parts, spans, jobs, ports, groups, poisson, learned
        int64, tables of the network.
    factors, poisson_weights
        float64 ``[ports, 6]``: unit of the sums, weight of the drive, weights of the counters; and ``[poisson]``.
    thresholds, key
        uint32: of the Poisson drives, and the two halves of the seed.
    listed, lists
        int64 ``[samples * history, spans]`` and int32 ``[samples * history, neurons]``: who fired.
    plastic
        int64 ``[samples * learned, ..]``: tables of plastic synapses.
    """

    phases: Any
    tiles: Any
    parts: Any
    spans: Any
    jobs: Any
    ports: Any
    groups: Any
    poisson: Any
    learned: Any
    factors: Any
    poisson_weights: Any
    thresholds: Any
    key: Any
    listed: Any
    lists: Any
    plastic: Any


class Stretch(NamedTuple):
    """Arrays of some steps that all threads share.

    Parameters
    ----------
    pointers, identities, amounts
        int64 ``[sources * samples, rows + 1]``, int32, float64: what sources emit; ``amounts`` is empty if none has
        values.
    ext
        float64 ``[steps or 1, samples or 1, ...]``: drives.
    probes, chosen, trace
        int64, int64 ``[.., 2]``, float64 ``[samples, ..]``: what is probed, neurons and columns of values, the values.
    event_step, event_id, events
        int32 ``[samples, capacity]`` twice, int64 ``[samples]``: spikes of the run, and how many.
    emitted, active
        int64 ``[samples, neurons]``, ``[samples, parts]``: counts.
    """

    pointers: Any
    identities: Any
    amounts: Any
    ext: Any
    probes: Any
    chosen: Any
    trace: Any
    event_step: Any
    event_id: Any
    events: Any
    emitted: Any
    active: Any


class Room(NamedTuple):
    """Arrays in which one thread works on a tile.

    Parameters
    ----------
    counts, drawn, flags
        uint8: counters, counts of Poisson drives, and what is noted about neurons.
    ahead, own_ext, image
        float64: sums of some steps, a copy of the drives of a step, the sums of a convolution.
    used, dirty, rows
        int64: how often a channel of counters was added to, whether those of a part were moved to the sums, rows of
        plastic synapses.
    large, merged
        int32: counts that do not fit a byte, spike lists of several parts.
    learning
        Any: where the functions of plasticity rules work.
    """

    counts: Any
    drawn: Any
    flags: Any
    ahead: Any
    own_ext: Any
    image: Any
    used: Any
    dirty: Any
    rows: Any
    large: Any
    merged: Any
    learning: Any


class Numbers(NamedTuple):
    """Numbers of one call of the loop, as int64.

    Parameters
    ----------
    rank, size
        Which thread of how many that share the tiles.
    low, high
        Samples.
    begin, steps
        Rows of the stretch: from and to.
    first
        Step of row 0.
    epoch, window, history
        Steps between two meetings, steps that segments are delivered for at once, and steps that are remembered.
    since
        Step of the first row of the sources' lists.
    samples, each_step, each_sample
        Number of samples; rows of ``ext`` from one step and from one sample to the next.
    team, done
        Addresses of the barrier, and of int64 ``[size + 1]``: how far each thread came, and where all leave.
    meeting
        0, or the address of what is called after each phase of an epoch with the rows from and to, and the phase: it
        brings the spikes of other processes.
    wait, draw, arrive, pay, record
        Addresses of compiled functions, 0 where they are not needed.
    """

    rank: int
    size: int
    low: int
    high: int
    begin: int
    steps: int
    first: int
    epoch: int
    window: int
    history: int
    since: int
    samples: int
    each_step: int
    each_sample: int
    team: int
    done: int
    meeting: int
    wait: int
    draw: int
    arrive: int
    pay: int
    record: int


# entry of each array in its table; that of a stretch follows the fixed one
FIXED = Fixed(*range(0, 3 * len(Fixed._fields), 3))
STRETCH = Stretch(*range(3 * len(FIXED), 3 * (len(FIXED) + len(Stretch._fields)), 3))
ROOM = Room(*range(0, 3 * len(Room._fields), 3))
NUMBERS = Numbers(*range(len(Numbers._fields)))
SHARED_SIZE, ROOM_SIZE, NUMBERS_SIZE = 3 * (len(FIXED) + len(STRETCH)), 3 * len(ROOM), len(NUMBERS)
JOB_SIZE, PART_SIZE = 17, 14  # columns of tables


def addresses(arrays: tuple[NDArray[Any], ...]) -> NDArray[np.int64]:
    """Return the table of address, rows and columns of some arrays in C order; all axes but the last are rows."""
    rows: list[tuple[int, int, int]] = []
    for array in arrays:
        last = array.shape[-1]
        rows.append((array.__array_interface__["data"][0], array.size // last if last else 0, last))
    return np.array(rows, np.int64).reshape(-1)
