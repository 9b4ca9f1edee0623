"""The same spikes through SANA-FE's model of Loihi and through ``loihi1_nahuku``: energy per term, and time.

::

    python -m venv peers/sanafe && peers/sanafe/bin/pip install sanafe numpy
    python benchmarks/oracles/sanafe_check.py --python peers/sanafe/bin/python

SANA-FE is under the GPL: it runs in an environment and a process of its own (``--worker``), spikesim never imports it,
and only numbers come back. It simulates the network on the cores that spikesim's mapping chose; the spikes that it
reports are then counted and priced here, so the spike trains are the same by construction. Writes
``benchmarks/results/sanafe.json``; ``--page`` prints the table of docs/guides/energy.md from it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

RESULT = Path(__file__).resolve().parents[1] / "results" / "sanafe.json"
STEPS, DEVICE = 40, "loihi1_nahuku"
NEURONS = {"in": 48, "h": 4500, "out": 20}
TERMS = {  # SANA-FE's group to the terms of a bill
    "synapse": ("synaptic_event",),
    "soma": ("neuron_active", "neuron_idle", "spike_out"),
    "network": ("packet", "hop_x", "hop_y"),
}


# ------------------------------------------------------------------------------- in SANA-FE's environment, no spikesim
def simulate(question: Path, answer: Path) -> None:
    """Build the network on the given cores, run it, and write spikes, energies and time."""
    import sanafe

    data = np.load(question)
    sizes, steps = json.loads(str(data["sizes"])), int(data["steps"])
    chip_model, network, groups = sanafe.load_loihi(), sanafe.Network(), {}
    for name, n in sizes.items():
        lif = {"threshold": 1.0, "leak_decay": 0.75, "reset_mode": "hard", "reset": 0.0}
        hardware = {"soma_hw_name": "loihi_lif", "default_synapse_hw_name": str(data["synapse"])}
        is_input = f"spikes_{name}" in data
        groups[name] = network.create_neuron_group(
            name, n, {} if is_input else lif, log_spikes=True, **({} if is_input else hardware)
        )
        for k, neuron in enumerate(groups[name].neurons):
            if is_input:
                train = data[f"spikes_{name}"][:, k].astype(bool).tolist()
                neuron.set_attributes(soma_hw_name=f"loihi_inputs[{k}]", model_attributes={"spikes": train})
            tile, core = data[f"place_{name}"][k]
            neuron.map_to_core(chip_model.tiles[int(tile)].cores[int(core)])
    for k, (pre, post) in enumerate(json.loads(str(data["edges"]))):
        pairs = [(int(a), int(b)) for a, b in data[f"pairs_{k}"]]
        groups[pre].connect_neurons_sparse(groups[post], {"weight": data[f"weights_{k}"].tolist()}, pairs)
    chip = sanafe.SpikingChip(chip_model)
    chip.load(network)
    found = chip.sim(steps, timing_model="detailed", spike_trace=True)
    rasters = {name: np.zeros((steps, n), np.uint8) for name, n in sizes.items()}
    for step, fired in enumerate(found["spike_trace"]):
        for address in fired:
            rasters[address.group_name][step, address.neuron_offset] = 1
    numbers = {"energy": found["energy"], "time_s": found["sim_time"], "packets": found["packets_sent"]}
    np.savez(answer, numbers=json.dumps(numbers), **rasters)


# --------------------------------------------------------------------------------------- in spikesim's, without SANA-FE
def make_network() -> Any:
    """Return a recurrent network of several cores; SANA-FE delivers in the next step, so every delay is one."""
    import spikesim as sp
    from spikesim.connect import Dense, FixedProbability
    from spikesim.models.neurons import leaky

    rng = np.random.default_rng(0)
    h, out = NEURONS["h"], NEURONS["out"]
    return sp.Network(
        [sp.Population("h", h, leaky(beta=0.75, reset="to")), sp.Population("out", out, leaky(beta=0.75, reset="to"))],
        [
            sp.Projection("in", "h", Dense(rng.normal(0.05, 0.1, (h, NEURONS["in"]))), delay=1e-3),
            sp.Projection("h", "h", FixedProbability(0.004), weight=0.01, delay=1e-3),
            sp.Projection("h", "out", Dense(rng.normal(0.0, 0.02, (out, h))), delay=1e-3),
        ],
        [sp.Input("in", NEURONS["in"])],
        name="sanafe_check",
    )


def compare(python: str, synapse: str = "loihi_dense_synapse") -> dict[str, Any]:
    """Run both and return the numbers side by side."""
    from spikesim.lowering import lower
    from spikesim.profile import load_device, place, profile, recording_of_rasters

    graph, device = lower(make_network()), load_device(DEVICE)
    mapping = place(graph, device, weight_bits=8)
    grid = device.grid
    assert grid is not None
    spikes = np.random.default_rng(1).random((STEPS, NEURONS["in"])) < 0.15
    question = {"sizes": json.dumps(NEURONS), "steps": STEPS, "synapse": synapse, "spikes_in": spikes}
    question["edges"] = json.dumps([(e.pre, e.post) for e in graph.edges])
    for name, n in NEURONS.items():
        core = np.asarray(mapping.core_of.get(name, np.zeros(n, int)))  # inputs enter at the first router
        router, lane = np.divmod(core, grid.cores_per_router)
        y, x = np.divmod(router, grid.columns)
        question[f"place_{name}"] = np.stack([x * grid.rows + y, lane], axis=1)  # SANA-FE numbers tiles by columns
    for k, e in enumerate(graph.edges):
        source = np.repeat(np.arange(e.n_pre), np.diff(e.indptr))
        question[f"pairs_{k}"] = np.stack([source, e.indices], axis=1)
        question[f"weights_{k}"] = np.broadcast_to(np.asarray(e.weights, float), (e.synapses,))
    theirs, rasters = _ask(python, question)
    found = profile(recording_of_rasters(graph, rasters, "SANA-FE"), graph, DEVICE, inputs={"in": rasters["in"]})
    bill = found.bills[DEVICE]
    ours = {g: sum(t.energy.nominal_j for t in bill.terms if t.name in names) for g, names in TERMS.items()}
    rows = [(group, theirs["energy"][group], ours[group]) for group in TERMS]
    rows.append(("total", theirs["energy"]["total"], bill.priced.nominal_j))
    counts = {
        "events": sum(p.events.mean for p in found.projections),
        "spikes": sum(x.spikes.mean for x in found.layers),
    }
    counts |= {"packets": sum(t.packets.mean for t in found.traffic[DEVICE]), "cores": mapping.cores}
    return {
        "synapse": synapse,
        "steps": STEPS,
        "neurons": NEURONS,
        "counts": counts,
        "packets_sanafe": theirs["packets"],
        "joules": {name: {"sanafe": a, "spikesim": b, "ratio": b / a} for name, a, b in rows},
        "seconds": {
            "sanafe": theirs["time_s"],
            "spikesim": bill.time_s,
            "ratio": (bill.time_s or 0) / theirs["time_s"],
        },
    }


def _ask(python: str, question: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder) / "question.npz", Path(folder) / "answer.npz"
        np.savez(files[0], **question)
        subprocess.run([python, __file__, "--worker", *map(str, files)], check=True, timeout=1200)
        answer = np.load(files[1])
        return json.loads(str(answer["numbers"])), {name: answer[name] for name in NEURONS}


def page() -> str:
    """Return the table of the documentation."""
    rows = ["| | SANA-FE | `loihi1_nahuku` | ratio |", "|---|---:|---:|---:|"]
    stored = json.loads(RESULT.read_text("utf-8"))
    for case in stored["cases"]:
        kind = case["synapse"].removeprefix("loihi_").replace("_", " ")
        for name, row in case["joules"].items():
            cells = f"{row['sanafe'] * 1e6:.3f} µJ | {row['spikesim'] * 1e6:.3f} µJ | {row['ratio']:.4f}"
            rows.append(f"| {name} ({kind}) | {cells} |")
        row = case["seconds"]
        rows.append(
            f"| time ({kind}) | {row['sanafe'] * 1e6:.1f} µs | {row['spikesim'] * 1e6:.1f} µs | {row['ratio']:.4f} |"
        )
    return "\n".join(rows)


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", help="interpreter of SANA-FE's environment")
    parser.add_argument("--worker", nargs=2, type=Path, metavar=("QUESTION", "ANSWER"))
    parser.add_argument("--page", action="store_true")
    given = parser.parse_args()
    if given.worker:
        simulate(*given.worker)
    elif given.page:
        print(page())
    else:
        words = "import importlib.metadata as m; print(m.version('sanafe'))"
        version = subprocess.run([given.python, "-c", words], check=True, capture_output=True, text=True).stdout.strip()
        cases = [compare(given.python, kind) for kind in ("loihi_dense_synapse", "loihi_sparse_synapse")]
        RESULT.write_text(json.dumps({"sanafe": version, "device": DEVICE, "cases": cases}, indent=1) + "\n")
        print(page())


if __name__ == "__main__":
    sys.exit(main())
