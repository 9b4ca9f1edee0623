"""Networks of snnTorch and norse beside the same networks in spikesim, spike for spike.

Both libraries advance layer by layer within a step, so a spike passes all layers in its step: delay 0 in spikesim. A
recurrent connection acts in the next step: delay 1. There is no shift in time. All run in float64 with weights on a
binary grid, so that matrix products are exact whatever their order.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.connect import Dense
from spikesim.equations.primitives import spike
from spikesim.layers import dense, sequential
from spikesim.models.neurons import cuba_lif, leaky
from spikesim.network import Network, Population, Projection
from spikesim.neuron import Neuron, neuron
from spikesim.stimulus import Input

SIZES = (30, 50, 40, 10)
STEPS, SAMPLES, DENSITY = 500, 3, 0.15
BETA, ALPHA = 0.9, 0.8
DT = 1e-3

Arrays = list[NDArray[Any]]
Rasters = list[NDArray[np.bool_]]


def on_grid(array: NDArray[Any], bits: int = 18) -> NDArray[np.float64]:
    """Round to multiples of ``2^-bits``."""
    return np.asarray(np.rint(array * 2.0**bits) / 2.0**bits)


def spikes_in(seed: int = 1) -> NDArray[np.float64]:
    """Return the input, ``[steps, samples, n]``."""
    return (np.random.default_rng(seed).random((STEPS, SAMPLES, SIZES[0])) < DENSITY).astype(np.float64)


def weights(gain: float, seed: int = 0) -> Arrays:
    """Return the weights of the layers, ``[targets, sources]``, with a positive mean so that all layers fire."""
    rng = np.random.default_rng(seed)
    return [on_grid(gain * (rng.standard_normal((b, a)) + 0.15) / np.sqrt(a * DENSITY)) for a, b in pairwise(SIZES)]


# ------------------------------------------------------------------------------------------------------------ spikesim
def layered(neuron: Neuron, w: Arrays) -> Network:
    """Return a feed-forward network."""
    parts = [part for k in w for part in (dense(len(k), k), neuron)]
    return sequential(Input("in", SIZES[0]), *parts, dt=DT)


def recurrent(neuron: Neuron, w_in: NDArray[Any], w_rec: NDArray[Any]) -> Network:
    """Return one recurrent layer."""
    return Network(
        [Population("layer1", len(w_in), neuron)],
        [
            Projection("in", "layer1", Dense(w_in), port=neuron.model.inputs[0]),
            Projection("layer1", "layer1", Dense(w_rec), delay=DT, port=neuron.model.inputs[0]),
        ],
        [Input("in", SIZES[0])],
        dt=DT,
    )


def simulate(network: Network, **options: Any) -> Rasters:
    """Return the raster of each layer, ``[steps, samples, n]``."""
    from spikesim.engine import run

    recording = run(network, inputs={"in": spikes_in()}, **options)
    return [recording[p.name].dense() for p in network.populations]


# --------------------------------------------------------------------------------------------------------------- peers
def _double(cell: Any) -> Any:
    import torch

    cell.threshold = cell.threshold.to(torch.float64)
    return cell


def _through(cells: list[Any], w: Arrays) -> Rasters:
    """Run layers: each cell is called with (input, state) and returns (spikes, state)."""
    import torch

    matrices = [torch.from_numpy(k) for k in w]
    states: list[Any] = [None] * len(cells)
    out: list[list[Any]] = [[] for _ in cells]
    with torch.no_grad():
        for x in torch.from_numpy(spikes_in()):
            for k, cell in enumerate(cells):
                x, states[k] = cell(torch.nn.functional.linear(x, matrices[k]), states[k])
                x = x.double()  # snnTorch's spikes are float32
                out[k].append(x.numpy().astype(bool))
    return [np.array(layer) for layer in out]


def snntorch_leaky(reset: str, delay: bool, gain: float) -> Rasters:
    """Return the rasters of snnTorch's ``Leaky``."""
    import snntorch
    import torch

    def make() -> Callable[[Any, Any], Any]:
        beta = torch.tensor(BETA, dtype=torch.float64)
        cell = _double(snntorch.Leaky(beta=beta, reset_mechanism=reset, reset_delay=delay))
        return lambda x, state: cell(x, torch.zeros_like(x) if state is None else state)

    return _through([make() for _ in SIZES[1:]], weights(gain))


def snntorch_synaptic(delay: bool, reset: str, gain: float) -> Rasters:
    """Return the rasters of snnTorch's ``Synaptic``."""
    import snntorch
    import torch

    def make() -> Callable[[Any, Any], Any]:
        alpha, beta = (torch.tensor(x, dtype=torch.float64) for x in (ALPHA, BETA))
        cell = _double(snntorch.Synaptic(alpha=alpha, beta=beta, reset_mechanism=reset, reset_delay=delay))

        def step(x: Any, state: Any) -> Any:
            zero = torch.zeros_like(x)
            spike, *state = cell(x, *(state or (zero, zero)))
            return spike, state

        return step

    return _through([make() for _ in SIZES[1:]], weights(gain))


def snntorch_rleaky(gain: float, gain_rec: float) -> Rasters:
    """Return the raster of snnTorch's ``RLeaky``, one recurrent layer."""
    import snntorch
    import torch

    w_in, w_rec = recurrent_weights(gain, gain_rec)
    cell = _double(snntorch.RLeaky(beta=torch.tensor(BETA, dtype=torch.float64), linear_features=len(w_in)))
    cell.recurrent = torch.nn.Linear(len(w_in), len(w_in), bias=False, dtype=torch.float64)
    with torch.no_grad():
        cell.recurrent.weight[:] = torch.from_numpy(w_rec)

    def step(x: Any, state: Any) -> Any:
        zero = torch.zeros_like(x)
        spike, mem = cell(x, *(state or (zero, zero)))
        return spike, (spike.double(), mem)

    return _through([step], [w_in])


def norse_box(reset: str, gain: float) -> Rasters:
    """Return the rasters of norse's ``LIFBoxCell``."""
    import norse.torch as norse
    from norse.torch.functional import reset as resets

    p = norse.LIFBoxParameters(reset_method=getattr(resets, reset))
    return _through([norse.LIFBoxCell(p) for _ in SIZES[1:]], [10.0 * w for w in weights(gain)])


def norse_lif(gain: float) -> Rasters:
    """Return the rasters of norse's ``LIFCell``."""
    import norse.torch as norse

    return _through([norse.LIFCell() for _ in SIZES[1:]], [10.0 * w for w in weights(gain)])


def norse_recurrent(gain: float, gain_rec: float) -> Rasters:
    """Return the raster of norse's ``lif_step``, one recurrent layer."""
    import norse.torch.functional.lif as norse
    import torch

    w_in, w_rec = (torch.from_numpy(10.0 * w) for w in recurrent_weights(gain, gain_rec))
    zero = torch.zeros(SAMPLES, len(w_in), dtype=torch.float64)
    state = norse.LIFState(zero, zero, zero)
    out = []
    with torch.no_grad():
        for x in torch.from_numpy(spikes_in()):
            z, state = norse.lif_step(x, state, w_in, w_rec, norse.LIFParameters())
            out.append(z.numpy().astype(bool))
    return [np.array(out)]


def recurrent_weights(gain: float, gain_rec: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return input and recurrent weights of one layer."""
    rng = np.random.default_rng(5)
    n = SIZES[1]
    scale = on_grid(gain_rec * rng.standard_normal((n, n)) / np.sqrt(n))
    return weights(gain)[0], scale


# ----------------------------------------------------------------------------------- neurons as a user would write them
DOUBLE_RESET = (
    "with reset_delay=False snnTorch derives the last step's reset anew from the membrane after that reset; one that "
    "is still above the threshold is reset a second time, before the next firing instead of after it. spikesim and "
    "norse subtract once per spike"
)


@neuron
def double_reset(v: Any, i: Any, p: Any) -> Any:
    """Return a step of snnTorch's ``Leaky(reset_delay=False)``."""
    fired = spike(v - 1.0)
    u = BETA * v + i - fired
    s = spike(u - 1.0)
    return s, u - (s - fired)


@neuron(state={"syn": 0.0, "v": 0.0})
def synaptic_next(syn: Any, v: Any, i: Any, p: Any) -> Any:
    """Return a step of snnTorch's ``Synaptic`` with its default reset."""
    syn = ALPHA * syn + i
    u = BETA * v + syn - spike(v - 1.0)
    return spike(u - 1.0), syn, u


# --------------------------------------------------------------------------------------------------------------- cases
Pair = tuple[str, Callable[[], Rasters], Callable[[], Network], str]


def cases() -> dict[str, Pair]:
    """Return the cases: the peer, its rasters, the network in spikesim, and why they differ if they do."""
    found: dict[str, Pair] = {}
    for reset, ours in (("subtract", "subtract"), ("zero", "to"), ("none", "none")):
        for delay, timing in ((True, "next"), (False, "same")):
            gain = 0.1 if reset == "none" else 0.35
            found[f"snntorch Leaky, reset {reset}, {'next' if delay else 'same'} step"] = (
                "snntorch",
                lambda r=reset, d=delay, g=gain: snntorch_leaky(r, d, g),
                lambda o=ours, t=timing, g=gain: layered(leaky(beta=BETA, reset=o, timing=t), weights(g)),
                DOUBLE_RESET if (reset, delay) == ("subtract", False) else "",
            )
    synaptic = {"du": 1.0 - ALPHA, "dv": 1.0 - BETA}
    for reset, ours in (("subtract", "subtract"), ("zero", "to")):
        found[f"snntorch Synaptic, reset {reset}, same step"] = (
            "snntorch",
            lambda r=reset: snntorch_synaptic(False, r, 0.1),
            lambda o=ours: layered(cuba_lif(reset=o, **synaptic), weights(0.1)),
            DOUBLE_RESET if reset == "subtract" else "",
        )
    found["snntorch Leaky, reset subtract, same step (written as a user's neuron)"] = (
        "snntorch",
        lambda: snntorch_leaky("subtract", False, 0.35),
        lambda: layered(double_reset(), weights(0.35)),
        "",
    )
    found["snntorch Synaptic, reset subtract, next step (written as a user's neuron)"] = (
        "snntorch",
        lambda: snntorch_synaptic(True, "subtract", 0.1),
        lambda: layered(synaptic_next(), weights(0.1)),
        "",
    )
    found["snntorch RLeaky, recurrent"] = (
        "snntorch",
        lambda: snntorch_rleaky(0.35, 0.5),
        lambda: recurrent(leaky(beta=BETA), *recurrent_weights(0.35, 0.5)),
        "",
    )
    for method, ours in (("reset_value", "to"), ("reset_subtract", "subtract")):
        found[f"norse LIFBox, {method}"] = (
            "norse",
            lambda m=method: norse_box(m, 0.35),
            lambda o=ours: layered(leaky(beta=BETA, reset=o, timing="same"), weights(0.35)),
            "",
        )
    found["norse LIF"] = ("norse", lambda: norse_lif(0.1), lambda: layered(cuba_lif(**synaptic), weights(0.1)), "")
    found["norse LIF, recurrent"] = (
        "norse",
        lambda: norse_recurrent(0.1, 0.15),
        lambda: recurrent(cuba_lif(**synaptic), *recurrent_weights(0.1, 0.15)),
        "",
    )
    return found
