"""Profile a run: counts per layer and sample, fit and energy on devices, and the same network as an ordinary one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from spikesim.counts import Counts
from spikesim.errors import InvalidValueError
from spikesim.graph import Graph
from spikesim.lowering import lower
from spikesim.network import Network
from spikesim.profile.activity import Activity
from spikesim.profile.baseline import baselines, stored_weights
from spikesim.profile.device import Device, list_devices, load_device
from spikesim.profile.energy import price
from spikesim.profile.layers import Ints, layer_profiles, pending_events, projection_profiles, weight_reads
from spikesim.profile.logic import price_logic
from spikesim.profile.mapping import place
from spikesim.profile.neurobench import neurobench
from spikesim.profile.observed import Observed, observe
from spikesim.profile.partition import elements
from spikesim.profile.traffic import traffic
from spikesim.profile.value import Origin, Profile, Series
from spikesim.recording import Recording

FIXED_POINT = "loihi_lif"
Devices = str | Device | Iterable[str | Device]


def profile(
    run: Recording | Counts,
    network: Graph | Network,
    devices: Devices = "all",
    *,
    inputs: Mapping[str, Any] | None = None,
    weight_bits: int | None = None,
    graded_as_events: bool = False,
) -> Profile:
    """Count, map and price a run.

    Parameters
    ----------
    run
        A recording, or only its counts (packets are then known within bounds).
    network
        The network that ran.
    devices
        ``"all"``, a name, a device, or several; also paths of device files.
    inputs
        The data that the run was given, as for :func:`spikesim.run`: packets of inputs are then exact, and NeuroBench's
        rule for MAC and AC is applied step by step. Without it the counts are the same.
    weight_bits
        Bits of a weight; 8 for a network of ``loihi_lif`` neurons, else unknown by default.
    graded_as_events
        Price a graded value like one spike on devices that have no price for it (a lower bound).

    Raises
    ------
    InvalidValueError
        The run and the network, or the run and the inputs, do not belong together.
    UnknownNameError
        No such device.
    """
    graph = lower(network) if isinstance(network, Network) else network
    _same_network(run if isinstance(run, Counts) else run.counts, graph)
    observed = observe(run, graph, inputs)
    meta = {} if isinstance(run, Counts) else run.meta
    return profile_of(
        observed, graph, devices, origin_of(graph, meta), weight_bits=weight_bits, graded_as_events=graded_as_events
    )


def profile_of(
    run: Observed,
    graph: Graph,
    devices: Devices,
    origin: Origin,
    *,
    weight_bits: int | None = None,
    graded_as_events: bool = False,
    **module: Any,
) -> Profile:
    """Profile what is known of a run; ``module`` goes to :func:`spikesim.profile.neurobench.neurobench`."""
    counts = run.counts
    activity = Activity.of(run.recording or counts)
    fits, bills, packets = {}, {}, {}
    if weight_bits is None and _fixed_point(graph):
        weight_bits = 8
    for device in _devices(devices):
        if device.kind == "logic":  # a price list: nothing to place
            bills[device.name] = price_logic(counts, device, weights=stored_weights(graph))
            continue
        mapping = place(graph, device, weight_bits=weight_bits, activity=activity)
        fits[device.name] = mapping.fit
        packets[device.name] = traffic(counts, mapping, run.emitted)
        bills[device.name] = price(
            counts,
            mapping,
            device,
            emitted=run.emitted,
            rasters=run.rasters if device.time.complete else None,
            graded_as_events=graded_as_events,
        )
    reads = weight_reads(counts, graph, run.emitted)
    pending = pending_events(graph, run.late, counts.samples)
    return Profile(
        network=graph.name,
        dt_s=counts.dt,
        steps=counts.steps,
        samples=counts.samples,
        origin=origin,
        layers=tuple(layer_profiles(counts, graph, reads)),
        projections=tuple(projection_profiles(counts, graph, reads, pending)),
        per_sample=tuple(_series(counts, reads)),
        traffic={name: found for name, found in packets.items() if found},
        fits=fits,
        bills=bills,
        baselines=baselines(counts, graph),
        neurobench_metrics=neurobench(run, graph, pending, **module),
    )


def origin_of(graph: Graph, meta: Mapping[str, Any]) -> Origin:
    """Say what ran, from the recording's own description."""
    fixed = "fixed point" if _fixed_point(graph) else str(meta.get("dtype", ""))
    seed = meta.get("seed")
    return Origin(
        backend=str(meta.get("backend", "")), arithmetic=fixed, seed=int(seed) if isinstance(seed, int) else None
    )


def _fixed_point(graph: Graph) -> bool:
    return bool(graph.nodes) and all(n.model.name == FIXED_POINT for n in graph.nodes)


def _devices(devices: Devices) -> Sequence[Device]:
    if isinstance(devices, (str, Device)):
        devices = list_devices() if devices == "all" else [devices]
    return [d if isinstance(d, Device) else load_device(d) for d in devices]


def _series(counts: Counts, reads: Mapping[str, Ints | None]) -> Iterator[Series]:
    for name, emitted in counts.sources.items():
        yield _one("source", name, "spikes", emitted)
    for name, p in counts.populations.items():
        for quantity, values in (("spikes", p.spikes), ("updates_active", p.active), ("updates_idle", p.idle)):
            yield _one("population", name, quantity, values)
    for name, q in counts.projections.items():
        yield _one("projection", name, "events", q.events)
        fetched = reads.get(name)
        if fetched is not None:
            yield _one("projection", name, "weight_reads", fetched)


def _one(part: str, item: str, quantity: str, values: Ints) -> Series:
    return Series(part=part, item=item, quantity=quantity, values=tuple(values.tolist()))


def _same_network(counts: Counts, graph: Graph) -> None:
    sizes = {name: p.neurons for name, p in counts.populations.items()} | dict(counts.source_sizes)
    ran = set(sizes.items()) | {(name, 0) for name in counts.projections}
    given = set(elements(graph)) | {(e.name, 0) for e in graph.edges}
    differing = sorted({name for name, _ in ran ^ given})
    if differing:
        raise InvalidValueError(
            f"the run is not one of network {graph.name!r}: they differ in {', '.join(map(repr, differing))}; "
            "give the network that ran"
        )
