"""A torch module of weight layers and spiking neurons as a network."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from spikesim.connect import Dense
from spikesim.connect.base import Shape, elements
from spikesim.convert import norse, snntorch  # noqa: F401  (they fill the table of neurons)
from spikesim.convert.report import ImportReport, Verification
from spikesim.convert.signals import Path, Signal, connection, plus, scaled, through
from spikesim.convert.tracing import CELLS, HIDDEN, MANY, Recorder, Seen, class_key, raster
from spikesim.engine import run
from spikesim.errors import InvalidValueError, UnsupportedError
from spikesim.models.neurons import li
from spikesim.network import Network, Population, Projection
from spikesim.optional import require
from spikesim.stimulus import Input
from spikesim.units import si

CALLS = 3  # of a module that does one step: a loop shows from the second on


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
    with _at_rest(module), torch.no_grad():
        out = _run(recorder, arguments, per_step)
    return Builder(recorder, out, dt, graded, name or type(module).__name__).build(verify)


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
def _at_rest(module: Any) -> Iterator[None]:
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
                states = _states(recorder.module, out)
                if len(arguments) > 1 and len(arguments) != 1 + len(states):
                    break
                out = _call(recorder, (arguments[0], *states), None)
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
    with _at_rest(module), torch.no_grad(), recorder.listening():
        for k in range(steps):
            x = {name: v[k] for name, v in rows.items()}
            given = x if len(x) > 1 else next(iter(x.values()))
            out = _call(recorder, (given, *_states(module, out)), k)
    return [raster(p) for p in recorder.populations]


class Builder:
    """A network from what a recorder saw.

    Parameters
    ----------
    recorder
        After the module has run.
    out
        What the module returned.
    dt, graded, name
        See :func:`from_torch`.
    """

    def __init__(self, recorder: Recorder, out: Any, dt: float | None, graded: bool | None, name: str) -> None:
        self.seen, self.out, self.graded, self.name = recorder, out, graded, name
        self.report = ImportReport("torch")
        self.problems = list(recorder.problems)
        steps = [p.cell.dt for p in recorder.populations if p.cell.dt is not None]
        self.dt = float(si(dt, "s", "dt")) if dt is not None else (steps[0] if steps else 1e-3)
        if len(set(steps)) > 1:
            self.report.notes.append(f"the neurons have the steps {sorted(set(steps))} s; the network's is {self.dt:g}")
        self.populations: list[Population] = []
        self.projections: list[Projection] = []
        self.used: list[str] = []

    def build(self, verify: bool) -> tuple[Network, ImportReport]:
        """Return the network and the report."""
        if not self.seen.populations and not self.problems:
            known = ", ".join(sorted(CELLS))
            self.problems.append(f"there is no neuron in it; known are {known}")
        for population in self.seen.populations:
            self._population(population)
        self._read_outs()
        if self.problems:
            raise UnsupportedError(list(dict.fromkeys(self.problems)), f"{self.name} cannot be read as a network:")
        inputs = [Input(n, self._shape(n), graded=self._graded(n)) for n in self.used]
        for source in inputs:
            self.report.add(source.name, "Input", "exact", "real values" if source.graded else "spikes")
        network = Network(self.populations, self.projections, inputs, dt=self.dt, name=self.name)
        if verify:
            self.report.verification = self._verify(network)
        return network, self.report

    # -------------------------------------------------------------------------------------------------- populations
    def _population(self, seen: Seen) -> None:
        feed, name = seen.feeds[-1], seen.name
        if feed.unknown:
            self.problems.append(
                f"{name!r}: its input comes through {feed.unknown}; a network has weight layers and neurons only"
            )
            return
        delays = self._delays(seen)
        feed = Signal(tuple(feed.paths), feed.offset, feed.shape)
        if seen.cell.front is not None:
            feed = through(feed, f"{name} weights", Dense(seen.cell.front), 0.0, feed.shape or (), seen.shape)
        feed = plus(feed, Signal(offset=seen.cell.loop_bias))
        if np.any(np.asarray(seen.cell.gain) != 1.0):
            gain = np.broadcast_to(np.asarray(seen.cell.gain, np.float64).reshape(-1), (elements(seen.shape),))
            feed = scaled(feed, f"{name} gain", gain, 0.0, seen.shape)
        neuron, detail = self._with_bias(seen, feed)
        self.populations.append(Population(name, seen.shape, neuron))
        self.report.add(name, neuron.model.name, "exact", "; ".join([*seen.cell.notes, *detail]))
        for path, delay in zip(feed.paths, delays, strict=True):
            self._projection(path, name, seen.shape, delay)
        if seen.cell.loop is not None:
            rule, weight = seen.cell.loop
            self._add(Projection(name, name, rule, weight=weight, delay=self.dt), "a loop of one step")

    def _with_bias(self, seen: Seen, feed: Signal) -> tuple[Any, list[str]]:
        bias = np.broadcast_to(np.asarray(feed.offset, np.float64).reshape(-1), (elements(seen.shape),))
        if not bias.any():
            return seen.cell.neuron, []
        value = float(bias[0]) if (bias == bias[0]).all() else bias.copy()
        return seen.cell.neuron(bias=value), ["the layers' biases are its bias"]

    def _delays(self, seen: Seen) -> tuple[int, ...]:
        """Return the delays of the last step's paths in steps, and check that the steps before agree."""
        last = len(seen.feeds) - 1
        wanted = _arrivals(seen.feeds[last], last)
        for step, feed in enumerate(seen.feeds[:-1]):
            found = _arrivals(feed, step)
            due = [a for a in wanted if a[1] <= step]
            if sorted(found, key=repr) != sorted(due, key=repr) or not _close(feed.offset, seen.feeds[last].offset):
                self.problems.append(
                    f"{seen.name!r}: what arrives in step {step} is not what arrives in step {last}; a network is the "
                    "same in every step (a sum over time, a random number, or a bias that is missing at first?)"
                )
                break
        delays = tuple(d for _, d in wanted)
        if min(delays, default=0) < 0:
            self.problems.append(f"{seen.name!r}: it is given signals of steps to come")
        return delays

    # -------------------------------------------------------------------------------------------------- projections
    def _projection(self, path: Path, post: str, shape: Shape, delay: int) -> None:
        if path.origin in self.seen.inputs and path.origin not in self.used:
            self.used.append(path.origin)
        rule, weight = connection(path, shape)
        kinds = " ".join(type(r).__name__ for r in path.rules) or "identity"
        self._add(Projection(path.origin, post, rule, weight=weight, delay=delay * self.dt), kinds)

    def _add(self, projection: Projection, detail: str) -> None:
        taken = {p.name for p in self.projections}
        name, k = projection.name, 2
        while name in taken:
            name, k = f"{projection.name} {k}", k + 1
        parts = (projection.pre, projection.post, projection.rule, projection.weight, projection.delay)
        self.projections.append(Projection(*parts, name=name))
        self.report.add(name, type(projection.rule).__name__, "exact", detail)

    def _read_outs(self) -> None:
        """Weight layers behind the last spikes become read-outs: a neuron that never fires holds their result."""
        import torch

        values = self.out if isinstance(self.out, (tuple, list)) else (self.out,)
        for value in values:
            signal = self.seen.of(value) if isinstance(value, torch.Tensor) else None
            if signal is None or signal.unknown or not any(p.rules for p in signal.paths):
                continue
            latest = {p.name: len(p.feeds) - 1 for p in self.seen.populations}
            if any(p.step is not None and p.step != latest.get(p.origin) for p in signal.paths):
                continue
            label = str(signal.paths[0].layers[-1])
            seen = Seen(label, None, _read_out(), signal.shape or (), [signal.at((None,) * len(signal.paths))])
            self._population(seen)
            self.seen.layers.update((str(name), True) for p in signal.paths for name in p.layers)
        for layer, reached in self.seen.layers.items():
            if not reached:
                self.report.add(layer, "nothing", "impossible", "it leads to no neuron and was left out")

    # ------------------------------------------------------------------------------------------------------- inputs
    def _shape(self, name: str) -> Shape:
        return self.seen.sizes[name]

    def _graded(self, name: str) -> bool:
        if self.graded is not None:
            return self.graded
        return not all(bool(((v == 0) | (v == 1)).all()) for v in self.seen.inputs[name].values())

    def _verify(self, network: Network) -> Verification:
        fired = {p.name: raster(p) for p in self.seen.populations if network.population(p.name).model.spiking}
        steps, samples, _ = next(iter(fired.values())).shape
        data = {}
        for name in self.used:
            size = elements(self._shape(name))
            by_step = self.seen.inputs[name]
            rows = [by_step.get(k, by_step[None]) for k in range(steps)]
            if None in by_step and by_step[None].numel() == steps * samples * size and len(by_step) == 1:
                rows = list(by_step[None].reshape(steps, samples, size))
            data[name] = np.stack([r.detach().cpu().numpy().reshape(samples, size) for r in rows])
        dtype = "float64" if any("float64" in str(p.dtype) for p in self.seen.module.parameters()) else "float32"
        found = run(network, inputs=data, dtype=dtype, backend="torch")
        ours = {name: found[name].dense() for name in fired}
        differing = sum(int((ours[n].reshape(fired[n].shape) != (fired[n] > 0)).sum()) for n in fired)
        before, after = (sum(int((r > 0).sum()) for r in rasters.values()) for rasters in (fired, ours))
        return Verification(steps, samples, before, after, differing)


def _read_out() -> Any:
    from spikesim.convert.tracing import Cell

    return Cell(li(beta=0.0), silent=True, notes=("a read-out: its membrane is the layer's result",))


def _arrivals(signal: Signal, step: int) -> list[tuple[Any, int]]:
    return [(p.key, 0 if p.step is None else step - p.step) for p in signal.paths]


def _close(a: Any, b: Any) -> bool:
    return bool(np.allclose(np.asarray(a), np.asarray(b), rtol=1e-6, atol=1e-9))


__all__ = ["from_torch", "rasters"]
