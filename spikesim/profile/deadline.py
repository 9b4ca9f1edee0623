"""Can a device keep pace? Budgets of a step that depend on how active a network is."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from spikesim.graph import Graph
from spikesim.profile.activity import Activity
from spikesim.profile.checks import Check, budget
from spikesim.profile.device import Device
from spikesim.profile.limits import outputs
from spikesim.profile.partition import Ints
from spikesim.profile.quantity import Duration, Provenance
from spikesim.profile.routes import Routes
from spikesim.profile.schema import StepCycles, StepTime

MEAN = "mean over the run; a step with more spikes takes longer"


def deadlines(
    graph: Graph,
    device: Device,
    routes: Mapping[str, Routes],
    core_of: Mapping[str, Ints],
    cores: int,
    activity: Activity | None,
) -> tuple[list[Check], list[str]]:
    """Return the budgets that could be checked, and what could not be for want of a run.

    Parameters
    ----------
    graph, device
        The network and the device.
    routes, core_of, cores
        Where it was placed.
    activity
        How often its elements fire; without it only what holds for any activity is checked.
    """
    checks: list[Check] = []
    unchecked: list[str] = []
    if device.step_cycles is not None:
        _cycles(graph, device, device.step_cycles, activity, checks, unchecked)
    wanted = device.step_time is not None or device.limits.events_per_second_per_layer is not None
    clocked = device.power.clock is not None and device.power.clock.max_mhz is not None
    if not (wanted or clocked) or not graph.nodes:
        return checks, unchecked
    if activity is None:
        return checks, [*unchecked, "whether it keeps pace: needs a run of the network (how often each element fires)"]
    if device.step_time is not None:
        checks += _software(graph, device, device.step_time, routes, core_of, cores, activity)
    checks += _per_layer(graph, device, activity)
    if clocked:
        checks += _clock(graph, device, activity)
    return checks, unchecked


def _software(
    graph: Graph,
    device: Device,
    times: StepTime,
    routes: Mapping[str, Routes],
    core_of: Mapping[str, Ints],
    cores: int,
    activity: Activity,
) -> list[Check]:
    """``neurons t_neuron + events t_event <= step``, on the busiest core."""
    neurons = sum((np.bincount(c, minlength=cores) for c in core_of.values()), np.zeros(cores, np.int64))
    events = np.zeros(cores)
    for name, route in routes.items():
        events += np.bincount(route.core, route.synapses * activity.rates[name][route.element], minlength=cores)
    busy = neurons * _seconds(times.neuron) + events * _seconds(times.event)
    worst = int(np.argmax(busy)) if cores else 0
    used, limit = float(busy.max(initial=0.0)) * 1e3, min(times.step.si.nominal, graph.dt) * 1e3
    lacking = [what for what, time in (("neuron updates", times.neuron), ("events", times.event)) if time is None]
    note = f"{MEAN}; {' and '.join(lacking)} not counted, for no time is published" if lacking else MEAN
    late = f"{used - limit:.3g} ms late in every step: {times.consequence}"
    source = times.event or times.neuron or times.step
    subject = f"core {worst} ({neurons[worst]:,} neurons, {events[worst]:,.0f} events a step; {note})"
    return [budget(device, "step_time", subject, used, limit, "ms", "ms of work in a step", source, late)]


def _seconds(time: Duration | None) -> float:
    return 0.0 if time is None else time.si.nominal


def _per_layer(graph: Graph, device: Device, activity: Activity) -> list[Check]:
    limit = device.limits.events_per_second_per_layer
    if limit is None:
        return []
    checks = []
    for node in graph.nodes:
        edges = [e for e in graph.edges if e.post == node.name]
        events = sum(float(activity.rates[e.pre] @ e.out_degree) for e in edges) / graph.dt
        subject = f"population {node.name!r} ({MEAN})"
        what = "synaptic events a second in one layer"
        rule = "events_per_second_per_layer"
        checks.append(budget(device, rule, subject, events, limit.value, limit.unit, what, limit, limit.consequence))
    return checks


def _clock(graph: Graph, device: Device, activity: Activity) -> list[Check]:
    """Events at a clock that cannot run faster: ``events cycles <= clock``."""
    clock = device.power.clock
    if clock is None or clock.max_mhz is None:
        return []
    if device.events_per_spike is not None:
        per_step = sum(float(rates.sum()) for rates in activity.rates.values()) * device.events_per_spike.value
    else:
        per_step = sum(float(activity.rates[e.pre] @ e.out_degree) for e in graph.edges)
    rate, limit = per_step / graph.dt, clock.max_mhz.value * 1e6 / clock.cycles_per_event.value
    late = f"the network runs {rate / limit:.3g} times slower than its own time"
    subject = f"network {graph.name!r} ({MEAN})"
    what = "synaptic events a second"
    return [budget(device, "events_per_second", subject, rate, limit, "event/s", what, clock.max_mhz, late)]


def _cycles(
    graph: Graph,
    device: Device,
    cycles: StepCycles,
    activity: Activity | None,
    checks: list[Check],
    unchecked: list[str],
) -> None:
    """``cycles per step <= clock dt``; without a run, for the case that everything fires in every step."""
    needed = cycles_per_step(graph, cycles, activity)
    allowed = cycles.clock_mhz.value * 1e6 * graph.dt
    if activity is None and needed > allowed:
        unchecked.append(
            f"whether it keeps pace: {needed:,.0f} cycles if everything fires in a step, {allowed:,.0f} at "
            f"{cycles.clock_mhz.value:g} MHz; needs a run of the network (how often each element fires)"
        )
        return
    late = f"needs a clock of {needed / graph.dt / 1e6:.3g} MHz, or steps last {needed / allowed:.3g} times longer"
    note = "everything fires in every step" if activity is None else MEAN
    subject = f"network {graph.name!r} ({note})"
    source: Provenance = cycles
    checks.append(budget(device, "cycles_per_step", subject, needed, allowed, "cycle", "cycles a step", source, late))


def cycles_per_step(graph: Graph, cycles: StepCycles, activity: Activity | None) -> float:
    """Return the clock cycles of one step; see :class:`~spikesim.profile.schema.StepCycles`."""
    last = outputs(graph)
    n_in = sum(s.n for s in graph.sources)
    hidden = [n for n in graph.nodes if n.name not in last]
    n_hid, n_out = sum(n.n for n in hidden), sum(n.n for n in graph.nodes if n.name in last)
    names = {n.name for n in hidden}
    inner = sum(int(e.out_degree.sum()) for e in graph.edges if e.pre in names and e.post in names)
    p_in = p_hid = 1.0
    if activity is not None:
        # several events of an element in a step cost as much as one
        p_in = _share([activity.rates[s.name] for s in graph.sources])
        p_hid = _share([activity.rates[n.name] for n in hidden])
    c = cycles
    return (
        n_in * (c.input_synapse * p_in * n_hid + c.input)
        + c.recurrent_synapse * inner * p_hid + c.hidden * n_hid
        + n_hid * p_hid * (c.readout + c.readout_synapse * n_out)
        + n_hid * (c.neuron + c.spike * p_hid)
        + c.output * n_out
    )  # fmt: skip


def _share(rates: list[np.ndarray[tuple[int, ...], np.dtype[np.float64]]]) -> float:
    together = np.concatenate([np.zeros(0), *rates])
    return float(np.minimum(together, 1.0).mean()) if len(together) else 0.0
