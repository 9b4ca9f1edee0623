"""Where a network runs when the user leaves it open: the CPU or a GPU, by the size of the network, with the reason."""

from __future__ import annotations

import os
from typing import Any, Final, NamedTuple

from spikesim.graph import Graph

#: From so many neurons, or so many synapses, a GPU is expected to be faster than numba on a few cores. Estimated from
#: the launches of a step (some microseconds each, whatever the size) and not measured on a GPU yet.
CUDA_NEURONS: Final = 20_000
CUDA_SYNAPSES: Final = 50_000_000
SYNAPSE_BYTES: Final = 10  # target, weight and delay, on the GPU
SPARE: Final = 0.7  # of the free memory that synapses may take


def cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Accelerator(NamedTuple):
    """A GPU that a backend can use."""

    name: str
    free: int
    """Bytes."""


class Choice(NamedTuple):
    """Where to run, and why."""

    backend: str
    device: str
    reason: str
    """One sentence; empty if nothing was left open."""


def choose(graph: Graph, backend: str | None, device: str) -> Choice:
    """Choose what was left open: ``backend`` None, ``device`` ``"auto"``.

    Parameters
    ----------
    graph
        The network.
    backend
        A backend's name; None stands for ``"numba"``, or for what is faster if the device is left open.
    device
        ``"auto"``, or a device, which is taken as it is.

    Examples
    --------
    >>> from spikesim.lowering import lower
    >>> from spikesim.models.networks import cuba
    >>> choose(lower(cuba(400)), None, "cpu")
    Choice(backend='numba', device='cpu', reason='')
    >>> choose(lower(cuba(400)), "loihi", "auto").reason
    "cpu: backend 'loihi' has no other"
    """
    if device != "auto":
        return Choice(backend or "numba", device, "")
    if backend not in (None, "torch"):
        return Choice(str(backend), "cpu", f"cpu: backend {backend!r} has no other")
    against = _against_a_gpu(graph)
    if isinstance(against, str):
        return Choice(backend or "numba", "cpu", f"cpu: {against}")
    below = f"below {_count(CUDA_NEURONS)} neurons and {_count(CUDA_SYNAPSES)} synapses it is expected to be slower"
    return Choice("torch", "cuda", f"cuda ({against.name}): {_size(graph)}; {below} (not measured)")


def _against_a_gpu(graph: Graph) -> Accelerator | str:
    """Return what speaks against a GPU, or the GPU."""
    found = _accelerator()
    if isinstance(found, str):
        return found
    if any(e.learning is not None for e in graph.edges):
        return "plastic synapses are evaluated step by step on a GPU, and only when they are touched on the cpu"
    if graph.neurons < CUDA_NEURONS and graph.synapses < CUDA_SYNAPSES:
        least = f"from {_count(CUDA_NEURONS)} neurons or {_count(CUDA_SYNAPSES)} synapses on"
        return f"{_size(graph)}; a GPU is expected to be faster {least} (not measured)"
    needed = graph.synapses * SYNAPSE_BYTES
    if needed > SPARE * found.free:
        return f"the synapses take {needed / 2**30:.1f} GiB, and {found.name} has {found.free / 2**30:.1f} GiB free"
    return found


def _accelerator() -> Accelerator | str:
    """Return the GPU of the torch backend, or why there is none."""
    from spikesim.engine import backends

    known = backends()
    if "torch" not in known:
        return "no CUDA device: the torch backend is not registered"
    engine: Any = known["torch"]()
    found = engine.availability()
    answer: Accelerator | str = engine.accelerator() if found.ok else f"no CUDA device: {found.reason} is not installed"
    return answer


def _size(graph: Graph) -> str:
    return f"{_count(graph.neurons)} neurons, {_count(graph.synapses)} synapses"


def _count(n: int) -> str:
    """Write a number of things with at most three digits and a unit, or with its digits in groups.

    >>> _count(77169), _count(298_880_968), _count(50_000_000)
    ('77 169', '299 M', '50 M')
    """
    return f"{n:,}".replace(",", " ") if n < 1_000_000 else f"{n / 1e6:.3g} M" if n < 10**9 else f"{n / 1e9:.3g} G"
