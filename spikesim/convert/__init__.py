"""Other people's formats: networks in, networks out, with a report of what each format cannot say.

=======  =====================================================  ==================================================
format   write                                                  read
=======  =====================================================  ==================================================
h5       :meth:`spikesim.Network.save`                          :meth:`spikesim.Network.load`
nir      :func:`to_nir`, :func:`write_nir`                      :func:`from_nir`
netx     :func:`write_netx`                                     :func:`read_netx`
lava     :func:`write_lava`, a folder                            no: :func:`check_lava` runs it and compares
=======  =====================================================  ==================================================

A trained torch network of rectifiers becomes a spiking one (:func:`from_ann`), a SONATA circuit of point neurons a
network (:func:`from_sonata`). Recordings go to NIRData and back (:func:`write_nirdata`, :func:`from_nirdata`), their
spikes to SONATA files (:func:`write_spikes`).

Models of torch are no files (loading one would execute code from it), but objects: :func:`from_torch`,
:func:`from_snntorch` and :func:`from_norse` read them, :func:`to_snntorch` and :func:`to_norse` make them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from spikesim.convert.report import ConversionReport, ExportReport, ImportReport, Row, Verification
from spikesim.convert.verify import compare_spikes
from spikesim.errors import UnknownNameError, UnsupportedError
from spikesim.network import Network
from spikesim.optional import require
from spikesim.recording import Recording


class Format(NamedTuple):
    """A file format for networks."""

    write: Callable[..., ExportReport]
    """``write(network, path, **options)``."""
    read: Callable[..., tuple[Network, ImportReport]]
    """``read(path, **options)``."""
    suffixes: tuple[str, ...]
    """By which files are known; the first one is for new files."""
    write_options: tuple[str, ...] = ()
    """Options that ``write`` takes."""
    read_options: tuple[str, ...] = ()
    """Options that ``read`` takes."""
    check: Callable[..., Verification] | None = None
    """``check(path)`` for what is not read back but runs by itself."""


def to_nir(network: Network, **options: Any) -> tuple[Any, ExportReport]:
    """Return a network as a NIR graph; see :func:`spikesim.convert.nir.to_nir`."""
    from spikesim.convert import nir

    return nir.to_nir(network, **options)


def write_nir(network: Network, path: str | Path, **options: Any) -> ExportReport:
    """Write a network to a NIR file; see :func:`spikesim.convert.nir.to_nir`."""
    from spikesim.convert import nir

    return nir.write_nir(network, path, **options)


def from_nir(source: Any, **options: Any) -> tuple[Network, ImportReport]:
    """Return the network in a NIR file or graph; see :func:`spikesim.convert.nir.from_nir`."""
    from spikesim.convert import nir

    return nir.from_nir(source, **options)


def from_sonata(
    config: str | Path, simulation: str | Path | None = None, **options: Any
) -> tuple[Network, ImportReport]:
    """Return the network of a SONATA circuit; see :func:`spikesim.convert.sonata.read_sonata`."""
    from spikesim.convert import sonata

    return sonata.from_sonata(config, simulation, **options)


def write_spikes(recording: Recording, path: str | Path) -> None:
    """Write spikes to a SONATA file; see :func:`spikesim.convert.sonata_inputs.write_spikes`."""
    from spikesim.convert import sonata_inputs

    sonata_inputs.write_spikes(recording, path)


def from_ann(module: Any, calibration: Any, **options: Any) -> tuple[Network, ImportReport]:
    """Return a trained torch network of rectifiers as a spiking one; see :func:`spikesim.convert.ann.from_ann`."""
    from spikesim.convert import ann

    return ann.from_ann(module, calibration, **options)


def to_nirdata(recording: Recording) -> Any:
    """Return a recording as NIRData; see :func:`spikesim.convert.nir_data.to_nirdata`."""
    from spikesim.convert import nir_data

    return nir_data.to_nirdata(recording)


def write_nirdata(recording: Recording, path: str | Path) -> None:
    """Write a recording to a NIRData file; see :func:`spikesim.convert.nir_data.write_nirdata`."""
    from spikesim.convert import nir_data

    nir_data.write_nirdata(recording, path)


def from_nirdata(source: Any, *, dt: float | None = None) -> Recording:
    """Return the recording in NIRData; see :func:`spikesim.convert.nir_data.from_nirdata`."""
    from spikesim.convert import nir_data

    return nir_data.from_nirdata(source, dt=dt)


def from_torch(module: Any, sample: Any = None, **options: Any) -> tuple[Network, ImportReport]:
    """Return the network that a torch module is; see :func:`spikesim.convert.reading_torch.from_torch`."""
    from spikesim.convert import reading_torch

    return reading_torch.from_torch(module, sample, **options)


def from_snntorch(module: Any, sample: Any = None, **options: Any) -> tuple[Network, ImportReport]:
    """Return a model of snnTorch as a network; see :func:`spikesim.convert.reading_torch.from_torch`."""
    require("snntorch", "reading a model of snnTorch")
    return from_torch(module, sample, **options)


def from_norse(module: Any, sample: Any = None, **options: Any) -> tuple[Network, ImportReport]:
    """Return a model of norse as a network; see :func:`spikesim.convert.reading_torch.from_torch`."""
    require("norse", "reading a model of norse")
    return from_torch(module, sample, **options)


def to_snntorch(network: Network, **options: Any) -> tuple[Any, ExportReport]:
    """Return a network as a torch module of snnTorch; see :func:`spikesim.convert.writing_torch.to_snntorch`."""
    from spikesim.convert import writing_torch

    return writing_torch.to_snntorch(network, **options)


def to_norse(network: Network, **options: Any) -> tuple[Any, ExportReport]:
    """Return a network as a torch module of norse; see :func:`spikesim.convert.writing_torch.to_norse`."""
    from spikesim.convert import writing_torch

    return writing_torch.to_norse(network, **options)


def write_netx(network: Any, path: str | Path, **options: Any) -> ExportReport:
    """Write a network in fixed point to a netx file; see :func:`spikesim.convert.netx.write_netx`."""
    from spikesim.convert import netx

    return netx.write_netx(network, path, **options)


def read_netx(path: str | Path, **options: Any) -> tuple[Network, ImportReport]:
    """Read a netx file; see :func:`spikesim.convert.netx.read_netx`."""
    from spikesim.convert import netx

    return netx.read_netx(path, **options)


def write_lava(network: Any, path: str | Path, **options: Any) -> ExportReport:
    """Write a folder that runs with Lava alone; see :func:`spikesim.convert.lava.write_lava`."""
    from spikesim.convert import lava

    return lava.write_lava(network, path, **options)


def check_lava(path: str | Path, **options: Any) -> Verification:
    """Compare a folder's spikes in Lava with those expected; see :func:`spikesim.convert.lava.check_lava`."""
    from spikesim.convert import lava

    return lava.check_lava(path, **options)


def _read_lava(path: str | Path) -> tuple[Network, ImportReport]:
    from spikesim.convert import lava

    return lava.read_lava(path)


def _write_h5(network: Network, path: str | Path) -> ExportReport:
    network.save(path)
    report = ExportReport("h5")
    report.add(network.name, "network", "exact", "everything comes back")
    return report


def _read_h5(path: str | Path) -> tuple[Network, ImportReport]:
    network = Network.load(path)
    report = ImportReport("h5")
    report.add(network.name, "network")
    return network, report


FORMATS: dict[str, Format] = {
    "h5": Format(_write_h5, _read_h5, (".h5", ".hdf5")),
    "nir": Format(write_nir, from_nir, (".nir",), ("on_lossy", "euler_dt"), ("dt", "integrator", "graded", "metadata")),
    "netx": Format(write_netx, read_netx, (".net", ".netx"), ("reset", "inputs", "steps"), ("dt",)),
    "lava": Format(
        write_lava,
        _read_lava,
        (".lava",),
        ("on_soft_reset", "quantise", "inputs", "steps", "outputs", "io"),
        check=check_lava,
    ),
}
"""Every format by name."""


class RecordingFormat(NamedTuple):
    """A file format for recordings."""

    write: Callable[[Recording, str | Path], None]
    """``write(recording, path)``."""
    suffix: str
    """Of new files."""


RECORDING_FORMATS: dict[str, RecordingFormat] = {
    "h5": RecordingFormat(lambda recording, path: recording.save(path), ".h5"),
    "nirdata": RecordingFormat(write_nirdata, ".nirdata"),
    "sonata": RecordingFormat(write_spikes, ".sonata.h5"),
}
"""Every format for recordings by name."""

TORCH_SUFFIXES = (".pt", ".pth", ".ckpt", ".safetensors")


def find_format(name: str) -> Format:
    """Return a format by name.

    Raises
    ------
    UnknownNameError
        If there is none of that name.
    """
    if name not in FORMATS:
        raise UnknownNameError("format", name, list(FORMATS))
    return FORMATS[name]


def format_of(path: str | Path) -> str:
    """Return the name of the format that a file's suffix stands for.

    >>> format_of("model.nir")
    'nir'

    Raises
    ------
    UnknownNameError
        If the suffix is not known.
    UnsupportedError
        If it is that of a torch file.
    """
    suffix = Path(path).suffix.lower()
    if suffix in TORCH_SUFFIXES:
        raise UnsupportedError(
            [
                f"a torch file such as {Path(path).name!r} holds weights without a model, or code to be executed; make "
                "the model in Python, load its state_dict with weights_only=True, and use convert.from_snntorch(model)"
            ]
        )
    for name, known in FORMATS.items():
        if suffix in known.suffixes:
            return name
    raise UnknownNameError("file suffix", suffix, [s for f in FORMATS.values() for s in f.suffixes])


__all__ = [
    "FORMATS",
    "RECORDING_FORMATS",
    "ConversionReport",
    "ExportReport",
    "Format",
    "ImportReport",
    "RecordingFormat",
    "Row",
    "Verification",
    "check_lava",
    "compare_spikes",
    "find_format",
    "format_of",
    "from_ann",
    "from_nir",
    "from_nirdata",
    "from_norse",
    "from_snntorch",
    "from_sonata",
    "from_torch",
    "read_netx",
    "to_nir",
    "to_nirdata",
    "to_norse",
    "to_snntorch",
    "write_lava",
    "write_netx",
    "write_nir",
    "write_nirdata",
    "write_spikes",
]
