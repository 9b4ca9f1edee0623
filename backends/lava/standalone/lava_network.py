"""A network as Lava processes, made from plain parameters. Needs lava-nc 0.10.0 and what that needs, nothing else.

In an exported folder ``LavaNetwork.load()`` reads ``network.json`` and ``network.npz``. Columns count Lava's time steps
from 0: column ``k`` is ``time_step`` ``k + 1``. A population with lag ``L`` does in column ``t + L`` what it does in
step ``t`` of the network that was exported, because in Lava every connection takes a step.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import multiprocessing
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
BROKEN = "lava.magma.compiler.var_model"
OLD, NEW = "@dataclass\nclass ByteEncoder", "@dataclass(unsafe_hash=True)\nclass ByteEncoder"


class HashableDefaults(SourceFileLoader):
    """Load the one module of Lava that Python 3.11 and later refuse, with one line changed, in memory only."""

    def get_code(self, fullname: str) -> Any:
        """Compile the changed source, past the cache of compiled files."""
        path = self.get_filename(fullname)
        text = self.get_data(path).decode("utf-8")
        if text.count(OLD) != 1:
            raise ImportError(f"{path} is not the file of lava-nc 0.10.0; install that version")
        return self.source_to_code(text.replace(OLD, NEW).encode("utf-8"), path)


def import_lava() -> None:
    """Import Lava on any Python from 3.10 on; afterwards ``import lava...`` works as usual.

    Lava starts its processes by fork and fixes that for the whole program.
    """
    if sys.platform == "win32":
        raise ImportError("Lava starts its processes by fork, which Windows does not have; use Linux")
    if multiprocessing.get_start_method(allow_none=True) not in (None, "fork"):
        raise ImportError("this program starts processes by another method than fork, which Lava needs")
    original = multiprocessing.set_start_method

    def set_start_method(method: Any, force: bool = False) -> None:
        if force or multiprocessing.get_start_method(allow_none=True) != method:  # Lava asks without asking first
            original(method, force)

    multiprocessing.set_start_method = set_start_method
    try:
        if sys.version_info >= (3, 11) and BROKEN not in sys.modules:
            _load_changed()
        importlib.import_module("lava.proc.lif.process")
    finally:
        multiprocessing.set_start_method = original


def _load_changed() -> None:
    spec = importlib.util.find_spec(BROKEN)
    if spec is None or spec.origin is None:
        raise ImportError("lava-nc is not installed here; see README.md")
    spec.loader = HashableDefaults(BROKEN, spec.origin)
    module = importlib.util.module_from_spec(spec)
    sys.modules[BROKEN] = module
    spec.loader.exec_module(module)
    sys.modules[BROKEN.rpartition(".")[0]].var_model = module  # type: ignore[attr-defined]


@dataclass(frozen=True, eq=False)
class Part:
    """A population or a projection: the name of its process, and the parameters as numbers, words and arrays."""

    name: str
    process: str
    parameters: Mapping[str, Any]
    pre: str = ""
    post: str = ""


def make_neurons(part: Part, soft_lif: Callable[[], Any]) -> Any:
    """Make the process of a population; `soft_lif` imports the one process that is not Lava's own."""
    from lava.proc.lif.process import LIF, LIFReset

    kinds = {"LIF": lambda: LIF, "LIFReset": lambda: LIFReset, "SoftLIF": soft_lif}
    return kinds[part.process]()(**part.parameters)


def make_connection(part: Part) -> Any:
    """Make the process of a projection."""
    from lava.proc.conv.process import Conv
    from lava.proc.dense.process import DelayDense, Dense
    from lava.proc.sparse.process import Sparse
    from lava.utils.weightutils import SignMode
    from scipy.sparse import csr_matrix

    given = dict(part.parameters)
    if part.process == "Conv":
        return Conv(**given)
    given["sign_mode"] = SignMode[given["sign_mode"].upper()]
    if part.process == "Sparse":
        rows = (given.pop("data"), given.pop("indices"), given.pop("indptr"))
        return Sparse(weights=csr_matrix(rows, shape=given.pop("shape")), **given)
    return {"Dense": Dense, "DelayDense": DelayDense}[part.process](**given)


def _exported_soft_lif() -> Any:
    """Import the process with soft reset. Lava executes every file beside a process, so it has its own folder."""
    if str(HERE) not in sys.path:
        sys.path.insert(0, str(HERE))
    return importlib.import_module("custom_processes.soft_lif").SoftLIF


class LavaNetwork:
    """Named Lava processes, connected.

    Parameters
    ----------
    populations, projections
        The parts; a projection goes from a population or an input to a population.
    inputs
        Number of sources of each input.
    lags
        How many columns late each population is.
    outputs
        Populations to record; all if left out.
    soft_lif
        Imports the process with soft reset, if there is one.
    made
        Processes of projections that exist already, by name; they are connected like the others.

    Attributes
    ----------
    populations, projections
        Processes by name. A population has ``s_out`` and ``a_in``, flat, of shape (n,).
    ends
        For each projection the names of where it comes from and where it goes.
    listeners
        Pairs (input, port): further ports that want the spikes of an input.
    report
        What became of each part, if spikesim made this from a network.
    """

    listeners: Sequence[tuple[str, Any]] = ()
    report: Any = None

    def __init__(
        self,
        populations: Sequence[Part],
        projections: Sequence[Part],
        inputs: Mapping[str, int],
        lags: Mapping[str, int],
        outputs: Sequence[str] | None = None,
        soft_lif: Callable[[], Any] = _exported_soft_lif,
        made: Mapping[str, Any] | None = None,
    ) -> None:
        import_lava()
        self.inputs, self.lags = dict(inputs), dict(lags)
        self.populations = {p.name: make_neurons(p, soft_lif) for p in populations}
        made = made or {}
        self.projections = {p.name: made.get(p.name) or make_connection(p) for p in projections}
        self.outputs = list(self.populations) if outputs is None else list(outputs)
        self.ends = {p.name: (p.pre, p.post) for p in projections}
        for name, (pre, post) in self.ends.items():
            if pre in self.populations:
                self._feed(self.populations[pre].s_out, name)
            _flat(self.projections[name].a_out).connect(self.populations[post].a_in)

    @classmethod
    def load(cls, folder: Path = HERE) -> LavaNetwork:
        """Read ``network.json`` and ``network.npz`` and make the processes."""
        described = json.loads((folder / "network.json").read_text("utf-8"))
        with np.load(folder / "network.npz", allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
        parts = {
            kind: [Part(**{**part, "parameters": _restored(part["parameters"], arrays)}) for part in described[kind]]
            for kind in ("populations", "projections")
        }
        named = {name: described[name] for name in ("inputs", "lags", "outputs")}
        return cls(parts["populations"], parts["projections"], **named)

    @property
    def longest(self) -> int:
        """The largest lag: so many columns more than steps are needed."""
        return max(self.lags.values(), default=0)

    def _feed(self, port: Any, projection: str) -> None:
        """Connect a flat output port to a projection; an image is (channels, height, width) here, reversed in Lava."""
        target = self.projections[projection].s_in
        if len(target.shape) > 1:
            port = port.reshape(target.shape[::-1]).transpose((2, 1, 0))
        port.connect(target)

    def connect_input(self, name: str, port: Any) -> None:
        """Connect an output port of shape (n,) to every projection that comes from an input."""
        for projection, (pre, _) in self.ends.items():
            if pre == name:
                self._feed(port, projection)

    def source(self, name: str, raster: Any) -> Any:
        """Feed spikes to an input, ``[columns, n]``, from a ring buffer."""
        from lava.proc.io.source import RingBuffer

        process = RingBuffer(data=np.ascontiguousarray(np.asarray(raster).T.astype(np.int32)))
        self.connect_input(name, process.s_out)
        return process

    def sink(self, name: str, columns: int) -> Any:
        """Record the spikes of a population in a ring buffer: after the run ``data.get()`` is ``[n, columns]``."""
        from lava.proc.io.sink import RingBuffer

        port = self.populations[name].s_out
        process = RingBuffer(shape=port.shape, buffer=columns)
        port.connect(process.a_in)
        return process

    def injector(self, name: str) -> Any:
        """Make a process whose ``send(spikes)`` feeds an input, one array of shape (n,) a column, during the run."""
        from lava.proc.io.injector import Injector

        process = Injector(shape=(self.inputs[name],))
        self.connect_input(name, process.out_port)
        return process

    def extractor(self, name: str) -> Any:
        """Make a process whose ``receive()`` returns the spikes of a population, one column after the other."""
        from lava.proc.io.extractor import Extractor

        port = self.populations[name].s_out
        process = Extractor(shape=port.shape)
        port.connect(process.in_port)
        return process

    def run_config(self) -> Any:
        """Return how to run: Lava's bit-accurate models, and those of the injectors, which carry no tag."""
        from lava.magma.core.run_configs import Loihi2SimCfg
        from lava.proc.io.extractor import Extractor, PyLoihiExtractorModel
        from lava.proc.io.injector import Injector, PyLoihiInjectorModel

        models = {Injector: PyLoihiInjectorModel, Extractor: PyLoihiExtractorModel}
        return Loihi2SimCfg(select_tag="fixed_pt", exception_proc_model_map=models)

    def parts(self) -> list[list[str]]:
        """Group populations into those that are connected; Lava runs one connected graph at a time."""
        label = {name: name for name in [*self.populations, *self.inputs]}
        for pre, post in self.ends.values():
            old, new = label[pre], label[post]
            label = {name: new if part == old else part for name, part in label.items()}
        groups: dict[str, list[str]] = {}
        for name in self.populations:
            groups.setdefault(label[name], []).append(name)
        return list(groups.values())


def _flat(port: Any) -> Any:
    if len(port.shape) == 1:
        return port
    return port.transpose((2, 1, 0)).reshape((int(np.prod(port.shape)),))


def _restored(parameters: Mapping[str, Any], arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Put the arrays in their places; a list is a shape or a pair."""
    found = {}
    for name, value in parameters.items():
        if isinstance(value, dict):
            found[name] = arrays[value["array"]]
        else:
            found[name] = tuple(value) if isinstance(value, list) else value
    return found


def save_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write arrays to an NPZ file, whatever their names are."""
    npy: Any = np.lib.format
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, array in arrays.items():
            with file.open(f"{name}.npy", "w", force_zip64=True) as member:
                npy.write_array(member, np.asarray(array), allow_pickle=False)
