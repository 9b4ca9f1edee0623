"""How large current and voltage get on sample input, in the chip's form and in float units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.analyse.replay import Wiring, wirings
from spikesim.drive import source_values
from spikesim.engine import run
from spikesim.errors import InvalidValueError
from spikesim.graph import Graph
from spikesim.inputs import input_arrays, total_steps
from spikesim.quantise.forms import Forms
from spikesim.stimulus import Input


@dataclass(frozen=True)
class Peak:
    """Largest size of the current, and of the voltage before its reset, in float units."""

    current: float
    voltage: float


def given(graph: Graph, inputs: Any) -> dict[str, Any]:
    """Return sample input by name; an array alone is for the only input.

    Raises
    ------
    InvalidValueError
        If an array is given where the network has several inputs, or none.
    """
    if inputs is None:
        return {}
    if isinstance(inputs, Mapping):
        return dict(inputs)
    names = [s.name for s in graph.sources if isinstance(s, Input)]
    if len(names) != 1:
        raise InvalidValueError(
            f"network {graph.name!r} has {len(names)} inputs; pass sample input as a dict, an array for each"
        )
    return {names[0]: inputs}


def peaks(graph: Graph, forms: Mapping[str, Forms], inputs: Any = None, steps: int | None = None) -> dict[str, Peak]:
    """Run the float network on sample input and find how far states go.

    Parameters
    ----------
    graph
        The float network.
    forms
        By population.
    inputs
        As for :func:`spikesim.run`, or an array for the only input.
    steps
        How long, where the network has no input; else the length of the inputs.

    Returns
    -------
    dict
        :class:`Peak` by population.
    """
    data, samples, length = input_arrays(graph, given(graph, inputs))
    total = total_steps(graph, None, steps, length)
    data = {name: values[:total] for name, values in data.items()}
    recording = run(replace(graph, probes=()), steps=total, inputs=data)
    rasters: dict[str, NDArray[Any]] = {name: spikes.dense() for name, spikes in recording.spikes.items()}
    for source in graph.sources:
        rasters[source.name] = source_values(graph, source, 0, total, samples, data.get(source.name)) != 0
    maps = wirings(graph)
    return {n.name: _peak(graph, n.name, forms[n.name], maps, rasters) for n in graph.nodes}


def _peak(graph: Graph, name: str, form: Forms, maps: list[Wiring], rasters: Mapping[str, NDArray[Any]]) -> Peak:
    """Follow the chip's neuron in real numbers, with the spikes that the network had."""
    node, fired = graph.node(name), rasters[name]
    coming = [w for w in maps if w.edge.post == name]
    v = (node.init[form.voltage] - form.rest)[None]
    u = node.init[form.current][None] * form.coupling if form.current else np.zeros_like(v)
    highest = np.array([np.abs(u).max(initial=0.0), np.abs(v).max(initial=0.0)])
    wait = np.zeros(fired.shape[1:], np.int64)
    for step in range(len(fired)):
        u = form.current_keep * u + form.gain * _arrivals(coming, rasters, step, fired.shape[1:])
        v = np.where(wait > 0, 0.0, form.voltage_keep * v + u + form.bias)
        highest = np.maximum(highest, [np.abs(u).max(initial=0.0), np.abs(v).max(initial=0.0)])
        wait = np.where(fired[step], form.refractory - 1, np.maximum(wait - 1, 0))
        if form.reset == "hard":
            v = np.where(fired[step], 0.0, v)
        elif form.reset == "soft":
            v = v - form.quantum * fired[step]
    return Peak(float(highest[0]), float(highest[1]))


def _arrivals(
    coming: list[Wiring], rasters: Mapping[str, NDArray[Any]], step: int, shape: tuple[int, ...]
) -> NDArray[np.float64]:
    total = np.zeros(shape)
    for wiring in coming:
        for delay, matrix in wiring.parts:
            if delay <= step:
                sent = rasters[wiring.edge.pre][step - delay].astype(np.float64)
                total += (matrix @ sent.T).T
    return total
