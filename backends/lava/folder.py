"""Write the folder that runs with Lava alone."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spikesim import __version__
from spikesim.backends.lava.parts import parts_of
from spikesim.backends.lava.standalone.lava_network import Part, save_arrays
from spikesim.convert.lava import DESCRIPTION, FOLDER, Prepared

HERE = Path(__file__).resolve().parent
STANDALONE = HERE / "standalone"
SOFT_LIF = HERE / "_procs" / "soft_lif.py"
FORMAT_VERSION = 1


def write_folder(
    folder: Path,
    prepared: Prepared,
    *,
    inputs: Mapping[str, Any],
    expected: Mapping[str, Any],
    steps: int,
    samples: int,
    outputs: Sequence[str],
    io: str,
) -> None:
    """Write the folder; files that are not its own stay.

    Parameters
    ----------
    folder
        Where.
    prepared
        The network.
    inputs, expected
        Spikes of the sources, ``[steps, samples, n]``, and rows (sample, step, neuron) of the outputs.
    steps, samples, outputs, io
        As in the description.
    """
    network, lags = prepared.lowered.network, prepared.lowered.lags
    populations, projections = parts_of(network, prepared.images)
    _report(prepared, [*populations, *projections])
    arrays: dict[str, Any] = {}
    described = {
        "format": FOLDER, "version": FORMAT_VERSION, "made_by": f"spikesim {__version__}",
        "name": prepared.network.name, "dt": prepared.network.dt, "steps": steps, "samples": samples, "io": io,
        "inputs": {i.name: i.n for i in network.inputs}, "lags": {p.name: int(lags[p.name]) for p in populations},
        "outputs": list(outputs),
        "populations": [_plain(part, arrays) for part in populations],
        "projections": [_plain(part, arrays) for part in projections],
    }  # fmt: skip
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
        new = Path(scratch)
        (new / DESCRIPTION).write_text(json.dumps(described, indent=1) + "\n", "utf-8")
        save_arrays(new / "network.npz", arrays)
        save_arrays(new / "input.npz", {name: np.asarray(x, np.uint8) for name, x in inputs.items()})
        save_arrays(new / "expected.npz", expected)
        (new / "README.md").write_text(_readme(prepared, described), "utf-8")
        for name in ("run.py", "lava_network.py"):
            shutil.copyfile(STANDALONE / name, new / name)
        if any(p.process == "SoftLIF" for p in populations):
            (new / "custom_processes").mkdir()
            (new / "custom_processes/__init__.py").write_text(
                '"""Lava executes every file beside a process, so nothing else may live here."""\n', "utf-8"
            )
            shutil.copyfile(SOFT_LIF, new / "custom_processes/soft_lif.py")
        for path in sorted(new.rglob("*")):
            place = folder / path.relative_to(new)
            if path.is_dir():
                place.mkdir(exist_ok=True)
            else:
                os.replace(path, place)


def _report(prepared: Prepared, parts: Sequence[Part]) -> None:
    known = {row.part for row in prepared.report.rows}
    for part in parts:
        if part.name not in known:
            prepared.report.add(part.name, part.process)


def _plain(part: Part, arrays: dict[str, Any]) -> dict[str, Any]:
    """Return a part as plain values; its arrays go into `arrays`, and stand as references."""
    parameters: dict[str, Any] = {}
    for name, value in part.parameters.items():
        if isinstance(value, np.ndarray):
            key = f"a{len(arrays)}_{name}"
            arrays[key] = value
            parameters[name] = {"array": key}
        else:
            parameters[name] = list(value) if isinstance(value, tuple) else value
    return {"name": part.name, "process": part.process, "pre": part.pre, "post": part.post, "parameters": parameters}


def _readme(prepared: Prepared, described: Mapping[str, Any]) -> str:
    text = (STANDALONE / "README.md").read_text("utf-8")
    rows = [
        f"| {p['name']} | {p['process']} | {p['parameters']['shape'][0]} | {described['lags'][p['name']]} |"
        for p in described["populations"]
    ]
    lines = [f"| {p['name']} | {p['process']} | {p['pre']} | {p['post']} |" for p in described["projections"]]
    soft = any(p["process"] == "SoftLIF" for p in described["populations"])
    fields = {
        **{name: described[name] for name in ("name", "made_by", "steps", "samples", "dt", "io")},
        "inputs": ", ".join(f"`{name}` ({n})" for name, n in described["inputs"].items()) or "none",
        "populations": "\n".join(rows),
        "projections": "\n".join(lines),
        "changes": "\n".join(_changes(prepared, soft)) or "Nothing: the parts above are the network's own.",
    }
    for name, value in fields.items():
        text = text.replace("{" + name + "}", str(value))
    return text


def _changes(prepared: Prepared, soft: bool) -> list[str]:
    report = prepared.report
    found = [f"- {row.part}: {row.written_as}, {row.status}. {row.detail}" for row in report.rows if row.detail]
    found += [f"- {warning}" for warning in report.warnings] + [f"- {note}" for note in report.notes]
    if report.verification:
        found.append(f"- Measured before and after: {report.verification}")
    if soft:
        found.append(
            "- `custom_processes/soft_lif.py` must stay alone there: Lava executes what lies beside a process."
        )
    return found
