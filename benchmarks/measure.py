"""What a process of its own measures: ``python measure.py '{"kind": ..., "options": {...}}'`` prints a line of JSON."""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


def network(
    network: str, seed: int, threads: int, runs: int, duration: float = 1.0, dtype: str = "float32"
) -> dict[str, Any]:
    """Build and run a network so many times after a first one; spikes are recorded.

    ``build_s`` is lowering and the drawing of all synapses, ``sim_s`` everything else of a run.
    """
    import networks

    out: dict[str, Any] = {"build_s": [], "sim_s": []}
    described, recording = networks.make(network, seed), None
    for _ in range(runs + 1):
        del recording
        build, sim, recording = _run(described, duration, dtype, threads)
        out["build_s"].append(build)
        out["sim_s"].append(sim)
    out = {"first_" + k: v[0] for k, v in out.items()} | {k: v[1:] for k, v in out.items()}
    spikes = list(recording.spikes.values())
    events = networks.flat([(s.step, s.neuron) for s in spikes], [s.n for s in spikes])
    rate, cv = networks.rate_and_cv(*events, recording.meta["neurons"], duration)
    sizes = {k: recording.meta[k] for k in ("synapses", "neurons")}
    return {**out, "rate_hz": rate, "cv_isi": cv, "spikes": len(events[0]), **sizes, "duration": duration}


def _run(described: Any, duration: float, dtype: str, threads: int, out: Path | None = None) -> tuple[Any, Any, Any]:
    from spikesim.engine import run
    from spikesim.lowering import lower

    begin = time.perf_counter()
    graph = lower(described)
    build = time.perf_counter() - begin
    recording = run(graph, duration, dtype=dtype, threads=threads, out=out)
    build += recording.meta["compile_s"]
    return build, time.perf_counter() - begin - build, recording


def recording(network: str, seed: int, threads: int, runs: int, duration: float) -> dict[str, Any]:
    """Run with and without a file by turns; seconds of each."""
    import networks

    described, found = networks.make(network, seed), dict[str, list[float]](sim_s=[], file_s=[])
    with tempfile.TemporaryDirectory() as work:
        for k in range(2 * runs + 2):
            path = Path(work) / f"{k}.h5" if k % 2 else None
            _, sim, done = _run(described, duration, "float32", threads, path)
            if k >= 2:
                found["file_s" if path else "sim_s"].append(sim)
            size = path.stat().st_size if path else 0
            del done
    return {**found, "file_mb": size / 2**20, "duration": duration}


def first(network: str, seed: int, threads: int) -> dict[str, Any]:
    """Run a network once; the caller takes the time from the start of the process."""
    import networks

    build, sim, done = _run(networks.make(network, seed), 1.0, "float32", threads)
    return {"build_s": build, "sim_s": sim, "spikes": sum(len(s) for s in done.spikes.values())}


def kernels(**_: Any) -> dict[str, Any]:
    """Time the inner loops."""
    import bench_kernels

    return {"kernels": list(bench_kernels.rows([]))}


def inference(who: str, batch: int, runs: int, threads: int, **_: Any) -> dict[str, Any]:
    """Time a layered network forwards."""
    if not who.startswith("spikesim"):
        import torch  # noqa: F401  (before the library, which lets waiting threads of OpenMP sleep from then on)
    import layers

    return layers.time_inference("spikesim numba" if who == "spikesim" else who, batch, runs, threads)


def training(who: str, task: str, runs: int, threads: int, **_: Any) -> dict[str, Any]:
    """Time a network forwards and backwards."""
    from training import time_training

    return time_training(who, task, runs, threads)


KINDS = {f.__name__: f for f in (network, recording, first, kernels, inference, training)}

if __name__ == "__main__":
    request = json.loads(sys.argv[1])
    answer = KINDS[request["kind"]](**request["options"])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({**answer, "peak_mb": peak}))
