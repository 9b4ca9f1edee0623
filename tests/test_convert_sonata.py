"""SONATA circuits: one that uses the format, against NEST's spikes; what is refused; what is written."""

import importlib.util
import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

import spikesim
from spikesim import ms
from spikesim.convert.sonata import read_sonata
from spikesim.convert.sonata_inputs import write_spikes
from spikesim.convert.sonata_neurons import cells
from spikesim.errors import FileFormatError, InvalidValueError, MissingFileError, UnsupportedError

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def sonata_circuit():
    """The script of ``benchmarks/`` that writes the circuit and tells NEST about it; it is no package."""
    spec = importlib.util.spec_from_file_location("sonata_circuit", ROOT / "benchmarks" / "sonata_circuit.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(sonata_circuit, tmp_path_factory):
    place = tmp_path_factory.mktemp("circuit")
    sonata_circuit.write(place)
    return place


@pytest.fixture(scope="module")
def simulated(folder):
    circuit = read_sonata(folder / "config.json")
    return circuit, spikesim.run(circuit.network, circuit.duration, threads=1)


@pytest.fixture
def changed(folder, tmp_path):
    """Return a function that copies the circuit and changes its JSON files."""

    def change(**files):
        place = tmp_path / "copy"
        shutil.copytree(folder, place)
        for name, edit in files.items():
            path = place / f"{name}.json"
            values = json.loads(path.read_text())
            edit(values)
            path.write_text(json.dumps(values))
        return place

    return change


def events(spikes, nodes, first, cortex):
    """Return (step, neuron) with the neurons of all populations in one row, as NEST was given them."""
    found = []
    for name, (population, ids) in nodes.items():
        shift = -first if population == "cortex" else cortex
        found += zip(spikes[name].step.tolist(), (ids[spikes[name].neuron] + shift).tolist(), strict=True)
    return sorted(found)


def test_a_circuit_fires_as_in_nest(sonata_circuit, simulated):
    circuit, recording = simulated
    with np.load(ROOT / "tests/golden/sonata/nest.npz") as file:
        expected = [tuple(e) for e in file["spikes"].tolist()]
    assert len(expected) > 2000
    got = events(recording, circuit.nodes, sonata_circuit.FIRST, sonata_circuit.CELLS["cortex"])
    assert got == expected
    assert circuit.report.status == "exact"
    assert set(circuit.network.dt * np.ones(1)) == {1e-4} and circuit.duration == pytest.approx(0.5)


def test_what_the_configuration_asks_for_is_written(simulated, folder):
    circuit, recording = simulated
    written = circuit.write(recording)
    assert [p.relative_to(folder).as_posix() for p in written] == ["output/spikes.h5", "output/membranes.h5"]
    with h5py.File(written[0]) as file:
        assert int(file.attrs["magic"]) == 0x0A7A and set(file["spikes"]) == {"cortex", "thalamus"}
        group = file["spikes/thalamus"]
        times, ids = group["timestamps"][:], group["node_ids"][:]
        assert group["timestamps"].attrs["units"] == "ms" and (np.diff(times) >= 0).all()
        assert file["spikes/cortex/node_ids"][:].min() >= 100
    spikes = recording["thalamus"]
    assert sorted(zip(np.rint(times * 10).astype(int) - 1, ids.astype(int), strict=True)) == sorted(
        zip(spikes.step.tolist(), spikes.neuron.tolist(), strict=True)
    )
    with h5py.File(written[1]) as file:
        group = file["report/thalamus"]
        assert group["mapping/node_ids"][:].tolist() == [0, 1, 2]
        assert group["mapping/time"][:].tolist() == pytest.approx([0.1, 500.1, 1.0])
        expected = recording.traces["thalamus"]["v"].values[0] * 1e3
        assert np.allclose(group["data"][:], expected, atol=1e-4) and expected.shape == (500, 3)


def test_written_spikes_are_read_as_the_same_steps(simulated, changed):
    """A file of spikes as input of the virtual nodes gives the steps that it was written from."""
    source = simulated[0].network["in"]
    steps = np.floor(source.times / 1e-4).astype(int)
    place = changed()
    spikes = spikesim.recording.Spikes(
        np.zeros(len(steps), np.int32), steps, source.indices.astype(np.int32), 30, 5000, 1, 1e-4
    )
    counts = spikesim.counts.Counts(5000, 1, 1e-4, {}, {}, {}, {})
    write_spikes(spikesim.Recording({"in": spikes}, {}, counts), place / "inputs/spikes.h5")
    again = read_sonata(place / "config.json").network["in"]
    order = np.lexsort((source.times, source.indices))
    assert np.allclose(again.times, source.times[order]) and np.array_equal(again.indices, source.indices[order])


@pytest.mark.parametrize("name", ["circuit_config.json", "simulation_config.json"])
def test_every_configuration_leads_to_the_same_network(folder, name):
    found = read_sonata(folder / name)
    assert found.network.with_(name="config") == read_sonata(folder / "config.json").network


def test_a_parameter_means_what_it_means_in_nest():
    """Peak of an alpha current, a steady current, the weight of a delta synapse, unequal time constants."""
    from spikesim.equations.response import respond

    give = lambda **p: {k: np.array([v]) for k, v in p.items()}  # noqa: E731
    made, _ = cells("iaf_psc_exp", give(I_e=100.0, tau_syn_ex=2.0, tau_syn_in=5.0, V_th=0.0), 1, 1e-4)
    # at rest the membrane is at E_L + R I, R = tau_m / C_m = 40 MOhm
    assert respond(made.neuron, {"exc": np.zeros(3000)}, dt=1e-4)["v"][-1] == pytest.approx(-70e-3 + 40e6 * 100e-12)
    assert made.weight[0] == pytest.approx(40e6 * 1e-12) and made.current is None
    made, _ = cells("iaf_psc_delta", give(I_e=100.0, V_th=0.0), 1, 1e-4)
    assert respond(made.neuron, np.zeros(3000), dt=1e-4)["v"][-1] == pytest.approx(-66e-3)
    assert made.weight[0] == 1e-3
    made, _ = cells("iaf_cond_exp", give(g_L=10.0, I_e=50.0, V_th=0.0), 1, 1e-4)
    assert respond(made.neuron, {"exc": np.zeros(9000)}, dt=1e-4)["v"][-1] == pytest.approx(-65e-3)
    assert made.weight[0] == pytest.approx(0.1) and not made.signed
    _, problems = cells("iaf_psc_exp", give(V_min=-90.0, delta=1.0), 1, 1e-4)
    assert "'iaf_psc_exp': its parameter 'V_min'" in problems[0] and "'delta'" in problems[1]


def test_what_has_no_counterpart_is_named_at_once(changed):
    place = changed(
        simulation_config=lambda v: v["inputs"]["clamp"].update(node_set="inhibitory"),
        circuit_config=lambda v: v["networks"]["nodes"][1].update(node_types_file="$NETWORK_DIR/odd.csv"),
    )
    (place / "network/odd.csv").write_text("node_type_id model_type model_template\n7 point_neuron nest:glif_psc\n")
    types = place / "network/in_cortex_edge_types.csv"
    types.write_text(types.read_text().replace("static_synapse", "stdp_synapse"))
    with pytest.raises(UnsupportedError) as error:
        read_sonata(place / "config.json")
    text = str(error.value)
    for part in ("'glif_psc' has no counterpart", "stdp_synapse", "which takes no current here"):
        assert part in text


def test_neurons_that_nest_integrates_adaptively_are_read_on_request(changed):
    place = changed()
    path = place / "network/thalamus_node_types.csv"
    path.write_text(path.read_text().replace("iaf_psc_delta", "aeif_cond_exp"))
    (place / "models/7.json").write_text("{}")
    with pytest.raises(UnsupportedError, match="approximate=True"):
        read_sonata(place / "config.json")
    circuit = read_sonata(place / "config.json", approximate=True)
    assert circuit.report.status == "approximated" and circuit.network["thalamus"].model.name == "adex"


def test_mistakes_in_files(changed, folder):
    with pytest.raises(MissingFileError):
        read_sonata(folder / "nothing.json")
    with pytest.raises(FileFormatError, match="names no networks"):
        read_sonata(folder / "node_sets.json")
    place = changed(simulation_config=lambda v: v["inputs"]["sensors"].update(node_set="nobody"))
    with pytest.raises(UnsupportedError, match="unknown node set 'nobody'; known are 'first'"):
        read_sonata(place / "config.json")
    (place / "simulation_config.json").unlink()
    with pytest.raises(InvalidValueError, match="no time step"):
        read_sonata(place / "circuit_config.json")
    silent = read_sonata(place / "circuit_config.json", dt=0.1 * ms)
    assert "they are silent" in silent.report.warnings[0] and silent.duration is None


def test_on_the_command_line(folder, changed):
    from spikesim.cli import convert_verb, run_verb

    place = changed(simulation_config=lambda v: v["run"].update(tstop=20.0))
    app = typer.Typer()
    app.command("run")(run_verb.command)
    app.command("convert")(convert_verb.command)

    def call(*arguments):
        result = CliRunner().invoke(app, [str(a) for a in arguments])
        assert result.exit_code == 0, result.output + str(result.exception)
        return result.output

    text = call("run", place / "config.json", "--out", place / "r.h5")
    assert "0.02 s of biological time" in text and "spikes.h5" in text
    assert (place / "output/spikes.h5").is_file()
    call("convert", place / "r.h5", "--to", "sonata", "--out", place / "s.h5")
    assert "spikes/cortex iaf_psc_exp" in h5py.File(place / "s.h5")
    text = call("convert", place / "config.json", "--to", "h5", "--out", place / "n.h5")
    assert "lif_alpha for iaf_psc_alpha" in text
    assert spikesim.Network.load(place / "n.h5") == read_sonata(place / "config.json").network
