"""lava-dl's netx files: one chain of layers in Loihi's integers, the most direct way to Loihi 2.

The layout is that of lava-dl 0.6.0 (``lava.lib.dl.netx.hdf5``). Only h5py is needed to write and to read it. On the
chip every connection takes a step: layer L of the chain runs L steps late. A file of ours says so in an attribute that
netx ignores, and comes back aligned; any other file comes back with delays of one step, in the chip's own time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Literal

import h5py
import numpy as np

from spikesim import __version__
from spikesim.convert.files import target
from spikesim.convert.netx_layers import Layer, find_chain, layers_of
from spikesim.convert.netx_read import network_from
from spikesim.convert.report import ExportReport, ImportReport
from spikesim.convert.soft_reset import with_reset
from spikesim.convert.verify import STEPS, compare_spikes
from spikesim.errors import FileFormatError, MissingFileError, UnsupportedError
from spikesim.files.envelope import write_atomically
from spikesim.fixedpoint.lower import Lowered, lower_to_integers
from spikesim.fixedpoint.network import IntPopulation
from spikesim.fixedpoint.start import alone
from spikesim.learning import plastic_problems
from spikesim.lowering import is_graded_input, lower
from spikesim.network import Network, Population

ATTRIBUTE = "spikesim"
RESETS = ("hard", "self_inhibition")


def write_netx(
    network: Any,
    path: str | Path,
    *,
    reset: Literal["hard", "self_inhibition"] | None = None,
    inputs: Mapping[str, Any] | None = None,
    steps: int = STEPS,
) -> ExportReport:
    """Write a network in fixed point to a netx file.

    Parameters
    ----------
    network
        A network of ``loihi_lif`` neurons, or what :func:`spikesim.quantise.loihi.quantise` returned.
    path
        Where.
    reset
        None refuses a network with soft reset, which netx has no field for. ``"hard"`` writes it with hard reset,
        ``"self_inhibition"`` as recurrent layers (:mod:`spikesim.convert.soft_reset`), exact for some decays; the
        report holds the measured difference in spikes.
    inputs
        Sample input for that measurement, as for :func:`spikesim.run`; random spikes if left out.
    steps
        Length of the measurement on random spikes.

    Returns
    -------
    ExportReport

    Raises
    ------
    UnsupportedError
        If the network is not one chain of layers in fixed point, or holds something else that netx does not; all
        reasons are listed.
    """
    original: Network = getattr(network, "network", network)
    place = target(path, "netx", "layer")
    report = ExportReport("netx")
    written = with_reset(original, reset, RESETS, "netx", "reset", report)
    graph = lower(written)
    found = plastic_problems(graph, "netx")
    found += [f"input {s.name!r} is graded, which netx files cannot say" for s in graph.sources if is_graded_input(s)]
    if found:
        raise UnsupportedError(found, f"network {graph.name!r} cannot be written to netx:")
    lowered = lower_to_integers(graph)
    chain = find_chain(lowered.network)
    early = _early_biases(written, lowered, report)
    integers = replace(lowered.network, populations=[_from_zero(p, early) for p in lowered.network.populations])
    layers = layers_of(written, integers, chain, report)
    description = _description(written, chain, lowered.lags)
    write_atomically(place, lambda file: _write(file, layers, description))
    if report.status != "exact" or written is not original:
        meant = read_netx(place)[0]
        parts = [meant.population(name) for name in early]
        begun = [Population(p.name, p.shape, p.neuron(init=early[p.name])) for p in parts]
        report.verification = compare_spikes(original, meant.swap(*begun), inputs, steps)
    return report


def _early_biases(network: Network, lowered: Lowered, report: ExportReport) -> dict[str, dict[str, Any]]:
    """Return the states that layers have when their first input comes, where biases move them before.

    On the chip a layer can begin so that this leads to the right state; netx has no field for that.
    """
    found = {}
    for p in lowered.network.populations:
        lag, own = lowered.lags[p.name], network.population(p.name).neuron.init
        if lag and p.bias.any() and not any(np.any(value) for value in own.values()):
            keeps = {"keep_u": 4095 - int(np.max(p.du)), "keep_v": 4096 - int(np.max(p.dv))}
            zero = np.zeros(p.n, np.int64)
            found[p.name] = dict(zip("uv", alone(lag, zero, zero, bias=p.bias.astype(np.int64), **keeps), strict=True))
            steps = f"{lag} step{'s' if lag > 1 else ''}"
            text = f"netx begins at 0, so its bias acts {steps} before the first input; the difference is measured"
            report.add(p.name, "bias", "approximated", text)
    return found


def _from_zero(population: IntPopulation, early: Mapping[str, Any]) -> IntPopulation:
    return replace(population, u0=0, v0=0) if population.name in early else population


def read_netx(path: str | Path, *, dt: float | None = None) -> tuple[Network, ImportReport]:
    """Read a netx file as a network of ``loihi_lif`` neurons, which runs on numba, torch, loihi and lava.

    Parameters
    ----------
    path
        The file.
    dt
        Seconds that a step stands for; the file's if spikesim wrote it, else 1 ms.

    Returns
    -------
    network : Network
    report : ImportReport

    Raises
    ------
    MissingFileError, FileFormatError
        If the file cannot be read.
    UnsupportedError
        If it holds layers that have no counterpart (resonators, sigma-delta neurons, ...); all are listed.
    """
    source = Path(path)
    if not source.is_file():
        raise MissingFileError(f"there is no file {str(source)!r}")
    try:
        with h5py.File(source, "r") as file:
            tree = _tree(file["layer"]) if "layer" in file else None
            text = file.attrs.get(ATTRIBUTE)
    except OSError as error:
        raise FileFormatError(f"{str(source)!r} is not an HDF5 file: {error}") from None
    if not tree:
        raise FileFormatError(f"{str(source)!r} is not a netx file: it has no group 'layer'")
    described = _described(text)
    return network_from(tree, described if dt is None else {**described, "dt": dt}, source.stem)


def _description(network: Network, chain: list[str], lags: Mapping[str, int]) -> str:
    frame = {"version": __version__, "dt": network.dt, "name": network.name, "chain": chain}
    return json.dumps({**frame, "lags": [int(lags[n]) for n in chain]})


def _write(path: BinaryIO, layers: list[Layer], description: str) -> None:
    with h5py.File(path, "w") as file:
        for k, layer in enumerate(layers):
            group = file.create_group(f"layer/{k}")
            for name, value in layer.fields.items():
                if isinstance(value, str):
                    group[name] = np.array([value.encode()], "S10")
                else:
                    group[name] = value
        file["simulation/Ts"], file["simulation/tSample"] = 1, 0
        file.attrs[ATTRIBUTE] = description


def _tree(group: Any) -> dict[str, Any]:
    """Return a group of this very file as a dictionary; links to elsewhere are left out."""
    found: dict[str, Any] = {}
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            continue
        item = group[name]
        found[name] = _tree(item) if isinstance(item, h5py.Group) else item[()]
    return found


def _described(text: Any) -> dict[str, Any]:
    try:
        found = json.loads(text) if isinstance(text, (str, bytes)) else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


__all__ = ["read_netx", "write_netx"]
