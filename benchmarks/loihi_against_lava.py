"""Compare the emulator with Lava on random networks: ``python benchmarks/loihi_against_lava.py [NETWORKS [SEED]]``.

The tests do the same on a few. Parameters lie at the ends of their ranges more often than not (``loihi_networks.py``).
Writes ``benchmarks/results/loihi_against_lava.json``.
"""

from __future__ import annotations

import sys
from typing import Any

import loihi_networks
import machine
import numpy as np

from spikesim.backends.lava.runner import make_job, run_jobs
from spikesim.backends.loihi.emulator import emulate
from spikesim.fixedpoint import IntRun

STEPS, SAMPLES, TOGETHER = 60, 2, 20


def differences(ours: IntRun, theirs: IntRun) -> int:
    """Count the populations in which a spike, a current or a voltage differs."""
    found = 0
    for name in ours.spikes:
        kinds = ("spikes", "u", "v")
        found += not all(np.array_equal(getattr(ours, k)[name], getattr(theirs, k)[name]) for k in kinds)
    return found


def main(networks: int, seed: int) -> None:
    """Run the networks in Lava, twenty in a child process."""
    total: dict[str, int] = dict.fromkeys(
        ("networks", "populations", "different", "spikes", "wraps", "clips", "states"), 0
    )
    for first in range(0, networks, TOGETHER):
        cases = []
        for k in range(first, min(first + TOGETHER, networks)):
            rng = np.random.default_rng([seed, k])
            network = loihi_networks.random_network(rng)
            cases.append((network, [loihi_networks.random_sample(rng, network, STEPS) for _ in range(SAMPLES)]))
        jobs = [make_job(network, STEPS, samples, record_u=True, record_v=True) for network, samples in cases]
        for (network, samples), theirs in zip(cases, run_jobs(jobs, timeout_s=900), strict=True):
            ours = emulate(network, STEPS, samples, record_u=True, record_v=True)
            total["networks"] += 1
            total["populations"] += len(network.populations)
            total["different"] += differences(ours, theirs)
            total["states"] += sum(2 * v.size for v in ours.v.values())
            for kind in ("spikes", "wraps", "clips"):
                counts: Any = getattr(ours.counts, kind)
                total[kind] += sum(int(np.sum(counts[p.name])) for p in network.populations)
        print(total, flush=True)
    result = {"machine": machine.machine(), "versions": machine.versions(), "seed": seed, "steps": STEPS, **total}
    machine.write("loihi_against_lava", result)


if __name__ == "__main__":
    given = [int(x) for x in sys.argv[1:]]
    main(*(given + [100, 0][len(given) :]))
