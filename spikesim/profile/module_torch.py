"""Profile a torch module of snnTorch's, norse's or spikesim's neurons by its own run: nothing is converted by hand.

The module runs once on a sample, and its structure is read by the tracer of :mod:`spikesim.convert`. The spikes counted
are those that the module itself emitted, not those of a simulation of the network that was read.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from spikesim.convert.reading_torch import at_rest, observe_torch
from spikesim.errors import InvalidValueError
from spikesim.lowering import lower
from spikesim.optional import require
from spikesim.profile.observed import observe
from spikesim.profile.rasters import recording_of_rasters
from spikesim.profile.report import Devices, profile_of
from spikesim.profile.value import Origin, Profile


def profile_module(
    module: Any,
    x: Any,
    devices: Devices = "all",
    *,
    per_step: bool = False,
    dt: float | None = None,
    graded: bool | None = None,
    weight_bits: int | None = None,
    graded_as_events: bool = False,
    name: str | None = None,
) -> Profile:
    """Profile a torch module on sample input.

    Parameters
    ----------
    module
        A ``torch.nn.Module`` with neurons of snnTorch, norse or spikesim; see
        :func:`spikesim.convert.reading_torch.from_torch` for what is understood. It is left as it was.
    x
        What the module takes in one call: a tensor or array, or a tuple of its arguments.
    devices
        As for :func:`spikesim.profile.profile`.
    per_step
        True for a module that does one step and an ``x`` of shape ``[steps, samples, ...]``: it is called for each.
    dt
        Time step in seconds; by default that of the module's neurons, 1 ms where they have none.
    graded
        Whether the inputs take real values instead of spikes; by default what ``x`` holds.
    weight_bits, graded_as_events
        As for :func:`spikesim.profile.profile`.
    name
        Of the network; the module's class by default.

    Returns
    -------
    Profile
        ``neurobench()`` also has the module's footprint and, for snnTorch's neurons, the membrane updates.

    Raises
    ------
    UnsupportedError
        If a neuron, an option or a layer has no counterpart; all are listed.
    InvalidValueError
        If the module does not run on ``x``, or does one step and ``per_step`` is not set.
    MissingPackageError
        If torch is not installed.
    """
    torch = require("torch", "profiling a torch module")
    if not isinstance(module, torch.nn.Module):
        raise InvalidValueError(f"profile_module takes a torch.nn.Module, found {type(module).__name__}")
    with at_rest(module):  # without what an earlier run left in its states
        facts = {
            "footprint_bytes": sum(v.numel() * v.element_size() for v in (*module.parameters(), *module.buffers())),
            "parameter_count": sum(v.numel() for v in module.parameters()),
        }
    with _membranes(module) as updates:
        seen = observe_torch(module, x, dt=dt, graded=graded, per_step=per_step, name=name)
    graph = lower(seen.network)
    recording = recording_of_rasters(graph, {**seen.inputs, **seen.fired}, type(module).__name__)
    run = observe(recording, graph, seen.inputs)
    samples = recording.samples
    return profile_of(
        run,
        graph,
        devices,
        Origin(backend=f"the torch module {type(module).__name__}", arithmetic=seen.dtype),
        weight_bits=weight_bits,
        graded_as_events=graded_as_events,
        membrane_updates=sum(updates) / samples if updates and samples else None,
        **facts,
    )


@contextlib.contextmanager
def _membranes(module: Any) -> Iterator[list[int]]:
    """Count changes of ``mem`` while a module runs, as NeuroBench does: the first call of a neuron counts in full."""
    import torch

    found: list[int] = []
    before: dict[Any, Any] = {}
    handles = []

    def pre(owner: Any, args: Any) -> None:
        before[owner] = owner.mem

    def post(owner: Any, args: Any, out: Any) -> None:
        old, new = before[owner], owner.mem
        same_shape = old is not None and old.shape == new.shape
        found.append(int(torch.count_nonzero(new - old)) if same_shape and owner in called else int(new.numel()))
        called.add(owner)

    called: set[Any] = set()
    for part in module.modules():
        if "mem" in getattr(part, "_buffers", {}) and type(part).__module__.startswith("snntorch"):
            handles += [part.register_forward_pre_hook(pre), part.register_forward_hook(post)]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
