"""Write ``tests/golden/loihi/*.npz``: small integer networks as brian2-loihi simulates them.

::

    python benchmarks/oracles/make_loihi_goldens.py

Each npz holds the network as JSON, the spikes of the inputs, and what brian2-loihi found: spikes as rows (step,
neuron), ``v`` and the current after each step. Step k of brian2-loihi is column k + 1 of Lava and the emulator, as its
generator acts at once. Weights are such that both round them alike (even in mixed matrices, nothing lost to a negative
exponent), and small enough that nothing wraps, which real numbers do not.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import machine
import peers

GOLDEN = Path(__file__).resolve().parents[2] / "tests" / "golden" / "loihi"
STEPS = 120


def population(name: str, n: int, du: int, dv: int, vth: int, refractory: int = 1) -> dict[str, Any]:
    """Describe a population."""
    return {"name": name, "n": n, "du": du, "dv": dv, "vth": vth, "refractory": refractory}


def line(
    rng: np.random.Generator,
    pre: str,
    post: str,
    shape: tuple[int, int],
    span: tuple[int, int],
    *,
    step: int = 2,
    density: float = 1.0,
    delay: tuple[int, int] = (0, 1),
    mode: str = "mixed",
    exp: int = 0,
    bits: int = 8,
) -> dict[str, Any]:
    """Draw a projection: weights are multiples of `step`, delays lie in ``delay[0] .. delay[1] - 1``."""
    weights = step * rng.integers(span[0] // step, span[1] // step, shape) * (rng.random(shape) < density)
    delays = rng.integers(*delay, shape)
    return {
        "pre": pre,
        "post": post,
        "weights": weights.tolist(),
        "delays": delays.tolist(),
        "weight_exp": exp,
        "sign_mode": mode,
        "num_weight_bits": bits,
    }


def feed_forward(rng: np.random.Generator) -> tuple[list[dict[str, Any]], list[dict[str, Any]], int]:
    """Describe two layers, in all three sign modes."""
    cells = [population("a", 16, 1499, 300, 200), population("b", 9, 4095, 4095, 260), population("c", 7, 0, 0, 9000)]
    lines = [
        line(rng, "in", "a", (16, 12), (-90, 150)),
        line(rng, "a", "b", (9, 16), (0, 60), step=1, mode="excitatory"),
        line(rng, "in", "b", (9, 12), (-40, 1), step=1, mode="inhibitory"),
        line(rng, "a", "c", (7, 16), (-30, 50)),
    ]
    return cells, lines, 12


def recurrent_delays(rng: np.random.Generator) -> tuple[list[dict[str, Any]], list[dict[str, Any]], int]:
    """Describe a loop with a delay of its own for each synapse, and a layer that inhibits back after up to 62 steps."""
    cells = [population("a", 20, 1200, 250, 150), population("b", 8, 2047, 511, 100)]
    lines = [
        line(rng, "in", "a", (20, 10), (-60, 140), delay=(0, 9)),
        line(rng, "a", "a", (20, 20), (-90, 80), density=0.4, delay=(0, 20)),
        line(rng, "a", "b", (8, 20), (-40, 70)),
        line(rng, "b", "a", (20, 8), (-80, 1), step=1, delay=(60, 63), mode="inhibitory"),
    ]
    return cells, lines, 10


def refractory(rng: np.random.Generator) -> tuple[list[dict[str, Any]], list[dict[str, Any]], int]:
    """Give periods from the shortest to the longest, in a chain and a loop."""
    cells = [
        population("a", 10, 900, 250, 120, 2),
        population("b", 10, 1500, 100, 900, 7),
        population("c", 6, 300, 30, 400, 64),
    ]
    lines = [
        line(rng, "in", "a", (10, 8), (-40, 160)),
        line(rng, "a", "b", (10, 10), (-30, 120)),
        line(rng, "b", "b", (10, 10), (-60, 60), delay=(0, 5)),
        line(rng, "b", "c", (6, 10), (0, 120)),
    ]
    return cells, lines, 8


def exponents(rng: np.random.Generator) -> tuple[list[dict[str, Any]], list[dict[str, Any]], int]:
    """Give exponents from -3 to 5 and fewer bits."""
    cells = [population("a", 12, 2000, 400, 300), population("b", 8, 1000, 200, 400)]
    lines = [
        line(rng, "in", "a", (12, 9), (-240, 248), step=8, exp=-2),
        line(rng, "in", "a", (12, 9), (0, 32), step=16, mode="excitatory", bits=4, exp=2),
        line(rng, "a", "a", (12, 12), (-248, 200), step=8, exp=-3, density=0.5, delay=(0, 4)),
        line(rng, "a", "b", (8, 12), (-4, 8), step=2, exp=5),
        line(rng, "a", "b", (8, 12), (-128, 1), step=32, mode="inhibitory", bits=3, exp=1, density=0.3),
    ]
    return cells, lines, 9


CASES = {f.__name__: f for f in (feed_forward, recurrent_delays, refractory, exponents)}


def main() -> None:
    """Write one file per network."""
    GOLDEN.mkdir(exist_ok=True)
    for k, (name, make) in enumerate(CASES.items()):
        rng = np.random.default_rng(k)
        cells, lines, n = make(rng)
        spikes = np.argwhere(rng.random((STEPS, n)) < 0.25)
        inputs = [{"name": "in", "n": n, "spikes": spikes.tolist()}]
        request = {"inputs": inputs, "populations": cells, "projections": lines, "steps": STEPS, "states": True}
        answer = peers.run("brian2_loihi", "brian2_loihi_small.py", request)
        made = {
            "script": "benchmarks/oracles/make_loihi_goldens.py",
            "versions": {"brian2_loihi": peers.peer("brian2_loihi").version},
            "spikesim_commit": machine.versions()["commit"],
            "shift": 1,
        }
        network = {"populations": cells, "projections": lines, "inputs": [{"name": "in", "n": n}], "steps": STEPS}
        found = {
            f"{kind}_{p['name']}": np.array(answer[key][p["name"]], np.int32)
            for p in cells
            for kind, key in (("spikes", "spikes"), ("v", "v"), ("u", "I"))
        }
        path = GOLDEN / f"{name}.npz"
        np.savez_compressed(
            path,
            network=np.array(json.dumps(network)),
            made=np.array(json.dumps(made)),
            spikes_in=spikes.astype(np.int32),
            **found,
        )
        spikes_of = {p["name"]: len(found[f"spikes_{p['name']}"]) for p in cells}
        print(f"{path.name}: {path.stat().st_size // 1024} kB, spikes {spikes_of}")


if __name__ == "__main__":
    main()
