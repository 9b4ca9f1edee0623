"""Linear read-outs: ridge regression and logistic regression, their penalty chosen on validation samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax

from spikesim.errors import InvalidValueError

Floats = NDArray[np.float64]

RIDGE = tuple(10.0**e for e in range(-4, 4))
LOGISTIC = (1e-4, 1e-3, 1e-2, 1e-1)


@dataclass(frozen=True, eq=False)
class Linear:
    """A read-out ``y = x weights + bias``.

    Parameters
    ----------
    weights
        Float64 ``[features, outputs]``.
    bias
        Float64 ``[outputs]``.
    penalty
        The one that was chosen.
    """

    weights: Floats
    bias: Floats
    penalty: float

    def __call__(self, x: Floats) -> Floats:
        """Return ``[..., outputs]``."""
        return x @ self.weights + self.bias

    @property
    def synapses(self) -> int:
        """Weights other than 0."""
        return int(np.count_nonzero(self.weights))


def ridge(x: Floats, y: Floats, penalties: Sequence[float] = RIDGE, validation: float = 0.2) -> Linear:
    """Fit ``min |y - x w - b|^2 + penalty |w|^2``; the intercept is not penalised.

    Parameters
    ----------
    x, y
        ``[samples, features]``, ``[samples, outputs]``, in the order of time.
    penalties
        Tried in turn; one alone is taken as it is.
    validation
        Part at the end on which they are compared; the best is then fitted to everything.

    Raises
    ------
    InvalidValueError
        If shapes do not fit or there are fewer than two samples to learn from.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(50, 3))
    >>> ridge(x, x @ [[1.0], [2.0], [3.0]] + 5.0, [1e-9]).weights.round(3).ravel()
    array([1., 2., 3.])
    """
    cut = _check(x, y, penalties, validation)
    best = penalties[0]
    if len(penalties) > 1:
        tried = _Ridge(x[:cut], y[:cut])
        errors = [float(((tried.fit(a)(x[cut:]) - y[cut:]) ** 2).mean()) for a in penalties]
        best = penalties[int(np.argmin(errors))]
    return _Ridge(x, y).fit(best)


class _Ridge:
    """One decomposition of the covariance serves all penalties."""

    def __init__(self, x: Floats, y: Floats) -> None:
        self.mean, self.level = x.mean(axis=0), y.mean(axis=0)
        centred = x - self.mean
        self.values, self.vectors = np.linalg.eigh(centred.T @ centred)
        self.product = self.vectors.T @ (centred.T @ (y - self.level))

    def fit(self, penalty: float) -> Linear:
        room = np.maximum(self.values, 0.0) + max(penalty, 1e-12 * float(self.values[-1]), 1e-300)
        weights = self.vectors @ (self.product / room[:, None])
        return Linear(weights, self.level - self.mean @ weights, penalty)


def logistic(
    x: Floats, labels: NDArray[np.int64], penalties: Sequence[float] = LOGISTIC, validation: float = 0.2, seed: int = 0
) -> Linear:
    """Fit a softmax: mean cross-entropy plus ``penalty / 2`` times the squared weights of standardised features.

    Parameters
    ----------
    x, labels
        ``[samples, features]``, class numbers ``[samples]`` from 0.
    penalties, validation
        As of :func:`ridge`; the validation samples are drawn at random.
    seed
        Of that draw.

    Examples
    --------
    >>> x = np.array([[-2.0], [-1.0], [1.0], [2.0]])
    >>> logistic(x, np.array([0, 0, 1, 1]), [1e-2])(x).argmax(1)
    array([0, 0, 1, 1])
    """
    cut = _check(x, labels, penalties, validation)
    mean, sd = x.mean(axis=0), x.std(axis=0)
    scale = np.where(sd > 1e-12, sd, np.inf)  # a neuron that never changes says nothing
    z, classes = (x - mean) / scale, int(labels.max()) + 1
    best = penalties[0]
    if len(penalties) > 1:
        order = np.random.default_rng(seed).permutation(len(z))
        fit, held = order[:cut], order[cut:]
        right, start = [], None
        for a in sorted(penalties, reverse=True):  # from the easiest on, each from the last one's solution
            start = _softmax(z[fit], labels[fit], classes, a, start)
            right.append((_accuracy(start, z[held], labels[held]), a))
        best = max(right)[1]  # of equals the larger penalty
    weights = _softmax(z, labels, classes, best, None)
    slope = weights[:-1] / scale[:, None]
    return Linear(slope, weights[-1] - mean @ slope, best)


def _accuracy(weights: Floats, z: Floats, labels: NDArray[np.int64]) -> float:
    return float(((z @ weights[:-1] + weights[-1]).argmax(axis=1) == labels).mean())


def _softmax(z: Floats, labels: NDArray[np.int64], classes: int, penalty: float, start: Floats | None) -> Floats:
    """Return weights and, in the last row, biases: ``[features + 1, classes]``."""
    n, m = z.shape
    wanted = np.eye(classes)[labels]

    def cost(flat: Floats) -> tuple[float, Floats]:
        w = flat.reshape(m + 1, classes)
        log_p = log_softmax(z @ w[:-1] + w[-1], axis=1)
        wrong = (np.exp(log_p) - wanted) / n
        slope = np.concatenate([z.T @ wrong + penalty * w[:-1], wrong.sum(axis=0)[None]])
        return float(-(log_p * wanted).sum() / n + 0.5 * penalty * (w[:-1] ** 2).sum()), slope.ravel()

    first = np.zeros((m + 1) * classes) if start is None else start.ravel()
    return np.asarray(minimize(cost, first, jac=True, method="L-BFGS-B", options={"maxiter": 300}).x).reshape(
        m + 1, classes
    )


def _check(x: Floats, y: NDArray[np.generic], penalties: Sequence[float], validation: float) -> int:
    """Return where the validation part begins."""
    cut = round(len(x) * (1 - validation))
    if x.ndim != 2 or len(x) != len(y) or not 2 <= cut < len(x) + (len(penalties) == 1):
        raise InvalidValueError(
            f"a read-out needs features [samples, features] and as many targets, at least two to learn from and one to "
            f"choose on; found shapes {x.shape} and {y.shape}, validation={validation}"
        )
    if not penalties or min(penalties) < 0:
        raise InvalidValueError(f"penalties must be at least one number of at least 0, found {list(penalties)}")
    return cut
