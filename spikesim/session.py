"""One run: drives a program in chunks, collects or streams what it reports, shows progress, survives Ctrl-C."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from spikesim.collect import Collector
from spikesim.engine import Program
from spikesim.files.versions import versions
from spikesim.recording import Recording

if TYPE_CHECKING:
    from spikesim.checkpoint import Checkpoints
    from spikesim.files.background import Background

FIRST_CHUNK = 50  # steps; then as many as take about a third of a second
SECONDS_PER_CHUNK, SECONDS_LAST_CHUNK = 0.3, 0.01


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
    checkpoints
        Where to begin, and when to write checkpoints; without it, from step 0 and none.
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
        checkpoints: Checkpoints | None = None,
    ) -> None:
        self.program, self.samples, self.steps, self.inputs = program, samples, steps, inputs
        self.meta = {**meta, "steps": steps, "samples": samples, "dt": program.graph.dt, "versions": versions()}
        self.out = Path(out) if out is not None else None
        self.progress, self.checkpoints = progress, checkpoints
        self.stopped = False
        self._handler: Any = None

    def __enter__(self) -> Session:
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # whoever started this process deals with Ctrl-C
            return self
        try:
            self._handler = signal.signal(signal.SIGINT, self._stop)
        except ValueError:  # not the main thread: Ctrl-C is somebody else's business
            self._handler = None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._handler is not None:
            signal.signal(signal.SIGINT, self._handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stopped = True  # the chunk under way ends, then the run ends; a second Ctrl-C kills
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def run(self) -> Recording:
        """Run to the end, or to Ctrl-C, and return the recording."""
        self.program.reset(self.samples)
        if self.checkpoints:
            self.checkpoints.begin(self.program)
        begin = time.perf_counter() - (self.checkpoints.seconds if self.checkpoints else 0.0)
        sink = self._sink()
        try:
            self._loop(sink, begin)
        finally:
            self.meta["sim_s"] = time.perf_counter() - begin
            self.meta["biological_s"] = sink.steps * self.program.graph.dt * self.samples
            self.meta["peak_mb"] = peak_memory_mb()
            self.meta["interrupted"] = sink.steps < self.steps
            sink.close(self.meta)
        if self.checkpoints and sink.steps == self.steps:
            self.checkpoints.remove()
        return sink.recording()

    def _sink(self) -> Collector | Background:
        if self.out is None:
            return Collector(self.program.graph, self.samples)
        from spikesim.files.background import Background
        from spikesim.files.recording_writer import Writer

        start = self.checkpoints.mark if self.checkpoints else None
        return Background(Writer(self.out, self.program.graph, self.samples, self.meta, start))

    def _loop(self, sink: Collector | Background, begin: float) -> None:
        # an engine that cannot be continued takes the whole run at once
        done, chunk_steps = sink.steps, self.steps if self.program.whole_run else min(FIRST_CHUNK, self.steps)
        with bar(self.progress, self.steps) as report:
            while done < self.steps and not self.stopped:
                chunk_steps = min(chunk_steps, self.steps - done)
                chunk_begin = time.perf_counter()
                part = {name: array[done : done + chunk_steps] for name, array in self.inputs.items()}
                sink.add(self.program.advance(chunk_steps, part))
                done += chunk_steps
                report(done, self.steps)
                rate = chunk_steps / max(time.perf_counter() - chunk_begin, 1e-6)
                chunk_steps = next_chunk(chunk_steps, rate, self.steps - done)
                if self.checkpoints and done < self.steps and (self.stopped or self.checkpoints.due()):
                    self.checkpoints.write(self.program.snapshot(), sink.mark(), time.perf_counter() - begin)
        for chunk in self.program.drain():
            sink.add(chunk)


def next_chunk(steps: int, rate: float, left: int) -> int:
    """Return how many steps come next, after a chunk of some steps, at a rate in steps per second.

    The last chunks become shorter: while one is written, the next one runs, but nothing runs beside the last one.
    """
    return max(1, min(8 * steps, int(rate * SECONDS_PER_CHUNK), max(int(rate * SECONDS_LAST_CHUNK), left // 2)))


class bar:
    """A progress bar with ETA on a terminal; nothing elsewhere."""

    def __init__(self, progress: Callable[[int, int], None] | bool, total: int, label: str = "running") -> None:
        self.progress, self.total, self.label = progress, total, label
        self.bar: Any = None

    def __enter__(self) -> Callable[[int, int], None]:
        if callable(self.progress):
            return self.progress
        if not self.progress or not sys.stderr.isatty():
            return lambda done, total: None
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.bar = Progress(
            TextColumn(self.label),
            BarColumn(),
            TextColumn("{task.percentage:.0f} %"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self.bar.start()
        task = self.bar.add_task("", total=self.total)
        return lambda done, total: self.bar.update(task, completed=done)

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.stop()


def peak_memory_mb() -> float:
    """Return the largest resident memory of this process so far, in megabytes; NaN where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
