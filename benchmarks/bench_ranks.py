"""Memory, traffic and time of networks on 1, 2 and 4 ranks, beside what :func:`spikesim.ranks.estimate` says.

Prints a table and writes ``results/ranks.json``. Ranks beyond the processors share them: then times say nothing about
more machines, memory and traffic do. ``bench_ranks.py --run CASE`` under mpiexec runs one case.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from machine import machine

from spikesim import Network, PoissonDrive, Population, Projection, ms
from spikesim.connect import FixedIndegree
from spikesim.distributions import Normal, Uniform
from spikesim.models.networks import NETWORKS
from spikesim.models.neurons import lif
from spikesim.ranks.estimate import estimate

SECONDS = 0.2
RANKS = (1, 2, 4)


def sparse(n: int, indegree: int, *, own: bool) -> Network:
    """One population at some 10 Hz; with ``own``, weights and delays (1.5 to 3.5 ms) are those of each synapse."""
    weight: Any = Normal(0.0, 0.01) if own else 0.001
    delay: Any = Uniform(1.5 * ms, 3.5 * ms) if own else 1.5 * ms
    return Network(
        [Population("p", n, lif(tau_m=20 * ms, t_ref=2 * ms))],
        [Projection("p", "p", FixedIndegree(indegree), weight=weight, delay=delay)],
        [PoissonDrive("drive", "p", rate=1000.0, weight=0.055)],
        dt=0.1 * ms,
        seed=1,
    )


#: name: how to make it, and what the estimate is told
CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "bits: 25 000 neurons, 2500 synapses each": (
        lambda: NETWORKS["brunel"](n=25_000),
        {"neurons": 25_000, "indegree": 2500},
    ),
    "rows: 400 000 neurons, 100 synapses each": (
        lambda: sparse(400_000, 100, own=False),
        {"neurons": 400_000, "indegree": 100},
    ),
    "segments: 100 000 neurons, 100 synapses each, 21 delays": (
        lambda: sparse(100_000, 100, own=True),
        {"neurons": 100_000, "indegree": 100, "own_weights": True, "max_delay": 3.5e-3},
    ),
}


def run_case(name: str) -> None:
    """Run one case on the ranks that are there and print one JSON object."""
    from spikesim import ranks

    found = ranks.run(CASES[name][0](), SECONDS)
    if found is not None:
        rate = found.counts.spikes / (sum(p.neurons for p in found.counts.populations.values()) * SECONDS)
        print(json.dumps({"rate": rate, **{k: found.meta[k] for k in ("sim_s", "compile_s", "ranks")}}))


def measure(name: str, ranks: int) -> dict[str, Any]:
    """Run a case on so many ranks."""
    mpiexec = shutil.which("mpiexec", path=str(Path(sys.executable).parent)) or "mpiexec"
    command = [mpiexec, "-n", str(ranks), sys.executable, __file__, "--run", name]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def row(name: str, ranks: int, found: dict[str, Any]) -> dict[str, Any]:
    """Return what was measured beside what was estimated, per rank and biological second, in MB and seconds."""
    guess = estimate(ranks=ranks, rate=found["rate"], **CASES[name][1])
    took = found["ranks"]
    return {
        "case": name,
        "ranks": ranks,
        "rate_hz": found["rate"],
        "tables_mb": max(took["tables_mb"]) * 2**20 / 1e6,
        "tables_mb_estimated": (guess.tables + guess.index) / 1e6,
        "peak_mb": max(took["peak_mb"][1:] or took["peak_mb"]) * 2**20 / 1e6,  # without the recording, on rank 0
        "peak_mb_estimated": guess.memory / 1e6,
        "received_mb": took["bytes"] / 1e6 / SECONDS,
        "received_mb_estimated": guess.received / 1e6,
        "build_s": found["compile_s"],
        "exchange_s": min(took["exchange_s"]) / SECONDS,
        "busy_s": (found["sim_s"] - min(took["exchange_s"])) / SECONDS,
        "busy_s_estimated": guess.busy,
    }


def main() -> None:
    """Measure all cases."""
    rows = [row(name, ranks, measure(name, ranks)) for name in CASES for ranks in RANKS]
    for r in rows:
        print({k: round(v, 3) if isinstance(v, float) else v for k, v in r.items()})
    path = Path(__file__).parent / "results" / "ranks.json"
    path.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    run_case(sys.argv[2]) if sys.argv[1:2] == ["--run"] else main()
