"""The files between parent and child: an integer network with its stimuli, and what Lava made of them (HDF5)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from spikesim.fixedpoint import IntInput, IntNetwork, IntPopulation, IntProjection, IntSample

SCALARS = ("n", "du", "dv", "vth", "reset")
ARRAYS = ("bias_mant", "bias_exp", "quantum", "u0", "v0")


@dataclass(frozen=True, eq=False)
class Job:
    """What the child is to do."""

    network: IntNetwork
    columns: int
    samples: list[IntSample]
    states_of: list[str]


def write_job(path: Path, job: Job) -> None:
    """Write a job."""
    with h5py.File(path, "w") as file:
        file.attrs["plan"] = json.dumps(_plan(job))
        for k, population in enumerate(job.network.populations):
            group = file.create_group(f"population/{k}")
            for name in SCALARS:
                group.attrs[name] = getattr(population, name)
            for name in ARRAYS:
                value = getattr(population, name)
                if value is not None:
                    group[name] = np.asarray(value)
        for k, projection in enumerate(job.network.projections):
            group = file.create_group(f"projection/{k}")
            for name in ("indptr", "indices", "weights", "delay"):
                group[name] = np.asarray(getattr(projection, name))
        for k, sample in enumerate(job.samples):
            for name, events in sample.spikes.items():
                file[f"sample/{k}/{name}"] = np.asarray(events, np.int32).reshape(-1, 2)


def _plan(job: Job) -> dict[str, Any]:
    """Return everything of a job but the arrays."""
    return {
        "columns": job.columns,
        "samples": len(job.samples),
        "states_of": job.states_of,
        "inputs": [[i.name, i.n] for i in job.network.inputs],
        "populations": [p.name for p in job.network.populations],
        "projections": [
            [p.name, p.pre, p.post, p.weight_exp, p.sign_mode, p.num_weight_bits] for p in job.network.projections
        ],
    }


def read_job(path: Path) -> Job:
    """Read a job."""
    with h5py.File(path, "r") as file:
        plan = json.loads(file.attrs["plan"])
        populations = [_population(name, file[f"population/{k}"]) for k, name in enumerate(plan["populations"])]
        projections = [_projection(row, file[f"projection/{k}"]) for k, row in enumerate(plan["projections"])]
        inputs = [IntInput(name, n) for name, n in plan["inputs"]]
        samples = [
            IntSample(
                {name: file[f"sample/{k}/{name}"][()] for name, _ in plan["inputs"] if f"sample/{k}/{name}" in file}
            )
            for k in range(plan["samples"])
        ]
    return Job(IntNetwork(populations, projections, inputs), plan["columns"], samples, plan["states_of"])


def _population(name: str, group: Any) -> IntPopulation:
    values: dict[str, Any] = {k: _plain(group.attrs[k]) for k in SCALARS}
    values |= {k: _plain(group[k][()]) for k in ARRAYS if k in group}
    return IntPopulation(name, **values)


def _plain(value: Any) -> Any:
    return value.item() if np.ndim(value) == 0 and hasattr(value, "item") else value


def _projection(row: list[Any], group: Any) -> IntProjection:
    name, pre, post, weight_exp, sign_mode, bits = row
    return IntProjection(
        name, pre, post, group["indptr"][()], group["indices"][()], group["weights"][()], _plain(group["delay"][()]),
        weight_exp=weight_exp, sign_mode=sign_mode, num_weight_bits=bits,
    )  # fmt: skip


Outcome = Mapping[str, NDArray[Any]]


def write_outcome(path: Path, outcomes: list[Outcome]) -> None:
    """Write what every sample gave: ``spikes/NAME`` rows (column, neuron), ``u/NAME``, ``v/NAME`` ``[columns, n]``."""
    with h5py.File(path, "w") as file:
        for k, outcome in enumerate(outcomes):
            for name, values in outcome.items():
                file[f"{k}/{name}"] = values
        file.attrs["samples"] = len(outcomes)


def read_outcome(path: Path) -> list[dict[str, NDArray[Any]]]:
    """Read what :func:`write_outcome` wrote."""
    outcomes: list[dict[str, NDArray[Any]]] = []
    with h5py.File(path, "r") as file:
        for k in range(int(file.attrs["samples"])):
            found: dict[str, NDArray[Any]] = {}
            file[str(k)].visititems(
                lambda name, item, found=found: (
                    found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
                )
            )
            outcomes.append(found)
    return outcomes
