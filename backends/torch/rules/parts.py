"""The matrices of a network, each with the presynaptic rows that make its gradient.

A rule gives a projection rows ``x`` ``[m, n_pre]``: spikes, traces or weighted averages. Where the matrix is a
convolution, or stands behind others in a chain, its own rows are patches of what the maps before it make of ``x``. The
gradient of every matrix then is ``error^T rows``, ``[n_post, n]``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn import functional

from spikesim.backends.torch.linear import ChainMap, Conv2dMap, DenseMap, DiagonalMap, LinearMap, SparseMap
from spikesim.backends.torch.module import SpikingModule
from spikesim.backends.torch.wire import Wire
from spikesim.errors import InvalidValueError
from spikesim.train.readout import Readout
from spikesim.train.rules import Hook


@dataclass(frozen=True, eq=False)
class Part:
    """A matrix of weights.

    Parameters
    ----------
    name
        Of its projection; with ``/`` and its place if that is a chain with several matrices.
    linear
        The map that holds it.
    before
        The maps of the same chain that come first.
    """

    name: str
    linear: LinearMap
    before: tuple[LinearMap, ...]

    @property
    def weight(self) -> torch.Tensor:
        """The weights as they are held: a parameter if they are learned."""
        return weight_of(self.linear)

    def matrix(self, values: torch.Tensor) -> torch.Tensor:
        """Bring weights, or their gradient, into the form ``[n_post, n]`` (of sparse synapses: ``[synapses]``)."""
        if isinstance(self.linear, DenseMap):
            return values.t()
        return values.flatten(1) if isinstance(self.linear, Conv2dMap) else values

    def held(self, matrix: torch.Tensor) -> torch.Tensor:
        """Undo :meth:`matrix`."""
        return matrix.t() if isinstance(self.linear, DenseMap) else matrix.reshape(self.weight.shape)

    def rows(self, x: torch.Tensor, most: int | None, generator: torch.Generator) -> torch.Tensor:
        """Return the rows that a projection's ``x`` ``[m, n_pre]`` brings to this matrix.

        Parameters
        ----------
        x
            What was projected.
        most
            Draw so many at random if there are more.
        generator
            For that.
        """
        for linear in self.before:
            x = linear(x)
        windows = _windows(self.linear, x) if isinstance(self.linear, Conv2dMap) else x
        places = windows.shape[:-3] if isinstance(self.linear, Conv2dMap) else windows.shape[:1]
        total = places.numel()
        if most is None or total <= most:
            return windows.reshape(total, -1)
        chosen = torch.randperm(total, generator=generator)[:most].to(x.device)
        return windows[torch.unravel_index(chosen, places)].reshape(most, -1)


def _windows(linear: Conv2dMap, x: torch.Tensor) -> torch.Tensor:
    """Return a view of the patches that a convolution sees, ``[m, height, width, channels, kernel, kernel]``."""
    image = functional.pad(x.reshape(-1, *linear.shape), [linear.padding] * 4)
    high, wide = linear.weight.shape[2:]
    return image.unfold(2, high, linear.stride).unfold(3, wide, linear.stride).permute(0, 2, 3, 1, 4, 5)


def parts(wire: Wire) -> list[Part]:
    """Return the matrices of a projection, in the order of the signal; fixed sums such as pooling are none."""
    found = list(_leaves(wire.linear, ()))
    name = wire.edge.name
    return [Part(f"{name}/{k}" if len(found) > 1 else name, *leaf) for k, leaf in enumerate(found)]


def _leaves(linear: LinearMap, before: tuple[LinearMap, ...]) -> Iterator[tuple[LinearMap, tuple[LinearMap, ...]]]:
    if isinstance(linear, ChainMap):
        for part in linear.parts:
            yield from _leaves(part, before)
            before = (*before, part)
    elif isinstance(linear, (DenseMap, Conv2dMap, SparseMap)) or (isinstance(linear, DiagonalMap) and not linear.plain):
        yield linear, before


def weight_of(linear: LinearMap) -> torch.Tensor:
    """Return the weights of a matrix as they are held."""
    found: torch.Tensor = linear.values if isinstance(linear, (SparseMap, DiagonalMap)) else linear.weight
    return found


def rasters(module: SpikingModule, outputs: Mapping[str, torch.Tensor], reader: Readout) -> dict[str, torch.Tensor]:
    """Return the spikes of the populations before the last one, as a task judges them."""
    return {n.name: outputs[n.name] for n in module.graph.nodes if n.name != reader.population}


def one_length(rule: str, batch: Any) -> None:
    """Refuse samples that end at different steps."""
    if batch.lengths is not None:
        raise InvalidValueError(f"rule {rule!r} needs samples that all have the same number of steps; use rule 'bptt'")


@dataclass(frozen=True, eq=False)
class Watcher:
    """Shows rows and gradients to a hook, and takes back what it makes of the gradients.

    Parameters
    ----------
    hook
        The user's function, or None.
    most
        Rows that it is shown at most; None for all.
    generator
        Draws them.
    """

    hook: Hook | None
    most: int | None
    generator: torch.Generator
    heard: dict[str, list[torch.Tensor]] = field(default_factory=dict)

    @contextmanager
    def listening(self, wires: Iterable[Wire]) -> Iterator[None]:
        """Hear the errors of all rows in the backward passes of what is computed within."""
        self.heard.clear()
        chosen = [p for w in wires for p in parts(w) if isinstance(p.linear, DenseMap) and p.linear.learn]
        handles = [p.linear.register_forward_hook(self._listener(p.name)) for p in chosen if self.hook is not None]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _listener(self, name: str) -> Callable[[Any, Any, torch.Tensor], None]:
        def listen(linear: Any, given: Any, result: torch.Tensor) -> None:
            if result.requires_grad:
                result.register_hook(lambda error: self.heard.setdefault(name, []).append(error))

        return listen

    def __call__(self, wire: Wire, x: torch.Tensor, error: torch.Tensor | None = None) -> None:
        """Show the gradients that the learned matrices of a projection hold.

        Parameters
        ----------
        wire
            The projection; its parameters have gradients.
        x
            What was projected, ``[m, n_pre]``.
        error
            Gradient of what it became, ``[m, n_post]``, if it was not heard.
        """
        if self.hook is None:
            return
        with torch.no_grad():
            for part in parts(wire):
                gradient = part.weight.grad
                if gradient is None:
                    continue
                shown = part.matrix(gradient)
                rows = part.rows(x.detach(), self.most, self.generator)
                rows.error = self._error(part, len(x), error)
                rows.whole = x.detach() if len(rows) < len(x) else None
                answer = self.hook(part.name, rows, shown)
                if answer is None:
                    continue
                if answer.shape != shown.shape:
                    raise InvalidValueError(
                        f"the hook's gradient of {part.name!r} must have the shape {list(shown.shape)}, "
                        f"found {list(answer.shape)}; return None to keep the gradient"
                    )
                part.weight.grad = part.held(answer).contiguous()

    def _error(self, part: Part, rows: int, error: torch.Tensor | None) -> torch.Tensor | None:
        """Return the error of each row, if it is at hand."""
        if part.before or not isinstance(part.linear, DenseMap):
            return None
        found = self.heard.pop(part.name, []) if error is None else [error]
        return found[0] if len(found) == 1 and len(found[0]) == rows else None
