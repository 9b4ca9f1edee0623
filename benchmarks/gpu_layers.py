"""Layers on a GPU: fused scans beside a plain torch loop, ``torch.compile`` and, where it is installed, SpikingJelly.

All compute the same: ``u = 0.9 v + input``, a spike above 1, reset to 0 in the same step, arctan surrogate.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from spikesim.backends.torch import triton_passes, triton_stretch
from spikesim.backends.torch.scan import Scan
from spikesim.connect import Dense
from spikesim.layers import dense, sequential
from spikesim.lowering import lower
from spikesim.models.neurons import leaky
from spikesim.network import Projection
from spikesim.stimulus import Input

BETA = 0.9
CELL = leaky(beta=BETA, reset="to", timing="same")


# -------------------------------------------------------------------------------------------------------------- timing
def measure(work: Callable[[], Any], device: str, repeats: int = 5) -> dict[str, float]:
    """Return the median, the extremes (seconds) and the largest memory (MB) of some calls, after two to warm up."""
    cuda = device.startswith("cuda")

    def wait() -> None:
        if cuda:
            torch.cuda.synchronize()

    work()
    work()
    wait()
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        wait()
        times.append(time.perf_counter() - begin)
    found = {"median_s": statistics.median(times), "min_s": min(times), "max_s": max(times)}
    return found | ({"peak_mb": torch.cuda.max_memory_allocated() / 1e6} if cuda else {})


def compare(kinds: dict[str, Callable[[], Any]], device: str) -> dict[str, Any]:
    """Measure each kind; one that fails leaves its error."""
    found: dict[str, Any] = {}
    for name, work in kinds.items():
        try:
            found[name] = measure(work, device)
        except Exception as error:  # a peer that does not run here
            found[name] = {"error": f"{type(error).__name__}: {error}"[:300]}
    return found


# -------------------------------------------------------------------------------------------------------------- neurons
class Spike(torch.autograd.Function):  # type: ignore[misc]
    """A spike with the arctan surrogate."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        """Fire above 0."""
        ctx.save_for_backward(x)
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        """Multiply by the surrogate."""
        (x,) = ctx.saved_tensors
        return gradient / (1.0 + (torch.pi * x) ** 2)


def step(x: Any, v: Any) -> Any:
    """Update once; return spikes and membrane."""
    u = BETA * v + x
    s = Spike.apply(u - 1.0)
    return s, u * (1 - s)


def loop(currents: Any, cell: Callable[[Any, Any], Any]) -> Any:
    """Update step by step; ``unbind``, because indexing makes the backward pass quadratic in time."""
    v, out = torch.zeros_like(currents[0]), []
    for x in currents.unbind(0):
        s, v = cell(x, v)
        out.append(s)
    return torch.stack(out)


def fused(currents: Any) -> Any:
    """Do the same by the printed kernels."""
    shape = tuple(currents.shape)
    constants = {name: torch.tensor(value, device=currents.device) for name, value in _constants().items()}
    init = {name: torch.zeros((), device=currents.device) for name in CELL.model.states}
    return Scan(CELL.model)({CELL.model.inputs[0]: currents}, init, constants, shape)[0]


def _constants() -> dict[str, float]:
    from spikesim.network import Network, Population

    node = lower(Network([Population("a", 1, CELL)])).nodes[0]
    return {name: float(value) for name, value in node.constants.items()}


def jelly() -> Callable[[Any], Any]:
    """Return SpikingJelly's neuron over all steps, with its fastest backend that runs here."""
    from spikingjelly.activation_based import functional, neuron, surrogate

    tau = 1.0 / (1.0 - BETA)
    cell = neuron.LIFNode(
        tau=tau, decay_input=False, v_reset=0.0, surrogate_function=surrogate.ATan(), step_mode="m", backend="cupy"
    )

    def forward(currents: Any) -> Any:
        functional.reset_net(cell)
        return cell(currents)

    return forward


# ------------------------------------------------------------------------------------------------------------ workloads
def scans(device: str, small: bool, peers: bool = True) -> dict[str, Any]:
    """Measure the neurons alone, forward and backward: 500 steps of 262 144 columns."""
    steps, samples, n = (10, 2, 64) if small else (500, 16, 16384)
    x = torch.randn(steps, samples, n, device=device, requires_grad=True)
    compiled = torch.compile(step)

    def both(forward: Callable[[Any], Any]) -> Callable[[], Any]:
        return lambda: torch.autograd.grad(forward(x).sum(), x)

    kinds = {"spikesim": both(fused)}
    if peers:
        kinds["torch loop"] = both(lambda c: loop(c, step))
    if peers and not small:
        kinds["torch.compile of the step"] = both(lambda c: loop(c, compiled))
        kinds["spikingjelly"] = lambda: both(jelly())()
    found = compare(kinds, device)
    moved = x.numel() * x.element_size() * 7  # in, spikes, state; then gradient in and out, in, state
    if "median_s" in found["spikesim"]:
        found["spikesim_gb_per_s"] = moved / found["spikesim"]["median_s"] / 1e9
    return found


def wide_layer(device: str, small: bool) -> dict[str, Any]:
    """Measure Linear(n, n) and neurons, forward and backward: n = 16 384, batch 16, 500 steps; float32, then TF32."""
    steps, samples, n = (10, 2, 64) if small else (500, 16, 16384)
    x = (torch.rand(steps, samples, n, device=device) < 0.1).float().requires_grad_()
    weight = torch.nn.Parameter(torch.randn(n, n, device=device) / n**0.5)
    compiled = torch.compile(lambda x, v: step(torch.nn.functional.linear(x, weight), v))
    kinds: dict[str, Callable[[Any], Any]] = {
        "spikesim": lambda x: fused(torch.nn.functional.linear(x, weight)),
        "torch by layer": lambda x: loop(torch.nn.functional.linear(x, weight), step),
        "torch loop": lambda x: loop(x, lambda now, v: step(torch.nn.functional.linear(now, weight), v)),
    }
    if not small:
        kinds["torch.compile of the step"] = lambda x: loop(x, compiled)
        kinds["spikingjelly"] = lambda x: jelly()(torch.nn.functional.linear(x, weight))

    def both(forward: Callable[[Any], Any]) -> Callable[[], Any]:
        return lambda: torch.autograd.grad(forward(x).sum(), (x, weight))

    found, before = {}, torch.get_float32_matmul_precision()
    for precision in ("highest", "high"):
        torch.set_float32_matmul_precision(precision)
        found[precision] = compare({name: both(forward) for name, forward in kinds.items()}, device)
    torch.set_float32_matmul_precision(before)
    return found


def training_networks(small: bool) -> dict[str, tuple[Any, int, float]]:
    """Return the networks of the issue with their steps and the density of their input."""
    layers, loops = ((20, 10, 5), (20, 10)) if small else ((784, 512, 512, 10), (700, 512))
    parts = [part for k in layers[1:] for part in (dense(k), CELL)]
    feed_forward = sequential(Input("in", layers[0]), *parts)
    ring = sequential(Input("in", loops[0]), dense(loops[1]), CELL)
    n = loops[1]
    again = Dense(torch.randn(n, n, generator=torch.manual_seed(0)).div(n**0.5).numpy())
    ring = ring.add(Projection("layer1", "layer1", again, delay=1e-3))
    names = "-".join(map(str, layers)), "-".join(map(str, loops)) + " recurrent"
    return {names[0]: (feed_forward, 50, 0.06), names[1]: (ring, 250, 0.03)}


def training(device: str, small: bool) -> dict[str, Any]:
    """Measure an iteration of training: 784-512-512-10 over 50 steps, 700-512 with a loop over 250; batch 128."""
    batch = 4 if small else 128
    return {name: _train(*case, batch, device) for name, case in training_networks(small).items()}


def _train(network: Any, steps: int, density: float, batch: int, device: str) -> dict[str, Any]:
    from spikesim.backends.torch.module import SpikingModule

    graph = lower(network)
    module, last = SpikingModule(graph, device=device), graph.nodes[-1].name
    parameters = list(module.parameters())
    x = (torch.rand(steps, batch, graph.sources[0].n, device=device) < density).float()
    return measure(lambda: torch.autograd.grad(module({"in": x})[last].sum(), parameters), device)


def inference(device: str, small: bool) -> dict[str, Any]:
    """Measure the forward pass alone, 784-1024-1024-10, batch 1 and 128: milliseconds per step."""
    from spikesim.backends.torch.module import SpikingModule

    sizes = (20, 10, 5) if small else (784, 1024, 1024, 10)
    parts = [part for k in sizes[1:] for part in (dense(k), CELL)]
    graph, steps, found = lower(sequential(Input("in", sizes[0]), *parts)), 100, {}
    module = SpikingModule(graph, device=device)
    for batch in (1, 128):
        x = (torch.rand(steps, batch, sizes[0], device=device) < 0.06).float()
        with torch.no_grad():
            found[batch] = 1e3 / steps * measure(lambda x=x: module({"in": x}), device)["median_s"]
    return found


def tuning(device: str, small: bool) -> dict[str, Any]:
    """Measure sizes that were not tuned: columns a program takes, programs that share the spikes, steps in a graph."""
    from gpu import _simulate

    from spikesim.models.networks import microcircuit

    before = (triton_passes.BLOCK, triton_passes.STAGES, triton_stretch.PROGRAMS, triton_stretch.GRAPH_STEPS)
    found, network, seconds = {}, microcircuit(0.003 if small else 0.3), 0.005 if small else 0.3
    try:
        for triton_passes.BLOCK in (64, 128, 256, 512):
            for triton_passes.STAGES in (1, 2, 4):
                found[f"scan {triton_passes.BLOCK}, {triton_passes.STAGES} stages"] = scans(device, small, False)
        for programs in (16, 32, 64, 128, 256):
            triton_stretch.PROGRAMS = dict.fromkeys(("cuda", "cpu"), programs)
            found[f"deliver {programs} programs"] = _simulate(network, seconds, "torch", device)
        triton_stretch.PROGRAMS = before[2]
        for triton_stretch.GRAPH_STEPS in (4, 16, 64):
            found[f"graph of {triton_stretch.GRAPH_STEPS}"] = _simulate(network, seconds, "torch", device)
    finally:
        triton_passes.BLOCK, triton_passes.STAGES, triton_stretch.PROGRAMS, triton_stretch.GRAPH_STEPS = before
    return found
