"""What can be done with a soft reset where neurons only reset to 0: refuse it, reset hard, or an equivalent loop.

Loihi's voltage is set to 0 by a spike, its current is not. So a membrane without a separate current can be kept in the
*current*, and what a spike takes away can come as an inhibitory synapse of the neuron with itself:

    soft reset    v' = decay(v - Q s) + 64 i        with  decay(x) = trunc(x k / 4096),  k = 4096 - dv,  Q = 64 q
    loop          u' = decay(u) - 64 w s + 64 i     spike where u > 64 v_th; the voltage only shows u (dv = 4096)

The loop's spike arrives one step late, that is after the decay, so ``w`` is the decayed quantum ``q k / 4096``. Both
are the same number exactly if ``w`` is whole and ``q <= v_th``: then ``v - Q`` is not negative where a spike was, for
such numbers trunc is floor, and ``floor(x - n) = floor(x) - n`` for whole n. Otherwise ``w`` is rounded, which shifts
the membrane by at most 32 units (half a weight unit) after each spike. The current decays by one more than ``du`` says,
so without a leak (``dv = 0``) 1/4096 a step is lost. In 24 bits the current wraps where the voltage saturates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikesim.connect import OneToOne
from spikesim.convert.report import ExportReport
from spikesim.errors import UnknownNameError, UnsupportedError
from spikesim.graph import Node
from spikesim.lowering import lower
from spikesim.models.neurons import loihi_lif
from spikesim.network import Network, Population, Projection

ONE = 4096
LARGEST = 254  # weight of one synapse of the loop
REMEDIES = {
    "custom_process": "brings a process of its own, for Lava's simulation only",
    "hard": "writes it with hard reset and measures the difference",
    "self_inhibition": "writes the membrane as a current with an inhibitory loop, exact for some decays",
}


def is_soft(population: Population) -> bool:
    """Tell whether a population in fixed point does not reset to 0."""
    return population.model.name == "loihi_lif" and population.model.options.get("reset", "to") != "to"


def with_reset(
    network: Network, choice: str | None, allowed: Sequence[str], format_name: str, argument: str, report: ExportReport
) -> Network:
    """Return the network with the resets that a format can express.

    Parameters
    ----------
    network
        A network in fixed point.
    choice
        None refuses a soft reset; else one of ``allowed``. ``"custom_process"`` changes nothing here.
    allowed
        What the format has, names of :data:`REMEDIES`.
    format_name, argument
        For messages: ``"netx"``, ``"reset"``.
    report
        Gets a row for each population that is changed.

    Raises
    ------
    UnsupportedError
        If a population has a soft reset and ``choice`` is None, or it has no equivalent of the kind that was chosen;
        all are listed.
    """
    if choice is not None and choice not in allowed:
        raise UnknownNameError(argument, choice, list(allowed))
    soft = [p for p in network.populations if is_soft(p)]
    if choice is None and soft:
        ways = "; ".join(f"{argument}={name!r} (--reset {name}) {REMEDIES[name]}" for name in allowed)
        heading = f"network {network.name!r} cannot be written as {format_name}:"
        raise UnsupportedError(
            [f"population {p.name!r}: {_label(p)}, which {format_name} does not have; {ways}" for p in soft], heading
        )
    if choice == "hard":
        return with_hard_reset(network, report)
    return with_self_inhibition(network, report) if choice == "self_inhibition" else network


def _label(population: Population) -> str:
    return "soft reset" if population.model.options["reset"] == "subtract" else "no reset"


def with_hard_reset(network: Network, report: ExportReport) -> Network:
    """Return the network with neurons that reset to 0."""
    changed = []
    for p in network.populations:
        if is_soft(p):
            kept = {k: p.neuron.value(k) for k in p.model.params if k != "q"}
            changed.append(replace(p, neuron=loihi_lif(init=p.neuron.init, **kept)))
            report.add(p.name, "LIF", "approximated", f"{_label(p)} written as hard reset; the difference is measured")
    return network.swap(*changed) if changed else network


class Loop(NamedTuple):
    """The neuron and the weights that stand for a soft reset, and why they are not exact, if they are not."""

    population: Population
    weights: NDArray[np.int64]
    inexact: str


def with_self_inhibition(network: Network, report: ExportReport) -> Network:
    """Return the network with soft resets as loops of the neurons with themselves.

    Raises
    ------
    UnsupportedError
        If a population has a current of its own, a bias, or no reset at all; all are listed.

    Examples
    --------
    >>> from spikesim import Input
    >>> from spikesim.connect import Dense
    >>> neuron = loihi_lif(reset="subtract", du=4095, dv=1024, v_th=100, q=100)
    >>> soft = Network([Population("a", 2, neuron)], [Projection("x", "a", Dense([[60.0], [90.0]]))], [Input("x", 1)])
    >>> report = ExportReport("netx")
    >>> loop = with_self_inhibition(soft, report)
    >>> print(report)
    a  LIF with a loop  exact: as long as its membrane stays within 24 bits
    >>> loop["a reset"].weight.tolist()
    [-75.0, -75.0]
    """
    nodes = [n for n in lower(network).nodes if is_soft(network.population(n.name))]
    problems = [problem for n in nodes for problem in _loop_problems(n)]
    if problems:
        raise UnsupportedError(problems, f"network {network.name!r} has soft resets without an equivalent loop:")
    for node in nodes:
        loop = _loop(node, network.population(node.name))
        network = network.swap(loop.population).add(*_projections(node.name, loop.weights, network.dt))
        if loop.inexact:
            detail = f"{loop.inexact}; the difference is measured"
            report.add(node.name, "LIF with a loop", "approximated", detail)
        else:
            report.add(node.name, "LIF with a loop", "exact", "as long as its membrane stays within 24 bits")
    return network


def _loop_problems(node: Node) -> list[str]:
    if node.model.options["reset"] == "none":
        return [f"population {node.name!r} has no reset at all, which no loop stands for"]
    found = []
    if np.any(node.params["du"] != ONE - 1):
        found.append("a current of its own (du below 4095), and the loop needs the current for the membrane")
    if np.any(node.params["bias_mant"]):
        found.append("a bias, which acts on the voltage and would not add up in the current")
    if np.any(np.not_equal(node.params.get("refractory", 1), 1)):
        found.append("a refractory period, in which the current would go on")
    return [f"population {node.name!r} has {reason}" for reason in found]


def _loop(node: Node, p: Population) -> Loop:
    dv, q, v_th = (np.asarray(node.params[name], np.float64) for name in ("dv", "q", "v_th"))
    ideal = np.broadcast_to(q * (ONE - dv) / ONE, (node.n,))
    weights = np.rint(ideal).astype(np.int64)
    off = float(np.abs(weights - ideal).max(initial=0.0))
    inexact = [f"the loop's weight was rounded by {off:.2g}"] if off else []
    inexact += ["a membrane without a leak loses 1/4096 a step"] if (dv == 0).any() else []
    inexact += ["its quantum is above its threshold, and decays below 0 are rounded up"] if (q > v_th).any() else []
    start = {"u": node.init["v"]} if node.init["v"].any() else {}
    neuron = loihi_lif(du=_shared(np.maximum(dv - 1, 0)), dv=ONE, v_th=_shared(v_th), init=start)
    return Loop(replace(p, neuron=neuron), weights, "; ".join(inexact))


def _shared(values: NDArray[np.float64]) -> Any:
    """Return one number where all are equal."""
    return float(values.flat[0]) if (values == values.flat[0]).all() else values


def _projections(name: str, weights: NDArray[np.int64], dt: float) -> list[Projection]:
    """Return as many parallel synapses as the largest weight takes."""
    parts: list[Any] = []
    while weights.any():
        part = np.minimum(weights, LARGEST)
        number = f" {len(parts) + 1}" if parts else ""
        values = 0.0 - part.astype(np.float64)
        parts.append(Projection(name, name, OneToOne(), values, delay=dt, name=f"{name} reset{number}"))
        weights = weights - part
    return parts


__all__ = ["is_soft", "with_hard_reset", "with_reset", "with_self_inhibition"]
