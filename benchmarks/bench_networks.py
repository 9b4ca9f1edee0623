"""Time networks of point neurons and layered networks; other simulators beside them in the same run where asked.

::

    python benchmarks/bench_networks.py                  quick: half a minute
    python benchmarks/bench_networks.py --full           also 12 500 neurons, the microcircuit and training
    python benchmarks/bench_networks.py --full --peers   and NEST, Brian2, torch, snnTorch, norse beside them

Every row is measured in a process of its own, so that its peak memory is its own; rows that are compared follow one
another. Results go to ``benchmarks/results/networks_<quick|full>.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import machine
import peers
import published_networks

DURATION = 1.0
QUICK = ("cuba", "coba", "brunel_1250")
FULL = (*QUICK, "brunel_12500", "microcircuit_0.1")
LAYER_PEERS = ("torch loop", "snntorch", "norse")
FAILURES = (peers.PeerError, OSError, subprocess.SubprocessError, ValueError)


# ----------------------------------------------------------------------------------------------- measured in a child
def measure_network(name: str, dtype: str, threads: int, runs: int) -> dict[str, Any]:
    """Build, compile and simulate a published network so many times."""
    from spikesim.engine import run
    from spikesim.lowering import lower

    out: dict[str, Any] = {"build_s": [], "compile_s": [], "sim_s": []}
    for _ in range(runs + 1):
        begin = time.perf_counter()
        graph = lower(published_networks.make(name))
        out["build_s"].append(time.perf_counter() - begin)
        recording = run(graph, DURATION, dtype=dtype, threads=threads)
        out["compile_s"].append(recording.meta["compile_s"])
        out["sim_s"].append(recording.meta["sim_s"])
    out = {"first_" + k: v[0] for k, v in out.items()} | {k: v[1:] for k, v in out.items()}
    step, neuron, first = [], [], 0
    for s in recording.spikes.values():
        step.append(s.step)
        neuron.append(s.neuron + first)
        first += s.n
    import numpy as np

    rate, cv = published_networks.rate_and_cv(np.concatenate(step), np.concatenate(neuron), first, DURATION)
    return {**out, "rate_hz": rate, "cv_isi": cv, "synapses": graph.synapses, "neurons": graph.neurons}


def child(request: dict[str, Any]) -> dict[str, Any]:
    """Do one row in this process."""
    kind, arguments = request["kind"], request["arguments"]
    if kind == "network":
        out = measure_network(**arguments)
    else:
        import layers

        out = {"inference": layers.time_inference, "training": layers.time_training}[kind](**arguments)
    return {**out, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def in_child(what: str, threads: int, **arguments: Any) -> dict[str, Any]:
    """Measure a row in a process of its own."""
    request = json.dumps({"kind": what, "arguments": {**arguments, "threads": threads}})
    env = {**os.environ, **peers.ONE_THREAD, "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, __file__, "--child", request]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=peers.LIMIT_S)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        return {"skipped": lines[-1] if lines else f"exit code {done.returncode}"}
    return dict(json.loads(done.stdout.splitlines()[-1]))


# ---------------------------------------------------------------------------------------------------------------- peers
def measure_peer(peer: str, name: str, threads: int, runs: int) -> dict[str, Any]:
    """Build, compile and simulate a published network in a peer, in a new process each time."""
    found: list[dict[str, Any]] = []
    net = published_networks.describe(name)
    with tempfile.TemporaryDirectory() as work:
        for seed in range(1, runs + 1):
            request = {"network": net, "seed": seed, "duration": DURATION, "threads": threads}
            request |= {"target": "cpp_standalone", "events": str(Path(work) / "events.npz")}
            try:
                found.append(peers.run(peer, f"{peer}_networks.py", request, threads))
            except FAILURES as error:
                return {"skipped": str(error)}
    out: dict[str, Any] = {k: [f[k] for f in found] for k in ("build_s", "compile_s", "sim_s")}
    return {**out, "peak_mb": found[-1]["peak_mb"]}


# ----------------------------------------------------------------------------------------------------------------- rows
def rows_of_networks(names: tuple[str, ...], runs: int, with_peers: bool) -> list[dict[str, Any]]:
    """Return the rows of the published networks."""
    out = []
    for name in names:
        large = name in FULL[len(QUICK) :]
        count = max(3, runs // 2) if large else runs
        for dtype in ("float64", "float32"):
            row = {"workload": name, "who": "spikesim numba", "dtype": dtype, "threads": 1}
            out.append(row | in_child("network", 1, name=name, dtype=dtype, runs=count))
            show(out[-1])
        if not with_peers:
            continue
        for peer, threads in (("nest", 1), ("brian2", 1)):
            row = {"workload": name, "who": peer, "dtype": "float64", "threads": threads}
            few = 1 if large else min(3, runs)
            out.append(row | measure_peer(peer, name, threads, few))
            show(out[-1])
    return out


def rows_of_layers(full: bool, runs: int, with_peers: bool) -> list[dict[str, Any]]:
    """Return the rows of the layered networks."""
    others = LAYER_PEERS if with_peers else ()
    out = []
    for batch in (1, 128):
        for who in ("spikesim numba", "spikesim torch", *others):
            row = {"workload": f"inference, batch {batch}", "who": who, "dtype": "float32", "threads": 2}
            out.append(row | in_child("inference", 2, kind=who, batch=batch, runs=runs))
            show(out[-1])
    for who in ("spikesim torch", *others) if full else ():
        row = {"workload": "training, batch 128", "who": who, "dtype": "float32", "threads": 2}
        out.append(row | in_child("training", 2, kind=who, runs=runs))
        show(out[-1])
    return out


def show(row: dict[str, Any]) -> None:
    """Print one row."""
    head = f"{row['workload']:22} {row['who']:15} {row['dtype']} t{row['threads']}"
    if "skipped" in row:
        print(f"{head}  skipped: {row['skipped']}", flush=True)
        return
    key, unit = next((k, u) for k, u in (("sim_s", "s"), ("ms_per_step", "ms/step"), ("seconds", "s")) if k in row)
    values = row[key]
    more = f"{row['peak_mb']:6.0f} MB" if row.get("peak_mb") else ""
    if "build_s" in row:
        build, compiled = statistics.median(row["build_s"]), row.get("first_compile_s", row["compile_s"][0])
        more += f"  build {build:.3f} s, first compile {compiled:.2f} s"
    median = statistics.median(values)
    print(f"{head}  {median:8.4f} {unit} ({min(values):.4f} .. {max(values):.4f}, n={len(values)})  {more}", flush=True)


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="larger networks and training too")
    parser.add_argument("--peers", action="store_true", help="other simulators beside them")
    parser.add_argument("--runs", type=int, default=7, help="runs of a row after one that is not counted")
    parser.add_argument("--only", choices=["networks", "layers"], help="half of it; the other half of the file is kept")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(child(json.loads(args.child))))
        return
    name = "networks_full" if args.full else "networks_quick"
    result = machine.read(name) if args.only else {}
    result |= {"machine": machine.machine(), "versions": machine.versions(), "load_at_start": machine.load()}
    if args.peers:
        result["peers"] = peers.available()
    if args.only != "layers":
        result["networks"] = rows_of_networks(FULL if args.full else QUICK, args.runs, args.peers)
        machine.write(name, result)
    if args.only != "networks":
        result["layers"] = rows_of_layers(args.full, args.runs, args.peers)
    result["load_at_end"] = machine.load()
    print(f"written: {machine.write(name, result).name}")


if __name__ == "__main__":
    main()
