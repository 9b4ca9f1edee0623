"""Networks whose neurons have a closed form between spikes, as :class:`~spikesim.analyse.PulseNetwork`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.analyse.pulse_network import PulseNetwork
from spikesim.errors import UnsupportedError
from spikesim.graph import Graph, Node
from spikesim.lowering import lower
from spikesim.network import Network

Floats = NDArray[np.float64]
PORTS = {"lif": ("i",), "lif_psc_exp": ("i",), "lif_exp": ("exc", "inh")}
"""Neurons that are taken, and the ports that synapses may use."""


def pulse_network(network: Network) -> PulseNetwork:
    """Return a network in continuous time: the limit of a time step that goes to 0.

    Parameters
    ----------
    network
        Populations of ``lif`` (pulses), or of ``lif_exp``, or of ``lif_psc_exp`` (exponential currents, in units of the
        membrane here), one model for all of them. Their constant drives (``bias``, ``e_l``, ``i_e``), resets and
        refractory times are taken over, and delays of one step become 0.

    Returns
    -------
    PulseNetwork
        Neurons in the order of the populations.

    Raises
    ------
    UnsupportedError
        If another neuron, a stimulus, plasticity or a longer delay is found; all problems are listed.

    Examples
    --------
    >>> from spikesim import Network, Population, Projection
    >>> from spikesim.analyse import event_spectrum
    >>> from spikesim.models.neurons import lif_psc_exp
    >>> cells = Population("a", 3, lif_psc_exp(i_e=500e-12, t_ref=0.0))
    >>> found = pulse_network(Network([cells], [Projection("a", "a", weight=-50e-12, delay=1e-3)]))
    >>> found.n, found.dimension, round(float(found.drive[0]), 6)
    (3, 6, -0.045)
    """
    graph = lower(network.folded(), snap=False)
    _check(network, graph)
    places, at = {}, 0
    for node in graph.nodes:
        places[node.name] = slice(at, at + node.n)
        at += node.n
    kinds = PORTS[graph.nodes[0].model.name]
    weights = np.zeros((len(kinds), at, at))
    for edge in graph.edges:
        pre = np.repeat(np.arange(edge.n_pre), np.diff(edge.indptr))
        ends = places[edge.post].start + edge.indices, places[edge.pre].start + pre
        np.add.at(weights[kinds.index(edge.port)], ends, np.asarray(edge.weights, np.float64))
    parts = [_node(node, network.dt) for node in graph.nodes]
    values: dict[str, Any] = {k: np.concatenate([p[k] for p in parts], axis=-1) for k in parts[0]}
    weights *= values.pop("scale")[None, :, None]
    return PulseNetwork(weights[0] if "tau_syn" not in values else weights, **values)


def _check(network: Network, graph: Graph) -> None:
    names = {node.model.name for node in graph.nodes}
    problems = [
        f"population {node.name!r}: neuron {node.model.name!r}; between spikes only {', '.join(PORTS)} are known"
        for node in graph.nodes
        if node.model.name not in PORTS
    ]
    if len(names) > 1 and not problems:
        problems.append(f"neurons of the models {sorted(names)}; one model is needed for all, as states differ")
    problems += [
        f"population {node.name!r}: a neuron without reset fires on as long as it is above its threshold"
        for node in graph.nodes
        if node.model.options.get("reset") == "none"
    ]
    problems += [
        f"stimulus {s.name!r}: exponents are of the network by itself; put a constant drive into the neurons' "
        "parameters, or take `network_spectrum`, which is given inputs"
        for s in network.stimuli
    ]
    problems += [
        f"projection {p.name!r} is plastic; analyse it with plasticity=None"
        for p in network.projections
        if p.plasticity is not None
    ]
    problems += [
        f"projection {e.name!r}: delays beyond one step would need a state for every spike under way"
        for e in graph.edges
        if (np.asarray(e.delays if e.constant_delay is None else e.constant_delay) > 1).any()
    ]
    if problems:
        raise UnsupportedError(problems)


def _node(node: Node, dt: float) -> dict[str, Floats]:
    """Return the parameters of a population, ``[n]`` each; ``scale`` is what a weight of 1 adds."""

    def per_neuron(name: str, default: float = 0.0) -> Floats:
        return np.array(np.broadcast_to(np.asarray(node.params.get(name, default), np.float64), node.n))

    tau, v_th, one = per_neuron("tau_m"), per_neuron("v_th"), np.ones(node.n)
    found = {"tau": tau, "v_th": v_th, "v_reset": per_neuron("v_reset"), "t_ref": per_neuron("t_ref")}
    if node.model.name == "lif":
        if node.model.options.get("reset") == "subtract":
            found["v_reset"] = v_th - (per_neuron("q") if "q" in node.params else v_th)
        return found | {"drive": per_neuron("e_l") - per_neuron("bias") / np.expm1(-dt / tau), "scale": one}
    if node.model.name == "lif_exp":
        return found | {
            "drive": per_neuron("e_l"), "scale": one,
            "tau_syn": np.array([per_neuron("tau_exc"), per_neuron("tau_inh")]),
        }  # fmt: skip
    resistance = tau / per_neuron("c_m")
    return found | {
        "drive": per_neuron("e_l") + resistance * per_neuron("i_e"), "scale": resistance,
        "tau_syn": per_neuron("tau_syn")[None],
    }  # fmt: skip
