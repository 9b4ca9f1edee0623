"""Run jobs in Lava, in this process. Imports Lava; used by the worker only.

The samples of a job follow each other in one Lava run, so the network is compiled once. Between two samples the
current, the voltage and the sums under way of every process are set back; nothing else carries over, because in Lava a
message is received in the step in which it is sent. Only if a population resets at intervals that do not divide the
length of a sample would its clock be out of phase; then every sample gets a network of its own.
"""

from __future__ import annotations

import mmap
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.io.source import RingBuffer
from numpy.typing import NDArray

from spikesim.backends.lava._recorder.recorder import SpikeRecorder, StateRecorder
from spikesim.backends.lava.job import LavaJob, components
from spikesim.backends.lava.jobfile import LavaResult
from spikesim.backends.lava.learning import read_learned
from spikesim.backends.lava.processes import build_processes
from spikesim.backends.lava.standalone.lava_network import LavaNetwork
from spikesim.fixedpoint import IntNetwork, IntSample

# Stimuli are compiled into the network; this many numbers of them at a time (64 MiB) keep memory bounded.
_STIMULUS_NUMBERS = 1 << 24

Watch = Callable[[Any], None]


def run_job(job: LavaJob, watch: Watch) -> LavaResult:
    """Run all samples of a job; `watch` is told each Lava runtime before it starts."""
    result = LavaResult({}, {}, {}, 0.0, 0.0, {})
    for network in components(job.network):
        size = _samples_at_once(network, job)
        runs = [
            _run_samples(network, job, i, job.samples[i : i + size], watch) for i in range(0, len(job.samples), size)
        ]
        result = LavaResult(
            result.spikes | _joined([r.spikes for r in runs]),  # type: ignore[operator]
            result.u | _joined([r.u for r in runs]),  # type: ignore[operator]
            result.v | _joined([r.v for r in runs]),  # type: ignore[operator]
            result.build_s + sum(r.build_s for r in runs),
            result.run_s + sum(r.run_s for r in runs),
            result.learned | _joined([r.learned for r in runs]),  # type: ignore[operator]
        )
    return result


def _joined(parts: Sequence[Mapping[str, NDArray[np.int32]]]) -> dict[str, NDArray[np.int32]]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _samples_at_once(network: IntNetwork, job: LavaJob) -> int:
    if any(p.reset_interval and job.steps % p.reset_interval for p in network.populations):
        return 1
    if any(p.learning for p in network.projections):  # traces and random numbers would carry over
        return 1
    width = sum(i.n for i in network.inputs) + sum(p.n for p in network.populations)
    return max(1, _STIMULUS_NUMBERS // (width * max(job.steps, 1)))


def _run_samples(
    network: IntNetwork, job: LavaJob, first: int, samples: Sequence[IntSample], watch: Watch
) -> LavaResult:
    start = time.perf_counter()
    processes = build_processes(network, steps=job.steps, sample=first)
    _add_sources(network, processes, job.steps, samples)
    recorders = _Recorders(network, processes, job, len(samples))
    runner = next(iter(processes.populations.values()))
    runner.create_runtime(Loihi2SimCfg(select_tag="fixed_pt"))
    watch(runner.runtime)
    built = time.perf_counter()
    for i in range(len(samples)):
        if i > 0:
            _set_back(network, processes)
        runner.run(condition=RunSteps(num_steps=job.steps))
    done = time.perf_counter()
    learning = [p for p in network.projections if p.learning]
    learned = {p.name: read_learned(processes.projections[p.name], p)[np.newaxis] for p in learning}
    watch(None)
    runner.stop()
    return replace(recorders.result(first, built - start, done - built), learned=learned)


def _add_sources(network: IntNetwork, processes: LavaNetwork, steps: int, samples: Sequence[IntSample]) -> None:
    """Connect a source to every projection that an input drives, and to every neuron with a direct current."""
    for group in network.inputs:
        raster = np.zeros((group.n, len(samples) * steps), np.int32)
        for i, sample in enumerate(samples):
            none = np.zeros((0, 3 if group.graded else 2), int)
            column, source, *payload = np.asarray(sample.spikes.get(group.name, none)).T
            raster[source, column + i * steps] = payload[0] if payload else 1
        out = RingBuffer(data=raster).s_out
        for projection in network.projections:
            if projection.pre == group.name:
                out.connect(processes.projections[projection.name].s_in)
        for name, port in processes.listeners:
            if name == group.name:
                out.connect(port)
    for population in network.populations:
        if any(population.name in sample.drive for sample in samples):
            none = np.zeros((steps, population.n), np.int32)
            drive = np.concatenate([sample.drive.get(population.name, none) for sample in samples])
            RingBuffer(data=np.ascontiguousarray(drive.T)).s_out.connect(processes.populations[population.name].a_in)


def _set_back(network: IntNetwork, processes: LavaNetwork) -> None:
    """Give every process the state it had before the first column."""
    for p in network.populations:
        neurons = processes.populations[p.name]
        neurons.u.set(np.broadcast_to(p.u0, p.n).astype(np.int32))
        neurons.v.set(np.broadcast_to(p.v0, p.n).astype(np.int32))
    for connection in processes.projections.values():
        connection.a_buff.set(np.zeros(connection.a_buff.shape, np.int32))


def _shared(rows: int, n: int, dtype: type) -> NDArray[Any]:
    """Return zeros in memory that forked processes share."""
    size = max(1, rows * n * np.dtype(dtype).itemsize)
    return np.frombuffer(mmap.mmap(-1, size), dtype, rows * n).reshape(rows, n)


class _Recorders:
    """The recording processes of a network and the memory they write to."""

    def __init__(self, network: IntNetwork, processes: LavaNetwork, job: LavaJob, n_samples: int) -> None:
        self.n_samples, self.steps = n_samples, job.steps
        self.spikes: dict[str, NDArray[np.uint8]] = {}
        self.traces: dict[str, dict[str, NDArray[np.int32]]] = {"u": {}, "v": {}}
        rows = len(range(0, job.steps, job.stride))
        wanted = {"u": job.record_u, "v": job.record_v}
        for p in network.populations:
            neurons = processes.populations[p.name]
            self.spikes[p.name] = _shared(n_samples * job.steps, p.n, np.uint8)
            neurons.s_out.connect(SpikeRecorder(rows=self.spikes[p.name]).a_in)
            for kind in ("u", "v"):
                if p.name in wanted[kind]:
                    memory = _shared(n_samples * rows, p.n, np.int32)
                    recorder = StateRecorder(rows=memory, steps=job.steps, stride=job.stride)
                    recorder.state.connect_var(getattr(neurons, kind))
                    self.traces[kind][p.name] = memory

    def result(self, first: int, build_s: float, run_s: float) -> LavaResult:
        """Take the data out of the shared memory, counting samples from `first`."""
        spikes = {}
        for name, rows in self.spikes.items():
            cube = rows.reshape(self.n_samples, self.steps, -1)
            spikes[name] = np.add(np.argwhere(cube), [first, 0, 0]).astype(np.int32)
        u, v = (
            {name: rows.reshape(self.n_samples, -1, rows.shape[1]).copy() for name, rows in self.traces[kind].items()}
            for kind in ("u", "v")
        )
        return LavaResult(spikes, u, v, build_s, run_s)
