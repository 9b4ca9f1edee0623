"""Random numbers of a training run: where they come from, kept and restored to the bit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from spikesim.errors import FileFormatError

State = dict[str, Any]


class Randomness:
    """The generators that a training run draws from.

    Parameters
    ----------
    seed
        Of the run's own generator: order of the samples, augmentation.
    others
        Generators that belong to the module or to a DataLoader.
    device
        Whose global generator counts besides that of the CPU.
    """

    def __init__(self, seed: int, others: Mapping[str, torch.Generator], device: torch.device) -> None:
        self.own = torch.Generator().manual_seed(seed)
        self.generators = {"own": self.own, "torch": torch.default_generator, **others}
        if device.type == "cuda":
            self.generators["cuda"] = torch.cuda.default_generators[device.index or 0]

    def state(self) -> State:
        """Return the state of every generator, numpy's global one among them."""
        found: State = {name: g.get_state().numpy().copy() for name, g in self.generators.items()}
        _, keys, *rest = np.random.get_state(legacy=True)  # noqa: NPY002  (what users' transforms draw from)
        return {**found, "numpy": {"keys": np.asarray(keys), "rest": [float(r) for r in rest]}}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Bring every generator back to a state.

        Raises
        ------
        FileFormatError
            If it is the state of other generators.
        """
        if set(state) != {*self.generators, "numpy"}:
            raise FileFormatError(
                f"states of the generators {sorted(state)}, expected {sorted([*self.generators, 'numpy'])}"
            )
        for name, generator in self.generators.items():
            generator.set_state(torch.as_tensor(np.asarray(state[name], np.uint8)))
        position, has_gauss, gauss = state["numpy"]["rest"]
        kept = ("MT19937", state["numpy"]["keys"], int(position), int(has_gauss), gauss)
        np.random.set_state(kept)  # noqa: NPY002


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's and numpy's global generators within a block; the caller's states are as before afterwards."""
    kept = np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng([device.index or 0] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        try:
            yield
        finally:
            np.random.set_state(kept)  # noqa: NPY002
