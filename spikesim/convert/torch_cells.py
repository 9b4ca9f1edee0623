"""Populations as neurons of snnTorch and norse: which class with which parameters, and what it leaves out.

Both libraries know a membrane that keeps a part of itself in a step. norse's input acts with a factor ``h``, the part
that it loses, so its thresholds are ``h`` times ours and the weights stay what they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spikesim.convert.membrane import READERS, Membrane, Vector, membrane_of
from spikesim.errors import UnsupportedError
from spikesim.graph import Node
from spikesim.quantise.chip_form import chip_form

UNREACHED = float(np.finfo(np.float32).max) / 2  # a threshold, finite in float32 too
CURRENT_BIAS = ("synaptic", "lif_euler")  # neurons whose bias is an input of the current, as in torch


@dataclass
class Plan:
    """A torch neuron to be made.

    Parameters
    ----------
    kind
        Name of its class.
    bias
        What is to be added to its input, ``[n]``.
    values
        Parameters: numbers, strings, or arrays ``[n]``.
    silent
        Whether its membrane is the result.
    losses
        What it leaves out.
    remarks
        What it changes a little.
    """

    kind: str
    bias: Vector
    values: dict[str, Any] = field(default_factory=dict)
    silent: bool = False
    losses: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def need(self, condition: bool, loss: str) -> None:
        """Note a loss unless a condition holds."""
        if not condition:
            self.losses.append(loss)


@dataclass(frozen=True, eq=False)
class Fire:
    """What a spike does: reset and timing as for ``Firing``, what "subtract" takes away in units of the membrane."""

    reset: str
    timing: str = "same"
    quantum: Vector | None = None


def _fire(node: Node, membrane: Membrane) -> Fire:
    if membrane.threshold is None:
        return Fire("none")
    if node.model.name not in READERS:
        form, _ = chip_form(node)
        kind = {"hard": "to", "soft": "subtract"}.get(form.reset, "none") if form is not None else "none"
        return Fire(kind, quantum=np.full(node.n, form.quantum / form.gain) if form is not None else None)
    options = node.model.options
    quantum = membrane.threshold
    if "q" in node.params:
        scale = node.params["h"] if node.model.name == "lif_euler" else 1.0
        quantum = np.broadcast_to(np.asarray(node.params["q"]) / scale, (node.n,))
    return Fire(options["reset"], options.get("timing", "same"), quantum)


def _begin(node: Node, who: str) -> tuple[Membrane, Fire, Plan]:
    """Return a population's membrane, what a spike does to it, and a plan with what neither library can do."""
    membrane, problems = membrane_of(node)
    if node.model.name == "loihi_lif":
        membrane, problems = None, ["it computes in whole numbers"]
    if membrane is None:
        start = f"population {node.name!r}: neuron {node.model.name!r} has no counterpart in {who}"
        raise UnsupportedError([f"{start}: {p}" for p in problems])
    plan = Plan("", membrane.bias, silent=membrane.threshold is None)
    options = node.model.options if node.model.name in READERS else {}
    plan.need(options.get("threshold") != ">=", f"it fires exactly at its threshold too; {who}'s neurons do not")
    plan.need(options.get("refractory") != "yes", f"its refractory time; {who}'s neurons have none")
    started = [k for k, v in node.init.items() if k not in ("v", "r") and np.any(v)]
    begins = np.asarray(node.init["v"]) if "v" in node.init else np.zeros(node.n)
    rest = membrane.rest * _factor(node)
    plan.need(
        not started and bool(np.allclose(begins, rest, rtol=1e-12, atol=0)), f"its initial state; {who}'s is rest"
    )
    if membrane.keep_u is not None and node.model.name not in CURRENT_BIAS:
        plan.need(not membrane.bias.any(), f"its bias acts on the membrane; {who}'s acts on the current")
    return membrane, _fire(node, membrane), plan


def _factor(node: Node) -> Any:
    """Return what a unit of the membrane is in units of the neuron's own."""
    return np.asarray(node.params["h"]) if node.model.name == "lif_euler" else 1.0


def _same(a: Any, b: Any) -> bool:
    return bool(np.allclose(a, b, rtol=1e-9, atol=0.0))


# ----------------------------------------------------------------------------------------------------------- snnTorch
def snntorch_plan(node: Node, loop: bool) -> Plan:
    """Return the neuron of snnTorch for a population.

    Parameters
    ----------
    node
        A lowered population.
    loop
        Whether the module is to hold the population's loop onto itself.
    """
    membrane, fire, plan = _begin(node, "snnTorch")
    current = membrane.keep_u is not None
    pauses = fire.timing == "pause"
    plan.kind = ("R" if loop or (pauses and not current) else "") + ("Synaptic" if current else "Leaky")
    plan.values = {"beta": membrane.keep_v, **({"alpha": membrane.keep_u} if current else {})}
    plan.values |= {"threshold": UNREACHED, "reset_mechanism": "none", "reset_delay": True}
    if membrane.threshold is None:
        return plan
    threshold = membrane.threshold - membrane.rest
    plan.values["threshold"] = threshold
    if fire.reset == "to":
        plan.need(
            not (membrane.v_reset - membrane.rest).any(), "it resets to another level than rest; snnTorch's do not"
        )
        # but for Leaky, snnTorch's "zero" with a delay loses the input of the step after a spike
        late = pauses or (fire.timing == "next" and plan.kind == "Leaky")
        plan.values |= {"reset_mechanism": "zero", "reset_delay": late}
        plan.need(
            plan.kind != "RSynaptic" or late, "its reset in the step of the spike; snnTorch's RSynaptic fails there"
        )
    elif fire.reset == "subtract":
        plan.values |= {
            "reset_mechanism": "subtract",
            "reset_delay": _subtracts(plan, fire, membrane.keep_v, threshold),
        }
    return plan


def _subtracts(plan: Plan, fire: Fire, keep: Vector, threshold: Vector) -> bool:
    """Return snnTorch's ``reset_delay`` for a soft reset; note what it leaves out."""
    quantum: Any = fire.quantum
    if fire.timing == "same" and _same(quantum * keep, threshold):
        return True  # a step later, what is left of the quantum is the threshold
    if not _same(quantum, threshold):
        plan.losses.append("a spike takes another quantum than the threshold; snnTorch's take the threshold")
        return fire.timing == "next"
    if fire.timing == "same":
        plan.remarks.append(
            "a membrane still above its threshold after a reset is tested a quantum lower in the next step"
        )
    return fire.timing == "next"


# -------------------------------------------------------------------------------------------------------------- norse
def norse_plan(node: Node, loop: bool) -> Plan:
    """Return the neuron of norse for a population; its loop, if any, is outside."""
    membrane, fire, plan = _begin(node, "norse")
    own = node.model.name == "lif_euler"  # whose parameters are norse's
    lost = np.broadcast_to(np.asarray(node.params["h"]), (node.n,)) if own else 1.0 - membrane.keep_v
    current = membrane.keep_u is not None
    if (lost == 0.0).any():
        return _iaf(node, membrane, fire, plan)

    def level(name: str, value: Vector) -> Any:
        return node.params[name] if own and name in node.params else lost * value

    plan.kind = ("LI" if plan.silent else "LIF") + ("" if current else "Box") + "Cell"
    plan.values = {"tau_mem_inv": lost, "v_leak": level("e_l", membrane.rest)}
    if current:
        plan.values["tau_syn_inv"] = node.params["h_s"] if own else 1.0 - np.asarray(membrane.keep_u)
    if membrane.threshold is None:
        return plan
    plan.values |= {"v_th": level("v_th", membrane.threshold), "v_reset": level("v_reset", membrane.v_reset)}
    plan.need(fire.timing != "pause", "the input of the step after a spike is not lost in norse")
    if current:
        plan.need(fire.reset == "to", f"reset {fire.reset!r}; norse's LIFCell resets to a value only")
    elif fire.reset == "subtract":
        _norse_subtracts(plan, fire, membrane, lost)
    elif fire.reset == "none":
        plan.values["reset_method"] = "no_reset"
    return plan


def _norse_subtracts(plan: Plan, fire: Fire, membrane: Membrane, lost: Vector) -> None:
    quantum: Any = fire.quantum
    if fire.timing == "next":  # a quantum that is 1 / keep times as large, taken at once, gives the same spikes
        plan.need(bool((membrane.keep_v > 0.0).all()), "a delayed reset of a membrane that keeps nothing")
        quantum = quantum / np.maximum(membrane.keep_v, 1e-300)
    if fire.timing == "again":
        plan.remarks.append("a membrane still above its threshold after a reset is not tested a quantum lower")
    if _same(quantum, membrane.threshold):
        plan.values |= {"reset_method": "reset_subtract", "v_reset": 0.0}
    else:
        plan.values |= {"reset_method": "subtract_quantum", "v_reset": quantum * lost}


def _iaf(node: Node, membrane: Membrane, fire: Fire, plan: Plan) -> Plan:
    """Return norse's neuron without leak."""
    plan.kind = "IAFCell"
    fits = bool((membrane.keep_v == 1.0).all()) and membrane.keep_u is None and membrane.threshold is not None
    if not fits or fire.reset != "to" or fire.timing == "pause":
        raise UnsupportedError(
            [f"population {node.name!r}: norse's only neuron without leak fires and resets to a value, all of them"]
        )
    plan.need(_same(membrane.v_reset, node.init["v"]), "norse's IAFCell begins at its reset level")
    plan.values = {"v_th": membrane.threshold, "v_reset": membrane.v_reset}
    return plan


PLANS: dict[str, Callable[[Node, bool], Plan]] = {"snntorch": snntorch_plan, "norse": norse_plan}
"""By package."""
