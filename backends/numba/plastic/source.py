"""Prints a synapse model as numba kernels over :class:`~spikesim.backends.numba.plastic.rows.PlasticRows`.

For each rule there are four functions, which an engine calls in this order within a step ``t``:

- ``arrive_<k>(e, t, ids, count, delay, sums)``: the spikes of the sources ``ids[:count]`` arrive over the synapses of
  delay ``dmin + delay``; what they send is added to ``sums[target]`` in units of the grid
- ``fired_<k>(e, t, ids, count, offset)``: the targets ``ids[:count] - offset`` have fired in this step
- ``reward_<k>(e, t, value)``: the modulator has emitted ``value``, not 0
- ``sweep_<k>(e, done, limit)``: bring every row that has not seen the post spikes up to ``limit`` up to date; ``done``
  is the last step whose post spikes are all registered. ``sweep(e, t, t + 1)`` before weights are read.

A loop is cut into passes over at most ``CHUNK`` entries, each without a branch: which entries lag behind (a compressed
list), the post spikes that they missed (one round per spike), the arrival, the delivery. Branches on how many spikes a
synapse has missed cannot be predicted; they were measured to cost as much as everything else.
"""

from __future__ import annotations

import functools
import inspect
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
CHUNK = {rows.CHUNK}
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
    parts = [rule.catch_up(), rule.sweep(), rule.present(), rule.arrive(), rule.fired(), rule.reward()]
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

    def head(self, function: str, arguments: str, doc: str, inline: bool = False) -> list[str]:
        # a call hands over every array of `e` by itself: too much for a short row
        options = "error_model='numpy', nogil=True" + (
            ", forceinline=True" if inline else ", cache=True" if self.cache else ""
        )
        return ["", f"@njit({options})", f"def {function}_{self.number}({arguments}):", f'    """{doc}"""']

    def params(self, *events: str) -> list[str]:
        """Unpack the parameters that events read."""
        order = [*self.model.params, "dt"]
        used = {name for event in events for name in self.model.reads(event, "param")}
        return [f"p_{name} = e.params[{k}]" for k, name in enumerate(order) if name in used]

    def tables(self, names: list[str]) -> list[str]:
        lines = []
        for name in names:
            k = self.names.index(name)
            lines += [f"h_{name} = e.hi[{k}]", f"l_{name} = e.lo[{k}]"]
        return [*lines, "top = np.uint32(e.hi.shape[1] - 1)"] if lines else []

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
            out.append(f"age = np.uint32({step} - e.when[{entry}])")
        for k, name in enumerate(self.states):
            out.append(f"s_{name} = e.states[{k}, {entry}] * {self.decay(name, 'age')}")
        out += lines[0]
        out += [f"e.states[{k}, {entry}] = {lines[1][name]}" for k, name in enumerate(self.states)]
        out += [f"e.when[{entry}] = {step}"] if self.states else []
        return [*out, *self.snapped(lines[1]["w"], "u"), store]

    bounds = ("grid", "inverse", "low_w", "high_w", "limit")

    def unpack_bounds(self) -> list[str]:
        return [f"{name} = e.bounds[{k}]" for k, name in enumerate(self.bounds)]

    # ------------------------------------------------------------------------------------------------ functions
    def catch_up(self) -> str:
        """Print the pass that loads the weights of some entries and applies the post spikes they have missed."""
        out = self.head("catch_up", "e, row, low, b", "Up-to-date weights of b entries in e.work[0].", True)
        body = ["w = e.work[0]", "stored = e.weights[low : low + b]", "grid = e.bounds[0]"]
        body += ["for q in range(b):", "    w[q] = stored[q] * grid"]
        if self.chases:
            body += self.chase()
        return _function(out, body)

    def chase(self) -> list[str]:
        reads = self.model.reads("on_post")
        pre, post = [n for n in self.pre if n in reads], [n for n in self.post if n in reads]
        out = self.unpack_bounds() + self.params("on_post") + self.tables([*pre, *self.states])
        out += ["target = e.targets[low : low + b]", "applied = e.applied[low : low + b]", "todo = e.todo"]
        out += [f"x_{n} = e.pre[{self.pre.index(n)}, row]" for n in pre]
        out += [f"b_{n} = e.work[{1 + k}]" for k, n in enumerate([*pre, *post])]
        out += [f"r_{n} = e.before[{self.post.index(n)}]" for n in post]
        out += ["arrived = e.arrived[row]", "m = 0", "for q in range(b):"]
        out += [
            "    had = applied[q]",
            "    has = e.spikes[target[q]]",
            "    applied[q] = has",
            "    missed = np.uint8(has - had)",
            "    todo[m] = np.uint32(q) | np.uint32(had) << np.uint32(16) | np.uint32(missed) << np.uint32(24)",
            "    m += missed > 0",
            "while m > 0:",
        ]
        unpack = ["v = todo[q]", "k = v & LOW16"]
        slot = "slot = (np.uint32(target[k]) << np.uint32(4)) | ((v >> np.uint32(16)) & LAST)"
        gather = [*unpack, slot]
        gather += ["age = np.uint32(e.times[slot] - arrived)"] if pre else []
        gather += [f"b_{n}[q] = x_{n} * {self.decay(n, 'age')}" for n in pre]
        gather += [f"b_{n}[q] = r_{n}[slot]" for n in post]
        if pre or post:
            out += ["    for q in range(m):", *_indent(gather, 2)]
        leaf = {n: f"b_{n}[q]" for n in (*pre, *post)}
        apply = [*unpack, *([slot, "step = e.times[slot]"] if self.states else []), "s_w = w[k]"]
        apply += self.at_event("on_post", "low + k", "step", leaf, "w[k] = u * grid")
        apply += [
            "again = (v & np.uint32(0xFF00FFFF)) | ((v + np.uint32(0x10000)) & np.uint32(0xFF0000))",
            "todo[left] = again - np.uint32(0x1000000)",
            "left += (v >> np.uint32(24)) > np.uint32(1)",
        ]
        return [*out, "    left = 0", "    for q in range(m):", *_indent(apply, 2), "    m = left"]

    def sweep(self) -> str:
        out = self.head("sweep", "e, done, limit", "Bring the rows that have not seen step `limit` up to `done`.")
        if not self.chases:
            return _function(out, ["pass"])
        return _function(
            out,
            [
                "for row in range(len(e.seen)):",
                "    if e.seen[row] < limit:",
                "        high = e.first[row + 1]",
                "        for low in range(e.first[row], high, CHUNK):",
                "            b = min(CHUNK, high - low)",
                f"            catch_up_{self.number}(e, row, low, b)",
                "            w, inverse, stored = e.work[0], e.bounds[1], e.weights[low : low + b]",
                "            for q in range(b):",
                "                stored[q] = np.int32(w[q] * inverse)",
                "        e.seen[row] = done",
                "e.clock[1] = max(e.clock[1], limit - 1)",
            ],
        )

    def present(self) -> str:
        """Print the function that brings the traces of all targets to the present, for steps with many arrivals."""
        out = self.head("present", "e, t", "Traces of all targets in step t.")
        names = [n for n in self.post if n in self.model.reads("on_pre")]
        body = self.tables(names)
        for n in names:
            k = self.post.index(n)
            body += [f"value, now, last = e.post[{k}], e.now[{k}], e.last"]
            body += ["for j in range(len(last)):", "    age = np.uint32(t - last[j])"]
            body += [f"    now[j] = value[j] * {self.decay(n, 'age')}"]
        return _function(out, [*body, "e.clock[0] = t"])

    def arrive(self) -> str:
        reads = {*self.model.reads("on_pre"), *self.model.reads("send"), *self.model.reads("pre_spike")}
        post = [n for n in self.post if n in reads]
        out = self.head("arrive", "e, t, ids, count, delay, sums", "Spikes of ids[:count] arrive in step t.")
        body = self.unpack_bounds() + self.params("on_pre", "send", "pre_spike")
        body += [*self.tables([*self.pre, *post, *self.states]), "delays = e.clock[2]"]
        if post:
            body += [
                "total = 0",
                "for i in range(count):",
                "    row = ids[i] * delays + delay",
                "    total += e.first[row + 1] - e.first[row]",
                "if e.clock[0] != t and 4 * total > len(e.last):",
                f"    present_{self.number}(e, t)",
            ]
        loop = ["row = ids[i] * delays + delay", "arrived = e.arrived[row]", "age = np.uint32(t - arrived)"]
        loop += [f"x_{n} = e.pre[{k}, row] * {self.decay(n, 'age')}" for k, n in enumerate(self.pre)]
        loop += ["high = e.first[row + 1]", "for low in range(e.first[row], high, CHUNK):"]
        loop += _indent(self.deliver(post), 1)
        if self.pre:
            lines, results = self.event("pre_spike", {n: f"x_{n}" for n in self.pre})
            loop += [*lines, *(f"e.pre[{k}, row] = {results[n]}" for k, n in enumerate(self.pre))]
        loop += ["e.arrived[row] = t", "e.seen[row] = t - 1"]
        return _function(out, [*body, "for i in range(count):", *_indent(loop, 1)])

    def deliver(self, post: list[str]) -> list[str]:
        """Print the passes over the entries of a row that has a spike: catch up, change, send."""
        out = ["b = min(CHUNK, high - low)", f"catch_up_{self.number}(e, row, low, b)", "w = e.work[0]"]
        out += ["target, stored = e.targets[low : low + b], e.weights[low : low + b]"]
        for k, n in enumerate(post):
            source = self.post.index(n)
            out += [
                f"b_{n} = e.work[{1 + k}]",
                "if e.clock[0] == t:",
                f"    now = e.now[{source}]",
                "    for q in range(b):",
                f"        b_{n}[q] = now[target[q]]",
                "else:",
                f"    value = e.post[{source}]",
                "    for q in range(b):",
                "        past = np.uint32(t - e.last[target[q]])",
                f"        b_{n}[q] = value[target[q]] * {self.decay(n, 'past')}",
            ]
        leaf = {n: f"x_{n}" for n in self.pre} | {n: f"b_{n}[q]" for n in post}
        each = ["s_w = w[q]"]
        if "on_pre" in self.model.events:
            each += self.at_event("on_pre", "low + q", "t", leaf, "stored[q] = np.int32(u)")
        else:
            each += ["u = s_w * inverse", "stored[q] = np.int32(u)"] if self.chases else ["u = s_w * inverse"]
        if "send" in self.model.events:
            each += self.send(leaf)
        out += ["for q in range(b):", *_indent([*each, "w[q] = u"], 1)]
        return [*out, "for q in range(b):", "    sums[target[q]] += w[q]"]

    def send(self, leaf: dict[str, str]) -> list[str]:
        lines, results = self.event("send", leaf)
        out = ["s_w = u * grid"]
        if "on_pre" not in self.model.events:
            for k, name in enumerate(self.states):
                factor = self.decay(name, "np.uint32(t - e.when[low + q])")
                out.append(f"s_{name} = e.states[{k}, low + q] * {factor}")
        elif self.states:
            out += [f"s_{name} = e.states[{k}, low + q]" for k, name in enumerate(self.states)]
        out += [*lines, f"c = {results['sent']} * inverse", "c = (c if c > -limit else -limit)"]
        return [*out, "c = (c if c < limit else limit)", "u = (c + ROUND) - ROUND"]

    def fired(self) -> str:
        out = self.head("fired", "e, t, ids, count, offset", "The targets ids[:count] - offset have fired in step t.")
        if not (self.chases or self.post):
            return _function(out, ["pass"])
        body = self.params("post_spike") + self.tables(self.post)
        loop = ["j = ids[i] - offset", "age = np.uint32(t - e.last[j])"]
        loop += [f"y_{n} = e.post[{k}, j] * {self.decay(n, 'age')}" for k, n in enumerate(self.post)]
        if self.chases:
            loop += [
                "slot = (np.uint32(j) << np.uint32(4)) | (np.uint32(e.spikes[j]) & LAST)",
                "oldest = e.times[slot]",
                "if oldest > e.clock[1]:  # some row may not have seen it; take those along that soon will be as late",
                f"    sweep_{self.number}(e, t - 1, oldest + (t - oldest) // 2 + 1)",
                "e.times[slot] = t",
                *(f"e.before[{k}, slot] = y_{n}" for k, n in enumerate(self.post)),
                "e.spikes[j] += np.uint8(1)",
            ]
        if self.post:
            lines, results = self.event("post_spike", {n: f"y_{n}" for n in self.post})
            loop += [*lines, *(f"e.post[{k}, j] = {results[n]}" for k, n in enumerate(self.post))]
        loop += ["e.last[j] = t"]
        return _function(out, [*body, "for i in range(count):", *_indent(loop, 1)])

    def reward(self) -> str:
        out = self.head("reward", "e, t, value", "The modulator has emitted `value` in step t.")
        if "on_reward" not in self.model.events:
            return _function(out, ["pass"])
        body = self.unpack_bounds() + self.params("on_reward") + self.tables(self.states)
        each = ["s_w = e.weights[q] * grid"]
        each += self.at_event("on_reward", "q", "t", {"reward": "value"}, "e.weights[q] = np.int32(u)")
        body += [f"sweep_{self.number}(e, t, t + 1)", "for q in range(len(e.weights)):", *_indent(each, 1)]
        return _function(out, body)


def _indent(lines: list[str], levels: int) -> list[str]:
    return ["    " * levels + line for line in lines]


def _function(head: list[str], body: list[str]) -> str:
    return "\n".join([*head, *_indent(body, 1), ""])


__all__ = ["compiled", "print_rule", "print_rules"]
