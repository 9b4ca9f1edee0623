"""What a batch is put through: presented over time, read out, compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from spikesim.errors import InvalidValueError
from spikesim.stimulus import Input
from spikesim.train.feeds import Batch
from spikesim.train.learner import Learner
from spikesim.train.losses import Loss, RateRegulariser, aligned
from spikesim.train.readout import Readout, within
from spikesim.train.samples import Encode, check_width, present


class Outcome(NamedTuple):
    """Of a batch: the loss, to be differentiated, and how many answers were right (or the mean squared error)."""

    loss: torch.Tensor
    score: float


@dataclass(frozen=True, eq=False)
class Task:
    """What is minimised.

    Parameters
    ----------
    learner
        What is trained.
    entry
        Where samples go in; None for a user's module, which takes any shape.
    reader, loss, regularisers
        What is read and what is minimised.
    encode, steps
        How samples are presented.
    mixed_precision
        Whether products are computed in bfloat16; states, losses and gradients of states are not.
    watch
        Shown the rasters of every batch.
    """

    learner: Learner
    entry: Input | None
    reader: Readout
    loss: Loss
    regularisers: Sequence[RateRegulariser]
    encode: Encode
    steps: int
    mixed_precision: bool = False
    watch: Callable[[Mapping[str, torch.Tensor]], None] | None = None

    @property
    def module(self) -> torch.nn.Module:
        """The module that learns."""
        return self.learner.module

    def __call__(self, batch: Batch) -> Outcome:
        """Return the outcome of a batch."""
        given = self.over_time(batch.x)
        with torch.autocast(self.learner.device.type, torch.bfloat16, enabled=self.mixed_precision):
            values, rasters = self.learner(given)
        return self.judge(values.to(self.learner.dtype), rasters, batch)

    def over_time(self, x: torch.Tensor) -> torch.Tensor:
        """Return samples as ``[steps, samples, *shape]``."""
        if self.encode not in ("constant", "sequence"):
            return torch.as_tensor(np.array(present(x.numpy(), self.encode, self.steps, self.entry)))
        constant = self.encode == "constant"
        shape = x.shape[1:] if constant else x.shape[2:]
        if self.entry is not None:
            check_width(shape, self.encode, self.entry)
            shape = self.entry.shape
        if constant:  # stays a tensor that is the same at every step
            return x.reshape(len(x), *shape).expand(self.steps, -1, *shape)
        return x.transpose(0, 1).reshape(x.shape[1], len(x), *shape)

    def judge(self, values: torch.Tensor, rasters: Mapping[str, torch.Tensor], batch: Batch) -> Outcome:
        """Return the outcome of what the module gave.

        Parameters
        ----------
        values
            Spikes or membranes of the last population, ``[steps, samples, n]``.
        rasters
            Spikes of the populations before it, by name.
        batch
            The labels or targets, and lengths.
        """
        if self.watch is not None:
            self.watch(rasters)
        device = values.device
        target, lengths = batch.y.to(device), None if batch.lengths is None else batch.lengths.to(device)
        self._check(target, values, lengths)
        scores = self.reader.scores(values, lengths)
        compared = values if self.loss.over_time or target.ndim == 3 else scores
        value = self.loss(compared, target, len(values), lengths)
        for regulariser in self.regularisers:
            value = value + regulariser(rasters)
        return Outcome(value, self._score(compared, scores, target, lengths))

    def _check(self, target: torch.Tensor, values: torch.Tensor, lengths: torch.Tensor | None) -> None:
        """Refuse labels and lengths that do not fit what came out."""
        steps, _, n = values.shape
        if target.ndim == 1 and int(target.max()) >= n:
            raise InvalidValueError(
                f"labels go up to {int(target.max())}, but {self.reader.population!r} has {n} neurons"
            )
        if target.ndim > 1 and (target.shape[-1] != n or (target.ndim == 3 and target.shape[1] != steps)):
            wanted = [len(target), n] if target.ndim == 2 else [len(target), steps, n]
            raise InvalidValueError(f"targets need the shape {wanted}, found {list(target.shape)}")
        if lengths is not None and int(lengths.max()) > steps:
            raise InvalidValueError(f"lengths go up to {int(lengths.max())}, but samples have {steps} steps")

    def _score(
        self, compared: torch.Tensor, scores: torch.Tensor, target: torch.Tensor, lengths: torch.Tensor | None
    ) -> float:
        if target.ndim == 1:
            # the first of equals wins, as in a read-out of a recording
            return float((scores.detach().cpu().numpy().argmax(1) == target.cpu().numpy()).sum())
        error = (compared.detach() - aligned(target)).square()
        if target.ndim == 3 and lengths is not None:
            error = (error * within(lengths, len(error))).sum(0) / lengths[:, None]
        return float(error.mean()) * len(target)
