"""What a projection does in training only: batch normalisation over time, and dropout with one mask for all steps."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from spikesim.norm import PER_CHANNEL, BatchNorm


class Norm(nn.Module):  # type: ignore[misc]
    """Batch normalisation of ``[steps, samples, n]`` over steps, samples and the positions of each channel.

    In training mode by the statistics of the batch, which also move the running ones; else by the running ones.

    Parameters
    ----------
    norm
        Initial values.
    channels
        Number of channels; ``n`` is a multiple.
    learn
        Whether scale and shift are learned. If not, the running statistics stay as they are too.
    dtype, device
        Of all values.

    Notes
    -----
    What is the same at every step is normalised once. A batch with a single value per channel has no variance and is
    normalised by the running statistics.
    """

    def __init__(self, norm: BatchNorm, channels: int, learn: bool, dtype: torch.dtype, device: torch.device) -> None:
        super().__init__()
        self.norm, self.channels, self.learn = norm.spread(channels), channels, learn
        for name in PER_CHANNEL:
            tensor = torch.tensor(getattr(self.norm, name), dtype=dtype, device=device)
            if learn and name in ("scale", "shift"):
                setattr(self, name, nn.Parameter(tensor))
            else:
                self.register_buffer(name, tensor)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise."""
        rows = x[:1] if x.stride(0) == 0 else x
        flat = rows.reshape(-1, self.channels, x.shape[2] // self.channels)
        by_batch = self.training and self.learn and flat.shape[0] * flat.shape[2] > 1
        weight = self.scale if self.norm.gain == 1.0 else self.scale * self.norm.gain
        result = functional.batch_norm(
            flat, self.mean, self.var, weight, self.shift, by_batch, self.norm.momentum, self.norm.eps
        )
        return result.view(rows.shape).expand(x.shape)

    def value(self) -> BatchNorm:
        """Return the norm with the present values."""
        return replace(self.norm, **{n: getattr(self, n).detach().cpu().double().numpy() for n in PER_CHANNEL})


class Dropout(nn.Module):  # type: ignore[misc]
    """Masks for the elements of a source: drawn per sample, the same at every step.

    Parameters
    ----------
    p
        Probability that an element is left out.
    seed, name
        A mask is a function of both and of how many were drawn before, which is kept in ``state_dict``; so training
        that is resumed goes on with the same masks.
    """

    def __init__(self, p: float, seed: int, name: str) -> None:
        super().__init__()
        self.p, self.seed, self.name = p, seed, name
        self.register_buffer("drawn", torch.zeros((), dtype=torch.int64))

    @property
    def gain(self) -> float:
        """What makes up for the elements left out."""
        return 1.0 / (1.0 - self.p)

    def mask(self, samples: int, n: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
        """Draw 0 and 1, ``[samples, n]``."""
        key = f"{self.seed}/{self.name}/{int(self.drawn)}".encode()
        number = int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "little")
        generator = torch.Generator().manual_seed(int(np.int64(np.uint64(number))))
        self.drawn += 1
        return (torch.rand((samples, n), generator=generator) >= self.p).to(device, dtype)
