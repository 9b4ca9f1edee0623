"""Plastic synapses evaluated eagerly: every event in its step, all synapses that it touches at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from spikesim.backends.torch.delivery import Ring
from spikesim.backends.torch.ops import table
from spikesim.graph import Edge
from spikesim.learning import BLOCK, learning_of

NEVER = -(2**30)  # a step before all others


class Plastic:
    """The synapses of a plastic projection, with their traces, for some samples.

    Synapses are held by row, one row per source and delay; traces of the source are kept per row, so that they are
    delayed as the spikes are. See "Plasticity" in ``docs/architecture.md`` for what happens when.

    Parameters
    ----------
    edge
        The projection.
    ring
        Where its target's sums are held.
    grid
        Of the port; above 0.
    """

    def __init__(self, edge: Edge, ring: Ring, grid: float) -> None:
        self.edge, self.ring, self.grid, self.learning = edge, ring, grid, learning_of(edge)
        self.model, self.device = self.learning.model, ring.device
        self.delays = edge.max_delay - edge.min_delay + 1
        self.rows = edge.n_pre * self.delays
        row = np.repeat(np.arange(edge.n_pre), np.diff(edge.indptr)) * self.delays
        row = row + (np.asarray(edge.delays) - edge.min_delay if np.ndim(edge.delays) else 0)
        self.row, self.target = self._index(row), self._index(edge.indices)
        self.by_row = _Lists(row, self.rows, self.device)
        self.by_target = _Lists(edge.indices, edge.n_post, self.device)
        self.ops = table(torch.float64, self.device)
        self.params = {
            k: torch.tensor(v, dtype=torch.float64, device=self.device) for k, v in self.learning.params.items()
        }
        self.tables = {n: tuple(torch.tensor(a, device=self.device) for a in t) for n, t in self.learning.decay.items()}
        self.start = torch.tensor(np.broadcast_to(edge.weights, (edge.synapses,)).copy(), device=self.device)

    def _index(self, array: Any) -> torch.Tensor:
        return torch.as_tensor(np.asarray(array, np.int64), device=self.device)

    def reset(self, samples: int) -> None:
        """Go back to step 0, each sample with the weights of the start."""

        def full(count: int, value: float, dtype: torch.dtype = torch.float64) -> torch.Tensor:
            return torch.full((samples, count), value, dtype=dtype, device=self.device)

        self.samples = samples
        self.weights = self.start.expand(samples, -1).clone()
        self.states = {n: full(self.edge.synapses, 0.0) for n in self.model.states}
        self.pre = {n: full(self.rows, 0.0) for n in self.model.pre}
        self.post = {n: full(self.edge.n_post, 0.0) for n in self.model.post}
        self.when = full(self.edge.synapses, NEVER, torch.int64)
        self.arrived = full(self.rows, NEVER, torch.int64)
        self.last = full(self.edge.n_post, NEVER, torch.int64)
        shape = (self.edge.max_delay + 1, samples, self.edge.n_pre)
        self.history = torch.zeros(shape, dtype=torch.bool, device=self.device)

    def set(self, values: Any) -> None:
        """Replace the weights of all samples; ``values`` stand on the grid and within the bounds."""
        given = torch.as_tensor(np.array(values, np.float64), device=self.device)
        self.weights = given.expand(self.samples, self.edge.synapses).clone()

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return all tensors that change while running, by name."""
        own = {"weights": self.weights, "when": self.when, "arrived": self.arrived, "last": self.last}
        traces = {"states": self.states, "pre": self.pre, "post": self.post}
        named = {f"{kind}/{n}": value for kind, values in traces.items() for n, value in values.items()}
        return {**own, **named, "history": self.history}

    # ------------------------------------------------------------------------------------------------ events
    def __call__(self, values: torch.Tensor, step: int) -> None:
        """Remember what the source emits at ``step``; it acts when it arrives."""
        self.history[step % len(self.history)] = values != 0

    def arrive(self, step: int) -> None:
        """Let the spikes arrive that are due: ``on_pre``, ``send``, ``pre_spike``."""
        due = [(step - d) % len(self.history) for d in range(self.edge.min_delay, self.edge.max_delay + 1)]
        active = self.history[due].permute(1, 2, 0).reshape(self.samples, self.rows)
        self.history[due[-1]] = False  # what is emitted in the next step takes this slot, if anything is
        sample, row = active.nonzero(as_tuple=True)
        if not len(row):
            return
        event, synapse = self.by_row.of(row)
        where = (sample[event], synapse)
        pre = {f"pre_{n}": self._now(f"pre_{n}", v[sample, row], step - self.arrived[sample, row]) for n, v in
               self.pre.items()}  # fmt: skip
        inputs = {n: v[event] for n, v in pre.items()} | self._post_now(where, step)
        self._change("on_pre", where, inputs, step)
        self._deliver(where, inputs, step)
        for name, value in self._evaluate("pre_spike", {}, pre).items():
            self.pre[name.removeprefix("pre_")][sample, row] = value.expand(len(row))
        self.arrived[sample, row] = step

    def fired(self, spikes: torch.Tensor, step: int) -> None:
        """Register what the target has fired in a step: ``on_post``, ``post_spike``."""
        sample, neuron = spikes.nonzero(as_tuple=True)
        if not len(neuron):
            return
        if "on_post" in self.model.events:
            event, synapse = self.by_target.of(neuron)
            where = (sample[event], synapse)
            row = (where[0], self.row[synapse])
            inputs = {f"pre_{n}": self._now(f"pre_{n}", v[row], step - self.arrived[row]) for n, v in self.pre.items()}
            self._change("on_post", where, inputs | self._post_now(where, step), step)
        age = step - self.last[sample, neuron]
        post = {f"post_{n}": self._now(f"post_{n}", v[sample, neuron], age) for n, v in self.post.items()}
        for name, value in self._evaluate("post_spike", {}, post).items():
            self.post[name.removeprefix("post_")][sample, neuron] = value.expand(len(neuron))
        self.last[sample, neuron] = step

    def reward(self, values: torch.Tensor, step: int) -> None:
        """Take the reward of a step, one value per sample: ``on_reward`` where it is not 0."""
        sample = values.nonzero(as_tuple=True)[0]
        if "on_reward" not in self.model.events or not len(sample):
            return
        synapses = self.edge.synapses
        where = (sample.repeat_interleave(synapses), torch.arange(synapses, device=self.device).repeat(len(sample)))
        self._change("on_reward", where, {"reward": values[where[0]].to(torch.float64)}, step)

    # ------------------------------------------------------------------------------------------------ pieces
    def _now(self, name: str, value: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
        """Decay a trace over some steps."""
        hi, lo = self.tables[name]
        return value * (hi[torch.clamp(steps // BLOCK, max=len(hi) - 1)] * lo[steps % BLOCK])

    def _post_now(self, where: tuple[torch.Tensor, torch.Tensor], step: int) -> dict[str, torch.Tensor]:
        at = (where[0], self.target[where[1]])
        return {f"post_{n}": self._now(f"post_{n}", v[at], step - self.last[at]) for n, v in self.post.items()}

    def _evaluate(self, event: str, states: Any, inputs: Any) -> dict[str, torch.Tensor]:
        if event not in self.model.events:
            return {}
        leaves = {"state": states, "input": inputs, "param": self.params}
        return self.model.events[event].evaluate(leaves, self.ops)

    def _states(self, where: Any, step: int) -> dict[str, torch.Tensor]:
        age = step - self.when[where]
        states = {n: self._now(n, v[where], age) for n, v in self.states.items()}
        return {"w": self.weights[where], **states}

    def _change(self, event: str, where: Any, inputs: Any, step: int) -> None:
        if event not in self.model.events:
            return
        results = self._evaluate(event, self._states(where, step), inputs)
        size = len(where[1])
        for name, values in self.states.items():
            values[where] = results[name].expand(size)
        self.when[where] = step
        self.weights[where] = self._snapped(results["w"], self.learning.low, self.learning.high).expand(size)

    def _snapped(self, values: torch.Tensor, low: float, high: float) -> torch.Tensor:
        values = torch.where(values > low, values, low)
        values = torch.where(values < high, values, high)
        return torch.round(values / self.grid) * self.grid

    def _deliver(self, where: Any, inputs: Any, step: int) -> None:
        amount = self.weights[where]
        if "send" in self.model.events:
            limit = round(self.learning.limit / self.grid) * self.grid
            sent = self._evaluate("send", self._states(where, step), inputs)["sent"]
            amount = self._snapped(sent, -limit, limit).expand(len(where[1]))
        slot = self.ring.now(step).view(-1)
        slot.index_add_(0, where[0] * self.ring.n + self.target[where[1]], amount)


class _Lists:
    """Which synapses belong to a row or a target."""

    def __init__(self, key: Any, keys: int, device: torch.device) -> None:
        count = np.bincount(key, minlength=keys)
        self.order = torch.as_tensor(np.argsort(key, kind="stable"), device=device)
        self.count = torch.as_tensor(count, device=device)
        self.begin = torch.as_tensor(np.cumsum(count) - count, device=device)

    def of(self, keys: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return, for all synapses of some keys, the position in ``keys`` and the synapse."""
        count = self.count[keys]
        before = count.cumsum(0) - count
        event = torch.repeat_interleave(torch.arange(len(keys), device=count.device), count)
        place = torch.arange(len(event), device=count.device) - (before - self.begin[keys])[event]
        return event, self.order[place]
