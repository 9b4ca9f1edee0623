"""Float network -> Loihi's fixed point: 8-bit weights, 12-bit decays, integer thresholds, biases and quanta.

The result is again a ``Network``: its neurons are ``loihi_lif``, whose equations are the chip's integer arithmetic, so
numba and torch run it bit for bit like the emulator and Lava do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import InvalidValueError, UnknownNameError, UnsupportedError
from spikesim.graph import Edge, Graph
from spikesim.learning import plastic_problems
from spikesim.lowering import lower
from spikesim.network import Network
from spikesim.quantise.bins import gather
from spikesim.quantise.calibrate import Peak, peaks
from spikesim.quantise.check import check_integers, overflows
from spikesim.quantise.forms import Forms, differ, forms_of, one_if_same
from spikesim.quantise.levels import Levels, mode_of
from spikesim.quantise.plan import DECAY_ONE, Plan, PopulationPlan, ProjectionPlan, bias_parts, float_weights
from spikesim.quantise.report import PopulationReport, ProjectionReport, Quantised, population_report, projection_report
from spikesim.quantise.scale import Rules, choose_scale
from spikesim.quantise.split import Parts, split
from spikesim.stimulus import Drive

UNKNOWN = "no calibration: nothing is known about wraps of the current and clips of the voltage; pass calibration="
RETRIES, FINER = 6, 0.75  # where rounding leads states beyond a range that the float network kept

__all__ = ["PopulationReport", "ProjectionReport", "Quantised", "bias_parts", "quantise"]


def quantise(
    network: Network | Graph,
    *,
    calibration: Any = None,
    calibration_steps: int | None = None,
    margin: float = 0.5,
    weight_bits: int = 8,
    sign_mode: str = "mixed",
    max_exponent: int = 7,
    bins: int | str | Mapping[str, int] | None = None,
    clip_search: int = 24,
) -> Quantised:
    """Bring a network to Loihi's fixed point.

    Parameters
    ----------
    network
        A float network whose neurons match the chip's (:func:`~spikesim.quantise.chip_form.chip_form`); parameters may
        differ from neuron to neuron.
    calibration
        Sample input as for :func:`spikesim.run` (``{"x": [steps, samples, n]}``), or an array for the only input. Each
        population then gets the finest scale at which its current does not wrap and its voltage does not clip on it,
        and each projection its own exponent. Without it the largest weight of a population decides.
    calibration_steps
        How long to calibrate a network without inputs (``calibration={}``); else the length of the inputs.
    margin
        By how much states may exceed those on the calibration input: 0.5 leaves room for half as much again.
    weight_bits
        Bits of a weight, 2 .. 8, the sign included.
    sign_mode
        ``"mixed"``: 7 bits and a sign, so even values only. ``"auto"``: a projection without negative (or without
        positive) weights uses all 8 bits for the size, others are mixed.
    max_exponent
        Largest weight exponent, 0 .. 7, with calibration; 0 for a netx file, which holds none.
    bins
        Gathers time constants that differ from neuron to neuron in so many values, and splits the population into one
        for each: for Lava and netx, which have one per population. A number, one per population by name, or the name
        of a device whose number of configurations is taken. By default they stay as they are, one per neuron, which
        the emulator takes.
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
    DeviceLimitError
        If a value does not fit into its register; all are listed.
    InvalidValueError, UnknownNameError
        If an option is out of its range.

    Notes
    -----
    Formats as in Davies et al. 2018 and Lava's ``LIF`` (``fixed_pt``): weights even in [-256, 254] (mixed) times
    ``2^exponent``, decays 12 bit with a hidden +1 on the current's, threshold mantissa 17 bit shifted left by 6, bias
    mantissa 13 bit with exponent 0..7.

    Examples
    --------
    >>> import numpy as np
    >>> from spikesim import Input, sequential
    >>> from spikesim.layers import dense
    >>> from spikesim.models.neurons import lif_soft
    >>> net = sequential(Input("x", 20), dense(10), lif_soft())
    >>> sample = np.random.default_rng(0).random((50, 4, 20)) < 0.2
    >>> coarse, fine = quantise(net), quantise(net, calibration=sample)
    >>> coarse.populations["layer1"].scale < fine.populations["layer1"].scale
    True
    """
    _check_options(weight_bits, sign_mode, max_exponent, margin, clip_search)
    graph = network if isinstance(network, Graph) else lower(network, snap=False)
    wanted = _bins(bins, graph)
    forms, problems = _forms(graph)
    if problems:
        raise UnsupportedError(problems, f"network {graph.name!r} cannot be brought to Loihi's fixed point:")
    forms = {n: f.with_one_threshold() if n in wanted and differ(f.threshold) else f for n, f in forms.items()}
    sample = None if calibration is None else peaks(graph, forms, calibration, calibration_steps)
    rules = Rules(weight_bits, max_exponent, margin, clip_search)
    order = tuple(p.name for p in network.populations) if isinstance(network, Network) else ()
    order = order or tuple(n.name for n in graph.nodes)

    def planned(room: Mapping[str, Peak]) -> tuple[Plan, list[str]]:
        return _plan(graph, order, forms, room, rules, sign_mode, wanted)

    plan, notes = planned(sample or {})
    check_integers(plan.network())
    if sample is None:
        notes.append(UNKNOWN)
    else:
        plan, notes = _without_overflow(planned, sample, calibration, calibration_steps)
        notes.append(f"calibrated: states may exceed those on the sample input by {margin:.0%}")
    return finished(plan, network, sample, notes, wanted)


def finished(
    plan: Plan, original: Any, sample: Mapping[str, Peak] | None, notes: list[str], split_up: Mapping[str, int]
) -> Quantised:
    """Return the result of a plan: integer network, split where bins were asked for, and reports."""
    whole = plan.network()
    labels = {n: own for n in split_up if (own := _labels(plan.populations[n])).max(initial=0)}
    network, parts = split(whole, labels) if labels else (whole, Parts())
    populations = {n: population_report(plan.populations[n], (sample or {}).get(n)) for n in plan.order}
    largest = {n: 0.0 for n in plan.order}
    for p in plan.projections.values():
        largest[p.edge.post] = max(largest[p.edge.post], float(np.abs(p.scaled()).max(initial=0.0)))
    projections = {n: projection_report(p, largest[p.edge.post]) for n, p in plan.projections.items()}
    return Quantised(network, populations, projections, notes, original, plan, parts)


def _check_options(bits: int, sign_mode: str, exponent: int, margin: float, tries: int) -> None:
    problems = []
    for name, value, low, high in (
        ("weight_bits", bits, 2, 8),
        ("max_exponent", exponent, 0, 7),
        ("clip_search", tries, 1, 10_000),
    ):
        if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or not low <= value <= high:
            problems.append(f"{name} must be a whole number from {low} to {high}, found {value!r}")
    if not margin >= 0.0 or not np.isfinite(margin):
        problems.append(f"margin must be at least 0, found {margin!r}")
    if problems:
        raise InvalidValueError("\n".join(problems))
    if sign_mode not in ("mixed", "auto"):
        raise UnknownNameError("sign_mode", sign_mode, ["mixed", "auto"])


def _bins(bins: int | str | Mapping[str, int] | None, graph: Graph) -> dict[str, int]:
    """Return how many values of (du, dv) each population may have; those that may have any are left out."""
    names = [n.name for n in graph.nodes]
    if isinstance(bins, str):
        from spikesim.profile import load_device

        device = load_device(bins)
        limit = device.formats.get("compartment_configurations")
        if limit is None:
            known = "that of loihi1 is 32"
            raise InvalidValueError(f"device {bins!r} does not say how many time constants it holds ({known}); pass k")
        bins = int(limit.value)
    found = dict(bins) if isinstance(bins, Mapping) else {} if bins is None else dict.fromkeys(names, bins)
    for name, k in found.items():
        if name not in names:
            raise UnknownNameError("population", name, names)
        if not isinstance(k, (int, np.integer)) or k < 1:
            raise InvalidValueError(f"bins must be a whole number from 1, found {k!r} for {name!r}")
    return found


def _forms(graph: Graph) -> tuple[dict[str, Forms], list[str]]:
    forms, problems = {}, []
    for node in graph.nodes:
        form, reasons = forms_of(node)
        problems += reasons
        if form is not None:
            forms[node.name] = form
    problems += [_drive_problem(d) for d in graph.drives]
    problems += [
        f"projection {e.name!r}: the input {e.pre!r} is graded, the chip takes spikes; encode the values to spikes "
        "(spikesim.encode)"
        for e in graph.edges
        if e.graded
    ]
    return forms, problems + plastic_problems(graph, "the quantiser")


def _drive_problem(drive: Drive) -> str:
    return (
        f"stimulus {drive.name!r} ({type(drive).__name__}) acts on a port directly, which the chip cannot; "
        "use a source that emits spikes"
    )


def _plan(
    graph: Graph, order: tuple[str, ...], forms: Mapping[str, Forms], sample: Mapping[str, Peak], rules: Rules,
    sign_mode: str, bins: Mapping[str, int],
) -> tuple[Plan, list[str]]:  # fmt: skip
    populations, projections = {}, {}
    notes: list[str] = []
    for node in graph.nodes:
        form, edges = forms[node.name], [e for e in graph.edges if e.post == node.name]
        floats = [float_weights(e, form.gain) for e in edges]
        inside = [w * _spread(e, w, form.gain) for e, w in zip(edges, floats, strict=True)]
        modes = [mode_of(w, sign_mode) for w in inside]
        peak = sample.get(node.name)
        if peak == Peak(0.0, 0.0):
            notes.append(
                f"population {node.name!r} stays at rest on the calibration input; its weights decide its scale"
            )
            peak = None
        chosen = choose_scale(node, form, inside, modes, rules, peak)
        notes += chosen.notes
        du, dv, quantum = _decays(form, bins.get(node.name))
        populations[node.name] = plan = PopulationPlan(node, form, chosen.scale, du, dv, quantum)
        notes += _lost_leaks(plan)
        factor = one_if_same(form.gain * chosen.scale)
        for edge, w, levels in zip(edges, floats, chosen.levels, strict=True):
            projections[edge.name] = ProjectionPlan(edge, w, factor, levels)
    return Plan(graph, order, populations, {e.name: projections[e.name] for e in graph.edges}), notes


def _spread(edge: Edge, weights: NDArray[Any], gain: NDArray[Any]) -> Any:
    return ProjectionPlan(edge, weights, one_if_same(gain), Levels(1)).spread()


def _decays(form: Forms, k: int | None) -> tuple[Any, Any, Any]:
    """Return the decays, in at most ``k`` different pairs, and the quantum of each neuron's bin."""
    kept = np.stack([form.current_keep, form.voltage_keep], axis=1)
    whole = _whole_decays(kept, form.current is not None)
    if k is None:
        return whole[:, 0], whole[:, 1], form.quantum
    label = gather(whole.astype(np.float64), k)
    quantum = form.quantum.copy()
    for group in range(label.max() + 1):
        own = label == group
        if not (whole[own] == whole[own][0]).all():
            whole[own] = _whole_decays(kept[own].mean(axis=0)[None], form.current is not None)
        quantum[own] = quantum[own][0] if not differ(quantum[own]) else quantum[own].mean()
    return whole[:, 0], whole[:, 1], quantum


def _whole_decays(kept: NDArray[np.float64], has_current: bool) -> NDArray[np.int64]:
    """Return du and dv of fractions kept, int64 ``[n, 2]``; the chip adds 1 to du."""
    lost = np.rint(DECAY_ONE * (1.0 - kept)).astype(np.int64)
    du = np.clip(lost[:, 0] - 1, 0, DECAY_ONE - 1) if has_current else np.full(len(kept), DECAY_ONE - 1)
    return np.stack([du, np.clip(lost[:, 1], 0, DECAY_ONE)], axis=1)


def _lost_leaks(plan: PopulationPlan) -> list[str]:
    """Say where a time constant is longer than 12 bits can tell from forever."""
    name, keep = plan.node.name, plan.forms.voltage_keep
    lost = int(((keep < 1.0 - 1e-9) & (plan.dv == 0)).sum())
    if not lost:
        return []
    return [f"population {name!r}: the leak of {lost} neurons is below 1/8192 a step and is lost; use longer steps"]


def _labels(plan: PopulationPlan) -> NDArray[np.int64]:
    """Return a number for each neuron, by what a population shares on a device."""
    shared = np.stack([plan.du, plan.dv, plan.threshold, plan.whole_quantum], axis=1)
    _, label = np.unique(shared, axis=0, return_inverse=True)
    return np.asarray(label.reshape(-1), np.int64)


def _without_overflow(
    planned: Any, sample: Mapping[str, Peak], calibration: Any, steps: int | None
) -> tuple[Plan, list[str]]:
    """Return the plan whose integers neither wrap nor clip on the sample input: rounding may lead to other spikes."""
    room = dict(sample)
    for _ in range(RETRIES):
        plan, notes = planned(room)
        found = overflows(plan.network(), calibration, steps)
        if not any(sum(o) for o in found.values()):
            return plan, notes
        for name, count in found.items():
            if sum(count):
                room[name] = Peak(room[name].current / FINER, room[name].voltage / FINER)
    wrong = ", ".join(repr(n) for n, o in found.items() if sum(o))
    return plan, [*notes, f"{wrong} wrap or clip on the calibration input whatever the scale; look at measure()"]
