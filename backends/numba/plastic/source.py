"""Prints a synapse model as kernels over :class:`~spikesim.backends.numba.plastic.rows.PlasticRows`.

Each rule is a module of its own, compiled once for all networks. The simulation loop calls its functions by their
addresses, in this order within a step ``t``:

- ``arrive(table, room, t, rows_at, count, sums_at)``: spikes arrive over ``count`` rows (int64; a source that emitted
  at ``t - d`` has the row ``source * delays + d - dmin``); what they send is added to ``sums[target]`` (float64) in
  units of the grid. All rows of a step in one call, because short rows are worked on together
- ``fired(table, room, t, ids_at, count, offset)``: the targets ``ids - offset`` (int32) have fired in this step
- ``reward(table, room, t, value)``: the modulator has emitted ``value``, not 0
- ``sweep(table, room, done, step)``: bring every row that has not seen the post spikes up to ``step`` up to date;
  ``done`` is the last step whose post spikes are all registered. ``sweep(table, room, t, t + 1)`` before weights are
  read
- ``chase(table, room, pieces, m)`` is what the others have in common

``table`` is the address of a table of addresses (:func:`~spikesim.backends.numba.plastic.rows.addresses`), ``room``
that of a thread's own memory (:func:`~spikesim.backends.numba.plastic.rows.room`).

Rows are taken together until there are ``CHUNK`` entries, and worked on in passes without a branch: which entries lag
behind (a compressed list), the post spikes that they missed (one round per spike), the arrival, the delivery. Branches
on how many spikes a synapse has missed cannot be predicted; they were measured to cost as much as everything else.
"""

from __future__ import annotations

import functools
from types import ModuleType

from spikesim.backends.numba.compiled import module
from spikesim.backends.numba.plan import CELLS
from spikesim.backends.numba.plastic import rows
from spikesim.backends.numba.plastic.rule import Rule
from spikesim.synapse import SynapseModel

HEADER = f'''"""Printed by spikesim: {{title}}. Do not edit; it is made again from the model's equations."""

import numpy as np
from numba import cfunc
from spikesim.backends.numba.kernels.vector import call, f64_at, f64_rows_at, i32_at, i64_at, prefetch, u8_at
from spikesim.backends.numba.kernels.vector import u16_at, u32_at
from spikesim.equations.elementary_numba import exp, log, tanh

ZERO = 0.0
ONE = 1.0
ROUND = 1.5 * 2.0**52  # adding and taking it away rounds to a whole number, ties to even
U = np.uint64
CELLS = {CELLS}
CHUNK = U({rows.CHUNK})
PIECES = {rows.PIECES}
LAST = np.uint32({rows.SLOTS - 1})
LOW16 = np.uint32(0xFFFF)
'''


def print_rule(model: SynapseModel) -> str:
    """Print the module of a rule."""
    rule = Rule(model)
    parts = [rule.chase(), rule.sweep(), rule.arrive(), rule.fired(), rule.reward()]
    constants = [f"{name} = {value!r}" for name, value in rule.constants.items()]
    return "\n".join([HEADER.format(title=model.name), *constants, "", *parts])


@functools.cache
def compiled(model: SynapseModel) -> ModuleType:
    """Return the compiled functions of a rule, from the cache folder if they are there."""
    return module(print_rule(model), "plastic")


__all__ = ["compiled", "print_rule"]
