"""Time the Loihi emulator beside Lava, brian2-loihi and nengo-loihi: ``python benchmarks/emulator.py [NAME ...]``.

Writes ``benchmarks/results/emulator.json`` after every row. What is timed is stepping: networks are built, compiled
and (Lava) started before, and every program records all spikes. The emulator's time is that of the whole call
``Emulator.run``: checking the stimulus and collecting the spikes belong to it. Lava runs its fixed-point CPU models,
one process per population and projection; its time is that of ``run(RunSteps)``. Peers live in environments of their
own (``peers.py``); nengo-loihi builds on nengo, which is free for non-commercial use only: measured, nothing else.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import machine
import numpy as np
import peers

from spikesim.fixedpoint import IntInput, IntNetwork, IntPopulation, IntProjection

Case = tuple[IntNetwork, dict[str, np.ndarray], int]
REPEATS = 15
STEPS_LAVA = 200  # Lava's cost per step does not depend on the number of steps; the first network runs all of its 1000


def small() -> Case:
    """Two dense layers, 20 % of the inputs active."""
    rng = np.random.default_rng(0)
    spikes = np.argwhere((rng.random((100, 1000)) < 0.2).T)
    w1, w2 = rng.integers(-64, 65, (256, 100)), rng.integers(-64, 65, (10, 256))
    cells = [IntPopulation(name, n, du=2048, dv=410, vth=200) for name, n in (("hidden", 256), ("out", 10))]
    lines = [IntProjection.from_dense("one", "in", "hidden", w1), IntProjection.from_dense("two", "hidden", "out", w2)]
    return IntNetwork(cells, lines, [IntInput("in", 100)]), {"in": spikes}, 1000


def thin(rng: np.random.Generator, name: str, pre: str, post: str, n: int, share: float) -> IntProjection:
    """Draw a projection of a share of all pairs, with small even weights around 0."""
    each = round(n * share)
    targets = np.concatenate([np.sort(rng.choice(n, each, replace=False)) for _ in range(n)])
    return IntProjection(name, pre, post, np.arange(0, n * each + 1, each), targets, 2 * rng.integers(-8, 9, n * each))


def large() -> Case:
    """10 000 neurons, each connected to 1 % of them and active in 1 % of the steps: a constant input drives them."""
    rng, n = np.random.default_rng(1), 10_000
    threshold = 100 * 4000
    cells = IntPopulation(
        "cells", n, du=2048, dv=0, vth=threshold >> 6, bias_mant=4000, v0=rng.integers(0, threshold, n)
    )
    return IntNetwork([cells], [thin(rng, "loop", "cells", "cells", n, 0.01)]), {}, 1000


def convolution() -> Case:
    """34 x 34 x 2 pixels (N-MNIST's) through two convolutions to 10 neurons, 2 % of the pixels active."""
    from spikesim import Input, Network, Population, Projection
    from spikesim.connect import Conv2d, Dense
    from spikesim.fixedpoint.lower import lower_to_integers
    from spikesim.lowering import lower
    from spikesim.models.neurons import loihi_lif

    rng = np.random.default_rng(2)
    one, two = (Conv2d(2.0 * rng.integers(-30, 40, shape), stride=2) for shape in ((8, 2, 5, 5), (16, 8, 3, 3)))
    shapes = [one.output_shape((2, 34, 34))]
    shapes.append(two.output_shape(shapes[0]))
    three = Dense(2.0 * rng.integers(-30, 35, (10, int(np.prod(shapes[1])))))
    cells = [Population(f"p{k}", s, loihi_lif(du=2048, dv=400, v_th=300)) for k, s in enumerate([*shapes, (10,)])]
    lines = [
        Projection(a, b, rule, delay=1e-3)
        for a, b, rule in zip(("x", "p0", "p1"), ("p0", "p1", "p2"), (one, two, three), strict=True)
    ]
    network = lower_to_integers(lower(Network(cells, lines, [Input("x", (2, 34, 34))]))).network
    return network, {"x": np.argwhere(rng.random((1000, 2 * 34 * 34)) < 0.02)}, 1000


def activity(share: float) -> Case:
    """10 000 sources, a share of which is active in a step, to 1 % of 10 000 neurons that never fire."""
    rng, n = np.random.default_rng(3), 10_000
    cells = IntPopulation("cells", n, du=400, dv=200, vth=131071)
    network = IntNetwork([cells], [thin(rng, "line", "in", "cells", n, 0.01)], [IntInput("in", n)])
    active = round(n * share)
    events = [np.stack([np.full(active, t), np.sort(rng.choice(n, active, replace=False))], axis=1) for t in range(500)]
    return network, {"in": np.concatenate(events)}, 500


SHARES = (0.0, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)
CASES: dict[str, tuple[str, Callable[[], Case]]] = {
    "small": ("100-256-10, 20 % input", small),
    "large": ("10 000 neurons, 1 % connected, 1 % active", large),
    "convolution": ("34x34x2 - conv 8 - conv 16 - 10", convolution),
    **{
        f"activity_{s:g}": (f"10 000 to 10 000, 1 % connected, {100 * s:g} % active", lambda s=s: activity(s))
        for s in SHARES
    },
}


def emulated(case: Case, threads: int = 1) -> dict[str, Any]:
    """Time the emulator."""
    from spikesim.backends.loihi.emulator import Emulator

    network, spikes, steps = case
    begin = time.perf_counter()
    emulator = Emulator(network)
    build = time.perf_counter() - begin
    emulator.run(steps, spikes, threads=threads)
    seconds, worked = [], []
    for _ in range(REPEATS):
        begin, before = time.perf_counter(), time.process_time()
        run = emulator.run(steps, spikes, threads=threads)
        seconds.append(time.perf_counter() - begin)
        worked.append(time.process_time() - before)
    fired = {name: int(count) for name, count in run.counts.spikes.items()}
    events = sum(int(count) for count in run.counts.events.values()) / steps
    return {
        "build_s": build,
        "us_per_step": [1e6 * s / steps for s in seconds],
        "cpu_us_per_step": [1e6 * s / steps for s in worked],
        "spikes": fired,
        "events_per_step": events,
        "steps": steps,
    }


def in_lava(case: Case) -> dict[str, Any]:
    """Time Lava, on fewer steps where they are many and slow, and compare its spikes."""
    from spikesim.backends.lava.runner import make_job, measure_jobs
    from spikesim.backends.loihi.emulator import emulate

    network, spikes, steps = case
    steps = steps if network.populations[0].n < 1000 else min(steps, STEPS_LAVA)
    part = {name: e[e[:, 0] < steps] for name, e in spikes.items()}
    found = measure_jobs([make_job(network, steps, part)] * 3, timeout_s=500)
    ours = emulate(network, steps, part)
    same = all(np.array_equal(found[0].spikes[p.name][:, 1:], ours.spikes[p.name]) for p in network.populations)
    return {
        "build_s": found[0].build_s,
        "us_per_step": [1e6 * f.run_s / steps for f in found],
        "steps": steps,
        "same_spikes": same,
    }


def in_brian2_loihi(case: Case) -> dict[str, Any]:
    """Time brian2-loihi (its numpy target); it has no bias, so networks that need one are refused."""
    network, spikes, steps = case
    if any(np.any(p.bias) for p in network.populations):
        raise peers.PeerError("brian2-loihi has no bias")
    steps = min(steps, 300)
    request = {"steps": steps, "states": False, "warm": True, "populations": [], "projections": [], "inputs": []}
    for i in network.inputs:
        chosen = spikes[i.name][(spikes[i.name][:, 0] >= 1) & (spikes[i.name][:, 0] < steps)]
        request["inputs"].append({"name": i.name, "n": i.n, "spikes": chosen.tolist()})
    for p in network.populations:
        request["populations"].append({k: getattr(p, k) for k in ("name", "n", "du", "dv", "vth", "refractory")})
    for line in network.projections:
        request["projections"].append(
            {
                "pre": line.pre,
                "post": line.post,
                "weights": _matrix(network, line).tolist(),
                "delays": 0,
                "weight_exp": line.weight_exp,
                "sign_mode": "mixed",
                "num_weight_bits": 8,
            }
        )
    found = [peers.run("brian2_loihi", "brian2_loihi_small.py", request)["seconds"] for _ in range(3)]
    return {"us_per_step": [1e6 * s / steps for s in found], "steps": steps}


def in_nengo_loihi(case: Case) -> dict[str, Any]:
    """Time nengo-loihi's emulator."""
    network, spikes, steps = case
    layers = [
        {"weights": _matrix(network, line).tolist(), **{k: int(getattr(p, k)) for k in ("du", "dv", "vth")}}
        for p, line in zip(network.populations, network.projections, strict=True)
    ]
    source = network.inputs[0]
    request = {"n_in": source.n, "spikes": spikes[source.name].tolist(), "layers": layers, "steps": steps}
    found = [peers.run("nengo_loihi", "nengo_loihi_layers.py", request) for _ in range(3)]
    return {"us_per_step": [1e6 * f["seconds"] / steps for f in found], "steps": steps, "spikes": found[0]["spikes"]}


def _matrix(network: IntNetwork, line: IntProjection) -> np.ndarray:
    weights = np.zeros((network.size(line.post), network.size(line.pre)), int)
    weights[line.indices, line.sources] = line.effective_weights
    return weights


def rows(name: str) -> list[dict[str, Any]]:
    """Measure one case in every program that can run it."""
    title, make = CASES[name]
    case = make()
    programs: dict[str, Callable[[Case], dict[str, Any]]] = {"spikesim": emulated}
    if not name.startswith("activity") or name == "activity_0.01":
        programs |= {"lava": in_lava}
    if name == "small":
        programs |= {"brian2_loihi": in_brian2_loihi, "nengo_loihi": in_nengo_loihi}
    found = []
    for who, measure in programs.items():
        watch = machine.Watch()
        row: dict[str, Any] = {"who": who}
        try:
            row |= measure(case)
        except (peers.PeerError, RuntimeError) as error:
            row["skipped"] = str(error)
        found.append(row | watch.stop())
        shown = f"{statistics.median(row['us_per_step']):.2f} us per step" if "us_per_step" in row else row["skipped"]
        print(f"{title}: {who} {shown}", flush=True)
    return found


def main(names: list[str]) -> None:
    """Measure the named cases, or all."""
    result = machine.read("emulator") or {"cases": {}}
    for name in names or CASES:
        machine.wait_until_quiet(20)
        result |= {"machine": machine.machine(), "versions": machine.versions()}
        result["cases"][name] = {"title": CASES[name][0], "rows": rows(name)}
        machine.write("emulator", result)


if __name__ == "__main__":
    main(sys.argv[1:])
