"""Networks in files: exact round trip, one clear sentence for everything else."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import sparse

import spikesim
from spikesim import (
    Current,
    Input,
    Network,
    OrnsteinUhlenbeck,
    Poisson,
    PoissonDrive,
    Population,
    Probe,
    Projection,
    Rate,
    SpikeTrains,
    exp,
    ms,
    neuron,
    spike,
    where,
)
from spikesim.connect import (
    AllToAll,
    Chain,
    Connection,
    Conv2d,
    Dense,
    FixedIndegree,
    FixedProbability,
    OneToOne,
    Pool2d,
    Sparse,
)
from spikesim.distributions import Gamma, KaimingNormal, LogNormal, Normal, Uniform
from spikesim.errors import FileAccessError, FileFormatError, MissingFileError, NetworkError, UnsupportedError
from spikesim.files.envelope import BLOCK, checksum, user_block
from spikesim.files.storage import KIND, fingerprint
from spikesim.lowering import lower
from spikesim.models.neurons import NEURONS

RANDOM = np.random.default_rng(0)


@neuron(state={"v": 0.1, "r": 0.0}, constants=lambda p, dt: {"alpha": exp(-dt / p.tau)}, tau=10 * ms, v_th=1.0)
def refractory(v: Any, r: Any, i: Any, p: Any) -> Any:
    """A user's own neuron, with a dead time of two steps."""
    u = where(r > 0.0, v, p.alpha * v + i)
    s = spike(u - p.v_th)
    return s, u - p.v_th * s, where(s > 0.0, 2.0, r - 1.0)


def everything() -> Network:
    """A network that holds one of every kind."""
    cells = [Population(name, 4, make()) for name, make in NEURONS.items()]
    mine = refractory(tau=np.linspace(5, 20, 6) * ms, v_th=Normal(1.0, 0.1, low=0.5), init={"v": Uniform(0.0, 0.5)})
    return Network(
        [*cells, Population("mine", (2, 1, 3), mine), Population("map", (2, 2, 2), refractory)],
        [
            Projection("trains", "mine", FixedProbability(0.3), weight=Gamma(2.0, 0.1), delay=Uniform(1 * ms, 5 * ms)),
            Projection("mine", "mine", Sparse(sparse.random(6, 6, 0.3, rng=RANDOM)), delay=2 * ms, name="recurrent"),
            Projection("lif", "mine", Dense(RANDOM.normal(size=(6, 4)))),
            Projection("image", "map", Chain((Pool2d(2), Conv2d(RANDOM.normal(size=(2, 1, 1, 1)))))),
            Projection("lif", "leaky", OneToOne(), weight=np.float64(0.1) * np.arange(4), delay=np.arange(1, 5) * ms),
            Projection("mine", "lif", FixedIndegree(2), weight=KaimingNormal(), delay=1 * ms),
            Projection("noise", "li", AllToAll(), weight=LogNormal(0.0, 1.0)),
        ],
        [
            Input("image", (1, 4, 4), graded=True),
            SpikeTrains("trains", 5, times=np.array([0.1, 0.2]), indices=np.array([0, 4])),
            Poisson("noise", 3, rate=Rate(np.array([0.0, 0.5]), np.array([10.0, 20.0]))),
            PoissonDrive("drive", "mine", rate=np.arange(6.0), weight=0.1),
            Current("ramp", "mine", times=np.arange(3.0), values=RANDOM.normal(size=(3, 6))),
            OrnsteinUhlenbeck("ou", "mine", mean=0.1, sd=0.3),
        ],
        [Probe("mine", ("v", "r"), every=3, neurons=(1, 2)), Probe("lif", "v")],
        dt=1 * ms,
        seed=2**63 + 1,
        name="jeder Teil ä",
    )


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("networks") / "everything.h5"
    everything_once.save(path)
    return path


everything_once = everything()


def test_everything_comes_back(saved: Path) -> None:
    again = Network.load(saved)
    assert again == everything_once
    assert fingerprint(again) == fingerprint(everything_once) and hash(again) == hash(everything_once)
    assert again["mine"].model == refractory and again["mine"].model.doc.startswith("A user's own")
    assert again["recurrent"].rule.weights.nnz == everything_once["recurrent"].rule.weights.nnz
    assert again.seed == 2**63 + 1 and again["ou"] == everything_once["ou"]


def test_the_loaded_network_lowers_to_the_same_graph(saved: Path) -> None:
    graph, again = lower(everything_once), lower(Network.load(saved))
    for a, b in zip(graph.edges, again.edges, strict=True):
        assert np.array_equal(a.weights, b.weights) and np.array_equal(a.indices, b.indices)
        assert np.array_equal(a.delays, b.delays) and np.array_equal(a.indptr, b.indptr)
    for x, y in zip(graph.nodes, again.nodes, strict=True):
        assert all(np.array_equal(x.constants[k], y.constants[k]) for k in x.constants)
        assert all(np.array_equal(x.init[k], y.init[k]) for k in x.init)


def test_the_file_is_plain_hdf5(saved: Path) -> None:
    with h5py.File(saved, "r") as file:
        assert file.attrs["format"] == "spikesim network" and file.attrs["version"] == 1
        assert json.loads(file.attrs["spikesim"])["spikesim"] == spikesim.__version__
        assert json.loads(file["structure"][()])["name"] == "jeder Teil ä"
    assert saved.read_bytes().startswith(b'{"format": "spikesim network", "version": 1')


def test_equality_is_by_content() -> None:
    assert everything() != everything_once  # other random weights
    net = everything_once
    assert net == net.with_(seed=net.seed) and net != net.with_(seed=1) and net != "a network"
    assert Dense(np.eye(2)) == Dense(np.eye(2)) and Dense(np.eye(2)) != Dense(2 * np.eye(2))
    assert (
        Population("a", 3, refractory) == Population("a", 3, refractory) != Population("a", 3, refractory(tau=1 * ms))
    )
    assert Poisson("p", 2, np.array([1.0, 2.0])) == Poisson("p", 2, np.array([1.0, 2.0]))
    assert len({Population("a", 3, refractory), Population("a", 3, refractory)}) == 1


def test_a_network_replaces_a_network_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "net.h5"
    Network(name="one").save(path)
    Network(name="two").save(path)
    assert Network.load(path).name == "two" and os.listdir(tmp_path) == ["net.h5"]
    foreign = tmp_path / "thesis.h5"
    with h5py.File(foreign, "w") as file:
        file["x"] = 1
    before = foreign.read_bytes()
    with pytest.raises(FileAccessError, match="exists and was not written by spikesim"):
        Network().save(foreign)
    assert foreign.read_bytes() == before
    with pytest.raises(FileAccessError, match="there is no folder"):
        Network().save(tmp_path / "nowhere" / "net.h5")
    with pytest.raises(FileAccessError, match="not a regular file"):
        Network().save(tmp_path)


@pytest.mark.skipif(os.name == "nt" or os.getuid() == 0, reason="needs a user whom permissions bind")
def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(FileAccessError, match="cannot be written"):
        Network().save(tmp_path / "net.h5")


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link.h5").symlink_to("real.h5")
    Network(name="linked").save(tmp_path / "link.h5")
    assert (tmp_path / "link.h5").is_symlink() and Network.load(tmp_path / "real.h5").name == "linked"


def test_what_a_file_cannot_hold_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    @dataclass(frozen=True, eq=False)
    class Mine(Connection):
        pass

    net = Network([Population("a", 2, refractory)], [Projection("a", "a", Mine(), weight=1.0, delay=1 * ms)])
    with pytest.raises(UnsupportedError, match=r"cannot hold a .*Mine.*CONNECTIONS"):
        net.save(tmp_path / "net.h5")
    assert not os.listdir(tmp_path)
    assert net == net.with_(name=net.name)  # but it can be compared


def test_missing_files(tmp_path: Path) -> None:
    Network().save(tmp_path / "cortex.h5")
    with pytest.raises(MissingFileError, match=r"does not exist; did you mean 'cortex.h5'"):
        Network.load(tmp_path / "cortx.h5")
    with pytest.raises(FileNotFoundError, match="no folder"):
        Network.load(tmp_path / "nowhere" / "cortex.h5")
    with pytest.raises(FileAccessError, match="cannot be read"):
        Network.load(tmp_path)


def _foreign_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["x"] = 1


DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "empty": (lambda p: p.write_bytes(b""), "it is empty"),
    "text": (lambda p: p.write_text("dear diary"), "begins with other bytes"),
    "foreign": (_foreign_hdf5, "HDF5 file that spikesim did not write"),
    "truncated": (lambda p: p.write_bytes(p.read_bytes()[:-100]), "it has .* bytes, expected"),
    "longer": (lambda p: p.write_bytes(p.read_bytes() + b"x"), "it has .* bytes, expected"),
    "flipped": (lambda p: p.write_bytes(_flip(p.read_bytes(), 9000, 3)), "do not match its checksum"),
    "head": (lambda p: p.write_bytes(_flip(p.read_bytes(), 40, 1)), "first bytes are damaged"),
}


def _flip(data: bytes, byte: int, bit: int) -> bytes:
    changed = bytearray(data)
    changed[byte] ^= 1 << bit
    return bytes(changed)


@pytest.mark.parametrize("kind", DAMAGE)
def test_damaged_and_foreign_files_get_one_sentence(kind: str, saved: Path, tmp_path: Path) -> None:
    damage, message = DAMAGE[kind]
    path = tmp_path / "net.h5"
    path.write_bytes(saved.read_bytes())
    damage(path)
    with pytest.raises(FileFormatError, match=message) as caught:
        Network.load(path)
    assert "\n" not in str(caught.value) and "net.h5" in str(caught.value)


def test_newer_and_other_spikesim_files(saved: Path, tmp_path: Path) -> None:
    data = saved.read_bytes()[BLOCK:]
    path = tmp_path / "net.h5"
    path.write_bytes(user_block(KIND, 2, bytes=len(data), checksum=checksum(data)) + data)
    with pytest.raises(FileFormatError, match=r"newer spikesim.*version 2.*up to 1.*upgrade"):
        Network.load(path)
    path.write_bytes(user_block("spikesim recording", 1) + data)
    with pytest.raises(FileFormatError, match=r"holds a spikesim recording.*Recording.load"):
        Network.load(path)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 7)), max_size=4), st.integers(0, 2**20))
def test_random_damage_never_raises_anything_else(
    saved: Path, tmp_path: Path, flips: list[tuple[int, int]], cut: int
) -> None:
    data = saved.read_bytes()
    for byte, bit in flips:
        data = _flip(data, byte % len(data), bit)
    path = tmp_path / "net.h5"
    path.write_bytes(data[: cut % (2 * len(data))])
    try:
        assert Network.load(path) == everything_once
    except FileFormatError as error:
        assert "\n" not in str(error)


# ------------------------------------------------------------------------------ files made by hand, checksum and all
def _forged(path: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    """Write a small network's file with its structure changed."""
    Network([Population("a", 2, refractory)]).save(path)
    with h5py.File(path, "r+") as file:
        structure = json.loads(file["structure"][()])
        changed = change(structure)
        del file["structure"]
        file["structure"] = json.dumps(structure if changed is None else changed)
    data = path.read_bytes()[BLOCK:]
    path.write_bytes(user_block(KIND, 1, bytes=len(data), checksum=checksum(data)) + data)
    return path


def _model(structure: dict[str, Any]) -> Any:
    return structure["populations"]["$tuple"][0]["neuron"]["model"]


def _set(where_: Callable[[dict[str, Any]], Any], key: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(structure: dict[str, Any]) -> None:
        where_(structure)[key] = value

    return change


CODE = "x; __import__('os').system('touch executed')"
FORGED: dict[str, Callable[[dict[str, Any]], Any]] = {
    "unknown class": _set(lambda s: s, "$type", "os.system"),
    "not a network": lambda s: s["populations"]["$tuple"][0],
    "list": lambda s: [],
    "text": lambda s: "x",
    "number": lambda s: 3,
    "unknown field": _set(lambda s: s, "colour", 1),
    "missing field": lambda s: s["populations"]["$tuple"][0].pop("shape"),
    "no such array": _set(lambda s: s, "dt", {"$array": 7}),
    "bad dt": _set(lambda s: s, "dt", -1.0),
    "deep": _set(lambda s: s, "dt", json.loads("[" * 900 + "]" * 900)),
    "code in the model's name": _set(_model, "name", f'""" + {CODE} + """'),
    "code in a leaf": lambda s: _leaf(s, "state").__setitem__(2, CODE),
    "undeclared leaf": lambda s: _leaf(s, "param").__setitem__(2, "mystery"),
    "code in an operation": lambda s: _leaf(s, "const").__setitem__(0, CODE),
    "code in a state": _set(lambda s: _model(s)["states"]["$dict"], CODE, {"$type": "State"}),
    "code in an input": _set(lambda s: _model(s)["inputs"]["$tuple"], 0, CODE),
    "code in a parameter": _set(lambda s: _model(s)["params"]["$dict"], CODE, {"$type": "Param", "default": 1.0}),
    "text for a state": _set(lambda s: _model(s)["states"]["$dict"], "v", "x"),
    "text for expressions": _set(_model, "dynamics", "x"),
    "number for a model": _set(lambda s: s["populations"]["$tuple"][0]["neuron"], "model", 3),
    "text for the parts": _set(lambda s: s, "populations", "abc"),
}


def _leaf(structure: dict[str, Any], op: str) -> list[Any]:
    nodes = _model(structure)["dynamics"]["$expressions"]["nodes"]
    return next(n for n in nodes if n[0] == op)


@pytest.mark.parametrize("kind", FORGED)
def test_forged_files_are_refused_and_execute_nothing(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = _forged(tmp_path / "net.h5", FORGED[kind])
    with pytest.raises(FileFormatError, match=r"net\.h5"):
        Network.load(path)
    assert os.listdir(tmp_path) == ["net.h5"]


def test_a_file_leads_to_no_other_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["x"] = json.dumps({"$type": "Network"})
    path = tmp_path / "net.h5"
    Network().save(path)
    with h5py.File(path, "r+") as file:
        del file["structure"]
        file["structure"] = h5py.ExternalLink(str(secret), "x")
    data = path.read_bytes()[BLOCK:]
    path.write_bytes(user_block(KIND, 1, bytes=len(data), checksum=checksum(data)) + data)
    with pytest.raises(FileFormatError, match="'structure' is missing or of an unexpected kind"):
        Network.load(path)


def test_names_in_models_must_be_printable_as_source() -> None:
    with pytest.raises(NetworkError, match="must be a Python identifier, found 'v th'"):
        refractory_params = {"v th": 1.0}
        neuron(lambda v, i, p: (spike(v), v + i), params=refractory_params)
