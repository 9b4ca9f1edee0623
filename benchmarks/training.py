"""Training workloads, here and in torch, snnTorch, norse and SpikingJelly: one forward and backward pass, no optimiser.

============== ==========================================================================================
feed-forward   784-512-512-10, 50 steps, batch 128, 5 % input; cross-entropy of the spike counts
recurrent      700-512 (recurrent)-20 leaky read-outs, 250 steps, batch 128, 3 % input; cross-entropy of the largest
               membrane over time
convolution    28x28 image as a current - 16 maps 3x3 - pool 2 - 32 maps 3x3 - pool 2 - 10, 4 steps, batch 128;
               cross-entropy of the spike counts
============== ==========================================================================================

``u = beta v + W x, s = (u > 1), v = u (1 - s)``, beta 0.9 (recurrent: 0.95); the derivative of s is
``1 / (1 + (pi (u - 1))^2)``, except in norse, which has one of its own shape. Weights and inputs are the same in all;
the rate of the hidden layer is the check.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

BATCH = 128
Forward = Callable[[Any], tuple[Any, Any]]
"""Input to (scores ``[batch, classes]``, hidden spikes whose mean is the rate)."""


@dataclass(frozen=True)
class Task:
    """A workload.

    Parameters
    ----------
    steps, inputs, density
        Steps, shape of the input, share of ones in it (None: a constant image).
    shapes, gains
        Of the weights, as torch has them, drawn one after the other from ``default_rng(0)``.
    beta, classes
        What a step leaves of the membrane; number of classes.
    """

    steps: int
    inputs: tuple[int, ...]
    density: float | None
    shapes: tuple[tuple[int, ...], ...]
    gains: tuple[float, ...]
    beta: float = 0.9
    classes: int = 10

    def weights(self) -> list[Any]:
        """Return the weights."""
        rng = np.random.default_rng(0)
        pairs = zip(self.shapes, self.gains, strict=True)
        return [(rng.standard_normal(shape) * gain).astype(np.float32) for shape, gain in pairs]

    def data(self) -> tuple[Any, Any]:
        """Return the input ``[steps, batch, *inputs]`` and the labels."""
        import torch

        rng = np.random.default_rng(1)
        labels = torch.from_numpy(np.random.default_rng(3).integers(0, self.classes, BATCH))
        if self.density is None:
            image = torch.from_numpy(rng.random((BATCH, *self.inputs)).astype(np.float32))
            return image.expand(self.steps, *image.shape), labels
        x = np.empty((self.steps, BATCH, *self.inputs), np.float32)
        for row in x:  # step by step, so that the process never holds all of it in float64
            row[:] = rng.random(row.shape) < self.density
        return torch.from_numpy(x), labels


SIZES = (784, 512, 512, 10)
TASKS = {
    "feed-forward": Task(50, (784,), 0.05, tuple((b, a) for a, b in pairwise(SIZES)), (0.06, 0.10, 0.12)),
    "recurrent": Task(250, (700,), 0.03, ((512, 700), (512, 512), (20, 512)), (0.08, 0.04, 0.06), 0.95, 20),
    "convolution": Task(4, (1, 28, 28), None, ((16, 1, 3, 3), (32, 16, 3, 3), (10, 800)), (0.6, 0.25, 0.15)),
}


# --------------------------------------------------------------------------------------------------------- one neuron
def cells(who: str, beta: float, count: int) -> list[Callable[[Any, Any], Any]]:
    """Return one function (input, state) -> (spikes, state) per layer."""
    import torch

    if who == "snntorch":
        import snntorch

        made = [snntorch.Leaky(beta=beta, reset_mechanism="zero", reset_delay=False) for _ in range(count)]
        return [lambda x, v, c=c: c(x, torch.zeros_like(x) if v is None else v) for c in made]
    if who == "norse":
        import norse.torch as norse

        parameters = norse.LIFBoxParameters(tau_mem_inv=torch.as_tensor((1.0 - beta) / 1e-3))
        boxes = [norse.LIFBoxCell(parameters) for _ in range(count)]
        return [lambda x, v, c=c: c(x / (1.0 - beta), v) for c in boxes]  # norse multiplies its input by dt / tau
    return [plain_cell(beta)] * count


def plain_cell(beta: float) -> Callable[[Any, Any], Any]:
    import torch

    class Spike(torch.autograd.Function):
        """The step function with the arc tangent's derivative."""

        @staticmethod
        def forward(ctx: Any, u: Any) -> Any:
            ctx.save_for_backward(u)
            return (u > 0).to(u.dtype)

        @staticmethod
        def backward(ctx: Any, gradient: Any) -> Any:
            (u,) = ctx.saved_tensors
            return gradient / (1 + (np.pi * u) ** 2)

    def step(x: Any, v: Any) -> Any:
        u = x if v is None else beta * v + x
        s = Spike.apply(u - 1.0)
        return s, u * (1 - s)

    return step


# ------------------------------------------------------------------------------------------------- step by step
def _stepwise(task: str, step: Callable[[Any, list[Any]], tuple[Any, Any, list[Any]]], layers: int) -> Forward:
    """Return the loop over time of ``step(input, states) -> (hidden, output, states)``."""
    import torch

    def forward(x: Any) -> tuple[Any, Any]:
        states: list[Any] = [None] * layers
        hidden, outputs = [], []
        for row in x.unbind(0):
            first, out, states = step(row, states)
            hidden.append(first.detach())
            outputs.append(out)
        over_time = torch.stack(outputs)
        return (over_time.amax(0) if task == "recurrent" else over_time.sum(0)), torch.stack(hidden)

    return forward


def loop(who: str, name: str, weights: Sequence[Any]) -> Forward:
    """Return a workload as a user of snnTorch, norse or plain torch writes it."""
    from torch.nn import functional as F

    task = TASKS[name]
    neurons = cells(who, task.beta, len(weights))

    def feed_forward(x: Any, states: list[Any]) -> tuple[Any, Any, list[Any]]:
        found, first = [], None
        for w, cell, state in zip(weights, neurons, states, strict=True):
            x, state = cell(F.linear(x, w), state)
            found.append(state)
            first = x if first is None else first
        return first, x, found

    def recurrent(x: Any, states: list[Any]) -> tuple[Any, Any, list[Any]]:
        state, spikes, membrane = states
        current = F.linear(x, weights[0])
        if spikes is not None:
            current = current + F.linear(spikes, weights[1])
        spikes, state = neurons[0](current, state)
        out = F.linear(spikes, weights[2])
        membrane = out if membrane is None else task.beta * membrane + out
        return spikes, membrane, [state, spikes, membrane]

    def convolution(x: Any, states: list[Any]) -> tuple[Any, Any, list[Any]]:
        a, first = neurons[0](F.conv2d(x, weights[0]), states[0])
        b, second = neurons[1](F.conv2d(F.avg_pool2d(a, 2), weights[1]), states[1])
        out, third = neurons[2](F.linear(F.avg_pool2d(b, 2).flatten(1), weights[2]), states[2])
        return a, out, [first, second, third]

    steps = {"feed-forward": feed_forward, "recurrent": recurrent, "convolution": convolution}
    return _stepwise(name, steps[name], len(weights))


# ------------------------------------------------------------------------------------------- all steps of a layer
def by_layer(who: str, name: str, weights: Sequence[Any]) -> Forward:
    """Return a feed-forward workload with one product per layer for all steps."""
    from torch.nn import functional as F

    task = TASKS[name]
    scan = _jelly(task.beta) if who == "spikingjelly" else _unrolled(task.beta)

    def convolution(x: Any) -> tuple[Any, Any]:
        first = scan(_each(lambda s: F.conv2d(s, weights[0]), x))
        second = scan(_each(lambda s: F.conv2d(F.avg_pool2d(s, 2), weights[1]), first))
        out = scan(_each(lambda s: F.linear(F.avg_pool2d(s, 2).flatten(1), weights[2]), second))
        return out.sum(0), first.detach()

    def feed_forward(x: Any) -> tuple[Any, Any]:
        layers = [x]
        for w in weights:
            layers.append(scan(F.linear(layers[-1], w)))
        return layers[-1].sum(0), layers[1].detach()

    def _each(function: Callable[[Any], Any], x: Any) -> Any:
        y = function(x.flatten(0, 1))
        return y.view(*x.shape[:2], *y.shape[1:])

    return convolution if name == "convolution" else feed_forward


def _unrolled(beta: float) -> Callable[[Any], Any]:
    import torch

    step = plain_cell(beta)

    def scan(currents: Any) -> Any:
        state, out = None, []
        for current in currents.unbind(0):
            spikes, state = step(current, state)
            out.append(spikes)
        return torch.stack(out)

    return scan


def _jelly(beta: float) -> Callable[[Any], Any]:
    """Return SpikingJelly's multi-step neuron, new in every call."""
    from spikingjelly.activation_based import neuron, surrogate

    def scan(currents: Any) -> Any:
        cell = neuron.LIFNode(
            tau=1.0 / (1.0 - beta), decay_input=False, v_threshold=1.0, v_reset=0.0,
            surrogate_function=surrogate.ATan(), step_mode="m",
        )  # fmt: skip
        return cell(currents)

    return scan


def jelly_recurrent(weights: Sequence[Any]) -> Forward:
    """Return the recurrent workload in SpikingJelly: its step-mode neuron, called as a user's loop calls it."""
    from spikingjelly.activation_based import neuron, surrogate
    from torch.nn import functional as F

    task = TASKS["recurrent"]

    def step(x: Any, states: list[Any]) -> tuple[Any, Any, list[Any]]:
        cell, spikes, membrane = states
        if cell is None:
            cell = neuron.LIFNode(
                tau=1.0 / (1.0 - task.beta), decay_input=False, v_threshold=1.0, v_reset=0.0,
                surrogate_function=surrogate.ATan(), step_mode="s",
            )  # fmt: skip
        current = F.linear(x, weights[0])
        spikes = cell(current if spikes is None else current + F.linear(spikes, weights[1]))
        out = F.linear(spikes, weights[2])
        membrane = out if membrane is None else task.beta * membrane + out
        return spikes, membrane, [cell, spikes, membrane]

    return _stepwise("recurrent", step, 3)


# ------------------------------------------------------------------------------------------------------------ spikesim
def ours(name: str, dtype: str = "float32") -> tuple[Any, tuple[str, ...], Callable[[Any], Any]]:
    """Return a workload in spikesim as a module, which states it must record, and what reads the scores."""
    from spikesim.backends.torch.module import SpikingModule
    from spikesim.connect import Dense
    from spikesim.layers import conv2d, dense, pool, sequential
    from spikesim.lowering import lower
    from spikesim.models.neurons import leaky
    from spikesim.network import Network, Population, Projection
    from spikesim.stimulus import Input

    task = TASKS[name]
    a, b, c = task.weights()
    cell = leaky(beta=task.beta, reset="to", timing="same")
    entry = Input("in", task.inputs, graded=task.density is None)
    if name == "recurrent":
        readout = leaky(beta=task.beta, reset="none", timing="same", v_th=1e9)
        network = Network(
            [Population("layer1", 512, cell), Population("out", 20, readout)],
            [
                Projection("in", "layer1", Dense(a)),
                Projection("layer1", "layer1", Dense(b), delay=1e-3),
                Projection("layer1", "out", Dense(c)),
            ],
            [entry],
        )
    elif name == "convolution":
        first, second = conv2d(16, 3, weights=a), conv2d(32, 3, weights=b)
        network = sequential(entry, first, cell, pool(2), second, cell, pool(2), dense(10, c), cell)
    else:
        network = sequential(entry, dense(512, a), cell, dense(512, b), cell, dense(10, c), cell)
    module = SpikingModule(lower(network), dtype=dtype)
    if name == "recurrent":
        return module, ("out/v",), lambda outputs: outputs["out/v"].amax(0)
    return module, (), lambda outputs: outputs["layer3"].sum(0)


# --------------------------------------------------------------------------------------------------------------- timing
def program(who: str, name: str) -> tuple[Forward, list[Any]]:
    """Return a workload in a program, and its weights."""
    import torch

    if who == "spikesim torch":
        module, record, score = ours(name)

        def forward(x: Any) -> tuple[Any, Any]:
            outputs = module({"in": x}, record=record)
            return score(outputs), outputs["layer1"].detach()

        return forward, list(module.parameters())
    weights = [torch.nn.Parameter(torch.from_numpy(w)) for w in TASKS[name].weights()]
    if who == "spikingjelly" and name == "recurrent":
        return jelly_recurrent(weights), weights
    if who in ("torch by layer", "spikingjelly"):
        return by_layer(who, name, weights), weights
    return loop(who, name, weights), weights


def time_training(who: str, name: str, runs: int, threads: int) -> dict[str, Any]:
    """Return the seconds of one forward and backward pass, so many times after a first one."""
    import torch

    torch.set_num_threads(threads)
    forward, weights = program(who, name)
    x, labels = TASKS[name].data()
    seconds, rate = [], 0.0
    for _ in range(runs + 1):
        begin = time.perf_counter()
        for w in weights:
            w.grad = None
        scores, hidden = forward(x)
        torch.nn.functional.cross_entropy(scores, labels).backward()
        seconds.append(time.perf_counter() - begin)
        rate = float(hidden.mean())
    return {"seconds": seconds[1:], "first_s": seconds[0], "hidden_rate": rate}


if __name__ == "__main__":
    import json
    import sys

    request = json.loads(sys.argv[1])
    print(json.dumps(time_training(**request)))
