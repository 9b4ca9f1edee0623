"""A torch module of weight layers and spiking neurons as a network."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from spikesim.connect.base import Shape
from spikesim.convert import norse, snntorch  # noqa: F401  (they fill the table of neurons)
from spikesim.convert.cells import CELLS, MANY, Cell, class_key
from spikesim.convert.report import ImportReport
from spikesim.convert.torch_network import Builder
from spikesim.convert.tracing import HIDDEN, Recorder, raster
from spikesim.errors import InvalidValueError
from spikesim.network import Network
from spikesim.optional import require

CALLS = 3  # of a module that does one step: a loop shows from the second on


def _spiking_layer(module: Any, shape: Shape) -> Cell:
    """Read spikesim's own layer of neurons (``train.spiking``): it holds its neuron, and what it has learned."""
    drawn = {name: module.given[name] for name in module.neuron.params}
    learned = {name: module.value().params[name] for name in module.learned}
    neuron = module.neuron(**{**drawn, **learned})
    return Cell(neuron, many=True, silent=module.output != "spike", dt=float(module.dt))


CELLS["spikesim.SpikingLayer"] = _spiking_layer
MANY.add("spikesim.SpikingLayer")


def from_torch(
    module: Any,
    sample: Any = None,
    *,
    dt: float | None = None,
    graded: bool | None = None,
    per_step: bool = False,
    verify: bool = False,
    name: str | None = None,
) -> tuple[Network, ImportReport]:
    """Return the network that a torch module is.

    The module runs once on the sample, in evaluation mode and without gradients, and what its layers and neurons are
    given is followed: a ``Sequential``, neurons with hidden or explicit states, a loop over time in ``forward``,
    residual sums, loops, shared neurons. Every neuron starts from its initial state.

    Parameters
    ----------
    module
        A ``torch.nn.Module`` with neurons of snnTorch, norse or spikesim between torch's linear, convolution, pooling,
        batch norm and dropout layers.
    sample
        What the module takes in one call: a tensor, or a tuple of its arguments. Batch dimensions as the module has
        them. May be left out where the first layer is a ``Linear`` and the module takes one step.
    dt
        Time step in seconds; by default that of the module's neurons, 1 ms where they have none.
    graded
        Whether the inputs take real values instead of spikes; by default what the sample holds.
    per_step
        True for a module that does one step and a sample ``[steps, ...]``: it is called for each.
    verify
        Run the network on the same input and count the spikes that differ, in the module's precision.
    name
        Of the network; the module's class by default.

    Returns
    -------
    network : Network
        Populations are named after the modules of their neurons. Weights, parameters and thresholds are the module's;
        batch norms are folded into weights and biases; biases belong to the neurons.
    report : ImportReport
        Part by part.

    Raises
    ------
    UnsupportedError
        If a neuron, an option or a layer has no counterpart; all are listed.
    InvalidValueError
        If the module does not run on the sample.
    MissingPackageError
        If torch is not installed.
    """
    torch = require("torch", "reading a torch module")
    if not isinstance(module, torch.nn.Module):
        raise InvalidValueError(f"from_torch takes a torch.nn.Module, found {type(module).__name__}")
    arguments = _arguments(torch, module, sample)
    recorder = Recorder(module)
    with at_rest(module), torch.no_grad():
        out = _run(recorder, arguments, per_step)
    return Builder(recorder, out, dt, graded, name or type(module).__name__).build(verify)


class Seen(NamedTuple):
    """A module that ran: the network that it is, and what went through it.

    Parameters
    ----------
    network, report
        As from :func:`from_torch`.
    fired
        Population to what its neurons sent, ``[steps, samples, n]``; those that cannot fire are left out.
    inputs
        Input to what it held, ``[steps, samples, n]``.
    dtype
        ``"float32"`` or ``"float64"``.
    """

    network: Network
    report: ImportReport
    fired: Mapping[str, Any]
    inputs: Mapping[str, Any]
    dtype: str


def observe_torch(
    module: Any, sample: Any, *, dt: float | None, graded: bool | None, per_step: bool, name: str | None
) -> Seen:
    """Read a torch module, and keep what its own run emitted; parameters and errors as for :func:`from_torch`."""
    torch = require("torch", "reading a torch module")
    if not isinstance(module, torch.nn.Module):
        raise InvalidValueError(f"this takes a torch.nn.Module, found {type(module).__name__}")
    recorder = Recorder(module)
    with at_rest(module), torch.no_grad():
        out = _run(recorder, _arguments(torch, module, sample), per_step)
    if recorder.calls > 1 and not per_step:
        raise InvalidValueError(
            f"{type(module).__name__} does one step in a call; pass per_step=True and a sample [steps, samples, ...]"
        )
    builder = Builder(recorder, out, dt, graded, name or type(module).__name__)
    network, report = builder.build(verify=False)
    return Seen(network, report, *builder.observed(network), builder.dtype)


def _arguments(torch: Any, module: Any, sample: Any) -> tuple[Any, ...]:
    if sample is None:
        first = next((m for m in module.modules() if next(m.children(), None) is None), None)
        if type(first).__name__ != "Linear" or any(class_key(m, MANY) for m in module.modules()):
            raise InvalidValueError(
                "from_torch needs sample=, an input as the module takes it: only a module that does one step and "
                "begins with a Linear can do without"
            )
        sample = torch.zeros(1, first.in_features, dtype=first.weight.dtype)  # type: ignore[union-attr]
    arguments = tuple(sample) if isinstance(sample, (tuple, list)) else (sample,)
    return tuple(torch.as_tensor(a) if isinstance(a, np.ndarray) else a for a in arguments)


@contextlib.contextmanager
def at_rest(module: Any) -> Iterator[None]:
    """Put a module in evaluation mode and its initial state for a while; it is left as it was."""
    training = {m: m.training for m in module.modules()}
    states = {(m, name): getattr(m, name) for m in training for name in HIDDEN if name in m._buffers}
    module.eval()
    for (owner, name), value in states.items():
        setattr(owner, name, value.new_zeros(0))
    try:
        yield
    finally:
        for owner, was in training.items():
            owner.training = was
        for (owner, name), value in states.items():
            setattr(owner, name, value)


def _run(recorder: Recorder, arguments: tuple[Any, ...], per_step: bool) -> Any:
    """Run the module; one that does a single step is called again, with the state that it returned."""
    calls = [(a,) for a in arguments[0]] if per_step else [arguments]
    out = None
    with recorder.listening():
        for k, values in enumerate(calls):
            states = _states(recorder.module, out) if per_step else ()
            out = _call(recorder, (*values, *states), k if per_step else None)
        single = all(len(p.feeds) == 1 and not p.cell.many for p in recorder.populations)
        if not per_step and single and recorder.populations:
            for _ in range(CALLS - 1):
                if recorder.restarted:
                    break
                states = _states(recorder.module, out)
                if len(arguments) > 1 and len(arguments) != 1 + len(states):
                    break
                out = _call(recorder, (arguments[0], *states), None)
    if per_step and recorder.restarted:
        recorder.problem(
            "its neurons start anew in every call, so it cannot be called step by step; let forward take and return "
            "their states, or make them with init_hidden=True"
        )
    return out


def _states(module: Any, out: Any) -> tuple[Any, ...]:
    """Return the part of a module's result that its next call takes: (output, state) or (output, state, state, ...)."""
    takes = len(inspect.signature(module.forward).parameters) - 1
    given = out[1:] if isinstance(out, tuple) else ()
    return tuple(given) if takes and len(given) == takes else ()


def _call(recorder: Recorder, values: tuple[Any, ...], call: int | None) -> Any:
    import torch

    names = list(inspect.signature(recorder.module.forward).parameters)
    recorder.begin()
    for k, value in enumerate(values):
        name = "input" if k == 0 else names[min(k, len(names) - 1)]
        given = value if k == 0 and isinstance(value, dict) else {name: value}
        for label, tensor in given.items():
            if isinstance(tensor, torch.Tensor) and recorder.of(tensor) is None:
                recorder.source(str(label), tensor, call)
    try:
        return recorder.module(*values)
    except Exception as error:
        raise InvalidValueError(
            f"the module does not run on a sample of shape {[tuple(getattr(v, 'shape', ())) for v in values]}: "
            f"{type(error).__name__}: {error}"
        ) from error


def rasters(module: Any, data: Mapping[str, Any], shapes: Mapping[str, Shape], dtype: str) -> list[Any]:
    """Run a module that does one step on data for its inputs.

    Parameters
    ----------
    module
        As :func:`~spikesim.convert.to_snntorch` and :func:`~spikesim.convert.to_norse` make them.
    data
        ``[steps, samples, n]`` by input.
    shapes
        Of the inputs.
    dtype
        ``"float32"`` or ``"float64"``.

    Returns
    -------
    list
        What its modules of neurons sent, ``[steps, samples, n]``, in the order in which they are called.
    """
    import torch

    steps, samples = next(iter(data.values())).shape[:2]
    rows = {
        name: torch.as_tensor(np.array(v)).to(getattr(torch, dtype)).reshape(steps, samples, *shapes[name])
        for name, v in data.items()
    }
    recorder, out = Recorder(module), None
    with at_rest(module), torch.no_grad(), recorder.listening():
        for k in range(steps):
            x = {name: v[k] for name, v in rows.items()}
            given = x if len(x) > 1 else next(iter(x.values()))
            out = _call(recorder, (given, *_states(module, out)), k)
    return [raster(p) for p in recorder.populations]


__all__ = ["from_torch", "rasters"]
