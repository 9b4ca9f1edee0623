"""Continual learning via neural pruning (CLNP): each task keeps the neurons that it needs, later ones get the rest.

After a task, neurons that fire too little are pruned: as many as the accuracy allows, within a margin. Those that are
left are *used*: their incoming weights never change again. The others are *free*: what they send to used neurons is cut
for good, they start anew, and learn the next task; they may listen to used neurons.

| weight from / to | used | free |
|---|---|---|
| used | frozen | learns |
| free | 0, frozen | learns |

So later tasks cannot reach what old ones answer: it stays bit by bit. Each task has a head of its own, whose weights
from free neurons are 0. A spiking neuron that never fires sends nothing, so pruning those is exact on the samples
seen.

Sums of spikes are exact here if weights lie on the grid of their port, which follows the largest weight. Weights are
therefore frozen on a coarser grid (2^-22 of the largest at the first freezing), and later ones stay below 2^8 times
it: no later task can move the grid that used weights lie on.

Reference: Golkar, Kagan and Cho, "Continual Learning via Neural Pruning", arXiv 1903.04476. The figures of activity,
margin and penalties are this library's; the paper's are not known.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.continual.heads import head
from spikesim.continual.learners import FineTune
from spikesim.continual.scenarios import Task
from spikesim.continual.units import (
    Masks,
    between,
    check_rules,
    dense,
    masked,
    matrix_of,
    projection,
    units,
    with_matrix,
)
from spikesim.network import Network
from spikesim.train.losses import RateRegulariser

GRID, ROOM = 2.0**-22, 2.0**8
"""Grid of frozen weights and bound of later ones, as parts of the largest weight into a port, rounded up to 2^k."""


class CapacityExhausted(UserWarning):
    """A population has no free neurons left: it is a fixed feature map from now on."""


@dataclass(frozen=True)
class Pruned:
    """What became of the neurons at the end of a task.

    Parameters
    ----------
    theta
        Activity (spikes per step) up to which neurons were pruned.
    drop
        What that cost of accuracy, on the samples that were looked at.
    free, new, reused
        By population: neurons (or channels) left, used for the first time, and used again.
    """

    theta: float
    drop: float
    free: dict[str, int]
    new: dict[str, int]
    reused: dict[str, int]


class Clnp(FineTune):
    """CLNP. Needs scenarios that tell the task, because each has a head.

    Neuron parameters, delays and batch norms learn in the first task only.

    Parameters
    ----------
    network
        See :class:`FineTune`; its projections are dense or convolutions, also recurrent.
    margin
        Accuracy that may be given up to prune more (graceful forgetting).
    l1
        Weight of the sum of absolute weights that learn.
    rate_penalty
        Weight of the mean rate (spikes per step) of hidden neurons.
    thresholds
        Thresholds that are tried, the largest first.
    samples
        Training samples on which activity and accuracy are measured.
    **settings
        See :class:`FineTune`; ``protect`` and ``penalty`` must be left out, and there are always heads.

    Attributes
    ----------
    used
        Mask by hidden population, of neurons or channels.
    reports
        A :class:`Pruned` per task.
    """

    def __init__(
        self,
        network: Network | Callable[[int], Network],
        *,
        margin: float = 0.01,
        l1: float = 3e-5,
        rate_penalty: float = 0.05,
        thresholds: tuple[float, ...] = tuple(np.arange(51) / 100),
        samples: int = 300,
        **settings: Any,
    ) -> None:
        self.margin, self.l1, self.samples = margin, l1, samples
        self.thresholds = sorted({0.0, *map(float, thresholds)}, reverse=True)
        given = {name: settings.pop(name, None) for name in ("protect", "penalty")}
        self.extra = [f"clnp: {name} must be left out, found {found!r}" for name, found in given.items() if found]
        extra = [f"{n} must be at least 0, found {v!r}" for n, v in (("margin", margin), ("l1", l1)) if not v >= 0]
        self.extra += [*extra, *([] if samples >= 1 else [f"samples must be at least 1, found {samples!r}"])]
        rates = (RateRegulariser(rate_penalty, norm=1),) if rate_penalty else ()
        settings["regularise"] = (*settings.get("regularise", ()), *rates)
        super().__init__(network, **{**settings, "heads": True})

    def _problems(self) -> list[str]:
        return super()._problems() + self.extra

    @property
    def name(self) -> str:
        """What it does."""
        return "clnp"

    @property
    def memory(self) -> int:
        """Bytes of the masks."""
        return sum(mask.nbytes for mask in self.used.values())

    @property
    def frozen_neurons(self) -> bool:
        """Whether neuron parameters and delays learn in the first task only: yes."""
        return True

    def begin(self, seed: int) -> None:
        """Forget everything and start with a seed.

        Raises
        ------
        UnsupportedError
            If a projection is neither dense nor a convolution.
        """
        super().begin(seed)
        check_rules(self.first, "CLNP")
        self.used: Masks = {name: np.zeros(n, bool) for name, n in units(self.first).items()}
        self.scales: dict[tuple[str, str | None], float] = {}
        self.reports: list[Pruned] = []

    # --------------------------------------------------------------------------------------------- while it learns
    def trainable(self) -> Masks:
        """Return which weights may change, by projection: those into free neurons, and into a head."""
        free = {name: ~mask for name, mask in self.used.items()}
        return {p.name: between(p, None, free.get(p.post)) for p in self.first.projections}

    def step_hook(self) -> Any:
        """Return a hook that lets only some weights change, and makes these small."""
        rules = {p.name: p.rule for p in self.first.projections}
        held = {n: np.array(m.T if dense(rules[n]) else m) for n, m in self.trainable().items()}
        import torch

        masks = {name: torch.as_tensor(mask) for name, mask in held.items()}

        def step_masked(parameters: Mapping[str, Any], step: Callable[[], None]) -> None:
            before = {name: parameters[name].detach().clone() for name in masks if name in parameters}
            for name, weights in before.items():
                p, mask = parameters[name], masks[name].to(weights.device)
                slope = self.l1 * weights.sign() if p.grad is None else p.grad + self.l1 * weights.sign()
                p.grad = slope * mask
            step()
            for name, weights in before.items():  # momentum and the like move what has no gradient
                p = parameters[name].detach()
                p.copy_(torch.where(masks[name].to(p.device), p, weights))

        return step_masked

    def learn(self, task: Task) -> None:
        """Learn a task with the free neurons, then prune."""
        before, masks = self.network_for(task.number), self.trainable()
        super().learn(task)
        if self.reports:  # training may hold float32; what is frozen keeps all its bits
            old = {p.name: matrix_of(p.rule) for p in before.projections}
            self.network = masked(self.network, {n: ~mask for n, mask in masks.items()}, old)
        self._prune(task)

    # ------------------------------------------------------------------------------------------------ when it ends
    def _prune(self, task: Task) -> None:
        chosen = np.random.default_rng((self.seed, self.learned)).permutation(len(task.y))[: self.samples]
        x, y = task.x[chosen], task.y[chosen]
        whole = self.run(self.network, x, y, at_once=len(x))
        activity = self._activity(whole.recording)
        theta, keep, accuracy = self._threshold(activity, x, y, whole.accuracy)
        new = {name: int((keep[name] & ~mask).sum()) for name, mask in self.used.items()}
        reused = {name: int((mask & (activity[name] > theta)).sum()) for name, mask in self.used.items()}
        self.used = keep
        free = {name: int((~mask).sum()) for name, mask in keep.items()}
        self.reports.append(Pruned(theta, whole.accuracy - accuracy, free, new, reused))
        self.network = self._restarted(self._frozen(self._cut(self.network, keep)))
        if task.number is not None:
            self.heads[task.number] = head(self.network)
        for name, left in free.items():
            if not left:
                warnings.warn(f"population {name!r} has no free neurons left", CapacityExhausted, stacklevel=3)

    def _activity(self, recording: Any) -> dict[str, NDArray[np.float64]]:
        """Return the mean rate of each unit, in spikes per step."""
        found = {}
        for name, mask in self.used.items():
            counts = recording[name].counts().mean(0) / recording.steps
            found[name] = counts.reshape(len(mask), -1).mean(1)
        return found

    def _threshold(
        self, activity: dict[str, NDArray[np.float64]], x: Any, y: Any, base: float
    ) -> tuple[float, Masks, float]:
        """Return the largest threshold that costs no more than the margin, what it keeps, and the accuracy."""
        theta, tried, accuracy = np.inf, self.used, np.nan
        for theta in self.thresholds:
            keep = {name: mask | (activity[name] > theta) for name, mask in self.used.items()}
            if np.isnan(accuracy) or any(not np.array_equal(keep[n], tried[n]) for n in keep):
                tried, accuracy = keep, self.run(self._cut(self.network, keep, all_of_them=True), x, y).accuracy
            if accuracy >= base - self.margin:
                break
        return theta, tried, accuracy

    def _cut(self, network: Network, keep: Masks, *, all_of_them: bool = False) -> Network:
        """Return the network with nothing sent from free units to used ones and to the head, or to any."""
        cut = {}
        for p in network.projections:
            if p.pre in keep:
                cut[p.name] = between(p, ~keep[p.pre], None if all_of_them else keep.get(p.post))
        return masked(network, cut)

    def _frozen(self, network: Network) -> Network:
        """Return the network with all weights on the grid of frozen ones."""
        changed = []
        for key in {(p.post, p.port) for p in network.projections if p.post in self.used}:
            some = [p for p in network.projections if (p.post, p.port) == key]
            largest = max(np.abs(matrix_of(p.rule)).max() for p in some)
            scale = self.scales.setdefault(key, 2.0 ** np.ceil(np.log2(largest)) if largest else 1.0)
            for p in some:
                weights = np.clip(np.round(matrix_of(p.rule) / (GRID * scale)), -ROOM / GRID, ROOM / GRID)
                changed.append(replace(p, rule=with_matrix(p.rule, weights * (GRID * scale))))
        return network.swap(*changed)

    def _restarted(self, network: Network) -> Network:
        """Return the network with new weights into free units, as wide as those of the beginning."""
        generator = np.random.default_rng((self.seed, self.learned, 1))
        masks: Masks = {}
        values = {}
        for p in network.projections:
            if p.post in self.used:
                width = float(matrix_of(projection(self.first, p.name).rule).std())
                masks[p.name] = between(p, None, ~self.used[p.post])
                values[p.name] = generator.normal(0.0, width, masks[p.name].shape)
        return masked(network, masks, values)
