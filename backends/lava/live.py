"""A network as live Lava processes, for programs that go on in Lava."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spikesim.backends.lava.shims import import_lava
from spikesim.backends.lava.standalone.lava_network import LavaNetwork
from spikesim.convert.lava import SoftReset, prepare
from spikesim.convert.verify import STEPS


def build(
    network: Any,
    *,
    on_soft_reset: SoftReset | None = None,
    quantise: bool = False,
    inputs: Mapping[str, Any] | None = None,
    steps: int = STEPS,
) -> LavaNetwork:
    """Return a network as connected Lava processes, by name.

    Parameters
    ----------
    network
        A network in fixed point, or what :func:`spikesim.quantise.quantise` returned.
    on_soft_reset, quantise, inputs, steps
        As for :func:`spikesim.convert.lava.write_lava`.

    Returns
    -------
    LavaNetwork
        ``populations`` and ``projections`` are processes by name; ``connect_input(name, port)``, ``source``, ``sink``,
        ``injector`` and ``extractor`` connect the ends; ``run_config()`` chooses Lava's bit-accurate models; ``lags``
        says how many columns late each population is; ``report`` says what became of each part.

    Raises
    ------
    MissingPackageError, BackendError
        If Lava cannot be imported in this process.
    UnsupportedError
        If Lava cannot express the network; all reasons are listed.

    Notes
    -----
    Lava starts its processes by fork and fixes that for the whole process. A process that hangs in Lava does so without
    a word: run in a process of its own what must not (``run(..., backend="lava")`` and exported folders do).
    """
    from spikesim.backends.lava.processes import build_processes

    import_lava()
    prepared = prepare(network, on_soft_reset, quantise=quantise, inputs=inputs, steps=steps)
    built = build_processes(prepared.lowered.network, prepared.lowered.lags, prepared.images)
    built.report = prepared.report
    return built
