"""Packets and hops of each layer on a device: what the mapping makes of the spikes."""

from __future__ import annotations

from spikesim.counts import Counts
from spikesim.profile.layers import Emitted, Stat
from spikesim.profile.mapping import Mapping
from spikesim.profile.quantity import Record
from spikesim.profile.tally import sent

MEASURES = ("packets", "hops_x", "hops_y")


class LayerTraffic(Record):
    """What the spikes of one population or source become on the mesh, per sample.

    Parameters
    ----------
    name
        The population or source.
    packets
        Messages: one per spike and core that it has targets on.
    hops_x, hops_y
        Routers that they cross, east-west and north-south; None where the device states no mesh.
    exact
        Whether it is known which elements fired; otherwise every element is taken to fire equally often.
    """

    name: str
    packets: Stat
    hops_x: Stat | None
    hops_y: Stat | None
    exact: bool


def traffic(counts: Counts, mapping: Mapping, emitted: Emitted) -> tuple[LayerTraffic, ...]:
    """Return the traffic of every layer that sends anything; nothing where it is not known what a core holds.

    Parameters
    ----------
    counts
        Counts of a run.
    mapping
        The network on a device.
    emitted
        Spikes of every element, ``[samples, n]``, where they are known.
    """
    if mapping.fit.cores is None:
        return ()
    found = []
    for route in mapping.routes.values():
        if not len(route.element):
            continue
        stats = {what: Stat.of(sent(route, what, counts, emitted).nominal) for what in MEASURES}
        # every element that reaches as many cores as the others needs no knowledge of who fired
        exact = route.name in emitted or all(len(set(route.per_element(w).tolist())) == 1 for w in MEASURES)
        hops = {w: stats[w] if mapping.has_mesh else None for w in ("hops_x", "hops_y")}
        found.append(LayerTraffic(name=route.name, packets=stats["packets"], exact=exact, **hops))
    return tuple(found)
