"""Write ``docs/guides/cli.md``, the command line reference, from the command line itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer.main

from spikesim import cli

PAGE = Path(__file__).parent / "guides/cli.md"
OPENING = """<!-- Made by docs/make_cli.py from the command line; edit that or the verbs, not this page. -->

# Command line

Every verb calls the function of the library that has its name; what it prints as a table it also prints as one JSON
object with `--json`. Exit codes: 0 done, 1 a check failed (`compare`), 2 a mistake in what was asked, 130 stopped by
Ctrl-C. A mistake is one sentence: what, found, allowed, remedy.

```console
$ spikesim run brunel --duration 0.5
$ spikesim run microcircuit --set scale=0.05 --json
$ spikesim run cuba --duration 10 --out cuba.h5
$ spikesim run cuba --duration 1000 --out cuba.h5 --checkpoint-every 10min
$ spikesim resume cuba.h5
$ spikesim sweep brunel -p g=4,5,6 --seeds 3 --time 1s --out sweep.h5
$ spikesim run brunel --set n=25000 --ranks 4
$ spikesim train digits_mlp --data digits --epochs 20 --out trained.h5
$ spikesim train digits_mlp --epochs 200 --patience 20 --log run.csv --checkpoint run.ckpt.h5
$ spikesim train --resume run.ckpt.h5
$ spikesim prune trained.h5 --method lnp --keep 0.15 --keep-neurons 0.5 --out pruned.h5
$ spikesim learn --scenario permuted-digits --method fine-tune,hlop,joint --seeds 3 --report learned.html
$ spikesim quantise trained.h5 --data digits --out quantised.h5
$ spikesim show lif_soft --source numba
$ spikesim list backends
```
"""


def pages() -> dict[Path, str]:
    """Return the text of the page."""
    if not cli.app.registered_commands:
        cli.register()
    root: Any = typer.main.get_command(cli.app)
    sections = [_section(f"spikesim {name}", root.commands[name]) for name in cli.VERBS]
    return {PAGE: OPENING + "\n" + "\n".join(sections)}


def _section(path: str, command: Any, level: int = 2) -> str:
    """Return the section of one verb, and those of the verbs inside it."""
    heading = f"{'#' * level} {path}\n\n{(command.help or '').strip()}\n"
    if hasattr(command, "commands"):
        return "\n".join([heading, *(_section(f"{path} {n}", c, level + 1) for n, c in command.commands.items())])
    rows = [_row(p) for p in command.params if p.name != "help"]
    table = "| | default | what it is |\n|---|---|---|\n" + "\n".join(rows) + "\n"
    return f"{heading}\n{table}" if rows else heading


def _row(parameter: Any) -> str:
    argument = parameter.param_type_name == "argument"
    names = parameter.name.upper() if argument else "`, `".join([*parameter.opts, *parameter.secondary_opts])
    default = parameter.default
    unset = default is None or default is False or callable(default) or default == () or default == []
    shown = ("required" if parameter.required else "") if unset else f"`{default}`"
    return f"| `{names}` | {shown} | {getattr(parameter, 'help', '') or ''} |"


def main() -> None:
    """Write the page."""
    for path, text in pages().items():
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
