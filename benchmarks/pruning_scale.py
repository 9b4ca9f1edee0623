"""Time and memory of pruning large networks: ``python benchmarks/pruning_scale.py NEURONS SYNAPSES [METHOD]``."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import numpy as np
from scipy import sparse

from spikesim import Network, Population, Projection
from spikesim.connect import Sparse
from spikesim.models.neurons import lif
from spikesim.sparsify import prune

FILE = Path(__file__).parent / "results/pruning/scale.json"


def network(n: int, synapses: int) -> Network:
    """Return heterogeneous neurons on a random graph, a fifth of them inhibitory."""
    rng = np.random.default_rng(0)
    pre, post = rng.integers(0, n, synapses), rng.integers(0, n, synapses)
    weight = 0.4 / np.sqrt(synapses / n) * np.abs(1.0 + 0.5 * rng.standard_normal(synapses))
    matrix = sparse.csr_array(sparse.coo_array((np.where(pre < n // 5, -4.0, 1.0) * weight, (post, pre)), shape=(n, n)))
    tau = np.clip(rng.gamma(3.0, 7e-3, n), 3e-3, 0.1)
    cells = Population("a", n, lif(reset="subtract", tau_m=tau))
    return Network([cells], [Projection("a", "a", Sparse(matrix), delay=1e-3)], name=f"{n} neurons")


def main() -> None:
    n, synapses, method = int(sys.argv[1]), int(sys.argv[2]), (sys.argv[3:] or ["lnp"])[0]
    rounds = 1
    net, start = network(n, synapses), time.perf_counter()

    def say(line: str) -> None:
        print(f"{time.perf_counter() - start:.0f} s: {line}", flush=True)

    report = prune(net, method, rounds=rounds, progress=say).report
    seconds, peak = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    say(f"{report}\npeak memory {peak:.2f} GiB")
    rows = json.loads(FILE.read_text("utf-8")) if FILE.exists() else []
    new = {"neurons": n, "synapses": report.synapses[0], "method": method, "rounds": rounds, "seconds": seconds}
    error = report.rounds[-1].betweenness_error
    rows.append({**new, "peak_gib": peak, "left": report.synapses[1], "betweenness_error": error})
    FILE.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
