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

With exponential currents, ``tau_i dv_i/dt = drive_i - v_i + g_i`` and ``tau_syn dg_i/dt = -g_i``, a spike is
``g_i = g_i + w_ij``, and the same rule with the slopes of both on either side of it gives ``x_v += (w_ij / tau_i) x_j /
f_j`` and ``x_g -= (w_ij / tau_syn) x_j / f_j``. A membrane that is held after its spike keeps the shift in time of its
reset instead.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikesim.analyse.benettin import first_columns, orthonormalise, unresolved, window_interval
from spikesim.analyse.closed_form import pulse_network
from spikesim.analyse.pulse_network import PulseNetwork
from spikesim.analyse.spectrum import Spectrum, summarise
from spikesim.errors import InvalidValueError
from spikesim.network import Network

Floats = NDArray[np.float64]
PILOT = 100  # stretches, at most, from which the interval between two factorisations is chosen; more of short ones


def event_spectrum(
    network: PulseNetwork | Network,
    *,
    duration: float = 2.0,
    transient: float = 0.5,
    exponents: int | None = None,
    interval: float | None = None,
    v0: ArrayLike | None = None,
    seed: int = 0,
) -> Spectrum:
    """Compute the Lyapunov spectrum of a network of leaky neurons, from spike to spike.

    Parameters
    ----------
    network
        Arrays, or a network of ``lif``, ``lif_exp`` or ``lif_psc_exp`` neurons, in the limit of a small time step
        (:func:`spikesim.analyse.pulse_network`).
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
    if isinstance(network, Network):
        network = pulse_network(network)
    shortest = float(network.tau.min()) / 10.0
    if network.tau_syn.size:
        shortest = min(shortest, float(network.tau_syn.min()) / 5.0)
    _check(duration, transient, interval, shortest)
    rng = np.random.default_rng(seed)
    v = rng.uniform(network.v_reset, network.v_th, network.n) if v0 is None else np.array(v0, np.float64)
    if v.shape != (network.n,) or not (v < network.v_th).all():
        raise InvalidValueError(f"v0 must be {network.n} values below v_th, found {v.tolist()}")
    v = network.start(v)
    q = first_columns(network.dimension, network.dimension if exponents is None else exponents, seed)
    every, step, pilot = 1, interval or shortest, np.zeros((0, q.shape[1]))
    if interval is None:
        pilots = max(PILOT, int(10.0 * float(network.tau.min()) / step))
        q, pilot = _follow(network, v, q, step, min(pilots, max(1, int(transient / step))))
        every = window_interval(pilot[len(pilot) // 4 :], max(1, int(duration / step / 20)))
    q, _ = _follow(network, v, q, every * step, max(0, int((transient - len(pilot) * step) / (every * step))))
    while True:
        _, logs = _follow(network, v.copy(), q, every * step, max(1, int(duration / (every * step) + 1e-9)))
        if every == 1 or not unresolved(logs, pilot):
            return summarise(logs, every * step, "1/s", network.dimension, every)
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
