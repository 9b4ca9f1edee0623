"""Cures of dormant neurons while a network learns: mix all weights with fresh ones, revive neurons, or excite them.

Each cure counts the spikes of the populations before the last one over some batches, finds out which neurons are
dormant (:func:`spikesim.analyse.dormant_ratio`; those that never fired are), and acts. Fresh weights are drawn, with
replacement, from those that the same matrix had when training began, so they are distributed like the initial ones
whatever initialised these. Membranes begin anew with every sample anyway.

References: shrink and perturb, its factor by the dormant ratio: Xu et al., "DrM", ICLR 2024, arXiv 2310.19668. ReDo:
Sokar et al., "The dormant neuron phenomenon in deep reinforcement learning", ICML 2023, arXiv 2302.12902.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from spikesim.analyse.dormancy import TAU, Dormancy, dormant_ratio, perturb_factor
from spikesim.errors import InvalidValueError
from spikesim.sparsify.masks import moments

if TYPE_CHECKING:
    import torch

    from spikesim.train.upkeep import Ground

EVENTS = 12  # in a training, unless `every` says otherwise


@dataclass(frozen=True)
class Watch:
    """Counts dormant neurons while a network trains, and cures nothing: ``train(..., cure=Watch())``.

    Parameters
    ----------
    every
        Batches between looks; by default a twelfth of the training. Spikes are counted over all of them.
    tau
        Largest score of a dormant neuron.
    """

    every: int | None = None
    tau: float = TAU

    def __post_init__(self) -> None:
        problems = []
        if self.every is not None and not self.every >= 1:
            problems.append(f"every must be at least 1 batch, found {self.every!r}")
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, float) and not (np.isfinite(value) and value >= 0.0):
                problems.append(f"{field.name} must be finite and at least 0, found {value!r}")
        if problems:
            raise InvalidValueError("\n".join(problems))

    def attend(self, ground: Ground) -> Healer:
        """Begin with a training."""
        if not ground.hidden:
            raise InvalidValueError(
                "cure needs a Network with spiking populations before the last one, found none; leave cure out"
            )
        self.check(ground)
        return Healer(self, ground)

    def check(self, ground: Ground) -> None:
        """Refuse a training that the cure does not fit."""

    def act(self, found: Dormancy, healer: Healer, generator: np.random.Generator) -> None:
        """Cure, in place."""


@dataclass(frozen=True)
class Perturb(Watch):
    """Mix all weights with fresh ones, the more neurons are dormant: ``a W + (1 - a) fresh``, and forget all moments.

    Parameters
    ----------
    every, tau
        See :class:`Watch`.
    k, a_min, a_max
        ``a = clip(1 - k ratio, a_min, a_max)``; ``a_max=1`` leaves weights alone while no neuron is dormant.
    """

    k: float = 2.0
    a_min: float = 0.2
    a_max: float = 0.9

    def act(self, found: Dormancy, healer: Healer, generator: np.random.Generator) -> None:
        """Cure."""
        a = perturb_factor(found.ratio, self.k, self.a_min, self.a_max)
        if a == 1.0:
            return
        perturb([m.weight for m in healer.ground.matrices], healer.start, a, generator)
        healer.ground.optimiser.state.clear()


@dataclass(frozen=True)
class Redo(Watch):
    """Give dormant neurons fresh incoming weights and take their outgoing ones, so that what the network says stays."""

    def act(self, found: Dormancy, healer: Healer, generator: np.random.Generator) -> None:
        """Cure."""
        at = {id(m.weight): k for k, m in enumerate(healer.ground.matrices)}
        for name, mask in found.masks.items():
            if not mask.any():
                continue
            touched = healer.ground.module.touching(name, healer.counts[name].new_tensor(mask).bool())
            for weight, entries in touched.incoming:
                weight.copy_(fresh(weight, healer.start[at[id(weight)]], generator).where(entries, weight))
            for weight, entries in touched.outgoing:
                weight.masked_fill_(entries, 0.0)
            for weight, entries in (*touched.incoming, *touched.outgoing):
                moments(healer.ground.optimiser, weight, lambda m, entries=entries: m.masked_fill_(entries, 0.0))


@dataclass(frozen=True)
class Homeostasis(Watch):
    """Make dormant neurons more excitable: raise their bias, or lower their threshold.

    Parameters
    ----------
    every, tau
        See :class:`Watch`.
    step
        By how much at a time, in the unit of the parameter.
    parameter
        ``"bias"`` rises, ``"v_th"`` or ``"th"`` falls. It must be learned, one value per neuron:
        ``train(..., params={"hidden": {"bias": "neuron"}})``.
    """

    step: float = 0.1
    parameter: str = "bias"

    def check(self, ground: Ground) -> None:
        """Refuse a training in which no population learns the parameter for each neuron."""
        if self.parameter not in ("bias", "v_th", "th"):
            raise InvalidValueError(f"parameter must be 'bias', 'v_th' or 'th', found {self.parameter!r}")
        if not self._found(ground):
            raise InvalidValueError(
                f"homeostasis changes a learned {self.parameter!r} with one value per neuron, and no population before "
                f"the last has one; pass params={{'hidden': {{{self.parameter!r}: 'neuron'}}}} with its name"
            )

    def _found(self, ground: Ground) -> dict[str, torch.Tensor]:
        learned = {
            key.split("/")[0]: v for key, v in ground.module.learned.items() if key.endswith(f"/{self.parameter}")
        }
        return {name: v for name, v in learned.items() if v.numel() == ground.module.graph.node(name).n}

    def act(self, found: Dormancy, healer: Healer, generator: np.random.Generator) -> None:
        """Cure."""
        sign = 1.0 if self.parameter == "bias" else -1.0
        for name, values in self._found(healer.ground).items():
            if name in found.masks:
                scale = healer.ground.module.scales[f"{name}/{self.parameter}"]
                values.add_(values.new_tensor(found.masks[name]).view_as(values), alpha=sign * self.step / scale)
        healer.ground.module.constrain_()


class Healer:
    """Watches the neurons of one training, and lets a cure act.

    Parameters
    ----------
    plan
        The cure.
    ground
        The training.

    Attributes
    ----------
    start
        Weights of each matrix when training began.
    counts
        Spikes of each neuron since the last look, float64 ``[n]``, by population.
    """

    settled = 0.0

    def __init__(self, plan: Watch, ground: Ground) -> None:
        self.plan, self.ground = plan, ground
        self.every = plan.every or max(1, ground.batches // EVENTS)
        self.start = [m.weight.detach().clone() for m in ground.matrices]
        like = self.start[0] if self.start else next(ground.module.parameters())
        self.counts = {name: like.new_zeros((n,)).double() for name, n in ground.hidden.items()}
        self.samples = like.new_zeros((1,)).double()
        self.done = like.new_zeros((1,)).long()
        self.ratios = like.new_full((max(ground.batches // self.every, 1), len(self.counts) + 1), float("nan")).double()

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return counts, number of batches and samples, and the ratios so far."""
        found = {f"counts{k}": c for k, c in enumerate(self.counts.values())}
        return found | {"samples": self.samples, "done": self.done, "ratios": self.ratios}

    def watch(self, rasters: Mapping[str, torch.Tensor]) -> None:
        """Count spikes."""
        for name, spikes in rasters.items():
            if name in self.counts:
                self.counts[name] += spikes.detach().sum((0, 1), dtype=self.samples.dtype)
        if rasters:
            self.samples += next(iter(rasters.values())).shape[1]

    def gradients(self) -> None:
        """Do nothing: dormancy is about spikes."""

    def stepped(self) -> None:
        """Do nothing: cures come after batches."""

    def batch(self) -> None:
        """Look, and cure, if it is time to."""
        self.done += 1
        number, rest = divmod(int(self.done[0]), self.every)
        if rest or not float(self.samples[0]):
            return
        found = self.look()
        self.ratios[number - 1] = self.ratios.new_tensor([found.ratio, *found.per_layer.values()])
        if int(self.done[0]) < self.ground.batches:  # a cure needs training to follow
            self.plan.act(found, self, np.random.default_rng((self.ground.seed, number)))
        for count in (*self.counts.values(), self.samples):
            count.zero_()

    def look(self) -> Dormancy:
        """Return which neurons were dormant since the last look."""
        samples = float(self.samples[0])
        seen = {name: count.cpu().numpy()[None] / samples for name, count in self.counts.items()}
        return dormant_ratio(seen, self.plan.tau, r_min=1.0 / samples)

    def report(self) -> dict[str, Any]:
        """Return the dormant ratio at each look, of all neurons and by population."""
        rows = self.ratios[: int(self.done[0]) // self.every].cpu().numpy()
        layers = {name: rows[:, 1 + k].tolist() for k, name in enumerate(self.counts)}
        return {"every": self.every, "dormant": rows[:, 0].tolist(), "per_layer": layers}


def fresh(weight: torch.Tensor, start: torch.Tensor, generator: np.random.Generator) -> torch.Tensor:
    """Return weights like others, each drawn from the values that they had when training began."""
    places = generator.integers(0, max(start.numel(), 1), weight.numel())
    return start.flatten()[start.new_tensor(places).long()].view(weight.shape)


def perturb(
    weights: Sequence[torch.Tensor], start: Sequence[torch.Tensor], a: float, generator: np.random.Generator
) -> None:
    """Change weights in place to ``a W + (1 - a) fresh``; 1 changes nothing, 0 begins anew.

    Parameters
    ----------
    weights
        Tensors, without gradients being followed (``torch.no_grad()``).
    start
        What each was at the beginning: fresh weights are drawn from it.
    a
        Share that is kept, as :func:`spikesim.analyse.perturb_factor` gives it.
    generator
        Draws.
    """
    for weight, first in zip(weights, start, strict=True):
        weight.mul_(a).add_(fresh(weight, first, generator), alpha=1.0 - a)
