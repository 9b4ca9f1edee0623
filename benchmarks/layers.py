"""Inference 784-1024-1024-10, here and in torch, snnTorch and norse.

``u = 0.9 v + W x, s = (u > 1), v = u (1 - s)``; a spike passes all layers in its step. Input density 5 %.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import training

from spikesim.layers import dense, sequential
from spikesim.models.neurons import leaky
from spikesim.network import Network
from spikesim.stimulus import Input

INFERENCE = ((784, 1024, 1024, 10), (0.06, 0.08, 0.08), 100)
DENSITY, BETA = 0.05, 0.9


def matrices(workload: Any) -> list[Any]:
    """Return the weights, ``[targets, sources]``."""
    sizes, gains, _ = workload
    rng = np.random.default_rng(0)
    return [
        (rng.standard_normal((b, a)) * g).astype(np.float32) for (a, b), g in zip(pairwise(sizes), gains, strict=True)
    ]


def inputs(workload: Any, batch: int) -> Any:
    """Return the input spikes, ``[steps, batch, 784]``."""
    return np.random.default_rng(1).random((workload[2], batch, workload[0][0])) < DENSITY


def network(workload: Any) -> Network:
    """Return the network in spikesim."""
    cell = leaky(beta=BETA, reset="to", timing="same")
    return sequential(Input("in", workload[0][0]), *[p for w in matrices(workload) for p in (dense(len(w), w), cell)])


# ---------------------------------------------------------------------------------------------------- torch and friends
def layered_forward(workload: Any) -> tuple[Callable[[Any], Any], list[Any]]:
    """Return the same in torch, one product per layer over all steps: the fastest way of a feed-forward network."""
    import torch

    weights = [torch.nn.Parameter(torch.from_numpy(w)) for w in matrices(workload)]
    step = training.plain_cell(BETA)

    def forward(x: Any) -> Any:
        for w in weights:
            state, out = None, []
            for current in torch.nn.functional.linear(x, w).unbind(0):
                spikes, state = step(current, state)
                out.append(spikes)
            x = torch.stack(out)
        return x

    return forward, weights


def torch_forward(kind: str, workload: Any) -> tuple[Callable[[Any], Any], list[Any]]:
    """Return a function input -> spikes of the last layer ``[steps, batch, 10]``, and its weights."""
    import torch

    if kind == "spikesim torch":
        return spikesim_forward(workload)
    if kind == "torch by layer":
        return layered_forward(workload)

    weights = [torch.nn.Parameter(torch.from_numpy(w)) for w in matrices(workload)]
    cells = training.cells(kind, BETA, len(weights))

    def forward(x: Any) -> Any:
        states: list[Any] = [None] * len(weights)
        out = []
        for row in x.unbind(0):
            for k, (w, cell) in enumerate(zip(weights, cells, strict=True)):
                row, states[k] = cell(torch.nn.functional.linear(row, w), states[k])
            out.append(row)
        return torch.stack(out)

    return forward, weights


def spikesim_forward(workload: Any) -> tuple[Callable[[Any], Any], list[Any]]:
    """Return the same of spikesim's torch backend."""
    from spikesim.backends.torch.module import SpikingModule
    from spikesim.lowering import lower

    graph = lower(network(workload))
    module, last = SpikingModule(graph), graph.nodes[-1].name
    return lambda x: module({"in": x})[last], list(module.parameters())


# --------------------------------------------------------------------------------------------------------------- timing
def time_inference(kind: str, batch: int, runs: int, threads: int) -> dict[str, Any]:
    """Return milliseconds per step."""
    x = inputs(INFERENCE, batch)
    if kind == "spikesim numba":
        return _numba(x, runs, threads)
    import torch

    torch.set_num_threads(threads)
    forward, _ = torch_forward(kind, INFERENCE)
    given = torch.from_numpy(x.astype(np.float32))
    with torch.no_grad():
        rate = float(forward(given).mean())
        seconds = [_timed(lambda: forward(given)) for _ in range(runs)]
    return {"ms_per_step": [s / INFERENCE[2] * 1e3 for s in seconds], "last_layer_rate": rate}


def _numba(x: Any, runs: int, threads: int) -> dict[str, Any]:
    from spikesim.engine import Options, compile

    begin = time.perf_counter()
    program = compile(network(INFERENCE), "numba", Options("float32", threads))
    ready = time.perf_counter() - begin
    seconds, rate = [], 0.0
    for _ in range(runs + 1):
        program.reset(x.shape[1])
        start = time.perf_counter()
        chunk = program.advance(len(x), {"in": x})
        seconds.append(time.perf_counter() - start)
        rate = len(chunk.spikes["layer3"][0]) / (x.shape[0] * x.shape[1] * 10)
    ms = [s / INFERENCE[2] * 1e3 for s in seconds[1:]]
    return {"ms_per_step": ms, "last_layer_rate": rate, "ready_s": ready}


def _timed(function: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin
