"""What the figures were measured on and with, without names of machines or people."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"
PACKAGES = ("spikesim", "numpy", "numba", "torch", "snntorch", "norse")


def machine() -> dict[str, Any]:
    """Return processor, cores, memory and system."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30 if hasattr(os, "sysconf") else None
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": memory and round(memory),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
        flags = next(line for line in lines if line.startswith("flags")).split()
        return f"{name}{', AVX-512' if 'avx512f' in flags else ', AVX2' if 'avx2' in flags else ''}"
    except (OSError, StopIteration, IndexError):
        return platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Return the versions of the packages here that matter."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    found["commit"] = _commit()
    return found


def _commit() -> str:
    here = Path(__file__).resolve().parent
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=here)
    return done.stdout.strip() or "unknown"


def load() -> float:
    """Return the number of processes that compete for the processor."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else float("nan")


def read(name: str) -> dict[str, Any]:
    """Read a file of results; an empty value if there is none."""
    path = RESULTS / f"{name}.json"
    return dict(json.loads(path.read_text())) if path.exists() else {}


def write(name: str, value: dict[str, Any]) -> Path:
    """Write a file of results."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(value, indent=1) + "\n")
    return path
