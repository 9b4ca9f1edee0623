"""Step one neuron model by hand, in plain numpy: the reference that tests and examples compare with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from spikesim.equations.targets import NUMPY
from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.neuron import Neuron, NeuronModel


def respond(
    neuron: Neuron | NeuronModel,
    inputs: ArrayLike | Mapping[str, ArrayLike],
    dt: float = 1e-3,
    dtype: DTypeLike = np.float64,
) -> dict[str, NDArray[Any]]:
    """Return what unconnected neurons do with a given input, step by step.

    Parameters
    ----------
    neuron
        The model, with numbers or arrays (one value per neuron) as parameters.
    inputs
        Summed input of each port, ``[steps]`` or ``[steps, n]``; one array alone goes to the first port.
        Ports that are left out receive nothing.
    dt
        Time step in seconds.
    dtype
        Precision of the step; parameters become step constants in float64 first.

    Returns
    -------
    dict
        ``"spike"`` and every state after each step, shaped like the input.

    Examples
    --------
    >>> from spikesim.models.neurons import lif_soft
    >>> trace = respond(lif_soft(), [0.4, 0.4, 0.4])
    >>> trace["spike"].tolist()
    [0.0, 1.0, 0.0]
    """
    neuron = neuron if isinstance(neuron, Neuron) else Neuron(neuron)
    model, ports = neuron.model, _ports(neuron.model, inputs, dtype)
    for name, value in (*neuron.params.items(), *neuron.init.items()):
        if hasattr(value, "sample"):
            raise InvalidValueError(f"respond: {name!r} is a distribution; give a number or an array, or run a network")
    constants = model.step_constants({name: neuron.value(name) for name in model.params}, dt)
    constants = {name: np.asarray(value, dtype)[()] for name, value in constants.items()}
    shape = np.broadcast_shapes(*(x.shape[1:] for x in ports.values()), *(np.shape(c) for c in constants.values()))
    state = {
        name: np.broadcast_to(np.asarray(neuron.init.get(name, s.init), dtype), shape)
        for name, s in model.states.items()
    }
    ops = {**NUMPY, "const": np.dtype(dtype).type, "spike": lambda x: np.where(x > 0, x.dtype.type(1), x.dtype.type(0))}
    rows: dict[str, list[Any]] = {name: [] for name in ("spike", *model.states)}
    with np.errstate(all="ignore"):
        for t in range(len(next(iter(ports.values())))):
            now = {name: x[t] for name, x in ports.items()}
            result = model.dynamics.evaluate({"state": state, "input": now, "param": constants}, ops)
            state = {name: np.broadcast_to(result[name], shape) for name in model.states}
            for name, row in rows.items():
                row.append(np.broadcast_to(np.asarray(result[name], dtype), shape))
    return {name: np.array(row) for name, row in rows.items()}


def _ports(
    model: NeuronModel, inputs: ArrayLike | Mapping[str, ArrayLike], dtype: DTypeLike
) -> dict[str, NDArray[Any]]:
    """Return one array per port; all have the same number of steps."""
    if not isinstance(inputs, Mapping):
        if not model.inputs:
            raise InvalidValueError(f"neuron {model.name!r} has no input port")
        inputs = {model.inputs[0]: inputs}
    for name in inputs:
        if name not in model.inputs:
            raise UnknownNameError(f"port of neuron {model.name!r}:", name, model.inputs)
    given = {name: np.asarray(x, dtype) for name, x in inputs.items()}
    lengths = {len(np.atleast_1d(x)) for x in given.values()}
    if len(lengths) != 1 or any(x.ndim == 0 for x in given.values()):
        raise InvalidValueError(f"inputs must be arrays of equally many steps, found {sorted(lengths)}")
    nothing = np.zeros(lengths.pop(), dtype)
    return {name: given.get(name, nothing) for name in model.inputs}
