"""Hebbian learning based orthogonal projection (HLOP): lateral circuits that learn what old tasks use, and protect it.

Beside the sources of a projection sit k lateral neurons with weights ``H`` ``[k, n]``. For presynaptic rows ``x``
``[m, n]`` they respond ``y = x H^T`` and feed back ``y H``; Hebbian learning of ``y`` with ``x`` and anti-Hebbian
learning with the feedback together are Oja's subspace rule,

    dH = y^T (x - y H) / m,

whose stable points are orthonormal bases of the principal subspace of ``E[x^T x]`` (not centred). When a task ends its
rows are frozen, and later gradients ``error^T x`` are made of ``x - x H_F^T H_F`` instead, so the responses to old
inputs stay. The new rows of a task learn from what the frozen rows leave of ``x``.

Reference: Xiao, Meng, Zhang, He and Lin, "Hebbian Learning based Orthogonal Projection for Continual Learning of
Spiking Neural Networks", ICLR 2024, arXiv 2402.11984.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from spikesim.continual.subspace import Subspace
from spikesim.errors import InvalidValueError, UnknownNameError

Schedule = int | Sequence[int]
"""Rows per task: a number for each, or one number per task, of which the last holds for all later tasks."""
SHARE = 5
"""Where no rows are given, a task gets one in so many of the dimensions that are free, so that they never run out."""


class Hlop:
    """HLOP as a hook of training: learns the subspaces of all projections, and keeps their gradients out of old ones.

    ``train(..., hook=hlop)`` for each task, with any rule, then :meth:`end_task`. Use an optimiser that keeps to the
    span of the gradients (``"sgd"``), and no weight decay; :class:`spikesim.continual.FineTune` sees to both.

    Parameters
    ----------
    rows
        Lateral neurons per task, of all projections, or by projection; those that are left out are not protected.
        A :data:`Schedule` is a number for every task, or one per task, of which the last goes on. None gives every task
        a fifth of the dimensions that are still free.
    learning_rate
        Of all projections, or by projection (0.01 for those that are left out).
    momentum, iterations, clip, levels, orthonormalise
        See :class:`Subspace`.

    Attributes
    ----------
    subspaces
        The circuits by projection.
    """

    name = "hlop"

    def __init__(
        self,
        rows: Schedule | Mapping[str, Schedule] | None = None,
        *,
        learning_rate: float | Mapping[str, float] = 0.01,
        momentum: float = 0.9,
        iterations: int = 5,
        clip: float = 10.0,
        levels: int | None = None,
        orthonormalise: bool = False,
    ) -> None:
        self.rows, self.learning_rate = rows, learning_rate
        self.settings: dict[str, Any] = {
            "momentum": momentum,
            "iterations": iterations,
            "clip": clip,
            "levels": levels,
            "orthonormalise": orthonormalise,
        }
        _check(rows, learning_rate, self.settings)
        self.begin(0)

    def begin(self, seed: int) -> None:
        """Forget everything; lateral weights are drawn from the seed."""
        self.seed, self.task = seed, 0
        self.subspaces: dict[str, Subspace] = {}
        self._shown: set[str] = set()

    def __call__(self, projection: str, rows: Any, gradient: Any) -> Any:
        """Learn from the rows and project the gradient; see :class:`spikesim.train.rules.Hook`.

        Raises
        ------
        InvalidValueError
            If the rows of the schedule do not fit into the dimensions, or the projection is sparse.
        """
        if projection in self._shown and not self.task:
            self._check_names()  # all have been shown once: now, not after hours, a name that is wrong is found
        k, new = self._rows_of(projection, gradient.shape[-1]), projection not in self._shown
        self._shown.add(projection)
        if k is None:
            return None
        if gradient.ndim != 2:
            raise InvalidValueError(
                f"projection {projection!r} is sparse, and a projected gradient is not; leave it out of rows, which "
                "may name the projections to protect, or make it dense"
            )
        if new:
            self._grow(projection, gradient.shape[1], k)
        circuit = self.subspaces[projection]
        circuit.update(rows)
        whole = getattr(rows, "whole", None)
        return circuit.project(gradient, rows if whole is None else whole, getattr(rows, "error", None))

    def end_task(self, observe: Callable[[Any], None] | None = None) -> None:
        """Freeze what was learned in a task. ``observe`` is not needed.

        Raises
        ------
        UnknownNameError
            If ``rows`` or ``learning_rate`` names a projection that did not learn.
        """
        self._check_names()
        for circuit in self.subspaces.values():
            circuit.merge()
        self.task += 1
        self._shown = set()

    @property
    def memory(self) -> int:
        """Bytes kept from task to task."""
        return sum(circuit.memory for circuit in self.subspaces.values())

    def _check_names(self) -> None:
        named = {name for given in (self.rows, self.learning_rate) if isinstance(given, Mapping) for name in given}
        for name in sorted(named - self._shown):
            raise UnknownNameError("learned projection", name, sorted(self._shown))

    def _rows_of(self, projection: str, n: int) -> int | None:
        """Return how many rows a projection with n inputs gets in this task; None if it is not protected."""
        if self.rows is None:
            frozen = self.subspaces[projection].frozen if projection in self.subspaces else 0
            return -(-(n - frozen) // SHARE)
        found = self.rows.get(projection) if isinstance(self.rows, Mapping) else self.rows
        return found if found is None or isinstance(found, int) else found[min(self.task, len(found) - 1)]

    def _grow(self, projection: str, n: int, k: int) -> None:
        if projection not in self.subspaces:
            rate = self.learning_rate
            rate = rate.get(projection, 0.01) if isinstance(rate, Mapping) else rate
            self.subspaces[projection] = Subspace(n, learning_rate=rate, **self.settings)
        generator = np.random.default_rng((self.seed, zlib.crc32(projection.encode()), self.task))
        self.subspaces[projection].add_subspace(k, generator, f"projection {projection!r}, task {self.task + 1}")


def _check(rows: Any, learning_rate: Any, settings: Mapping[str, Any]) -> None:
    """Raise for settings that cannot be; all problems at once."""
    problems = []
    by_name = rows.items() if isinstance(rows, Mapping) else [] if rows is None else [("all projections", rows)]
    for name, given in by_name:
        numbers = [given] if isinstance(given, int) else list(given)
        if not numbers or any(not isinstance(k, int) or k < 0 for k in numbers):
            problems.append(f"rows of {name}: whole numbers from 0 are allowed, one or one per task, found {given!r}")
    for rate in learning_rate.values() if isinstance(learning_rate, Mapping) else [learning_rate]:
        if not rate > 0:
            problems.append(f"learning_rate must be above 0, found {rate!r}")
    if not 0 <= settings["momentum"] < 1:
        problems.append(f"momentum must be from 0 to below 1, found {settings['momentum']!r}")
    for name in ("iterations", "clip", "levels"):
        if settings[name] is not None and not settings[name] > 0:
            problems.append(f"{name} must be above 0, found {settings[name]!r}")
    if problems:
        raise InvalidValueError("\n".join(problems))
