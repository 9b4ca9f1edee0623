"""The page on the comparison with other simulators, spike for spike and by rate and CV."""

from __future__ import annotations

import math
import statistics
from typing import Any

import machine
from scipy.stats import ttest_ind
from tables import NAMES, about, skipped, table

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

## Spike for spike: training kernels

The training workloads of [benchmarks](benchmarks.md): derived kernels and products with events against a loop over
time in torch with dense products and torch's autograd. float64: weights and inputs on the grid on which sums are exact.
float32: sums are rounded in another order, so a membrane within rounding of its threshold may go the other way.
Gradients are compared where all spikes agree, as the largest difference over the largest entry of each tensor.

{training}

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
        training=table(
            ("workload", "precision", "spikes", "differing", "share", "gradients differ by"),
            [
                (
                    r["workload"],
                    r["dtype"],
                    r["spikes"],
                    f"**{r['differing']}**",
                    f"{r['differing'] / r['spikes']:.2g}",
                    f"{r['gradient']:.1e}" if "gradient" in r else "-",
                )
                for r in spikes["training"]
            ],
        ),
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
