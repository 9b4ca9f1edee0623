"""Prints a synapse model as numba kernels over :class:`~spikesim.backends.numba.plastic.rows.PlasticRows`.

For each rule there are four functions, which an engine calls in this order within a step ``t``:

- ``arrive_<k>(e, t, rows, count, sums)``: spikes arrive over ``rows[:count]`` (a source that emitted at ``t - d`` has
  the row ``source * delays + d - dmin``); what they send is added to ``sums[target]`` in units of the grid. All rows of
  a step in one call, because a call costs a microsecond or two: references to every array are counted
- ``fired_<k>(e, t, ids, count, offset)``: the targets ``ids[:count] - offset`` have fired in this step
- ``reward_<k>(e, t, value)``: the modulator has emitted ``value``, not 0
- ``sweep_<k>(e, done, step)``: bring every row that has not seen the post spikes up to ``step`` up to date; ``done``
  is the last step whose post spikes are all registered. ``sweep(e, t, t + 1)`` before weights are read.

Rows are taken together until there are ``CHUNK`` entries, and worked on in passes without a branch: which entries lag
behind (a compressed list), the post spikes that they missed (one round per spike), the arrival, the delivery. Branches
on how many spikes a synapse has missed cannot be predicted; they were measured to cost as much as everything else.
"""

from __future__ import annotations

import functools
import inspect
import re
from types import ModuleType

import numba

import spikesim
from spikesim.backends.numba.plastic import rows
from spikesim.equations import elementary, elementary_numba
from spikesim.equations.source import import_source, print_lines
from spikesim.synapse import SynapseModel

HEADER = f'''"""Printed by spikesim: {{title}}. Do not edit; it is made again from the model's equations."""

import numpy as np
from numba import njit
from spikesim.equations.elementary_numba import exp, log, tanh

ZERO = 0.0
ONE = 1.0
ROUND = 1.5 * 2.0**52  # adding and taking it away rounds to a whole number, ties to even
U = np.uint64
CHUNK = U({rows.CHUNK})
PIECES = {rows.PIECES}
LAST = np.uint32({rows.SLOTS - 1})
LOW16 = np.uint32(0xFFFF)
'''


def print_rule(model: SynapseModel, number: int, cache: bool = False) -> str:
    """Print the kernels of one rule.

    Parameters
    ----------
    model
        The equations.
    number
        Distinguishes the functions of one module.
    cache
        Whether numba shall keep these functions on disk; not if a larger cached kernel calls them.

    Returns
    -------
    str
        Source of ``arrive_<number>``, ``fired_<number>``, ``reward_<number>`` and ``sweep_<number>``.
    """
    rule = _Rule(model, number, cache)
    parts = [rule.sweep(), rule.present(), rule.arrive(), rule.fired(), rule.reward()]
    constants = [f"{name} = {value!r}" for name, value in rule.constants.items()]
    return "\n".join([*constants, "", *parts])


def print_rules(models: list[SynapseModel]) -> str:
    """Print a module with the kernels of some rules."""
    title = ", ".join(m.name for m in models)
    return HEADER.format(title=title) + "\n".join(print_rule(m, k, True) for k, m in enumerate(models))


@functools.cache
def compiled(model: SynapseModel) -> ModuleType:
    """Return a module with the kernels of one rule (number 0)."""
    called = "".join(inspect.getsource(m) for m in (elementary, elementary_numba))
    return import_source(print_rules([model]), "plastic", f"{spikesim.__version__} numba {numba.__version__}\n{called}")


class _Rule:
    """One rule on its way to source."""

    def __init__(self, model: SynapseModel, number: int, cache: bool) -> None:
        self.model, self.number, self.cache = model, number, cache
        self.names = list(model.decaying)  # the order of the decay tables
        self.pre = [f"pre_{n}" for n in model.pre]
        self.post = [f"post_{n}" for n in model.post]
        self.states = list(model.states)
        self.chases = "on_post" in model.events
        self.constants: dict[str, float] = {}

    # ------------------------------------------------------------------------------------------------ pieces
    def event(self, event: str, leaf: dict[str, str]) -> tuple[list[str], dict[str, str]]:
        """Print an event; ``leaf`` says how inputs are written, states and parameters are ``s_`` and ``p_``."""

        def write(kind: str, name: str) -> str:
            return {"state": f"s_{name}", "param": f"p_{name}"}.get(kind) or leaf[name]

        lines, results, constants = print_lines(
            self.model.events[event], write, prefix=f"{event.replace('_', '')}{self.number}_"
        )
        self.constants |= constants
        return lines, results

    def function(self, name: str, arguments: str, doc: str, body: list[str]) -> str:
        """Print a function; the arrays of ``e`` that it uses become local names."""
        # not by calls with `e` from the inside: a call counts references to all of its arrays, too much for short rows
        used = [f for f in rows.PlasticRows._fields if re.search(rf"\b{f}\b", "\n".join(body))]
        options = "error_model='numpy', nogil=True" + (", cache=True" if self.cache else "")
        head = ["", f"@njit({options})", f"def {name}_{self.number}({arguments}):", f'    """{doc}"""']
        return "\n".join([*head, *_indent([*(f"{f} = e.{f}" for f in used), *body], 1), ""])

    def params(self, *events: str) -> list[str]:
        """Unpack the parameters that events read."""
        order = [*self.model.params, "dt"]
        used = {name for event in events for name in self.model.reads(event, "param")}
        return [f"p_{name} = params[{k}]" for k, name in enumerate(order) if name in used]

    def tables(self, names: list[str]) -> list[str]:
        lines = []
        for name in names:
            k = self.names.index(name)
            lines += [f"h_{name} = hi[{k}]", f"l_{name} = lo[{k}]"]
        return [*lines, "top = np.uint32(hi.shape[1] - 1)"] if lines else []

    @staticmethod
    def decay(name: str, steps: str) -> str:
        """Return the factor that remains of a trace after so many steps (a variable, uint32)."""
        return f"(h_{name}[min({steps} >> np.uint32(10), top)] * l_{name}[{steps} & np.uint32(1023)])"

    def snapped(self, value: str, to: str) -> list[str]:
        """Clip a weight and round it to the grid, in units of it."""
        return [
            f"c = {value}",
            "c = (c if c > low_w else low_w)",
            "c = (c if c < high_w else high_w)",
            f"{to} = (c * inverse + ROUND) - ROUND",
        ]

    def at_event(self, event: str, entry: str, step: str, leaf: dict[str, str], store: str) -> list[str]:
        """Print an event that changes the weight ``s_w`` and the states of one entry; ``u`` becomes the new weight."""
        lines, out = self.event(event, leaf), []
        if self.states:
            out.append(f"age = np.uint32({step} - when[{entry}])")
        for k, name in enumerate(self.states):
            out.append(f"s_{name} = states[{k}, {entry}] * {self.decay(name, 'age')}")
        out += lines[0]
        out += [f"states[{k}, {entry}] = {lines[1][name]}" for k, name in enumerate(self.states)]
        out += [f"when[{entry}] = {step}"] if self.states else []
        return [*out, *self.snapped(lines[1]["w"], "u"), store]

    def read(self, event: str, names: list[str]) -> list[str]:
        """Return those of some traces that an event reads."""
        reads = self.model.reads(event)
        return [n for n in names if n in reads]

    def read_here(self) -> list[str]:
        """Return the traces of the source that an arrival reads for each synapse."""
        return [n for n in self.pre if n in {*self.model.reads("on_pre"), *self.model.reads("send")}]

    bounds = ("grid", "inverse", "low_w", "high_w", "limit")

    def unpack_bounds(self) -> list[str]:
        return [f"{name} = bounds[{k}]" for k, name in enumerate(self.bounds)]

    # ------------------------------------------------------------------------------------------------ passes
    def take(self) -> list[str]:
        """Print how ``size`` entries of a row from ``low`` on become piece ``g`` behind the ``b`` entries at work."""
        out = ["begin[g], base[g] = np.int64(b), np.int64(low) - np.int64(b)"]
        out += ["for q in range(size):", "    w[b + q] = weights[low + q] * grid"]
        out += ["for q in range(size):", "    target[b + q] = targets[low + q]"]
        if self.pre or self.states:
            out += ["for q in range(size):", "    piece[b + q] = g"]
        if not self.chases:
            return out
        out += ["since[g] = arrived[row]"]
        out += [f"then[{k}, g] = pre[{self.pre.index(n)}, row]" for k, n in enumerate(self.read("on_post", self.pre))]
        return [
            *out,
            "for q in range(size):",
            "    had = applied[low + q]",
            "    has = spikes[targets[low + q]]",
            "    applied[low + q] = has",
            "    missed = np.uint8(has - had)",
            "    todo[m] = np.uint32(b + q) | np.uint32(had) << np.uint32(16) | np.uint32(missed) << np.uint32(24)",
            "    m += missed > 0",
        ]

    def chase(self) -> list[str]:
        """Print how the ``m`` entries of ``todo`` get the post spikes that they have missed, one round each."""
        if not self.chases:
            return []
        reads = self.read("on_post", [*self.pre, *self.post])
        unpack = ["v = todo[q]", "k = v & LOW16"]
        slot = "slot = (np.uint32(target[k]) << np.uint32(4)) | ((v >> np.uint32(16)) & LAST)"
        gather, n_pre = [*unpack, slot], 0
        if self.read("on_post", self.pre):
            gather += ["of = piece[k]", "age = np.uint32(times[slot] - since[of])"]
        for n in reads:
            if n in self.pre:
                gather += [f"b_{n}[q] = then[{n_pre}, of] * {self.decay(n, 'age')}"]
                n_pre += 1
            else:
                gather += [f"b_{n}[q] = before[{self.post.index(n)}, slot]"]
        out = [f"b_{n} = work[{1 + k}]" for k, n in enumerate(reads)] + ["while m > 0:"]
        out += ["    for q in range(m):", *_indent(gather, 2)] if reads else []
        apply = [*unpack, "s_w = w[k]"]
        if self.states:
            apply += [slot, "step = times[slot]", "entry = base[piece[k]] + np.int64(k)"]
        apply += self.at_event("on_post", "entry", "step", {n: f"b_{n}[q]" for n in reads}, "w[k] = u * grid")
        apply += [
            "again = (v & np.uint32(0xFF00FFFF)) | ((v + np.uint32(0x10000)) & np.uint32(0xFF0000))",
            "todo[left] = again - np.uint32(0x1000000)",
            "left += (v >> np.uint32(24)) > np.uint32(1)",
        ]
        return [*out, "    left = 0", "    for q in range(m):", *_indent(apply, 2), "    m = left"]

    def row(self) -> list[str]:
        """Print how a row, or a part of one, is taken, and closed when all of it has been."""
        out = ["row = rows[i]", "if fresh:", "    low = U(first[row])"]
        out += ["high = U(first[row + 1])", "size = min(high - low, CHUNK - b)", *self.take()]
        out += ["age = np.uint32(t - arrived[row])"] if self.pre else []
        out += [f"x_{n} = pre[{k}, row] * {self.decay(n, 'age')}" for k, n in enumerate(self.pre)]
        out += [f"here[{self.pre.index(n)}, g] = x_{n}" for n in self.read_here()]
        close = ["arrived[row] = t", "seen[row] = t - 1", "i += 1"]
        if self.pre:
            lines, results = self.event("pre_spike", {n: f"x_{n}" for n in self.pre})
            close = [*lines, *(f"pre[{k}, row] = {results[n]}" for k, n in enumerate(self.pre)), *close]
        return [*out, "b, g, low = b + size, g + 1, low + size", "fresh = low == high", "if fresh:", *_indent(close, 1)]

    def look(self) -> list[str]:
        """Print how the traces of the targets come to the entries at work."""
        out = []
        for k, n in enumerate(self.read("on_pre", self.post)):
            source = self.post.index(n)
            out += [
                f"b_{n} = work[{1 + k}]",
                "if clock[0] == t:",
                "    for q in range(b):",
                f"        b_{n}[q] = now[{source}, target[q]]",
                "else:",
                "    for q in range(b):",
                "        past = np.uint32(t - last[target[q]])",
                f"        b_{n}[q] = post[{source}, target[q]] * {self.decay(n, 'past')}",
            ]
        return out

    def deliver(self) -> list[str]:
        """Print the passes over the entries at work: the arrival, the delivery, and the way back to the rows."""
        leaf = {n: f"here[{self.pre.index(n)}, piece[q]]" for n in self.read_here()}
        leaf |= {n: f"b_{n}[q]" for n in self.read("on_pre", self.post)}
        each = ["s_w = w[q]", *(["entry = base[piece[q]] + np.int64(q)"] if self.states else [])]
        if "on_pre" in self.model.events:
            each += self.at_event("on_pre", "entry", "t", leaf, "units[q] = np.int32(u)")
        else:
            each += ["u = s_w * inverse", *(["units[q] = np.int32(u)"] if self.chases else [])]
        if "send" in self.model.events:
            each += self.send(leaf)
        out = ["for q in range(b):", *_indent([*each, "w[q] = u"], 1)]
        out += ["for q in range(b):", "    sums[target[q]] += w[q]"]
        if not self.model.learns:
            return out
        back = ["from_, to, shift = U(begin[r]), U(begin[r + 1]), U(base[r])"]
        back += ["for q in range(from_, to):", "    weights[shift + q] = units[q]"]
        return [*out, "begin[g] = np.int64(b)", "for r in range(g):", *_indent(back, 1)]

    def send(self, leaf: dict[str, str]) -> list[str]:
        lines, results = self.event("send", leaf)
        out = ["s_w = u * grid"]
        if "on_pre" not in self.model.events:
            out += ["past = np.uint32(t - when[entry])"] if self.states else []
            out += [f"s_{n} = states[{k}, entry] * {self.decay(n, 'past')}" for k, n in enumerate(self.states)]
        else:
            out += [f"s_{n} = states[{k}, entry]" for k, n in enumerate(self.states)]
        out += [*lines, f"c = {results['sent']} * inverse", "c = (c if c > -limit else -limit)"]
        return [*out, "c = (c if c < limit else limit)", "u = (c + ROUND) - ROUND"]

    # ------------------------------------------------------------------------------------------------ functions
    def sweep(self) -> str:
        body = [*self.unpack_bounds(), *self.params("on_post"), *self.tables([*self.pre, *self.states]), "w = work[0]"]
        each = ["size = min(CHUNK, high - low)", "b, g, m = U(0), 0, 0", *self.take(), *self.chase()]
        each += ["for q in range(size):", "    weights[low + q] = np.int32(w[q] * inverse)", "low += size"]
        body += ["for row in range(len(seen)):", "    if seen[row] < limit_step:"]
        body += [
            "        low, high = U(first[row]), U(first[row + 1])",
            "        while low < high:",
        ]
        body += [*_indent(each, 3), "        seen[row] = done", "clock[1] = max(clock[1], limit_step - 1)"]
        doc = "Bring the rows that have not seen this step up to `done`."
        return self.function("sweep", "e, done, limit_step", doc, body if self.chases else ["pass"])

    def present(self) -> str:
        """Print the function that brings the traces of all targets to the present, for steps with many arrivals."""
        names = self.read("on_pre", self.post)
        body = self.tables(names)
        for n in names:
            k = self.post.index(n)
            body += ["for j in range(len(last)):", "    age = np.uint32(t - last[j])"]
            body += [f"    now[{k}, j] = post[{k}, j] * {self.decay(n, 'age')}"]
        return self.function("present", "e, t", "Traces of all targets in step t.", [*body, "clock[0] = t"])

    def arrive(self) -> str:
        body = [*self.unpack_bounds(), *self.params("on_pre", "on_post", "send", "pre_spike")]
        body += [*self.tables([*self.pre, *self.post, *self.states]), "w = work[0]"]
        if self.read("on_pre", self.post):
            body += ["total = 0", "for i in range(count):", "    total += first[rows[i] + 1] - first[rows[i]]"]
            body += ["if 4 * total > len(last):"]
            body += [f"    present_{self.number}(e, t)"]
        body += ["i, low, fresh = 0, U(0), True", "while i < count:", "    b, g, m = U(0), 0, 0"]
        body += ["    while i < count and g < PIECES and b < CHUNK:", *_indent(self.row(), 2)]
        body += _indent([*self.chase(), *self.look(), *self.deliver()], 1)
        return self.function("arrive", "e, t, rows, count, sums", "The rows[:count] have arrivals in step t.", body)

    def fired(self) -> str:
        name, arguments = "fired", "e, t, ids, count, offset"
        doc = "The targets ids[:count] - offset have fired in step t."
        if not (self.chases or self.post):
            return self.function(name, arguments, doc, ["pass"])
        body = self.params("post_spike") + self.tables(self.post)
        loop = ["j = ids[i] - offset", "age = np.uint32(t - last[j])"]
        loop += [f"y_{n} = post[{k}, j] * {self.decay(n, 'age')}" for k, n in enumerate(self.post)]
        if self.chases:
            loop += [
                "slot = (np.uint32(j) << np.uint32(4)) | (np.uint32(spikes[j]) & LAST)",
                "oldest = times[slot]",
                "if oldest > clock[1]:  # some row may not have seen it; take those along that soon will be as late",
                f"    sweep_{self.number}(e, t - 1, oldest + (t - oldest) // 2 + 1)",
                "times[slot] = t",
                *(f"before[{k}, slot] = y_{n}" for k, n in enumerate(self.post)),
                "spikes[j] += np.uint8(1)",
            ]
        if self.post:
            lines, results = self.event("post_spike", {n: f"y_{n}" for n in self.post})
            loop += [*lines, *(f"post[{k}, j] = {results[n]}" for k, n in enumerate(self.post))]
        loop += ["last[j] = t"]
        return self.function(name, arguments, doc, [*body, "for i in range(count):", *_indent(loop, 1)])

    def reward(self) -> str:
        name, arguments, doc = "reward", "e, t, value", "The modulator has emitted `value` in step t."
        if "on_reward" not in self.model.events:
            return self.function(name, arguments, doc, ["pass"])
        body = self.unpack_bounds() + self.params("on_reward") + self.tables(self.states)
        each = ["s_w = weights[q] * grid"]
        each += self.at_event("on_reward", "q", "t", {"reward": "value"}, "weights[q] = np.int32(u)")
        body += [f"sweep_{self.number}(e, t, t + 1)", "for q in range(len(weights)):", *_indent(each, 1)]
        return self.function(name, arguments, doc, body)


def _indent(lines: list[str], levels: int) -> list[str]:
    return ["    " * levels + line for line in lines]


__all__ = ["compiled", "print_rule", "print_rules"]
