"""SONATA configurations: JSON with path variables, a circuit and a simulation that may stand in files of their own.

Source: the SONATA developer guide (Allen Institute and Blue Brain Project, 2018 on), sections "network/circuit config
file" and "Representing Simulations"; Dai et al., "The SONATA data format for efficient description of large-scale
network models", PLoS Comput. Biol. 16:e1007696, 2020.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import FileFormatError, InvalidValueError, MissingFileError

MS = 1e-3
LINKS = ("network", "circuit", "simulation")  # keys that name another configuration


@dataclass(frozen=True)
class Config:
    """A circuit and its simulation, every path spelled out.

    Parameters
    ----------
    path
        The file that was asked for.
    values
        All sections of all files; a later file adds to those of an earlier one.
    node_sets
        Definitions by name.
    """

    path: Path
    values: Mapping[str, Any]
    node_sets: Mapping[str, Any] = field(default_factory=dict)

    def section(self, *names: str) -> Any:
        """Return a section, an empty dictionary if it is not there."""
        found: Any = self.values
        for name in names:
            found = found.get(name) or {}
        return found

    def file(self, value: str, *components: str) -> Path:
        """Return the path that a value means: as it is, or in one of the component folders."""
        path = Path(value)
        folders = [self.section("components").get(c) for c in components]
        for folder in (f for f in folders if f):
            if (Path(folder) / path).is_file():
                return Path(folder) / path
        path = path if path.is_absolute() else self.path.parent / path
        if not path.is_file():
            raise MissingFileError(f"SONATA: there is no file {str(path)!r}, which {self.path.name!r} names")
        return path

    @property
    def dt(self) -> float | None:
        """Time step in seconds."""
        return _seconds(self.section("run"), "dt")

    @property
    def duration(self) -> float | None:
        """Length of the simulation in seconds."""
        run = self.section("run")
        stop = _seconds(run, "tstop")
        stop = stop if stop is not None else _seconds(run, "duration")
        return None if stop is None else stop - (_seconds(run, "tstart") or 0.0)


def _seconds(section: Mapping[str, Any], key: str) -> float | None:
    value = section.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
        raise InvalidValueError(f"SONATA: run/{key} must be a number of milliseconds, found {value!r}")
    return float(value) * MS


def read_config(path: str | Path, simulation: str | Path | None = None) -> Config:
    """Read a configuration and those that it names; ``simulation`` is one more.

    A circuit's configuration without a section ``run`` takes the ``simulation_config.json`` beside it, if that one
    names this circuit.

    Raises
    ------
    MissingFileError, FileFormatError
        If a file is not there or is no configuration.
    """
    path = Path(path)
    values: dict[str, Any] = {}
    _merge(values, path, set())
    if simulation is not None:
        _merge(values, Path(simulation), set())
    beside = path.parent / "simulation_config.json"
    if "run" not in values and beside.is_file() and beside.resolve() != path.resolve():
        found: dict[str, Any] = {}
        seen: set[Path] = set()
        _merge(found, beside, seen)
        if path.resolve() in seen:
            values = found
    if "networks" not in values:
        raise FileFormatError(f"{str(path)!r} is not a SONATA configuration: it names no networks")
    named = values.get("node_sets_file")
    sets = _load(Path(named) if Path(named).is_absolute() else path.parent / named) if named else {}
    return Config(path, values, {**sets, **(values.get("node_sets") or {})})


def _load(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise MissingFileError(f"there is no file {str(path)!r}")
    try:
        found = json.loads(path.read_text("utf-8"))
    except (ValueError, OSError) as error:
        raise FileFormatError(f"{str(path)!r} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise FileFormatError(f"{str(path)!r} is not a SONATA file: it holds a {type(found).__name__}, not an object")
    return found


def _merge(values: dict[str, Any], path: Path, seen: set[Path]) -> None:
    if path.resolve() in seen:
        return
    seen.add(path.resolve())
    own = _load(path)
    variables = _manifest(own.get("manifest") or {}, path.parent)
    own = _substituted({k: v for k, v in own.items() if k != "manifest"}, variables)
    for key in LINKS:
        if isinstance(own.get(key), str):
            linked = Path(own.pop(key))
            _merge(values, linked if linked.is_absolute() else path.parent / linked, seen)
    for key, value in own.items():
        known = values.get(key)
        values[key] = {**known, **value} if isinstance(known, dict) and isinstance(value, dict) else value


def _manifest(manifest: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """Return the variables ``$NAME`` as absolute paths, those inside of others replaced."""
    given = {f"${k.lstrip('$')}": str(v) for k, v in manifest.items()}
    places = {"${configdir}": str(folder), "$configdir": str(folder)}
    done: dict[str, str] = {}
    for name in given:
        value = given[name]
        for _ in range(len(given) + 1):
            value = _replaced(value, {**given, **places})
        done[name] = str(Path(value) if Path(value).is_absolute() else folder / value)
    return {**done, **places}


def _replaced(text: str, variables: Mapping[str, str]) -> str:
    for name in sorted(variables, key=len, reverse=True):  # $BASE_DIR2 before $BASE_DIR
        text = text.replace(f"${{{name[1:]}}}", variables[name]).replace(name, variables[name])
    return text


def _substituted(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {k: _substituted(v, variables) for k, v in value.items()}
    if isinstance(value, list):
        return [_substituted(v, variables) for v in value]
    return _replaced(value, variables) if isinstance(value, str) and "$" in value else value


# ---------------------------------------------------------------------------------------------------------- node sets
def members(config: Config, wanted: Any, tables: Mapping[str, Any]) -> dict[str, NDArray[np.int64]]:
    """Return the nodes of a set, by population, as indices.

    Parameters
    ----------
    config
        With the definitions.
    wanted
        Name of a node set or of a population, a definition, a list of them, or None for all nodes.
    tables
        The :class:`~spikesim.convert.sonata_tables.Nodes` by population.

    Raises
    ------
    InvalidValueError
        If there is no such set.
    """
    if isinstance(wanted, list) and all(isinstance(w, (str, dict)) for w in wanted):
        parts = [members(config, w, tables) for w in wanted]
        names = dict.fromkeys(n for p in parts for n in p)
        return {n: np.unique(np.concatenate([p[n] for p in parts if n in p])) for n in names}
    if isinstance(wanted, str) and wanted in config.node_sets:
        return members(config, config.node_sets[wanted], tables)
    if isinstance(wanted, str) and wanted in tables:
        wanted = {"population": wanted}
    if wanted is None or wanted == "all":
        wanted = {}
    if not isinstance(wanted, Mapping):
        known = ", ".join(repr(n) for n in (*config.node_sets, *tables))
        raise InvalidValueError(f"SONATA: unknown node set {wanted!r}; known are {known}")
    found = {}
    for name, table in tables.items():
        chosen = np.ones(table.n, bool)
        for key, value in wanted.items():
            chosen &= np.isin(name if key == "population" else table.attribute(key), np.atleast_1d(value))
        if chosen.any():
            found[name] = np.flatnonzero(chosen)
    return found
