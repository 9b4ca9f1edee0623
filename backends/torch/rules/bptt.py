"""Backpropagation through time: the module's own backward pass, with a look at rows and gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from spikesim.backends.torch.module import SpikingModule
from spikesim.backends.torch.rules.parts import Watcher
from spikesim.backends.torch.wire import Wire


class Bptt:
    """The rule ``"bptt"``.

    Parameters
    ----------
    module
        The network.
    watcher
        Shows rows and gradients.
    """

    def __init__(self, module: SpikingModule, watcher: Watcher) -> None:
        self.module, self.watcher = module, watcher

    def __call__(self, task: Any, batch: Any, update: Callable[[], None]) -> tuple[torch.Tensor, float]:
        """Learn from a batch; see :class:`spikesim.train.rules.Rule`."""
        emitted: dict[str, torch.Tensor] = {}

        def look(module: Any, given: Any, outputs: dict[str, torch.Tensor]) -> None:
            emitted.update(self.module.emitted(given[0]) | outputs)

        handle = self.module.register_forward_hook(look)
        try:
            with self.watcher.listening(self.module.wires()):
                loss, score = task(batch)
        finally:
            handle.remove()
        loss.backward()
        for wire in self.module.wires():
            self.watcher(wire, _rows(wire, emitted[wire.edge.pre].detach()))
        update()
        return loss.detach(), score


def _rows(wire: Wire, values: torch.Tensor) -> torch.Tensor:
    """Return what a projection passed on within the steps, ``[m, n_pre]``."""
    if values.stride(0) == 0:
        return values[0]
    return values[: max(len(values) - min(wire.delays()), 0)].reshape(-1, wire.edge.n_pre)
