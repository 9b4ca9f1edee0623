"""What a neuron does in a step, in the terms that other tools know: how much of each state is kept, what is added.

::

    u = keep_u u + gain i                   (gain i itself where there is no u)
    v = keep_v v + u + bias + (1 - keep_v) rest
    spike if v > threshold; then v = v_reset, unless a spike changes nothing
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.graph import Node
from spikesim.quantise.chip_form import chip_form

Vector = NDArray[np.float64]
NEVER = float(np.finfo(np.float32).max) / 2  # a threshold that no membrane reaches, finite in float32 too


@dataclass(frozen=True, eq=False)
class Membrane:
    """A population in these terms; every array is float64 ``[n]``.

    Parameters
    ----------
    keep_v, keep_u
        Fractions kept in a step; ``keep_u`` is None without a synaptic current.
    rest
        Level to which the membrane leaks.
    bias
        Added in every step.
    threshold
        None for a neuron that never fires.
    v_reset
        Membrane after a spike, for a reader that knows the hard reset only.
    gain
        What a unit of input adds.
    tau
        True time constant in seconds, where the neuron is integrated exactly.
    resets
        False where a spike leaves the membrane as it is.
    losses
        What the terms above leave out, as "what; what a reader sees instead".
    remarks
        What they approximate.
    """

    keep_v: Vector
    rest: Vector
    bias: Vector
    threshold: Vector | None
    v_reset: Vector
    keep_u: Vector | None = None
    gain: Vector | None = None
    tau: Vector | None = None
    resets: bool = True
    losses: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def membrane_of(node: Node) -> tuple[Membrane | None, list[str]]:
    """Return a population as a membrane, or the reasons why it is none, one sentence each."""
    reader = READERS.get(node.model.name)
    if reader is None:
        membrane, problems = _from_equations(node)
    else:
        membrane, problems = reader(_Values(node)), []
    if membrane is None:
        return None, problems
    resets = membrane.resets and not (node.model.name in READERS and node.model.options.get("reset") == "none")
    return replace(membrane, resets=resets, losses=(*_losses(node), *membrane.losses)), []


class _Values:
    """Parameters of a node as float64 ``[n]``."""

    def __init__(self, node: Node) -> None:
        self.node = node

    def __getitem__(self, name: str) -> Vector:
        return self.array(self.node.params[name])

    def array(self, value: Any) -> Vector:
        return np.broadcast_to(np.asarray(value, np.float64), (self.node.n,)).copy()

    def constant(self, name: str) -> Vector:
        return self.array(self.node.constants[name])

    def get(self, name: str, default: float = 0.0) -> Vector:
        return self.array(self.node.params.get(name, default))


def _lif(p: _Values) -> Membrane:
    reset = p["v_reset"] if "v_reset" in p.node.params else p["e_l"]
    return Membrane(p.constant("alpha"), p["e_l"], p["bias"], p["v_th"], reset, tau=p["tau_m"])


def _leaky(p: _Values) -> Membrane:
    return Membrane(p["beta"], p.array(0.0), p["bias"], p["v_th"], p.get("v_reset"))


def _lif_soft(p: _Values) -> Membrane:
    return Membrane(p["lam"], p.array(0.0), p["bias"], p["th"], p.array(0.0))


def _integrate_and_fire(p: _Values) -> Membrane:
    return Membrane(p.array(1.0), p.array(0.0), p["bias"], p["v_th"], p.get("v_reset"))


def _li(p: _Values) -> Membrane:
    exact = "tau_m" in p.node.params
    keep = p.constant("alpha") if exact else p["beta"]
    return Membrane(keep, p.array(0.0), p["bias"], None, p.array(0.0), tau=p["tau_m"] if exact else None)


def _cuba_lif(p: _Values) -> Membrane:
    never = p.node.model.options["reset"] == "none" and (p["v_th"] >= NEVER).all()
    threshold = None if never else p["v_th"]
    return Membrane(1.0 - p["dv"], p.array(0.0), p["bias"], threshold, p.get("v_reset"), keep_u=1.0 - p["du"])


def _lif_euler(p: _Values) -> Membrane:
    h = p["h"]  # the membrane in units of h, so that the input acts with gain 1
    with np.errstate(divide="ignore", invalid="ignore"):
        threshold = p["v_th"] / h if "v_th" in p.node.params else None
        rest, reset = p["e_l"] / h, p.get("v_reset") / h
    if p.node.model.options["current"] == "box":
        return Membrane(1.0 - h, rest, p["bias"], threshold, reset)
    bias = (_CURRENT_BIAS,) if p["bias"].any() else ()
    return Membrane(1.0 - h, rest, p["bias"], threshold, reset, keep_u=1.0 - p["h_s"], losses=bias)


_CURRENT_BIAS = "its bias passes through the current; a reader adds it to the membrane"
_REFRACTORY = "refractory time; a reader has none"


def _synaptic(p: _Values) -> Membrane:
    bias = (_CURRENT_BIAS,) if p["bias"].any() else ()
    zero = p.array(0.0)
    return Membrane(p["beta"], zero, p["bias"], p["v_th"], p.get("v_reset"), keep_u=p["alpha"], losses=bias)


def _loihi_lif(p: _Values) -> Membrane:
    bias = np.floor(p["bias_mant"] * 2.0 ** p["bias_exp"]) / 64.0
    return Membrane(
        1.0 - p["dv"] / 4096.0, p.array(0.0), bias, p["v_th"], p.array(0.0), keep_u=1.0 - (p["du"] + 1.0) / 4096.0,
        remarks=("integers of 24 bits: a reader without them does not round, wrap nor saturate",),
    )  # fmt: skip


READERS: dict[str, Callable[[_Values], Membrane]] = {
    "lif": _lif,
    "leaky": _leaky,
    "lif_soft": _lif_soft,
    "integrate_and_fire": _integrate_and_fire,
    "li": _li,
    "cuba_lif": _cuba_lif,
    "lif_euler": _lif_euler,
    "synaptic": _synaptic,
    "loihi_lif": _loihi_lif,
}


def _from_equations(node: Node) -> tuple[Membrane | None, list[str]]:
    """Any neuron whose step is affine between spikes, whoever wrote it."""
    if len(node.model.inputs) > 1:
        ports = ", ".join(node.model.inputs)
        return None, [f"it has the input ports {ports}, where an integrate-and-fire neuron has one"]
    form, problems = chip_form(node)
    if form is None:
        start = f"population {node.name!r} (neuron {node.model.name!r}): "
        return None, [f"it is no integrate-and-fire neuron: {p.removeprefix(start)}" for p in problems]
    p = _Values(node)
    zero = p.array(0.0)
    shifted = () if form.rest == 0.0 else (f"its membrane is shifted so that {form.rest:g} becomes 0",)
    lost: tuple[str, ...] = (_soft(form.quantum / form.gain),) if form.reset == "soft" else ()
    lost += (_REFRACTORY,) if form.refractory > 1 else ()
    membrane = Membrane(
        p.array(form.voltage_keep), zero, p.array(form.bias / form.gain), p.array(form.threshold / form.gain), zero,
        keep_u=None if form.current is None else p.array(form.current_keep), resets=form.reset != "none",
        losses=lost, remarks=shifted,
    )  # fmt: skip
    return membrane, []


def _soft(quantum: Any) -> str:
    values = np.unique(quantum)
    text = f"{values[0]:g}" if values.size == 1 else f"{values[0]:g} .. {values[-1]:g}"
    return f"soft reset (a spike subtracts {text}); a reader sees a hard reset"


def _losses(node: Node) -> list[str]:
    """Say what the options of spikesim's own neurons add beyond a plain membrane."""
    found = []
    options = node.model.options if node.model.name in READERS else {}
    if options.get("reset") == "subtract":
        quantum = node.params.get("q", node.params.get("v_th", node.params.get("th", 0.0)))
        delayed = {"next": " in the next step", "again": ", and tests a membrane still above threshold that much lower"}
        when = delayed.get(options.get("timing", ""), "")
        found.append(_soft(quantum).replace(")", f"{when})"))
    if options.get("timing") == "pause":
        found.append("the input of the step after a spike is lost; a reader keeps it")
    if options.get("threshold") == ">=":
        found.append("it also fires exactly at its threshold; a reader fires above it only")
    if options.get("refractory") == "yes":
        found.append(_REFRACTORY)
    started = [name for name, values in node.init.items() if np.any(values) and name != "r"]
    if started:
        found.append(f"initial {', '.join(started)}; a reader starts at 0")
    return found
