"""Projections over time: a linear map with one delay, or one for each group of its synapses."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from spikesim.backends.torch.delays import DelayedMap
from spikesim.backends.torch.events import known, remember, weight_gradient
from spikesim.backends.torch.linear import DenseMap, LinearMap, SparseMap
from spikesim.backends.torch.norm import Norm
from spikesim.graph import Edge

Sums = dict[str, torch.Tensor]


@dataclass(frozen=True, eq=False)
class Wire:
    """A projection with its map.

    Parameters
    ----------
    edge, linear
        The projection.
    norm
        Normalises what arrives, over all steps.
    mask, gain
        Dropout: 0 or 1 for each source element of each sample, ``[samples, n_pre]``, and what makes up for the zeros.
    """

    edge: Edge
    linear: LinearMap
    norm: Norm | None = None
    mask: torch.Tensor | None = None
    gain: float = 1.0

    def delays(self) -> list[int]:
        """Return the delays that occur; the map has one part for each."""
        return [d for d, _ in self.linear.groups] if isinstance(self.linear, SparseMap) else [self.edge.max_delay]

    def apply(self, x: torch.Tensor, group: int) -> torch.Tensor:
        """Project ``[samples, n_pre]`` over the synapses of one delay."""
        return self._sums(self.kept(x), group)

    def _sums(self, x: torch.Tensor, group: int) -> torch.Tensor:
        result: torch.Tensor = self.linear(x, group) if isinstance(self.linear, SparseMap) else self.linear(x)
        # the gain comes after the product, so that spikes stay 0 and 1
        return result if self.gain == 1.0 else result * self.gain

    def kept(self, x: torch.Tensor) -> torch.Tensor:
        """Leave out what dropout leaves out; ``[samples, n_pre]`` or ``[steps, samples, n_pre]``."""
        if self.mask is None:
            return x
        if x.ndim == 3 and x.stride(0) == 0:  # the same at every step, and so it stays
            return (x[0] * self.mask).expand(x.shape)
        return x * self.mask

    def all_steps(self, values: torch.Tensor) -> torch.Tensor:
        """Project ``[steps, samples, n_pre]`` over all steps, with all that the projection does."""
        values = self.kept(values)
        arrived = self._sums(values, 0) if isinstance(self.linear, DelayedMap) else self._shifted(values)
        return arrived if self.norm is None else self.norm(arrived)

    def _shifted(self, values: torch.Tensor) -> torch.Tensor:
        """Take one product per delay, and shift by the delay."""
        steps, samples, _ = values.shape
        total = values.new_zeros(())
        for group, delay in enumerate(self.delays()):
            rest = max(steps - delay, 0)
            if values.stride(0) == 0:  # the same at every step: one product serves all
                sums = self._sums(values[0], group).expand(rest, samples, self.edge.n_post)
            else:
                sums = self._sums(_rows(values, rest), group)
                sums = sums.view(rest, samples, self.edge.n_post)
            shifted = sums if not delay else torch.cat([sums.new_zeros((steps - rest, *sums.shape[1:])), sums])
            total = total + shifted if group else shifted
        return total.expand(steps, samples, self.edge.n_post)

    def add_transposed(self, gradient: torch.Tensor, group: int, total: torch.Tensor) -> None:
        """Add the gradient for ``x`` ``[m, n_pre]`` of :meth:`apply` to a total."""
        back = None
        if self.linear.back is not None:
            back = self.linear.back(self.linear, gradient, group)
        elif (matrix := self._matrix(group)) is not None:
            if self.mask is None:
                total.addmm_(gradient, matrix.t(), alpha=self.gain)
                return
            back = gradient @ matrix.t()
        if back is not None:
            total += back if self.mask is None else back * self.mask * self.gain
            return
        with torch.enable_grad():
            x = gradient.new_zeros((len(gradient), self.edge.n_pre)).requires_grad_()
            total += torch.autograd.grad(self.apply(x, group), x, gradient)[0]

    def _matrix(self, group: int) -> torch.Tensor | None:
        """Return the weights of one delay as ``[n_pre, n_post]``, if there is such a matrix."""
        if isinstance(self.linear, DenseMap):
            weight: torch.Tensor = self.linear.weight.detach()
            return weight
        with torch.no_grad():
            return self.linear.matrix(group) if isinstance(self.linear, SparseMap) and self.linear.dense else None

    def weight_gradients(self, spikes: torch.Tensor, d_input: torch.Tensor) -> list[torch.Tensor | None]:
        """Return the gradients of the map's parameters.

        Parameters
        ----------
        spikes
            What was projected, ``[steps, samples, n_pre]``.
        d_input
            Gradient of where it arrived, ``[steps + longest delay or more, samples, n_post]``, 0 after the last step.
        """
        parameters = list(self.linear.parameters())
        if not parameters:
            return []
        steps = len(spikes)
        if isinstance(self.linear, DenseMap) and self.linear.weight is parameters[0]:  # and not made from it
            (delay,) = self.delays()
            arrived = d_input[delay : delay + steps].reshape(-1, self.edge.n_post)
            found = weight_gradient(_rows(self.kept(spikes), steps), arrived, self.linear.spikes)
            return [found if self.gain == 1.0 else found * self.gain]
        with torch.enable_grad():
            arrived = self.all_steps(spikes)
            return list(torch.autograd.grad(arrived, parameters, d_input[:steps], allow_unused=True))


def _rows(values: torch.Tensor, steps: int) -> torch.Tensor:
    """Return the first steps of ``[steps, samples, n]`` as one matrix, along with events that are known of it."""
    flat = values[:steps].reshape(-1, values.shape[2])
    events = known(values)
    remember(flat, events.first(len(flat)) if events is not None else None)
    return flat
