"""The page on noise pruning and LNP, from the stored results."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pruning_costs
from scipy import stats
from tables import table

RESULTS = Path(__file__).parent / "results/pruning"
TEXT = Path(__file__).with_name("page_pruning.md")
TASKS = ("lorenz", "roessler", "japanese-vowels", "sequential-mnist")
FAMILIES = ("hrsnn", "mrsnn", "chrsnn")
OURS = ("lnp", "lnp, steps 1 2 4")
EQUAL = "activity, equal operations"
PAIRS = {
    "Lyapunov weights in place of weights": ("lnp", "lnp, e = w"),
    "step 2, half of the neurons": ("lnp, steps 1 2", "lnp, step 1"),
    "step 3, added edges": ("lnp, steps 1 2 3", "lnp, steps 1 2"),
    "step 3 beside the others": ("lnp", "lnp, steps 1 2 4"),
    "step 4, time constants": ("lnp, steps 1 2 4", "lnp, steps 1 2"),
    "step 1 against the dense network": ("lnp, step 1", "dense"),
    "step 1 against magnitude, all neurons": ("lnp, step 1", "magnitude"),
    "LNP against magnitude, half": ("lnp", "magnitude, half"),
    "LNP against random, half": ("lnp", "random, half"),
    "noise-prune against random": ("noise", "random"),
    "noise-prune against weight": ("noise", "weight"),
}
Cells = dict[tuple[str, str, str], dict[int, dict[str, Any]]]


def pruning() -> str:
    """Return the document."""
    text = TEXT.read_text("utf-8")
    spectrum, found = read("spectrum"), task_cells()
    leverage = max(abs(r["sum"] - r["exact"]) for r in spectrum["leverage"])
    parts = {
        "spectrum": spectrum_table(spectrum["rows"]),
        "ratio": ratio(spectrum["rows"]),
        "leverages": str(len(spectrum["leverage"])),
        "leverage": f"{leverage:.1g}",
        "tasks": task_tables(found),
        "verdict": verdict(found),
        "goals": goals(found),
        "matched": matched(found),
        "ablation": ablation(found),
        "heterogeneity": heterogeneity(found),
        "scale": scale_table(read("scale")),
    }
    for name, part in parts.items():
        text = text.replace(f"{{{name}}}", part)
    return text


def draw(folder: Path) -> list[str]:
    """Draw the pictures of the page: an HRSNN before and after LNP; scores against costs."""
    from spikesim.models.networks import hrsnn
    from spikesim.sparsify import prune

    figure = prune(hrsnn(120, seed=0), "lnp", seed=0).report.plot()[0].get_figure(root=True)
    if figure is not None:
        figure.savefig(folder / "pruned.png", dpi=70)
    pruning_costs.draw(task_cells(), folder / "pruning_costs.png")
    return ["pruned.png", "pruning_costs.png"]


def read(name: str) -> Any:
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text("utf-8")) if path.exists() else []


def means(rows: list[dict[str, Any]]) -> dict[tuple[int, float, str], dict[str, float]]:
    """Return the mean of every column over seeds, by size, share and rule."""
    groups: dict[tuple[int, float, str], list[dict[str, Any]]] = defaultdict(list)
    for r in rows:
        groups[r["n"], r["keep"], r["rule"]].append(r)
    names = ("median", "largest", "slow", "cosine")
    return {k: {c: float(np.mean([r[c] for r in v])) for c in names} for k, v in groups.items()}


def spectrum_table(rows: list[dict[str, Any]]) -> str:
    body = []
    for (n, keep, rule), m in sorted(means(rows).items(), key=lambda item: (item[0][0], item[0][1], item[0][2])):
        numbers = (f"{m[c]:.3f}" for c in ("median", "largest", "slow", "cosine"))
        body.append((f"{n}, {keep:.0%}", rule, *numbers))
    return table(("N, kept", "rule", "median eps", "largest eps", "slow eps", "cosine"), body)


def ratio(rows: list[dict[str, Any]]) -> str:
    found = means(rows)
    each = [found[n, k, "uniform"]["slow"] / m["slow"] for (n, k, rule), m in found.items() if rule == "noise"]
    return f"{min(each):.0f} to {max(each):.0f}"


def task_cells() -> Cells:
    """Return the rows of all networks on all tasks by (family, task, variant), then seed."""
    found: Cells = defaultdict(dict)
    for file in sorted((RESULTS / "tasks").glob("*.json")):
        for r in json.loads(file.read_text("utf-8")):
            found[r["family"], r["task"], r["variant"]][r["seed"]] = r
    return dict(found)


def gain(row: dict[str, Any]) -> float:
    """Return a number of which more is better."""
    return float(row["accuracy"]) if "accuracy" in row else -float(row["nrmse"])


def compared(a: dict[int, dict[str, Any]], b: dict[int, dict[str, Any]]) -> tuple[float, float, int]:
    """Return the mean advantage of ``a`` over ``b`` on the seeds of both, the paired p-value, and their number."""
    seeds = sorted(set(a) & set(b))
    x, y = (np.array([gain(c[s]) for s in seeds]) for c in (a, b))
    p = float(stats.ttest_rel(x, y).pvalue) if len(seeds) > 1 and np.ptp(x - y) > 0 else float("nan")
    return float((x - y).mean()) if seeds else float("nan"), p, len(seeds)


def task_tables(found: Cells) -> str:
    parts = []
    for family in FAMILIES:
        for task in TASKS:
            of = {v: c for (f, t, v), c in found.items() if (f, t) == (family, task) and "keep" not in v}
            if "dense" not in of:
                continue
            body = [_row(v, c, of["dense"]) for v, c in of.items()]
            head = ("network", "seeds", "score", "against dense", "p", "neurons", "synapses", "operations", "energy")
            parts.append(f"{family.upper()}, {task}:\n\n{table(head, body)}")
    return "\n\n".join(parts)


def _row(variant: str, c: dict[int, dict[str, Any]], dense: dict[int, dict[str, Any]]) -> tuple[str, ...]:
    values = np.abs([gain(r) for r in c.values()])
    better, p, _ = compared(c, dense)
    against = "" if variant == "dense" else f"{better:+.3f}"
    mean = {k: np.mean([r[k] for r in c.values()]) for k in ("neurons", "synapses", "sops", "energy")}
    score = f"{values.mean():.3f} ± {values.std(ddof=1):.3f}" if len(c) > 1 else f"{values.mean():.3f}"
    counts = (f"{mean[k]:.0f}" for k in ("neurons", "synapses", "sops"))
    said = "" if np.isnan(p) else f"{p:.2g}"
    return variant, str(len(c)), score, against, said, *counts, f"{1000 * mean['energy']:.0f}"


def _against(found: Cells, family: str, task: str, ours: str, other: str) -> str:
    """Say by how much one network is better than another, paired by seed: ``+0.033 (p = 0.02)``."""
    key = family, task, ours
    if key not in found or (family, task, other) not in found:
        return ""
    better, p, _ = compared(found[key], found[family, task, other])
    return f"{better:+.3f}" if np.isnan(p) else f"{better:+.3f} (p = {p:.2g})"


def verdict(found: Cells) -> str:
    """Return what LNP gains over the dense network and over activity pruning, by family and task."""
    body = []
    for family in FAMILIES:
        for task in TASKS:
            for ours in OURS:
                if (family, task, ours) in found:
                    gains = [_against(found, family, task, ours, o) for o in ("dense", "activity", EQUAL)]
                    body.append((family.upper(), task, ours, str(len(found[family, task, ours])), *gains))
    return table(("family", "task", "network", "seeds", "over dense", "over activity", "over activity, equal"), body)


def ablation(found: Cells) -> str:
    """Return what one choice in place of another gains on HRSNNs, by task."""
    body = [(what, *(_against(found, "hrsnn", t, *pair) for t in TASKS)) for what, pair in PAIRS.items()]
    return table(("what", *TASKS), body)


def goals(found: Cells) -> str:
    """Count the tasks on which the goals are met; no worse means not significantly so, at 5 %."""
    lines = []
    for family in FAMILIES[:2]:
        for ours in OURS:
            of = {t: [compared(found[family, t, ours], found[family, t, o]) for o in ("dense", EQUAL)] for t in TASKS}
            level = [t for t, (d, _) in of.items() if d[0] >= 0 or not d[1] < 0.05]
            above = [t for t, (_, a) in of.items() if a[0] > 0]
            sure = [t for t in above if of[t][1][1] < 0.05]
            said = [f"{len(tasks)} ({', '.join(tasks) or 'none'})" for tasks in (level, above, sure)]
            lines.append(
                f"- {family.upper()}, `{ours}`: of {len(TASKS)} tasks not significantly worse than dense on {said[0]}; "
                f"better on average than activity pruning at equal operations on {said[1]}, significantly on {said[2]}."
            )
    return "\n".join(lines)


def heterogeneity(found: Cells) -> str:
    """Return what heterogeneous time constants gain over equal ones, dense and pruned, by task."""
    body = []
    for variant in ("dense", "lnp", "activity", "random, half"):
        gains = [compared(found["hrsnn", t, variant], found["mrsnn", t, variant]) for t in TASKS]
        body.append((variant, *(f"{better:+.3f} (p = {p:.2g})" for better, p, _ in gains)))
    return table(("network", *TASKS), body)


def matched(found: Cells) -> str:
    """Return the operations of LNP over those of activity pruning that was to do as many, over all seeds."""
    ratios = [
        found[f, t, "lnp"][seed]["sops"] / row["sops"]
        for (f, t, v), rows in found.items()
        for seed, row in rows.items()
        if v == EQUAL
    ]
    return f"{min(ratios):.2f} to {max(ratios):.2f}, {np.mean(ratios):.2f} on average"


def scale_table(rows: list[dict[str, Any]]) -> str:
    body = [
        (str(r["neurons"]), str(r["synapses"]), r["method"], f"{r['seconds'] / 60:.1f} min", f"{r['peak_gib']:.1f} GiB",
         str(r["left"]), f"{r['betweenness_error']:.0%}" if r["betweenness_error"] else "exact")
        for r in rows
    ]  # fmt: skip
    return table(("neurons", "synapses", "method", "time", "peak memory", "synapses left", "betweenness"), body)
