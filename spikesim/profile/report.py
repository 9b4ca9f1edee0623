"""Profile a run: counts per layer and sample, fit and energy on devices, and the same network as an ordinary one."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field, ValidationError

from spikesim.counts import Counts
from spikesim.errors import FileFormatError, InvalidValueError
from spikesim.graph import Graph
from spikesim.lowering import lower
from spikesim.network import Network
from spikesim.profile.baseline import Baselines, baselines, stored_weights
from spikesim.profile.bill import Bill
from spikesim.profile.device import Device, list_devices, load_device
from spikesim.profile.energy import price
from spikesim.profile.fit import Fit
from spikesim.profile.layers import LayerProfile, ProjectionProfile, layer_profiles, projection_profiles
from spikesim.profile.logic import price_logic
from spikesim.profile.mapping import place
from spikesim.profile.partition import elements
from spikesim.profile.quantity import Record
from spikesim.profile.tally import Emitted
from spikesim.recording import Recording

if TYPE_CHECKING:
    from rich.console import Group


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
        Bits of a weight; 8 for a network of ``loihi_lif`` neurons, else unknown by default.
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
    if weight_bits is None and graph.nodes and all(n.model.name == "loihi_lif" for n in graph.nodes):
        weight_bits = 8
    for device in _devices(devices):
        if device.kind == "logic":  # a price list: nothing to place
            bills[device.name] = price_logic(counts, device, weights=stored_weights(graph))
            continue
        mapping = place(graph, device, weight_bits=weight_bits)
        fits[device.name] = mapping.fit
        bills[device.name] = price(counts, mapping, device, emitted=emitted, graded_as_events=graded_as_events)
    return Profile(
        network=graph.name,
        dt_s=counts.dt,
        steps=counts.steps,
        samples=counts.samples,
        layers=tuple(layer_profiles(counts, graph)),
        projections=tuple(projection_profiles(counts, graph)),
        fits=fits,
        bills=bills,
        baselines=baselines(counts, graph),
    )


def _devices(devices: str | Device | Iterable[str | Device]) -> Sequence[Device]:
    if isinstance(devices, (str, Device)):
        devices = list_devices() if devices == "all" else [devices]
    return [d if isinstance(d, Device) else load_device(d) for d in devices]


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


def _emitted(recording: Recording) -> dict[str, Any]:
    """Return the spikes of every element, as far as they were recorded and agree with the counts."""
    found = {}
    for name, spikes in recording.spikes.items():
        per_element = spikes.counts()
        counted = recording.counts.populations.get(name)
        if counted is not None and np.array_equal(per_element.sum(axis=1), counted.spikes):
            found[name] = per_element
    return found
