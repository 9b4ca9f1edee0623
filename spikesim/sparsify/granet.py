"""GraNet: gradual pruning in which synapses are also swapped, so that what was pruned too early can come back.

Every so many batches the largest weights of all matrices are kept, fewer each time along a cubic schedule; then, in
each matrix, the weakest synapses that are left make room for as many new ones where the gradient is largest.
Without the swap this is gradual magnitude pruning; without the schedule it is RigL.

Reference: Liu et al., "Sparse training via boosting pruning plasticity with neuroregeneration", NeurIPS 2021,
arXiv 2106.10404. Different from the code that comes with it: the final sparsity is reached exactly; synapses that are
there never take a place among the grown ones, however many gradients are 0, so the swap never changes their number;
dropped weights are 0 at once, also where they grow again; moments of grown weights are 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.sparsify.gradual import cubic_sparsity, keep_largest
from spikesim.sparsify.masks import Masks
from spikesim.sparsify.rigl import erk_densities, random_masks, swap, swap_share

if TYPE_CHECKING:
    import torch

    from spikesim.sparsify.masks import Mask
    from spikesim.train.upkeep import Ground

SCORES = {
    "grad": "the gradient of the batch at which synapses are swapped, also where there is no synapse",
    "elig": "the sizes of the gradients of all updates since the last swap, summed: an eligibility that synapses "
    "can keep themselves, and that a silent batch does not erase",
    "random": "nothing: places are drawn (SET)",
}
EVENTS = 36  # in a training, unless `every` says otherwise


@dataclass(frozen=True)
class GraNet:
    """Gradual pruning with regrowth, as ``train(..., sparsity=GraNet(0.98))``.

    Parameters
    ----------
    sparsity
        Share of weights that are 0 in the end, 0 to below 1.
    start
        Share that is 0 from the beginning, at random places with Erdos-Renyi-kernel densities.
    every
        Batches between events; by default a 36th of the training.
    until
        Share of training after which no more is pruned.
    swap, swap_end
        Share of each matrix's synapses that an event swaps, at the beginning and at the end of training; 0: none.
    score
        Where synapses grow: a name in :data:`SCORES`.
    scope
        ``"global"`` compares weights of all matrices; ``"uniform"`` prunes each matrix to the same sparsity.
    keep_readout
        Leave the matrices that lead to the last population dense; they do not count.
    exempt
        Projections that are left dense and do not count.

    Raises
    ------
    InvalidValueError, UnknownNameError
        If a value is out of range.
    """

    sparsity: float
    start: float = 0.0
    every: int | None = None
    until: float = 0.6
    swap: float = 0.5
    swap_end: float = 0.005
    score: str = "grad"
    scope: str = "global"
    keep_readout: bool = False
    exempt: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for kind, name, known in (("score", self.score, SCORES), ("scope", self.scope, ("global", "uniform"))):
            if name not in known:
                raise UnknownNameError(kind, name, list(known))
        problems = []
        if not 0.0 <= self.sparsity < 1.0:
            problems.append(f"sparsity must be from 0 to below 1, found {self.sparsity!r}")
        if not 0.0 <= self.start <= self.sparsity:
            problems.append(f"start must be from 0 to sparsity ({self.sparsity!r}), found {self.start!r}")
        for name in ("swap", "swap_end"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                problems.append(f"{name} must be from 0 to 1, found {getattr(self, name)!r}")
        if not 0.0 < self.until <= 1.0:
            problems.append(f"until must be above 0 and at most 1, found {self.until!r}")
        if self.every is not None and not self.every >= 1:
            problems.append(f"every must be at least 1 batch, found {self.every!r}")
        if problems:
            raise InvalidValueError("\n".join(problems))

    def attend(self, ground: Ground) -> Pruner:
        """Begin with a training."""
        return Pruner(self, ground)


def Gradual(sparsity: float, **settings: Any) -> GraNet:
    """Return gradual magnitude pruning: GraNet that swaps nothing. Settings as for :class:`GraNet`."""
    return GraNet(sparsity, **{"swap": 0.0, "swap_end": 0.0, **settings})


def Rigl(sparsity: float, **settings: Any) -> GraNet:
    """Return sparse training as RigL does it: GraNet that begins at its final sparsity and only swaps."""
    return GraNet(sparsity, **{"start": sparsity, "swap": 0.3, "swap_end": 0.0, **settings})


NAMED: dict[str, Callable[[float], GraNet]] = {"granet": GraNet, "gradual": Gradual, "gmp": Gradual, "rigl": Rigl}


def sparsity_named(text: str) -> GraNet:
    """Return what ``"granet:0.98"`` means; also ``"gradual"`` (or ``"gmp"``) and ``"rigl"``.

    >>> sparsity_named("rigl:0.9").start
    0.9
    """
    name, _, share = text.partition(":")
    if name not in NAMED:
        raise UnknownNameError("sparsity", name, list(NAMED))
    try:
        value = float(share)
    except ValueError:
        raise InvalidValueError(
            f"sparsity needs a name and a share of weights that are 0, such as 'granet:0.98', found {text!r}"
        ) from None
    return NAMED[name](value)


class Pruner:
    """Masks the weights of one training as :class:`GraNet` says.

    Parameters
    ----------
    plan
        What was asked for.
    ground
        The training.

    Raises
    ------
    InvalidValueError, UnknownNameError
        If there is nothing to prune, or training is too short.
    """

    def __init__(self, plan: GraNet, ground: Ground) -> None:
        self.plan, self.ground = plan, ground
        self.store = Masks(ground, _exempt(plan, ground))
        self.every = plan.every or max(1, ground.batches // EVENTS)
        self.events = int(plan.until * ground.batches / self.every + 1e-9)
        if not self.store.matrices:
            raise InvalidValueError("sparsity: there is no matrix of weights left to prune; exempt fewer projections")
        if self.events < 1 and plan.sparsity > plan.start:
            raise InvalidValueError(
                f"sparsity: training has {ground.batches} batches, of which pruning may take "
                f"{plan.until * ground.batches:.4g}, too few for one event every {self.every}; lower every, or train "
                "for more epochs"
            )
        first = self.store.matrices[0].weight
        self.done = first.new_zeros((1,), dtype=_whole(first))
        self.log = first.new_full((ground.batches // self.every, len(self.store.matrices)), float("nan"))
        self.sums = {m.name: m.weight.new_zeros(m.weight.shape) for m in self.store.matrices if plan.score == "elig"}
        self.seen: dict[str, Any] = {}
        if plan.start > 0.0:
            self._start()

    def _start(self) -> None:
        shapes = {m.name: tuple(m.weight.shape) for m in self.store.matrices}
        sizes = {name: int(np.prod(shape)) for name, shape in shapes.items()}
        densities = erk_densities({m.name: m.dims for m in self.store.matrices}, sizes, 1.0 - self.plan.start)
        self.store.set(random_masks(shapes, densities, np.random.default_rng((self.ground.seed, 0))))

    @property
    def settled(self) -> float:
        """Share of training after which nothing is pruned any more."""
        return min(self.events * self.every / self.ground.batches, 1.0)

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return masks, the number of batches done, densities of each event, and eligibilities."""
        found = {f"mask{k}": kept for k, kept in enumerate(self.store.kept.values())}
        found |= {f"elig{k}": total for k, total in enumerate(self.sums.values())}
        return found | {"done": self.done, "log": self.log}

    def masks(self) -> dict[str, Mask]:
        """Return the masks by the names of matrices."""
        return {name: self.store.mask(name) for name in self.store.kept}

    def watch(self, rasters: Mapping[str, torch.Tensor]) -> None:
        """Do nothing: weights and gradients are all that counts."""

    def gradients(self) -> None:
        """Note where synapses would help, and mask the gradients."""
        due = (int(self.done[0]) + 1) % self.every == 0
        for matrix in self.store.matrices:
            gradient = matrix.weight.grad
            if gradient is not None and self.plan.score == "elig":
                self.sums[matrix.name].add_(gradient.abs())
            elif gradient is not None and due and self.plan.score == "grad":
                self.seen[matrix.name] = gradient.clone()
        self.store.gradients()

    def stepped(self) -> None:
        """Mask weights and moments."""
        self.store.weights()

    def batch(self) -> None:
        """Prune and swap, if it is time to."""
        self.done += 1
        number, rest = divmod(int(self.done[0]), self.every)
        if rest == 0:
            self._prune(number)
            if int(self.done[0]) < self.ground.batches:  # what grows in the end would never learn
                self._swap(number)
            self.log[number - 1] = self.log.new_tensor(list(self.store.density().values()))

    def _prune(self, number: int) -> None:
        plan = self.plan
        if number > self.events or plan.sparsity == plan.start:
            return
        sparsity = cubic_sparsity(number, self.events, plan.start, plan.sparsity)
        weights = {m.name: self.store.weight(m.name) for m in self.store.matrices}
        generator = np.random.default_rng((self.ground.seed, number, 0))
        self.store.set(keep_largest(weights, self.masks(), sparsity, generator, plan.scope))

    def _swap(self, number: int) -> None:
        plan = self.plan
        share = swap_share(int(self.done[0]) / self.ground.batches, plan.swap, plan.swap_end)
        for k, matrix in enumerate(self.store.matrices if share > 0.0 else ()):
            generator = np.random.default_rng((self.ground.seed, number, 1 + k))
            mask, weight = self.store.mask(matrix.name), self.store.weight(matrix.name)
            swapped = swap(weight, mask, self._score(matrix.name, weight.shape, generator), share, generator)
            self.store.set({matrix.name: swapped.mask})
            self.store.zero(matrix.name, swapped.grown)
        self.seen = {}
        for total in self.sums.values():
            total.zero_()

    def _score(self, name: str, shape: tuple[int, ...], generator: np.random.Generator) -> Any:
        if self.plan.score == "random":
            return generator.random(shape)
        found = self.sums.get(name, self.seen.get(name))
        return np.zeros(shape) if found is None else found.detach().cpu().double().numpy()

    def report(self) -> dict[str, Any]:
        """Return the sparsity and densities in the end, and the densities after each event."""
        names = list(self.store.kept)
        sizes = np.array([m.weight.numel() for m in self.store.matrices])
        density = self.store.density()
        rows = self.log[: int(self.done[0]) // self.every].cpu().double().numpy()
        return {
            "sparsity": float(1.0 - np.average(list(density.values()), weights=sizes)),
            "density": density,
            "every": self.every,
            "densities": {name: rows[:, k].tolist() for k, name in enumerate(names)},
        }


def _exempt(plan: GraNet, ground: Ground) -> frozenset[str]:
    """Return the names of matrices without a mask."""
    known = list(dict.fromkeys(m.name.partition("/")[0] for m in ground.matrices))
    for name in plan.exempt:
        if name not in known:
            raise UnknownNameError("learned projection:", name, known)
    return frozenset(
        m.name for m in ground.matrices if m.name.partition("/")[0] in plan.exempt or (plan.keep_readout and m.readout)
    )


def _whole(tensor: torch.Tensor) -> torch.dtype:
    """Return the type of whole numbers, of a library that may be missing."""
    found: torch.dtype = tensor.long().dtype
    return found
