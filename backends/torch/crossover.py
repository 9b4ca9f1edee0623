"""Where going from event to event is faster than a dense product: measured once for each size, kept on disk.

The two ways round differently in float32, so a choice that changed from run to run would change results. A measured
crossover is therefore kept (per processor, sizes, precision and threads) and depends on no data.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from spikesim.equations.source import cache_folder

ROWS, DENSITY, REPEATS = 1024, 0.05, 5  # of the measurement
NEVER = 0.0


def crossover(n_pre: int, n_post: int, dtype: str) -> float:
    """Return the density below which a product ``[m, n_pre] @ [n_pre, n_post]`` goes from event to event.

    Parameters
    ----------
    n_pre, n_post
        Sizes.
    dtype
        ``"float32"`` or ``"float64"``.
    """
    return _crossover(n_pre, n_post, dtype, torch.get_num_threads())


@lru_cache(maxsize=1024)
def _crossover(n_pre: int, n_post: int, dtype: str, threads: int) -> float:
    key, path = f"{_processor()} {n_pre}x{n_post} {dtype} {threads} threads", _file()
    known = _read(path)
    if key not in known:
        known = _read(path) | {key: measure(n_pre, n_post, dtype)}
        _write(path, known)
    return known[key]


def measure(n_pre: int, n_post: int, dtype: str) -> float:
    """Time a product and its weight gradient both ways, on made-up spikes, and return the density at which they tie."""
    from spikesim.backends.torch.events import Events

    rng = np.random.default_rng(0)
    x = (rng.random((ROWS, n_pre)) < DENSITY).astype(dtype)
    w, g = (torch.from_numpy(rng.standard_normal(shape).astype(dtype)) for shape in ((n_pre, n_post), (ROWS, n_post)))
    dense, events = torch.from_numpy(x), Events.of(x, True)

    def finding() -> None:
        Events.of(x, True)

    def listed() -> None:
        events.product(w)
        vars(events).pop("by_column", None)
        events.weight_gradient(g)

    def multiplied() -> None:
        _ = dense @ w, dense.t() @ g

    fixed, sparse, full = _best(finding), _best(listed), _best(multiplied)
    return float(np.clip((full - fixed) / sparse * float(x.mean()), NEVER, 1.0))


def _best(work: Callable[[], None]) -> float:
    """Return the shortest time of a few."""
    times = []
    for _ in range(REPEATS + 1):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return min(times[1:])  # the first may compile


def _processor() -> str:
    from llvmlite.binding import get_host_cpu_name

    return str(get_host_cpu_name())


def _file() -> Path:
    return cache_folder() / "products.json"


def _read(path: Path) -> dict[str, float]:
    try:
        return {str(k): float(v) for k, v in json.loads(path.read_text(encoding="utf-8")).items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}  # absent, or damaged: measured anew


def _write(path: Path, known: dict[str, float]) -> None:
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(known, file, indent=1, sort_keys=True)
        os.replace(temporary, path)
    except OSError:
        pass  # a cache that cannot be written is measured again next time
