"""What a recorder saw of a torch module, as a network."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikesim.connect import Dense
from spikesim.connect.base import Shape, elements
from spikesim.convert.cells import CELLS, Cell
from spikesim.convert.report import ImportReport, Verification
from spikesim.convert.signals import Path, Signal, connection, plus, scaled, through
from spikesim.convert.tracing import Recorder, Seen, raster
from spikesim.engine import run
from spikesim.errors import UnsupportedError
from spikesim.models.neurons import li
from spikesim.network import Network, Population, Projection
from spikesim.stimulus import Current, Input
from spikesim.units import si


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
        self.stimuli: list[Current] = []
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
            self.report.add(
                source.name, "Input", "exact", "real values, rounded to 2^-16 in a run" if source.graded else "spikes"
            )
        network = Network(self.populations, self.projections, [*inputs, *self.stimuli], dt=self.dt, name=self.name)
        if verify:
            self.report.verification = self._verify(network)
        return network, self.report

    # -------------------------------------------------------------------------------------------------- populations
    def _population(self, seen: Seen) -> None:
        feed, name = seen.feeds[-1], seen.name
        if feed.unknown:
            self.problems.append(
                f"{name!r}: its input comes through {feed.unknown}; a network has weight layers and neurons only, so "
                "replace it, or do it to the input beforehand"
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
        """Give the neuron what the layers' biases add; one without a bias gets a current."""
        neuron = seen.cell.neuron
        bias = np.broadcast_to(np.asarray(feed.offset, np.float64).reshape(-1), (elements(seen.shape),))
        if not bias.any():
            return neuron, []
        if "bias" not in neuron.model.params:
            port = neuron.model.inputs[0]
            name = f"{seen.name}_bias"
            self.stimuli.append(Current(name, seen.name, port, times=np.zeros(1), values=bias[None].copy()))
            return neuron, [f"the layers' biases are the current {name!r}"]
        bias = bias + np.asarray(neuron.value("bias"), np.float64)
        return neuron(bias=float(bias[0]) if (bias == bias[0]).all() else bias), ["the layers' biases are its bias"]

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

    def observed(self, network: Network) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what the module's neurons sent and what its inputs held, ``[steps, samples, n]`` by name."""
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
        return fired, data

    @property
    def dtype(self) -> str:
        """The module's precision."""
        return "float64" if any("float64" in str(p.dtype) for p in self.seen.module.parameters()) else "float32"

    def _verify(self, network: Network) -> Verification:
        fired, data = self.observed(network)
        steps, samples, _ = next(iter(fired.values())).shape
        found = run(network, inputs=data, dtype=self.dtype, backend="torch")
        ours = {name: found[name].dense() for name in fired}
        differing = sum(int((ours[n].reshape(fired[n].shape) != (fired[n] > 0)).sum()) for n in fired)
        before, after = (sum(int((r > 0).sum()) for r in rasters.values()) for rasters in (fired, ours))
        return Verification(steps, samples, before, after, differing)


def _read_out() -> Any:
    return Cell(li(beta=0.0), silent=True, notes=("a read-out: its membrane is the layer's result",))


def _arrivals(signal: Signal, step: int) -> list[tuple[Any, int]]:
    return [(p.key, 0 if p.step is None else step - p.step) for p in signal.paths]


def _close(a: Any, b: Any) -> bool:
    return bool(np.allclose(np.asarray(a), np.asarray(b), rtol=1e-6, atol=1e-9))
