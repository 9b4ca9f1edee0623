"""Metaplastic binarised synapses: weights of one bit that are the harder to turn, the surer they are.

A hidden weight ``h`` learns, its sign is the weight. Steps away from 0 act in full, steps towards 0 by the factor

    f(h) = 1 - tanh(m |h|)^2,

so synapses that many steps agreed on rarely turn. Nothing is kept of old tasks, and nobody says when one ends. The
gradient of a weight is that of its sign (straight through); steps are Adam's, without bias in the direction:
``h <- h - rate sqrt(1 - b2^t) / (1 - b1^t) u f / (sqrt(v) + 1e-8)``, with ``f = 1`` unless ``sign(h) u > 0``.

``m`` has the unit ``1 / |h|``: with short training ``|h|`` stays small, and an ``m`` from long training does nothing.
So ``per="median"`` gives it relative to the median of ``|h|`` when a task begins.

Reference: Laborieux, Ernoult, Hirtzlin and Querlioz, "Synaptic metaplasticity in binarized neural networks", Nat.
Commun. 12:2549 (2021), arXiv 2003.03533. Sign(0) is +1 here; the authors' weight decay (1e-7) is left out, because
Adam makes it a full step wherever the gradient is 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from spikesim.continual.counters import Counters
from spikesim.continual.learners import FineTune
from spikesim.continual.scenarios import Task
from spikesim.continual.units import check_rules, dense, matrix_of, projection, with_matrix
from spikesim.errors import InvalidValueError
from spikesim.network import Network, Projection

PER = ("weight", "median")
NORMS = ("shared", "task")


def suggest_m(hidden: Any, c: float = 1.0) -> float:
    """Return ``c`` over the median of ``|h|``: the ``m`` with which half of the synapses have ``m |h| > c``.

    Parameters
    ----------
    hidden
        Hidden weights, an array.
    c
        About 1.

    Raises
    ------
    InvalidValueError
        If the median is 0.

    Examples
    --------
    >>> suggest_m([0.1, -0.2, 0.4])
    5.0
    """
    median = float(np.median(np.abs(np.asarray(hidden, np.float64))))
    if not median > 0:
        raise InvalidValueError(f"m has the unit 1 / |h|, but the median of |h| is {median!r}; give m per weight")
    return c / median


class Synapses:
    """The binarised synapses of one projection, with real hidden weights.

    Parameters
    ----------
    hidden
        Where they begin, float array.
    m
        Metaplasticity.
    rate
        Learning rate.

    Attributes
    ----------
    hidden
        float32 array.
    writes, flips
        Hidden values changed, and weights turned.
    """

    def __init__(self, hidden: Any, m: float, rate: float) -> None:
        self.hidden, self.m, self.rate = np.asarray(hidden, np.float32), m, rate
        self.writes = self.flips = 0
        self.reset()

    def reset(self) -> None:
        """Forget the moments: a task begins with a new optimiser."""
        self.moment, self.square, self.steps = np.zeros_like(self.hidden), np.zeros_like(self.hidden), 0

    @property
    def signs(self) -> Any:
        """The weights, -1 or 1, int8."""
        return np.where(self.hidden >= 0, np.int8(1), np.int8(-1))

    @property
    def memory(self) -> int:
        """Bytes of the hidden weights."""
        return self.hidden.nbytes

    def learn(self, gradient: Any) -> None:
        """Learn from the gradient of the weights, an array."""
        moment = self._moments(gradient)
        before, signs = self.hidden.copy(), self.signs
        towards = signs * moment > 0
        factor = np.where(towards, self.factor(self.hidden), np.float32(1))
        self.hidden -= self._size() * moment * factor / (np.sqrt(self.square) + np.float32(1e-8))
        self.writes += int((self.hidden != before).sum())
        self.flips += int((self.signs != signs).sum())

    def factor(self, hidden: Any) -> Any:
        """Return what a step towards 0 is multiplied with."""
        return 1 - np.tanh(np.float32(self.m) * np.abs(hidden)) ** 2

    def _moments(self, gradient: Any) -> Any:
        self.steps += 1
        self.moment += np.float32(0.1) * (gradient - self.moment)
        self.square += np.float32(0.001) * (gradient * gradient - self.square)
        return self.moment

    def _size(self) -> np.float32:
        """Return the length of a step with the biases of the moments taken out."""
        return np.float32(self.rate * np.sqrt(1 - 0.999**self.steps) / (1 - 0.9**self.steps))


class CountingSynapses(Synapses):
    """The same with integer hidden counters, as on a chip; see :class:`spikesim.continual.counters.Counters`.

    Parameters
    ----------
    hidden
        Where they begin, float array.
    m, rate
        As in :class:`Synapses`.
    bits
        Of a counter.
    largest
        Hidden weight at which a counter saturates.
    seed
        Of the rounding by chance.
    """

    def __init__(self, hidden: Any, m: float, rate: float, bits: int, largest: float, seed: int) -> None:
        self.quantum = largest / 2 ** (bits - 1)
        self.counters = Counters.near(np.asarray(hidden) / self.quantum, bits)
        self.generator = np.random.default_rng(seed)
        super().__init__(self.counters.value * self.quantum, m, rate)

    @property
    def memory(self) -> int:
        """Bytes of the counters, a whole number of bits each."""
        return -(-self.counters.value.size * self.counters.bits // 8)

    def learn(self, gradient: Any) -> None:
        """Learn from the gradient of the weights; the step is rounded to 2^-16 of a count."""
        moment = self._moments(gradient)
        step = -self._size() * moment / (np.sqrt(self.square) + np.float32(1e-8)) / self.quantum
        signs, draws = self.signs, self.generator.integers(0, 1 << 16, step.shape, np.int64)
        table = Counters.table(self.m * self.quantum, self.counters.bits)
        self.writes += self.counters.update(np.rint(step * 65536).astype(np.int64), draws, table)
        self.hidden = (self.counters.value * self.quantum).astype(np.float32)
        self.flips += int((self.signs != signs).sum())


class Metaplastic(FineTune):
    """Learns with metaplastic binarised synapses. Nothing else is done about forgetting.

    Weights are one size, of either sign, per projection: the root of the mean square of those in ``network``, so what
    arrives is as strong as before. Batch norms stay batch norms from task to task.

    Parameters
    ----------
    network
        See :class:`FineTune`; its projections are dense or convolutions.
    m
        Metaplasticity; 0 is plain binarised training.
    per
        ``"weight"``: ``m`` is given in ``1 / |h|``; ``"median"``: relative to the median of ``|h|`` of a projection
        when a task begins.
    spread
        Hidden weights begin uniformly within plus and minus this.
    norms
        ``"shared"``: batch norms learn on through all tasks. ``"task"``: each task has its own, as in the paper; they
        tell the task, so it needs scenarios that do.
    bits
        Hidden weights are counters of so many bits (2 to 16) with rounding by chance; None for real ones.
    largest
        Hidden weight at which counters saturate.
    **settings
        See :class:`FineTune`. Without any, Adam with ``learning_rate=0.005`` and a constant schedule; hidden weights
        learn at the same, constant rate.

    Attributes
    ----------
    synapses
        :class:`Synapses` by projection.
    """

    def __init__(
        self,
        network: Network | Callable[[int], Network],
        *,
        m: float = 1.0,
        per: str = "median",
        spread: float = 0.05,
        norms: str = "shared",
        bits: int | None = None,
        largest: float = 0.25,
        **settings: Any,
    ) -> None:
        self.m, self.per, self.spread, self.norms, self.bits, self.largest = m, per, spread, norms, bits, largest
        start = {"optimiser": "adam", "learning_rate": 0.005, "schedule": "constant"}
        super().__init__(network, **{**start, **settings, "fold": False})

    def _problems(self) -> list[str]:
        wrong = (
            ("m must be at least 0", self.m, not self.m >= 0),
            ("per must be 'weight' or 'median'", self.per, self.per not in PER),
            ("norms must be 'shared' or 'task'", self.norms, self.norms not in NORMS),
            ("spread must be above 0", self.spread, not self.spread > 0),
            ("bits must be None or from 2 to 16", self.bits, self.bits is not None and not 2 <= self.bits <= 16),
            ("largest must be at least spread", self.largest, not self.largest >= self.spread),
            ("protect and penalty must be left out", self.parts, bool(self.parts)),
        )
        return super()._problems() + [f"metaplastic: {what}, found {found!r}" for what, found, bad in wrong if bad]

    @property
    def name(self) -> str:
        """What it does."""
        return "metaplastic" if self.m else "binarised"

    @property
    def memory(self) -> int:
        """Bytes of the hidden weights, and of the norms of other tasks."""
        norms = sum(4 * 4 * int(np.size(n.mean)) for found in self.saved.values() for n in found.values())
        return sum(s.memory for s in self._all()) + norms

    @property
    def writes(self) -> int | None:
        """Hidden weights changed, and whatever else learns; None if that is not counted."""
        hidden = sum(s.writes for s in self._all())
        return self._writes.count - self.flips + hidden if self.count_writes else None

    @property
    def flips(self) -> int:
        """Weights turned."""
        return sum(s.flips for s in self._all())

    def _all(self) -> list[Synapses]:
        """Return the synapses, those of all heads among them."""
        others = [s for k, found in self.of_heads.items() if k != self.task for s in found.values()]
        return [*self.synapses.values(), *others]

    def begin(self, seed: int) -> None:
        """Forget everything; hidden weights are drawn from the seed.

        Raises
        ------
        UnsupportedError
            If a projection is neither dense nor a convolution.
        """
        super().begin(seed)
        check_rules(self.first, "binarised synapses")
        self.synapses: dict[str, Synapses] = {}
        self.of_heads: dict[int, dict[str, Synapses]] = {}
        self.task: int | None = None
        self.saved: dict[int, dict[str, Any]] = {}
        self.sizes: dict[str, float] = {}
        for p in self.first.projections:
            if p.name in (self.settings.get("weights") or [q.name for q in self.first.projections]):
                self.sizes[p.name] = float(np.sqrt(np.mean(np.square(matrix_of(p.rule)))))
                self.synapses[p.name] = self._new(p)
        self.first = self.network = self._binarised(self.first)

    def _new(self, found: Projection) -> Synapses:
        """Return the synapses that a projection begins with."""
        k, rate = [p.name for p in self.first.projections].index(found.name), self.settings["learning_rate"]
        generator = np.random.default_rng((self.seed, k))
        hidden = generator.uniform(-self.spread, self.spread, matrix_of(found.rule).shape)
        hidden = hidden.T if dense(found.rule) else hidden
        if self.bits is None:
            return Synapses(hidden, self.m, rate)
        return CountingSynapses(hidden, self.m, rate, self.bits, self.largest, self.seed * 1000 + k)

    def _choose_head(self, number: int) -> None:
        """Let the synapses of a task's head learn; those of a new one are as at the beginning."""
        if number not in self.of_heads:
            names = sorted(self.spared & set(self.synapses))
            self.of_heads[number] = {name: self._new(projection(self.first, name)) for name in names}
        self.task = number
        self.synapses.update(self.of_heads[number])

    def _binarised(self, network: Network) -> Network:
        changed = []
        for name, synapses in self.synapses.items():
            p = projection(network, name)
            signs = synapses.signs.T if dense(p.rule) else synapses.signs
            changed.append(replace(p, rule=with_matrix(p.rule, signs * self.sizes[name])))
        return network.swap(*changed)

    def now(self) -> Network:
        """Return the network with the synapses of this moment, also amid a task (norms as they were before it)."""
        return self._binarised(self.network)

    def learn(self, task: Task) -> None:
        """Learn a task."""
        if self.with_heads and task.number is not None:
            self._choose_head(task.number)
        for synapses in self.synapses.values():
            synapses.reset()
            synapses.m = suggest_m(synapses.hidden, self.m) if self.per == "median" else self.m
        super().learn(task)
        if self.norms == "task" and task.number is not None:
            self.saved[task.number] = {p.name: p.norm for p in self.network.projections if p.norm is not None}

    def step_hook(self) -> Any:
        """Return a hook that lets hidden weights learn, and shows their signs to the network."""
        import torch

        def binary(parameters: Mapping[str, Any], step: Callable[[], None]) -> None:
            for name, synapses in self.synapses.items():
                p = parameters[name]
                synapses.learn(np.zeros(p.shape, np.float32) if p.grad is None else p.grad.detach().cpu().numpy())
                p.detach().copy_(torch.as_tensor(synapses.signs) * self.sizes[name])
                p.grad = None
            step()

        return binary

    def network_for(self, number: int | None) -> Network:
        """Return the network, with the norms of a task if they are its own."""
        network = super().network_for(number)
        if self.norms == "shared":
            return network
        if number is None:
            raise InvalidValueError(
                "metaplastic: norms='task' needs to know which task a sample belongs to, which the scenario does not "
                "tell; use norms='shared', or a scenario of kind 'task'"
            )
        return network.swap(
            *(replace(projection(network, name), norm=norm) for name, norm in self.saved.get(number, {}).items())
        )
