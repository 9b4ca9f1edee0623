"""Prints a synapse model as numba kernels over :class:`~spikesim.backends.numba.plastic.rows.PlasticRows`.

For each rule there are four functions, which an engine calls in this order within a step ``t``:

- ``arrive_<k>(e, room, t, rows, count, sums)``: spikes arrive over ``rows[:count]`` (a source that emitted at
  ``t - d`` has the row ``source * delays + d - dmin``); what they send is added to ``sums[target]`` in units of the
  grid. All rows of a step in one call, because short rows are worked on together
- ``fired_<k>(e, room, t, ids, count, offset)``: the targets ``ids[:count] - offset`` have fired in this step
- ``reward_<k>(e, room, t, value)``: the modulator has emitted ``value``, not 0
- ``sweep_<k>(e, room, done, step)``: bring every row that has not seen the post spikes up to ``step`` up to date;
  ``done`` is the last step whose post spikes are all registered. ``sweep(e, room, t, t + 1)`` before weights are read.

``e`` is a table of addresses (:func:`~spikesim.backends.numba.plastic.rows.addresses`), so that a kernel does not
depend on how many there are; ``room`` is a thread's :class:`~spikesim.backends.numba.plastic.rows.Room`.

Rows are taken together until there are ``CHUNK`` entries, and worked on in passes without a branch: which entries lag
behind (a compressed list), the post spikes that they missed (one round per spike), the arrival, the delivery. Branches
on how many spikes a synapse has missed cannot be predicted; they were measured to cost as much as everything else.
"""

from __future__ import annotations

from spikesim.backends.numba.plastic import rows
from spikesim.backends.numba.plastic.rule import Rule
from spikesim.synapse import SynapseModel

IMPORTS = """from spikesim.backends.numba.kernels.vector import f64_at, f64_rows_at, i32_at, i64_at, prefetch, u8_at, u16_at, u32_at
"""
NUMBERS = f"""
ROUND = 1.5 * 2.0**52  # adding and taking it away rounds to a whole number, ties to even
U = np.uint64
CHUNK = U({rows.CHUNK})
PIECES = {rows.PIECES}
LAST = np.uint32({rows.SLOTS - 1})
LOW16 = np.uint32(0xFFFF)
"""


def print_rule(model: SynapseModel, number: int) -> str:
    """Print the kernels of one rule.

    Parameters
    ----------
    model
        The equations.
    number
        Distinguishes the functions of one module.

    Returns
    -------
    str
        Source of ``arrive_<number>``, ``fired_<number>``, ``reward_<number>`` and ``sweep_<number>``.
    """
    rule = Rule(model, number)
    parts = [rule.chase(), rule.sweep(), rule.present(), rule.arrive(), rule.fired(), rule.reward()]
    constants = [f"{name} = {value!r}" for name, value in rule.constants.items()]
    return "\n".join([*constants, "", *parts])


__all__ = ["IMPORTS", "NUMBERS", "print_rule"]
