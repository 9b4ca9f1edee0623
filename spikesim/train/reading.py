"""A network as a torch module that returns what is read out, and nothing else."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from spikesim.engine import backend
from spikesim.lowering import lower
from spikesim.network import Network
from spikesim.train.readout import read_out
from spikesim.train.samples import the_input


class Reading(nn.Module):  # type: ignore[misc]
    """From samples over time ``[steps, samples, ...]`` to the last population's spikes or membranes.

    :func:`spikesim.train.evaluate` and :func:`spikesim.train.train` take it like any module. Where only scores are
    wanted it is quicker than a run, which records every spike, and batch norms need not be folded.

    Parameters
    ----------
    network
        A network with one input.
    readout
        A name in :data:`spikesim.train.readout.READOUTS`.
    dtype
        ``"float32"`` or ``"float64"``.
    learn
        Whether weights and norms learn; if not, norms use their running statistics.
    **settings
        Of :class:`spikesim.backends.torch.module.SpikingModule`: ``surrogate``, ...
    """

    def __init__(
        self, network: Network, readout: str, dtype: str = "float32", learn: bool = False, **settings: Any
    ) -> None:
        super().__init__()
        self.reader, self.entry = read_out(network, readout), the_input(network)
        engine: Any = backend("torch")
        weights: list[str] | None = None if learn else []
        self.inner = engine.module(lower(network, folded=False), weights=weights, dtype=dtype, **settings)
        self.train(learn)

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        """Run the network; returns ``[steps, samples, n]``."""
        one = given[:1] if given.stride(0) == 0 else given  # what is the same at every step is projected once
        shaped = one.reshape(*one.shape[:2], *self.entry.shape).expand(len(given), -1, *self.entry.shape)
        values: torch.Tensor = self.inner({self.entry.name: shaped}, record=self.reader.record)[self.reader.output]
        return values

    def filters_of(self, projection: str) -> Any:
        """Return the map that holds a convolution's ``weight``."""
        names = [edge.name for edge in self.inner.graph.edges]
        found = self.inner.maps[names.index(projection)]
        return found.parts[-1] if hasattr(found, "parts") else found


__all__ = ["Reading"]
