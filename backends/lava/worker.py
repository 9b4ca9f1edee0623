"""The child process: ``python -m spikesim.backends.lava.worker JOB RESULT`` builds and runs Lava processes."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, import-untyped, import-not-found"

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.backends.lava.job import Job, read_job, write_outcome
from spikesim.backends.lava.shims import importing_lava
from spikesim.fixedpoint import IntPopulation, IntProjection, IntSample


def build(job: Job, sample: IntSample) -> tuple[dict[str, Any], dict[str, Any]]:
    """Make the processes of a network with one sample's input; return neurons and sources by name, and sinks."""
    from lava.proc.io.sink import RingBuffer as Sink
    from lava.proc.io.source import RingBuffer as Source

    units: dict[str, Any] = {}
    for source in job.network.inputs:
        data = np.zeros((source.n, job.columns), np.int32)
        events = np.asarray(sample.spikes.get(source.name, np.zeros((0, 2), np.int32)))
        data[events[:, 1], events[:, 0]] = 1
        units[source.name] = Source(data=data)
    for population in job.network.populations:
        units[population.name] = neurons(population)
    for projection in job.network.projections:
        synapses = connection(projection, job.network.size(projection.pre), job.network.size(projection.post))
        units[projection.pre].s_out.connect(synapses.s_in)
        synapses.a_out.connect(units[projection.post].a_in)
    sinks = {}
    for population in job.network.populations:
        sinks[population.name] = Sink(shape=(population.n,), buffer=job.columns)
        units[population.name].s_out.connect(sinks[population.name].a_in)
    return units, sinks


def neurons(population: IntPopulation) -> Any:
    """Return the process of a population."""
    from lava.proc.lif.process import LIF

    p = population
    common = {
        "shape": (p.n,), "du": int(p.du), "dv": int(p.dv), "vth": int(p.vth), "bias_mant": p.bias_mant,
        "bias_exp": p.bias_exp, "u": p.u0, "v": p.v0,
    }  # fmt: skip
    if p.reset == "hard":
        return LIF(**common)
    from spikesim.backends.lava._procs.soft_lif import SoftLIF

    return SoftLIF(quantum=int(p.soft_quantum) if p.reset == "soft" else 0, **common)


def connection(projection: IntProjection, n_pre: int, n_post: int) -> Any:
    """Return the process of a projection: ``Dense`` where every delay is 0, else ``DelayDense``."""
    from lava.proc.dense.process import DelayDense, Dense
    from lava.utils.weightutils import SignMode

    weights = np.zeros((n_post, n_pre), np.int32)
    np.add.at(weights, (projection.indices, projection.sources), projection.weights)
    options = {"weight_exp": projection.weight_exp, "num_weight_bits": projection.num_weight_bits}
    if projection.sign_mode != "auto":
        options["sign_mode"] = SignMode[projection.sign_mode.upper()]
    if projection.max_delay == 0:
        return Dense(weights=weights, **options)
    delays = np.zeros((n_post, n_pre), int)
    delays[projection.indices, projection.sources] = projection.delay
    return DelayDense(weights=weights, delays=delays, max_delay=projection.max_delay, **options)


def run_sample(job: Job, sample: IntSample) -> dict[str, NDArray[Any]]:
    """Run one sample in fresh processes."""
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg
    from lava.proc.monitor.process import Monitor

    units, sinks = build(job, sample)
    probes: dict[str, Any] = {}
    for name in job.states_of:
        for variable in ("u", "v"):
            probes[f"{variable}/{name}"] = Monitor()
            probes[f"{variable}/{name}"].probe(getattr(units[name], variable), job.columns)
    first = units[job.network.populations[0].name]
    outcome: dict[str, NDArray[Any]] = {}
    try:
        first.run(condition=RunSteps(num_steps=job.columns), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
        for name, sink in sinks.items():
            outcome[f"spikes/{name}"] = np.argwhere(np.asarray(sink.data.get()).T > 0).astype(np.int32)
        for key, probe in probes.items():
            variable, name = key.split("/", 1)
            outcome[key] = np.asarray(probe.get_data()[units[name].name][variable]).astype(np.int32)
    finally:
        first.stop()
    return outcome


def main(job_file: str, result_file: str) -> None:
    """Run a job."""
    with importing_lava():
        importlib.import_module("lava.magma.runtime.message_infrastructure.multiprocessing")

        job = read_job(Path(job_file))
        write_outcome(Path(result_file), [run_sample(job, sample) for sample in job.samples])


if __name__ == "__main__":
    main(*sys.argv[1:3])
