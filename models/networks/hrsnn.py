"""Recurrent spiking networks with heterogeneous time constants (HRSNN), their control (MRSNN), and clusters (CHRSNN).

::

    v_i' = a_i v_i + (1 - a_i) (bias + gain W_in u) + W s,    a_i = exp(-dt / tau_i)
    s_i = 1 if v_i' > 1;   v_i = v_i' - s_i               soft reset

    HRSNN     tau_i from a gamma distribution (shape 3, mean 20 ms), clipped to 3 .. 100 ms
    MRSNN     tau_i = 20 ms for all
    CHRSNN    clusters, each an HRSNN with its own mean, themselves wired as a small world

``W`` is a directed Watts-Strogatz graph; 80 % of the neurons excite, 20 % inhibit, four times as strongly. Read-outs
are made elsewhere (:mod:`spikesim.reservoir`): only the recurrent part is the network.

With ``stdp`` the excitatory synapses learn. In the paper every synapse has its own ``A+, A-, tau+, tau-``; here a
projection has one set, so synapses are dealt at random to ``stdp`` groups with sets of their own, drawn from log-normal
(amplitudes) and gamma (time constants) distributions: heterogeneous in that many bins, not continuously.

Reference: Chakraborty and Mukhopadhyay, "Heterogeneous Neuronal and Synaptic Dynamics for Spike-Efficient Unsupervised
Learning", ICLR 2023, arXiv 2302.11618; the clusters after Chakraborty et al., ICLR 2024, arXiv 2403.03409. The papers
fix the model families; every number here is our choice and a parameter.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from spikesim.connect import SmallWorld, Sparse
from spikesim.errors import InvalidValueError
from spikesim.models.networks._balanced import check_size
from spikesim.models.networks._small_world import (
    cells,
    plastic_projections,
    scaled,
    series_input,
    signed_small_world,
    spectral_radius,
    time_constants,
)
from spikesim.network import Network, Population, Projection
from spikesim.rng import Stream

EXCITATORY, G = 0.8, 4.0  # share of excitatory neurons; inhibition over excitation


def hrsnn(
    n: int = 240,
    inputs: int = 3,
    *,
    k: int | None = None,
    p: float = 0.3,
    radius: float = 0.45,
    tau: float = 20e-3,
    shape: float | None = 3.0,
    bias: float = 0.9,
    gain: float = 1.2,
    stdp: int = 0,
    stdp_spread: float = 0.5,
    seed: int = 0,
    dt: float = 1e-3,
) -> Network:
    """Build a heterogeneous recurrent network of soft-reset neurons on a small world.

    Parameters
    ----------
    n
        Neurons.
    inputs
        Channels of the graded input ``"series"``.
    k, p
        Synapses per neuron (even; a quarter of ``n`` by default), and the probability of rewiring each.
    radius
        Spectral radius of ``W``, in units of the threshold.
    tau, shape
        Mean (s) and shape of the gamma distribution of time constants; ``shape=None`` gives all the mean.
    bias, gain
        Level at which membranes rest, and how far an input of 1 moves it at most; threshold is 1.
    stdp, stdp_spread
        Groups of excitatory synapses that learn by pair-based STDP (0: nothing learns), and how far their parameters
        spread (0: all alike).
    seed
        Seed of everything that is drawn.
    dt
        Time step in seconds.

    Raises
    ------
    InvalidValueError
        If a size, a share or a number of groups cannot be.

    Examples
    --------
    >>> net = hrsnn(100)
    >>> tau = net.population("recurrent").neuron.params["tau_m"]
    >>> [p.name for p in net.projections], bool(tau.min() >= 3e-3), bool(tau.max() <= 0.1)
    (['recurrent->recurrent', 'series->recurrent'], True, True)
    """
    check_size("hrsnn", n)
    neighbours = _quarter(n) if k is None else k
    _check(inputs=inputs, radius=radius, tau=tau, stdp=stdp, dt=dt)
    times = time_constants(n, tau, shape, Stream(seed, "recurrent/tau_m"))
    population = Population("recurrent", n, cells(times, bias, dt))
    stream = Stream(seed, "recurrent->recurrent")
    matrix = scaled(signed_small_world(n, neighbours, p, EXCITATORY, G, stream), radius)
    loop = [Projection("recurrent", "recurrent", Sparse(matrix), delay=dt)]
    if stdp:
        loop = plastic_projections("recurrent", matrix, stdp, stdp_spread, stream.child("stdp"), dt)
    series, ways = series_input([population], inputs, gain, seed, dt)
    return Network([population], [*loop, *ways], [series], dt=dt, seed=seed, name="hrsnn" if shape else "mrsnn")


def mrsnn(
    n: int = 240,
    inputs: int = 3,
    *,
    k: int | None = None,
    p: float = 0.3,
    radius: float = 0.45,
    tau: float = 20e-3,
    bias: float = 0.9,
    gain: float = 1.2,
    stdp: int = 0,
    seed: int = 0,
    dt: float = 1e-3,
) -> Network:
    """Build the homogeneous control: :func:`hrsnn` with the mean time constant for all, and one set of STDP parameters.

    Parameters
    ----------
    n, inputs, k, p, radius, tau, bias, gain, stdp, seed, dt
        As of :func:`hrsnn`; the same seed gives the same graph and recurrent weights.

    Examples
    --------
    >>> sorted({*mrsnn(100).population("recurrent").neuron.params["tau_m"].tolist()})
    [0.02]
    """
    numbers = {"radius": radius, "tau": tau, "bias": bias, "gain": gain, "dt": dt, "p": p}
    return hrsnn(n, inputs, k=k, shape=None, stdp=stdp, stdp_spread=0.0, seed=seed, **numbers)


def chrsnn(
    n: int = 240,
    inputs: int = 3,
    *,
    taus: Sequence[float] = (10e-3, 15e-3, 25e-3, 30e-3),
    k: int | None = None,
    p: float = 0.3,
    between: float = 0.1,
    radius: float = 0.45,
    shape: float | None = 3.0,
    bias: float = 0.9,
    gain: float = 1.2,
    seed: int = 0,
    dt: float = 1e-3,
) -> Network:
    """Build a clustered heterogeneous network: one population per cluster, clusters wired as a small world.

    Parameters
    ----------
    n, inputs
        Neurons in all, and channels of the input.
    taus
        Mean time constant (s) of each cluster, at least three.
    k, p
        Synapses per neuron within its cluster (half of the cluster by default), and the probability of rewiring; ``p``
        also rewires the ring of clusters.
    between
        Probability of a synapse from a neuron to one of a cluster that its own sends to.
    radius
        Spectral radius of the whole matrix.
    shape, bias, gain, seed, dt
        As of :func:`hrsnn`.

    Examples
    --------
    >>> net = chrsnn(80)
    >>> [(p.name, p.n) for p in net.populations]
    [('cluster0', 20), ('cluster1', 20), ('cluster2', 20), ('cluster3', 20)]
    """
    if len(taus) < 3:
        raise InvalidValueError(f"chrsnn: taus needs at least three clusters, found {len(taus)}; use hrsnn")
    check_size("chrsnn", n, least=10 * len(taus))
    _check(inputs=inputs, radius=radius, tau=min(taus), stdp=0, dt=dt)
    edges = np.linspace(0, n, len(taus) + 1).astype(int)
    names, sizes = [f"cluster{c}" for c in range(len(taus))], np.diff(edges)
    populations = [
        Population(name, int(m), cells(time_constants(int(m), tau, shape, Stream(seed, f"{name}/tau_m")), bias, dt))
        for name, m, tau in zip(names, sizes, taus, strict=True)
    ]
    blocks = _blocks(names, sizes, k, p, between, seed)
    factor = 1.0 / _radius(blocks, names)
    loops = [
        Projection(names[a], names[b], Sparse(block * (radius * factor)), delay=dt) for (a, b), block in blocks.items()
    ]
    series, ways = series_input(populations, inputs, gain, seed, dt)
    return Network(populations, [*loops, *ways], [series], dt=dt, seed=seed, name="chrsnn")


def _blocks(
    names: list[str], sizes: np.ndarray, k: int | None, p: float, between: float, seed: int
) -> dict[tuple[int, int], sparse.csr_array]:
    """Draw the matrix of each pair (source, target) of connected clusters."""
    stream = Stream(seed, "clusters")
    blocks = {}
    for c, size in enumerate(sizes):
        inner = 2 * _quarter(int(size)) if k is None else k
        blocks[c, c] = signed_small_world(int(size), inner, p, EXCITATORY, G, stream.child(names[c]))
    ring = SmallWorld(2, p).rows((len(sizes),), (len(sizes),), stream.child("ring"))
    for pre, post in zip(np.repeat(np.arange(len(sizes)), 2), ring.indices, strict=True):
        blocks[int(pre), int(post)] = _between(
            blocks[int(pre), int(pre)], int(sizes[post]), between, stream.child(f"{pre}->{post}")
        )
    return blocks


def _between(own: sparse.csr_array, targets: int, share: float, stream: Stream) -> sparse.csr_array:
    """Draw synapses to another cluster; a source keeps the sign that it has within its own."""
    sources = own.shape[1]
    sign = np.where(own.sum(axis=0) > 0, 1.0, -G)
    there = stream.bernoulli(targets * sources, share).reshape(targets, sources)
    size = np.abs(1 + 0.5 * stream.child("size").normal(targets * sources)).reshape(targets, sources)
    return sparse.csr_array(there * size * sign)


def _radius(blocks: dict[tuple[int, int], sparse.csr_array], names: list[str]) -> float:
    grid = [[blocks.get((pre, post)) for pre in range(len(names))] for post in range(len(names))]
    return spectral_radius(sparse.csr_array(sparse.block_array(grid)))


def _quarter(n: int) -> int:
    """Return an even number of neighbours, about a quarter of the neurons."""
    return max(2, n // 8 * 2)


def _check(inputs: int, radius: float, tau: float, stdp: int, dt: float) -> None:
    """Raise for numbers that cannot be; all are reported."""
    problems = [
        f"{name} must be a whole number of at least {low}, found {value!r}"
        for name, value, low in (("inputs", inputs, 1), ("stdp", stdp, 0))
        if not isinstance(value, (int, np.integer)) or value < low
    ]
    problems += [
        f"{name} must be above 0, found {value!r}"
        for name, value in (("radius", radius), ("tau", tau), ("dt", dt))
        if not value > 0
    ]
    if problems:
        raise InvalidValueError("hrsnn: " + "\nhrsnn: ".join(problems))
