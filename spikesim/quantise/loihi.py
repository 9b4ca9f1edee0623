"""Float network -> Loihi's fixed point: 8-bit weights, 12-bit decays, integer thresholds, biases and quanta.

The result is again a ``Network``: its neurons are ``loihi_lif``, whose equations are the chip's integer arithmetic, so
numba and torch run it bit for bit like the emulator and Lava do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from spikesim.connect import Connection, Conv2d, Dense, Sparse
from spikesim.errors import UnsupportedError
from spikesim.graph import Edge, Graph, Node
from spikesim.lowering import lower
from spikesim.models.neurons import loihi_lif
from spikesim.network import Network, Population, Projection
from spikesim.quantise.chip_form import ChipForm, chip_form
from spikesim.stimulus import Drive

WEIGHT_LOW, WEIGHT_HIGH = -256, 254  # even values of a mixed 8-bit matrix
THRESHOLD_HIGH = 2**17 - 1
DECAY_ONE = 4096
RESETS: dict[str, Literal["to", "subtract", "none"]] = {"hard": "to", "soft": "subtract", "none": "none"}
STATE_SCALE = 64  # the chip shifts its input left by 6


@dataclass(frozen=True)
class PopulationReport:
    """How one population was brought to integers.

    Parameters
    ----------
    scale
        Integer weight units per float unit of the input.
    threshold, threshold_error
        Mantissa, and relative rounding error.
    current_decay, voltage_decay
        The 12-bit decays (``du``, ``dv``), and the change of the fraction kept in a step.
    decay_error
        Largest absolute change of a fraction kept in a step.
    bias_error
        Largest absolute rounding error of a bias, in float units.
    quantum_error
        Relative rounding error of the soft reset's quantum.
    """

    scale: float
    threshold: int
    threshold_error: float
    current_decay: int
    voltage_decay: int
    decay_error: float
    bias_error: float
    quantum_error: float


@dataclass(frozen=True)
class ProjectionReport:
    """How the weights of one projection were rounded.

    Parameters
    ----------
    rms_error, max_error
        Relative to the largest weight.
    saturated
        Number of weights cut to the range.
    zeroed
        Number of weights that became 0.
    synapses
        Number of synapses.
    """

    rms_error: float
    max_error: float
    saturated: int
    zeroed: int
    synapses: int


@dataclass(frozen=True, eq=False, repr=False)
class Quantised:
    """A network in fixed point, and what that cost.

    Parameters
    ----------
    network
        The integer network.
    populations, projections
        Rounding, by name.
    notes
        What a reader must know, one sentence each.
    """

    network: Network
    populations: dict[str, PopulationReport] = field(default_factory=dict)
    projections: dict[str, ProjectionReport] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """Return the report as lines of text."""
        lines = [f"{r['part']}: {r['what']} error {r['error']:.2g} ({r['detail']})" for r in self.rows()]
        return "\n".join([f"{self.network.name}", *(f"  {line}" for line in [*lines, *self.notes])])

    def rows(self) -> list[dict[str, Any]]:
        """Return the report as rows of a table."""
        rows: list[dict[str, Any]] = []
        for name, p in self.populations.items():
            rows.append(
                {
                    "part": name,
                    "what": "threshold",
                    "error": p.threshold_error,
                    "detail": f"vth {p.threshold}, scale {p.scale:.4g}",
                }
            )
            rows.append(
                {
                    "part": name,
                    "what": "decays",
                    "error": p.decay_error,
                    "detail": f"du {p.current_decay}, dv {p.voltage_decay}",
                }
            )
        for name, q in self.projections.items():
            detail = f"{q.saturated} saturated, {q.zeroed} zeroed of {q.synapses}"
            rows.append({"part": name, "what": "weights (rms)", "error": q.rms_error, "detail": detail})
        return rows


def quantise(network: Network | Graph, *, clip_search: int = 24) -> Quantised:
    """Bring a network to Loihi's fixed point.

    Parameters
    ----------
    network
        A float network whose neurons match the chip's (:func:`~spikesim.quantise.chip_form.chip_form`).
    clip_search
        How many scales to try per population; the one with the least squared weight error is taken. A larger scale
        rounds finer but saturates the largest weights.

    Returns
    -------
    Quantised

    Raises
    ------
    UnsupportedError
        If something has no counterpart on the chip; all reasons are listed.

    Notes
    -----
    Formats as in Davies et al. 2018 and Lava's ``LIF`` (``fixed_pt``): weights even in [-256, 254], decays 12 bit with
    a hidden +1 on the current's, threshold mantissa 17 bit shifted left by 6, bias mantissa 13 bit with exponent 0..7.
    """
    graph = network if isinstance(network, Graph) else lower(network, snap=False)
    forms, problems = _forms(graph)
    if problems:
        raise UnsupportedError(problems, f"network {graph.name!r} cannot be brought to Loihi's fixed point:")
    populations, projections, reports, weight_reports, notes = [], [], {}, {}, []
    for node in graph.nodes:
        edges = [e for e in graph.edges if e.post == node.name]
        population, report, new, rounded, remarks = _convert(node, forms[node.name], edges, graph.dt, clip_search)
        populations.append(population)
        reports[node.name] = report
        projections += new
        weight_reports.update(rounded)
        notes += remarks
    order = {e.name: k for k, e in enumerate(graph.edges)}
    projections.sort(key=lambda p: order[p.name])
    result = Network(
        tuple(populations),
        tuple(projections),
        graph.sources,
        _probes(graph),
        graph.dt,
        graph.seed,
        f"{graph.name} (fixed point)",
    )
    return Quantised(result, reports, weight_reports, notes)


def _probes(graph: Graph) -> tuple[Any, ...]:
    """Probes on the voltage stay; others name states that no longer exist."""
    return tuple(p for p in graph.probes if set(p.variables) <= {"u", "v"})


def _forms(graph: Graph) -> tuple[dict[str, ChipForm], list[str]]:
    forms, problems = {}, []
    for node in graph.nodes:
        form, reasons = chip_form(node)
        problems += reasons
        if form is not None:
            forms[node.name] = form
    for drive in graph.drives:
        problems.append(_drive_problem(drive))
    for edge in graph.edges:
        if edge.graded:
            problems.append(
                f"projection {edge.name!r}: the input {edge.pre!r} is graded, the chip takes spikes; encode "
                "the values to spikes (spikesim.encode)"
            )
    return forms, problems


def _drive_problem(drive: Drive) -> str:
    return (
        f"stimulus {drive.name!r} ({type(drive).__name__}) acts on a port directly, which the chip cannot; "
        "use a source that emits spikes"
    )


def _convert(
    node: Node, form: ChipForm, edges: list[Edge], dt: float, clip_search: int
) -> tuple[Population, PopulationReport, list[Projection], dict[str, ProjectionReport], list[str]]:
    weights = [np.atleast_1d(np.asarray(e.weights, np.float64)) * form.gain for e in edges]
    largest = max((float(np.abs(w).max(initial=0.0)) for w in weights), default=0.0)
    scale, remarks = _scale(node, form, weights, largest, clip_search)
    projections, reports = [], {}
    for edge, floats in zip(edges, weights, strict=True):
        integers = to_even(floats * scale)
        projections.append(_projection(edge, integers, form.gain * scale, dt))
        reports[edge.name] = _weight_report(edge, floats, integers, scale, largest)
    population, report = _population(node, form, scale)
    return population, report, projections, reports, remarks


def _scale(
    node: Node, form: ChipForm, weights: list[NDArray[Any]], largest: float, tries: int
) -> tuple[float, list[str]]:
    """Choose the number of integer units per float unit."""
    ceiling = THRESHOLD_HIGH / form.threshold
    if largest == 0.0:
        return min(ceiling, WEIGHT_HIGH / form.threshold), [f"population {node.name!r} has no weight other than 0"]
    flat = np.concatenate(weights)
    candidates = WEIGHT_HIGH / largest * np.geomspace(1.0, 2.0, tries)
    errors = [float(np.sum((to_even(flat * k) / k - flat) ** 2)) for k in candidates]
    best = float(candidates[int(np.argmin(errors))])
    if best <= ceiling:
        return best, []
    return ceiling, [
        f"population {node.name!r}: the threshold is large beside its weights; they use only "
        f"{ceiling / best:.0%} of their 8 bits"
    ]


def to_even(x: NDArray[Any]) -> NDArray[np.int64]:
    """Round to even integers in [-256, 254].

    >>> to_even(np.array([0.9, 1.1, -1.2, 400.0, -400.0])).tolist()
    [0, 2, -2, 254, -256]
    """
    return np.clip(2 * np.rint(np.asarray(x) / 2), WEIGHT_LOW, WEIGHT_HIGH).astype(np.int64)


def _projection(edge: Edge, integers: NDArray[np.int64], factor: float, dt: float) -> Projection:
    rule = _integer_rule(edge, integers, factor)
    return Projection(edge.pre, edge.post, rule, delay=edge.delays * dt, name=edge.name)


def _integer_rule(edge: Edge, integers: NDArray[np.int64], factor: float) -> Connection:
    """Keep layers what they are, so that exporters still see them; anything else becomes a sparse matrix."""
    if isinstance(edge.rule, (Dense, Conv2d)):
        return edge.rule.map_weights(lambda w: to_even(w * factor).astype(np.float64))
    values = np.broadcast_to(integers, (edge.synapses,)).astype(np.float64)
    by_source = csr_array((values, edge.indices, edge.indptr), shape=(edge.n_pre, edge.n_post))
    return Sparse(by_source.T)


def _weight_report(
    edge: Edge, floats: NDArray[Any], integers: NDArray[np.int64], scale: float, largest: float
) -> ProjectionReport:
    error = integers / scale - floats
    outside = (floats * scale > WEIGHT_HIGH + 1) | (floats * scale < WEIGHT_LOW - 1)
    repeat = edge.synapses // max(len(floats), 1)
    return ProjectionReport(
        float(np.sqrt(np.mean(error**2))) / largest if largest else 0.0,
        float(np.abs(error).max(initial=0.0)) / largest if largest else 0.0,
        int(outside.sum()) * repeat,
        int(((integers == 0) & (floats != 0)).sum()) * repeat,
        edge.synapses,
    )


def _population(node: Node, form: ChipForm, scale: float) -> tuple[Population, PopulationReport]:
    threshold = max(1, round(form.threshold * scale))
    du = (
        DECAY_ONE - 1
        if form.current is None
        else int(np.clip(round(DECAY_ONE * (1 - form.current_keep)) - 1, 0, DECAY_ONE - 1))
    )
    dv = int(np.clip(round(DECAY_ONE * (1 - form.voltage_keep)), 0, DECAY_ONE))
    mantissa, exponent = bias_parts(form.bias * scale * STATE_SCALE)
    quantum = round(form.quantum * scale * STATE_SCALE)
    soft = {"q": quantum / STATE_SCALE} if form.reset == "soft" else {}
    held = {"refractory": form.refractory} if form.refractory > 1 else {}
    neuron = loihi_lif(
        reset=RESETS[form.reset], du=du, dv=dv, v_th=threshold, bias_mant=mantissa, bias_exp=exponent,
        init=_initial(node, form, scale * STATE_SCALE), **soft, **held,
    )  # fmt: skip
    kept = [1 - dv / DECAY_ONE - form.voltage_keep]
    if form.current is not None:
        kept.append(1 - (du + 1) / DECAY_ONE - form.current_keep)
    report = PopulationReport(
        scale=scale,
        threshold=threshold,
        threshold_error=abs(threshold / scale / form.threshold - 1),
        current_decay=du,
        voltage_decay=dv,
        decay_error=float(np.abs(kept).max()),
        bias_error=float(np.abs((mantissa << exponent) / (scale * STATE_SCALE) - form.bias).max()),
        quantum_error=abs(quantum / (form.quantum * scale * STATE_SCALE) - 1) if form.quantum else 0.0,
    )
    return Population(node.name, node.shape, neuron), report


def _initial(node: Node, form: ChipForm, scale: float) -> dict[str, NDArray[np.float64]]:
    """Return the initial states in the chip's units, without those that are 0 anyway."""
    found = {"v": (node.init[form.voltage] - form.rest) * scale}
    if form.current is not None:
        found["u"] = node.init[form.current] * form.coupling * scale
    return {name: np.rint(values) for name, values in found.items() if np.rint(values).any()}


def bias_parts(values: Any) -> tuple[Any, int]:
    """Split biases into mantissas (13 bit, signed) and the exponent that they share (0..7).

    >>> bias_parts(100.0), bias_parts(10000.0)
    ((100, 0), (2500, 2))
    >>> bias_parts(np.array([3.0, -10000.0]))[0].tolist()
    [1, -2500]
    """
    for exponent in range(8):
        mantissas = np.rint(np.asarray(values) / 2**exponent)
        if mantissas.min() >= -4096 and mantissas.max() <= 4095:
            break
    mantissas = np.clip(mantissas, -4096, 4095).astype(np.int64)
    return (mantissas if mantissas.ndim else int(mantissas)), exponent
