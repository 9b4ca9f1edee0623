"""Everything that waits for a GPU, in one command: correctness first, then training, inference and simulation.

    pip install -e ".[torch]"
    python benchmarks/gpu.py [--device cuda] [--out gpu.json] [--only check,simulate,...] [--small]

The results are written after every part, so a run that is cut short leaves what it has. ``--small`` takes tiny sizes,
to try the script itself (on the CPU: ``--device cpu``). All is measured on one device in one run, SpikingJelly if it
can be imported; published figures are only there to compare with.
"""

from __future__ import annotations

import argparse
import json
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gpu_layers import inference, scans, training, training_networks, tuning, wide_layer
from machine import machine, versions

from spikesim.backends.torch.ops import step_constants
from spikesim.backends.torch.scan import Scan
from spikesim.drive import DriveState
from spikesim.engine import Options, compile, run
from spikesim.equations.scan_source import Surrogate
from spikesim.lowering import lower
from spikesim.models.networks import NETWORKS
from spikesim.models.neurons import NEURONS, lif
from spikesim.network import Network, Population
from spikesim.recording import differing_spikes
from spikesim.stimulus import PoissonDrive

# real-time factors of the full microcircuit as published: seconds of wall time for a second of biological time
PUBLISHED_RTF = {
    "GeNN, one Tesla V100 (Knight and Nowotny 2018)": 2.0,
    "NEST GPU, one RTX 4090 (Villamar et al. 2025)": 0.4,
}
STRONG = {"lif_cond_exp": 5.0, "izhikevich": 60.0, "loihi_lif": 3000.0, "lif_psc_exp": 2e-8, "lif_alpha": 2e-8}
STRONG |= {"adex": 5e-9, "lif_exp": 0.05, "lif_euler": 20.0}


# ---------------------------------------------------------------------------------------------------------- correctness
def check_scans(device: str, small: bool) -> dict[str, Any]:
    """Compare every neuron with plain torch on the CPU: spikes that differ, largest relative error of a gradient."""
    shape, found = ((20, 2, 50) if small else (200, 8, 300)), {}
    for name, make in NEURONS.items():
        for dtype in (torch.float64, torch.float32):
            (spikes, gradients), (same, expected) = (
                _scan(make().model, STRONG.get(name, 1.0), shape, dtype, d, fused)
                for d, fused in ((device, True), ("cpu", False))
            )
            pairs = zip(gradients, expected, strict=True)
            errors = [float((a - b).abs().max() / b.abs().max()) for a, b in pairs if b is not None and b.abs().max()]
            differing = int((spikes != same).sum())
            found[f"{name} {dtype}"] = {
                "spikes": int(same.sum()),
                "differing": differing,
                "gradient_error": max(errors, default=0.0),
            }
    return found


def _scan(model: Any, size: float, shape: tuple[int, int, int], dtype: torch.dtype, device: str, fused: bool) -> Any:
    rng = np.random.default_rng(1)

    def leaf(values: Any) -> torch.Tensor:
        return torch.tensor(np.asarray(values), dtype=dtype, device=device).requires_grad_()

    inputs = {p: leaf(rng.normal(0.5, 0.8, shape) * size) for p in model.inputs}
    init = {s: leaf(np.full(shape[1:], float(getattr(v, "init", v)))) for s, v in model.states.items()}
    params = {n: leaf(p.default * rng.uniform(0.98, 1.02, shape[2])) for n, p in model.params.items()}
    constants = {k: c.to(dtype) for k, c in step_constants(model, params, 1e-3, torch.device(device)).items()}
    spikes, traces = Scan(model, Surrogate(), fused)(inputs, init, constants, shape)
    values = torch.stack([spikes, *(t[1:] for t in traces.values())])
    weights = torch.tensor(rng.normal(size=values.shape), dtype=dtype, device=device)
    leaves = [*inputs.values(), *init.values(), *params.values()]
    gradients = torch.autograd.grad((values * weights).sum(), leaves, allow_unused=True)
    return spikes.detach().cpu(), [None if g is None else g.cpu() for g in gradients]


def check_poisson(device: str, small: bool) -> dict[str, Any]:
    """Count the Poisson numbers that differ between the device and numba."""
    from spikesim.backends.torch.triton_drives import Drives

    n, steps = (100, 10) if small else (5000, 200)
    drive = PoissonDrive("n", "a", rate=np.linspace(0, 9e3, n), weight=0.3)
    graph = lower(Network([Population("a", n, lif())], stimuli=[drive], seed=2**63 + 5))
    drawn = Drives([DriveState(graph, graph.drives[0], 2)], steps, torch.device(device))
    drawn.fill(2**32 - 5, steps)
    expected = DriveState(graph, graph.drives[0], 2).values(2**32 - 5, steps)
    return {"numbers": expected.size, "differing": int((drawn.sums.cpu().numpy() != expected).sum())}


def check_simulation(device: str, small: bool) -> dict[str, Any]:
    """Run published networks in float64; count the spikes that differ from numba's."""
    cases: list[tuple[str, dict[str, Any], float]] = [
        ("cuba", {"n": 400 if small else 4000}, 0.01 if small else 0.5),
        ("brunel", {"n": 400 if small else 12500}, 0.01 if small else 0.3),
        ("microcircuit", {"scale": 0.01 if small else 0.2}, 0.01 if small else 0.3),
    ]
    found = {}
    for name, settings, seconds in cases:
        network = NETWORKS[name](**settings)
        a, b = run(network, seconds), run(network, seconds, backend="torch", device=device)
        found[f"{name} {settings}"] = {"spikes": a.counts.spikes, "differing": differing_spikes(a, b)}
    return found


def check_training(device: str, small: bool) -> dict[str, Any]:
    """Compare a layered and a recurrent network, forward and backward, with the CPU.

    In float64 the weights stand on a grid, so the spikes are equal and gradients are compared; in float32 the order of
    sums differs, and the share of spikes that differ is the result.
    """
    found: dict[str, Any] = {}
    for name, (network, steps, density) in training_networks(small).items():
        graph = lower(network)
        x = (np.random.default_rng(1).random((steps, 8, graph.sources[0].n)) < density).astype(float)
        for dtype in ("float64", "float32"):
            results = [_module_run(graph, x, dtype, d) for d in (device, "cpu")]
            (spikes, gradients), (same, expected) = results
            differing = sum(int((spikes[n] != same[n]).sum()) for n in same)
            errors = [float((a - b).abs().max() / b.abs().max()) for a, b in zip(gradients, expected, strict=True)]
            total = sum(int(s.sum()) for s in same.values())
            found[f"{name} {dtype}"] = {
                "spikes": total,
                "differing_share": differing / max(total, 1),
                "gradient_error": max(errors),
            }
    return found


def _module_run(graph: Any, x: Any, dtype: str, device: str) -> Any:
    from spikesim.backends.torch.module import SpikingModule

    module = SpikingModule(graph, dtype=dtype, device=device)
    outputs = module({graph.sources[0].name: torch.tensor(x, dtype=getattr(torch, dtype), device=device)})
    spikes = {n.name: outputs[n.name] for n in graph.nodes}
    total = torch.stack([s.mean() for s in spikes.values()]).sum()
    gradients = torch.autograd.grad(total, list(module.parameters()))
    return {n: s.detach().cpu() for n, s in spikes.items()}, [g.cpu() for g in gradients]


# ----------------------------------------------------------------------------------------------------------- simulation
def _simulate(network: Network, seconds: float, backend: str, device: str) -> dict[str, Any]:
    """Build, warm up, and run; in wall seconds."""
    begin = time.perf_counter()
    graph = lower(network)
    program = compile(graph, backend, Options(device=device))
    program.reset(1)
    steps = round(seconds / graph.dt)
    program.advance(max(40, steps // 20), {})
    built, spikes = time.perf_counter(), 0
    for first in range(0, steps, 2000):
        chunk = program.advance(min(2000, steps - first), {})
        spikes += sum(len(s[0]) for s in chunk.spikes.values())
    took = time.perf_counter() - built
    sizes = {"neurons": graph.neurons, "synapses": graph.synapses, "spikes": spikes}
    return sizes | {"build_and_warm_s": built - begin, "sim_s": took, "real_time_factor": took / seconds}


def simulate(device: str, small: bool) -> dict[str, Any]:
    """Run a second of the published networks, on the device and by numba on this machine's processors."""
    cases: dict[str, dict[str, Any]] = {"cuba": {"n": 4000}, "brunel": {"n": 12500}, "microcircuit": {"scale": 1.0}}
    if small:
        cases = {"cuba": {"n": 200}, "microcircuit": {"scale": 0.003}}
    seconds, found = (0.005 if small else 1.0), {}
    for name, settings in cases.items():
        network = NETWORKS[name](**settings)
        found[name] = {b: _simulate(network, seconds, b, d) for b, d in (("torch", device), ("numba", "cpu"))}
    return found | {"published_real_time_factors_of_microcircuit": PUBLISHED_RTF}


def crossover(device: str, small: bool) -> dict[str, Any]:
    """Find the size from which the device is faster: the thresholds that ``spikesim.devices`` should have."""
    found = {}
    for n in (200,) if small else (1250, 5000, 12500, 50000, 100000):
        network = NETWORKS["brunel"](n=n)
        cases = (("torch", device), ("numba", "cpu"))
        found[n] = {b: _simulate(network, 0.005 if small else 0.2, b, d) for b, d in cases}
    return found


PARTS: dict[str, Callable[[str, bool], Any]] = {
    "check_scans": check_scans,
    "check_poisson": check_poisson,
    "check_simulation": check_simulation,
    "check_training": check_training,
    "scans": scans,
    "wide_layer": wide_layer,
    "training": training,
    "inference": inference,
    "simulate": simulate,
    "crossover": crossover,
    "tuning": tuning,
}


def main() -> None:
    """Run the parts and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out", default="gpu.json")
    parser.add_argument("--only", default=",".join(PARTS), help=f"some of {', '.join(PARTS)}, or the start of a name")
    parser.add_argument("--small", action="store_true")
    options = parser.parse_args()
    results: dict[str, Any] = {"machine": machine(), "versions": versions(), "device": options.device}
    if options.device.startswith("cuda"):
        results["device"] = torch.cuda.get_device_name()
    wanted = tuple(options.only.split(","))
    for name, part in PARTS.items():
        if not name.startswith(wanted):
            continue
        begin = time.perf_counter()
        try:
            results[name] = part(options.device, options.small)
        except Exception as error:  # the others are worth having
            results[name] = {"error": f"{type(error).__name__}: {error}", "where": traceback.format_exc()[-2000:]}
        print(f"{name}: {time.perf_counter() - begin:.1f} s\n{json.dumps(results[name], indent=1)}", flush=True)
        Path(options.out).write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
