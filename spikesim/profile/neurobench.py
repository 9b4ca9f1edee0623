"""NeuroBench's metrics from the counts of a run, under its names and by its definitions.

NeuroBench (Yik et al., Nature Communications 16:1545, 2025) counts while a torch model runs: an *effective* operation
is a non-zero input times a non-zero weight of a linear, convolution or recurrent layer; it is an AC where all inputs of
the layer in that call are -1, 0 or 1, else a MAC; biases are left out; all are means per sample. Here the same numbers
follow from spikes and synapses. What differs on purpose, in the profile's own counts: an event is counted when it is
emitted, in NeuroBench when its layer is called, so spikes under way at the end of a run are taken off again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from spikesim.connect import Chain, Connection, Dense, OneToOne, Pool2d
from spikesim.graph import Edge, Graph
from spikesim.profile.layers import Ints
from spikesim.profile.observed import Observed
from spikesim.profile.quantity import Record
from spikesim.recording import Recording

NO_MODULE = "Footprint and ParameterCount belong to a torch module: profile_module gives them"
NO_TRACE = "MembraneUpdates needs the membranes: record `v` of all neurons in every step, or use profile_module"
NOT_A_LAYER = "one-to-one connections are no layer of NeuroBench's and are left out: "
POOLED = "a pool's averages are values (MAC) to NeuroBench; without the spikes of each step they count as spikes here: "
AT_ONCE = 1 << 25  # values that are followed through pools


class NeuroBench(Record):
    """NeuroBench's metrics.

    Parameters
    ----------
    footprint_bytes, parameter_count
        Of a torch module: bytes of its parameters and buffers, number of its parameters. None for a network.
    connection_sparsity
        Share of weights that are 0, rounded to 4 digits.
    activation_sparsity
        Share of neurons times steps without a spike.
    activation_sparsity_by_layer
        The same of each population.
    effective_macs, effective_acs, dense
        Synaptic operations per sample.
    membrane_updates
        Changes of membranes per sample; None where membranes were not recorded.
    notes
        Where the definitions do not meet.
    """

    footprint_bytes: int | None
    parameter_count: int | None
    connection_sparsity: float
    activation_sparsity: float
    activation_sparsity_by_layer: dict[str, float]
    effective_macs: float
    effective_acs: float
    dense: float
    membrane_updates: float | None
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the metrics as NeuroBench's own results have them; what is not known is None."""
        return {
            "Footprint": self.footprint_bytes,
            "ParameterCount": self.parameter_count,
            "ConnectionSparsity": self.connection_sparsity,
            "ActivationSparsity": self.activation_sparsity,
            "ActivationSparsityByLayer": dict(self.activation_sparsity_by_layer),
            "SynapticOperations": {
                "Effective_MACs": self.effective_macs,
                "Effective_ACs": self.effective_acs,
                "Dense": self.dense,
            },
            "MembraneUpdates": self.membrane_updates,
        }


def neurobench(
    run: Observed,
    graph: Graph,
    pending: Mapping[str, Ints | None],
    *,
    footprint_bytes: int | None = None,
    parameter_count: int | None = None,
    membrane_updates: float | None = None,
) -> NeuroBench:
    """Return NeuroBench's metrics of a run.

    Parameters
    ----------
    run
        What is known of it.
    graph
        The network.
    pending
        Events under way at its end, by projection.
    footprint_bytes, parameter_count, membrane_updates
        Known to a module only.
    """
    counts, edges = run.counts, [e for e in graph.edges if not isinstance(e.rule, OneToOne)]
    operations = np.zeros((2, counts.samples))
    notes, dense = [], 0
    for edge in edges:
        layers = _layers_of_a_chain(edge, run)
        if layers is not None:
            operations += layers[0]
            dense += layers[1]
            continue
        operations += _operations(edge, run)
        dense += edge.synapses * counts.steps
        late = pending.get(edge.name)
        if _pools(edge.rule):
            notes.append(POOLED + edge.name)
        if late is None:
            notes.append(f"{edge.name}: what was under way at the end is not known; the operations hold it")
        else:
            operations[int(not edge.graded)] -= late
    macs, acs = operations.mean(axis=1) if counts.samples else (0.0, 0.0)
    sparsity = {n.name: _silence(run, n.name) for n in graph.nodes if n.model.spiking}
    neurons = {n.name: n.n for n in graph.nodes if n.model.spiking}
    total = sum(neurons.values())
    updates = membrane_updates if membrane_updates is not None else _membrane_updates(run.recording, list(sparsity))
    zeros, weights = np.sum([_zeros(e.rule, e) for e in edges], axis=0) if edges else (0, 0)
    return NeuroBench(
        footprint_bytes=footprint_bytes,
        parameter_count=parameter_count,
        connection_sparsity=round(float(zeros / weights), 4) if weights else 0.0,
        activation_sparsity=sum(sparsity[n] * neurons[n] for n in sparsity) / total if total else 0.0,
        activation_sparsity_by_layer=sparsity,
        effective_macs=float(macs),
        effective_acs=float(acs),
        dense=float(dense),
        membrane_updates=updates,
        notes=tuple([*notes, *_notes(graph, footprint_bytes, updates)]),
    )


def _operations(edge: Edge, run: Observed) -> NDArray[np.float64]:
    """Return MACs and ACs of a projection, ``[2, samples]``."""
    events = run.counts.projections[edge.name].events.astype(np.float64)
    if not edge.graded:
        return np.stack([np.zeros_like(events), events])
    if edge.pre not in run.values:
        return np.stack([events, np.zeros_like(events)])
    values = np.asarray(run.values[edge.pre])
    per_step = (values != 0) @ edge.out_degree.astype(np.float64)  # [steps, samples]
    binary = np.isin(values, (-1, 0, 1)).all(axis=(1, 2))
    return np.stack([per_step[~binary].sum(axis=0), per_step[binary].sum(axis=0)])


def _layers_of_a_chain(edge: Edge, run: Observed) -> tuple[NDArray[np.float64], int] | None:
    """Return MACs and ACs ``[2, samples]`` of a chain with pools, layer by layer, and its dense operations.

    None for everything else, and where it is not known when the source emitted.
    """
    rule = edge.rule
    if not isinstance(rule, Chain) or not _pools(rule) or edge.constant_delay is None:
        return None
    values = _emitted_each_step(edge, run)
    if values is None:
        return None
    steps, samples = len(values), run.counts.samples
    x = values[: max(0, steps - edge.constant_delay)].reshape(-1, values.shape[2]).astype(np.float64)
    found, dense = np.zeros((2, samples)), 0
    shapes = rule.shapes(edge.pattern.pre, edge.pattern.post)
    for part, before, after in zip(rule.rules, shapes, shapes[1:], strict=False):
        matrix = sparse.csr_array(part.matrix(before, after))
        if not isinstance(part, Pool2d):
            weights = np.bincount(matrix.indices[matrix.data != 0], minlength=matrix.shape[1])
            per_step = ((x != 0) @ weights.astype(np.float64)).reshape(-1, samples)
            binary = np.isin(x, (-1, 0, 1)).all(axis=1).reshape(-1, samples).all(axis=1)
            found += np.stack([per_step[~binary].sum(axis=0), per_step[binary].sum(axis=0)])
            dense += (part.weights.size if isinstance(part, Dense) else matrix.nnz) * steps  # zeros are stored too
        x = (matrix @ x.T).T
    return found, dense


def _emitted_each_step(edge: Edge, run: Observed) -> NDArray[Any] | None:
    """Return what the source of a projection emitted, ``[steps, samples, n]``, if it is known and no more than fits."""
    if run.counts.steps * run.counts.samples * edge.n_pre > AT_ONCE or not run.counts.samples:
        return None
    if edge.pre in run.values:
        return run.values[edge.pre]
    known = run.recording is not None and edge.pre in run.recording.spikes and edge.pre in run.emitted
    return run.recording.spikes[edge.pre].dense() if known and run.recording is not None else None


def _silence(run: Observed, name: str) -> float:
    p = run.counts.populations[name]
    values = p.neurons * run.counts.steps
    return 1.0 - float(p.spikes.mean()) / values if values and len(p.spikes) else 0.0


def _zeros(rule: Connection, edge: Edge | None) -> tuple[int, int]:
    """Return the weights that are 0 and all weights; a convolution's kernel counts once, a pool has none."""
    if isinstance(rule, Chain):
        zeros, weights = np.sum([_zeros(r, None) for r in rule.rules], axis=0)
        return int(zeros), int(weights)
    if isinstance(rule, Pool2d):
        return 0, 0
    held = getattr(rule, "weights", None)
    if held is not None:
        values = np.asarray(held.data if sparse.issparse(held) else held)
        return int(np.count_nonzero(values == 0)), int(values.size)
    return (0, 0) if edge is None else (edge.synapses - int(edge.out_degree.sum()), edge.synapses)


def _membrane_updates(recording: Recording | None, populations: list[str]) -> float | None:
    """Count changes of ``v``; every neuron's first step counts, as in NeuroBench."""
    if recording is None or not recording.samples:
        return None
    total = 0
    for name in populations:
        trace = recording.traces.get(name, {}).get("v")
        if trace is None or trace.values.shape != (recording.samples, recording.steps, recording[name].n):
            return None
        total += trace.values[:, 0].size + int(np.count_nonzero(np.diff(trace.values, axis=1)))
    return total / recording.samples


def _notes(graph: Graph, footprint: int | None, updates: float | None) -> list[str]:
    single = [e.name for e in graph.edges if isinstance(e.rule, OneToOne)]
    found = [] if footprint is not None else [NO_MODULE]
    found += [] if updates is not None else [NO_TRACE]
    return found + ([NOT_A_LAYER + ", ".join(single)] if single else [])


def _pools(rule: Connection) -> bool:
    return isinstance(rule, Pool2d) or (isinstance(rule, Chain) and any(_pools(r) for r in rule.rules))
