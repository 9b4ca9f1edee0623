"""Write ``docs/models/*.md``: one page per neuron, made from the models themselves. Run it when a model has changed."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from spikesim.describe import quantity
from spikesim.equations.mathml import equations_mathml
from spikesim.models.neurons import NEURONS
from spikesim.neuron import Neuron, NeuronModel, Param

sys.path.insert(0, str(Path(__file__).parent))
from responses import SHOWS

FOLDER = Path(__file__).parent / "models"
SAID = "<!-- Made by docs/make_models.py from the model; edit that or the model, not this page. -->\n"
CHOICES = ("preset", "reset", "timing", "threshold", "arrival", "variant", "substeps")


def pages() -> dict[Path, str]:
    """Return the text of every page."""
    return {FOLDER / "index.md": index(), **{FOLDER / f"{name}.md": page(name) for name in sorted(NEURONS)}}


def index() -> str:
    """Return the page that lists the neurons."""
    rows = [
        f"| [`{name}`]({name}.md) | {make().model.doc} | {', '.join(f'`{i}`' for i in make().model.inputs)} |"
        for name, make in sorted(NEURONS.items())
    ]
    return (
        f"{SAID}\n# Neurons\n\n"
        "Every neuron is one function that is written once and compiled for every backend. Each page shows its\n"
        "equations, what its parameters mean, and how it answers a stimulus. `spikesim show NAME` prints the\n"
        "equations in a terminal, `spikesim show NAME --source numba` the kernel, `--source backward` the derived\n"
        "gradients.\n\n"
        "| neuron | what it is | input ports |\n|---|---|---|\n" + "\n".join(rows) + "\n\n"
        "To write one of your own, see [Your own neuron](../guides/neurons.md).\n"
    )


def page(name: str) -> str:
    """Return the page of one neuron."""
    make, show = NEURONS[name], SHOWS[name]
    module = importlib.import_module(make.__module__)
    model = make().model
    summary, equations, prose = _module_parts(inspect.getdoc(module) or "")
    parts = [
        SAID,
        f"# {name}",
        summary,
        f"```text\n{equations}\n```",
        prose,
        f"![{name}: its answer to a stimulus](../images/neuron_{name}.png)",
        f"*{show.caption}* {_called(name)}",
        "## Parameters",
        _parameters(name),
        "## States and inputs",
        _states(model),
        "## Choices",
        _choices(make),
        "## Example",
        _example(name, inspect.getdoc(make) or ""),
        "## What is computed",
        "The equations as they are compiled, in the author's order; a prime marks the next value, Θ is 1 above 0 and\n"
        "else 0, *s* the spike.",
        f'<div class="equations">{equations_mathml(model)}</div>',
    ]
    if model.constants.outputs:
        parts += [
            "Computed once, before the run:",
            f'<div class="equations">{equations_mathml(model, "constants")}</div>',
        ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _module_parts(doc: str) -> tuple[str, str, str]:
    """Split a module's docstring into its first line, its equations and the rest."""
    summary, _, rest = doc.partition("\n\n")
    before, _, after = rest.partition("::\n")
    lines = after.lstrip("\n").split("\n")
    count = next((k for k, line in enumerate(lines) if line and not line.startswith(" ")), len(lines))
    equations = inspect.cleandoc("\n" + "\n".join(lines[:count]))
    prose = before + "\n".join(lines[count:])
    return summary, equations, _markdown(prose).strip()


def _markdown(text: str) -> str:
    """Turn the few marks that docstrings use into Markdown."""
    text = re.sub(r":\w+:`~?([\w.]+\.)?(\w+)`", r"`\2`", text)
    return text.replace("``", "`")


def _called(name: str) -> str:
    show = SHOWS[name]
    call = ", ".join(f"{k}={v!r}" for k, v in show.call.items())
    return f"Shown: `{name}({call})`, `dt = {quantity(show.dt, 's')}`."


def _parameters(name: str) -> str:
    """Return the table of parameters; those of other choices too."""
    models: dict[str, tuple[Param, str, float]] = {}
    for remark, made in _variants(name):
        for key, param in made.model.params.items():
            models.setdefault(key, (param, remark, float(made.value(key))))
    rows = [
        f"| `{key}` | {quantity(value, p.unit)} | {p.unit or '1'} | {_range(p)} | {p.doc}{remark} |"
        for key, (p, remark, value) in models.items()
    ]
    return "| parameter | default | SI unit | allowed | what it is |\n|---|---|---|---|---|\n" + "\n".join(rows)


def _variants(name: str) -> list[tuple[str, Neuron]]:
    """Return the neuron with the choices that bring other parameters, and what to say of those."""
    make = NEURONS[name]
    accepted = inspect.signature(make).parameters
    found = [("", make())]
    if "reset" in accepted:
        found.append((' (with `reset="to"`)', make(reset="to")))
        found.append((' (with `reset="subtract"`; the threshold if left out)', make(reset="subtract", q=1.0)))
    if name == "lif":
        found.append((" (none if left out)", make(t_ref=0.0)))
    if name == "li":
        found.append((" (give it instead of `tau_m`)", make(beta=0.9)))
    return found


def _range(param: Param) -> str:
    low = f"{'>' if param.open_low else '≥'} {param.low:g}" if np.isfinite(param.low) else ""
    high = f"≤ {param.high:g}" if np.isfinite(param.high) else ""
    return ", ".join(part for part in (low, high) if part) or "any"


def _states(model: NeuronModel) -> str:
    rows = [
        f"| `{name}` | {quantity(s.init, s.unit)} | {s.unit or '1'} | {s.doc or 'membrane potential'} |"
        for name, s in model.states.items()
    ]
    ports = ", ".join(f"`{port}`" for port in model.inputs)
    return (
        "| state | at the start | SI unit | what it is |\n|---|---|---|---|\n" + "\n".join(rows) + f"\n\n"
        f"Input ports: {ports}; a projection or a drive without `port=` goes to `{model.inputs[0]}`. Start values are "
        "changed\nwith `init={...}`."
    )


def _choices(make: Callable[..., Neuron]) -> str:
    """Return the section on keyword options of a model function."""
    doc = inspect.getdoc(make) or ""
    accepted = [k for k in inspect.signature(make).parameters if k in CHOICES]
    if not accepted:
        return "There are none beyond the parameters."
    section = doc.partition("Parameters\n----------\n")[2].partition("\n\n")[0].split("**params")[0]
    lines: list[str] = []
    for line in section.rstrip().split("\n"):
        if not line.startswith(" "):
            lines.append(f"\n`{line}`")
        else:
            lines.append((":   " if lines[-1].startswith("\n") else "    ") + line.strip())
    signature = ", ".join(f"`{k}={inspect.signature(make).parameters[k].default!r}`" for k in accepted)
    described = re.sub(r"As for `(\w+)`", r"As for [`\1`](\1.md)", _markdown("\n".join(lines)))
    return f"By default {signature}.\n{described}"


def _example(name: str, doc: str) -> str:
    """Return the examples of a model function as fenced blocks with prose between."""
    text = doc.partition("Examples\n--------\n")[2]
    text = text.partition("\n\nNotes\n")[0]
    out = [f"```pycon\n>>> from spikesim.models.neurons import {name}\n"]
    inside = True
    for line in text.split("\n"):
        code = line.startswith((">>>", "...")) or (inside and bool(line))
        if code and not inside:
            out.append("```pycon\n")
        if inside and not code:
            out.append("```\n")
        inside = code
        out.append(_markdown(line) + "\n" if not code else line + "\n")
    block = "".join(out) + ("```" if inside else "")
    if text.split("\n")[0][:3] != ">>>":  # prose first: the import goes into the block that follows it
        opening = out[0]
        first, _, rest = text.partition("\n\n")
        return _markdown(first) + "\n\n" + opening + rest.rstrip() + "\n```"
    return block


def main() -> None:
    """Write the pages."""
    FOLDER.mkdir(exist_ok=True)
    for path, text in pages().items():
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
