"""Write the golden rasters of ``tests/golden``: small networks as NEST and Brian2 simulate them.

::

    python benchmarks/oracles/make_goldens.py

Each npz holds the network as plain arrays, the spikes of each peer as (step, neuron), the peers' versions and the name
of this script, so that the tests compare with the peers without installing them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import machine
import peers
from small_networks import CASES
from validate import DELAYS, DIFFERENT, SHIFTS, theirs

GOLDEN = Path(__file__).resolve().parents[2] / "tests" / "golden"


def main() -> None:
    """Write one file per network; peers with another integrator are left out."""
    GOLDEN.mkdir(exist_ok=True)
    for name, make in CASES.items():
        case = make()
        chosen = [p for p in ("nest", "brian2") if (name, p) not in DIFFERENT]
        rasters = {f"spikes_{p}": theirs(case, p) for p in chosen}
        made = {
            "script": "benchmarks/oracles/make_goldens.py",
            "versions": {p: peers.peer(p).version for p in chosen},
            "spikesim_commit": machine.versions()["commit"],
            "shift": {p: SHIFTS[p] for p in chosen},
            "delay": {p: DELAYS.get(name, {}).get(p, "the same") for p in chosen},
        }
        path = GOLDEN / f"{name}.npz"
        case.save(path, **rasters, made=np.array(json.dumps(made)))
        print(f"{path.name}: {path.stat().st_size // 1024} kB, {[len(r) for r in rasters.values()]} spikes")


if __name__ == "__main__":
    main()
