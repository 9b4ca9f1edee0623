"""Profile a run: counts per layer and sample, fit and energy on devices, and the same network as an ordinary one."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field, ValidationError

from spikesim.counts import Counts
from spikesim.errors import FileFormatError, InvalidValueError
from spikesim.graph import Graph
from spikesim.lowering import lower
from spikesim.network import Network
from spikesim.profile.baseline import Baselines, baselines
from spikesim.profile.bill import Bill
from spikesim.profile.device import Device, list_devices, load_device
from spikesim.profile.energy import price
from spikesim.profile.fit import Fit
from spikesim.profile.mapping import place
from spikesim.profile.quantity import Record
from spikesim.profile.tally import Emitted
from spikesim.recording import Recording

if TYPE_CHECKING:
    from rich.console import Group


class Stat(Record):
    """A count per sample: mean, standard deviation, and the 5th and 95th percentile over the samples."""

    mean: float
    sd: float
    p5: float
    p95: float

    @classmethod
    def of(cls, values: ArrayLike) -> Stat:
        """Describe one value per sample."""
        x = np.asarray(values, np.float64)
        if not x.size:
            return cls(mean=0.0, sd=0.0, p5=0.0, p95=0.0)
        p5, p95 = np.percentile(x, [5, 95])
        return cls(mean=float(x.mean()), sd=float(x.std(ddof=1)) if x.size > 1 else 0.0, p5=float(p5), p95=float(p95))


class LayerProfile(Record):
    """One population or source; counts are per sample.

    Parameters
    ----------
    name, kind, neurons
        ``kind`` is ``population`` or ``source``.
    synapses
        Synapses into it whose weight is not 0.
    spikes, rate_hz
        Spikes (or non-zero values), and spikes per neuron and second.
    events_forward, events_recurrent
        Synaptic events that arrive through projections off and on a cycle.
    accumulates, multiply_accumulates
        The same events as operations: of spikes (AC), of graded values (MAC).
    updates_active, updates_idle, updates_dense
        Neuron updates; ``updates_dense`` is neurons times steps.
    operations_dense
        What a clocked, dense implementation would do: stored synapses times steps.
    """

    name: str
    kind: str
    neurons: int
    synapses: int
    spikes: Stat
    rate_hz: float
    events_forward: Stat
    events_recurrent: Stat
    accumulates: Stat
    multiply_accumulates: Stat
    updates_active: Stat
    updates_idle: Stat
    updates_dense: int
    operations_dense: int


class ProjectionProfile(Record):
    """One projection; counts are per sample.

    Parameters
    ----------
    synapses, synapses_stored
        Without and with those whose weight is 0.
    operation
        ``AC`` or ``MAC``.
    """

    name: str
    pre: str
    post: str
    synapses: int
    synapses_stored: int
    events: Stat
    operation: str
    recurrent: bool
    operations_dense: int


class Profile(Record):
    """What a run did and what it would cost; see :func:`profile`.

    Parameters
    ----------
    network, dt_s, steps, samples
        What ran.
    layers, projections
        Counts.
    fits, bills
        By device.
    baselines
        The network as spiking and ordinary, on digital logic.
    """

    network: str
    dt_s: float
    steps: int
    samples: int
    layers: tuple[LayerProfile, ...]
    projections: tuple[ProjectionProfile, ...]
    fits: dict[str, Fit] = Field(default_factory=dict)
    bills: dict[str, Bill] = Field(default_factory=dict)
    baselines: Baselines | None = None

    def table(self) -> Group:
        """Return tables for a terminal (``rich`` renderables)."""
        from spikesim.profile.tables import tables

        return tables(self)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; units are in the names, counts and energies are per sample."""
        return self.model_dump(mode="json")

    def to_json(self, path: str | Path | None = None) -> str:
        """Return JSON, and write it to a file if a path is given."""
        text = json.dumps(self.to_dict(), indent=2, ensure_ascii=False)
        if path is not None:
            Path(path).write_text(text + "\n", "utf-8")
        return text

    @classmethod
    def from_json(cls, text: str) -> Profile:
        """Read what :meth:`to_json` wrote."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "the text"
            raise FileFormatError(f"not a profile of spikesim: {where}: {first['msg']}") from None

    def to_csv(self, path: str | Path) -> None:
        """Write one tidy table: a row per number, with unit, spread or range, and evidence."""
        from spikesim.profile.tidy import COLUMNS, rows

        with Path(path).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS, restval="")
            writer.writeheader()
            writer.writerows(rows(self))


def profile(
    run: Recording | Counts,
    network: Graph | Network,
    devices: str | Device | Iterable[str | Device] = "all",
    *,
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
    weight_bits
        Bits of a weight, if the network is quantised.
    graded_as_events
        Price a graded value like one spike on devices that have no price for it (a lower bound).

    Raises
    ------
    InvalidValueError
        The run and the network do not belong together.
    UnknownNameError
        No such device.
    """
    graph = lower(network) if isinstance(network, Network) else network
    counts = run if isinstance(run, Counts) else run.counts
    _same_network(counts, graph)
    emitted: Emitted = {} if isinstance(run, Counts) else _emitted(run)
    fits, bills = {}, {}
    for device in _devices(devices):
        mapping = None
        if device.kind == "chip":
            mapping = place(graph, device, weight_bits=weight_bits)
            fits[device.name] = mapping.fit
        bills[device.name] = price(counts, mapping, device, emitted=emitted, graded_as_events=graded_as_events)
    return Profile(
        network=graph.name,
        dt_s=counts.dt,
        steps=counts.steps,
        samples=counts.samples,
        layers=tuple(_layers(counts, graph)),
        projections=tuple(_projections(counts, graph)),
        fits=fits,
        bills=bills,
        baselines=baselines(counts, graph),
    )


def _devices(devices: str | Device | Iterable[str | Device]) -> Sequence[Device]:
    if isinstance(devices, (str, Device)):
        devices = list_devices() if devices == "all" else [devices]
    return [d if isinstance(d, Device) else load_device(d) for d in devices]


def _same_network(counts: Counts, graph: Graph) -> None:
    ran = {name: p.neurons for name, p in counts.populations.items()} | dict(counts.source_sizes)
    given = {n.name: n.n for n in graph.nodes} | {s.name: s.n for s in graph.sources}
    if ran != given or set(counts.projections) != {e.name for e in graph.edges}:
        differing = sorted(set(ran.items()) ^ set(given.items())) or sorted(set(counts.projections) ^ {e.name for e in graph.edges})  # fmt: skip
        raise InvalidValueError(
            f"the run is not one of network {graph.name!r}: they differ in {differing[0]}; give the network that ran"
        )


def _emitted(recording: Recording) -> dict[str, Any]:
    """Return the spikes of every element, as far as they were recorded and agree with the counts."""
    found = {}
    for name, spikes in recording.spikes.items():
        per_element = spikes.counts()
        counted = recording.counts.populations.get(name)
        if counted is not None and np.array_equal(per_element.sum(axis=1), counted.spikes):
            found[name] = per_element
    return found


# ------------------------------------------------------------------------------------------------------------ counts
def _layers(counts: Counts, graph: Graph) -> Iterable[LayerProfile]:
    nothing = np.zeros(counts.samples, np.int64)
    seconds = counts.steps * counts.dt
    for name, n in counts.source_sizes.items():
        spikes = counts.sources[name]
        zero = Stat.of(nothing)
        yield LayerProfile(
            name=name,
            kind="source",
            neurons=n,
            synapses=0,
            spikes=Stat.of(spikes),
            rate_hz=_rate(spikes, n, seconds),
            events_forward=zero,
            events_recurrent=zero,
            accumulates=zero,
            multiply_accumulates=zero,
            updates_active=zero,
            updates_idle=zero,
            updates_dense=0,
            operations_dense=0,
        )
    for name, p in counts.populations.items():
        into = [q for q in counts.projections.values() if q.post == name]

        def events(field: str, value: bool, into: list[Any] = into) -> Stat:
            return Stat.of(sum((q.events for q in into if getattr(q, field) is value), nothing))

        yield LayerProfile(
            name=name,
            kind="population",
            neurons=p.neurons,
            synapses=sum(q.synapses for q in into),
            spikes=Stat.of(p.spikes),
            rate_hz=_rate(p.spikes, p.neurons, seconds),
            events_forward=events("recurrent", False),
            events_recurrent=events("recurrent", True),
            accumulates=events("graded", False),
            multiply_accumulates=events("graded", True),
            updates_active=Stat.of(p.active),
            updates_idle=Stat.of(p.idle),
            updates_dense=p.neurons * counts.steps,
            operations_dense=sum(e.synapses for e in graph.edges if e.post == name) * counts.steps,
        )


def _rate(spikes: ArrayLike, neurons: int, seconds: float) -> float:
    x = np.asarray(spikes, np.float64)
    return float(x.mean() / (neurons * seconds)) if x.size and neurons and seconds else 0.0


def _projections(counts: Counts, graph: Graph) -> Iterable[ProjectionProfile]:
    stored = {e.name: e.synapses for e in graph.edges}
    for name, p in counts.projections.items():
        yield ProjectionProfile(
            name=name,
            pre=p.pre,
            post=p.post,
            synapses=p.synapses,
            synapses_stored=stored[name],
            events=Stat.of(p.events),
            operation="MAC" if p.graded else "AC",
            recurrent=p.recurrent,
            operations_dense=stored[name] * counts.steps,
        )
