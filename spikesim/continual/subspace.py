"""The lateral circuit of HLOP in matrix form: rows that learn the principal subspace of what they see.

Reference and equations: :mod:`spikesim.continual.hlop`.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from spikesim.engine import backend
from spikesim.errors import InvalidValueError

SATURATION = 20.0
"""The largest response of a spiking lateral neuron, of either sign."""

FEW = 64
"""Of fewer rows, to list the events takes longer than to multiply by zeros."""


def away_from(x: Any, rows: Any) -> Any:
    """Return ``x - (x H^T) H``: what orthonormal rows ``H`` leave of activity or of a gradient.

    Parameters
    ----------
    x
        ``[m, n]``, of numpy or torch.
    rows
        ``[k, n]``, of the same kind.
    """
    return x - (x @ rows.T) @ rows


def like(values: Any, x: Any) -> Any:
    """Return an array as one of the library, precision and device of ``x``; the same array if it is one already."""
    if isinstance(x, np.ndarray):
        return np.asarray(values if isinstance(values, np.ndarray) else values.cpu().numpy(), x.dtype)
    import torch

    return torch.as_tensor(values).to(x)


def _products(x: Any, *matrices: Any) -> tuple[Any, ...]:
    """Return ``x @ a`` and ``x.T @ b`` as functions, by events where rows are sparse, and matrices for them."""
    if isinstance(x, np.ndarray):
        return operator.matmul, lambda a, b: a.T @ b, *matrices
    matrices = tuple(matrix.contiguous() for matrix in matrices)
    if len(x) < FEW:
        return operator.matmul, lambda a, b: a.T @ b, *matrices
    engine: Any = backend("torch")
    return engine.product, engine.outer, *matrices


class Subspace:
    """The lateral circuit of one projection, in matrix form.

    Parameters
    ----------
    n
        Size of a row: sources, or channels x height x width of a patch.
    learning_rate
        Of the lateral weights. Stable below about 1 over the largest eigenvalue of ``E[x^T x]``; the clip hides
        a divergence instead of stopping it.
    momentum
        ``M = momentum M + (1 - momentum) dH``.
    iterations
        Updates per batch of rows.
    clip
        Largest element of ``dH``, of either sign.
    levels
        None for linear lateral neurons. Else their responses are signed counts of a burst: limited to 20 and
        rounded to so many levels on either side of 0.
    orthonormalise
        Make the new rows orthonormal, and orthogonal to the old ones, when a task ends. Frozen rows stay as they are.

    Attributes
    ----------
    rows
        ``H``, ``[k, n]``.
    frozen
        How many of them are frozen, the first ones.

    Examples
    --------
    Of activity along one direction, one row is left with that direction:

    >>> import numpy as np
    >>> circuit = Subspace(3, learning_rate=0.1)
    >>> circuit.add_subspace(1, np.random.default_rng(0))
    >>> x = np.random.default_rng(1).normal(size=(64, 1)) * [[0.6, 0.8, 0.0]]
    >>> for _ in range(100):
    ...     circuit.update(x)
    >>> circuit.merge()
    >>> bool(np.abs(circuit.project(x)).max() < 1e-6)
    True
    """

    def __init__(
        self,
        n: int,
        *,
        learning_rate: float = 0.01,
        momentum: float = 0.9,
        iterations: int = 5,
        clip: float = 10.0,
        levels: int | None = None,
        orthonormalise: bool = False,
    ) -> None:
        self.n, self.learning_rate, self.momentum = n, learning_rate, momentum
        self.iterations, self.clip, self.levels, self.orthonormalise = iterations, clip, levels, orthonormalise
        self.rows: Any = np.zeros((0, n))
        self.velocity: Any = np.zeros((0, n))
        self.frozen = 0
        self._left: tuple[Any, Any] = (None, None)  # rows that were seen last, without what is frozen
        self._projector: Any = None  # without what is frozen, [n, n]

    def add_subspace(self, k: int, generator: np.random.Generator, name: str = "the circuit") -> None:
        """Add rows, orthonormal among themselves.

        Parameters
        ----------
        k
            How many; may be 0.
        generator
            They are drawn from.
        name
            For messages.

        Raises
        ------
        InvalidValueError
            If there would be more rows than dimensions: they cannot be orthonormal, and what they protect is lost.
        """
        total = len(self.rows) + k
        if k < 0 or total > self.n:
            raise InvalidValueError(
                f"{name}: {len(self.rows)} rows and {k} more are {total}, but its inputs have {self.n} dimensions; "
                f"from 0 to {self.n - len(self.rows)} can be added, so give each task fewer rows or the layer before "
                "more neurons"
            )
        if k:
            drawn = np.linalg.qr(generator.normal(size=(self.n, k)))[0].T
            like_double = np.zeros(0)
            self.rows = np.concatenate([like(self.rows, like_double), drawn])
            self.velocity = np.concatenate([like(self.velocity, like_double), np.zeros((k, self.n))])

    def respond(self, x: Any) -> Any:
        """Return the responses of all lateral neurons to rows ``x`` ``[m, n]``, ``[m, k]``."""
        return self._spiking(x @ like(self.rows, x).T)

    def _spiking(self, y: Any) -> Any:
        if self.levels is None:
            return y
        return (y.clip(-SATURATION, SATURATION) / SATURATION * self.levels).round() / self.levels * SATURATION

    def update(self, x: Any) -> None:
        """Learn from rows ``x`` ``[m, n]``; frozen rows do not change."""
        if self.frozen == len(self.rows):
            return
        self._match(x)
        new, velocity = (held[self.frozen :].T for held in (self.rows, self.velocity))
        times, outer, new, velocity = _products(x, new, velocity)
        rest = self.project_rows(x)
        self._left = (x, rest)
        (m, n), k = x.shape, new.shape[1]
        few = k * (m + n) < (1 if self.frozen else 2) * m * n
        for _ in range(self.iterations):
            y = self._spiking(times(x, new))
            if few:  # two orders of the same product: through the responses, or where these are many, through the rows
                change = rest.T @ y if self.frozen else outer(x, y)
                change -= new @ (y.T @ y)
            else:
                change = (rest - y @ new.T).T @ y
            self._move(new, velocity, change, m)
        self.rows[self.frozen :], self.velocity[self.frozen :] = new.T, velocity.T

    def _move(self, new: Any, velocity: Any, total: Any, m: int) -> None:
        """Learn in place from the sum of the changes of m rows."""
        velocity *= self.momentum
        if isinstance(new, np.ndarray):
            velocity += (1 - self.momentum) * (total / m).clip(-self.clip, self.clip)
            new += self.learning_rate * velocity
        else:  # as few passes over the arrays as can be: they take as long as the products
            velocity.add_(total.clamp_(-self.clip * m, self.clip * m), alpha=(1 - self.momentum) / m)
            new.add_(velocity, alpha=self.learning_rate)

    def project(self, gradient: Any, rows: Any = None, error: Any = None) -> Any:
        """Return a gradient ``[n_post, n]`` without what lies in the frozen rows.

        The same as the gradient of projected rows, because it is linear in them. Its responses are linear, also if
        the lateral neurons fire.

        Parameters
        ----------
        gradient
            ``error^T rows``.
        rows, error
            ``[m, n]`` and ``[m, n_post]``: if they are given, rows are projected where that is less work.
        """
        (seen, rest), self._left = self._left, (None, None)
        if not self.frozen:
            return gradient
        known = seen is rows and self.levels is None
        directly, by_rows = 2 * self.frozen * len(gradient), len(gradient) + (0 if known else 2 * self.frozen)
        if error is None or len(rows) * by_rows >= directly:
            return self.project_rows(gradient, spiking=False)
        # the other way round, because the weights that take it are held as [n, n_post]
        return ((rest if known else self.project_rows(rows, spiking=False)).T @ error).T

    def project_rows(self, x: Any, *, spiking: bool = True) -> Any:
        """Return activity ``[m, n]`` without what the frozen lateral neurons feed back."""
        if not self.frozen:
            return x
        self._match(x)
        old = self.rows[: self.frozen]
        if spiking and self.levels is not None:
            return x - self._spiking(x @ old.T) @ old
        if isinstance(x, np.ndarray) or not self._sparse(x):
            return away_from(x, old)
        if self._projector is None:  # one matrix, by which events can be multiplied
            self._projector = away_from(like(np.eye(self.n), x), old)
        return _products(x)[0](x, like(self._projector, x))

    def _sparse(self, x: Any) -> bool:
        """Tell whether going through the events of rows once is less work than two dense products."""
        return bool(x.count_nonzero() * self.n < x.numel() * self.frozen)

    def merge(self) -> None:
        """Freeze all rows: the task has ended."""
        if self.orthonormalise and self.frozen < len(self.rows):
            self._orthonormalise()
        self.frozen, self._projector = len(self.rows), None

    def _orthonormalise(self) -> None:
        rows = np.array(like(self.rows, np.zeros(0)))
        new = rows[self.frozen :]
        if self.frozen:  # old rows are orthonormal up to what learning left of an error, so not by their transpose
            span = np.linalg.qr(rows[: self.frozen].T)[0].T
            new = away_from(away_from(new, span), span)
        made, triangle = np.linalg.qr(new.T)
        rows[self.frozen :] = made.T * np.where(np.diag(triangle) < 0, -1.0, 1.0)[:, None]
        self.rows = like(rows, self.rows)

    def _match(self, x: Any) -> None:
        self.rows, self.velocity = like(self.rows, x), like(self.velocity, x)

    @property
    def memory(self) -> int:
        """Bytes of the lateral weights."""
        return len(self.rows) * self.n * int(self.rows.itemsize)
