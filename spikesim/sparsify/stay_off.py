"""Filters that are switched off stay off while the network goes on learning.

:func:`spikesim.sparsify.filters.switched_off` sets a filter's gain, shift and bias to 0, and that is where training
would start from: a backdoor that was pruned comes back within a few steps of fine-tuning. With ``train(...,
sparsity=StayOff())`` these numbers have no gradient, hence no moments, and do not move.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spikesim.connect import Chain, Conv2d
from spikesim.errors import InvalidValueError
from spikesim.sparsify.rnp_rules import kernel_held

if TYPE_CHECKING:
    import torch

    from spikesim.train.upkeep import Ground


@dataclass(frozen=True)
class StayOff:
    """Keeps filters off that are off when training begins: those of gain 0, or without a norm of weights 0.

    Examples
    --------
    >>> import numpy as np
    >>> import spikesim as sp
    >>> from spikesim.layers import conv2d, dense
    >>> from spikesim.models.neurons import li, lif_soft
    >>> from spikesim.sparsify.filters import kernel, switched_off
    >>> net = sp.sequential(sp.Input("x", (1, 4, 4), graded=True), conv2d(3, 3), lif_soft(), dense(2), lif_soft())
    >>> off = switched_off(net, {"x->layer1": np.array([True, False, False])})
    >>> found = sp.train.train(
    ...     off, (np.ones((8, 1, 4, 4)), np.arange(8) % 2), sparsity=StayOff(), epochs=1, validation_fraction=0
    ... )
    >>> np.any(kernel(found.network["x->layer1"]), axis=(1, 2, 3)).tolist(), found.upkeep["sparsity"]
    ([False, True, True], {'off': {'x->layer1': 1}})
    """

    def attend(self, ground: Ground) -> _Keeper:
        """Begin with a training.

        Raises
        ------
        InvalidValueError
            If what learns is no network, or a parameter of the neurons behind a filter that is off is one number for
            all of their population.
        """
        if not hasattr(ground.module, "graph"):
            raise InvalidValueError(
                "StayOff needs a Network, whose filters are known, found a torch.nn.Module; leave sparsity out"
            )
        return _Keeper(ground.module)


class _Keeper:
    """Takes the gradients of what is off."""

    settled = 0.0

    def __init__(self, module: Any) -> None:
        self.off: dict[str, torch.Tensor] = {}
        self.held: list[tuple[Any, torch.Tensor]] = []
        problems = []
        for k, edge in enumerate(module.graph.edges):
            norm = module.norms[str(k)] if str(k) in module.norms else None
            off = _off(edge.rule, module.maps[k], norm)
            if off is None or not bool(off.any()):
                continue
            self.off[edge.name] = off
            own = [norm.scale, norm.shift] if norm is not None else [kernel_held(module.maps[k])]
            self.held += [(p, off) for p in own]
            for name, p in module.learned.items():
                if name.startswith(f"{edge.post}/"):
                    if p.ndim:
                        self.held.append((p, off.repeat_interleave(p.numel() // off.numel())))
                    else:
                        problems.append(
                            f"parameter {name!r} is one number for all neurons, so it cannot learn while some filters "
                            f"of {edge.name!r} stay off; share it by 'channel'"
                        )
        if problems:
            raise InvalidValueError("\n".join(problems))

    def tensors(self) -> dict[str, Any]:
        """Return nothing: what is off follows from the network that training starts from."""
        return {}

    def watch(self, rasters: Mapping[str, Any]) -> None:
        """Do nothing."""

    def gradients(self) -> None:
        """Take the gradients of what is off."""
        for parameter, off in self.held:
            if parameter.grad is not None:
                parameter.grad[off] = 0.0

    def stepped(self) -> None:
        """Do nothing."""

    def batch(self) -> None:
        """Do nothing."""

    def report(self) -> dict[str, Any]:
        """Return how many filters were off, by projection."""
        return {"off": {name: int(off.sum()) for name, off in self.off.items()}}


def _off(rule: Any, linear: Any, norm: Any) -> torch.Tensor | None:
    last = rule.rules[-1] if isinstance(rule, Chain) else rule
    if not isinstance(last, Conv2d):
        return None
    off: torch.Tensor = norm.scale == 0 if norm is not None else (kernel_held(linear) == 0).flatten(1).all(1)
    return off


__all__ = ["StayOff"]
