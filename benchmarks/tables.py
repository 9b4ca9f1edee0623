"""What the pages that are written from results have in common."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

NAMES = {
    "nest": "NEST",
    "brian2": "Brian2",
    "snntorch": "snnTorch",
    "norse": "norse",
    "spikingjelly": "SpikingJelly",
    "spikesim": "spikesim",
}


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
