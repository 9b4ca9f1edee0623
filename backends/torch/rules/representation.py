"""What a soft-reset neuron passes on, as a function of rates: its leak, gain, bias and quantum, read off its step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from spikesim.backends.torch.ops import table
from spikesim.backends.torch.rules.membrane import Constants, between_spikes
from spikesim.equations.expression import Expressions
from spikesim.equations.silent import firing_test, held, slopes
from spikesim.errors import UnsupportedError
from spikesim.neuron import NeuronModel


@dataclass(frozen=True)
class Representation:
    """A neuron with ``v' = keep v + gain i + bias``, less ``quantum`` for every spike.

    Parameters
    ----------
    keep
        What a step leaves of the membrane, above 0 and up to 1.
    gain
        Port to what one unit of input adds, of no dimension or ``[n]``, float64.
    bias, quantum
        Likewise; no quantum if the neuron never fires. Differentiable for learned parameters.
    """

    keep: float
    gain: Mapping[str, torch.Tensor]
    bias: torch.Tensor
    quantum: torch.Tensor | None


def represent(model: NeuronModel, constants: Constants) -> Representation:
    """Return a neuron as its weighted rates see it.

    Parameters
    ----------
    model, constants
        The neuron and its step constants, float64.

    Raises
    ------
    UnsupportedError
        If it is not a membrane with one constant leak and a reset that subtracts.
    """
    if len(model.states) != 1:
        raise UnsupportedError([f"a weighted rate needs one leaking state, found {len(model.states)}"])
    (state,) = model.states
    found = {port: between_spikes(model, port, constants, state) for port in model.inputs}
    if not found:
        raise UnsupportedError(["it has no input"])
    keep = torch.unique(next(iter(found.values())).keep[0][0].detach())
    if keep.numel() > 1:
        raise UnsupportedError([f"a weighted rate needs one leak for all neurons, found {keep.numel()} different"])
    if not 0.0 < float(keep) <= 1.0:
        raise UnsupportedError(
            [f"a weighted rate needs a membrane that keeps above 0 and up to 1, found {float(keep):g}"]
        )
    bias = _at_rest(model, held(model.dynamics, 0.0, 0.0), constants)
    gain = {port: slope.take[0] for port, slope in found.items()}
    quantum = None if firing_test(model.dynamics) is None else _quantum(model, constants, bias, float(keep))
    return Representation(float(keep), gain, bias, quantum)


def _quantum(model: NeuronModel, constants: Constants, bias: torch.Tensor, keep: float) -> torch.Tensor:
    """Return what a spike takes from the membrane, in the units of the step in which it was fired."""
    (state,) = model.states
    fired = slopes(held(model.dynamics, 1.0, 1.0), {"state": [state]})
    ops = table(torch.float64, bias.device)
    cotangent = {"spike": ops["const"](0.0), state: ops["const"](1.0)}
    left = fired.evaluate({"cotangent": cotangent, "param": constants}, ops)[f"d_state_{state}"]
    if not bool(torch.isclose(left, torch.full_like(left, keep)).all()):
        raise UnsupportedError(["a spike must subtract from the membrane, not set it (reset='subtract')"])
    quantum = bias - _at_rest(model, held(model.dynamics, 1.0, 0.0), constants)
    if not bool((quantum != 0).any()):  # taken away in the next step, when the leak has passed
        quantum = (bias - _at_rest(model, held(model.dynamics, 0.0, 1.0), constants)) / keep
    if not bool((quantum > 0).all()):
        raise UnsupportedError(["a spike must take something from the membrane (reset='subtract')"])
    return quantum


def _at_rest(model: NeuronModel, step: Expressions, constants: Constants) -> torch.Tensor:
    """Return the next membrane from 0 without input."""
    (state,) = model.states
    ops = table(torch.float64, next(iter(constants.values())).device if constants else torch.device("cpu"))
    zero = ops["const"](0.0)
    leaves = {"state": {state: zero}, "input": dict.fromkeys(model.inputs, zero), "param": constants}
    found: torch.Tensor = step.evaluate(leaves, ops)[state]
    return found
