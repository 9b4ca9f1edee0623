"""Lyapunov spectra of leaky integrate-and-fire neurons without a time step, from spike to spike, with saltation.

::

    tau_i dv_i/dt = drive_i - v_i;    at v_j = v_th:  v_j = v_reset,  v_i = v_i + w_ij for all i

Between spikes everything is exact. At a spike of ``j`` a small change ``x`` of the state becomes::

    x_i' = x_i + (f_i(after) - f_i(before)) x_j / f_j(before) = x_i - (w_ij / tau_i) x_j / f_j(before)
    x_j' = f_j(after) / f_j(before) x_j

because the spike comes earlier by ``x_j / f_j(before)`` (Müller 1995, Chaos, Solitons and Fractals 5, 1671; Zhou et al.
2010, J. Comput. Neurosci. 28, 229; Bizzarri et al. 2013, J. Comput. Neurosci. 35, 201). No surrogate and no time step:
these are the infinitesimal exponents of the hard threshold itself. The determinant gives their sum,
``sum_j (rate_j log((drive_j - v_reset) / (drive_j - v_th)) - 1 / tau_j)``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikesim.analyse.benettin import first_columns, orthonormalise, unresolved, window_interval
from spikesim.analyse.saltation_kernel import advance
from spikesim.analyse.spectrum import Spectrum, summarise
from spikesim.errors import InvalidValueError, UnsupportedError

Floats = NDArray[np.float64]
PILOT = 100  # stretches, at most, from which the interval between two factorisations is chosen


@dataclass(frozen=True, eq=False)
class PulseNetwork:
    """Leaky integrate-and-fire neurons that send pulses, without a time step.

    Parameters
    ----------
    weights
        ``[n, n]``, from column to row: by how much a pulse moves the target. The diagonal must be 0.
    tau
        Membrane time constants in seconds: a number, or ``[n]``.
    drive
        Where the membrane would settle: a number, or ``[n]``. Neurons with a drive up to ``v_th`` never fire.
    v_th, v_reset
        Threshold, and membrane after a spike.

    Raises
    ------
    InvalidValueError
        If a value cannot be used; all problems are listed.
    """

    weights: Floats
    tau: Floats
    drive: Floats
    v_th: float
    v_reset: float

    def __init__(
        self, weights: ArrayLike, tau: ArrayLike, drive: ArrayLike, *, v_th: float = 1.0, v_reset: float = 0.0
    ) -> None:
        w = np.ascontiguousarray(weights, np.float64)
        n, problems = len(w) if w.ndim else 0, []
        if w.shape != (n, n) or n == 0 or not np.isfinite(w).all() or np.diagonal(w).any():
            problems.append(f"weights must be finite, [n, n], with a diagonal of 0, found the shape {list(w.shape)}")
        for name, value, lowest in (("tau", tau, 0.0), ("drive", drive, -np.inf)):
            array = np.asarray(value, np.float64)
            if array.shape not in ((), (n,)) or not np.isfinite(array).all() or (array <= lowest).any():
                bound = " above 0" if lowest == 0.0 else ""
                problems.append(f"{name} must be finite{bound}, 1 or {n} values, found {array.tolist()}")
            elif not problems:
                object.__setattr__(self, name, np.array(np.broadcast_to(array, n)))
        if not v_reset < v_th:
            problems.append(f"v_reset must be below v_th = {v_th}, found {v_reset}")
        if problems:
            raise InvalidValueError("\n".join(problems))
        for name, checked in (("weights", w), ("v_th", float(v_th)), ("v_reset", float(v_reset))):
            object.__setattr__(self, name, checked)

    @property
    def n(self) -> int:
        """Number of neurons."""
        return len(self.weights)

    def advance(self, v: Floats, q: Floats, duration: float) -> NDArray[np.int64]:
        """Carry states ``[n]`` and tangent columns ``[n, k]`` on by some seconds, in place.

        Returns
        -------
        int64 ``[n]``
            Spikes of each neuron.

        Raises
        ------
        UnsupportedError
            If a pulse takes a neuron over its threshold: it would fire in the same instant.
        """
        spikes = np.zeros(self.n, np.int64)
        over = advance(v, q, duration, self.weights, self.tau, self.drive, self.v_th, self.v_reset, spikes)
        if over >= 0:
            raise UnsupportedError(
                [
                    f"a pulse took neuron {over} over its threshold, so it fires in the same instant, which has no "
                    "saltation matrix here; take weaker excitatory weights, or `network_spectrum` or `twins`"
                ]
            )
        return spikes


def event_spectrum(
    network: PulseNetwork,
    *,
    duration: float = 2.0,
    transient: float = 0.5,
    exponents: int | None = None,
    interval: float | None = None,
    v0: ArrayLike | None = None,
    seed: int = 0,
) -> Spectrum:
    """Compute the Lyapunov spectrum of a pulse-coupled network, from spike to spike.

    Parameters
    ----------
    network
        The network.
    duration, transient
        Seconds that are averaged over, and seconds before.
    exponents
        How many, from the largest; all by default.
    interval
        Seconds between two orthonormalisations; chosen from a pilot within the transient by default.
    v0
        First membrane potentials, below the threshold; random between reset and threshold by default.
    seed
        Of those and of the first tangent columns.

    Returns
    -------
    Spectrum
        In 1/s. A network in which anything fires has one exponent of 0: a shift in time neither grows nor shrinks.

    Examples
    --------
    Without synapses an oscillating neuron keeps its phase, and a silent one forgets at the rate of its leak:

    >>> import numpy as np
    >>> from spikesim.analyse import PulseNetwork, event_spectrum
    >>> found = event_spectrum(PulseNetwork(np.zeros((2, 2)), tau=20e-3, drive=[1.5, 0.5]), duration=5.0)
    >>> bool(abs(found.exponents[0]) < 1.0), bool(abs(found.exponents[1] + 50) < 1.0)
    (True, True)
    """
    shortest = float(network.tau.min()) / 10.0
    _check(duration, transient, interval, shortest)
    rng = np.random.default_rng(seed)
    v = rng.uniform(network.v_reset, network.v_th, network.n) if v0 is None else np.array(v0, np.float64)
    if v.shape != (network.n,) or not (v < network.v_th).all():
        raise InvalidValueError(f"v0 must be {network.n} values below v_th = {network.v_th}, found {v.tolist()}")
    q = first_columns(network.n, network.n if exponents is None else exponents, seed)
    every, step, pilot = 1, interval or shortest, np.zeros((0, q.shape[1]))
    if interval is None:
        q, pilot = _follow(network, v, q, step, min(PILOT, max(1, int(transient / step))))
        every = window_interval(pilot[len(pilot) // 4 :], max(1, int(duration / step / 20)))
    q, _ = _follow(network, v, q, every * step, max(0, int((transient - len(pilot) * step) / (every * step))))
    while True:
        _, logs = _follow(network, v.copy(), q, every * step, max(1, int(duration / (every * step) + 1e-9)))
        if every == 1 or not unresolved(logs, pilot):
            return summarise(logs, every * step, "1/s", network.n, every)
        every //= 2


def _check(duration: float, transient: float, interval: float | None, shortest: float) -> None:
    problems = []
    least = shortest if interval is None else interval
    for name, value in {"duration": duration, "transient": transient}.items():
        if not (np.isfinite(value) and value >= least):
            problems.append(f"{name} must be at least {least:g} s, the time between two QRs, found {value}")
    if interval is not None and not (np.isfinite(interval) and interval > 0.0):
        problems.append(f"interval must be above 0 s, found {interval}")
    if problems:
        raise InvalidValueError("\n".join(problems))


def _follow(network: PulseNetwork, v: Floats, q: Floats, interval: float, blocks: int) -> tuple[Floats, Floats]:
    """Return the columns at the end and the logarithms of their growth, ``[blocks, k]``; change ``v`` in place."""
    logs = np.zeros((blocks, q.shape[1]))
    for block in range(blocks):
        q = np.array(q, order="C")
        network.advance(v, q, interval)
        q, logs[block] = orthonormalise(q)
    return q, logs
