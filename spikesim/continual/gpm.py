"""Gradient projection memory (GPM): the subspace of old activity by an exact singular value decomposition.

When a task ends, rows ``R`` ``[m, n]`` of every projection are collected with the network as it then is. What the basis
of old tasks leaves of them is decomposed, and the directions of the largest singular values join the basis, until the
basis holds a given share of ``|R|^2``. Gradients of later tasks are projected away from it. It is the oracle for
methods that learn the same subspace: :class:`spikesim.continual.Hlop`.

Reference: Saha, Garg and Roy, "Gradient Projection Memory for Continual Learning", ICLR 2021, arXiv 2103.09762.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikesim.continual.subspace import away_from, like
from spikesim.errors import InvalidValueError


def principal_rows(
    rows: ArrayLike, basis: NDArray[np.float64], *, share: float | None = None, k: int | None = None
) -> NDArray[np.float64]:
    """Return the principal directions of what a basis leaves of some rows.

    Parameters
    ----------
    rows
        Activity, ``[m, n]``.
    basis
        Orthonormal rows that are there, ``[old, n]``.
    share
        Take the fewest directions with which the basis holds this share of the squared rows; none if it does already.
    k
        Take so many directions instead, or as many as there are.

    Returns
    -------
    array
        float64 ``[new, n]``, orthonormal and orthogonal to the basis.

    Examples
    --------
    >>> abs(principal_rows([[3.0, 0.0, 4.0]], np.eye(3)[:1], k=1)).round(6).tolist()
    [[0.0, 0.0, 1.0]]
    """
    found = np.asarray(rows, np.float64)
    # twice, because once leaves an error of rounding along the basis
    rest = away_from(away_from(found, basis), basis)
    values, directions = np.linalg.svd(rest, full_matrices=False)[1:]
    rank = int((values > values.max(initial=0.0) * max(found.shape) * np.finfo(np.float64).eps).sum())
    rank = min(rank, found.shape[1] - len(basis))
    if k is None:
        total = np.square(found).sum()
        missing = (share or 0.0) * total - (total - np.square(values).sum())
        k = 0 if missing <= 0 else int(np.searchsorted(np.cumsum(np.square(values)), missing * (1 - 1e-12))) + 1
    more: NDArray[np.float64] = directions[: min(k, rank)]
    return more


class Gpm:
    """GPM as a hook of training; the same interface as :class:`spikesim.continual.Hlop`.

    Parameters
    ----------
    share
        Share of the squared activity of every task that is protected.
    rows
        So many directions per task instead, for every projection.
    most
        Rows that are kept for the decomposition of a task, and samples that are looked at for them once more.

    Attributes
    ----------
    bases
        Orthonormal rows by projection, float64 ``[k, n]``.
    """

    name = "gpm"

    def __init__(self, share: float = 0.97, *, rows: int | None = None, most: int = 2000) -> None:
        problems = [] if 0 < share <= 1 else [f"share must be above 0 and at most 1, found {share!r}"]
        problems += [
            f"{n} must be at least 1, found {v!r}"
            for n, v in (("rows", rows), ("most", most))
            if v is not None and v < 1
        ]
        if problems:
            raise InvalidValueError("\n".join(problems))
        self.share, self.k, self.most = share, rows, most
        self.begin(0)

    def begin(self, seed: int) -> None:
        """Forget everything. Nothing is drawn."""
        self.bases: dict[str, NDArray[np.float64]] = {}
        self._kept: dict[str, list[NDArray[np.float64]]] = {}

    def __call__(self, projection: str, rows: Any, gradient: Any) -> Any:
        """Project the gradient; see :class:`spikesim.train.rules.Hook`.

        Raises
        ------
        InvalidValueError
            If the projection is sparse.
        """
        if gradient.ndim != 2:
            raise InvalidValueError(
                f"projection {projection!r} is sparse, and a projected gradient is not; make it dense, or leave it out "
                "of weights, so that it does not learn"
            )
        basis = self.bases.get(projection)
        return None if basis is None else away_from(gradient, like(basis, gradient))

    def end_task(self, observe: Callable[[Any], None]) -> None:
        """Extend the bases.

        Parameters
        ----------
        observe
            Goes through the samples of the task with a hook.
        """
        self._kept = {}
        observe(self._keep)
        for projection, kept in self._kept.items():
            rows = np.concatenate(kept)
            basis = self.bases.get(projection, np.zeros((0, rows.shape[1])))
            more = principal_rows(rows, basis, share=self.share, k=self.k)
            self.bases[projection] = np.concatenate([basis, more])
        self._kept = {}

    def _keep(self, projection: str, rows: Any, gradient: Any) -> Any:
        kept = self._kept.setdefault(projection, [])
        room = self.most - sum(len(k) for k in kept)
        if room > 0:
            kept.append(like(rows[:room], np.zeros(0)))
        return gradient * 0  # nothing is learned

    @property
    def memory(self) -> int:
        """Bytes kept from task to task."""
        return sum(basis.nbytes for basis in self.bases.values())
