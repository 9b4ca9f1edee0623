"""Jobs and results as HDF5: arrays, numbers and names, nothing that could be executed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from spikesim.backends.lava.job import LavaJob
from spikesim.errors import FileFormatError
from spikesim.fixedpoint import (
    IntInput,
    IntLearning,
    IntNetwork,
    IntPopulation,
    IntProjection,
    IntSample,
    LoihiRule,
)

_VERSION = 1
_POPULATION_ARRAYS = ("du", "dv", "vth", "bias_mant", "bias_exp", "quantum", "u0", "v0")
_POPULATION_ATTRS = ("name", "n", "reset", "reset_interval", "reset_offset")
_INPUT_ATTRS = ("name", "n", "graded")
_PROJECTION_ARRAYS = ("indptr", "indices", "weights", "delay")
_PROJECTION_ATTRS = ("name", "pre", "post", "weight_exp", "sign_mode", "num_weight_bits")


@dataclass(frozen=True, eq=False)
class LavaResult:
    """What the child measured for one job.

    Parameters
    ----------
    spikes
        For each population: int32, shape (k, 3), rows (sample, column, neuron), sorted.
    u, v
        For each recorded population: int32, shape (samples, recorded columns, n).
    build_s, run_s
        Seconds spent on building and compiling, and on running all samples.
    learned
        For each projection that learns: w, d, t of its synapses at the end, int32, shape (samples, 3, n_synapses).
    """

    spikes: Mapping[str, NDArray[np.int32]]
    u: Mapping[str, NDArray[np.int32]]
    v: Mapping[str, NDArray[np.int32]]
    build_s: float
    run_s: float
    learned: Mapping[str, NDArray[np.int32]] = field(default_factory=dict)


def write_jobs(path: Path, jobs: Sequence[LavaJob]) -> None:
    """Write jobs for the child."""
    with h5py.File(path, "w") as file:
        file.attrs.update(format="spikesim-lava-job", version=_VERSION, count=len(jobs))
        for i, job in enumerate(jobs):
            _write_job(file.create_group(f"job{i}"), job)


def read_jobs(path: Path) -> list[LavaJob]:
    """Read what `write_jobs` wrote."""
    with h5py.File(path, "r") as file:
        return [_read_job(group) for group in _numbered(_checked(file, "spikesim-lava-job"), "job")]


def write_results(path: Path, results: Sequence[LavaResult]) -> None:
    """Write the answers for the parent."""
    with h5py.File(path, "w") as file:
        file.attrs.update(format="spikesim-lava-result", version=_VERSION, count=len(results))
        for i, result in enumerate(results):
            group = file.create_group(f"result{i}")
            group.attrs.update(build_s=result.build_s, run_s=result.run_s)
            for kind in ("spikes", "u", "v", "learned"):
                _write_named(group.create_group(kind), getattr(result, kind))


def read_results(path: Path) -> list[LavaResult]:
    """Read what `write_results` wrote."""
    with h5py.File(path, "r") as file:
        return [
            LavaResult(
                **{kind: _read_named(group[kind]) for kind in ("spikes", "u", "v", "learned")},
                build_s=float(group.attrs["build_s"]),
                run_s=float(group.attrs["run_s"]),
            )
            for group in _numbered(_checked(file, "spikesim-lava-result"), "result")
        ]


def _checked(file: Any, kind: str) -> Any:
    found = (str(file.attrs.get("format")), int(file.attrs.get("version", -1)))
    if found != (kind, _VERSION):
        raise FileFormatError(f"{file.filename} is {found[0]} version {found[1]}; {kind} version {_VERSION} is needed")
    return file


def _numbered(parent: Any, stem: str) -> list[Any]:
    return [parent[f"{stem}{i}"] for i in range(int(parent.attrs["count"]))]


def _plain(value: Any) -> Any:
    """Turn a numpy scalar of an attribute into a Python value."""
    return value.item() if isinstance(value, np.generic) else value


def _write_parts(parent: Any, parts: Iterable[Any], attrs: Sequence[str], arrays: Sequence[str]) -> None:
    """Write each part as a numbered group; names may hold any character, so they are attributes."""
    count = 0
    for count, part in enumerate(parts, 1):
        group = parent.create_group(f"part{count - 1}")
        group.attrs.update({name: getattr(part, name) for name in attrs})
        for name in arrays:
            if getattr(part, name) is not None:
                group[name] = getattr(part, name)
    parent.attrs["count"] = count


def _read_parts(parent: Any, attrs: Sequence[str], arrays: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {name: _plain(group.attrs[name]) for name in attrs}
        | {name: group[name][()] for name in arrays if name in group}
        for group in _numbered(parent, "part")
    ]


def _write_named(parent: Any, arrays: Mapping[str, Any]) -> None:
    parent.attrs["count"] = len(arrays)
    for i, (name, array) in enumerate(arrays.items()):
        parent.create_dataset(f"array{i}", data=np.asarray(array, np.int32)).attrs["name"] = name


def _read_named(parent: Any) -> dict[str, NDArray[np.int32]]:
    return {str(data.attrs["name"]): data[()] for data in _numbered(parent, "array")}


def _write_job(group: Any, job: LavaJob) -> None:
    group.attrs.update(steps=job.steps, batched=job.batched, stride=job.stride, count=len(job.samples))
    group.attrs["allow_negative_bias_exp"] = job.network.allow_negative_bias_exp
    for kind in ("record_u", "record_v"):
        group.attrs.create(kind, list(getattr(job, kind)), dtype=h5py.string_dtype())
    _write_parts(group.create_group("inputs"), job.network.inputs, _INPUT_ATTRS, ())
    populations, projections = job.network.populations, job.network.projections
    _write_parts(group.create_group("populations"), populations, _POPULATION_ATTRS, _POPULATION_ARRAYS)
    _write_parts(group.create_group("projections"), projections, _PROJECTION_ATTRS, _PROJECTION_ARRAYS)
    for i, projection in enumerate(projections):
        if projection.learning:
            group[f"projections/part{i}"].attrs["learning"] = json.dumps(asdict(projection.learning))
    for i, sample in enumerate(job.samples):
        parts = group.create_group(f"sample{i}")
        _write_named(parts.create_group("spikes"), sample.spikes)
        _write_named(parts.create_group("drive"), sample.drive)


def _read_learning(part: Any) -> IntLearning | None:
    if "learning" not in part.attrs:
        return None
    values = json.loads(part.attrs["learning"])
    return IntLearning(**{**values, "rule": LoihiRule(**values["rule"])})


def _read_job(group: Any) -> LavaJob:
    network = IntNetwork(
        [IntPopulation(**p) for p in _read_parts(group["populations"], _POPULATION_ATTRS, _POPULATION_ARRAYS)],
        [
            IntProjection(**p, learning=_read_learning(part))
            for p, part in zip(
                _read_parts(group["projections"], _PROJECTION_ATTRS, _PROJECTION_ARRAYS),
                _numbered(group["projections"], "part"),
                strict=True,
            )
        ],
        [IntInput(**p) for p in _read_parts(group["inputs"], _INPUT_ATTRS, ())],
        bool(group.attrs["allow_negative_bias_exp"]),
    )
    return LavaJob(
        network=network,
        steps=int(group.attrs["steps"]),
        samples=[IntSample(_read_named(s["spikes"]), _read_named(s["drive"])) for s in _numbered(group, "sample")],
        batched=bool(group.attrs["batched"]),
        record_u=[str(name) for name in group.attrs["record_u"]],
        record_v=[str(name) for name in group.attrs["record_v"]],
        stride=int(group.attrs["stride"]),
    )
