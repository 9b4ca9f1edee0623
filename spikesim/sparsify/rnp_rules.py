"""The two learning rules of reconstructive neuron pruning, for :func:`spikesim.train.train`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOMENTUM = 0.9


class _Watched:
    """A rule that knows the accuracy on all samples of the defence, and does nothing any more when it is done.

    Parameters
    ----------
    x, y
        Samples and labels.
    """

    def __init__(self, x: NDArray[np.float64], y: NDArray[np.int64]) -> None:
        self.x, self.y = x, y
        self.accuracy: list[float] = []
        self.done, self.last = False, (0.0, 0.0)

    def measure(self, task: Any) -> float:
        """Note the accuracy in evaluation mode."""
        import torch

        from spikesim.train.feeds import Batch

        training, right = task.module.training, 0.0
        task.module.eval()
        with torch.no_grad():
            for k in range(0, len(self.y), 256):
                x = torch.as_tensor(self.x[k : k + 256]).to(task.learner.dtype)
                right += task(Batch(x, torch.as_tensor(self.y[k : k + 256]), None)).score
        task.module.train(training)
        self.accuracy.append(right / len(self.y))
        return self.accuracy[-1]


class Ascent(_Watched):
    """Gradient ascent on the loss, until the accuracy is at most ``stop``.

    Parameters
    ----------
    x, y
        Samples on which accuracy is measured, after every step.
    stop
        Where it ends.
    """

    def __init__(self, x: NDArray[np.float64], y: NDArray[np.int64], stop: float) -> None:
        super().__init__(x, y)
        self.stop = stop

    def __call__(self, task: Any, batch: Any, update: Callable[[], None]) -> tuple[Any, float]:
        """Take a step uphill."""
        if not self.done:
            loss, score = task(batch)
            (-loss).backward()
            update()
            self.last = float(loss.detach()), score
            self.done = self.measure(task) <= self.stop
        return self.last


class Masks(_Watched):
    """Gradient descent on one mask per filter; everything else is frozen, batch norms use their running statistics.

    A filter's parameter is ``mask * frozen``, the scale of its norm or, without one, its weights; so the mask's
    gradient is the sum of ``frozen * d loss / d parameter``.

    Parameters
    ----------
    names
        Projections with masks.
    x, y
        Samples on which accuracy is measured, after every epoch.
    rate, alpha
        Learning rate; factor of the loss.
    stop
        Accuracy at which it ends; None for never.
    batch_size
        Of the training, so that an epoch's end is known.
    """

    def __init__(
        self,
        names: Sequence[str],
        x: NDArray[np.float64],
        y: NDArray[np.int64],
        rate: float,
        alpha: float,
        stop: float | None,
        batch_size: int,
    ) -> None:
        super().__init__(x, y)
        self.names, self.rate, self.alpha, self.stop = names, rate, alpha, stop
        self.steps, self.per_epoch = 0, -(-len(y) // batch_size)
        self.parameters: dict[str, Any] = {}
        self.frozen: dict[str, Any] = {}
        self.masks: dict[str, Any] = {}
        self.speed: dict[str, Any] = {}

    def __call__(self, task: Any, batch: Any, update: Callable[[], None]) -> tuple[Any, float]:
        """Take a step on the masks; the training's own optimiser has nothing to do."""
        if self.done:
            return self.last
        task.module.eval()
        if not self.masks:
            self._begin(task.module)
        loss, score = task(batch)
        (self.alpha * loss).backward()
        for name, gradient in self.gradients().items():
            self.speed[name] = MOMENTUM * self.speed[name] + gradient
            self.set(name, (self.masks[name] - self.rate * self.speed[name]).clamp(0.0, 1.0))
        self.last = float(loss.detach()), score
        self.steps += 1
        if self.steps % self.per_epoch == 0:
            self.done = self.measure(task) >= (2.0 if self.stop is None else self.stop)
        return self.last

    def _begin(self, module: Any) -> None:
        for p in module.parameters():
            p.requires_grad_(False)
        for k, edge in enumerate(module.graph.edges):
            if edge.name in self.names:
                held = module.norms[str(k)].scale if str(k) in module.norms else kernel_held(module.maps[k])
                held.requires_grad_(True)
                self.parameters[edge.name], self.frozen[edge.name] = held, held.detach().clone()
                self.masks[edge.name] = held.new_ones(len(held)).detach()
                self.speed[edge.name] = held.new_zeros(len(held)).detach()

    def gradients(self) -> dict[str, Any]:
        """Return the gradients of the masks, and clear those of what they scale."""
        found = {}
        for name, held in self.parameters.items():
            found[name] = (held.grad * self.frozen[name]).reshape(len(held), -1).sum(1)
            held.grad = None
        return found

    def set(self, name: str, mask: Any) -> None:
        """Put masks on."""
        frozen = self.frozen[name]
        self.masks[name] = mask
        self.parameters[name].data.copy_(frozen * mask.reshape(-1, *[1] * (frozen.ndim - 1)))

    def result(self) -> dict[str, NDArray[np.float64]]:
        """Return the masks by projection, ``[filters]``."""
        return {name: mask.cpu().double().numpy() for name, mask in self.masks.items()}


def kernel_held(linear: Any) -> Any:
    """Return the kernel of a convolution as the torch module holds it, of a chain that of its last part."""
    return linear.parts[-1].weight if hasattr(linear, "parts") else linear.weight


__all__ = ["Ascent", "Masks", "kernel_held"]
