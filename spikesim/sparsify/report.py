"""What pruning cost: neurons, synapses, spectra, modes, synaptic operations and energy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from spikesim.lowering import lower
from spikesim.network import Network
from spikesim.recording import Recording
from spikesim.sparsify.covariance import DENSE, leading
from spikesim.sparsify.linear import LinearModel, with_noise
from spikesim.sparsify.timescales import Tuned

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from spikesim.profile.bill import Bill

Floats = NDArray[np.float64]
SECONDS = 0.5  # of the run under noise in which operations are counted
SHOWN = 64  # eigenvalues kept where not all are known
SLOW = 3


class Round(NamedTuple):
    """What one round left."""

    neurons: int
    """Of the network."""
    synapses: int
    """Of the pruned projections."""
    scale: float
    """Factor of all their weights that keeps the linear system stable; 1 where it was."""
    ipr: tuple[float, float] | None
    """Mean inverse participation ratio before and after edges were added, or None."""
    betweenness_error: float
    """Mean standard error of the betweenness over its mean; 0 if it was exact."""


@dataclass(frozen=True, eq=False)
class PruneReport:
    """What pruning did to a network.

    Parameters
    ----------
    network, method, seed
        Name of the network, how it was pruned.
    neurons, synapses
        Before and after; synapses of the pruned projections.
    all_synapses
        Of all projections, inputs among them, before and after.
    rounds
        What each round left.
    spectrum
        Eigenvalues of the linear system under noise in 1/s, largest real part first, before and after: complex, all of
        them up to 1500 rows.
    slow_errors
        ``|lambda' / lambda - 1|`` of the three slowest, in order.
    slow_cosines
        Cosine between each of the three slowest modes ``v`` of the original, on the neurons left, and ``A' v``.
    events
        Synaptic operations of the pruned projections in half a second of noise, before and after.
    all_events
        Of all projections within the network.
    tuned
        What the optimisation of time constants found, or None.
    notes
        What a reader should know.
    matrices
        The linear systems, sparse, before and after.
    runs
        Networks and recordings of the noise runs, before and after.
    """

    network: str
    method: str
    seed: int
    neurons: tuple[int, int]
    synapses: tuple[int, int]
    all_synapses: tuple[int, int]
    rounds: Sequence[Round]
    spectrum: tuple[Any, Any]
    slow_errors: tuple[float, ...]
    slow_cosines: tuple[float, ...]
    events: tuple[int, int]
    all_events: tuple[int, int]
    tuned: Tuned | None
    notes: Sequence[str]
    matrices: tuple[Any, Any]
    runs: tuple[tuple[Network, Recording], tuple[Network, Recording]]

    @property
    def rate(self) -> tuple[float, float]:
        """Largest exponent of the linear system in 1/s, before and after."""
        return float(self.spectrum[0].real.max()), float(self.spectrum[1].real.max())

    def energy(self, device: str) -> tuple[Bill, Bill]:
        """Return the bills of both noise runs on a device (:func:`spikesim.profile.profile`).

        Parameters
        ----------
        device
            Name or file of a device.
        """
        from spikesim.profile import profile

        first, second = (profile(recording, network, device).bills for network, recording in self.runs)
        return next(iter(first.values())), next(iter(second.values()))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        plain = ("network", "method", "seed", "neurons", "synapses", "all_synapses", "slow_errors", "slow_cosines")
        found = {name: getattr(self, name) for name in (*plain, "events", "all_events", "notes")}
        spectra = [np.column_stack([s.real, s.imag])[:SHOWN].tolist() for s in self.spectrum]
        return found | {
            "rate": self.rate,
            "spectrum": spectra,
            "rounds": [r._asdict() for r in self.rounds],
            "tuned": None if self.tuned is None else self.tuned._asdict(),
        }

    def plot(self, axes: Sequence[Axes] | None = None) -> Sequence[Axes]:
        """Draw the connectivity before and after, and both spectra (:func:`spikesim.plot.pruning`)."""
        from spikesim.plot.pruning import pruning

        return pruning(self, axes)

    def __str__(self) -> str:
        def row(label: str, pair: tuple[float, float], unit: str = "") -> str:
            share = f" ({pair[1] / pair[0]:.1%})" if pair[0] and not unit else ""
            return f"  {label}: {pair[0]:.6g} -> {pair[1]:.6g}{unit}{share}"

        lines = [
            f"{self.network} pruned by {self.method!r} (seed {self.seed})",
            row("neurons", self.neurons),
            row("synapses", self.synapses),
            row("synaptic operations under noise", self.events),
            row("largest exponent of the linear system", self.rate, " 1/s"),
            f"  slowest modes: relative error {', '.join(f'{e:.3g}' for e in self.slow_errors)}; "
            f"cosine {', '.join(f'{c:.3f}' for c in self.slow_cosines)}",
        ]
        return "\n".join([*lines, *(f"  note: {n}" for n in self.notes)])


def make_report(
    network: Network,
    pruned: Network,
    method: str,
    seed: int,
    before: LinearModel,
    after: LinearModel,
    rows: Any,
    rounds: Sequence[Round],
    tuned: Tuned | None,
    notes: Sequence[str],
) -> PruneReport:
    """Measure both networks under the same noise.

    Parameters
    ----------
    network, pruned
        Before and after.
    method, seed
        How it was pruned.
    before, after
        Their linear systems.
    rows
        Which rows of the first are left in the second, bool ``[n]``.
    rounds, tuned, notes
        What happened on the way.
    """
    from spikesim.engine import run

    noisy = tuple(with_noise(x.with_(seed=seed), before.noise) for x in (network.folded(), pruned))
    steps = max(1, round(SECONDS / network.dt)) if network.dt < SECONDS / 10 else 500
    recordings = [run(x, steps=steps) for x in noisy]
    chosen = set(before.synapses)
    events = [sum(int(p.events.sum()) for n, p in r.counts.projections.items() if n in chosen) for r in recordings]
    matrices = before.matrix(), after.matrix()
    errors, cosines = _modes(*matrices, rows)
    spectra = tuple(leading(m, m.shape[0] if m.shape[0] <= DENSE else SHOWN) for m in matrices)
    synapses = [lower(x, snap=False).synapses for x in (network, pruned)]
    return PruneReport(
        network.name, method, seed, (sum(p.n for p in network.populations), sum(p.n for p in pruned.populations)),
        (len(before.pre), len(after.pre)), (synapses[0], synapses[1]), tuple(rounds), (spectra[0], spectra[1]), errors,
        cosines, (events[0], events[1]), (recordings[0].counts.synaptic_events, recordings[1].counts.synaptic_events),
        tuned, tuple(notes), matrices, ((noisy[0], recordings[0]), (noisy[1], recordings[1])),
    )  # fmt: skip


def _modes(before: Any, after: Any, rows: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    n = before.shape[0]
    if n <= DENSE:
        values, vectors = np.linalg.eig(before.toarray())
        order = np.argsort(-values.real, kind="stable")[:SLOW]
        values, vectors = values[order], vectors[:, order]
    else:
        from scipy.sparse.linalg import ArpackError, eigs

        start = np.random.default_rng(0).standard_normal(n)
        try:
            values, vectors = eigs(before, k=SLOW, which="LR", v0=start, ncv=60, tol=1e-4, maxiter=600)
        except ArpackError:
            return (), ()
    new = leading(after, len(values))
    v = vectors[rows]
    image = after @ v
    lengths = np.linalg.norm(v, axis=0) * np.linalg.norm(image, axis=0)
    cosines = np.abs(np.einsum("ij,ij->j", v.conj(), image)) / np.maximum(lengths, 1e-300)
    errors = np.abs(new[: len(values)] / values[: len(new)] - 1.0)
    return tuple(errors.tolist()), tuple(cosines.tolist())


def notes_on(
    network: Network, projections: Sequence[str], before: LinearModel, pruned: Network, after: LinearModel
) -> list[str]:
    """Return sentences about what is unusual: no recurrence, several pieces, instability, lone or silent neurons."""
    found, graph = [], lower(network, snap=False)
    if not set(projections) & graph.recurrent_edges:
        found.append(
            "no pruned projection lies on a cycle: eigenvalues of the linear system are those of single neurons, "
            "whatever the weights, so the spectrum says nothing here; covariance and paths still do"
        )
    rate = float(leading(before.matrix(), 1).real[0])
    if rate > 0.0:
        found.append(
            f"the network is unstable around its noisy state (largest exponent {rate:.3g} 1/s); covariance was taken "
            "with a diagonal shifted until the system is stable"
        )
    fast = int((before.rates > 0.5).sum())
    if fast:
        most = "the network runs away" if fast > before.n / 2 else "a large bias or their synapses drive them"
        found.append(
            f"{fast} neurons fire in more than every second step, however weak the noise: {most}, and gains of "
            "neurons that always fire are 0, so covariance says little about them"
        )
    for label, model in (("before", before), ("after", after)):
        pieces, lone = _pieces(model)
        if pieces > 1 or lone:
            found.append(f"{label} pruning the graph has {pieces} connected parts and {lone} neurons without synapses")
    for label, model, whose in (("original", before, network), ("pruned", after, pruned)):
        names = {p.name for p in whose.populations if p.model.spiking}
        own = np.concatenate([np.full(s, n in names) for n, s in zip(model.names, model.sizes, strict=True)])
        if silent := int((own & (model.rates == 0.0)).sum()):
            found.append(
                f"{silent} of {int(own.sum())} neurons of the {label} network never fired under the noise; their gain "
                "counts as 5 % of the mean"
            )
    plastic = [p.name for p in network.projections if p.name in projections and p.plasticity is not None]
    if plastic:
        found.append(f"{', '.join(plastic)}: plastic weights start from the pruned ones, clipped to their bounds")
    return found


def _pieces(model: LinearModel) -> tuple[int, int]:
    """Return connected parts of more than one row, and rows without synapses."""
    ones = np.ones(len(model.pre))
    graph = sparse.coo_array((ones, (model.post, model.pre)), shape=(model.n, model.n))
    labels: Any = connected_components(sparse.csr_array(graph), directed=False)[1]
    sizes: Any = np.bincount(labels)
    return int((sizes > 1).sum()), int((sizes == 1).sum())
