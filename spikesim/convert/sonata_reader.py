"""A SONATA circuit part by part: node populations, edges, inputs, reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.convert.report import ImportReport
from spikesim.convert.sonata_config import MS, Config, members
from spikesim.convert.sonata_edges import Part, connect
from spikesim.convert.sonata_inputs import Events, spike_trains, stimulated
from spikesim.convert.sonata_neurons import APPROXIMATE, Cells, cells
from spikesim.convert.sonata_tables import Edges, Nodes
from spikesim.errors import InvalidValueError, SpikesimError
from spikesim.network import Population, Probe, Projection
from spikesim.stimulus import SpikeTrains, Stimulus

POINT = ("point_neuron", "point_process")  # the second is the older name
MEMBRANE = ("V_m", "v", "vm")


@dataclass
class Reader:
    """Grows by the parts of a circuit; ``problems`` by what has no counterpart."""

    config: Config
    dt: float
    approximate: bool
    tables: Mapping[str, Nodes]
    report: ImportReport
    problems: list[str] = field(default_factory=list)
    parts: dict[str, list[Part]] = field(default_factory=dict)
    events: dict[str, list[Events]] = field(default_factory=dict)
    populations: list[Population] = field(default_factory=list)
    projections: list[Projection] = field(default_factory=list)
    stimuli: list[Stimulus] = field(default_factory=list)
    found_probes: list[Probe] = field(default_factory=list)
    wanted: dict[Path, tuple[str, ...]] = field(default_factory=dict)

    # ------------------------------------------------------------------------------------------------------- nodes
    def population(self, table: Nodes) -> None:
        """Make the populations of a node population, one for each model."""
        kinds = table.attribute("model_type")
        virtual = np.array([k == "virtual" for k in kinds], bool)
        strange = {str(k) for k in kinds[~virtual]} - set(POINT)
        if strange:
            names = ", ".join(sorted(strange))
            self.problems.append(f"nodes {table.name!r}: model_type {names}; spikesim has {', '.join(POINT)}, virtual")
            return
        if virtual.all():
            self.parts[table.name] = [Part(table.name, np.arange(table.n))]
            return
        if virtual.any():
            self.problems.append(f"nodes {table.name!r}: some are virtual and some are not; split the population")
            return
        named = [str(t) for t in table.attribute("model_template")]
        schemas = {t.partition(":")[0] for t in named if ":" in t} - {"nest"}
        if schemas:
            names = ", ".join(sorted(schemas))
            self.problems.append(f"nodes {table.name!r}: model_template of {names}; known is nest")
            return
        templates = np.array([t.removeprefix("nest:") for t in named])
        parts = []
        models = sorted(set(templates.tolist()))
        for model in models:
            rows = np.flatnonzero(templates == model)
            label = table.name if len(models) == 1 else f"{table.name} {model}"
            made = self._cells(table, model, rows)
            if made is None:
                continue
            parts.append(Part(label, rows, made))
            self.populations.append(Population(label, len(rows), made.neuron))
            status: Any = "approximated" if model in APPROXIMATE else "exact"
            detail = "NEST integrates it adaptively" if model in APPROXIMATE else ""
            self.report.add(label, f"{made.neuron.model.name} for {model}", status, detail)
        self.parts[table.name] = parts

    def _cells(self, table: Nodes, model: str, rows: NDArray[np.int64]) -> Cells | None:
        given: dict[str, NDArray[np.float64]] = {}
        for name in sorted(table.parameter_names()):
            values = table.attribute(name, dynamics=True)[rows]
            try:
                numbers = np.array([np.nan if v is None else float(v) for v in values])
            except (TypeError, ValueError):
                self.problems.append(f"nodes {table.name!r}: parameter {name!r} is no number: {values[0]!r}")
                continue
            if not np.isnan(numbers).all():
                given[name] = numbers
        if model in APPROXIMATE and not self.approximate:
            self.problems.append(
                f"nodes {table.name!r}: {model!r} is integrated adaptively by NEST, not by spikesim; approximate=True "
                "(--approximate) reads it all the same"
            )
            return None
        try:
            made, problems = cells(model, given, len(rows), self.dt)
        except SpikesimError as error:
            made, problems = None, [str(error)]
        self.problems += [f"nodes {table.name!r}: {p}" for p in problems]
        return made

    # ------------------------------------------------------------------------------------------------------- edges
    def edges(self, edges: Edges) -> None:
        """Make the projections of an edge population."""
        made, problems = connect(edges, self.parts, self.dt)
        self.problems += problems
        self.projections += made
        self.report.add(edges.name, f"{len(made)} projection{'s' if len(made) != 1 else ''} of {edges.n} edges")

    # ------------------------------------------------------------------------------------------------------ inputs
    def inputs(self) -> None:
        """Make sources for virtual nodes, and currents."""
        given = self.config.section("inputs")
        for name, entry in given.items():
            if entry.get("enabled", True) is False:
                continue
            kind = entry.get("input_type")
            if kind == "spikes":
                self._spikes(name, entry)
            elif kind == "current_clamp":
                self._currents(name, entry)
            else:
                self.problems.append(f"input {name!r}: input_type {kind!r}; known are 'spikes' and 'current_clamp'")
        for population in [n for n, parts in self.parts.items() if any(part.cells is None for part in parts)]:
            self._source(population)

    def _spikes(self, name: str, entry: Mapping[str, Any]) -> None:
        try:
            chosen = members(self.config, entry.get("node_set"), self.tables)
            files = {p: spike_trains(self.config, entry, self.tables[p], self.dt) for p in chosen}
        except InvalidValueError as error:
            self.problems.append(f"input {name!r}: {error}")
            return
        for population, (times, indices) in files.items():
            if any(part.cells is not None for part in self.parts.get(population, ())):
                self.problems.append(f"input {name!r}: spikes for {population!r}, which is not virtual")
                continue
            here = np.isin(indices, chosen[population])
            self.events.setdefault(population, []).append((times[here], indices[here]))

    def _source(self, population: str) -> None:
        """Make the source of virtual nodes; spikes of a node within one step go to sources of their own."""
        if population not in self.events:
            self.report.warnings.append(f"no input is given for the virtual nodes {population!r}: they are silent")
        found = self.events.get(population, [])
        times = np.concatenate([t for t, _ in found] or [np.zeros(0)])
        indices = np.concatenate([i for _, i in found] or [np.zeros(0, np.int64)])
        order = np.lexsort((times, indices))
        times, indices = times[order], indices[order]
        first = np.ones(len(times), bool)
        first[1:] = (np.diff(indices) != 0) | (np.diff(times) > self.dt / 2)
        start = np.flatnonzero(first)
        turn = np.arange(len(times)) - np.repeat(start, np.diff([*start, len(times)]))
        for k in range(int(turn.max(initial=0)) + 1):
            label = population if k == 0 else f"{population} {k + 1}"
            mine = turn == k
            n = self.tables[population].n
            self.stimuli.append(SpikeTrains(label, n, times=times[mine], indices=indices[mine]))
            if k:
                self.parts[population].append(Part(label, np.arange(n)))
            detail = f"spikes of a node that is number {k + 1} within its step" if k else ""
            self.report.add(label, "SpikeTrains", "exact", detail)

    def _currents(self, name: str, entry: Mapping[str, Any]) -> None:
        try:
            chosen = members(self.config, entry.get("node_set"), self.tables)
        except InvalidValueError as error:
            self.problems.append(f"input {name!r}: {error}")
            return
        for population, rows in chosen.items():
            for part in self.parts.get(population, ()):
                place = np.flatnonzero(np.isin(part.rows, rows))
                if not len(place):
                    continue
                made, problem = stimulated(name, entry, part.name, len(part.rows), part.cells, place, self.dt)
                if made is None:
                    self.problems.append(problem)
                else:
                    self.stimuli.append(made)
                    self.report.add(made.name, "Current")

    # ------------------------------------------------------------------------------------------------------ outputs
    def probes(self) -> None:
        """Turn reports of membranes into probes; what else is reported is said."""
        for name, entry in self.config.section("reports").items():
            if entry.get("enabled", True) is False:
                continue
            if entry.get("variable_name") not in MEMBRANE:
                self.report.warnings.append(
                    f"report {name!r} of {entry.get('variable_name')!r} is left out; known is V_m"
                )
                continue
            every = max(1, round(float(entry.get("dt", self.dt / MS)) * MS / self.dt))
            try:
                chosen = members(self.config, entry.get("cells"), self.tables)
            except InvalidValueError as error:
                self.problems.append(f"report {name!r}: {error}")
                continue
            self._probe(name, entry, chosen, every)

    def _probe(self, name: str, entry: Mapping[str, Any], chosen: dict[str, NDArray[np.int64]], every: int) -> None:
        probed = []
        for population, rows in chosen.items():
            for part in self.parts.get(population, ()):
                place = np.flatnonzero(np.isin(part.rows, rows))
                if part.cells is None or not len(place):
                    continue
                if any(p.target == part.name for p in self.found_probes):
                    self.report.warnings.append(
                        f"report {name!r}: {part.name!r} is in another report already; left out"
                    )
                    continue
                self.found_probes.append(Probe(part.name, ("v",), every, tuple(place.tolist())))
                probed.append(part.name)
        folder = self.config.section("output").get("output_dir")
        if folder and probed:
            self.wanted[self.output(folder) / str(entry.get("file_name") or f"{name}.h5")] = tuple(probed)

    def output(self, folder: str) -> Path:
        """Return the path of the folder for results."""
        return Path(folder) if Path(folder).is_absolute() else self.config.path.parent / folder
