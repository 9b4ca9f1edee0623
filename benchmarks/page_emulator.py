"""The section on the Loihi emulator of the page of the benchmarks, and its picture."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import machine
from tables import NAMES, table

PROGRAMS = {"lava": "Lava `fixed_pt`", "brian2_loihi": "brian2-loihi (numpy target)", "nengo_loihi": "nengo-loihi"}

TEXT = """`python benchmarks/emulator.py`: microseconds per step, all spikes recorded, after building, compiling and
starting. The emulator's time is the whole call, stimulus checks and collection included, on one thread; Lava has a
process for each population and projection. Median (least); *processor* is the emulator's own time on the processor,
which a busy machine stretches less than the time on the clock. {disturbed}

{rows}

The spikes are the same in Lava (compared in the same run){nengo}. {against}

Cost against activity: 10 000 sources, 1 % connected to 10 000 neurons that never fire. A step costs the update of
the neurons and what the events cost; with nothing under way it costs next to nothing.

{curve}

![Microseconds per step against synaptic events per step](images/bench_emulator.png)
"""


def section() -> str:
    """Return the section, or a sentence if nothing was measured."""
    result = machine.read("emulator")
    if not result:
        return "Not measured."
    lines, disturbed = [], False
    for case in (c for name, c in result["cases"].items() if not name.startswith("activity")):
        own = case["rows"][0]
        lines.append((case["title"], "spikesim", _time(own), f"{min(own['cpu_us_per_step']):.2f}", "1", "1"))
        for row in case["rows"][1:]:
            disturbed |= row["disturbed"]
            name = PROGRAMS[row["who"]]
            if "skipped" in row:
                lines.append(("", name, row["skipped"], "", "", ""))
                continue
            median, least = statistics.median(row["us_per_step"]), min(row["us_per_step"])
            ratio = median / statistics.median(own["us_per_step"])
            best = least / min(own["us_per_step"])
            lines.append(("", name, _time(row), "", f"{ratio:.0f}", f"{best:.0f}"))
    head = ("network", "program", "us per step", "processor", "ratio of medians", "ratio of the least")
    return TEXT.format(
        disturbed="Other processes were busy meanwhile; the least is the better guide." if disturbed else "",
        rows=table(head, lines),
        nengo=_nengo(result["cases"].get("small", {"rows": []})["rows"]),
        against=_against(),
        curve=table(
            ("active", "events per step", "us per step", "processor"),
            [(c["title"].split(", ")[-1].removesuffix(" active"), f"{r['events_per_step']:.0f}", _time(r),
              f"{min(r['cpu_us_per_step']):.2f}") for c, r in _activity(result)],
        ),
    )  # fmt: skip


def _time(row: dict[str, Any]) -> str:
    median, least = statistics.median(row["us_per_step"]), min(row["us_per_step"])
    digits = 0 if median >= 100 else 2
    return f"{median:.{digits}f} ({least:.{digits}f})"


def _activity(result: dict[str, Any]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    found = [(c, c["rows"][0]) for name, c in result["cases"].items() if name.startswith("activity")]
    return sorted(found, key=lambda pair: float(pair[1]["events_per_step"]))


def _nengo(rows: list[dict[str, Any]]) -> str:
    """Say whether nengo-loihi counts the same spikes."""
    by_name = {r["who"]: r for r in rows}
    theirs = by_name.get("nengo_loihi", {}).get("spikes")
    ours = [n for name, n in by_name["spikesim"]["spikes"].items() if name != "in"] if theirs else None
    return f", and nengo-loihi counts as many in each layer ({theirs})" if theirs and theirs == ours else ""


def _against() -> str:
    """Return the sentence on the random networks."""
    found = machine.read("loihi_against_lava")
    if not found:
        return ""
    return (
        f"`python benchmarks/loihi_against_lava.py`: {found['networks']} random networks with parameters at the ends "
        f"of their ranges, {found['populations']} populations, {found['states']} states, {found['spikes']} spikes, "
        f"{found['wraps']} wraps and {found['clips']} clips: {found['different']} populations with any difference."
    )


def draw(folder: Path) -> list[str]:
    """Draw the cost against the events; return the name of the picture."""
    from matplotlib import pyplot as plt
    from PIL import Image

    result = machine.read("emulator")
    if not result:
        return []
    figure, axes = plt.subplots(figsize=(5.6, 3.4), layout="constrained")
    rows = [row for _, row in _activity(result)]
    events = [max(r["events_per_step"], 10.0) for r in rows]
    axes.plot(events, [min(r["us_per_step"]) for r in rows], color="#0b6e99", marker="o", ms=5, label=NAMES["spikesim"])
    lava = [(c["rows"][0]["events_per_step"], min(r["us_per_step"])) for c, _ in _activity(result)
            for r in c["rows"] if r["who"] == "lava" and "us_per_step" in r]  # fmt: skip
    if lava:
        axes.plot(*zip(*lava, strict=True), color="#c8571b", marker="^", ms=6, ls="", label="Lava")
    axes.set(xscale="log", yscale="log", xlabel="synaptic events per step (leftmost: none)")
    axes.set_ylabel("microseconds per step")
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8, frameon=False)
    path = folder / "bench_emulator.png"
    figure.savefig(path, dpi=90)
    plt.close(figure)
    Image.open(path).convert("RGB").quantize(48).save(path, optimize=True)
    return [path.name]
