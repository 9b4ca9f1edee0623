"""NIR graph -> Network."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from spikesim.connect import Chain, Connection, Conv2d, Dense, OneToOne, Sparse
from spikesim.convert import metadata
from spikesim.convert.loops import feedback, in_order
from spikesim.convert.membrane import Membrane, Vector
from spikesim.convert.nir_graph import Path, View
from spikesim.convert.nir_neurons import NEURONS, SILENT, Clock, membrane_from, memoryless, neuron_from
from spikesim.convert.nir_restore import restored_neuron
from spikesim.convert.report import ImportReport
from spikesim.network import Population, Projection
from spikesim.stimulus import Current, Input, Source, Stimulus

Shape = tuple[int, ...]


@dataclass
class Importer:
    """The network under construction.

    Parameters
    ----------
    seen
        The file.
    clock
        How to read its time constants.
    dt
        Step of the network in seconds.
    graded
        Whether inputs that the file does not describe take real values.
    frame
        What spikesim stored about the whole network; empty in a foreign file.
    report
        Grows.
    """

    seen: View
    clock: Clock
    dt: float
    graded: bool
    frame: dict[str, Any]
    report: ImportReport
    names: dict[str, str] = field(default_factory=dict)
    shapes: dict[str, Shape] = field(default_factory=dict)
    populations: list[Population] = field(default_factory=list)
    projections: list[Projection] = field(default_factory=list)
    stimuli: list[Stimulus] = field(default_factory=list)
    stored_rules: dict[str, Connection] = field(default_factory=dict)
    turns: dict[tuple[str, int], bool] = field(default_factory=dict)
    watched: dict[str, str] = field(default_factory=dict)

    @property
    def problems(self) -> list[str]:
        """What cannot be read."""
        return self.seen.problems

    def read(self) -> None:
        """Fill the parts of the network."""
        self._sources()
        self.watched = self.seen.watched()
        neurons = [n for n in self.seen.named(*NEURONS) if not self._only_watched(n)]
        neurons += self.seen.readouts()
        for name in neurons:
            self._name(name, metadata.of(self.seen.nodes[name]).get("population", name))
            shape = self.seen.shape(name)
            if shape is None:
                self.problems.append(f"node {name!r}: its number of neurons is nowhere to be found")
            self.shapes[name] = shape or (1,)
        feeds = {name: self.seen.feed(self.watched.get(name, name)) for name in neurons}
        paths = [(name, k, p.origin) for name in neurons for k, p in enumerate(feeds[name].paths)]
        back = feedback(self.seen.named("Input"), [(origin, name) for name, _, origin in paths])
        self.turns = {(name, k): b for (name, k, _), b in zip(paths, back, strict=True)}
        ahead = [(origin, name) for (name, _, origin), leads_back in zip(paths, back, strict=True) if not leads_back]
        for name in in_order(neurons, ahead):  # a file has them in the order of their names
            self._neuron(name, feeds[name].paths, feeds[name].offset)

    def _only_watched(self, name: str) -> bool:
        """Tell whether an integrator is there for Threshold nodes alone: together they are one population."""
        readers = {n for n, before in self.seen.before.items() if name in before}
        return bool(readers) and all(self.watched.get(n) == name for n in readers)

    # ---------------------------------------------------------------------------------------------------- stimuli
    def _sources(self) -> None:
        stored = {s.name: s for s in self.frame.get("stimuli", ())}
        for name in self.seen.named("Input"):
            described = metadata.of(self.seen.nodes[name])
            if self.frame and "name" not in described:
                continue  # a drive, or added by nir because a graph must begin with an Input
            label = self._name(name, described.get("name", name))
            shape = self.seen.shape(name)
            if not shape:
                self.problems.append(f"node {name!r}: an Input without a shape")
                continue
            source = stored.pop(label, None)
            self.shapes[name] = source.shape if isinstance(source, Source) else shape
            self.stimuli.append(source or Input(label, shape, graded=self.graded))
            self.report.add(label, type(self.stimuli[-1]).__name__, "exact", "restored from metadata" if source else "")
        for left in stored.values():
            self.stimuli.append(left)
            self.report.add(left.name, type(left).__name__, "exact", "restored from metadata")

    def _name(self, node: str, wanted: Any) -> str:
        label = str(wanted).replace("/", "_") or "node"
        taken, k, base = set(self.names.values()), 2, label
        while label in taken:
            label, k = f"{base}_{k}", k + 1
        self.names[node] = label
        return label

    # ------------------------------------------------------------------------------------------------ populations
    def _neuron(self, name: str, paths: tuple[Path, ...], offset: Vector) -> None:
        node, kind, label = self.seen.nodes[name], self.seen.kind(name), self.names[name]
        shape = self.shapes[name]
        n = int(np.prod(shape))
        described = metadata.of(node)
        clock = replace(self.clock, exact=True, dt=self.dt) if described.get("integrator") == "exact" else self.clock
        with np.errstate(invalid="ignore", divide="ignore"):
            membrane = self._membrane(name, n, clock)
        if self._impossible(name, membrane):
            return
        gain = np.asarray(membrane.gain)
        bias = gain * np.broadcast_to(offset.reshape(-1) if offset.ndim else offset, (n,))
        neuron, stored_shape = restored_neuron(self, name, membrane, bias)
        if neuron is not None:
            self.populations.append(Population(label, stored_shape, neuron))
            self.report.add(label, neuron.model.name, "exact", "restored from metadata")
        else:
            self._plain(label, shape, membrane, kind, bias)
        for k, path in enumerate(paths):
            self._projection(name, path, gain, self.turns[name, k])

    def _membrane(self, name: str, n: int, clock: Clock) -> Membrane:
        if self.seen.kind(name) == "Output":
            return memoryless(n)
        own = membrane_from(self.seen.nodes[name], n, clock)
        if name not in self.watched:
            return own
        below = membrane_from(self.seen.nodes[self.watched[name]], n, clock)
        return replace(below, threshold=own.threshold)

    def _plain(self, label: str, shape: Shape, membrane: Membrane, kind: str, bias: Vector) -> None:
        current = membrane.keep_u is not None
        neuron = neuron_from(membrane, kind, bias * 0.0 if current else bias)
        self.populations.append(Population(label, shape, neuron))
        if current and bias.any():  # cuba_lif's bias acts on the membrane, this one acts on the current
            self.stimuli.append(Current(f"{label}_bias", label, times=np.zeros(1), values=bias[None]))
        detail = {
            "CubaLI": "a CubaLIF whose threshold is out of reach",
            "Output": "a read-out without memory, for the weight layers before this Output",
        }.get(kind, "")
        self.report.add(label, neuron.model.name, "exact", detail)

    def _impossible(self, name: str, membrane: Membrane) -> bool:
        values = [("tau", membrane.keep_v), ("tau_syn", membrane.keep_u)]
        found = [
            f"node {name!r}: {what} is shorter than the step of {self.clock.dt:g} s, too long for Euler; "
            "give a smaller dt or integrator='exact'"
            for what, keep in values
            if keep is not None and (keep < 0).any()
        ]
        everything = [
            membrane.keep_v,
            membrane.rest,
            membrane.v_reset,
            membrane.gain,
            membrane.threshold,
            membrane.keep_u,
        ]
        if any(v is not None and not np.isfinite(v).all() for v in everything):
            found.append(f"node {name!r}: its parameters are infinite or NaN at this step")
        sizes = {v.size for v in everything if v is not None}
        if sizes != {int(np.prod(self.shapes[name]))}:
            found.append(
                f"node {name!r}: its parameters have {sorted(sizes)} values for a shape of {self.shapes[name]}"
            )
        self.problems.extend(found)
        return bool(found)

    # ------------------------------------------------------------------------------------------------ projections
    def _projection(self, name: str, path: Path, gain: Vector, turn: bool) -> None:
        origin = self.seen.kind(path.origin)
        if origin in SILENT:
            self.problems.append(
                f"node {path.origin!r}: a {origin} sends its membrane on to {name!r}; spikesim's neurons send spikes"
            )
            return
        if path.origin not in self.names:
            return
        pre, post = self.names[path.origin], self.names[name]
        stored = self._stored(path)
        rule, weight = self._rule(path, name, gain)
        if stored:
            if stored.get("rule") is not None:
                self.stored_rules[stored["name"]] = rule
                rule, weight = stored["rule"], stored["weight"]
            self.projections.append(
                Projection(
                    pre, post, rule, weight=weight, delay=stored["delay"], port=stored["port"], name=stored["name"]
                )
            )
            self.report.add(stored["name"], type(rule).__name__, "exact", "restored from metadata")
            return
        delay, rounded = self._delay(name, path, rule, turn)
        taken = {p.name for p in self.projections}
        label, k = f"{pre}->{post}", 2
        while label in taken:
            label, k = f"{pre}->{post} {k}", k + 1
        self.projections.append(Projection(pre, post, rule, weight=weight, delay=delay, name=label))
        self._row(label, path, rule, turn, rounded)

    def _row(self, label: str, path: Path, rule: Connection, turn: bool, rounded: float) -> None:
        kinds = [type(self.seen.nodes[n]).__name__ for n in path.nodes if self.seen.kind(n) != "Identity"]
        detail = [f"from {' '.join(kinds)}"] if kinds else []
        detail += [f"delays were rounded to whole steps, by up to {rounded:.3g} s"] if rounded else []
        detail += ["closes a loop, by at least one step"] if turn else []
        self.report.add(label, type(rule).__name__, "approximated" if rounded else "exact", "; ".join(detail))

    def _stored(self, path: Path) -> dict[str, Any]:
        for name in path.nodes:
            described = metadata.of(self.seen.nodes[name])
            if "projection" in described and "value" in described:
                return dict(metadata.unpack(described["value"]))
        return {}

    def _delay(self, name: str, path: Path, rule: Connection, turn: bool) -> tuple[Any, float]:
        """Return the delays in whole steps, and by how many seconds they were rounded if that is worth a word."""
        steps = self._seconds(name, path, rule) / self.dt
        whole = np.rint(steps)
        off = float(np.abs(steps - whole).max(initial=0.0))
        if off > 1e-3:
            self.report.warnings.append(f"{path.origin} -> {name}: delays were rounded to whole steps of {self.dt:g} s")
        if turn and (whole < 1).any():
            whole = np.maximum(whole, 1.0)
            self.report.notes.append(f"{path.origin} -> {name} closes a loop: a delay of one step was added")
        return whole * self.dt if whole.ndim else float(whole) * self.dt, off * self.dt if off > 1e-3 else 0.0

    def _seconds(self, name: str, path: Path, rule: Connection) -> Vector:
        """Return the delay of all synapses, or one per synapse."""
        early, late = (np.asarray(d, np.float64).reshape(-1) for d in (path.delay, path.late))
        if early.size == late.size == 1:
            return np.asarray(early[0] + late[0])
        pre, post = self.shapes[path.origin], self.shapes[name]
        rows = rule.rows(pre, post, None)  # type: ignore[arg-type]
        by_source = np.broadcast_to(early, (int(np.prod(pre)),))
        by_target = np.broadcast_to(late, (int(np.prod(post)),))
        return np.asarray(np.repeat(by_source, np.diff(rows.indptr)) + by_target[rows.indices])

    def _rule(self, path: Path, name: str, gain: Vector) -> tuple[Connection, Any]:
        """Return the rule of a path with the neuron's input gain folded in, and the weight if the rule has none."""
        rules = path.rules
        if not rules:
            return OneToOne(), float(gain[0]) if (gain == gain[0]).all() else gain
        if (gain != 1.0).any():
            rules = self._scaled(path, name, gain)
        return (rules[0] if len(rules) == 1 else Chain(rules)), None

    def _scaled(self, path: Path, name: str, gain: Vector) -> tuple[Connection, ...]:
        *first, last = path.rules
        if isinstance(last, Dense):
            return (*first, replace(last, weights=last.weights * gain[:, None]))
        if isinstance(last, Conv2d):
            channels = gain.reshape(len(last.weights), -1)
            if (channels == channels[:, :1]).all():
                return (*first, replace(last, weights=last.weights * channels[:, :1, None, None]))
        chain: Any = path.rules[0] if len(path.rules) == 1 else Chain(path.rules)
        matrix = chain.matrix(self.shapes[path.origin], self.shapes[name]).multiply(gain[:, None])
        return (Sparse(matrix.tocsr()),)
