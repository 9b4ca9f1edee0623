"""The page of the benchmarks."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import Any

import page_emulator
import summary
from published_figures import QUOTED
from summary import best_peer, figure, measured
from tables import NAMES, about, table

UNITS = {"sim_s": "s", "build_s": "s", "peak_mb": "MB", "ms_per_step": "ms per step", "seconds": "s"}
WHAT = {"sim_s": "simulation", "build_s": "build", "peak_mb": "peak memory", "ms_per_step": "time", "seconds": "time"}

PAGE = """# Benchmarks

Written by `benchmarks/write_docs.py` from `benchmarks/results/bench/*.json`, which `python benchmarks/bench.py` makes
together with the environments of NEST and Brian2. Not edited by hand.

{about}

## Method

- Networks run for one second of biological time in steps of 0.1 ms; peers of large networks for 0.3 s, brought to one
  second here. float32 state here and float64 in NEST and Brian2, which have no other. All programs record all spikes.
- Every run has a process of its own. A round runs each program once, one after the other, so that what is compared was
  measured within minutes; the seed of round k is k. In a process of spikesim one run is made first and not counted.
- *Simulation* is everything from the built network to the recording in memory, also allocation and sorting of spikes
  for spikesim; `Run` for NEST; the main loop of the compiled program for Brian2 (`cpp_standalone`). *Build* is the
  drawing of neurons and synapses. *Peak* is the largest memory of the process.
- Tables show the median and the range. Before each run the benchmark waits for a quiet machine, at most a minute; the
  processors that other processes kept busy meanwhile are stored with the run. More than 0.2 mark it as disturbed. Rows
  with three quiet runs leave the disturbed ones out; others use all runs and bear a {mark}. {disturbed} of {runs} runs
  were disturbed. Stored are also all single times, seeds, versions, settings and the load before each run.

## Goals

The first row of spikesim against what it should reach, and against the fastest other program of the same rounds.

{goals}

## Networks of point neurons

{networks}

Brian2 compiles a C++ program for every network ("compile"). Its memory is left out where its compiler takes more.

### The same networks?

Every program draws its own connections, initial values and noise. Mean and standard deviation over the seeds; CV is the
mean coefficient of variation of the intervals of neurons with three spikes or more. [Validation](validation.md)
compares spike for spike.

{rates}

### Cost against neurons, synapses, rate and threads

![Four curves of seconds per biological second](images/bench_scaling.png)

{curves}

Threads are an upper bound: the engine tries fewer in the first steps and keeps what is faster. The spikes are the same.

## Heterogeneous networks

Three neuron models with distributed weights and delays (10 000 neurons, 2 M synapses); a neuron that a user has written
(10 000, 5 M; NEST would need a generated C++ module); delays drawn from 0.5 to 20 ms (10 000, 5 M).

{heterogeneous}

## Layers

Inference: 784-1024-1024-10, 100 steps, 5 % input. Same weights and equations in all, the rate of the last layer is the
check. Two threads. "torch by layer" makes one matrix product per layer for all steps, which a feed-forward network
allows and streaming input does not.

{layers}

Training: one forward and backward pass without optimiser, batch 128, two threads, SpikingJelly in its multi-step mode
where the network allows it; the rate of the first hidden layer is the check. Feed-forward: 784-512-512-10, 50 steps,
5 % input; recurrent: 700-512-20, 250 steps, 3 % input; convolution: 28x28 images as a current, 16 and 32 maps of 3x3, 4
steps. Peak memory is that of the whole process, Python, torch and (spikesim) numba included.

{training}

## Beside a busy process

One other process that never rests, on {cores} cores; two threads.

{neighbour}

## First result

CUBA from the start of Python to the recording of one second, imports included.

{start}

## Recording to a file

{recording}

## Cost of the parts

One thread, float32. A LIF neuron without input costs **{lif}** a step, with Poisson input {poisson}, both within a
whole run of 12 500 neurons. Inner loops, the best of several repeats:

{kernels}

## Loihi emulator

{emulator}
## Quoted figures

Programs that cannot be installed here, or hardware that is not at hand. Not comparable with the tables above.

{quoted}

## What the others do that spikesim does not

- NEST spreads a network over machines (MPI), has adaptive integrators with error bounds (its COBA row is not like for
  like), precise spike times between steps, gap junctions, and structural plasticity.
- Brian2 takes any differential equation with units, chooses the integrator, and runs several event types, linked
  variables and multicompartment neurons.
- torch, snnTorch and norse run on GPUs and inside any torch model.
- What spikesim does in all these rows and they do not: weights stand on a grid on which sums are exact, so the spikes
  depend neither on threads nor on the order of delivery; counts of synaptic events and active updates are kept.
{missing}"""


def name(row: dict[str, Any]) -> str:
    """Return program and threads."""
    return f"{NAMES.get(row['who'], row['who'])}, {row['threads']} thread{'s' * (row['threads'] > 1)}"


def cell(row: dict[str, Any], key: str, digits: int = 3) -> str:
    """Return a quantity of a row, or a dash."""
    found = figure(row, key)
    return found.text(digits) if found else "-"


def short(row: dict[str, Any], key: str) -> str:
    """Return the median alone, or a dash."""
    found = figure(row, key)
    return f"{found.median:.3g}" if found else "-"


def key_of(row: dict[str, Any]) -> str:
    """Return what the row measures."""
    return next(k for k in ("ms_per_step", "seconds", "sim_s") if figure(row, k))


# --------------------------------------------------------------------------------------------------------------- tables
def goals(results: Iterable[dict[str, Any]]) -> str:
    """Return the table of goals."""
    lines = []
    for result in results:
        row = summary.of(result, "spikesim") or summary.of(result, "spikesim torch")
        for key, bound in result["goal"].items() if row else ():
            found = figure(row, key) if row else None
            if row is None or found is None:
                continue
            peer = best_peer(result, key) if key not in ("build_s", "peak_mb") else None
            ratio = f"{peer[1].median / found.median:.1f} x {name(peer[0])}" if peer else "-"
            reached = "yes" if found.median <= bound else "**no**"
            what = f"{WHAT[key]} ({UNITS[key]})"
            lines.append((result["title"], row["threads"], what, found.text(), f"{bound:g}", reached, ratio))
    return table(("workload", "threads", "", "median (range)", "goal", "reached", "others take"), lines)


def ratio(result: dict[str, Any], row: dict[str, Any], key: str) -> str:
    """Return how many times the fastest row of the library a row takes."""
    own = [f for r in measured(result) if r["who"].startswith("spikesim") and (f := figure(r, key))]
    found = figure(row, key)
    return f"{found.median / min(f.median for f in own):.1f}" if own and found else "-"


def networks(results: Iterable[dict[str, Any]]) -> str:
    """Return the table of networks."""
    lines = [
        (
            result["title"] if number == 0 else "",
            name(row),
            cell(row, "sim_s"),
            ratio(result, row, "sim_s"),
            short(row, "build_s"),
            "-" if row["who"] != "brian2" else short(row, "compile_s"),
            f"{figure(row, 'peak_mb').median:.0f}" if figure(row, "peak_mb") else "-",  # type: ignore[union-attr]
            str(len(figure(row, "sim_s").values)),  # type: ignore[union-attr]
        )
        for result in results
        for number, row in enumerate(measured(result))
    ]
    head = ("network", "program", "simulation (s)", "ratio", "build (s)", "compile (s)", "peak (MB)", "runs")
    return table(head, lines)


def rates(results: Iterable[dict[str, Any]]) -> str:
    """Return rates and CVs, one line per program and network."""
    lines = []
    for result in results:
        seen = set()
        for row in measured(result):
            if row["who"] in seen:
                continue
            seen.add(row["who"])
            lines.append((result["title"], NAMES[row["who"]], spread(row, "rate_hz", 2), spread(row, "cv_isi", 3)))
    return table(("network", "program", "rate (Hz)", "CV of intervals"), lines)


def spread(row: dict[str, Any], key: str, digits: int) -> str:
    """Return mean and standard deviation over all seeds."""
    values = [r[key] for r in row["runs"] if key in r]
    more = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{digits}f}{more}"


def curves(results: dict[str, list[dict[str, Any]]]) -> str:
    """Return the numbers behind the pictures."""
    parts = []
    for section in ("neurons", "synapses", "rate"):
        lines = [
            (r["title"], *(_point(r, who, threads) for who, threads in
                           (("spikesim", 1), ("spikesim", 2), ("nest", 1), ("brian2", 1))))
            for r in results.get(section, [])
        ]  # fmt: skip
        if lines:
            parts.append(table((section, "spikesim, 1 thread", "2 threads", "NEST", "Brian2"), lines))
    lines = [(r["title"], *(_point(r, "spikesim", k) for k in (1, 2, 3))) for r in results.get("threads", [])]
    parts.append(table(("threads given", "1", "2", "3"), lines))
    return "\n\n".join(parts)


def _point(result: dict[str, Any], who: str, threads: int) -> str:
    row = summary.of(result, who, threads)
    return cell(row, "sim_s") if row else "-"


def layers(results: Iterable[dict[str, Any]]) -> str:
    """Return the table of layered networks."""
    lines = [
        (
            result["title"],
            NAMES.get(row["who"], row["who"]),
            f"{cell(row, key_of(row))} {UNITS[key_of(row)]}",
            ratio(result, row, key_of(row)),
            f"{100 * rate(row['runs'][-1]):.2f} %",
            short(row, "peak_mb"),
        )
        for result in results
        for row in measured(result)
    ]
    return table(("workload", "program", "time", "ratio", "rate", "peak (MB)"), lines)


def rate(run: dict[str, Any]) -> float:
    """Return the share of neurons that fire in a step, in the layer that is checked."""
    return float(run["hidden_rate"] if "hidden_rate" in run else run["last_layer_rate"])


def neighbour(result: dict[str, Any]) -> str:
    """Return times alone and beside a busy process."""
    rows = {(r["who"], r["options"]["network"], r["options"]["neighbours"]): r for r in measured(result)}
    lines = []
    for (who, network, beside), row in rows.items():
        alone = rows.get((who, network, 0))
        if beside and alone:
            slower = figure(row, "sim_s").median / figure(alone, "sim_s").median  # type: ignore[union-attr]
            lines.append((network, NAMES[who], cell(alone, "sim_s"), cell(row, "sim_s"), f"{slower:.1f} times"))
    return table(("network", "program", "alone (s)", "beside it (s)", "slower"), lines)


def start(result: dict[str, Any]) -> str:
    """Return the times of first results."""
    words = {0: ("kernels in the cache", "1.5"), 1: ("empty cache", "8")}
    lines = [(*words[r["options"]["cold"]], cell(r, "process_s")) for r in measured(result)]
    return table(("", "goal (s)", "seconds"), lines)


def recording(result: dict[str, Any]) -> str:
    """Return times with and without a file."""
    lines = []
    for row in measured(result):
        without, to_file = figure(row, "sim_s"), figure(row, "file_s")
        if without and to_file:
            more = 100 * (to_file.median / without.median - 1)
            lines.append((row["options"]["network"], row["threads"], without.text(), to_file.text(), f"{more:+.0f} %"))
    return table(("network", "threads", "in memory (s)", "to a file (s)", "more"), lines)


def per_update(result: dict[str, Any] | None) -> str:
    """Return nanoseconds per neuron and step of a network without synapses."""
    row = summary.of(result, "spikesim") if result else None
    found = figure(row, "sim_s") if row else None
    return f"{found.median / (12500 * 10000) * 1e9:.2f} ns" if found else "-"


def kernels(result: dict[str, Any]) -> str:
    """Return the table of inner loops."""
    found = [k for row in measured(result) for k in row["runs"][-1]["kernels"]]
    return table(("loop", "case", "ns", "per"), [(k["name"], k["case"], f"{k['ns']:.3f}", k["unit"]) for k in found])


# ----------------------------------------------------------------------------------------------------------------- page
def benchmarks() -> str:
    """Return the page."""
    results = summary.stored()
    order = {k: i for i, k in enumerate(_order())}
    sections: dict[str, list[dict[str, Any]]] = {}
    for result in sorted(results.values(), key=lambda r: order.get(r["workload"], 99)):
        sections.setdefault(result["section"], []).append(result)
    empty = {"rows": []}
    disturbed, runs = summary.disturbance(results)
    lines = list(summary.missing(results))
    points = [*sections.get("networks", []), *sections.get("heterogeneous", [])]
    newest = max(results.values(), key=lambda r: len(r.get("peers", {})))
    return PAGE.format(
        about=about(newest),
        mark=summary.MARK,
        disturbed=disturbed,
        runs=runs,
        cores=newest["machine"]["cores"],
        goals=goals([*points, *sections.get("layers", []), *sections.get("training", [])]),
        networks=networks(sections.get("networks", [])),
        rates=rates(points),
        curves=curves(sections),
        heterogeneous=networks(sections.get("heterogeneous", [])),
        layers=layers(sections.get("layers", [])),
        training=layers(sections.get("training", [])),
        neighbour=neighbour(results.get("neighbour", empty)),
        start=start(results.get("start", empty)),
        recording=recording(results.get("recording", empty)),
        lif=per_update(results.get("lif_alone")),
        poisson=per_update(results.get("lif_poisson")),
        kernels=kernels(results.get("kernels", empty)),
        emulator=page_emulator.section(),
        quoted=table(("program", "workload", "figure", "conditions"), QUOTED),
        missing="\nNot measured:\n\n" + "\n".join(lines) + "\n" if lines else "",
    )


def _order() -> list[str]:
    from workloads import ALL

    return list(ALL)
