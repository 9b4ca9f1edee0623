"""The linear system that a neuron is between spikes, in numbers: how a unit of input lives on in what is tested."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from spikesim.backends.torch.ops import table
from spikesim.equations.silent import held, slopes
from spikesim.errors import UnsupportedError
from spikesim.neuron import NeuronModel

Constants = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Slopes:
    """Derivatives of a step between spikes, tensors of no dimension or ``[n]``.

    Parameters
    ----------
    keep
        ``keep[i][j]``: of the next state ``i`` for state ``j``.
    take
        Of each next state for the input.
    read, gain
        Of what is read (the membrane that the threshold is compared with) for each state, and for the input.
    """

    keep: list[list[torch.Tensor]]
    take: list[torch.Tensor]
    read: list[torch.Tensor]
    gain: torch.Tensor


def between_spikes(model: NeuronModel, port: str, constants: Constants, reads: str = "spike") -> Slopes:
    """Return the derivatives of a neuron's step while it does not fire.

    Parameters
    ----------
    model, port
        The neuron, and the port whose input is looked at.
    constants
        Its step constants, float64.
    reads
        ``"spike"``, or the name of a state that is read in place of the spike.

    Raises
    ------
    UnsupportedError
        If the step is not linear between spikes.
    """
    states = list(model.states)
    step = held(model.dynamics, 0.0, 0.0, reads)
    derived = slopes(step, {"state": states, "input": [port]})
    device = next(iter(constants.values())).device if constants else torch.device("cpu")
    ops = table(torch.float64, device)

    def of(output: str) -> tuple[list[torch.Tensor], torch.Tensor]:
        one_hot = {name: ops["const"](float(name == output)) for name in step.outputs}
        found = derived.evaluate({"cotangent": one_hot, "param": constants}, ops)
        return [found[f"d_state_{s}"] for s in states], found[f"d_input_{port}"]

    rows = [of(s) for s in states]
    read, gain = of("spike")
    return Slopes([keep for keep, _ in rows], [take for _, take in rows], read, gain)


@dataclass(frozen=True, eq=False)
class Decay:
    """How a presynaptic trace decays: ``a[t] = read e[t-1] + x[t]`` and ``e[t] = keep e[t-1] + take x[t]``.

    For a neuron with one state, ``e`` is ``a`` itself, and ``keep`` the decay of its membrane.

    Parameters
    ----------
    keep, take, read
        float64 ``[k, k]``, ``[k]``, ``[k]``, for the k states that the input reaches.
    """

    keep: NDArray[np.float64]
    take: NDArray[np.float64]
    read: NDArray[np.float64]


def decay(model: NeuronModel, port: str, constants: Constants, reads: str = "spike") -> Decay:
    """Return how the trace of what arrives at a port decays.

    Raises
    ------
    UnsupportedError
        If the neuron is not linear between spikes, if its input acts later than in the step in which it arrives, or
        if its neurons decay differently: one trace per source serves all targets.
    """
    found = between_spikes(model, port, constants, reads)
    if not bool((found.gain != 0).all()):
        raise UnsupportedError(
            ["its input reaches the membrane in a later step, which errors within a step cannot see"]
        )
    keep, take, read = _reached(found)
    numbers = []
    for values in (*keep, take, [r / found.gain for r in read]):
        alike = [np.unique(v.detach().cpu().double().numpy()) for v in values]
        if any(len(v) > 1 for v in alike):
            count = max(len(v) for v in alike)
            raise UnsupportedError([f"one trace per source needs one decay for all neurons, found {count} different"])
        numbers.append([float(v[0]) for v in alike])
    matrix = np.array(numbers)
    # in units in which every state that the input enters takes 1: of one state, e is then the trace itself
    size = np.where(matrix[-2] != 0, matrix[-2], 1.0)
    return Decay(matrix[:-2] * size / size[:, None], matrix[-2] / size, matrix[-1] * size)


def _reached(found: Slopes) -> tuple[list[list[torch.Tensor]], list[torch.Tensor], list[torch.Tensor]]:
    """Leave out the states that the input never reaches, such as an adaptation that only spikes drive."""
    size = len(found.take)
    reached = {i for i in range(size) if bool((found.take[i] != 0).any())}
    for _ in range(size):
        reached |= {i for i in range(size) for j in reached if bool((found.keep[i][j] != 0).any())}
    chosen = sorted(reached)
    keep = [[found.keep[i][j] for j in chosen] for i in chosen]
    return keep, [found.take[i] for i in chosen], [found.read[i] for i in chosen]
