"""What the recurrent reservoirs share: time constants, signed small-world matrices, plastic groups, series inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import eigs

from spikesim.connect import Dense, SmallWorld, Sparse
from spikesim.distributions import Gamma, LogNormal
from spikesim.equations.elementary import exp
from spikesim.models.neurons import lif
from spikesim.models.synapses import stdp_pair
from spikesim.network import Population, Projection
from spikesim.neuron import Neuron
from spikesim.rng import Stream
from spikesim.stimulus import Input

Floats = NDArray[np.float64]

LOW, HIGH = 3e-3, 100e-3  # s; bounds of the time constants
DENSE_UP_TO = 600  # neurons: all eigenvalues beyond take longer than Arnoldi's search for the largest


def time_constants(n: int, mean: float, shape: float | None, stream: Stream) -> Floats:
    """Draw membrane time constants.

    Parameters
    ----------
    n
        How many.
    mean
        Seconds, before clipping.
    shape
        Of the gamma distribution; None gives all neurons the mean.
    stream
        Random numbers.

    Returns
    -------
    numpy.ndarray
        Seconds, float64 ``[n]``, clipped to 3 .. 100 ms if drawn.
    """
    if shape is None:
        return np.full(n, mean)
    return np.clip(Gamma(shape, mean / shape).sample(n, stream), LOW, HIGH)


def cells(tau: Floats, bias: float, dt: float) -> Neuron:
    """Return soft-reset neurons of threshold 1 whose membrane rests at ``bias``."""
    return lif(reset="subtract", tau_m=tau, bias=bias * (1 - exp(-dt / tau)))


def signed_small_world(n: int, k: int, p: float, excitatory: float, g: float, stream: Stream) -> sparse.csr_array:
    """Draw the matrix of a small world in which a source's synapses all have its sign.

    Parameters
    ----------
    n, k, p
        See :class:`~spikesim.connect.SmallWorld`.
    excitatory
        Share of excitatory neurons; the first ones.
    g
        Strength of an inhibitory synapse over an excitatory one.
    stream
        Random numbers; sizes of weights are ``|1 + 0.5 N(0, 1)|``.

    Returns
    -------
    scipy.sparse.csr_array
        Float64 ``[targets, sources]``.
    """
    # every fourth or so is inhibitory: neighbours on the ring see the same mixture everywhere
    sign = np.where(_spread(n, excitatory), 1.0, -g)
    rows = SmallWorld(k, p).rows((n,), (n,), stream.child("partners"))
    size = np.abs(1 + 0.5 * stream.child("size").normal(n * k))
    return sparse.csr_array(sparse.csr_array((np.repeat(sign, k) * size, rows.indices, rows.indptr), shape=(n, n)).T)


def _spread(n: int, share: float) -> NDArray[np.bool_]:
    """Choose ``round(n share)`` of ``n`` places, as evenly as possible."""
    steps = np.floor(np.arange(n + 1) * round(n * share) / n)
    return np.diff(steps) > 0


def spectral_radius(matrix: sparse.csr_array) -> float:
    """Return the largest absolute value of an eigenvalue."""
    n = matrix.shape[0]
    if n <= DENSE_UP_TO:
        return float(np.abs(np.linalg.eigvals(matrix.toarray())).max())
    return float(np.abs(eigs(matrix, k=1, v0=np.ones(n), return_eigenvectors=False))[0])


def scaled(matrix: sparse.csr_array, radius: float) -> sparse.csr_array:
    """Return the matrix with another spectral radius."""
    return matrix * (radius / spectral_radius(matrix))


def plastic_projections(
    name: str, matrix: sparse.csr_array, groups: int, spread: float, stream: Stream, dt: float
) -> list[Projection]:
    """Split a recurrent matrix: excitatory synapses learn in groups by STDP, inhibitory ones stay.

    Parameters
    ----------
    name
        The population.
    matrix
        ``[targets, sources]``.
    groups
        Number of groups; each synapse joins one at random.
    spread
        Coefficient of variation, about, of ``a_plus``, ``a_minus``, ``tau_plus`` and ``tau_minus`` among the groups:
        amplitudes are log-normal, time constants gamma. 0 gives all groups the same.
    stream
        Random numbers.
    dt
        Delay in seconds.
    """
    entries = matrix.tocoo()
    up = entries.data > 0
    group = np.where(up, stream.child("group").integers(up.size, groups), -1)
    most = max(ROOM * float(entries.data[up].mean()), float(entries.data.max()))
    rules = zip(*(_around(key, centre, spread, groups, stream) for key, centre in _STDP.items()), strict=True)
    parts = [Projection(name, name, _of(entries, ~up), delay=dt)]
    for number, values in enumerate(rules):
        settings: dict[str, Any] = dict(zip(_STDP, (float(v) for v in values), strict=True))
        learning = stdp_pair(dependence="multiplicative", w_max=most, **settings)
        rule = _of(entries, group == number)
        parts.append(Projection(name, name, rule, delay=dt, plasticity=learning, name=f"{name}->{name}:stdp{number}"))
    return parts


# With changes in proportion to the room that is left, a weight settles near w_max a_plus / (a_plus + a_minus), here at
# the mean it began with. Additive changes were tried: groups that potentiate more than they depress end in constant
# firing of all neurons.
ROOM = 3.0
_STDP = {"a_plus": 2e-3, "a_minus": 4e-3, "tau_plus": 20e-3, "tau_minus": 20e-3}


def _around(key: str, centre: float, spread: float, n: int, stream: Stream) -> Floats:
    """Draw a parameter of STDP for each group, of mean ``centre``."""
    if not spread:
        return np.full(n, centre)
    if key.startswith("tau"):
        return time_constants(n, centre, spread**-2, stream.child(key))
    return LogNormal(np.log(centre) - spread**2 / 2, spread).sample(n, stream.child(key))


def _of(entries: sparse.coo_array, chosen: NDArray[np.bool_]) -> Sparse:
    place = (entries.row[chosen], entries.col[chosen])
    return Sparse(sparse.csr_array((entries.data[chosen], place), shape=entries.shape))


def series_input(
    populations: Sequence[Population], channels: int, gain: float, seed: int, dt: float, *, graded: bool = True
) -> tuple[Input, list[Projection]]:
    """Return the input ``"series"``, and its dense projections ``gain U(-1, 1) (1 - exp(-dt / tau_m))``.

    Parameters
    ----------
    populations
        Who receives it.
    channels
        Values per step.
    gain
        How far a constant input of 1 can move a membrane in the end.
    seed
        Of the weights.
    dt
        Time step in seconds.
    graded
        Real values, or spikes.

    Notes
    -----
    The last factor turns a current into the jump of a membrane in one step. A neuron without ``tau_m`` takes the value
    itself.
    """
    name, projections = "series", []
    for population in populations:
        draws = 2 * Stream(seed, f"{name}->{population.name}/weight").uniform(population.n * channels) - 1
        weights = gain * draws.reshape(population.n, channels) * step_share(population, dt)[:, None]
        projections.append(Projection(name, population.name, Dense(weights)))
    return Input(name, channels, graded=graded), projections


def step_share(population: Population, dt: float) -> Floats:
    """Return ``1 - exp(-dt / tau_m)`` per neuron, what one step adds of a constant current; 1 without tau_m."""
    tau = population.neuron.value("tau_m") if "tau_m" in population.model.params else None
    if tau is None or hasattr(tau, "sample"):
        return np.ones(population.n)
    return np.broadcast_to(1 - exp(-dt / np.asarray(tau, np.float64)), population.n).astype(np.float64)
