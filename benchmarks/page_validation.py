"""Write ``docs/validation.md`` and ``docs/benchmarks.md`` from the stored results.

::

    python benchmarks/write_docs.py
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import machine
from scipy.stats import ttest_ind

DOCS = Path(__file__).resolve().parents[1] / "docs"
NAMES = {"nest": "NEST", "brian2": "Brian2", "snntorch": "snnTorch", "norse": "norse", "spikesim": "spikesim"}
P = 0.01  # below it two means are said to differ

VALIDATION = """# Validation against other simulators

Written by `benchmarks/write_docs.py` from `benchmarks/results/validation_*.json`, which `benchmarks/validate.py` makes
(it installs the other simulators into environments of its own). Not edited by hand.

{about}

## Spike for spike: NEST and Brian2

Eight recurrent networks of {neurons} neurons and {inputs} with {synapses} synapses, {steps} steps of 0.1 ms: drawn
once, stored as plain arrays (who, to whom, weight, delay of 2 to 39 steps, input spikes, initial membranes) and
simulated by each program in float64. Weights are multiples of a power of two, so that spikesim's snapping of weights
changes none of them. "Differing" counts spikes that only one of the two has, in the same step and neuron.

{small}

Conventions, which no case gets round:

- A spike of spikesim's step k is NEST's spike at (k + 1) dt and Brian2's at k dt: NEST stamps the end of a step.
- Delays are the same as in NEST. Brian2 delivers after its neurons were updated, so what must meet the membrane in the
  step of its arrival (`arrival="start"`, jumps of the membrane, inputs that hold for one step) has a delay one step
  shorter there.
- Brian2 counts the step of the spike into the refractory time; it is one step longer there for the same spikes.
- Jumps of the membrane (delta synapses): Brian2 adds them after the threshold test unless its schedule is changed to
  test thresholds after synapses, and its "unless refractory" does not hold back jumps. The case does both by hand.
- Izhikevich: NEST's `consistent_integration=False`; in Brian2 the published steps written out. AdEx: Brian2's Euler
  method, with the time constants of the conductances chosen so that its Euler steps are the exact decay used here.

### Where the equations between two steps differ

NEST integrates conductance-based neurons by an adaptive Runge-Kutta method, spikesim by exponential Euler (LIF) or
forward Euler (AdEx). In a recurrent network small differences grow until the rasters have nothing in common, so these
two pairs cannot agree spike for spike. Without the synapses among the neurons they come together as the step shrinks
(distance of each spike here to the nearest one of the same neuron there):

{convergence}

## Spike for spike: snnTorch and norse

Three dense layers (30-50-40-10) or one recurrent layer (30-50), {layer_steps} steps, {samples} samples, float64, no
shift in time. Both libraries pass all layers within a step, as delay 0 does here.

{layers}

{reasons}

## Rate and irregularity of published networks

One second of biological time. Every program draws its own connections, initial values and noise from the same
distributions. CV is the mean over neurons with at least three spikes of the coefficient of variation of their
intervals. Mean and standard deviation over seeds; "agrees" says that Welch's t test does not tell the means apart at
p = {p}: differences far smaller than the spread over seeds would need more seeds to be seen.

{statistics}

Differences of definition that remain: NEST's shortest delay is one step after the end of the step, so cuba and coba
act one step later there; NEST integrates coba by Runge-Kutta; Brian2's `PoissonInput` is binomial with 1000 inputs.
{verdict}
{missing}"""

BENCHMARKS = """# Benchmarks

Written by `benchmarks/write_docs.py` from `benchmarks/results/networks_full.json`, which
`python benchmarks/bench_networks.py --full --peers` makes (`make bench` runs the quick form without peers). Not edited
by hand.

{about}

Load of the machine when the rows began and ended: {load_start} and {load_end} processes on {cores} cores. Other work
ran on the same machine: identical runs differ by up to a factor of two, so take ratios below two as ties. Each row has
a process of its own and follows the row it is compared with. One run is not counted (it compiles, or reads the
compiled kernel from the disk). Times are the median and, in brackets, the range.

## Networks of point neurons, one second of biological time

Simulation only; building and compiling have columns of their own. All programs record all spikes. "Ratio" is to
spikesim's float64 row on one thread: how many times longer the simulation takes.

{networks}

- Compile: spikesim's first column is the first run in a process (kernels are kept on the disk, per set of models and
  precision: a number above a second means that this kernel was made in that run). Brian2 compiles a C++ program for
  every network (`cpp_standalone`); its time counts that program's main loop only. NEST is compiled once.
- NEST and Brian2 are run in a new process each time; where only one run was made there is no range.
- All on one thread. NEST on two threads, in an earlier run of this benchmark beside other work on the same two cores:
  cuba 0.45 to 6.9 s (one thread 0.64 to 1.1 s), brunel_12500 121 s (one thread 16 s). Its threads meet in every step,
  so these rows say more about the machine's load than about NEST and are left out.

What the peers do that we do not: NEST distributes a network over threads and machines (MPI); here a single sample runs
on one thread, threads share the samples of a batch. NEST integrates coba adaptively, with an error bound, and that
row is not like for like. Brian2 takes any differential equation, choosing its integrator, and checks units.
What we do that they do not: weights are snapped to a grid on which sums are exact, so spikes do not depend on the order
of delivery; counts of synaptic events and active updates for the energy model are kept in every run.

## Layers

784-1024-1024-10, 100 steps, 5 % input, milliseconds per step; training 784-512-512-10, 50 steps, batch 128, forward and
backward without optimiser. Same weights and equations in all; the rate of the last layer is the check. float32, two
threads. "Ratio" is to the faster of spikesim's rows.

{layers}

The numba backend follows events: its time grows with the number of spikes. `spikesim torch` computes a layer for all
steps at once (one product, one scan); the other programs go step by step, as streaming input would need.
snnTorch and norse hold their neurons as modules that can be put into any torch model, which is what they are for.
{missing}"""


def about(result: dict[str, Any]) -> str:
    """Return one paragraph on machine and versions."""
    m, v = result["machine"], result["versions"]
    packages = {**{k: x for k, x in v.items() if k != "commit"}, **result.get("peers", {})}
    listed = ", ".join(f"{NAMES.get(k, k)} {x}" for k, x in packages.items())
    return (
        f"Measured on {m['processor']}, {m['cores']} cores, {m['memory_gib']} GiB, {m['system']}, "
        f"Python {m['python']}; {listed} (commit {v['commit']})."
    )


def table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """Return a table in Markdown."""
    lines = ["| " + " | ".join(head) + " |"]
    lines.append("|" + "---|" * lines[0].count(" | ") + "---|")
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def skipped(rows: Iterable[dict[str, Any]], key: str) -> str:
    """Return a paragraph on what could not be measured."""
    found = [f"- {r[key]}, {NAMES.get(r.get('peer', r.get('who')), r.get('who'))}: {r['skipped']}" for r in rows]
    return "\nNot measured:\n\n" + "\n".join(found) + "\n" if found else ""


# ---------------------------------------------------------------------------------------------------------- validation
def validation() -> str:
    """Return the document of the comparison."""
    spikes, stats = machine.read("validation_spikes"), machine.read("validation_statistics")
    small = [r for r in spikes["small"] if "skipped" not in r]
    layers = [r for r in spikes["layers"] if "skipped" not in r]
    first = small[0]
    body, verdict = statistics_table(stats)
    reasons = dict.fromkeys(r["reason"] for r in layers if r["reason"])
    absent = "".join(f"\nNot measured: {k}: {v}\n" for k, v in stats.get("skipped", {}).items())
    missing = [r for part in ("small", "layers", "convergence") for r in spikes[part] if "skipped" in r]
    return VALIDATION.format(
        about=about(spikes),
        neurons=first["neurons"],
        inputs="30 inputs",
        synapses=first["synapses"],
        steps=first["steps"],
        small=table(
            ("case", "peer", "spikes", "differing", "shift in time", "delay", "why they differ"),
            [
                (r["case"], NAMES[r["peer"]], r["spikes"], f"**{r['differing']}**", r["shift"], r["delay"], r["reason"])
                for r in small
            ],
        ),
        convergence=table(
            ("case", "peer", "dt (ms)", "spikes here", "spikes there", "median distance (ms)"),
            [
                (
                    r["case"],
                    NAMES[r["peer"]],
                    f"{r['dt_ms']:g}",
                    r["spikes"],
                    r["theirs"],
                    f"{r['median_distance_ms']:.2f}",
                )
                for r in spikes["convergence"]
                if "skipped" not in r
            ],
        ),
        layer_steps=layers[0]["steps"] if layers else "-",
        samples=layers[0]["samples"] if layers else "-",
        layers=table(
            ("case", "spikes here", "spikes there", "differing"),
            [
                (r["case"], r["spikes"], r["theirs"], f"**{r['differing']}**" + (" [1]" if r["reason"] else ""))
                for r in layers
            ],
        ),
        reasons="\n".join(f"[1] {r[0].upper() + r[1:]}." for r in reasons),
        p=P,
        statistics=body,
        verdict=verdict,
        missing=skipped(missing, "case") + absent,
    )


def statistics_table(stats: dict[str, Any]) -> tuple[str, str]:
    """Return the table of rates and CVs, and a sentence on how many agree."""
    rows, agree, total = [], 0, 0
    for key, runs in stats["runs"].items():
        name, who = key.split("/")
        if not runs:
            continue
        ours = list(stats["runs"][f"{name}/spikesim"].values())
        row: list[Any] = [name, NAMES[who], len(runs)]
        for k in (0, 1):
            values = [r["all"][k] for r in runs.values()]
            row.append(f"{statistics.mean(values):.3f} ± {spread(values):.3f}")
            if who == "spikesim":
                row.append("")
                continue
            p = float(ttest_ind([r["all"][k] for r in ours], values, equal_var=False).pvalue)
            row.append(f"{'agrees' if p > P else 'differs'} (p = {p:.2g})")
            agree, total = agree + (p > P), total + 1
        rows.append(row)
    verdict = f"{agree} of {total} comparisons agree."
    return table(("network", "simulator", "seeds", "rate (Hz)", "", "CV of intervals", ""), rows) + populations(
        stats
    ), verdict


def populations(stats: dict[str, Any]) -> str:
    """Return the rates of the populations of the microcircuit."""
    found = {k.split("/")[1]: list(v.values()) for k, v in stats["runs"].items() if k.startswith("microcircuit") and v}
    if not found:
        return ""
    names = [n for n in found["spikesim"][0] if n != "all"]
    rows = [
        [NAMES[who], *(f"{statistics.mean(v):.2f} ± {spread(v):.2f}" for v in ([r[n][0] for r in runs] for n in names))]
        for who, runs in found.items()
    ]
    return "\n\nRates of the microcircuit's populations (Hz):\n\n" + table(("simulator", *names), rows)


def spread(values: list[float]) -> float:
    """Return the standard deviation over seeds."""
    return statistics.stdev(values) if len(values) > 1 else math.nan


# ---------------------------------------------------------------------------------------------------------- benchmarks
def timing(values: list[float], digits: int = 3) -> str:
    """Return median and range."""
    form = f".{digits}g"
    median = f"{statistics.median(values):{form}}"
    return median if len(values) == 1 else f"{median} ({min(values):{form}}-{max(values):{form}})"


def megabytes(row: dict[str, Any]) -> str:
    """Return the peak memory."""
    return f"{row['peak_mb']:.0f}" if row.get("peak_mb") else "-"


def compiling(row: dict[str, Any]) -> str:
    """Return the time to compile: of the first run here, of every run in a peer that compiles."""
    if "first_compile_s" in row:
        return f"{row['first_compile_s']:.2f}"
    return timing(row["compile_s"]) if row["compile_s"][0] else "-"


def network_rows(rows: list[dict[str, Any]]) -> list[list[Any]]:
    """Return the rows of the table of networks."""
    base = {
        r["workload"]: statistics.median(r["sim_s"])
        for r in rows
        if (r["who"], r["dtype"]) == ("spikesim numba", "float64")
    }
    return [
        [
            r["workload"],
            f"{NAMES.get(r['who'], r['who'])}, {r['dtype']}",
            r["threads"],
            timing(r["sim_s"]),
            f"{statistics.median(r['sim_s']) / base[r['workload']]:.1f}",
            timing(r["build_s"], 2),
            f"{r['first_compile_s']:.2f}"
            if "first_compile_s" in r
            else timing(r["compile_s"], 3)
            if r["compile_s"][0]
            else "-",
            megabytes(r),
            f"{r['rate_hz']:.2f}" if "rate_hz" in r else "-",
        ]
        for r in rows
    ]


def layer_rows(rows: list[dict[str, Any]]) -> list[list[Any]]:
    """Return the rows of the table of layers."""
    times = {(r["workload"], r["who"]): statistics.median(r.get("ms_per_step") or r["seconds"]) for r in rows}
    best = {w: min(t for (x, who), t in times.items() if x == w and who.startswith("spikesim")) for w, _ in times}
    return [
        [
            r["workload"],
            NAMES.get(r["who"], r["who"]),
            timing(r["ms_per_step"]) + " ms per step" if "ms_per_step" in r else timing(r["seconds"]) + " s",
            f"{times[r['workload'], r['who']] / best[r['workload']]:.1f}",
            f"{r['last_layer_rate'] * 100:.2f} %",
            megabytes(r),
        ]
        for r in rows
    ]


def benchmarks() -> str:
    """Return the document of the timings."""
    result = machine.read("networks_full")
    everything = [*result.get("networks", []), *result.get("layers", [])]
    missing = [r for r in everything if "skipped" in r]
    networks = [r for r in result.get("networks", []) if "skipped" not in r]
    layers = [r for r in result.get("layers", []) if "skipped" not in r]
    return BENCHMARKS.format(
        about=about(result),
        load_start=result["load_at_start"],
        load_end=result["load_at_end"],
        cores=result["machine"]["cores"],
        networks=table(
            (
                "network",
                "simulator",
                "threads",
                "simulation (s)",
                "ratio",
                "build (s)",
                "compile (s)",
                "peak MB",
                "rate (Hz)",
            ),
            network_rows(networks),
        ),
        layers=table(("workload", "program", "time", "ratio", "rate of last layer", "peak MB"), layer_rows(layers)),
        missing=skipped(missing, "workload"),
    )


def main() -> None:
    """Write both documents."""
    for name, text in (("validation", validation), ("benchmarks", benchmarks)):
        (DOCS / f"{name}.md").write_text(text())
        print(f"docs/{name}.md")


if __name__ == "__main__":
    main()
