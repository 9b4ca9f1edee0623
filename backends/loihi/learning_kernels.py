"""The learning engine's inner loops: traces, epochs and sums of products, for all learning projections of a network.

The order of operations is that of lava-nc 0.10.0 (``lava.magma.core.model.py.connection``, ``learning_rule_applier``):
given the same random numbers the fixed-point arithmetic gives the same bits. Like there, one random number of a kind
serves all neurons or synapses of a projection within a step.

Arithmetic is done in float64, which holds all of the chip's integers; products wrap around 32 bit where Lava's do.
"""

# The types of a kernel are found by numba when it is called.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator, arg-type"

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]

MIXED, EXCITATORY, INHIBITORY = 0, 1, 2
# Columns of `Rules.config`.
FIRST_PRE, N_PRE, FIRST_POST, N_POST, X, Y, ROW, COLUMN, FIRST_PRODUCT, LAST_PRODUCT = range(10)
EPOCH, PERIOD, FIXED, SIGN, EXPONENT, THIRD, HAS_X0, HAS_Y0, HAS_U = range(10, 19)
CONFIG = 19
# Columns of `Rules.products`; dependencies and variables are numbered as in `spikesim.fixedpoint.rule_text`.
TARGET, DEPENDENCY, MANTISSA, POWER, LOST, FIRST_FACTOR, LAST_FACTOR = range(7)
PRODUCT = 7
# Random numbers of a step: places of `spikesim.fixedpoint.learning.DRAW_NAMES`.
X_DECAY, X_IMPULSE, Y_DECAY, Y_IMPULSE, Y_AGAIN, SYNAPSE, OWN_DECAY, OWN_IMPULSE = range(8)

# Counting references to the arrays of the tuples took most of the time.
_OPTIONS = {"nogil": True, "cache": True, "_nrt": False, "error_model": "numpy"}
_ACCUMULATOR = 1 << 15
_TRACE_HIGH = 127.0


class Rules(NamedTuple):
    """All rules of a network.

    `config`: one row a projection. `products`: one row a product. `factors`: (variable, whether its sign, its range),
    `constants` what is added to it. `keep`, `whole`, `part`: for x1, x2, y1, y2, y3 of each projection the factor of a
    step, the impulse's whole part (in float arithmetic all of it) and its fraction in 256ths. `own_*`: the same for the
    traces that the target's neurons keep themselves, where a modulator is.
    """

    config: I64
    products: I64
    factors: I64
    constants: F64
    keep: F64
    whole: F64
    part: I64
    own_keep: F64
    own_whole: F64
    own_part: I64


class Wiring(NamedTuple):
    """Synapses by source (`indptr`, `target`), their `source`; and by target (`heads`, `order`: their numbers)."""

    indptr: I64
    target: I32
    source: I32
    heads: I64
    order: I64


class Learned(NamedTuple):
    """State: w, d, t of every synapse; traces; time of the last spike in the epoch (0: none); sums under way."""

    values: F64
    x: F64
    y: F64
    own: F64
    tx: I64
    ty: I64
    sums: I64


class Histories(NamedTuple):
    """Room for the traces at every step of an epoch, and for three new values."""

    x: F64
    y: F64
    new: F64


@numba.njit(**_OPTIONS, forceinline=True)
def _wrapped(x):
    """Keep the low 32 bits."""
    return np.int64(np.int32(x))


@numba.njit(**_OPTIONS, forceinline=True)
def _decayed(value, keep, draw, fixed):
    """Decay a trace by one step; in fixed point it is rounded up with the probability of its fraction."""
    value = keep * value
    if fixed:
        low = np.floor(value)
        value = low + (1.0 if draw < value - low else 0.0)
    return value


@numba.njit(**_OPTIONS, forceinline=True)
def _raised(value, whole, part, draw, fixed):
    """Add an impulse; the fraction is compared with a 7-bit random number, as Lava does (so 1/2 is always a whole)."""
    value += whole
    if fixed:
        value += 1.0 if np.floor(draw * 128.0) < part else 0.0
        value = min(max(value, 0.0), _TRACE_HIGH)
    return value


@numba.njit(**_OPTIONS)
def _send(rules, wiring, learned, p, spiking):
    """Sum what the spikes of a column bring to every target of a projection in the next column."""
    c = rules.config[p]
    y = c[Y]
    for i in range(c[N_POST]):
        learned.sums[y + i] = 0
    for source in spiking:
        j = source - c[FIRST_PRE]
        if 0 <= j < c[N_PRE]:
            for s in range(wiring.indptr[c[ROW] + j], wiring.indptr[c[ROW] + j + 1]):
                learned.sums[y + wiring.target[s]] += np.int64(np.rint(learned.values[0, s]))
    if c[EXPONENT] != 0:
        for i in range(c[N_POST]):
            total = learned.sums[y + i]
            learned.sums[y + i] = total << c[EXPONENT] if c[EXPONENT] > 0 else total >> -c[EXPONENT]


@numba.njit(**_OPTIONS)
def _note_spikes(rules, learned, p, spiking, within, draws):
    """Keep the time of each spike within the epoch; of two in one epoch the first adds its impulse now."""
    c = rules.config[p]
    fixed = c[FIXED] != 0
    for spike in spiking:
        j = spike - c[FIRST_PRE]
        if 0 <= j < c[N_PRE]:
            if learned.tx[c[X] + j] > 0:
                for k in range(2):
                    learned.x[k, c[X] + j] = _raised(
                        learned.x[k, c[X] + j], rules.whole[p, k], rules.part[p, k], 0.0, fixed
                    )
            learned.tx[c[X] + j] = within
        i = spike - c[FIRST_POST]
        if 0 <= i < c[N_POST]:
            if learned.ty[c[Y] + i] > 0:
                for k in range(3):
                    learned.y[k, c[Y] + i] = _raised(
                        learned.y[k, c[Y] + i], rules.whole[p, 2 + k], rules.part[p, 2 + k], draws[Y_AGAIN], fixed
                    )
            learned.ty[c[Y] + i] = within


@numba.njit(**_OPTIONS)
def _third_factor(rules, learned, p, spiking, reward, draws):
    """Advance the traces that the target's neurons keep (y1, y3) and the modulator (y2), and pass them on."""
    c = rules.config[p]
    fixed = c[FIXED] != 0
    for k in (0, 2):
        for i in range(c[Y], c[Y] + c[N_POST]):
            learned.own[k, i] = _decayed(learned.own[k, i], rules.own_keep[p, k], draws[OWN_DECAY], fixed)
        for spike in spiking:
            i = spike - c[FIRST_POST]
            if 0 <= i < c[N_POST]:
                learned.own[k, c[Y] + i] = _raised(
                    learned.own[k, c[Y] + i], rules.own_whole[p, k], rules.own_part[p, k], draws[OWN_IMPULSE], fixed
                )
    for i in range(c[Y], c[Y] + c[N_POST]):
        learned.own[1, i] += reward
        for k in range(3):
            learned.y[k, i] = learned.own[k, i]


@numba.njit(**_OPTIONS)
def _remember(traces, times, history, keep, whole, part, first, n, epoch, decay_draw, impulse_draw, fixed):
    """Take some traces through the steps of an epoch: decay, then the impulse of the last spike."""
    for k in range(traces.shape[0]):
        for a in range(first, first + n):
            value = traces[k, a]
            history[0, k, a] = value
            for t in range(1, epoch + 1):
                value = _decayed(value, keep[k], decay_draw, fixed)
                if times[a] == t:
                    value = _raised(value, whole[k], part[k], impulse_draw, fixed)
                history[t, k, a] = value
            traces[k, a] = value


@numba.njit(**_OPTIONS, forceinline=True)
def _factor(rules, learned, histories, f, s, i, j, at):
    """Evaluate one factor; `i` and `j` are places of target and source, `at` is the step of the epoch."""
    variable = rules.factors[f, 0]
    if variable == 0:
        value = 1.0 if learned.tx[j] > 0 else 0.0
    elif variable == 1:
        value = 1.0 if learned.ty[i] > 0 else 0.0
    elif variable < 4:
        value = histories.x[at, variable - 2, j]
    elif variable < 7:
        value = histories.y[at, variable - 4, i]
    else:
        value = learned.values[variable - 7, s]
    value += rules.constants[f]
    return np.sign(value) if rules.factors[f, 1] else value


@numba.njit(**_OPTIONS, forceinline=True)
def _fixed_product(rules, learned, histories, q, s, i, j, at):
    """Evaluate a product in the accumulator's unit of 1/128."""
    value = np.int64(1)
    for f in range(rules.products[q, FIRST_FACTOR], rules.products[q, LAST_FACTOR]):
        factor = _factor(rules, learned, histories, f, s, i, j, at)
        high = rules.factors[f, 2]
        value = _wrapped(value * np.int64(min(max(factor, -high), high - 1.0)))
    value = _wrapped(value * rules.products[q, MANTISSA]) >> rules.products[q, LOST]
    value = _wrapped(value << (rules.products[q, POWER] + 7))
    return min(max(value, -_ACCUMULATOR - 1), _ACCUMULATOR - 1)


@numba.njit(**_OPTIONS, forceinline=True)
def _float_product(rules, learned, histories, q, s, i, j, at):
    """Evaluate a product from left to right."""
    value = rules.products[q, MANTISSA] * 2.0 ** rules.products[q, POWER]
    for f in range(rules.products[q, FIRST_FACTOR], rules.products[q, LAST_FACTOR]):
        value *= _factor(rules, learned, histories, f, s, i, j, at)
    return value


@numba.njit(**_OPTIONS, forceinline=True)
def _rounded(target, total, sign, draw):
    """Bring the accumulator back to a weight, delay or tag: sign, stochastic rounding, range."""
    if (target == 0 and sign == EXCITATORY) or target == 1:
        total = max(total, 0)
    elif target == 0 and sign == INHIBITORY:
        total = min(total, 0)
    value = total / 128.0
    low = np.floor(value)
    value = low + (1.0 if draw < value - low else 0.0)
    if target == 2:
        return min(max(value, -257.0), 255.0)
    if target == 0 and sign == INHIBITORY:
        return max(min(value, 0.0), -255.0)
    return min(max(value, -256.0 if target == 0 and sign == MIXED else 0.0), 255.0)


@numba.njit(**_OPTIONS, forceinline=True)
def _learn_synapse(rules, wiring, learned, histories, p, s, u, draw):
    """Change one synapse; w, d and t are all computed from the values before."""
    c = rules.config[p]
    i, j = c[Y] + wiring.target[s], c[X] + wiring.source[s]
    fixed = c[FIXED] != 0
    changed = False
    for target in range(3):
        old = learned.values[target, s]
        total, accumulated, acts = 0.0, np.int64(old) << 7, False
        for q in range(c[FIRST_PRODUCT], c[LAST_PRODUCT]):
            if rules.products[q, TARGET] != target:
                continue
            dependency = rules.products[q, DEPENDENCY]
            at = learned.tx[j] if dependency == 0 else learned.ty[i] if dependency == 1 else c[EPOCH]
            if at == 0 or (dependency == 2 and not u):
                continue
            acts = True
            if fixed:
                accumulated += _fixed_product(rules, learned, histories, q, s, i, j, at)
                accumulated = min(max(accumulated, -_ACCUMULATOR - 1), _ACCUMULATOR - 1)
            else:
                total += _float_product(rules, learned, histories, q, s, i, j, at)
        new = old
        if acts and fixed:
            new = _rounded(target, accumulated, c[SIGN], draw)
        elif acts:
            new = old + total
            if (target == 0 and c[SIGN] == EXCITATORY) or target == 1:
                new = max(new, 0.0)
            elif target == 0 and c[SIGN] == INHIBITORY:
                new = min(new, 0.0)
        histories.new[target] = new
        changed |= acts
    if changed:
        for target in range(3):
            learned.values[target, s] = histories.new[target]


@numba.njit(**_OPTIONS)
def _learn(rules, wiring, learned, histories, p, epoch_number, draws):
    """End an epoch of one projection: traces, then the synapses that a dependency reaches; clear the spike times."""
    c = rules.config[p]
    epoch, fixed, x, y = c[EPOCH], c[FIXED] != 0, c[X], c[Y]
    _remember(
        learned.x,
        learned.tx,
        histories.x,
        rules.keep[p, :2],
        rules.whole[p, :2],
        rules.part[p, :2],
        x,
        c[N_PRE],
        epoch,
        draws[X_DECAY],
        draws[X_IMPULSE],
        fixed,
    )
    _remember(
        learned.y,
        learned.ty,
        histories.y,
        rules.keep[p, 2:],
        rules.whole[p, 2:],
        rules.part[p, 2:],
        y,
        c[N_POST],
        epoch,
        draws[Y_DECAY],
        draws[Y_IMPULSE],
        fixed,
    )
    u = c[HAS_U] != 0 and epoch_number % (1 << c[PERIOD]) == 0
    draw = draws[SYNAPSE]
    for j in range(c[N_PRE]):
        if u or (c[HAS_X0] and learned.tx[x + j] > 0):
            for s in range(wiring.indptr[c[ROW] + j], wiring.indptr[c[ROW] + j + 1]):
                _learn_synapse(rules, wiring, learned, histories, p, s, u, draw)
    if c[HAS_Y0] and not u:
        for i in range(c[N_POST]):
            if learned.ty[y + i] > 0:
                for k in range(wiring.heads[c[COLUMN] + i], wiring.heads[c[COLUMN] + i + 1]):
                    s = wiring.order[k]
                    if not (c[HAS_X0] and learned.tx[x + wiring.source[s]] > 0):  # those are done already
                        _learn_synapse(rules, wiring, learned, histories, p, s, u, draw)
    for j in range(c[N_PRE]):
        learned.tx[x + j] = 0
    for i in range(c[N_POST]):
        learned.ty[y + i] = 0
        learned.own[1, y + i] = 0.0


@numba.njit(**_OPTIONS)
def learn_column(rules, wiring, learned, histories, spiking, rewards, draws, column):
    """Do what all learning projections do in one column, after the neurons.

    Parameters
    ----------
    rules, wiring, learned, histories
        The tuples of this module; `learned` is changed, its `sums` are what arrives in the next column.
    spiking
        int32: the neurons and sources that spike in this column, numbered as in the layout.
    rewards
        float64, one for each projection: what its modulator brings in this column.
    draws
        float64, shape (projections, 8): random numbers in [0, 1).
    column
        Number of the column.
    """
    for p in range(rules.config.shape[0]):
        epoch = rules.config[p, EPOCH]
        _send(rules, wiring, learned, p, spiking)
        _note_spikes(rules, learned, p, spiking, column % epoch + 1, draws[p])
        if rules.config[p, THIRD]:
            _third_factor(rules, learned, p, spiking, rewards[p], draws[p])
        if (column + 1) % epoch == 0:
            _learn(rules, wiring, learned, histories, p, (column + 1) // epoch, draws[p])
