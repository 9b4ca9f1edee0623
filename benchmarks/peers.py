"""Other simulators, each in an environment of its own that this file makes.

``python benchmarks/peers.py`` makes or checks the environments and says what is in them. Nothing here is a dependency
of the package. ``SPIKESIM_PEERS`` may name a folder that holds (or shall hold) the environments; without it they live
in ``build/peers`` of the checkout.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent
ORACLES = ROOT / "oracles"
REQUIREMENTS = {
    "nest": ["nest-simulator>=3.8"],
    "brian2": ["brian2>=2.6", "numpy<2.4", "setuptools<81"],  # Brian2 2.9 does not import with numpy 2.4
    "spikingjelly": ["--no-deps", "spikingjelly>=2,<3", "loguru"],  # its requirements would bring another torch
    "brian2_loihi": ["brian2-loihi==0.5.2", "numpy<2", "setuptools<81"],
    # nengo, which nengo-loihi builds on, is free for non-commercial use only: a peer to measure, never a dependency
    "nengo_loihi": ["nengo-loihi==1.1.0", "nengo==3.2.0", "numpy<1.24", "setuptools<81"],
}
GENERAL = ("nest", "brian2", "spikingjelly")  # those that simulate networks of any kind
SHARES = {"spikingjelly"}  # environments that see the packages of this one
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
LIMIT_S = 600.0


class PeerError(RuntimeError):
    """A peer could not be installed, or its script failed."""


@dataclass(frozen=True)
class Peer:
    """An environment with one other simulator.

    Parameters
    ----------
    name
        Import name.
    python
        Its interpreter.
    version
        Version of the simulator.
    """

    name: str
    python: Path
    version: str


def folder() -> Path:
    """Return the folder of the environments."""
    chosen = os.environ.get("SPIKESIM_PEERS")
    return Path(chosen).expanduser() if chosen else ROOT.parent / "build" / "peers"


@functools.cache
def peer(name: str) -> Peer:
    """Return a peer, made first if need be.

    Raises
    ------
    PeerError
        If it cannot be installed or imported here; the sentence says why.
    """
    place = folder() / name
    python = place / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not python.exists():
        print(f"making {place} for {name} ...", file=sys.stderr)
        venv.create(place, with_pip=True)
        if name in SHARES:
            code = "import sysconfig; print(sysconfig.get_path('purelib'))"
            own = Path(_check([str(python), "-c", code], f"{name}: its environment does not start").strip())
            lines = [f"import site; site.addsitedir({p!r})" for p in map(str, sys.path) if p.endswith("site-packages")]
            (own / "shared.pth").write_text("\n".join(lines) + "\n")
    version = _version(python, name)
    if not version:
        _check(
            [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *REQUIREMENTS[name]],
            f"{name} cannot be installed",
        )
        version = _version(python, name)
    if not version:
        raise PeerError(f"{name} is installed in {place.name} but cannot be imported")
    return Peer(name, python, version)


def _version(python: Path, name: str) -> str:
    """Return the version of a package that can be imported, or nothing."""
    code = f"import {name}; from importlib.metadata import version; print(version({_distribution(name)!r}))"
    done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, timeout=LIMIT_S, cwd=ROOT)
    return done.stdout.strip().splitlines()[-1] if done.returncode == 0 else ""


def _distribution(name: str) -> str:
    return "nest-simulator" if name == "nest" else name


def _check(command: list[str], what: str, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, env=env)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise PeerError(f"{what}: {lines[-1] if lines else f'exit code {done.returncode}'}")
    return done.stdout


def run(name: str, script: str, request: dict[str, Any], threads: int = 1) -> dict[str, Any]:
    """Run a script of ``oracles/`` in a peer's environment and return its JSON answer.

    Parameters
    ----------
    name
        The peer.
    script
        File name in ``oracles/``; it is given the file of the request and the file to write the answer to.
    request
        What to do, as JSON.
    threads
        Threads of OpenMP.
    """
    with tempfile.TemporaryDirectory() as work:
        question, answer = Path(work) / "request.json", Path(work) / "answer.json"
        question.write_text(json.dumps(request))
        env = {**os.environ, **ONE_THREAD, "OMP_NUM_THREADS": str(threads), "PYNEST_QUIET": "1"}
        command = [str(peer(name).python), str(ORACLES / script), str(question), str(answer)]
        _check(command, f"{name} failed in {script}", env)
        return dict(json.loads(answer.read_text()))


def available(names: Iterable[str] = GENERAL) -> dict[str, str]:
    """Return the version of each peer, or the reason why it is missing."""
    found = {}
    for name in names:
        try:
            found[name] = peer(name).version
        except (PeerError, OSError, subprocess.SubprocessError) as error:
            found[name] = f"missing: {error}"
    return found


if __name__ == "__main__":
    print(json.dumps(available(REQUIREMENTS), indent=1))
