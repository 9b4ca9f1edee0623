"""A program that runs a graph of fixed-point neurons through an engine for integer networks.

The engine works in columns, in which a population lags behind; the program gives back steps of the graph, as if every
projection of delay 0 delivered within its step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix

from spikesim.drive import source_values
from spikesim.engine import Chunk, Options, Stepping
from spikesim.errors import InvalidValueError, UnknownNameError, UnsupportedError
from spikesim.fixedpoint.lower import lower_to_integers
from spikesim.fixedpoint.network import IntNetwork
from spikesim.fixedpoint.rule_text import SYNAPTIC
from spikesim.fixedpoint.run import IntRun, IntSample, IntState
from spikesim.graph import Edge, Graph
from spikesim.snapshot import saved_array

Events = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]  # sample, step, neuron
# engine(steps, samples, populations whose states are recorded, state) -> run
Engine = Callable[[int, list[IntSample], list[str], IntState | None], IntRun]


def check_options(backend: str, options: Options) -> None:
    """Refuse what an engine for integers would ignore.

    Raises
    ------
    InvalidValueError
        If another device than the CPU, another precision than the default, or a representation is asked for.
    """
    found = []
    if options.device != "cpu":
        found.append(f"it runs on the cpu, found device={options.device!r}; leave device out")
    if options.dtype != "float64":
        found.append(f"it computes in the chip's integers, found dtype={options.dtype!r}; leave dtype out")
    if options.representations:
        names = ", ".join(map(repr, options.representations))
        found.append(f"it chooses how synapses are stored by itself, found representations of {names}; leave them out")
    if found:
        raise InvalidValueError("\n".join(f"backend {backend!r}: {p}" for p in found))


class FixedProgram(Stepping):
    """See :class:`spikesim.program.Program`. Spikes of lagging populations come out with the last columns (`drain`)."""

    def __init__(self, graph: Graph, make_engine: Callable[[IntNetwork], Engine], *, whole_run: bool) -> None:
        self.graph, self.whole_run = graph, whole_run
        self.lowered = lower_to_integers(graph)
        self.engine = make_engine(self.lowered.network)
        self.reset()

    def reset(self, samples: int = 1) -> None:
        """Go back to step 0 with initial states."""
        self.samples, self.column = samples, 0
        self.state: IntState | None = None
        self.overflows = {n.name: (0, 0) for n in self.graph.nodes}  # wraps of u, clips of v, of all samples
        self.learned: Mapping[str, Mapping[str, NDArray[Any]]] = {}

    def advance(self, steps: int, inputs: Mapping[str, NDArray[Any]]) -> Chunk:
        """Run some columns; with an engine that cannot be continued, also those in which the network drains."""
        given = {
            s.name: source_values(self.graph, s, self.column, steps, self.samples, inputs.get(s.name))
            for s in self.graph.sources
        }
        extra = self.lowered.longest if self.whole_run else 0
        return self._columns(steps + extra, steps, given, final=self.column + steps if self.whole_run else None)

    def drain(self) -> list[Chunk]:
        """Run on without input until the last population has done the last step."""
        if self.whole_run:
            return []
        final = self.column
        return [self._columns(1, 0, {}, final=final) for _ in range(self.lowered.longest)]

    def _columns(self, columns: int, steps: int, given: Mapping[str, NDArray[Any]], final: int | None) -> Chunk:
        first = self.column
        graded = {i.name for i in self.lowered.network.inputs if i.graded}
        samples = [_sample(given, k, first, graded) for k in range(self.samples)]
        wanted = [p.target for p in self.graph.probes]
        run = self.engine(columns, samples, wanted, self.state)
        self.state, self.column, self.learned = run.state, first + columns, run.learned
        self._add_overflows(run)
        spikes = {n.name: self._aligned(n.name, run.spikes[n.name], final) for n in self.graph.nodes}
        emitted = {n.name: _per_neuron(spikes[n.name], self.samples, n.n) for n in self.graph.nodes}
        emitted |= {
            s.name: (given[s.name] != 0).sum(axis=0).astype(np.int64)
            if given
            else np.zeros((self.samples, s.n), np.int64)
            for s in self.graph.sources
        }
        if run.counts.active:
            active = {n.name: self._active(n.name, run, first, final) for n in self.graph.nodes}
        else:
            active = active_updates(self.graph, steps, self.samples, given, spikes)
        return Chunk(first, steps, spikes, self._traces(run, final), emitted, active)

    def _add_overflows(self, run: IntRun) -> None:
        """Count what left its register, if the engine tells."""
        for name, (wraps, clips) in self.overflows.items() if run.counts.wraps else ():
            more = int(np.sum(run.counts.wraps[name])), int(np.sum(run.counts.clips[name]))
            self.overflows[name] = wraps + more[0], clips + more[1]

    def _aligned(self, name: str, events: NDArray[Any], final: int | None) -> Events:
        sample, column, neuron = (events[:, k].astype(np.int64) for k in range(3))
        step = column - self.lowered.lags[name]
        keep = step >= 0 if final is None else (step >= 0) & (step < final)
        return sample[keep], step[keep], neuron[keep]

    def _active(self, name: str, run: IntRun, first: int, final: int | None) -> NDArray[np.int64]:
        """Active updates; in the last columns only of populations that have not done the last step yet."""
        if final is not None and not self.whole_run and first - self.lowered.lags[name] >= final:
            return np.zeros(self.samples, np.int64)
        return np.asarray(run.counts.active[name], np.int64).reshape(self.samples)

    def _traces(self, run: IntRun, final: int | None) -> dict[tuple[str, str], tuple[NDArray[Any], NDArray[Any]]]:
        traces = {}
        for probe in self.graph.probes:
            step = np.asarray(run.columns) - self.lowered.lags[probe.target]
            keep = (step >= 0) & (step % probe.every == 0)
            if final is not None:
                keep &= step < final
            for variable in probe.variables:
                values = np.asarray(getattr(run, variable)[probe.target])
                chosen = values[:, keep] if probe.neurons is None else values[:, keep][:, :, list(probe.neurons)]
                traces[probe.target, variable] = (step[keep], chosen.astype(np.float64))
        return traces

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return a copy of the chip's state, the sums under way and the column.

        Raises
        ------
        UnsupportedError
            If the engine runs all steps at once.
        """
        if self.whole_run:
            raise UnsupportedError(
                ["this backend runs all steps at once, so it has no checkpoints; use backend 'loihi', "
                 "which gives the same spikes"]
            )  # fmt: skip
        found = {"column": np.array(self.column), "samples": np.array(self.samples)}
        if self.state is None:
            return found
        found |= {name: np.array(getattr(self.state, name)) for name in ("u", "v", "arrivals", "wait")}
        found |= {f"learned/{p}/{v}": np.array(a) for p, parts in self.learned.items() for v, a in parts.items()}
        return found | {f"beside/{name}": np.array(array) for name, array in self.state.beside.items()}

    def restore(self, saved: Mapping[str, NDArray[Any]]) -> None:
        """Go back to a snapshot."""
        self.reset(int(saved_array(saved, "samples", np.int64, ())))
        self.column = int(saved_array(saved, "column", np.int64, ()))
        if self.column:
            names = ("u", "v", "arrivals", "wait")
            beside = {k.removeprefix("beside/"): np.array(a) for k, a in saved.items() if k.startswith("beside/")}
            u, v, arrivals, wait = (saved_array(saved, name, np.int32).copy() for name in names)
            self.state = IntState(self.column, u, v, arrivals, wait, beside)
            learned = {k: np.array(a) for k, a in saved.items() if k.startswith("learned/")}
            self.learned = {
                p.name: {v: learned[f"learned/{p.name}/{v}"] for v in SYNAPTIC}
                for p in self.lowered.network.projections
                if f"learned/{p.name}/w" in learned
            }

    def _place(self, population: str, variable: str) -> tuple[NDArray[Any], slice]:
        if self.state is None:
            raise UnsupportedError(
                ["the state can be read and set after the first step, and not on an engine that runs elsewhere"]
            )
        if variable not in ("u", "v"):
            raise UnknownNameError(f"state of population {population!r}:", variable, ["u", "v"])
        low = 0
        for p in self.lowered.network.populations:
            if p.name == population:
                return getattr(self.state, variable), slice(low, low + p.n)
            low += p.n
        raise UnknownNameError("population", population, [p.name for p in self.lowered.network.populations])

    def get_state(self, population: str, variable: str) -> NDArray[Any]:
        """Return a state, ``[samples, n]``, as the chip has it after its last column."""
        values, where = self._place(population, variable)
        return np.array(values[:, where])

    def set_state(self, population: str, variable: str, value: Any) -> None:
        """Replace a state."""
        values, where = self._place(population, variable)
        values[:, where] = value

    def get_weights(self, projection: str) -> NDArray[Any]:
        """Return the weights of a projection, one per synapse, or ``[samples, synapses]`` if samples learn.

        What learns is shown as it is after the last column that has been run.
        """
        known = {p.name: p for p in self.lowered.network.projections}
        if projection not in known:
            raise UnknownNameError("projection", projection, list(known))
        found = known[projection]
        if projection in self.learned:
            learned = np.array(self.learned[projection]["w"])
            return learned[0] if self.samples == 1 else learned
        return np.asarray(found.weights << max(found.weight_exp, 0) >> max(-found.weight_exp, 0))

    def set_weights(self, projection: str, weights: Any) -> None:
        """Weights are fixed on the chip while a program runs."""
        raise UnsupportedError(
            [f"projection {projection!r}: weights cannot be changed in fixed point while running; change the network"]
        )


def active_updates(
    graph: Graph,
    steps: int,
    samples: int,
    given: Mapping[str, NDArray[Any]],
    spikes: Mapping[str, Events],
) -> dict[str, NDArray[np.int64]]:
    """Count the updates with input or a spike from the spikes alone, for an engine that does not tell."""
    rasters = dict(given)
    for node in graph.nodes:
        sample, step, neuron = spikes[node.name]
        rasters[node.name] = np.zeros((steps, samples, node.n), bool)
        rasters[node.name][step, sample, neuron] = True
    active = {}
    for node in graph.nodes:
        arrived = np.zeros((steps, samples, node.n))
        for edge in graph.edges:
            if edge.post == node.name:
                _add_arrivals(arrived, edge, rasters[edge.pre])
        active[node.name] = ((arrived != 0) | (rasters[node.name] != 0)).sum(axis=(0, 2)).astype(np.int64)
    return active


def _add_arrivals(arrived: NDArray[np.float64], edge: Edge, raster: NDArray[Any]) -> None:
    steps, samples, _ = arrived.shape
    delays = np.broadcast_to(np.asarray(edge.delays), (edge.synapses,))
    weights = np.broadcast_to(np.asarray(edge.weights), (edge.synapses,))
    sources = np.repeat(np.arange(edge.n_pre), np.diff(edge.indptr))
    for delay in np.unique(delays):
        if delay >= steps:
            continue
        mine = delays == delay
        matrix = coo_matrix(
            (weights[mine], (sources[mine], edge.indices[mine])), shape=(edge.n_pre, edge.n_post)
        ).tocsr()
        sent = raster[: steps - delay].reshape(-1, edge.n_pre).astype(np.float64)  # spikes, or payloads
        arrived[delay:] += (sent @ matrix).reshape(steps - delay, samples, edge.n_post)


def _sample(given: Mapping[str, NDArray[Any]], sample: int, first: int, graded: set[str]) -> IntSample:
    spikes = {}
    for name, raster in given.items():
        own = raster[:, sample]
        step, source = np.nonzero(own)
        rows = [step + first, source]
        if name in graded:
            payload = own[step, source]
            if (payload != np.rint(payload)).any():
                found = payload[payload != np.rint(payload)][0]
                raise InvalidValueError(
                    f"input {name!r} is graded, and on the chip a graded spike carries a whole number, found {found:g};"
                    " scale the values and round them, or encode them to spikes (spikesim.encode)"
                )
            rows.append(np.clip(payload, -(2**31) + 1, 2**31 - 1))  # what has too many bits is refused by the engine
        spikes[name] = np.stack(rows, axis=1).astype(np.int32)
    return IntSample(spikes)


def _per_neuron(events: Events, samples: int, n: int) -> NDArray[np.int64]:
    return np.bincount(events[0] * n + events[2], minlength=samples * n).reshape(samples, n)
