"""Lyapunov spectra of maps and flows that are given as functions.

For networks see :func:`spikesim.analyse.network_spectrum`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikesim.analyse.benettin import first_columns, rounding, unresolved, window_interval
from spikesim.analyse.spectrum import Spectrum, summarise
from spikesim.errors import InvalidValueError

Floats = NDArray[np.float64]
Function = Callable[[Any], Any]
PILOT = 1000  # steps, at most, from which the interval between two factorisations is chosen


@dataclass(frozen=True)
class Map:
    """A system in discrete time, ``x(t + 1) = step(x(t))``.

    Parameters
    ----------
    step
        float64 ``[n]`` to ``[n]``.
    jacobian
        ``[n]`` to ``[n, n]``, rows by component of the result.
    compiled
        Compile both functions, and the loop around them, with numba.
    """

    step: Function
    jacobian: Function
    compiled: bool = False

    @property
    def interval(self) -> float:
        """Time per step."""
        return 1.0

    @property
    def unit(self) -> str:
        """Unit of the exponents."""
        return "per step"

    def advance(self, compile: Callable[[Any], Any]) -> Callable[[Floats, Floats], tuple[Floats, Floats]]:
        """Return the function that carries a state and tangent columns one step further."""
        step, jacobian = compile(self.step), compile(self.jacobian)

        def advance(x: Any, q: Any) -> Any:
            return step(x), jacobian(x) @ q

        return compile(advance)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Flow:
    """A system in continuous time, ``dx/dt = field(x)``, integrated with the classical Runge-Kutta method.

    The tangent columns take the exact derivative of a Runge-Kutta step, so the spectrum is that of the discretised
    flow; it differs from the flow's by the order of ``dt^4``.

    Parameters
    ----------
    field
        float64 ``[n]`` to ``[n]``.
    jacobian
        ``[n]`` to ``[n, n]``.
    dt
        Step of the integration.
    compiled
        Compile both functions, and the loop around them, with numba.
    """

    field: Function
    jacobian: Function
    dt: float
    compiled: bool = False

    def __post_init__(self) -> None:
        if not (np.isfinite(self.dt) and self.dt > 0.0):
            raise InvalidValueError(f"dt must be above 0, found {self.dt}")

    @property
    def interval(self) -> float:
        """Time per step."""
        return self.dt

    @property
    def unit(self) -> str:
        """Unit of the exponents."""
        return "per unit of time"

    def advance(self, compile: Callable[[Any], Any]) -> Callable[[Floats, Floats], tuple[Floats, Floats]]:
        """Return the function that carries a state and tangent columns one step further."""
        field, jacobian, dt = compile(self.field), compile(self.jacobian), self.dt

        def advance(x: Any, q: Any) -> Any:
            k1, m1 = field(x), jacobian(x) @ q
            y = x + 0.5 * dt * k1
            k2, m2 = field(y), jacobian(y) @ (q + 0.5 * dt * m1)
            y = x + 0.5 * dt * k2
            k3, m3 = field(y), jacobian(y) @ (q + 0.5 * dt * m2)
            y = x + dt * k3
            k4, m4 = field(y), jacobian(y) @ (q + dt * m3)
            return x + dt / 6.0 * (k1 + 2.0 * (k2 + k3) + k4), q + dt / 6.0 * (m1 + 2.0 * (m2 + m3) + m4)

        return compile(advance)  # type: ignore[no-any-return]


def spectrum(
    system: Map | Flow,
    x0: ArrayLike,
    *,
    exponents: int | None = None,
    steps: int = 20_000,
    transient: int | None = None,
    every: int | None = None,
    seed: int = 0,
) -> Spectrum:
    """Compute the Lyapunov spectrum of a map or flow (Benettin's method with QR).

    Parameters
    ----------
    system
        The equations.
    x0
        Initial state, ``[n]``.
    exponents
        How many, from the largest; all by default.
    steps
        Steps that are averaged over.
    transient
        Steps before, in which state and columns settle; a tenth of ``steps`` by default.
    every
        Steps between two orthonormalisations. By default chosen from a pilot within the transient, and halved if a
        column vanishes in rounding later.
    seed
        Of the first tangent columns.

    Returns
    -------
    Spectrum

    Raises
    ------
    InvalidValueError
        If a number cannot be used, or the trajectory does not stay finite.

    Examples
    --------
    The logistic map at r = 4 has the exponent ln 2:

    >>> import numpy as np
    >>> from spikesim.analyse import Map, spectrum
    >>> logistic = Map(lambda x: 4 * x * (1 - x), lambda x: np.array([[4 - 8 * x[0]]]))
    >>> bool(abs(spectrum(logistic, [0.2], steps=5000).exponents[0] - np.log(2)) < 0.01)
    True
    """
    x = np.array(x0, np.float64)
    transient = max(steps // 10, 2) if transient is None else transient
    _check(system, x, steps, transient, every)
    loop, advance = _kernels(system)
    q = first_columns(x.size, x.size if exponents is None else exponents, seed)
    nothing = rounding(x.size)
    trial = np.zeros((0 if every else min(PILOT, transient), q.shape[1]))
    x, q = _finite(*loop(advance, x, q, 1, trial, nothing))
    interval = every or window_interval(trial[len(trial) // 4 :], max(1, steps // 20))
    rest = np.zeros((-(-(transient - len(trial)) // interval), q.shape[1]))
    x, q = _finite(*loop(advance, x, q, interval, rest, nothing))
    while True:
        logs = np.zeros((steps // interval, q.shape[1]))
        _finite(*loop(advance, x, q, interval, logs, nothing))
        if every or interval == 1 or not unresolved(logs, trial):
            return summarise(logs, interval * system.interval, system.unit, x.size, interval)
        interval //= 2


def _check(system: Map | Flow, x: Floats, steps: int, transient: int, every: int | None) -> None:
    problems = []
    if x.ndim != 1 or x.size == 0 or not np.isfinite(x).all():
        problems.append(f"x0 must be finite, of shape [n], found the shape {list(x.shape)} and {x}")
    if transient < 1:
        problems.append(f"transient must be at least 1 step, found {transient}")
    if every is not None and every < 1:
        problems.append(f"every must be at least 1 step, found {every}")
    if steps < (every or 1):
        problems.append(f"steps must be at least {every or 1}, the steps between two QRs, found {steps}")
    if not problems:
        shapes = [np.shape(f(x)) for f in (getattr(system, "step", None) or getattr(system, "field"), system.jacobian)]  # noqa: B009
        if shapes != [x.shape, (x.size, x.size)]:
            problems.append(
                f"for a state of {x.size} values the system must give {list(x.shape)} and the Jacobian "
                f"{[x.size, x.size]}, found {list(shapes[0])} and {list(shapes[1])}"
            )
    if problems:
        raise InvalidValueError("\n".join(problems))


@cache
def _kernels(system: Map | Flow) -> tuple[Any, Any]:
    if not system.compiled:
        return _loop, system.advance(lambda function: function)
    import numba

    # a function that came compiled stays as it is
    return numba.njit(_loop), system.advance(lambda f: f if hasattr(f, "py_func") else numba.njit(f))


def _loop(advance: Any, x: Any, q: Any, every: int, logs: Any, nothing: float) -> Any:
    """Fill ``logs`` ``[blocks, k]``; written for Python and numba alike. Ends early where something is not finite."""
    for block in range(logs.shape[0]):
        for _ in range(every):
            x, q = advance(x, q)
        if not (np.isfinite(x).all() and np.isfinite(q).all()):
            return x, q
        basis, r = np.linalg.qr(q)
        for j in range(q.shape[1]):
            left, length = abs(r[j, j]), np.sqrt((q[:, j] ** 2).sum())
            logs[block, j] = np.log(left) if left > nothing * length else -np.inf
        q = np.ascontiguousarray(basis)
    return x, q


def _finite(x: Floats, q: Floats) -> tuple[Floats, Floats]:
    if not (np.isfinite(x).all() and np.isfinite(q).all()):
        raise InvalidValueError(
            "the trajectory or its tangent vectors do not stay finite; start within the basin of an attractor, take a "
            "smaller dt, or a smaller `every`"
        )
    return x, q
