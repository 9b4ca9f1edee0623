"""A network in fixed point, and what rounding changed: part by part, before anything is run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spikesim.network import Network
from spikesim.quantise.calibrate import Peak
from spikesim.quantise.forms import one_if_same
from spikesim.quantise.plan import DECAY_ONE, STATE_SCALE, Plan, PopulationPlan, ProjectionPlan, bias_parts
from spikesim.quantise.scale import STATE_HIGH
from spikesim.quantise.split import Parts
from spikesim.recording import Recording

if TYPE_CHECKING:
    from spikesim.quantise.measured import Measured


@dataclass(frozen=True, eq=False)
class PopulationReport:
    """How one population was brought to integers.

    Parameters
    ----------
    scale
        Integer weight units per float unit of the membrane.
    threshold, threshold_error
        Mantissa (one, or one per neuron), and largest relative rounding error.
    current_decay, voltage_decay
        The 12-bit decays (``du``, ``dv``): one, or one per neuron.
    decay_error
        Largest absolute change of a fraction kept in a step.
    time_constant_error
        Largest relative change of a time constant; infinite where a leak is lost.
    bias_error
        Largest absolute rounding error of a bias, in float units.
    quantum_error
        Largest relative error of the soft reset's quantum.
    current_use, voltage_use
        Share of the 24-bit range that current and voltage reach on the calibration input; None without one.
    bins
        Values of (``du``, ``dv``).
    """

    scale: float
    threshold: Any
    threshold_error: float
    current_decay: Any
    voltage_decay: Any
    decay_error: float
    time_constant_error: float
    bias_error: float
    quantum_error: float
    current_use: float | None
    voltage_use: float | None
    bins: int


@dataclass(frozen=True)
class ProjectionReport:
    """How the weights of one projection were rounded.

    Parameters
    ----------
    rms_error, max_error
        Relative to the population's largest weight; ``own_error`` is ``rms_error`` relative to the projection's own.
    saturated
        Number of weights cut to the range.
    zeroed
        Number of weights that became 0.
    synapses
        Number of synapses.
    step, exponent, bits, mode
        Distance of neighbouring weights in the population's units, the chip's weight exponent, bits and sign mode.
    """

    rms_error: float
    max_error: float
    own_error: float
    saturated: int
    zeroed: int
    synapses: int
    step: int
    exponent: int
    bits: int
    mode: str


def population_report(plan: PopulationPlan, peak: Peak | None) -> PopulationReport:
    """Compare a population's integers with its float values."""
    f, unit = plan.forms, plan.scale * STATE_SCALE
    kept = [(1.0 - plan.dv / DECAY_ONE, f.voltage_keep)]
    if f.current is not None:
        kept.append((1.0 - (plan.du + 1) / DECAY_ONE, f.current_keep))
    mantissa, exponent = bias_parts(plan.bias)
    return PopulationReport(
        scale=plan.scale,
        threshold=one_if_same(plan.threshold),
        threshold_error=float(np.abs(plan.threshold / plan.scale / f.threshold - 1.0).max()),
        current_decay=one_if_same(plan.du),
        voltage_decay=one_if_same(plan.dv),
        decay_error=max(float(np.abs(new - old).max()) for new, old in kept),
        time_constant_error=max(_change_of_time(new, old) for new, old in kept),
        bias_error=float(np.abs(np.ldexp(mantissa.astype(float), exponent) / unit - f.bias).max()),
        quantum_error=_relative(plan.whole_quantum / unit, f.quantum),
        current_use=None if peak is None else peak.current * unit / STATE_HIGH,
        voltage_use=None if peak is None else peak.voltage * unit / STATE_HIGH,
        bins=len(np.unique(np.stack([plan.du, plan.dv]), axis=1).T),
    )


def _change_of_time(new: NDArray[Any], old: NDArray[Any]) -> float:
    """Return the largest relative change of ``-1 / log(kept)``, of neurons that keep something and lose something."""
    changed = (old > 0.0) & (old < 1.0) & (new > 0.0)
    if not changed.any():
        return 0.0
    with np.errstate(divide="ignore"):
        ratio = np.log(old[changed]) / np.log(np.minimum(new[changed], 1.0))
    return float(np.abs(ratio - 1.0).max())


def _relative(new: NDArray[Any], old: NDArray[Any]) -> float:
    some = old != 0.0
    return float(np.abs(new[some] / old[some] - 1.0).max()) if some.any() else 0.0


def projection_report(plan: ProjectionPlan, largest: float) -> ProjectionReport:
    """Compare a projection's integers with its float weights; ``largest`` is the target's largest, in its units."""
    scaled, levels = plan.scaled(), plan.levels
    integers = levels.round(scaled)
    error = np.abs(integers - scaled)
    rms, most = (float(np.sqrt(np.mean(error**2))), float(error.max())) if error.size else (0.0, 0.0)
    own = float(np.abs(scaled).max(initial=0.0))
    repeat = plan.edge.synapses / max(scaled.size, 1)  # of a kernel, whose entries are used at many places
    return ProjectionReport(
        rms_error=rms / largest if largest else 0.0,
        max_error=most / largest if largest else 0.0,
        own_error=rms / own if own else 0.0,
        saturated=round(float(levels.outside(scaled).sum()) * repeat),
        zeroed=round(float(((integers == 0) & (scaled != 0)).sum()) * repeat),
        synapses=plan.edge.synapses,
        step=levels.step,
        exponent=levels.exponent,
        bits=levels.bits,
        mode=levels.mode,
    )


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
    original
        The float network.
    plan
        All choices, and the networks in which only some of the rounding is done.
    parts
        What became of populations that were split.
    """

    network: Network
    populations: Mapping[str, PopulationReport] = field(default_factory=dict)
    projections: Mapping[str, ProjectionReport] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    original: Any = None
    plan: Plan | None = None
    parts: Parts = field(default_factory=Parts)

    def __str__(self) -> str:
        """Return the report as lines of text."""
        lines = [f"{r['part']}: {r['what']} error {r['error']:.2g} ({r['detail']})" for r in self.rows()]
        return "\n".join([f"{self.network.name}", *(f"  {line}" for line in [*lines, *self.notes])])

    def rows(self) -> list[dict[str, Any]]:
        """Return the report as rows of a table: ``part``, ``what``, ``error`` and ``detail``."""
        rows = [row for name, p in self.populations.items() for row in _population_rows(name, p)]
        for name, q in self.projections.items():
            cut = f"{q.saturated} saturated, {q.zeroed} zeroed of {q.synapses}"
            held = f"{q.bits} bits, {q.mode}, exponent {q.exponent}"
            rows.append(_row(name, "weights (rms)", q.rms_error, f"{cut}; {held}"))
        return rows

    def merge(self, recording: Recording) -> Recording:
        """Return a recording of the integer network under the names of the float network.

        Parameters
        ----------
        recording
            Of :attr:`network`; where no population was split it comes back as it is.
        """
        return self.parts.merge(recording) if self.parts.populations else recording

    def measure(self, inputs: Any = None, labels: Any = None, **options: Any) -> Measured:
        """Run the float network and the integers on sample input; see :func:`spikesim.quantise.measure`."""
        from spikesim.quantise.measured import measure

        return measure(self, inputs, labels, **options)

    def fine_tune(self, data: Any, **options: Any) -> Quantised:
        """Train in the chip's arithmetic; see :func:`spikesim.quantise.fine_tune`."""
        from spikesim.quantise.tuning import fine_tune

        return fine_tune(self, data, **options)


def _row(part: str, what: str, error: float, detail: str) -> dict[str, Any]:
    return {"part": part, "what": what, "error": error, "detail": detail}


def _population_rows(name: str, p: PopulationReport) -> list[dict[str, Any]]:
    use = "" if p.current_use is None else f", u uses {p.current_use:.0%} and v {p.voltage_use:.0%} of 24 bits"
    bins = f", {p.bins} bins" if p.bins > 1 else ""
    decays = (
        f"du {_span(p.current_decay)}, dv {_span(p.voltage_decay)}{bins}; time constant {p.time_constant_error:.2g}"
    )
    rows = [
        _row(name, "threshold", p.threshold_error, f"vth {_span(p.threshold)}, scale {p.scale:.4g}{use}"),
        _row(name, "decays", p.decay_error, decays),
    ]
    if p.bias_error:
        rows.append(_row(name, "bias", p.bias_error, "largest, in float units"))
    if p.quantum_error:
        rows.append(_row(name, "quantum", p.quantum_error, "of the soft reset, relative"))
    return rows


def _span(value: Any) -> str:
    return f"{value}" if np.ndim(value) == 0 else f"{np.min(value)} .. {np.max(value)}"
