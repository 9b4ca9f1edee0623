"""One run: drives a program in chunks, collects or streams what it reports, shows progress, survives Ctrl-C."""

from __future__ import annotations

import resource
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.counts import count
from spikesim.engine import Chunk, Program
from spikesim.recording import Recording, Spikes, Trace

FIRST_CHUNK = 50  # steps; then as many as take about a third of a second
SECONDS_PER_CHUNK = 0.3


class Collector:
    """Keeps chunks in memory and makes them a :class:`Recording`."""

    def __init__(self, program: Program, samples: int) -> None:
        self.graph, self.samples, self.steps = program.graph, samples, 0
        self.spikes: dict[str, list[Any]] = {n.name: [] for n in self.graph.nodes}
        self.traces: dict[tuple[str, str], list[Any]] = {(p.target, v): [] for p in self.graph.probes for v in p.variables}
        sizes = {n.name: n.n for n in self.graph.nodes} | {s.name: s.n for s in self.graph.sources}
        self.emitted = {name: np.zeros((samples, n), np.int64) for name, n in sizes.items()}
        self.active = {n.name: np.zeros(samples, np.int64) for n in self.graph.nodes}

    def add(self, chunk: Chunk) -> None:
        """Take what happened in some more steps."""
        self.steps += chunk.steps
        for name, events in chunk.spikes.items():
            self.spikes[name].append(events)
        for key, trace in chunk.traces.items():
            self.traces[key].append(trace)
        for name, emitted in chunk.emitted.items():
            self.emitted[name] += emitted
        for name, active in chunk.active.items():
            self.active[name] += active

    def recording(self, meta: Mapping[str, Any]) -> Recording:
        """Return everything so far."""
        graph = self.graph
        spikes = {
            n.name: sorted_spikes(self.spikes[n.name], n.n, self.steps, self.samples, graph.dt) for n in graph.nodes
        }
        traces: dict[str, dict[str, Trace]] = {}
        for probe in graph.probes:
            chosen = np.arange(graph.node(probe.target).n) if probe.neurons is None else np.asarray(probe.neurons, np.int64)
            for variable in probe.variables:
                parts = self.traces[probe.target, variable]
                steps = np.concatenate([s for s, _ in parts]) if parts else np.zeros(0, np.int64)
                values = (
                    np.concatenate([v for _, v in parts], axis=1) if parts else np.zeros((self.samples, 0, len(chosen)))
                )
                traces.setdefault(probe.target, {})[variable] = Trace(steps, values, chosen, graph.dt)
        return Recording(spikes, traces, count(graph, self.steps, self.emitted, self.active), dict(meta))


def sorted_spikes(parts: list[tuple[NDArray[Any], ...]], n: int, steps: int, samples: int, dt: float) -> Spikes:
    """Join events and sort them by sample, step, neuron."""
    if parts:
        sample, step, neuron = (np.concatenate([p[k] for p in parts]) for k in range(3))
    else:
        sample = step = neuron = np.zeros(0, np.int64)
    order = np.lexsort((neuron, step, sample))
    return Spikes(
        sample[order].astype(np.int32), step[order].astype(np.int64), neuron[order].astype(np.int32), n, steps, samples, dt
    )


class Session:
    """Run a program from step 0 to the end.

    Parameters
    ----------
    program
        The compiled network.
    samples, steps
        How many samples, how long each.
    inputs
        ``[steps, samples, n]`` by name.
    meta
        Goes into the recording.
    out
        HDF5 file to stream to, or None.
    progress
        True, False, or a function of (done, total).
    """

    def __init__(
        self,
        program: Program,
        samples: int,
        steps: int,
        inputs: Mapping[str, NDArray[Any]],
        meta: dict[str, Any],
        out: str | Path | None,
        progress: Callable[[int, int], None] | bool,
    ) -> None:
        self.program, self.samples, self.steps, self.inputs, self.meta = program, samples, steps, inputs, meta
        self.collector = Collector(program, samples)
        self.out = Path(out) if out is not None else None
        self.progress = progress
        self.stopped = False
        self._handler: Any = None

    def __enter__(self) -> Session:
        try:
            self._handler = signal.signal(signal.SIGINT, self._stop)
        except ValueError:  # not the main thread: Ctrl-C is somebody else's business
            self._handler = None
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._handler is not None:
            signal.signal(signal.SIGINT, self._handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stopped = True  # the chunk under way ends, then the run ends; a second Ctrl-C kills
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def run(self) -> Recording:
        """Run to the end, or to Ctrl-C, and return the recording."""
        self.program.reset(self.samples)
        begin = time.perf_counter()
        writer = self._writer()
        try:
            self._loop(writer)
        finally:
            if writer is not None:
                writer.close(self.collector, self.meta)
        self.meta["sim_s"] = time.perf_counter() - begin
        self.meta["biological_s"] = self.collector.steps * self.program.graph.dt * self.samples
        self.meta["peak_mb"] = peak_memory_mb()
        self.meta["interrupted"] = self.stopped
        return self._recording()

    def _writer(self) -> Any:
        if self.out is None:
            return None
        from spikesim.recording_file import Writer

        return Writer(self.out, self.program.graph, self.samples, self.meta)

    def _recording(self) -> Recording:
        if self.out is None:
            return self.collector.recording(self.meta)
        from spikesim.recording_file import finish, load_recording

        finish(self.out, self.meta)
        return load_recording(self.out)

    def _loop(self, writer: Any) -> None:
        # an engine that cannot be continued takes the whole run at once
        done, chunk_steps = 0, self.steps if self.program.whole_run else min(FIRST_CHUNK, self.steps)
        with _bar(self.progress, self.steps) as report:
            while done < self.steps and not self.stopped:
                chunk_steps = min(chunk_steps, self.steps - done)
                begin = time.perf_counter()
                part = {name: array[done : done + chunk_steps] for name, array in self.inputs.items()}
                self._keep(self.program.advance(chunk_steps, part), writer)
                done += chunk_steps
                report(done, self.steps)
                seconds = max(time.perf_counter() - begin, 1e-6)
                chunk_steps = max(1, min(8 * chunk_steps, int(chunk_steps * SECONDS_PER_CHUNK / seconds)))
        for chunk in self.program.drain():
            self._keep(chunk, writer)

    def _keep(self, chunk: Chunk, writer: Any) -> None:
        self.collector.add(chunk if writer is None else writer.add(chunk))


class _bar:
    """A progress bar with ETA on a terminal; nothing elsewhere."""

    def __init__(self, progress: Callable[[int, int], None] | bool, total: int) -> None:
        self.progress, self.total, self.bar = progress, total, None

    def __enter__(self) -> Callable[[int, int], None]:
        if callable(self.progress):
            return self.progress
        if not self.progress or not sys.stderr.isatty():
            return lambda done, total: None
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.bar: Any = Progress(
            TextColumn("running"), BarColumn(), TextColumn("{task.percentage:.0f} %"), TimeRemainingColumn(),
            console=Console(stderr=True), transient=True,
        )
        self.bar.start()
        task = self.bar.add_task("", total=self.total)
        return lambda done, total: self.bar.update(task, completed=done)

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.stop()


def peak_memory_mb() -> float:
    """Return the largest resident memory of this process so far, in megabytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
