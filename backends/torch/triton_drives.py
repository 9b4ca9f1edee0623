"""Drives of a stretch of steps, summed on the device: Poisson counts are drawn there, the rest is copied."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from spikesim.backends.torch.triton_kernels import poisson
from spikesim.drive import DriveState, padded
from spikesim.stimulus import Current, PoissonDrive

BLOCK = {"cuda": 128, "cpu": 1 << 14}  # numbers a program draws; the interpreter takes the programs one by one


class Drives:
    """What the drives of one port add, with room for a stretch.

    Parameters
    ----------
    states
        The drives in the order of the network; all of one port.
    steps
        Room.
    device
        Where to hold them.
    """

    def __init__(self, states: Sequence[DriveState], steps: int, device: torch.device) -> None:
        self.states, self.device = states, device
        self.varies = not all(isinstance(s.drive, Current) and s.drive.times.tolist() == [0.0] for s in states)
        shape = (steps if self.varies else 1, states[0].samples, states[0].n)
        self.sums = torch.zeros(shape, dtype=torch.float64, device=device)

    def fill(self, first: int, steps: int) -> None:
        """Compute the sums of the steps ``first .. first + steps - 1``."""
        out = self.sums[:steps]
        for position, state in enumerate(self.states):
            if isinstance(state.drive, PoissonDrive):
                self._draw(state, state.drive, out, first, bool(position))
                continue
            values = torch.as_tensor(state.values(first, steps)[: len(out)], device=self.device)
            out.copy_(out + values if position else values.expand(out.shape))

    def _draw(self, state: DriveState, drive: PoissonDrive, out: torch.Tensor, first: int, add: bool) -> None:
        weight = torch.tensor([drive.weight], dtype=torch.float64, device=self.device)
        for begin, end, tables, which, parts in state.poisson_tables(drive, first, len(out)):
            rows = torch.as_tensor(tables.astype(np.int64), device=self.device)
            part, rates = out[begin:end], torch.as_tensor(which, device=self.device)
            draws = (weight, rows, rates, rows.shape[1], parts, first + begin, state.stream.id, *state.stream.key)
            block = BLOCK[self.device.type]
            grid, sizes = (-(-part.numel() // block),), (padded(state.n), *part.shape)
            poisson[grid](part, *draws, *sizes, ADD=add, BLOCK=block, enable_fp_fusion=False)
