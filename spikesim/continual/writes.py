"""How often a weight was written: what a memory cell wears out by, and what learning costs on a chip."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


class Writes:
    """Counts the updates that changed a value, of everything that is learned.

    Attributes
    ----------
    count
        Changed values, summed over all steps of the optimiser.
    """

    def __init__(self) -> None:
        self.count = 0

    def around(self, hook: Callable[..., None] | None) -> Callable[[Mapping[str, Any], Callable[[], None]], None]:
        """Return a :class:`spikesim.train.rules.StepHook` that counts what another one, or the plain step, changes."""

        def counting(parameters: Mapping[str, Any], step: Callable[[], None]) -> None:
            before = {name: p.detach().clone() for name, p in parameters.items()}
            if hook is None:
                step()
            else:
                hook(parameters, step)
            self.count += sum(int((p.detach() != before[name]).sum()) for name, p in parameters.items())

        return counting
