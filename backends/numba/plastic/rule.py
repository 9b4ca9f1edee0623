"""One synapse model on its way to numba source; :mod:`spikesim.backends.numba.plastic.source` says what comes out."""

from __future__ import annotations

import re
from collections.abc import Sequence

from spikesim.backends.numba.plastic import rows
from spikesim.equations.source import print_lines
from spikesim.synapse import SynapseModel

SLOT = "slot = (np.uint32(target[k]) << np.uint32(4)) | ((v >> np.uint32(16)) & LAST)"


class Rule:
    """Prints the functions of one rule.

    Parameters
    ----------
    model
        The equations.
    """

    def __init__(self, model: SynapseModel) -> None:
        self.model = model
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

        lines, results, constants = print_lines(self.model.events[event], write, prefix=f"{event.replace('_', '')}_")
        self.constants |= constants
        return lines, results

    def function(self, name: str, arguments: Sequence[str], doc: str, body: list[str]) -> str:
        """Print a function; the arrays behind ``table``, and those in ``room``, that it uses become local names."""
        text = "\n".join(body)
        own = [f"{f} = {rows.view(f)}" for f in rows.PlasticRows._fields if re.search(rf"\b{f}\b", text)]
        lent = [f"{f} = {v}" for f, (v, _) in rows.room(self.model).items() if re.search(rf"\b{f}\b", text)]
        given = ["table", "room", *arguments]
        kinds = ", ".join("float64" if name == "value" else "int64" for name in given)
        head = ["", f"@cfunc('int64({kinds})', cache=True, error_model='numpy', _nrt=False)"]
        head += [f"def {name}({', '.join(given)}):", f'    """{doc}"""', f"    e = i64_at(table, {rows.COLUMNS})"]
        return "\n".join([*head, *_indent([*own, *lent, *body, "return 0"], 1), ""])

    @staticmethod
    def call(function: str, *arguments: str) -> str:
        """Print a call of another function of the rule, through its address: each is compiled once."""
        return f"call(e[{getattr(rows, 'AT_' + function.upper())}], (table, room, {', '.join(arguments)}))"

    def params(self, *events: str) -> list[str]:
        """Unpack the parameters that events read."""
        order = [*self.model.params, "dt"]
        used = {name for event in events for name in self.model.reads(event, "param")}
        return [f"p_{name} = params[{k}]" for k, name in enumerate(order) if name in used]

    def tables(self, names: list[str]) -> list[str]:
        """Unpack the decay tables of some traces."""
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
        """Unpack the grid and what weights are held within."""
        return [f"{name} = bounds[{k}]" for k, name in enumerate(self.bounds)]

    # ------------------------------------------------------------------------------------------------ passes
    def take(self) -> list[str]:
        """Print how ``size`` entries of a row from ``low`` on join the ``b`` entries at work as the next piece."""
        out = ["begin[pieces], base[pieces] = np.int64(b), np.int64(low) - np.int64(b)"]
        out += ["for q in range(size):", "    w[b + q] = weights[low + q] * grid"]
        out += ["for q in range(size):", "    target[b + q] = targets[low + q]"]
        if self.pre or self.states:
            out += ["for q in range(size):", "    piece[b + q] = pieces"]
        if not self.chases:
            return out
        out += ["since[pieces] = arrived[row]"]
        for k, n in enumerate(self.read("on_post", self.pre)):
            out.append(f"then[{k}, pieces] = pre[{self.pre.index(n)}, row]")
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

    def missed(self, alone: bool) -> list[str]:
        """Print how the traces at a missed post spike come to ``b_<trace>``; a row alone at work needs no look-up."""
        pre, post = self.read("on_post", self.pre), self.read("on_post", self.post)
        out = ["v = todo[q]", "k = v & LOW16", SLOT]
        if pre:
            out += [] if alone else ["g = piece[k]"]
            out += [f"age = np.uint32(times[slot] - {'since_0' if alone else 'since[g]'})"]
        value = "then_{k}" if alone else "then[{k}, g]"
        out += [f"b_{n}[q] = {value.format(k=k)} * {self.decay(n, 'age')}" for k, n in enumerate(pre)]
        return [*out, *(f"b_{n}[q] = before[{self.post.index(n)}, slot]" for n in post)]

    def catch_up(self) -> list[str]:
        """Print how the entries at work get the post spikes that they have missed."""
        return [self.call("chase", "pieces", "m")] if self.chases else []

    def chase(self) -> str:
        """Print the function that gives the ``m`` entries of ``todo`` the post spikes they have missed, in rounds."""
        name, arguments, doc = "chase", ["pieces", "m"], "The entries todo[:m] get the post spikes they have missed."
        if not self.chases:
            return self.function(name, arguments, doc, ["pass"])
        pre, post = self.read("on_post", self.pre), self.read("on_post", self.post)
        out = [*self.unpack_bounds(), *self.params("on_post"), *self.tables([*pre, *self.states]), "w = work[0]"]
        out += [f"b_{n} = work[{1 + k}]" for k, n in enumerate([*pre, *post])]
        out += ["since_0 = since[0]", *(f"then_{k} = then[{k}, 0]" for k in range(len(pre)))] if pre else []
        out += ["while m > 0:"]
        if pre:
            out += ["    if pieces == 1:", "        for q in range(m):", *_indent(self.missed(True), 3), "    else:"]
            out += ["        for q in range(m):", *_indent(self.missed(False), 3)]
        elif post:
            out += ["    for q in range(m):", *_indent(self.missed(False), 2)]
        apply = ["v = todo[q]", "k = v & LOW16", "s_w = w[k]"]
        if self.states:
            apply += [SLOT, "step = times[slot]", "entry = base[piece[k]] + np.int64(k)"]
        leaf = {n: f"b_{n}[q]" for n in (*pre, *post)}
        apply += self.at_event("on_post", "entry", "step", leaf, "w[k] = u * grid")
        apply += [
            "again = (v & np.uint32(0xFF00FFFF)) | ((v + np.uint32(0x10000)) & np.uint32(0xFF0000))",
            "todo[left] = again - np.uint32(0x1000000)",
            "left += (v >> np.uint32(24)) > np.uint32(1)",
        ]
        out += ["    left = 0", "    for q in range(m):", *_indent(apply, 2), "    m = left"]
        return self.function(name, arguments, doc, out)

    def ask(self) -> list[str]:
        """Print how the rows that come next are asked for: they lie anywhere in tables larger than the caches."""
        far = ["first", "arrived", *(f"pre[{k}]" for k in range(len(self.pre)))]
        near = ["targets", "weights", *(["applied"] if self.chases else [])]
        near += [*(["when"] if self.states else []), *(f"states[{k}]" for k in range(len(self.states)))]
        out = ["if i + 4 < count:", "    at = np.int64(rows[i + 4])", *(f"    prefetch({name}, at)" for name in far)]
        out += ["if i + 2 < count:", "    at = np.int64(first[rows[i + 2]])"]
        return [*out, *(f"    prefetch({name}, at)" for name in near), "    prefetch(weights, at + 16)"]

    def row(self) -> list[str]:
        """Print how a row, or a part of one, is taken, and closed when all of it has been."""
        out = ["row = rows[i]", "if fresh:", "    low = U(first[row])", *_indent(self.ask(), 1)]
        out += [
            "high = U(first[row + 1])",
            "if pieces > 0 and high - low > CHUNK - b:",
            "    break",
            "size = min(high - low, CHUNK - b)",
            *self.take(),
        ]
        out += ["age = np.uint32(t - arrived[row])"] if self.pre else []
        out += [f"x_{n} = pre[{k}, row] * {self.decay(n, 'age')}" for k, n in enumerate(self.pre)]
        out += [f"here[{self.pre.index(n)}, pieces] = x_{n}" for n in self.read_here()]
        close = ["arrived[row] = t", "seen[row] = t - 1", "i += 1"]
        if self.pre:
            lines, results = self.event("pre_spike", {n: f"x_{n}" for n in self.pre})
            close = [*lines, *(f"pre[{k}, row] = {results[n]}" for k, n in enumerate(self.pre)), *close]
        return [
            *out,
            "b, pieces, low = b + size, pieces + 1, low + size",
            "fresh = low == high",
            "if fresh:",
            *_indent(close, 1),
        ]

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
        return [*out, "begin[pieces] = np.int64(b)", "for r in range(pieces):", *_indent(back, 1)]

    def send(self, leaf: dict[str, str]) -> list[str]:
        """Print what an arriving spike delivers, in place of the weight ``u``."""
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
        """Print the function that brings rows which lag behind up to date."""
        body = [*self.unpack_bounds(), "w = work[0]"]
        each = [
            "size = min(CHUNK, high - low)",
            "b, pieces, m = U(0), 0, 0",
            *self.take(),
            "pieces = 1",
            *self.catch_up(),
        ]
        each += ["for q in range(size):", "    weights[low + q] = np.int32(w[q] * inverse)", "low += size"]
        body += ["for row in range(len(seen)):", "    if seen[row] < limit_step:"]
        body += [
            "        low, high = U(first[row]), U(first[row + 1])",
            "        while low < high:",
        ]
        body += [*_indent(each, 3), "        seen[row] = done", "clock[1] = max(clock[1], limit_step - 1)"]
        doc = "Bring the rows that have not seen this step up to `done`."
        return self.function("sweep", ["done", "limit_step"], doc, body if self.chases else ["pass"])

    def arrive(self) -> str:
        """Print the function for spikes that arrive."""
        body = ["rows, sums = i64_at(rows_at, count), f64_at(sums_at, CELLS)"]
        body += [*self.unpack_bounds(), *self.params("on_pre", "send", "pre_spike")]
        body += [*self.tables([*self.pre, *self.post, *self.states]), "w = work[0]"]
        if self.read("on_pre", self.post):
            body += ["total = 0", "for i in range(count):", "    total += first[rows[i] + 1] - first[rows[i]]"]
            body += ["if 4 * total > len(last):  # all targets are brought to the present at once"]
            for n in self.read("on_pre", self.post):
                k = self.post.index(n)
                body += ["    for j in range(len(last)):", "        age = np.uint32(t - last[j])"]
                body += [f"        now[{k}, j] = post[{k}, j] * {self.decay(n, 'age')}"]
            body += ["    clock[0] = t"]
        body += ["i, low, fresh = 0, U(0), True", "while i < count:", "    b, pieces, m = U(0), 0, 0"]
        body += ["    while i < count and pieces < PIECES and b < CHUNK:", *_indent(self.row(), 2)]
        body += _indent([*self.catch_up(), *self.look(), *self.deliver()], 1)
        return self.function("arrive", ["t", "rows_at", "count", "sums_at"], "The rows have arrivals in step t.", body)

    def fired(self) -> str:
        """Print the function for targets that have fired."""
        name, arguments = "fired", ["t", "ids_at", "count", "offset"]
        doc = "The targets ids - offset have fired in step t."
        if not (self.chases or self.post):
            return self.function(name, arguments, doc, ["pass"])
        body = ["ids = i32_at(ids_at, count)", *self.params("post_spike"), *self.tables(self.post)]
        loop = ["j = ids[i] - offset", "age = np.uint32(t - last[j])"]
        loop += [f"y_{n} = post[{k}, j] * {self.decay(n, 'age')}" for k, n in enumerate(self.post)]
        if self.chases:
            loop += [
                "slot = (np.uint32(j) << np.uint32(4)) | (np.uint32(spikes[j]) & LAST)",
                "oldest = times[slot]",
                "if oldest > clock[1]:  # some row may not have seen it; take those along that soon will be as late",
                f"    {self.call('sweep', 't - 1', 'np.int64(oldest + (t - oldest) // 2 + 1)')}",
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
        """Print the function for a reward."""
        name, arguments, doc = "reward", ["t", "value"], "The modulator has emitted `value` in step t."
        if "on_reward" not in self.model.events:
            return self.function(name, arguments, doc, ["pass"])
        body = self.unpack_bounds() + self.params("on_reward") + self.tables(self.states)
        each = ["s_w = weights[q] * grid"]
        each += self.at_event("on_reward", "q", "t", {"reward": "value"}, "weights[q] = np.int32(u)")
        body += [self.call("sweep", "t", "t + 1"), "for q in range(len(weights)):", *_indent(each, 1)]
        return self.function(name, arguments, doc, body)


def _indent(lines: list[str], levels: int) -> list[str]:
    return ["    " * levels + line for line in lines]


__all__ = ["Rule"]
