"""Compare spikesim with other simulators: spike for spike in small networks, by rate and CV in published ones.

::

    python benchmarks/validate.py                      everything; what is already in the results is kept
    python benchmarks/validate.py --spikes             the small networks only
    python benchmarks/validate.py --statistics cuba    one published network only
    python benchmarks/validate.py --fresh              forget the results first

Results go to ``benchmarks/results/validation_*.json``; ``write_docs.py`` makes the document of them.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import machine
import networks
import numpy as np
import peers
import small_networks
import torch_networks
from small_networks import CASES, Case, feed_forward, refined
from validate_training import compare_training

from spikesim import optional
from spikesim.engine import run

PEERS = ("nest", "brian2")
SHIFTS = {
    "nest": "NEST's spike times minus one step",
    "brian2": "none",
    "snntorch": "none",
    "norse": "none",
}
DELAYS = {
    "lif_exp_start": {"nest": "one step shorter there", "brian2": "one step shorter there"},
    "lif_delta": {"brian2": "one step shorter there, synapses before thresholds"},
    "izhikevich": {"brian2": "one step shorter there"},
}
INTEGRATORS = "adaptive Runge-Kutta there, {ours} here; other equations between two steps"
DIFFERENT = {
    ("lif_cond_exp", "nest"): INTEGRATORS.format(ours="exponential Euler"),
    ("adex", "nest"): INTEGRATORS.format(ours="forward Euler"),
}
SEEDS = {"cuba": 5, "coba": 5, "brunel_1250": 5, "brunel_12500": 3, "microcircuit_0.1": 3}
FEWER = {("coba", "nest"): 3}
DURATION = 1.0
FAILURES = (peers.PeerError, OSError, subprocess.SubprocessError)


# ------------------------------------------------------------------------------------------------------ spike for spike
def compare_small() -> list[dict[str, Any]]:
    """Simulate every small network here and in each peer."""
    rows = []
    for name, make in CASES.items():
        case = make()
        ours = small_networks.simulate(case)
        for peer in PEERS:
            row = {"case": name, "peer": peer, "neurons": case.cells, "synapses": len(case.pre), "steps": case.steps}
            row |= {"delay": DELAYS.get(name, {}).get(peer, "the same"), "shift": SHIFTS[peer]}
            row |= _against(ours, case, peer) | {"reason": DIFFERENT.get((name, peer), "")}
            rows.append(row)
            print(row, flush=True)
    return rows


def theirs(case: Case, peer: str) -> np.ndarray:
    """Return the spikes that a peer finds."""
    answer = peers.run(peer, f"{peer}_small.py", case.plain())
    return np.array(answer["spikes"], np.int64).reshape(-1, 2)


def _against(ours: np.ndarray, case: Case, peer: str) -> dict[str, Any]:
    try:
        other = theirs(case, peer)
    except FAILURES as error:
        return {"skipped": str(error)}
    a, b = {tuple(x) for x in ours.tolist()}, {tuple(x) for x in other.tolist()}
    first = min(a ^ b, default=None)
    return {"spikes": len(a), "theirs": len(b), "differing": len(a ^ b), "first_difference": first}


def convergence() -> list[dict[str, Any]]:
    """Show that what differs by its integrator only comes together as the step shrinks, without recurrence."""
    rows = []
    for name, peer in DIFFERENT:
        for factor in (1, 10):
            case = feed_forward(CASES[name]())
            case = refined(case, factor) if factor > 1 else case
            ours = small_networks.simulate(case)
            try:
                other = theirs(case, peer)
            except FAILURES as error:
                rows.append({"case": name, "peer": peer, "skipped": str(error)})
                continue
            gaps = [np.min(np.abs(other[other[:, 1] == k, 0] - t), initial=case.steps) for t, k in ours]
            rows.append(
                {
                    "case": name,
                    "peer": peer,
                    "dt_ms": case.dt * 1e3,
                    "spikes": len(ours),
                    "theirs": len(other),
                    "median_distance_ms": float(np.median(gaps) * case.dt * 1e3),
                }
            )
            print(rows[-1], flush=True)
    return rows


def compare_layers() -> list[dict[str, Any]]:
    """Simulate every layered network here and in snnTorch or norse."""
    rows = []
    for name, (peer, other, ours, reason) in torch_networks.cases().items():
        ok, about = optional.available(peer)
        row = {"case": name, "peer": peer, "steps": torch_networks.STEPS, "samples": torch_networks.SAMPLES}
        if not ok:
            rows.append({**row, "skipped": about})
            continue
        a, b = other(), torch_networks.simulate(ours())
        row |= {
            "neurons": sum(x.shape[-1] for x in a),
            "spikes": int(sum(x.sum() for x in b)),
            "theirs": int(sum(x.sum() for x in a)),
            "differing": int(sum((x != y).sum() for x, y in zip(a, b, strict=True))),
            "reason": reason,
        }
        rows.append(row)
        print(row, flush=True)
    return rows


# ---------------------------------------------------------------------------------------------------------- statistics
def measure_here(name: str, seed: int) -> dict[str, list[float]]:
    """Return rate and CV per population, and of all neurons, from spikesim."""
    recording = run(networks.make(name, seed), DURATION)
    events = [(s.step, s.neuron) for s in recording.spikes.values()]
    return _summary(events, [s.n for s in recording.spikes.values()], list(recording.spikes))


def measure_peer(name: str, peer: str, seed: int) -> dict[str, list[float]]:
    """Return the same from a peer."""
    net = networks.describe(name)
    with tempfile.TemporaryDirectory() as work:
        path = Path(work) / "events.npz"
        request = {"network": net, "seed": seed, "duration": DURATION, "threads": 1, "target": "cython"}
        peers.run(peer, f"{peer}_networks.py", {**request, "events": str(path)})
        with np.load(path) as file:
            events = [(file[f"step{k}"], file[f"neuron{k}"]) for k in range(len(net["populations"]))]
    return _summary(events, [p["cells"] for p in net["populations"]], [p["name"] for p in net["populations"]])


def _summary(events: list[Any], sizes: list[int], names: list[str]) -> dict[str, list[float]]:
    first = np.cumsum([0, *sizes])
    step = np.concatenate([s for s, _ in events])
    neuron = np.concatenate([k + low for (_, k), low in zip(events, first, strict=False)])
    out = {"all": list(networks.rate_and_cv(step, neuron, int(first[-1]), DURATION))}
    for (s, k), n, name in zip(events, sizes, names, strict=True):
        out[name] = list(networks.rate_and_cv(s, k, n, DURATION))
    return out


def statistics(networks: list[str], stored: dict[str, Any]) -> dict[str, Any]:
    """Measure what is not stored yet; store after every run."""
    runs = stored.setdefault("runs", {})
    for name in networks:
        for who in ("spikesim", *PEERS):
            key = f"{name}/{who}"
            done = runs.setdefault(key, {})
            wanted = FEWER.get((name, who), SEEDS[name]) * (2 if who == "spikesim" else 1)
            for seed in range(1, wanted + 1):
                if str(seed) in done:
                    continue
                begin = time.perf_counter()
                try:
                    done[str(seed)] = measure_here(name, seed) if who == "spikesim" else measure_peer(name, who, seed)
                except FAILURES as error:
                    stored.setdefault("skipped", {})[key] = str(error)
                    print(key, error, flush=True)
                    break
                print(key, seed, done[str(seed)]["all"], f"{time.perf_counter() - begin:.1f} s", flush=True)
                machine.write("validation_statistics", stored)
    return stored


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spikes", action="store_true", help="small networks only")
    parser.add_argument("--statistics", nargs="*", choices=list(SEEDS), help="these published networks only")
    parser.add_argument("--training", action="store_true", help="training workloads only")
    parser.add_argument("--fresh", action="store_true", help="forget stored statistics")
    args = parser.parse_args()
    about = {"machine": machine.machine(), "versions": machine.versions(), "peers": peers.available()}
    if args.training:
        machine.write("validation_spikes", machine.read("validation_spikes") | {"training": compare_training()})
        return
    if args.statistics is None:
        rows = {"small": compare_small(), "convergence": convergence(), "layers": compare_layers()}
        rows["training"] = compare_training()
        machine.write("validation_spikes", {**about, **rows})
    if not args.spikes:
        stored = {} if args.fresh else machine.read("validation_statistics")
        machine.write("validation_statistics", statistics(args.statistics or list(SEEDS), {**stored, **about}))


if __name__ == "__main__":
    main()
