"""snnTorch's neurons, operation for operation.

| snnTorch | here |
|---|---|
| ``Leaky``, ``RLeaky``, ``Lapicque`` | ``leaky`` |
| ``Synaptic``, ``RSynaptic`` | ``synaptic`` |
| ``Alpha`` | its own equations (:mod:`spikesim.convert.peer_neurons`) |
| ``reset_mechanism="zero"`` | ``reset="to"`` |
| ``reset_delay=True`` | ``timing="next"``; ``"pause"`` for ``"zero"`` of all but ``Leaky`` |
| ``reset_delay=False`` | ``timing="again"`` with "subtract", else ``"same"`` |

Read in snnTorch 1.0.0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from spikesim.connect import Dense, OneToOne
from spikesim.connect.base import Shape
from spikesim.convert import peer_neurons
from spikesim.convert.cells import CELLS, Cell, parameter, refuse
from spikesim.convert.image_rules import array, conv_rule
from spikesim.models.neurons import leaky, synaptic

RESETS = {"_base_sub": "subtract", "_base_zero": "to", "_base_int": "none"}
"""By the function that a neuron was made with; snnTorch 1.0.0 keeps it when ``reset_mechanism`` is changed later."""


def _options(module: Any, shape: Shape, pauses: bool) -> dict[str, Any]:
    """Return reset, timing and threshold; refuse the options that no neuron here has."""
    threshold = parameter(module.threshold, shape, "threshold")
    function = module.state_function.__name__
    reset = RESETS[function]
    late = bool(getattr(module, "reset_delay", True))
    graded = array(module.graded_spikes_factor)
    refuse(
        (
            list(RESETS)[int(module.reset_mechanism_val)] != function,
            "its reset_mechanism was changed after it was made, which snnTorch follows in part only; make it anew",
        ),
        (module.inhibition, "inhibition (only the strongest neuron fires) has no counterpart; leave it out"),
        (module.state_quant, "state_quant has no counterpart; quantise the network instead (spikesim.quantise)"),
        ((graded != 1.0).any(), "graded_spikes_factor has no counterpart; multiply the next layer's weights by it"),
        (
            not late and reset == "to" and np.min(threshold) < 0,
            "a threshold below 0 with reset_delay=False leaves the membrane above it after its reset",
        ),
    )
    if reset == "subtract":
        timing = "next" if late else "again"
    else:
        timing = ("pause" if pauses and reset == "to" else "next") if late else "same"
    return {"reset": reset, "timing": timing, "v_th": threshold}


def _factor(value: Any, shape: Shape, what: str) -> Any:
    """Return a decay, which snnTorch limits to 0 .. 1 in every step."""
    return parameter(np.clip(array(value), 0.0, 1.0), shape, what)


def _leaky(module: Any, shape: Shape) -> Cell:
    return Cell(leaky(beta=_factor(module.beta, shape, "beta"), **_options(module, shape, pauses=False)))


def _synaptic(module: Any, shape: Shape) -> Cell:
    factors = {"alpha": _factor(module.alpha, shape, "alpha"), "beta": _factor(module.beta, shape, "beta")}
    return Cell(synaptic(**factors, **_options(module, shape, pauses=True)))


def _loop(module: Any, shape: Shape) -> tuple[Any, Any]:
    """Return the loop of a recurrent neuron, (rule, weight), and its bias."""
    inner = module.recurrent
    if type(inner).__name__ == "Linear":
        return (Dense(array(inner.weight)), None), 0.0 if inner.bias is None else array(inner.bias)
    if type(inner).__name__ == "Conv2d":
        rule, _ = conv_rule(inner, shape)
        each = int(np.prod(shape[1:]))
        return (rule, None), 0.0 if inner.bias is None else np.repeat(array(inner.bias), each)
    return (OneToOne(), parameter(inner.V, shape, "V")), 0.0


def _rleaky(module: Any, shape: Shape) -> Cell:
    loop, bias = _loop(module, shape)
    cell = leaky(beta=_factor(module.beta, shape, "beta"), **_options(module, shape, pauses=True))
    return Cell(cell, loop=loop, loop_bias=bias)


def _rsynaptic(module: Any, shape: Shape) -> Cell:
    refuse((not module.reset_delay, "reset_delay=False fails in snnTorch 1.0.0's RSynaptic; set it to True"))
    loop, bias = _loop(module, shape)
    factors = {"alpha": _factor(module.alpha, shape, "alpha"), "beta": _factor(module.beta, shape, "beta")}
    return Cell(synaptic(**factors, **_options(module, shape, pauses=True)), loop=loop, loop_bias=bias)


def _lapicque(module: Any, shape: Shape) -> Cell:
    r, c, step = (module.R, module.C, module.time_step)
    kept = parameter(1 - step / (r * c), shape, "1 - time_step / (R C)")
    refuse((np.min(kept) < 0.0, "time_step is longer than R C, too long for its Euler step"))
    gain = parameter(r * (1 / (r * c)) * step, shape, "time_step / C")
    notes = () if np.all(np.asarray(gain) == 1.0) else ("time_step / C is part of the weights",)
    return Cell(leaky(beta=kept, **_options(module, shape, pauses=True)), gain=gain, notes=notes)


def _alpha(module: Any, shape: Shape) -> Cell:
    options = _options(module, shape, pauses=True)
    up, down = module.alpha.clamp(0, 1), module.beta.clamp(0, 1)
    tau = up.log() / (down.log() - up.log()) + 1
    values = {"alpha": up, "beta": down, "tau": tau}
    model = peer_neurons.alpha(options["reset"])
    return Cell(model(v_th=options["v_th"], **{name: parameter(v, shape, name) for name, v in values.items()}))


CELLS.update(
    {
        "snntorch.Leaky": _leaky,
        "snntorch.RLeaky": _rleaky,
        "snntorch.Synaptic": _synaptic,
        "snntorch.RSynaptic": _rsynaptic,
        "snntorch.Lapicque": _lapicque,
        "snntorch.Alpha": _alpha,
    }
)
