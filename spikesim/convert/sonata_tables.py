"""SONATA's nodes and edges: HDF5 tables whose rows inherit from types in a CSV file."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from spikesim.convert.sonata_config import Config
from spikesim.errors import FileFormatError

NULL = ("NULL", "null", "None", "")


@dataclass
class Table:
    """Rows that belong to types; what HDF5 says of a row comes before what the type says.

    Parameters
    ----------
    name
        Of the population.
    types
        Type of each row, int64 ``[n]``.
    columns
        Of the types: type id to attributes.
    params
        Of the types: type id to what the JSON file ``dynamics_params`` holds.
    groups
        What HDF5 holds of single rows: attribute to ``(rows, values)`` pairs; those of ``dynamics_params`` begin with
        ``"dynamics_params/"``.
    """

    name: str
    types: NDArray[np.int64]
    columns: Mapping[int, Mapping[str, Any]]
    params: Mapping[int, Mapping[str, Any]]
    groups: dict[str, list[tuple[NDArray[np.int64], NDArray[Any]]]] = field(default_factory=dict)

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.types)

    def attribute(self, name: str, *, dynamics: bool = False) -> NDArray[Any]:
        """Return an attribute of every row, None where nothing says it.

        With ``dynamics`` the parameters of the model come before the columns.
        """
        values = np.empty(self.n, object)
        for kind in np.unique(self.types):
            found = self.columns.get(int(kind), {}).get(name)
            if dynamics:
                found = self.params.get(int(kind), {}).get(name, found)
            values[self.types == kind] = found
        keys = [name, f"dynamics_params/{name}"] if dynamics else [name]
        for key in keys:
            for rows, own in self.groups.get(key, []):
                values[rows] = own
        return values

    def distinct(self, name: str) -> list[Any]:
        """Return the values of an attribute that occur, without None."""
        said = [self.columns.get(int(k), {}).get(name) for k in np.unique(self.types)]
        own = [v for _, values in self.groups.get(name, []) for v in np.unique(values).tolist()]
        return list(dict.fromkeys(v for v in (*said, *own) if v is not None))

    def parameter_names(self) -> set[str]:
        """Return the names of all parameters of the model that are given somewhere."""
        own = {k.removeprefix("dynamics_params/") for k in self.groups if k.startswith("dynamics_params/")}
        return own.union(*(self.params.get(int(k), {}) for k in np.unique(self.types)))


@dataclass
class Nodes(Table):
    """Nodes of a population; ``ids`` are their numbers in the file."""

    ids: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def attribute(self, name: str, *, dynamics: bool = False) -> NDArray[Any]:
        """Return an attribute of every node; see :meth:`Table.attribute`."""
        if name in ("node_id", "node_type_id"):
            return self.ids if name == "node_id" else self.types
        return super().attribute(name, dynamics=dynamics)

    def index(self, ids: NDArray[Any]) -> NDArray[np.int64]:
        """Return the places of nodes by their ids.

        Raises
        ------
        FileFormatError
            If there is no node of an id.
        """
        order = np.argsort(self.ids, kind="stable")
        place = np.minimum(np.searchsorted(self.ids, ids, sorter=order), max(self.n - 1, 0))
        found = order[place] if self.n else np.zeros(len(ids), np.int64)
        wrong = np.asarray(ids)[self.ids[found] != ids] if self.n else np.asarray(ids)
        if len(wrong):
            raise FileFormatError(f"SONATA: population {self.name!r} has no node {wrong[0]}")
        return np.asarray(found, np.int64)


@dataclass
class Edges(Table):
    """Edges of a population, from indices of nodes to indices of nodes."""

    source: str = ""
    target: str = ""
    pre: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    post: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def numbers(self, *names: str, default: float) -> NDArray[np.float64]:
        """Return the first attribute of these names that an edge has, as a number."""
        values = np.full(self.n, np.nan)
        for name in names:
            own = np.full(self.n, np.nan)
            for kind in np.unique(self.types).tolist():
                said = self.params.get(kind, {}).get(name, self.columns.get(kind, {}).get(name))
                own[self.types == kind] = np.nan if said is None else float(said)
            for key in (name, f"dynamics_params/{name}"):
                for rows, given in self.groups.get(key, []):
                    own[rows] = given
            values = np.where(np.isnan(values), own, values)
        return np.where(np.isnan(values), default, values)


def read_nodes(config: Config) -> dict[str, Nodes]:
    """Return all node populations by name."""
    found: dict[str, Nodes] = {}
    for entry in config.section("networks").get("nodes") or ():
        columns, params = _types(config, entry.get("node_types_file"), "node_type_id", "point_neuron_models_dir")
        for name, group in _populations(config.file(entry["nodes_file"]), "nodes"):
            types = np.asarray(group["node_type_id"], np.int64)
            ids = np.asarray(group["node_id"], np.int64) if "node_id" in group else np.arange(len(types))
            found[name] = Nodes(name, types, columns, params, _groups(group, "node", len(types)), ids)
    return found


def read_edges(config: Config, nodes: Mapping[str, Nodes]) -> list[Edges]:
    """Return all edge populations that are not switched off."""
    found = []
    for entry in config.section("networks").get("edges") or ():
        if entry.get("enabled", True) is False:
            continue
        columns, params = _types(config, entry.get("edge_types_file"), "edge_type_id", "synaptic_models_dir")
        for name, group in _populations(config.file(entry["edges_file"]), "edges"):
            types = np.asarray(group["edge_type_id"], np.int64)
            source, pre = _end(name, group, "source", nodes)
            target, post = _end(name, group, "target", nodes)
            own = _groups(group, "edge", len(types))
            found.append(Edges(name, types, columns, params, own, source, target, pre, post))
    return found


def _end(name: str, group: Any, side: str, nodes: Mapping[str, Nodes]) -> tuple[str, NDArray[np.int64]]:
    data = group[f"{side}_node_id"]
    population = data.attrs.get("node_population", b"")
    population = population.decode() if isinstance(population, bytes) else str(population)
    if population not in nodes:
        known = ", ".join(map(repr, nodes))
        raise FileFormatError(f"SONATA: edges {name!r}: unknown {side} population {population!r}; known are {known}")
    return population, nodes[population].index(np.asarray(data, np.int64))


def _populations(path: Path, kind: str) -> Iterator[tuple[str, Any]]:
    try:
        with h5py.File(path, "r") as file:
            if kind not in file:
                raise FileFormatError(f"{str(path)!r} is not a SONATA file: it has no group {kind!r}")
            yield from file[kind].items()
    except OSError as error:
        raise FileFormatError(f"{str(path)!r} cannot be read: {error}") from None
    except KeyError as error:
        raise FileFormatError(f"{str(path)!r} is not a SONATA file: {error}") from None


def _groups(population: Any, kind: str, n: int) -> dict[str, list[tuple[NDArray[np.int64], NDArray[Any]]]]:
    """Return what the groups of a population say of single rows."""
    names = [k for k, v in population.items() if isinstance(v, h5py.Group) and k.isdigit()]
    whole = np.zeros(n, np.int64) if f"{kind}_group_id" not in population else population[f"{kind}_group_id"][:]
    places = np.arange(n) if f"{kind}_group_index" not in population else population[f"{kind}_group_index"][:]
    found: dict[str, list[tuple[NDArray[np.int64], NDArray[Any]]]] = {}
    for name in names:
        rows = np.flatnonzero(whole == int(name))
        for key, data in _datasets(population[name]):
            values = data.asstr()[:] if h5py.check_string_dtype(data.dtype) else data[:]
            found.setdefault(key, []).append((rows, values[places[rows].astype(np.int64)]))
    return found


def _datasets(group: Any) -> Iterator[tuple[str, Any]]:
    for key, value in group.items():
        if isinstance(value, h5py.Dataset):
            yield key, value
        elif key == "dynamics_params":
            yield from ((f"{key}/{k}", v) for k, v in value.items() if isinstance(v, h5py.Dataset))


def _types(
    config: Config, file: str | None, key: str, folder: str
) -> tuple[dict[int, dict[str, Any]], dict[int, dict[str, Any]]]:
    """Return the columns of a CSV file of types, and what the JSON files hold that it names."""
    if not file:
        return {}, {}
    path = config.file(file)
    with path.open(newline="", encoding="utf-8") as stream:
        lines = (line.replace("\t", " ").strip() for line in stream if line.strip())
        rows = list(csv.reader(lines, delimiter=" ", skipinitialspace=True))
    if not rows or key not in rows[0]:
        raise FileFormatError(f"{str(path)!r} is not a SONATA file of types: it has no column {key!r}")
    columns, params = {}, {}
    for row in rows[1:]:
        if len(row) != len(rows[0]):
            raise FileFormatError(f"{str(path)!r}: a row of {len(row)} values below {len(rows[0])} columns: {row}")
        values = {k: _value(v) for k, v in zip(rows[0], row, strict=True)}
        number = int(values[key])
        columns[number] = values
        named = values.get("dynamics_params")
        params[number] = _parameters(config.file(named, folder)) if named else {}
    return columns, params


def _parameters(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise FileFormatError(f"{str(path)!r} is not JSON: {error}") from None
    return found if isinstance(found, dict) else {}


def _value(text: str) -> Any:
    if text in NULL:
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
