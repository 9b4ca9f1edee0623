"""Lyapunov noise pruning (LNP): what it adds to noise-prune, for one round.

Chakraborty et al., "Sparse spiking neural network: exploiting heterogeneity in timescales for pruning recurrent SNN",
ICLR 2024, arXiv 2403.03409. The four steps and their order are the paper's; constants and several formulas are not
known to us, so each function says what of it is a reconstruction.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse

from spikesim.analyse import network_spectrum
from spikesim.errors import UnknownNameError
from spikesim.lowering import lower
from spikesim.network import Network
from spikesim.rng import Stream
from spikesim.sparsify.covariance import DENSE, covariance, leading, simulated_covariance
from spikesim.sparsify.delocalise import delocalise
from spikesim.sparsify.linear import LinearModel, with_noise
from spikesim.sparsify.noise import noise_terms
from spikesim.sparsify.surgery import Synapses

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
FACTORS = ("w", "L", "wL")
EXPONENTS = ("auto", "network", "linear")
REGULAR = 1e-3  # added to the sizes of exponents, relative to their mean, or a harmonic mean would be singular
MARGIN = 0.05  # of the mean leak: what stays between the largest eigenvalue and 0
COLUMNS = 32  # leading directions where not all can be had
SMALL = 200  # neurons up to which exponents are those of the network itself


def stable(a: Any) -> tuple[Any, float]:
    """Return ``A``, its diagonal shifted until its largest real part is 5 % of the mean leak below 0, and the shift.

    Covariance exists for a stable system only; the shifted one is used for nothing else.
    """
    matrix = sparse.csr_array(a)
    limit = -MARGIN * float(np.abs(matrix.diagonal()).mean())
    shift = max(0.0, float(leading(matrix, 1).real[0]) - limit)
    return (sparse.csr_array(matrix - shift * sparse.eye_array(matrix.shape[0])) if shift else matrix), shift


def sensitivity(model: LinearModel, seed: int = 0) -> Floats:
    """Return ``C_ii + C_jj - 2 sgn(w_ij) C_ij`` of every synapse.

    From the Lyapunov equation, or simulated beyond 1500 rows.

    Parameters
    ----------
    model
        The linear system.
    seed
        Of the simulation.
    """
    matrix, _ = stable(model.matrix())
    one = np.sign(model.weight)
    if model.n <= DENSE:
        c = covariance(matrix)
        own, other, shared = c[model.post, model.post], c[model.pre, model.pre], c[model.post, model.pre]
    else:
        found = simulated_covariance(matrix, model.pre, model.post, seed=seed)
        own, other, shared = found.variance[model.post], found.variance[model.pre], found.pairs
    return noise_terms(one, own, other, shared)


def neuron_exponents(network: Network, model: LinearModel, how: str = "auto", seed: int = 0) -> Floats:
    """Return a Lyapunov exponent for every row of the linear system, in 1/s.

    The paper uses exponents of single neurons and does not define them. Here ``l_i = sum_k l_k <q_ik^2>`` over
    orthonormal directions ``q_k`` of the growth ``l_k``; they add up to the sum of the spectrum.

    Parameters
    ----------
    network
        The network.
    model
        Its linear system.
    how
        ``"network"``: from the surrogate Jacobian along a run under noise
        (:func:`spikesim.analyse.network_spectrum`). ``"linear"``: of the linear system, from all of its eigenvectors,
        or beyond 1500 rows from 32 leading directions, the rest of the trace shared equally. ``"auto"``: the former up
        to 200 neurons.
    seed
        Of noise and first directions.
    """
    if how not in EXPONENTS:
        raise UnknownNameError("kind of exponents:", how, EXPONENTS)
    neurons = sum(p.n for p in network.populations)
    if how == "network" or (how == "auto" and neurons <= SMALL):
        noisy = with_noise(network.with_(seed=seed), model.noise)
        return _by_row(noisy, model, np.asarray(network_spectrum(noisy, steps=300, seed=seed).per_neuron))
    matrix = model.matrix()
    if model.n <= DENSE:
        values, vectors = linalg.eig(matrix.toarray())
        order = np.argsort(-values.real, kind="stable")
        q = linalg.qr(vectors[:, order], mode="economic")[0]
        return np.asarray(np.abs(q) ** 2 @ values[order].real)
    return _leading_exponents(matrix, seed)


def _by_row(network: Network, model: LinearModel, per_neuron: Floats) -> Floats:
    """Bring exponents from the order of the graph into that of the rows; sources get the mean."""
    found, first = np.full(model.n, per_neuron.mean()), 0
    for node in lower(network).nodes:
        if node.name in model.names:
            found[model.rows(node.name)] = per_neuron[first : first + node.n]
        first += node.n
    return found


def leading_directions(matrix: Any, seed: int = 0) -> tuple[Floats, Floats]:
    """Return 32 leading orthonormal directions of a linear system and their growth in 1/s, by 240 Euler steps with QR.

    Growth is ``diag(Q^T A Q)``. Unlike single eigenvalues, which lie close together in large networks, this does not
    wait for convergence; what has not converged is a mixture of neighbouring ones.

    Parameters
    ----------
    matrix
        Sparse ``[n, n]``.
    seed
        Of the first directions.
    """
    n, h = matrix.shape[0], 1.0 / np.abs(matrix.diagonal()).max()
    q = np.linalg.qr(np.random.default_rng(seed).standard_normal((n, COLUMNS)))[0]
    for _ in range(60):
        for _ in range(4):
            q = q + h * (matrix @ q)
        q = np.linalg.qr(q)[0]
    return q, np.einsum("ij,ij->j", q, matrix @ q)


def _leading_exponents(matrix: Any, seed: int) -> Floats:
    n, (q, rates) = matrix.shape[0], leading_directions(matrix, seed)
    rest = (float(matrix.diagonal().sum()) - rates.sum()) / (n - COLUMNS)
    share = q**2
    return np.asarray(share @ rates + (1.0 - share.sum(axis=1)) * rest)


def lyapunov_weights(model: LinearModel, exponents: Floats, among: Mask | None = None) -> Floats:
    """Return ``L_ij``: the harmonic mean of the exponents of all neighbours of both ends of each synapse.

    That it is a harmonic mean is said by readers of the paper; the set of neighbours and the sizes ``|l| + 1e-3 mean
    |l|``, which keep it finite, are a reconstruction.

    Parameters
    ----------
    model
        The linear system.
    exponents
        Of every row, float64 ``[n]``.
    among
        Synapses that still exist, bool ``[m]``; all by default.

    Returns
    -------
    float64 ``[m]``, 0 where there is no synapse any more.
    """
    from spikesim.sparsify.kernels import union_sums

    some = np.ones(len(model.pre), bool) if among is None else among
    pre, post = model.pre[some], model.post[some]
    one = np.ones(2 * len(pre))
    ends = (np.concatenate([pre, post]), np.concatenate([post, pre]))
    around = sparse.csr_array(sparse.coo_array((one, ends), shape=(model.n, model.n)))
    around.sum_duplicates()
    size = np.abs(exponents)
    inverse = 1.0 / (size + REGULAR * max(float(size.mean()), 1e-300))
    sums, sizes = np.zeros(len(pre)), np.zeros(len(pre))
    union_sums(around.indptr.astype(np.int64), around.indices.astype(np.int32), inverse, pre, post, sums, sizes)
    found = np.zeros(len(model.pre))
    found[some] = sizes / sums
    return found


def lnp_terms(model: LinearModel, sensitive: Floats, weights: Floats | None, factor: str) -> Floats:
    """Return the probability of each synapse up to ``rho``: ``e_ij (C_ii + C_jj - 2 sgn(w_ij) C_ij)``.

    Parameters
    ----------
    model
        The linear system.
    sensitive
        What :func:`sensitivity` returned.
    weights
        What :func:`lyapunov_weights` returned; None for the factor ``"w"``.
    factor
        ``"w"`` is noise-prune, for which there is a proof; ``"L"`` takes the Lyapunov weight in place of ``|w|`` (not
        verified against the paper's text); ``"wL"`` their product.
    """
    if factor not in FACTORS:
        raise UnknownNameError("factor of the probability:", factor, FACTORS)
    size = np.abs(model.weight)
    if weights is not None and factor != "w":
        size = weights * (size > 0.0) if factor == "L" else size * weights
    return size * sensitive


class _Growing:
    """Pruned synapses, and what a new one would be: weight and delay of one that has the same source and projection."""

    def __init__(self, model: LinearModel, pruned: dict[str, Synapses], stays: Mask, seed: int) -> None:
        self.model, self.pruned = model, pruned
        self.rows = np.flatnonzero(stays)
        self.of = np.repeat(np.arange(len(model.names)), model.sizes)
        self.first = np.concatenate([[0], np.cumsum(model.sizes)])
        self.luck = Stream(seed, "prune/added").uniform(model.n)
        self.donors: dict[tuple[int, int], tuple[str, int]] = {}
        self.between: dict[tuple[int, int], list[str]] = {}
        for name in pruned:
            sides = tuple(model.names.index(side) for side in model.ends[name])
            self.between.setdefault((sides[0], sides[1]), []).append(name)

    def matrix(self) -> sparse.csr_array:
        """Return the linear system of the neurons that stay."""
        full = self.model.rewired(self.pruned).matrix()
        return sparse.csr_array(full[self.rows][:, self.rows])

    def weigh(self, source: int, target: int) -> float | None:
        """Return the entry that a new edge would be, or None if no synapse of its source can be copied."""
        m, z, v = self.model, int(self.rows[source]), int(self.rows[target])
        i, j = z - self.first[self.of[z]], v - self.first[self.of[v]]
        for name in self.between.get((int(self.of[z]), int(self.of[v])), []):
            own = np.flatnonzero(self.pruned[name].pre == i)
            if own.size:
                donor = int(own[int(self.luck[v] * own.size)])
                self.donors[source, target] = name, donor
                return float(m.reach[name][j] * self.pruned[name].weight[donor] * m.gain[z] / m.dt)
        return None

    def grown(self, edges: list[tuple[int, int]]) -> dict[str, Synapses]:
        """Return the synapses with some edges added."""
        larger = dict(self.pruned)
        for source, target in edges:
            name, donor = self.donors[source, target]
            s, z, v = larger[name], self.rows[source], self.rows[target]
            larger[name] = Synapses(
                np.append(s.pre, z - self.first[self.of[z]]), np.append(s.post, v - self.first[self.of[v]]),
                np.append(s.weight, s.weight[donor]), np.append(s.origin, s.origin[donor]),
            )  # fmt: skip
        return larger


def added_edges(
    model: LinearModel, pruned: dict[str, Synapses], stays: Mask, budget: int, seed: int
) -> tuple[dict[str, Synapses], tuple[float, float]]:
    """Return the pruned synapses with edges added against localised modes, and the mean IPR before and after.

    A new synapse takes weight and delay of one of the same source, so signs are respected.

    Parameters
    ----------
    model
        The linear system before pruning.
    pruned
        Synapses that were kept.
    stays
        Rows whose neurons were kept, bool ``[n]``.
    budget
        At most so many edges.
    seed
        Of the choice which synapse is copied.
    """
    growing = _Growing(model, pruned, stays, seed)
    found = delocalise(growing.matrix(), budget, growing.weigh)
    return growing.grown(found.edges), (found.ipr_before, found.ipr_after)
