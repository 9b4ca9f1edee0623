"""norse's neurons, operation for operation.

| norse | here |
|---|---|
| ``LIFBoxCell`` | ``lif_euler`` |
| ``LIFCell``, ``LIF``, ``LIFRecurrentCell``, ``LIFRecurrent`` | ``lif_euler(current="exp")`` |
| ``LIBoxCell``; ``LICell``, ``LI``, ``LILinearCell`` | the same with ``fires=False`` |
| ``IAFCell``, ``IAF`` | ``integrate_and_fire`` |

``h`` is ``dt tau_mem_inv`` and ``h_s`` is ``dt tau_syn_inv``, multiplied by norse's own tensors, so that their rounding
is the same. Read in norse 1.1.0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from spikesim.connect import Dense
from spikesim.connect.base import Shape
from spikesim.convert.cells import parameter, refuse
from spikesim.convert.image_rules import array
from spikesim.convert.tracing import CELLS, MANY, Cell
from spikesim.models.neurons import integrate_and_fire, lif_euler

RESETS = {"reset_value": "to", "reset_subtract": "subtract", "subtract_quantum": "subtract", "no_reset": "none"}
"""The last two are :mod:`spikesim.convert.torch_stepped`'s."""


def _leak(module: Any, shape: Shape, current: str) -> dict[str, Any]:
    """Return what all leaky neurons have."""
    p, dt = module.p, module.dt
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


def _recurrent(many: bool) -> Any:
    def read(module: Any, shape: Shape) -> Cell:
        inside = (int(module.hidden_size),)
        neuron = lif_euler(**_leak(module, inside, "exp"), **_fires(module, inside))
        loop = (Dense(array(module.recurrent_weights)), None)
        front = array(module.input_weights)
        return Cell(neuron, front=front, loop=loop, many=many, dt=float(module.dt))

    return read


def _linear_read_out(module: Any, shape: Shape) -> Cell:
    neuron = lif_euler(fires=False, **_leak(module, (int(module.hidden_size),), "exp"))
    return Cell(neuron, front=array(module.input_weights), silent=True, dt=float(module.dt))


def _iaf(many: bool) -> Any:
    def read(module: Any, shape: Shape) -> Cell:
        start = parameter(module.p.v_reset, shape, "v_reset")
        values = {"v_th": parameter(module.p.v_th, shape, "v_th"), "v_reset": start, "init": {"v": start}}
        return Cell(integrate_and_fire(**values), many=many, dt=float(module.dt))

    return read


CELLS.update(
    {
        "norse.LIFBoxCell": _cell("box", True),
        "norse.LIFCell": _cell("exp", True),
        "norse.LIF": _cell("exp", True, many=True),
        "norse.LIFRecurrentCell": _recurrent(False),
        "norse.LIFRecurrent": _recurrent(True),
        "norse.LIBoxCell": _cell("box", False),
        "norse.LICell": _cell("exp", False),
        "norse.LI": _cell("exp", False, many=True),
        "norse.LILinearCell": _linear_read_out,
        "norse.IAFCell": _iaf(False),
        "norse.IAF": _iaf(True),
    }
)
MANY.update({"norse.LIF", "norse.LIFRecurrent", "norse.LI", "norse.IAF"})
