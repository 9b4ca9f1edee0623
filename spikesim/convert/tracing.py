"""Run a torch module on a sample and write down which neurons meet which signals.

The module is run as it is, so every way of writing one can be read: a ``Sequential``, hidden or explicit states, a
loop over time inside ``forward``. The structure is that of the last step; what the steps before lack must be what had
not arrived yet. A signal of an earlier step is a delay.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from spikesim.connect.base import Shape
from spikesim.convert.cells import CELLS, MANY, Cell, changed_base, class_key
from spikesim.convert.signals import Path, Signal
from spikesim.convert.tensor_functions import SAME, Operands, constant, follow, indexed, stacked
from spikesim.convert.torch_layers import LAYERS, apply_layer
from spikesim.errors import InvalidValueError, UnsupportedError
from spikesim.models.neurons import li

PACKAGES = ("torch", "snntorch", "norse", "nirtorch")
LOOKED_INTO = ("Flatten", "Unflatten", "SequentialState", "RecurrentSequential", "Lift")
HIDDEN = ("mem", "syn", "spk", "syn_exc", "syn_inh")
"""Buffers in which snnTorch's neurons keep their states."""


@dataclass
class Seen:
    """A population: a module, or one of the states that a module is called with.

    Parameters
    ----------
    name
        Of the population.
    module, cell, shape
        What it is.
    feeds
        What arrived, step by step.
    spikes
        What it sent, step by step: tensors ``[samples, ...]``, or one ``[steps, samples, ...]``.
    """

    name: str
    module: Any
    cell: Cell
    shape: Shape
    feeds: list[Signal] = field(default_factory=list)
    spikes: list[Any] = field(default_factory=list)


class Recorder:
    """Follows signals through a torch module while it runs.

    Parameters
    ----------
    module
        The torch module, in evaluation mode.
    """

    def __init__(self, module: Any) -> None:
        self.module = module
        self.names = {m: name or type(m).__name__ for name, m in module.named_modules()}
        self.populations: list[Seen] = []
        self.problems: list[str] = []
        self.inputs: dict[str, dict[int | None, Any]] = {}  # by name, then by step: what was sent
        self.sizes: dict[str, Shape] = {}
        self.layers: dict[str, bool] = {}  # whether a layer's output reached a neuron
        self._signals: dict[int, tuple[Any, Signal]] = {}
        self._owners: dict[int, tuple[Any, Seen]] = {}
        self._memo: dict[Any, Signal] = {}
        self._inside = 0
        self._started: dict[Any, int] = {}
        self.restarted = False  # the module was called again and begins with initial states each time
        self.calls = 0  # of the whole module

    # ------------------------------------------------------------------------------------------------------ signals
    def of(self, value: Any) -> Signal | None:
        """Return the signal of a tensor, or None."""
        entry = self._signals.get(id(value))
        return entry[1] if entry is not None else None

    def mark(self, value: Any, signal: Signal) -> None:
        """Say what a tensor carries."""
        self._signals[id(value)] = (value, signal)

    def source(self, name: str, value: Any, call: int | None) -> None:
        """Say that a tensor is an input: of one call, or of all."""
        self.inputs.setdefault(name, {}).update({None: value, call: value})
        self.mark(value, Signal((Path(name),)))

    def problem(self, sentence: str) -> None:
        """Say once what cannot be read."""
        if sentence not in self.problems:
            self.problems.append(sentence)

    # -------------------------------------------------------------------------------------------------------- calls
    def function(self, func: Any, args: Sequence[Any], kwargs: dict[str, Any], out: Any) -> Any:
        """Follow a tensor function; return its result (an iterator over steps is replaced by one that is known)."""
        import torch

        name = getattr(func, "__name__", "")
        if name == "__get__":
            name = getattr(getattr(func, "__self__", None), "__name__", "")
        given = [a for a in _flat((args, kwargs)) if isinstance(a, torch.Tensor)]
        if not any(id(a) in self._signals for a in given):
            return out
        if name in SAME and id(args[0]) in self._owners:  # a state that was detached is still that state
            self._owners[id(out)] = (out, self._owners[id(args[0])][1])
        if name in ("__iter__", "unbind"):
            rows = list(out)
            for k, row in enumerate(rows):
                self._take(args[0], k, row)
            return iter(rows) if name == "__iter__" else tuple(rows)
        if not isinstance(out, torch.Tensor):
            for other in (o for o in _flat(out) if isinstance(o, torch.Tensor)):
                self.mark(other, Signal(unknown=f"the function {name!r}"))
            return out
        if name in ("__getitem__", "select"):
            self._take(args[0], args[2] if name == "select" else args[1], out)
        elif name == "stack":
            self.mark(out, stacked([self.of(a) for a in args[0]]))
        elif name == "sum" and (parts := getattr(self.of(args[0]), "parts", ())):
            total = parts[0]
            for part in parts[1:]:
                total = follow("add", Operands((part, total), {}, out, lambda s: s))
            self.mark(out, total)
        else:
            self.mark(out, follow(name, Operands(args, kwargs, out, self.of)))
        return out

    def _take(self, whole: Any, index: Any, part: Any) -> None:
        signal = self.of(whole)
        if signal is None:
            return
        found = signal if signal.unknown else indexed(signal, index, part)
        self.mark(part, found)
        if not found.unknown:
            for path in found.paths:
                if path.origin in self.inputs and not path.rules:
                    self.inputs[path.origin][path.step] = part

    def layer(self, key: str, module: Any, args: Sequence[Any], out: Any) -> None:
        """Follow a layer without state."""
        name = self.names[module]
        arrived = self._arrived(args[0])
        self.layers.setdefault(name, False)
        memo = (name, arrived.key)
        if memo not in self._memo:
            self._memo[memo] = apply_layer(LAYERS[key], module, name, arrived, tuple(args[0].shape))
        found = self._memo[memo]
        self.mark(out, found if found.unknown else found.at(arrived.steps))
        self._sized(arrived, args[0], LAYERS[key].dims)

    def _arrived(self, x: Any) -> Signal:
        found = self.of(x)
        return constant(x, x) if found is None else found

    def _sized(self, arrived: Signal, x: Any, dims: int) -> None:
        """Give an input the shape in which the first layer takes it."""
        if arrived.shape is None and dims:
            for path in arrived.paths:
                self.sizes.setdefault(path.origin, tuple(int(d) for d in x.shape[-dims:]))

    def cell(self, key: str, module: Any, args: Sequence[Any], out: Any) -> None:
        """Follow a module of neurons."""
        import torch

        outputs = [o for o in _flat(out) if isinstance(o, torch.Tensor)]
        x = args[0]
        arrived = self._arrived(x)
        lead = min(2 if key in MANY else 1, x.dim() - 1)  # steps and samples, as far as there are any
        shape = arrived.shape or tuple(int(d) for d in x.shape[lead:])
        self._sized(arrived, x, len(shape))
        seen = self._population(key, module, args[1:], shape)
        step = len(seen.feeds)
        if not self.restarted:
            seen.feeds.append(arrived if arrived.unknown else replace(arrived, shape=shape))
            seen.spikes.append(outputs[0])
        for path in arrived.paths:
            self.layers.update((name, True) for name in path.layers if name in self.layers)
        for value in outputs:
            self._owners[id(value)] = (value, seen)
            self.mark(value, Signal(unknown=f"a state of the neuron {seen.name!r}; spikesim's neurons send spikes"))
        if not seen.cell.silent:
            self.mark(outputs[0], Signal((Path(seen.name, None if seen.cell.many else step),), shape=seen.shape))

    def _population(self, key: str, module: Any, states: Sequence[Any], shape: Shape) -> Seen:
        """Find the population of a call by the state that it goes on with, or begin a new one."""
        import torch

        given = [s for s in _flat(states) if isinstance(s, torch.Tensor)]
        for state in given:
            owner = self._owners.get(id(state))
            if owner is not None and owner[1].module is module:
                return owner[1]
        known = [p for p in self.populations if p.module is module]
        hidden = not given and hasattr(module, "reset_mem")
        number = 0 if hidden else self._started.get(module, 0)
        self._started[module] = number + 1
        if number < len(known):
            self.restarted = self.restarted or not hidden
            return known[number]
        name = self._fresh(self.names[module], number)
        try:
            cell = CELLS[key](module, shape)
        except (UnsupportedError, InvalidValueError) as error:
            for problem in getattr(error, "problems", [str(error)]):
                self.problem(f"{name!r} ({type(module).__name__}): {problem}")
            cell = Cell(li(beta=0.0), many=key in MANY)  # stands in, so that the rest is read too
        n = cell.front.shape[:1] if cell.front is not None else shape
        self.populations.append(Seen(name, module, cell, tuple(n)))
        return self.populations[-1]

    def _fresh(self, path: str, number: int) -> str:
        """Name a population after its module; after its place where the module has a number only."""
        last = path.rpartition(".")[2]
        name = f"layer{len(self.populations) + 1}" if last.isdigit() else path.replace("/", "_")
        return name if number == 0 else f"{name}_{number + 1}"

    def unknown(self, module: Any, args: Sequence[Any], out: Any) -> None:
        """Follow a module that no table knows."""
        import torch

        if any(isinstance(a, torch.Tensor) and self.of(a) is not None for a in _flat(args)):
            kind, name = type(module).__name__, self.names[module]
            reason = f"the {kind} {name!r}"
            package = type(module).__module__.partition(".")[0]
            if base := changed_base(module):
                self.problem(
                    f"{name!r}: {kind} changes what {base} does and has no counterpart here; write it as a neuron"
                )
            elif package != "torch":
                known = ", ".join(sorted(k.partition(".")[2] for k in CELLS if k.startswith(package)))
                self.problem(f"{name!r}: {package}'s {kind} has no counterpart here; known are {known}")
            for value in (o for o in _flat(out) if isinstance(o, torch.Tensor)):
                self.mark(value, Signal(unknown=reason))

    # ----------------------------------------------------------------------------------------------------- listening
    def kind(self, module: Any) -> tuple[str, str] | None:
        """Tell what a module is: (table, key), or None for one that is looked into."""
        for table, entries in (("cell", CELLS), ("layer", LAYERS)):
            key = class_key(module, entries)
            if key:
                return table, key
        if changed_base(module):
            return "unknown", ""
        package = type(module).__module__.partition(".")[0]
        alone = next(module.children(), None) is None or package in ("snntorch", "norse")
        looked_into = package not in PACKAGES or type(module).__name__ in LOOKED_INTO
        return ("unknown", "") if alone and not looked_into else None

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Follow everything that the module does."""
        from torch.overrides import TorchFunctionMode

        recorder = self

        class Mode(TorchFunctionMode):  # type: ignore[misc]
            def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
                out = func(*args, **(kwargs or {}))
                return out if recorder._inside else recorder.function(func, args, kwargs or {}, out)

        def before(module: Any, args: Any, kwargs: Any) -> None:
            recorder._inside += 1

        def after(module: Any, args: Any, kwargs: Any, out: Any) -> None:
            if recorder._inside == 1:
                recorder.call(module, [*args, *kwargs.values()], out)
            recorder._inside -= 1

        handles = []
        for module in self.module.modules():
            if self.kind(module) is not None:
                handles.append(module.register_forward_pre_hook(before, with_kwargs=True))
                handles.append(module.register_forward_hook(after, with_kwargs=True))
        try:
            with Mode():
                yield
        finally:
            self._inside = 0
            for handle in handles:
                handle.remove()

    def call(self, module: Any, args: Sequence[Any], out: Any) -> None:
        """Write down the call of a layer or neuron."""
        table, key = self.kind(module) or ("unknown", "")
        if table == "cell":
            self.cell(key, module, args, out)
        elif table == "layer":
            self.layer(key, module, args, out)
        else:
            self.unknown(module, args, out)

    def begin(self) -> None:
        """Say that the module is called anew."""
        self.calls += 1
        self._started = {}


def _flat(value: Any) -> Iterator[Any]:
    """Go through nested tuples, lists and dicts."""
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, (tuple, list)):
        for item in value:
            yield from _flat(item)
    else:
        yield value


def raster(seen: Seen) -> np.ndarray[Any, Any]:
    """Return what a population sent, ``[steps, samples, n]``."""
    n = int(np.prod(seen.shape))
    rows = [s.detach().cpu().numpy() for s in seen.spikes]
    if seen.cell.many:
        return np.concatenate([r.reshape(len(r), -1, n) for r in rows])
    return np.stack([r.reshape(-1, n) for r in rows])
