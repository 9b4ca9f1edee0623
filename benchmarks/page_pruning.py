"""The page on noise pruning and LNP, from the stored results."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats
from tables import table

RESULTS = Path(__file__).parent / "results/pruning"
TEXT = Path(__file__).with_name("page_pruning.md")
TASKS = ("lorenz", "roessler", "japanese-vowels", "sequential-mnist")
Cells = dict[tuple[str, str, str], dict[int, dict[str, Any]]]


def pruning() -> str:
    """Return the document."""
    text = TEXT.read_text("utf-8")
    spectrum, found = read("spectrum"), cells(read("tasks"))
    leverage = max(abs(r["sum"] - r["exact"]) for r in spectrum["leverage"])
    parts = {
        "spectrum": spectrum_table(spectrum["rows"]),
        "ratio": ratio(spectrum["rows"]),
        "leverages": str(len(spectrum["leverage"])),
        "leverage": f"{leverage:.1g}",
        "tasks": task_tables(found),
        "verdict": verdict(found),
        "scale": scale_table(read("scale")),
    }
    for name, part in parts.items():
        text = text.replace(f"{{{name}}}", part)
    return text


def draw(folder: Path) -> list[str]:
    """Draw the picture of the page: an HRSNN before and after LNP."""
    from spikesim.models.networks import hrsnn
    from spikesim.sparsify import prune

    figure = prune(hrsnn(120, seed=0), "lnp", seed=0).report.plot()[0].get_figure(root=True)
    if figure is not None:
        figure.savefig(folder / "pruned.png", dpi=70)
    return ["pruned.png"]


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


def cells(rows: list[dict[str, Any]]) -> Cells:
    """Return the rows by (family, task, variant), then seed."""
    found: Cells = defaultdict(dict)
    for r in rows:
        found[r["family"], r["task"], r["variant"]][r["seed"]] = r
    return found


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
    for family in ("hrsnn", "mrsnn"):
        for task in TASKS:
            rows = {v: c for (f, t, v), c in found.items() if (f, t) == (family, task) and len(c) > 1}
            if "dense" not in rows:
                continue
            body = [_row(v, c, rows["dense"]) for v, c in rows.items()]
            head = ("network", "seeds", "score", "against dense, same seeds", "p", "neurons", "synapses", "operations")
            parts.append(f"{family.upper()}, {task}:\n\n{table(head, body)}")
    return "\n\n".join(parts)


def _row(variant: str, c: dict[int, dict[str, Any]], dense: dict[int, dict[str, Any]]) -> tuple[str, ...]:
    values = np.abs([gain(r) for r in c.values()])
    better, p, _ = compared(c, dense)
    against = "" if variant == "dense" else f"{better:+.3f}"
    mean = {k: np.mean([r[k] for r in c.values()]) for k in ("neurons", "synapses", "sops")}
    score = f"{values.mean():.3f} ± {values.std(ddof=1):.3f}"
    counts = (f"{mean[k]:.0f}" for k in ("neurons", "synapses", "sops"))
    return variant, str(len(c)), score, against, "" if np.isnan(p) else f"{p:.2g}", *counts


def verdict(found: Cells) -> str:
    """Say, with numbers, whether the goals are met."""
    lines = []
    for task in TASKS:
        rows = {v: c for (f, t, v), c in found.items() if (f, t) == ("hrsnn", task)}
        for other in ("dense", "activity"):
            if "lnp" in rows and other in rows:
                better, p, seeds = compared(rows["lnp"], rows[other])
                share = np.mean([r["sops"] for r in rows["lnp"].values()]) / np.mean(
                    [r["sops"] for r in rows[other].values()]
                )
                word = "better" if better > 0 else "worse"
                lines.append(
                    f"- {task}: LNP is {abs(better):.3f} {word} than {other} (p = {p:.2g}, {seeds} seeds) with "
                    f"{share:.0%} of its operations."
                )
    return "\n".join(lines)


def scale_table(rows: list[dict[str, Any]]) -> str:
    body = [
        (str(r["neurons"]), str(r["synapses"]), r["method"], f"{r['seconds'] / 60:.1f} min", f"{r['peak_gib']:.1f} GiB",
         str(r["left"]), f"{r['betweenness_error']:.0%}" if r["betweenness_error"] else "exact")
        for r in rows
    ]  # fmt: skip
    return table(("neurons", "synapses", "method", "time", "peak memory", "synapses left", "betweenness"), body)
