"""norse's neurons, operation for operation.

| norse | here |
|---|---|
| ``LIFBoxCell`` | ``lif_euler`` |
| ``LIFCell``, ``LIF``, ``LIFRecurrentCell``, ``LIFRecurrent`` | ``lif_euler(current="exp")`` |
| ``LIBoxCell``; ``LICell``, ``LI``, ``LILinearCell`` | the same with ``fires=False`` |
| ``IAFCell``, ``IAF`` | ``integrate_and_fire`` |
| ``LIFRefracCell``, ``LSNNCell``, ``IzhikevichCell`` and theirs | their own equations (:mod:`.peer_neurons`) |

``h`` is ``dt tau_mem_inv`` and ``h_s`` is ``dt tau_syn_inv``, multiplied by norse's own tensors, so that their rounding
is the same. Read in norse 1.1.0.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from spikesim.connect import Dense
from spikesim.connect.base import Shape
from spikesim.convert import peer_neurons
from spikesim.convert.cells import CELLS, MANY, Cell, parameter, refuse
from spikesim.convert.image_rules import array
from spikesim.models.neurons import integrate_and_fire, lif_euler

RESETS = {"reset_value": "to", "reset_subtract": "subtract", "subtract_quantum": "subtract", "no_reset": "none"}
"""The last two are :mod:`spikesim.convert.torch_stepped`'s."""


def _leak(module: Any, shape: Shape, current: str) -> dict[str, Any]:
    """Return what all leaky neurons have."""
    p, dt = getattr(module.p, "lif", module.p), module.dt
    values = {"h": parameter(dt * p.tau_mem_inv, shape, "tau_mem_inv")}
    if current == "exp":
        values["h_s"] = parameter(dt * p.tau_syn_inv, shape, "tau_syn_inv")
    for name, value in values.items():
        what = {"h": "1 / tau_mem_inv", "h_s": "1 / tau_syn_inv"}[name]
        refuse((np.max(value) > 1.0, f"{what} is shorter than the step of {dt:g} s, too short for Euler steps"))
    rest = parameter(p.v_leak, shape, "v_leak")
    start = {"init": {"v": rest}} if np.any(rest) else {}
    return {**values, "e_l": rest, **start, "current": current}


def _fires(module: Any, shape: Shape) -> dict[str, Any]:
    method = getattr(getattr(module.p, "reset_method", None), "__name__", "reset_value")
    refuse((method not in RESETS, f"reset_method {method!r} has no counterpart; known are {', '.join(RESETS)}"))
    reset = RESETS[method]
    name = {"reset_value": "v_reset", "subtract_quantum": "q"}.get(method)
    level = {name: parameter(module.p.v_reset, shape, "v_reset")} if name else {}
    return {"reset": reset, "v_th": parameter(module.p.v_th, shape, "v_th"), **level}


def _cell(current: str, fires: bool, many: bool = False) -> Any:
    def read(module: Any, shape: Shape) -> Cell:
        options = _fires(module, shape) if fires else {"fires": False}
        neuron = lif_euler(**_leak(module, shape, current), **options)
        return Cell(neuron, many=many, silent=not fires, dt=float(module.dt))

    return read


def _recurrent(inner: Any, many: bool) -> Any:
    """Read a module that holds its own weights and loop around the neuron that ``inner`` reads."""

    def read(module: Any, shape: Shape) -> Cell:
        loop = (Dense(array(module.recurrent_weights)), None)
        cell: Cell = inner(module, (int(module.hidden_size),))
        return replace(cell, front=array(module.input_weights), loop=loop, many=many)

    return read


def _refractory(module: Any, shape: Shape) -> Cell:
    values = _leak(module, shape, "exp")
    level = {k: parameter(getattr(module.p.lif, k), shape, k) for k in ("v_th", "v_reset")}
    del values["current"]
    n_ref = parameter(module.p.rho_reset, shape, "rho_reset")
    return Cell(peer_neurons.refractory(**values, **level, n_ref=n_ref), dt=float(module.dt))


def _adaptive(module: Any, shape: Shape) -> Cell:
    values = _leak(module, shape, "exp")
    del values["current"]
    level = {k: parameter(getattr(module.p, k), shape, k) for k in ("v_th", "v_reset")}
    start = {**values.pop("init", {}), "b": level["v_th"]}
    more = {"h_b": parameter(module.dt * module.p.tau_adapt_inv, shape, "tau_adapt_inv")}
    more["jump"] = parameter(module.p.beta, shape, "beta")
    return Cell(peer_neurons.adaptive(init=start, **values, **level, **more), dt=float(module.dt))


def _izhikevich(module: Any, shape: Shape) -> Cell:
    p, start = module.p, module.spiking_method.s
    values = {"h": p.tau_inv * module.dt, "h_a": p.tau_inv * module.dt * p.a, "square": p.sq, "slope": p.mn}
    values |= {"base": p.bias, "b": p.b, "c": p.c, "d": p.d, "v_th": p.v_th}
    init = {name: parameter(getattr(start, name), shape, name) for name in ("v", "u")}
    each = {name: parameter(value, shape, name) for name, value in values.items()}
    return Cell(peer_neurons.izhikevich(init=init, **each), dt=float(module.dt))


def _many(inner: Any) -> Any:
    return lambda module, shape: replace(inner(module, shape), many=True)


def _linear_read_out(module: Any, shape: Shape) -> Cell:
    neuron = lif_euler(fires=False, **_leak(module, (int(module.hidden_size),), "exp"))
    return Cell(neuron, front=array(module.input_weights), silent=True, dt=float(module.dt))


def _iaf(many: bool) -> Any:
    def read(module: Any, shape: Shape) -> Cell:
        start = parameter(module.p.v_reset, shape, "v_reset")
        values = {"v_th": parameter(module.p.v_th, shape, "v_th"), "v_reset": start, "init": {"v": start}}
        return Cell(integrate_and_fire(**values), many=many, dt=float(module.dt))

    return read


LIF = _cell("exp", True)
CELLS.update(
    {
        "norse.LIFBoxCell": _cell("box", True),
        "norse.LIBoxCell": _cell("box", False),
        "norse.LICell": _cell("exp", False),
        "norse.LI": _cell("exp", False, many=True),
        "norse.LILinearCell": _linear_read_out,
        "norse.IAFCell": _iaf(False),
        "norse.IAF": _iaf(True),
    }
)
for name, inner in {"LIF": LIF, "LIFRefrac": _refractory, "LSNN": _adaptive, "Izhikevich": _izhikevich}.items():
    CELLS[f"norse.{name}Cell"] = inner
    CELLS[f"norse.{name}"] = _many(inner)
    CELLS[f"norse.{name}RecurrentCell"] = _recurrent(inner, False)
    CELLS[f"norse.{name}Recurrent"] = _recurrent(inner, True)
    MANY.update({f"norse.{name}", f"norse.{name}Recurrent"})
MANY.update({"norse.LI", "norse.IAF"})
