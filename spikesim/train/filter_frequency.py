"""Training with a say in the frequencies of the first filters: fixed proportions, learnable modulation, DCT penalties.

What a proportion is, and what is known of the source, is in :mod:`spikesim.analyse.filter_frequency`. The penalties
follow the public code ``jovitalukasik/filter_freq_reg`` (Lukasik, Gavrikov, Keuper and Keuper, "Improving Native CNN
Robustness with Filter Frequency Regularization", TMLR 2023), with an orthonormal DCT basis in place of theirs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrize

from spikesim.analyse.filter_frequency import SIZE, dct_basis, first_filters, low_count, low_projection, radius
from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.network import Network
from spikesim.train.learned import with_learned
from spikesim.train.loop import train
from spikesim.train.losses import loss as loss_by_name
from spikesim.train.reading import Reading
from spikesim.train.result import Trained

PENALTIES = ("dct_weighted", "dct_top", "dct_monotone")


class FrequencyControl(nn.Module):  # type: ignore[misc]
    """Filters of which the first ``round(q filters)`` are replaced by their low-pass part, the rest by their high one.

    The projection is linear, so gradients pass it.

    Parameters
    ----------
    shape
        Of the weights: filters, channels, height, width.
    q
        Proportion of low-pass filters, 0 to 1.
    kind
        What low means, see :func:`spikesim.analyse.filter_frequency.low_projection`.
    """

    def __init__(self, shape: tuple[int, ...], q: float, kind: str = "binomial") -> None:
        super().__init__()
        self.first = low_count(q, shape[0])
        map_ = torch.tensor(low_projection(shape[2], shape[3], kind), dtype=torch.float32)
        self.register_buffer("low", map_, persistent=False)

    def forward(self, weights: torch.Tensor) -> torch.Tensor:
        """Return the filters with the proportion."""
        low = torch.einsum("yxpq,ocpq->ocyx", self.low.to(weights.dtype), weights)
        return torch.cat([low[: self.first], (weights - low)[self.first :]])


class FrequencyModulation(nn.Module):  # type: ignore[misc]
    """Filters whose amplitudes are scaled band by band, and perturbed while training; phases stay.

    ``A' = A exp(gamma[band])`` and, in training mode, ``A'' = A' (1 + sigma N(0, 1))`` per bin, the draws being
    symmetric so that filters stay real. The result is cut to the size of the kernel: energy outside it is lost.

    Parameters
    ----------
    shape
        Of the weights.
    n
        Size of the padded filters. What a perturbation changes within a ``k x k`` kernel is about ``sigma k / n`` of
        its size, the rest is cut off: choose a small ``n`` for one that is felt.
    bands
        Number of rings of equal width.
    sigma
        Of the perturbation; 0.1 to 0.3 is usual.
    per_filter
        Whether every filter has its own ``gamma``.
    seed
        Of the perturbation.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        n: int = SIZE,
        bands: int = 4,
        sigma: float = 0.2,
        per_filter: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        problems = []
        if n < max(shape[2:]):
            problems.append(f"modulation: n is {n}; allowed is from {max(shape[2:])}, the size of the filters")
        if bands < 1:
            problems.append(f"modulation: bands is {bands!r}; allowed is a whole number from 1")
        if not sigma >= 0:
            problems.append(f"modulation: sigma is {sigma!r}; allowed is a number from 0")
        if problems:
            raise InvalidValueError("\n".join(problems))
        self.n, self.sigma = n, sigma
        self.gamma = nn.Parameter(torch.zeros(shape[0] if per_filter else 1, bands))
        rho = torch.tensor(radius(n))
        band = (rho * bands / rho.max()).long().clamp(max=bands - 1)
        self.register_buffer("band", band, persistent=False)
        self.register_buffer("twin", _twins(n), persistent=False)
        self.generator = torch.Generator().manual_seed(seed)

    def forward(self, weights: torch.Tensor) -> torch.Tensor:
        """Return the modulated filters."""
        height, width = weights.shape[2:]
        gain = self.gamma.to(weights.dtype)[:, self.band].exp()[:, None]
        if self.training and self.sigma:
            gain = gain * (1.0 + self.sigma * self.draw(len(weights), weights.dtype))[:, None]
        # a real gain leaves the phase as it is
        changed = torch.fft.fft2(weights, s=(self.n, self.n)) * gain
        return torch.fft.ifft2(changed).real[..., :height, :width].to(weights.dtype)

    def draw(self, filters: int, dtype: torch.dtype) -> torch.Tensor:
        """Draw normal numbers ``[filters, n, n]``, equal for frequencies ``(u, v)`` and ``(-u, -v)``."""
        free = torch.randn((filters, self.n * self.n), generator=self.generator, dtype=dtype)
        return free[:, self.twin].view(filters, self.n, self.n)


def _twins(n: int) -> torch.Tensor:
    """Return for each bin of an ``n x n`` DFT the smaller of its own number and that of the opposite frequency."""
    number = torch.arange(n * n).view(n, n)
    opposite = torch.roll(number.flip(0, 1), (1, 1), (0, 1))
    return torch.minimum(number, opposite).flatten()


@dataclass(frozen=True)
class DCTPenalty:
    """A cost of high frequencies in filters, from their DCT coefficients (norms over filters and channels).

    Parameters
    ----------
    kind
        ``"dct_weighted"``: sum of ``(i^2 + j^2) |coef[i, j]|``; ``"dct_top"``: twice the norm of the highest row and
        column; ``"dct_monotone"``: by how much an anti-diagonal's norm exceeds that of the one before.
    strength
        Factor.
    """

    kind: str = "dct_weighted"
    strength: float = 1e-3

    def __post_init__(self) -> None:
        if self.kind not in PENALTIES:
            raise UnknownNameError("penalty", self.kind, PENALTIES)
        if not self.strength >= 0:
            raise InvalidValueError(f"penalty: strength is {self.strength!r}; allowed is a number from 0")

    def __call__(self, weights: torch.Tensor) -> torch.Tensor:
        """Return the cost of filters ``[filters, channels, height, width]``."""
        rows, columns = (torch.tensor(dct_basis(k), dtype=weights.dtype) for k in weights.shape[2:])
        coefficients = torch.einsum("iy,ocyx,jx->ijoc", rows, weights, columns).flatten(2)
        i, j = torch.arange(len(rows))[:, None], torch.arange(len(columns))[None, :]
        match self.kind:
            case "dct_weighted":
                cost = ((i * i + j * j) * torch.linalg.vector_norm(coefficients, dim=2)).sum()
            case "dct_top":
                cost = 2.0 * torch.linalg.vector_norm(coefficients[(i == len(rows) - 1) | (j == len(columns) - 1)])
            case _:
                norms = [
                    torch.linalg.vector_norm(coefficients[i + j == s]) for s in range(len(rows) + len(columns) - 1)
                ]
                sizes = torch.stack(norms)
                cost = (sizes[1:] - sizes[:-1]).clamp(min=0.0).sum()
        return self.strength * cost


class _WithFilters(Reading):
    """A network that learns, with the weights of its first convolution made by a parametrisation."""

    def __init__(self, network: Network, readout: str, way: nn.Module | None, **settings: Any) -> None:
        super().__init__(network, readout, learn=True, **settings)
        self.held = self.filters_of(first_filters(network)[0])
        if way is not None:
            parametrize.register_parametrization(self.held, "weight", way)
            if hasattr(way, "generator"):
                self.generators = {"perturbation": way.generator}  # a checkpoint keeps its state

    def constrain_(self) -> None:
        self.inner.constrain_()


def train_filters(
    network: Network,
    data: Any,
    *,
    proportion: float | None = None,
    low: str = "binomial",
    modulation: dict[str, Any] | None = None,
    penalty: DCTPenalty | None = None,
    loss: str = "rate_cross_entropy",
    surrogate: str = "arctan",
    fold: bool = True,
    **options: Any,
) -> Trained:
    """Train a network with a say in the frequencies of its first convolution.

    Parameters
    ----------
    network, data
        As for :func:`spikesim.train.train`.
    proportion, low
        Keep this proportion of low-pass filters, 0 to 1 (:class:`FrequencyControl`, whose ``kind`` is ``low``).
    modulation
        Settings of a :class:`FrequencyModulation` that is learned: ``{"bands": 4, "sigma": 0.2}``.
    penalty
        Added to the loss.
    loss, surrogate, fold
        As for :func:`spikesim.train.train`.
    **options
        Its other options: ``steps``, ``epochs``, ``learning_rate``, ``seed``, ...

    Returns
    -------
    Trained
        Its network has ordinary weights: the controlled or modulated ones, without perturbation.

    Raises
    ------
    NetworkError
        If the network has no convolution.
    InvalidValueError
        If the first filters are smaller than 2 x 2, or both proportion and modulation are given.

    Examples
    --------
    See ``examples/filter_frequency.py``.
    """
    shape = first_filters(network)[1].shape
    if min(shape[2:]) < 2:
        low_projection(shape[2], shape[3])  # says what is wrong
    if proportion is not None and modulation is not None:
        raise InvalidValueError("proportion fixes what modulation would learn; give one of them")
    way: nn.Module | None = None
    if proportion is not None:
        way = FrequencyControl(shape, proportion, low)
    elif modulation is not None:
        way = FrequencyModulation(shape, **modulation)
    chosen = loss_by_name(loss, **(options.get("loss_settings") or {}))
    module = _WithFilters(
        network, options.get("readout") or chosen.readout, way, dtype=options.get("dtype", "float32"),
        surrogate=surrogate,
    )  # fmt: skip
    rule = _penalised(module, penalty) if penalty is not None else "bptt"
    trained = train(module, data, loss=loss, rule=rule, **options)
    module.eval()
    learned = with_learned(network, module.inner, fold=fold)
    return replace(trained, network=learned)


def _penalised(module: _WithFilters, penalty: DCTPenalty) -> Callable[..., tuple[Any, float]]:
    """Return backpropagation with a penalty on the first filters."""

    def rule(task: Any, batch: Any, update: Callable[[], None]) -> tuple[Any, float]:
        loss, score = task(batch)
        (loss + penalty(module.held.weight)).backward()
        update()
        return loss.detach(), score

    return rule


__all__ = ["DCTPenalty", "FrequencyControl", "FrequencyModulation", "train_filters"]
