"""Write the spikes that NEST finds for the circuit of ``sonata_circuit.py``: ``tests/golden/sonata/nest.npz``.

::

    python benchmarks/oracles/make_sonata_golden.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import peers
import sonata_circuit

GOLDEN = Path(__file__).resolve().parents[2] / "tests" / "golden" / "sonata"


def main() -> None:
    """Write the file."""
    GOLDEN.mkdir(exist_ok=True)
    answer = peers.run("nest", "nest_sonata.py", sonata_circuit.plain())
    made = {"script": "benchmarks/oracles/make_sonata_golden.py", "nest": answer["version"]}
    spikes = np.array(answer["spikes"], np.int16)
    np.savez_compressed(GOLDEN / "nest.npz", spikes=spikes, made=np.array(json.dumps(made)))
    print(f"{len(spikes)} spikes")


if __name__ == "__main__":
    main()
