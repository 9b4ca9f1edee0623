"""Random integer networks with parameters at the ends of their ranges, for tests and ``loihi_against_lava.py``."""

from typing import Any

import numpy as np

from spikesim.fixedpoint import IntInput, IntNetwork, IntPopulation, IntProjection, IntSample

# The ends of the registers, and what lies beside them.
ENDS: dict[str, list[int]] = {
    "du": [0, 1, 2047, 4094, 4095],
    "dv": [0, 1, 4094, 4095, 4096],
    "vth": [0, 1, 100, 131070, 131071],
    "bias_mant": [-4096, -1, 0, 1, 4095],
    "bias_exp": [0, 1, 6, 7],
    "weight": [-256, -255, -254, -2, -1, 0, 1, 2, 253, 254, 255],
    "delay": [0, 1, 61, 62],
}


def at_ends(rng: np.random.Generator, name: str, low: int, high: int, n: int | None = None) -> Any:
    """Draw one value or `n`: two times in three from the ends, else from low .. high."""
    ends = rng.choice(ENDS[name], n)
    return np.where(rng.random(n) < 2 / 3, ends, rng.integers(low, high + 1, n))[()]


def random_network(rng: np.random.Generator) -> IntNetwork:
    """Draw a network that Lava can express: up to three populations of up to nine neurons, wired at random."""
    inputs = [IntInput("in", int(rng.integers(1, 8)))]
    populations = [_population(rng, f"p{i}") for i in range(rng.integers(1, 4))]
    # the first projections connect every population, so that Lava compiles one graph
    lines = [
        _projection(rng, f"l{i}", ([*inputs, *populations])[rng.integers(i + 1)], p) for i, p in enumerate(populations)
    ]
    for i in range(rng.integers(0, 4)):
        pre = [*inputs, *populations][rng.integers(len(populations) + 1)]
        lines.append(_projection(rng, f"m{i}", pre, populations[rng.integers(len(populations))]))
    return IntNetwork(populations, lines, inputs, allow_negative_bias_exp=True)


def _population(rng: np.random.Generator, name: str) -> IntPopulation:
    n = int(rng.integers(1, 10))
    reset = ("hard", "hard", "soft", "none")[rng.integers(4)]
    periodic = reset == "hard" and rng.random() < 0.4
    return IntPopulation(
        name, n,
        du=int(at_ends(rng, "du", 0, 4095)), dv=int(at_ends(rng, "dv", 0, 4096)),
        # high thresholds keep silent whatever else is tried, so they are drawn less often
        vth=int(at_ends(rng, "vth", 0, 131071) if rng.random() < 0.4 else rng.integers(0, 400)),
        bias_mant=at_ends(rng, "bias_mant", -300, 600, n), bias_exp=at_ends(rng, "bias_exp", -3, 7, n),
        reset=reset, quantum=None if rng.random() < 0.5 else int(rng.integers(0, 2**23)),
        u0=rng.choice([1 - 2**23, -1, 0, 1, 2**23], n), v0=rng.choice([1 - 2**23, -1, 0, 1, 2**23 - 1], n),
        reset_interval=int(rng.integers(1, 9)) if periodic else 0, reset_offset=int(rng.integers(0, 20)),
    )  # fmt: skip


def _projection(rng: np.random.Generator, name: str, pre: Any, post: Any) -> IntProjection:
    mode = ("auto", "mixed", "excitatory", "inhibitory")[rng.integers(4)]
    weights = np.reshape(at_ends(rng, "weight", -256, 255, post.n * pre.n), (post.n, pre.n))
    if rng.random() < 0.4:  # one sign only: found by "auto", and 255 becomes possible
        weights = np.minimum(np.abs(weights), 255) * (1 if rng.random() < 0.5 else -1)
    delays: Any = np.reshape(at_ends(rng, "delay", 0, 9, post.n * pre.n), (post.n, pre.n))
    delay = (0, int(at_ends(rng, "delay", 0, 62)), delays)[rng.integers(3)]
    return IntProjection.from_dense(
        name, pre.name, post.name, weights, delay=delay, keep_zeros=bool(rng.integers(2)), sign_mode=mode,
        weight_exp=int(rng.choice([-8, -7, -1, 0, 0, 1, 6, 7])), num_weight_bits=int(rng.choice([1, 4, 7, 8, 8, 8])),
    )  # fmt: skip


def random_sample(rng: np.random.Generator, network: IntNetwork, steps: int) -> IntSample:
    """Draw input spikes at any rate, and for one population in three a current that is fed in directly."""
    spikes = {i.name: np.argwhere(rng.random((steps, i.n)) < rng.random()) for i in network.inputs}
    scale = int(10 ** rng.uniform(0, 9))
    drive = {p.name: rng.integers(-scale, scale + 1, (steps, p.n)) for p in network.populations if rng.random() < 0.3}
    return IntSample(spikes, drive)
