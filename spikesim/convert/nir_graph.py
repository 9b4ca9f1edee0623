"""A NIR graph as a reader sees it: nested graphs dissolved, shapes known, weight layers gathered between neurons."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from spikesim.connect import Connection, Dense, Sparse
from spikesim.convert.image_rules import array, conv_rule, pool_rule
from spikesim.convert.nir_neurons import NEURONS, SILENT
from spikesim.errors import SpikesimError

Shape = tuple[int, ...]
LINEAR = ("Affine", "Linear", "Scale", "Conv1d", "Conv2d", "SumPool2d", "AvgPool2d", "Flatten", "Delay")


@dataclass(frozen=True, eq=False)
class Path:
    """Weight layers between one origin (an input or a population) and a node.

    Parameters
    ----------
    origin
        Name of the node where the signal comes from.
    rules
        In the order of the signal; none for an identity.
    delay
        Seconds, one number or one per element of the origin.
    late
        Seconds on top, one per element that the last layer gives; 0 if there is none.
    nodes
        Names of the layers.
    """

    origin: str
    rules: tuple[Connection, ...] = ()
    delay: Any = 0.0
    late: Any = 0.0
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Feed:
    """Everything that reaches a node: the paths, and what the layers' biases add to it."""

    paths: tuple[Path, ...]
    offset: NDArray[np.float64]


@dataclass
class View:
    """A flat NIR graph.

    Parameters
    ----------
    nodes
        By name; those of nested graphs are called ``outer.inner``.
    before
        Names of the nodes that lead to a node.
    problems
        Grows by what cannot be read.
    """

    nodes: dict[str, Any]
    before: dict[str, list[str]]
    problems: list[str] = field(default_factory=list)
    _shapes: dict[str, Shape | None] = field(default_factory=dict)
    _feeds: dict[str, Feed] = field(default_factory=dict)
    _open: set[str] = field(default_factory=set)

    def kind(self, name: str) -> str:
        """Return the class of a node; Input and Output only at the border of the whole graph."""
        kind = type(self.nodes[name]).__name__
        if kind == "Input" and self.before[name]:
            return "Identity"
        return "Identity" if kind == "Output" and any(name in b for b in self.before.values()) else kind

    def named(self, *kinds: str) -> list[str]:
        """Return the nodes of some classes, in the order of the file."""
        return [n for n in self.nodes if self.kind(n) in kinds]

    # ------------------------------------------------------------------------------------------------------- shapes
    def shape(self, name: str) -> Shape | None:
        """Return the shape of what a node emits, or None where it cannot be known."""
        if name not in self._shapes:
            self._shapes[name] = None  # while it is looked for: a loop does not help
            found = self._shape(name)
            if found is None:
                del self._shapes[name]
                return None
            self._shapes[name] = found
        return self._shapes[name]

    def arriving(self, name: str) -> Shape | None:
        """Return the shape of what arrives at a node."""
        return next((s for b in self.before[name] if (s := self.shape(b)) is not None), None)

    def _shape(self, name: str) -> Shape | None:
        node, kind = self.nodes[name], self.kind(name)
        if kind == "Input":
            return tuple(int(d) for d in np.asarray(node.input_type["input"]).reshape(-1))
        if kind in NEURONS:
            return self._neuron_shape(name)
        if kind in ("Affine", "Linear"):
            return (int(array(node.weight).shape[0]),)
        before = self.arriving(name)
        if kind == "Flatten" and before is not None:
            first, last = (d if d >= 0 else d + len(before) for d in (int(node.start_dim), int(node.end_dim)))
            return (*before[:first], int(np.prod(before[first : last + 1])), *before[last + 1 :])
        if kind in ("Conv1d", "Conv2d", "SumPool2d", "AvgPool2d") and before is not None:
            return (conv_rule if kind.startswith("Conv") else pool_rule)(node, before)[1]
        return before

    def _neuron_shape(self, name: str) -> Shape | None:
        node, names = self.nodes[name], ("v_threshold", "threshold", "tau", "tau_mem", "r")
        own = max((array(getattr(node, n)).shape for n in names if hasattr(node, n)), key=np.prod, default=())
        before = self.arriving(name)
        return before if before is not None and np.prod(own) <= 1 else (own or before)

    # -------------------------------------------------------------------------------------------------------- paths
    def readouts(self) -> list[str]:
        """Return the Output nodes that emit anything but the spikes or membranes of one population."""
        found = []
        for name in self.named("Output"):
            feed = self.feed(name)
            plain = [p for p in feed.paths if not p.rules and not np.any(p.delay)]
            if feed.paths and (len(plain) != 1 or len(feed.paths) != 1 or np.any(feed.offset)):
                found.append(name)
        return found

    def watched(self) -> dict[str, str]:
        """Return the Threshold nodes that look at an integrator's membrane, each with that integrator."""
        found = {}
        for name in self.named("Threshold"):
            feed = self.feed(name)
            if len(feed.paths) == 1 and self.kind(feed.paths[0].origin) in SILENT:
                path = feed.paths[0]
                if not path.rules and not np.any(path.delay) and not np.any(feed.offset):
                    found[name] = path.origin
        return found

    def feed(self, name: str) -> Feed:
        """Return what arrives at a node, traced back to inputs and populations."""
        paths: list[Path] = []
        offset: Any = 0.0
        for before in self.before[name]:
            arrived = self._emitted(before)
            paths += arrived.paths
            offset = offset + arrived.offset
        return Feed(tuple(paths), np.asarray(offset, np.float64))

    def _emitted(self, name: str) -> Feed:
        if self.kind(name) in (*NEURONS, "Input"):
            return Feed((Path(name),), np.zeros(()))
        if name not in self._feeds:
            if name in self._open:
                self.problems.append(f"node {name!r}: weight layers form a loop without a neuron in it")
                return Feed((), np.zeros(()))
            self._open.add(name)
            self._feeds[name] = self._through(name, self.feed(name))
            self._open.discard(name)
        return self._feeds[name]

    def _through(self, name: str, arrived: Feed) -> Feed:
        node, kind, before = self.nodes[name], self.kind(name), self.arriving(name)
        if kind in ("Identity", "Flatten"):
            return replace(arrived, paths=tuple(replace(p, nodes=(*p.nodes, name)) for p in arrived.paths))
        if kind not in LINEAR:
            self.problems.append(f"node {name!r}: a {type(node).__name__} cannot stand here")
            return Feed((), np.zeros(()))
        if before is None:
            self.problems.append(f"node {name!r}: nothing leads to it that has a shape")
            return Feed((), np.zeros(()))
        if kind == "Delay":
            return self._delayed(name, arrived, before)
        if any(np.ndim(p.late) for p in arrived.paths):
            self.problems.append(
                f"node {name!r}: a Delay with several values stands between two weight layers; put it before the first"
            )
            return Feed((), np.zeros(()))
        try:
            rule, bias = self._rule(name, node, kind, before)
        except SpikesimError as error:
            rule = None
            self.problems.append(f"node {name!r}: {error}")
        except ValueError:  # numpy's, of arrays that do not fit
            rule = None
            self.problems.append(f"node {name!r}: the parameters of this {kind} do not fit the shape {before}")
        if rule is None:
            return Feed((), np.zeros(()))
        n = int(np.prod(before))
        offset = np.broadcast_to(arrived.offset.reshape(-1) if arrived.offset.ndim else arrived.offset, (n,))
        moved = rule.matrix(before, self.shape(name) or ()) @ offset + bias
        return Feed(tuple(replace(p, rules=(*p.rules, rule), nodes=(*p.nodes, name)) for p in arrived.paths), moved)

    def _delayed(self, name: str, arrived: Feed, before: Shape) -> Feed:
        delay = array(self.nodes[name].delay).reshape(-1)
        if delay.size not in (1, int(np.prod(before))):
            self.problems.append(f"node {name!r}: a Delay of {delay.size} values, but the shape {before} arrives")
            return Feed((), np.zeros(()))
        amount = float(delay[0]) if (delay == delay[0]).all() else delay
        paths = []
        for path in arrived.paths:
            where = "late" if path.rules and np.ndim(amount) else "delay"
            paths.append(replace(path, **{where: getattr(path, where) + amount}, nodes=(*path.nodes, name)))
        return replace(arrived, paths=tuple(paths))

    def _rule(self, name: str, node: Any, kind: str, before: Shape) -> tuple[Any, Any]:
        n = int(np.prod(before))
        if kind in ("Affine", "Linear"):
            weight = array(node.weight)
            if weight.ndim != 2 or weight.shape[1] != n:
                found = " x ".join(map(str, weight.shape))
                self.problems.append(f"node {name!r}: weight has shape {found}, but {n} values arrive")
                return None, 0.0
            return Dense(weight), array(node.bias) if kind == "Affine" else np.zeros(len(weight))
        if kind == "Scale":
            return Sparse(sparse.diags_array(np.broadcast_to(array(node.scale).reshape(-1), (n,)), format="csr")), 0.0
        if kind.startswith("Conv"):
            rule, shape = conv_rule(node, before)
            bias = np.zeros(shape[0]) if node.bias is None else array(node.bias).reshape(-1)
            return rule, np.repeat(np.broadcast_to(bias, (shape[0],)), int(np.prod(shape[1:])))
        return pool_rule(node, before)[0], 0.0


def view(graph: Any) -> View:
    """Return a flat view of a NIR graph."""
    nodes: dict[str, Any] = {}
    edges: list[tuple[str, str]] = []
    _dissolve(graph, "", nodes, edges)
    before: dict[str, list[str]] = {n: [] for n in nodes}
    seen = View(nodes, before)
    for a, b in dict.fromkeys(edges):
        if a in nodes and b in nodes:
            before[b].append(a)
        else:
            seen.problems.append(f"edge {a!r} -> {b!r} leads to a node that is not there")
    known = (*NEURONS, *LINEAR, "Input", "Output")
    seen.problems += [
        f"node {n!r}: the class {type(v).__name__} is not one of nir 1.0.8"
        for n, v in nodes.items()
        if type(v).__name__ not in known
    ]
    return seen


def _dissolve(graph: Any, prefix: str, nodes: dict[str, Any], edges: list[tuple[str, str]]) -> None:
    inner = {n: v for n, v in graph.nodes.items() if type(v).__name__ == "NIRGraph"}
    for name, node in graph.nodes.items():
        if name in inner:
            _dissolve(node, f"{prefix}{name}.", nodes, edges)
        else:
            nodes[prefix + name] = node

    def border(name: str, kind: str) -> list[str]:
        if name not in inner:
            return [prefix + name]
        return [f"{prefix}{name}.{n}" for n, v in inner[name].nodes.items() if type(v).__name__ == kind]

    edges += [(a, b) for pre, post in graph.edges for a in border(pre, "Output") for b in border(post, "Input")]


__all__ = ["Feed", "Path", "View", "view"]
