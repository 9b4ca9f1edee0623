"""What the figures were measured on and with, without names of machines or people."""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"
DISTURBED = 0.2  # processors that others may keep busy
PACKAGES = ("spikesim", "numpy", "numba", "torch", "snntorch", "norse", "h5py")


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
    found["commit"] = commit()
    return found


def commit() -> str:
    """Return the commit, marked where the sources of the library differ from it."""
    here = Path(__file__).resolve().parent
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=here)
    changed = subprocess.run(["git", "diff", "--quiet", "HEAD", "--", "..", ":!../docs", ":!results"], cwd=here)
    return (done.stdout.strip() or "unknown") + ("+" if changed.returncode == 1 else "")


def load() -> float:
    """Return the number of processes that compete for the processor."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else float("nan")


def _busy() -> float | None:
    """Return the seconds that all processors have worked since the machine started, also for other guests."""
    try:
        numbers = [int(x) for x in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    except OSError:
        return None
    user, nice, system, _, _, irq, softirq, steal = numbers
    return float((user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK"))


def _ours() -> float:
    """Return the seconds that this process and its children that have ended have worked."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


class Watch:
    """Measure how many processors others kept busy while something ran in children of this process."""

    def __init__(self) -> None:
        self.load, self.busy, self.ours, self.begin = load(), _busy(), _ours(), time.perf_counter()

    def stop(self) -> dict[str, Any]:
        """Return load before, wall seconds, processors kept busy by others, and whether that disturbs."""
        wall = time.perf_counter() - self.begin
        others = None
        if self.busy is not None:
            others = round(max(0.0, ((_busy() or 0.0) - self.busy - _ours() + self.ours) / wall), 3)
        return {
            "load_before": self.load,
            "wall_s": wall,
            "others_busy": others,
            "disturbed": others is not None and others > DISTURBED,
        }


def wait_until_quiet(limit_s: float) -> None:
    """Wait until others keep less than a fifth of one processor busy for a second, at most so long."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        watch = Watch()
        time.sleep(1.0)
        if not watch.stop()["disturbed"]:
            return


def read(name: str, folder: Path = RESULTS) -> dict[str, Any]:
    """Read a file of results; an empty value if there is none."""
    path = folder / f"{name}.json"
    return dict(json.loads(path.read_text())) if path.exists() else {}


def write(name: str, value: dict[str, Any], folder: Path = RESULTS) -> Path:
    """Write a file of results, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    part = path.with_suffix(".part")
    part.write_text(json.dumps(value, indent=1) + "\n")
    part.replace(path)
    return path
