"""What is measured: workloads, who takes part, how often, and what the library wants to reach.

A round runs every row of a workload once, one after the other, each in a process of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import networks

SPIKESIM, NEST, BRIAN2 = "spikesim", "nest", "brian2"
LAYER_PEERS = ("torch by layer", "torch loop", "snntorch", "norse")


@dataclass(frozen=True)
class Row:
    """One program in one setting.

    Parameters
    ----------
    who
        Program.
    kind
        Function of ``measure.py`` that does it, or "peer".
    threads
        Threads.
    rounds
        Rounds it takes part in; the others leave it out.
    options
        Arguments of that function.
    """

    who: str
    kind: str = "network"
    threads: int = 1
    rounds: int = 7
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What identifies the row in a file of results."""
        extra = " ".join(f"{k}={v}" for k, v in self.options.items())
        return f"{self.who} t{self.threads} {self.kind} {extra}".strip()


@dataclass(frozen=True)
class Workload:
    """Rows that are compared.

    Parameters
    ----------
    name, title
        Name of the file of results, and what people read.
    rows
        Who takes part.
    section
        Of the page: "networks", "heterogeneous", "layers", "training", "neurons", "synapses", "rate", "threads", or a
        single name.
    goal
        Upper bounds for medians of the library's first row: "sim_s" (per biological second), "build_s", "peak_mb",
        "ms_per_step", "seconds" (of an iteration).
    """

    name: str
    title: str
    rows: tuple[Row, ...]
    section: str = "networks"
    goal: dict[str, float] = field(default_factory=dict)


def ours(threads: int, runs: int = 9, rounds: int = 7, **options: Any) -> Row:
    """Return a row of the library; ``runs`` are counted, one before them is noted apart."""
    return Row(SPIKESIM, "network", threads, rounds, {"runs": runs, **options})


def theirs(who: str, threads: int = 1, rounds: int = 7, duration: float = 1.0, **options: Any) -> Row:
    """Return a row of a peer."""
    return Row(who, "peer", threads, rounds, {"duration": duration, **options})


def both(rounds: int, duration: float = 1.0, nest_threads: int = 1) -> tuple[Row, ...]:
    """Return a row of NEST and one of Brian2."""
    return theirs(NEST, nest_threads, rounds, duration), theirs(BRIAN2, 1, rounds, duration)


def _published() -> list[Workload]:
    pair = (ours(2), ours(1, rounds=3))
    return [
        Workload("cuba", "CUBA, 4000 neurons", (ours(1), *both(7)), goal={"sim_s": 0.020}),
        Workload("coba", "COBA, 4000 neurons", (ours(1), *both(7)), goal={"sim_s": 0.050}),
        Workload("brunel_1250", "Brunel, 1250 neurons", (ours(1), *both(7)), goal={"sim_s": 0.012}),
        Workload(
            "brunel_12500",
            "Brunel, 12 500 neurons, 15.6 M synapses",
            (*pair, *both(3), theirs(NEST, 2, 3)),
            goal={"sim_s": 0.20, "build_s": 0.3, "peak_mb": 300},
        ),
        Workload(
            "brunel_own",
            "the same, own weights and delays",
            (*pair, *both(3), theirs(NEST, 2, 2)),
            goal={"sim_s": 1.0},
        ),
        Workload(
            "brunel_50000",
            "Brunel, 50 000 neurons, 62.5 M synapses",
            (ours(2, runs=1), *both(2, 0.3), theirs(NEST, 2, 1, 0.3)),
            goal={"sim_s": 2.5, "peak_mb": 600},
        ),
        Workload(
            "microcircuit_0.1",
            "microcircuit, scale 0.1",
            (*pair, *both(5), theirs(NEST, 2, 5)),
            goal={"sim_s": 0.15},
        ),
        Workload(
            "microcircuit_1",
            "microcircuit, full scale",
            (ours(2, runs=2, rounds=4),),
            goal={"sim_s": 4.0, "peak_mb": 6 * 1024},
        ),
        Workload("brunel_stdp", "Brunel, 12 500 neurons, STDP", (*pair, *both(2, 0.3))),
    ]


def _heterogeneous() -> list[Workload]:
    pair = (ours(2), *both(3))
    return [
        Workload("mixed", "three neuron models", pair, "heterogeneous"),
        Workload("user_neuron", "a user's neuron", (pair[0], pair[2]), "heterogeneous"),
        Workload("distributed_delays", "delays of 0.5 to 20 ms", pair, "heterogeneous"),
    ]


def _layers() -> list[Workload]:
    names = (SPIKESIM, "spikesim torch", *LAYER_PEERS)
    trained = (*names[1:], "spikingjelly")
    stepped = tuple(w for w in trained if w != "torch by layer")

    def rows(kind: str, who: tuple[str, ...], **options: Any) -> tuple[Row, ...]:
        return tuple(Row(w, kind, 2, 3, options) for w in who)

    return [
        Workload("inference_1", "inference, batch 1", rows("inference", names, batch=1, runs=7), "layers",
                 {"ms_per_step": 0.012}),
        Workload("inference_128", "inference, batch 128", rows("inference", names, batch=128, runs=7), "layers",
                 {"ms_per_step": 0.8}),
        Workload("training_128", "training, feed-forward", rows("training", trained, task="feed-forward", runs=7),
                 "training", {"seconds": 0.075, "peak_mb": 400}),
        Workload("training_recurrent", "training, recurrent", rows("training", stepped, task="recurrent", runs=5),
                 "training", {"seconds": 0.28}),
        Workload("training_conv", "training, convolution", rows("training", trained, task="convolution", runs=7),
                 "training"),
    ]  # fmt: skip


def _curves() -> list[Workload]:
    """Return cost against size, synapses and rate; peers at some points, once."""
    out = []
    for section, prefix, values, at in (
        ("neurons", "brunel", (2500, 5000, 25000), (5000,)),
        ("synapses", "indegree", networks.INDEGREES, (50, 200, 1000, 4000)),
        ("rate", "rate", networks.ETAS, (0.95, 1.25, 4.0)),
    ):
        for value in values:
            large = prefix == "brunel" and value > 12500
            rows = (ours(2, rounds=3, runs=1 if large else 3), ours(1, rounds=3, runs=1 if large else 3))
            peers = both(1, 0.3) if value in at else ()
            out.append(Workload(f"{prefix}_{value}", f"{prefix} {value}", (*rows, *peers), section))
    return out


def _threads() -> list[Workload]:
    return [
        Workload(f"threads_{name}", name, tuple(ours(t, network=name) for t in (1, 2, 3)), "threads")
        for name in ("cuba", "brunel_12500", "brunel_own", "microcircuit_0.1")
    ]


def _rest() -> list[Workload]:
    neighbour = tuple(
        Row(who, kind, 2, 3 if who == SPIKESIM else 2, {**options, "network": name, "neighbours": beside})
        for who, kind, name, options in (
            (SPIKESIM, "network", "brunel_12500", {"runs": 3}),
            (SPIKESIM, "network", "microcircuit_0.1", {"runs": 3}),
            (NEST, "peer", "microcircuit_0.1", {"duration": 0.2}),
        )
        for beside in (0, 1)
    )
    warm, cold = (Row(SPIKESIM, "first", 1, 7 if c == 0 else 3, {"network": "cuba", "cold": c}) for c in (0, 1))
    return [
        Workload("neighbour", "one other process busy", neighbour, "neighbour"),
        Workload("start", "first result", (warm, cold), "start"),
        Workload(
            "recording",
            "recording to a file",
            tuple(
                Row(SPIKESIM, "recording", t, 3, {"network": n, "runs": 5, "duration": 4.0})
                for t, n in ((1, "cuba"), (1, "brunel_12500"), (2, "brunel_12500"))
            ),
            "recording",
        ),
        Workload("lif_alone", "LIF update", (ours(1),), "costs"),
        Workload("lif_poisson", "LIF update and Poisson draw", (ours(1),), "costs"),
        Workload("kernels", "inner loops", (Row(SPIKESIM, "kernels", 1, 1),), "costs"),
    ]


ALL: dict[str, Workload] = {
    w.name: w for w in (*_published(), *_heterogeneous(), *_layers(), *_curves(), *_threads(), *_rest())
}
QUICK = ("cuba", "coba", "brunel_1250", "brunel_12500", "microcircuit_0.1", "inference_1", "inference_128")
