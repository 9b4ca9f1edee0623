"""SONATA circuits of point neurons, written for NEST, as networks; recordings as SONATA's spike files.

What NEST and PointNet do is done here: spikes of virtual nodes are rounded up to the end of a step, a synapse without
weight or delay has NEST's (1 pA, 1 ms), membranes start at the neuron's ``V_m`` (``conditions/v_init`` is not read), a
current clamp acts one step after its onset.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.convert.report import ImportReport
from spikesim.convert.sonata_config import read_config
from spikesim.convert.sonata_inputs import write_membranes, write_spikes
from spikesim.convert.sonata_reader import Reader
from spikesim.convert.sonata_tables import read_edges, read_nodes
from spikesim.errors import InvalidValueError, UnsupportedError
from spikesim.network import Network
from spikesim.recording import Recording
from spikesim.units import si


@dataclass(frozen=True)
class Circuit:
    """A circuit that was read.

    Parameters
    ----------
    network
        Populations have their SONATA names; one with several models is split, ``"name model"``.
    duration
        Of the simulation in seconds; None if the configuration does not say.
    nodes
        Population of the network to (population of the circuit, node ids).
    report
        Part by part, what it became.
    spikes_file
        Where the configuration wants the spikes.
    reports
        Where it wants membranes: file to (populations of the network).
    """

    network: Network
    duration: float | None
    nodes: Mapping[str, tuple[str, NDArray[np.int64]]]
    report: ImportReport
    spikes_file: Path | None = None
    reports: Mapping[Path, tuple[str, ...]] = field(default_factory=dict)

    def write(self, recording: Recording) -> list[Path]:
        """Write the files that the configuration wants; return their names."""
        written = []
        if self.spikes_file is not None:
            self.spikes_file.parent.mkdir(parents=True, exist_ok=True)
            write_spikes(recording, self.spikes_file, self.nodes)
            written.append(self.spikes_file)
        for path, populations in self.reports.items():
            write_membranes(recording, path, self.nodes, populations)
            written.append(path)
        return written


def read_sonata(
    config: str | Path, simulation: str | Path | None = None, *, dt: float | None = None, approximate: bool = False
) -> Circuit:
    """Read a SONATA circuit and its simulation.

    Parameters
    ----------
    config
        JSON file: a configuration that names circuit and simulation, a simulation's, or a circuit's (a
        ``simulation_config.json`` beside it is taken).
    simulation
        JSON file of the simulation, if ``config`` does not lead to it.
    dt
        Time step in seconds in place of the configuration's.
    approximate
        Also read ``iaf_cond_exp`` and ``aeif_cond_exp``, which NEST integrates adaptively and spikesim does not.

    Returns
    -------
    Circuit

    Raises
    ------
    UnsupportedError
        If something has no counterpart (other neurons or synapses, biophysical nodes, ...); all is listed.
    FileFormatError, MissingFileError, InvalidValueError
        If a file is missing or damaged, or names what is not there.
    """
    found = read_config(config, simulation)
    step = found.dt if dt is None else float(si(dt, "s", "dt"))
    if not step:
        raise InvalidValueError(
            f"SONATA: {str(config)!r} gives no time step; pass the simulation's configuration, or dt="
        )
    tables = read_nodes(found)
    reader = Reader(found, step, approximate, tables, ImportReport("SONATA"))
    for table in tables.values():
        reader.population(table)
    reader.inputs()
    for edges in read_edges(found, tables):
        reader.edges(edges)
    reader.probes()
    if reader.problems:
        raise UnsupportedError(list(dict.fromkeys(reader.problems)), f"the circuit {str(config)!r} cannot be read:")
    return _circuit(reader)


def from_sonata(
    config: str | Path, simulation: str | Path | None = None, **options: Any
) -> tuple[Network, ImportReport]:
    """Return the network of a SONATA circuit; see :func:`read_sonata`."""
    circuit = read_sonata(config, simulation, **options)
    return circuit.network, circuit.report


def _circuit(reader: Reader) -> Circuit:
    """Put the parts together."""
    config = reader.config
    parts = (reader.populations, reader.projections, reader.stimuli, reader.found_probes)
    network = Network(*parts, reader.dt, name=config.path.stem)
    nodes = {
        part.name: (name, reader.tables[name].ids[part.rows])
        for name, found in reader.parts.items()
        for part in found
        if part.cells is not None
    }
    output = config.section("output")
    folder = output.get("output_dir")
    spikes = reader.output(folder) / str(output.get("spikes_file") or "spikes.h5") if folder else None
    if config.section("conditions").get("v_init") is not None:
        reader.report.notes.append("conditions/v_init is not read, as in NEST: membranes start at V_m of each neuron")
    return Circuit(network, config.duration, nodes, reader.report, spikes, reader.wanted)


__all__ = ["Circuit", "from_sonata", "read_sonata", "write_spikes"]
