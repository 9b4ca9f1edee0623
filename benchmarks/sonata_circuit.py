"""A small SONATA circuit that uses what the format has: written to a folder, and as plain numbers for NEST.

Two populations of point neurons and one of virtual nodes; three neuron models in one population; parameters by type
(CSV and JSON) and by node (HDF5); node ids that do not begin with 0; two groups of edges, repeated pairs, weights and
delays by edge and by type; spikes from a file, a current clamp; spikes and membranes as output.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

DT = 0.1  # ms
STEPS = 5000
CELLS, INPUTS = {"cortex": 40, "thalamus": 12}, 30
FIRST = 100  # node id of the first neuron of the cortex
TYPES: dict[int, dict[str, Any]] = {
    1: {"population": "cortex", "template": "iaf_psc_alpha", "ei": "e",
        "params": {"tau_m": 12.0, "C_m": 200.0, "tau_syn_ex": 1.5, "tau_syn_in": 3.0, "V_m": -65.0}},
    2: {"population": "cortex", "template": "iaf_psc_exp", "ei": "e",
        "params": {"tau_syn_ex": 1.0, "tau_syn_in": 1.0, "I_e": 100.0, "E_L": -71.0}},
    3: {"population": "cortex", "template": "iaf_psc_exp", "ei": "i",
        "params": {"tau_syn_ex": 1.0, "tau_syn_in": 2.0, "I_e": 150.0, "t_ref": 1.0}},
    7: {"population": "thalamus", "template": "iaf_psc_delta", "ei": "e", "params": {"tau_m": 20.0, "I_e": 120.0}},
}  # fmt: skip
CLAMP = {"amp": 250.0, "delay": 100.0, "duration": 150.0}


def draw(seed: int = 1) -> dict[str, Any]:
    """Return the circuit as arrays."""
    rng = np.random.default_rng(seed)
    kinds = {"cortex": rng.choice([1, 1, 2, 3], CELLS["cortex"]), "thalamus": np.full(CELLS["thalamus"], 7)}
    exact = lambda x: np.rint(x * 1024) / 1024  # noqa: E731  (short binary fractions: no simulator rounds them)
    own = exact(rng.uniform(-58.0, -52.0, CELLS["cortex"]))  # V_th of each neuron
    edges = {}
    for name, source, target, p, scale in (
        ("in_cortex", "in", "cortex", 0.5, 120.0), ("in_thalamus", "in", "thalamus", 0.5, 2.5),
        ("cortex_cortex", "cortex", "cortex", 0.3, 60.0), ("thalamus_cortex", "thalamus", "cortex", 0.4, 80.0),
    ):  # fmt: skip
        n_pre, n_post = CELLS.get(source, INPUTS), CELLS[target]
        pre, post = np.argwhere(rng.random((n_pre, n_post)) < p).T
        again = rng.integers(0, len(pre), len(pre) // 10)  # pairs that are connected twice
        pre, post = np.concatenate([pre, pre[again]]), np.concatenate([post, post[again]])
        sign = np.where(kinds[source][pre] == 3, -3.0, 1.0) if source == "cortex" else np.ones(len(pre))
        edges[name] = {
            "source": source, "target": target, "pre": pre, "post": post,
            "weight": exact(scale * sign * rng.uniform(0.5, 1.5, len(pre))),
            "delay": rng.integers(10, 40, len(pre)) / 10 if name == "cortex_cortex" else np.full(len(pre), 1.5),
        }  # fmt: skip
    times = np.sort(rng.uniform(0.01, STEPS * DT, 30 * INPUTS))
    return {"kinds": kinds, "v_th": own, "edges": edges, "spikes": (times, rng.integers(0, INPUTS, len(times)))}


# --------------------------------------------------------------------------------------------------------- the circuit
def write(folder: Path, seed: int = 1) -> Path:
    """Write the circuit; return its configuration."""
    circuit = draw(seed)
    for name in ("network", "models", "synapses", "inputs"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for kind, values in TYPES.items():
        _json(folder / f"models/{kind}.json", values["params"])
    _json(folder / "synapses/two.json", {"delay": 1.5})
    for population in ("cortex", "thalamus"):
        _nodes(folder, population, circuit)
    _table(folder / "network/in_node_types.csv", [{"node_type_id": 50, "model_type": "virtual", "ei": "NULL"}])
    with h5py.File(folder / "network/in_nodes.h5", "w") as file:
        file["nodes/in/node_type_id"] = np.full(INPUTS, 50)
    for k, (name, edges) in enumerate(circuit["edges"].items()):
        _edges(folder, name, edges, by_edge=name == "cortex_cortex", split=k % 2 == 0)
    with h5py.File(folder / "inputs/spikes.h5", "w") as file:
        file["spikes/in/timestamps"], file["spikes/in/node_ids"] = circuit["spikes"]
    _configurations(folder, list(circuit["edges"]))
    return folder / "config.json"


def _nodes(folder: Path, population: str, circuit: dict[str, Any]) -> None:
    rows = [
        {
            "node_type_id": kind, "model_type": "point_neuron", "model_template": f"nest:{v['template']}",
            "dynamics_params": f"{kind}.json", "ei": v["ei"], "remark": '"two words"',
        }
        for kind, v in TYPES.items() if v["population"] == population
    ]  # fmt: skip
    _table(folder / f"network/{population}_node_types.csv", rows)
    kinds = circuit["kinds"][population]
    with h5py.File(folder / f"network/{population}_nodes.h5", "w") as file:
        group = file.create_group(f"nodes/{population}")
        group["node_type_id"] = kinds
        if population == "cortex":
            group["node_id"] = np.arange(len(kinds)) + FIRST
            group["node_group_id"], group["node_group_index"] = np.zeros(len(kinds), int), np.arange(len(kinds))
            group["0/dynamics_params/V_th"] = circuit["v_th"]
            group["0/x"] = np.arange(len(kinds)) * 1.0


def _edges(folder: Path, name: str, edges: dict[str, Any], by_edge: bool, split: bool) -> None:
    base = {"edge_type_id": 9, "target_query": "*", "source_query": "ei=='e'", "model_template": "static_synapse"}
    delay = {"dynamics_params": "two.json"} if split else {"delay": 1.5}
    _table(folder / f"network/{name}_edge_types.csv", [{**base, **({} if by_edge else delay)}])
    n = len(edges["pre"])
    groups = np.arange(n) % 2 if split else np.zeros(n, int)
    index = np.zeros(n, int)
    with h5py.File(folder / f"network/{name}_edges.h5", "w") as file:
        group = file.create_group(f"edges/{name}")
        for side, key in (("source", "pre"), ("target", "post")):
            first = FIRST if edges[side] == "cortex" else 0
            group[f"{side}_node_id"] = edges[key] + first
            group[f"{side}_node_id"].attrs["node_population"] = edges[side]
        group["edge_type_id"] = np.full(n, 9)
        for k in np.unique(groups):
            rows = np.flatnonzero(groups == k)
            index[rows] = np.arange(len(rows))
            group[f"{k}/syn_weight"] = edges["weight"][rows]
            if by_edge:
                group[f"{k}/delay"] = edges["delay"][rows]
        group["edge_group_id"], group["edge_group_index"] = groups, index


def _configurations(folder: Path, edges: list[str]) -> None:
    nodes = [
        {"nodes_file": f"$NETWORK_DIR/{n}_nodes.h5", "node_types_file": f"$NETWORK_DIR/{n}_node_types.csv"}
        for n in ("cortex", "thalamus", "in")
    ]
    files = [
        {"edges_file": f"$NETWORK_DIR/{e}_edges.h5", "edge_types_file": f"$NETWORK_DIR/{e}_edge_types.csv"}
        for e in edges
    ]
    _json(folder / "circuit_config.json", {
        "manifest": {"$BASE_DIR": ".", "$NETWORK_DIR": "$BASE_DIR/network"},
        "components": {"point_neuron_models_dir": "$BASE_DIR/models", "synaptic_models_dir": "$BASE_DIR/synapses"},
        "networks": {"nodes": nodes, "edges": files},
        "target_simulator": "NEST",
    })  # fmt: skip
    _json(folder / "simulation_config.json", {
        "manifest": {"$OUTPUT_DIR": "./output"},
        "run": {"tstop": STEPS * DT, "dt": DT},
        "network": "circuit_config.json",
        "node_sets_file": "node_sets.json",
        "inputs": {
            "sensors": {
                "input_type": "spikes", "module": "sonata", "input_file": "inputs/spikes.h5", "node_set": "in"
            },
            "clamp": {"input_type": "current_clamp", "module": "IClamp", "node_set": "first", **CLAMP},
        },
        "output": {"output_dir": "$OUTPUT_DIR", "spikes_file": "spikes.h5"},
        "reports": {
            "membranes": {"cells": "recorded", "variable_name": "V_m", "module": "multimeter_report", "dt": 1.0}
        },
    })  # fmt: skip
    _json(folder / "node_sets.json", {
        "first": {"population": "thalamus", "node_id": [0, 1, 2]},
        "inhibitory": {"population": "cortex", "ei": "i"},
        "recorded": ["first"],
    })  # fmt: skip
    _json(folder / "config.json", {"network": "circuit_config.json", "simulation": "simulation_config.json"})


def _json(path: Path, values: Any) -> None:
    path.write_text(json.dumps(values))


def _table(path: Path, rows: list[dict[str, Any]]) -> None:
    keys = list(dict.fromkeys(k for row in rows for k in row))
    lines = [" ".join(keys), *(" ".join(str(row.get(k, "NULL")) for k in keys) for row in rows)]
    path.write_text("\n".join(lines) + "\n")


# ------------------------------------------------------------------------------------------------------------- for NEST
def plain(seed: int = 1) -> dict[str, Any]:
    """Return the same circuit as lists and numbers, neurons of all populations in one row."""
    circuit = draw(seed)
    cells = []
    for population, kinds in circuit["kinds"].items():
        for k, kind in enumerate(kinds.tolist()):
            own = {"V_th": float(circuit["v_th"][k])} if population == "cortex" else {}
            cells.append({"model": TYPES[kind]["template"], "params": {**TYPES[kind]["params"], **own}})
    first = {"cortex": 0, "thalamus": CELLS["cortex"], "in": None}
    edges = [
        {
            "inputs": e["source"] == "in",
            "pre": (e["pre"] + (first[e["source"]] or 0)).tolist(),
            "post": (e["post"] + first[e["target"]]).tolist(),
            "weight": e["weight"].tolist(),
            "delay": e["delay"].tolist(),
        }
        for e in circuit["edges"].values()
    ]
    times, ids = circuit["spikes"]
    clamped = [CELLS["cortex"] + k for k in range(3)]
    return {
        "dt": DT, "steps": STEPS, "inputs": INPUTS, "cells": cells, "edges": edges, "times": times.tolist(),
        "ids": ids.tolist(), "clamp": {**CLAMP, "cells": clamped},
    }  # fmt: skip
