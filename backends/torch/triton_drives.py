"""What enters a network in a stretch of steps, made on the device; currents and data are copied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from spikesim.backends.torch.triton_random import bernoulli, ornstein_uhlenbeck, poisson
from spikesim.drive import DriveState, padded, poisson_probabilities
from spikesim.equations.inversion import _CENTRE, _FAR, _TAIL
from spikesim.graph import Graph
from spikesim.rng import Stream
from spikesim.stimulus import Current, OrnsteinUhlenbeck, Poisson, PoissonDrive

# numbers a program draws; the interpreter takes the programs one by one
BLOCK = {"cuda": 128, "cpu": 1 << 14}
BLOCK_OVER_TIME = {"cuda": 128, "cpu": 1 << 10}


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
        """Compute the sums of the steps ``first .. first + steps - 1``; stretches follow one another."""
        out = self.sums[:steps]
        if not len(out):
            return
        for position, state in enumerate(self.states):
            match state.drive:
                case PoissonDrive():
                    self._poisson(state, state.drive, out, first, bool(position))
                case OrnsteinUhlenbeck():
                    self._noise(state, state.drive, out, first, bool(position))
                case _:
                    values = torch.as_tensor(state.values(first, steps), device=self.device)
                    out.copy_(out + values if position else values.expand(out.shape))

    def _numbers(self, values: Any) -> torch.Tensor:
        return torch.as_tensor(np.asarray(values, np.float64), device=self.device)

    def _poisson(self, state: DriveState, drive: PoissonDrive, out: torch.Tensor, first: int, add: bool) -> None:
        weight = self._numbers([drive.weight])
        for begin, end, tables, which, parts in state.poisson_tables(drive, first, len(out)):
            rows = torch.as_tensor(tables.astype(np.int64), device=self.device)
            part, rates = out[begin:end], torch.as_tensor(which, device=self.device)
            draws = (weight, rows, rates, rows.shape[1], parts, *_place(state.stream, first + begin, part))
            block = BLOCK[self.device.type]
            poisson[(-(-part.numel() // block),)](part, *draws, ADD=add, BLOCK=block, enable_fp_fusion=False)

    def _noise(self, state: DriveState, drive: OrnsteinUhlenbeck, out: torch.Tensor, first: int, add: bool) -> None:
        decay, kick = state.decay(drive)
        begun = state.noise is not None
        noise = self._numbers(state.noise if begun else np.zeros(out.shape[1:]))
        numbers = self._numbers([drive.mean, drive.sd, decay, drive.sd * kick])
        draws = (
            noise,
            numbers,
            self._numbers([*_CENTRE, *_TAIL, *_FAR]),
            int(begun),
            *_place(state.stream, first, out),
        )
        block = BLOCK_OVER_TIME[self.device.type]
        grid = (-(-noise.numel() // block),)
        ornstein_uhlenbeck[grid](out, *draws, ADD=add, BLOCK=block, enable_fp_fusion=False)
        state.noise = noise.cpu().numpy()  # what a snapshot holds, wherever the run goes on


def draw_spikes(graph: Graph, source: Poisson, out: torch.Tensor, first: int) -> None:
    """Fill ``out`` (uint8 ``[steps, samples, n]``) with the spikes of Poisson sources from step ``first`` on."""
    stream = Stream(graph.seed, source.name)
    for begin, end, chance in poisson_probabilities(source, graph.dt, first, len(out)):
        part, block = out[begin:end], BLOCK[out.device.type]
        probability = torch.as_tensor(np.broadcast_to(chance, source.n).copy(), device=out.device)
        place = _place(stream, first + begin, part)
        bernoulli[(-(-part.numel() // block),)](part, probability, *place, BLOCK=block, enable_fp_fusion=False)


def _place(stream: Stream, first: int, out: torch.Tensor) -> tuple[int, ...]:
    """Return what tells the kernels which draws to make: first step, stream, key, indices of a sample, sizes."""
    return first, stream.id, *stream.key, padded(out.shape[2]), *out.shape
