"""Small recurrent networks as plain arrays, to be simulated spike for spike by several simulators.

A :class:`Case` holds nothing but numbers: who is connected to whom with which weight and delay, when the inputs fire,
where the membranes start. Weights are whole multiples of a power of two, so that no simulator has to round them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from spikesim.connect import Sparse
from spikesim.models import neurons
from spikesim.network import Network, Population, Projection
from spikesim.stimulus import SpikeTrains

DT = 1e-4
CELLS, INPUTS, STEPS = 40, 30, 10_000
EXCITATORY = 30  # of the cells; as many of the inputs
PORTS = ("exc", "inh")


@dataclass(frozen=True)
class Case:
    """A network and its input.

    Parameters
    ----------
    name, model
        Name of the case, and the function of :mod:`spikesim.models.neurons` that makes the neuron.
    options, params
        Its options, and its parameters in SI units.
    init
        Initial states, one value per neuron.
    pre, post, weight, delay, port
        Synapses. ``pre`` counts inputs first, then neurons; ``delay`` is in steps; ``port`` 0 excites, 1 inhibits.
    input_step, input_index
        Spikes of the inputs.
    """

    name: str
    model: str
    options: dict[str, Any]
    params: dict[str, float]
    init: dict[str, NDArray[np.float64]]
    pre: NDArray[np.int64]
    post: NDArray[np.int64]
    weight: NDArray[np.float64]
    delay: NDArray[np.int64]
    port: NDArray[np.int64]
    input_step: NDArray[np.int64]
    input_index: NDArray[np.int64]
    inputs: int = INPUTS
    cells: int = CELLS
    steps: int = STEPS
    dt: float = DT

    def plain(self) -> dict[str, Any]:
        """Return everything as lists and numbers."""
        return {
            k: v.tolist() if isinstance(v, np.ndarray) else v
            for k, v in {**vars(self), "init": {k: v.tolist() for k, v in self.init.items()}}.items()
        }

    def save(self, path: Path, **extra: Any) -> None:
        """Write an npz that needs no pickle; ``extra`` are more arrays."""
        scalars = {k: v for k, v in vars(self).items() if not isinstance(v, (np.ndarray, dict))}
        about = {**scalars, "options": self.options, "params": self.params, "init": list(self.init)}
        arrays = {k: v for k, v in vars(self).items() if isinstance(v, np.ndarray)}
        states = {f"init_{k}": v for k, v in self.init.items()}
        np.savez_compressed(path, about=np.array(json.dumps(about)), **_narrow({**arrays, **extra}), **states)

    @classmethod
    def load(cls, path: Path) -> Case:
        """Read what :meth:`save` has written."""
        with np.load(path) as file:
            about = json.loads(str(file["about"]))
            init = {k: file[f"init_{k}"] for k in about.pop("init")}
            names = ("pre", "post", "weight", "delay", "port", "input_step", "input_index")
            arrays = {k: file[k] if k == "weight" else file[k].astype(np.int64) for k in names}
        return cls(**about, init=init, **arrays)


def _narrow(arrays: dict[str, Any]) -> dict[str, Any]:
    """Store whole numbers in 16 bits where they fit."""
    fits = {k: np.asarray(v) for k, v in arrays.items()}
    return {
        k: v.astype(np.int16) if v.dtype.kind == "i" and np.abs(v).max(initial=0) < 2**15 else v
        for k, v in fits.items()
    }


# ------------------------------------------------------------------------------------------------------------ spikesim
def network(case: Case, delay_shift: int = 0) -> Network:
    """Return a case as a spikesim network.

    Parameters
    ----------
    case
        The case.
    delay_shift
        Steps added to all delays.
    """
    neuron = getattr(neurons, case.model)(**case.options, **case.params, init=dict(case.init))
    two_ports = set(PORTS) <= set(neuron.model.inputs)
    projections = [
        _projection(case, name, low, high, port if two_ports else None, k, delay_shift)
        for name, low, high in (("input", 0, case.inputs), ("cells", case.inputs, case.inputs + case.cells))
        for k, port in enumerate(PORTS)
    ]
    trains = SpikeTrains("input", case.inputs, times=(case.input_step + 0.5) * case.dt, indices=case.input_index)
    cells = Population("cells", case.cells, neuron)
    return Network([cells], [p for p in projections if p], [trains], dt=case.dt, name=case.name)


def _projection(
    case: Case, source: str, low: int, high: int, port: str | None, kind: int, shift: int
) -> Projection | None:
    chosen = np.flatnonzero((case.pre >= low) & (case.pre < high) & (case.port == kind))
    if not len(chosen):
        return None
    chosen = chosen[np.lexsort((case.post[chosen], case.pre[chosen]))]
    pre, post = case.pre[chosen] - low, case.post[chosen]
    rule = Sparse(sparse.csr_array((case.weight[chosen], (post, pre)), shape=(case.cells, high - low)))
    delay = (case.delay[chosen] + shift) * case.dt
    return Projection(source, "cells", rule, delay=delay, port=port, name=f"{source}_{PORTS[kind]}")


def simulate(case: Case, **options: Any) -> NDArray[np.int64]:
    """Return the spikes that spikesim finds, ``[spikes, 2]``: step and neuron, sorted."""
    from spikesim.engine import run

    spikes = run(network(case), steps=case.steps, **options)["cells"]
    return np.stack([spikes.step, spikes.neuron.astype(np.int64)], axis=1)


# --------------------------------------------------------------------------------------------------------------- cases
def _case(
    name: str,
    model: str,
    options: dict[str, Any],
    params: dict[str, float],
    weights: tuple[float, float],
    start: tuple[float, float],
    rate: float,
    signed: bool = True,
    seed: int = 1,
) -> Case:
    """Draw a case: ``weights`` are the mean excitatory and inhibitory ones, ``start`` the range of membranes."""
    rng = np.random.default_rng(seed)
    pairs = np.argwhere(rng.random((INPUTS + CELLS, CELLS)) < 0.25)
    pre, post = pairs.T
    port = (np.where(pre < INPUTS, pre % 4 == 3, pre - INPUTS >= EXCITATORY)).astype(np.int64)
    grid = 2.0 ** np.floor(np.log2(max(weights)) - 18)
    size = np.where(port == 0, *weights) * rng.uniform(0.5, 1.5, len(pre))
    weight = np.rint(size / grid) * grid * np.where((port == 1) & signed, -1.0, 1.0)
    fired = np.argwhere(rng.random((STEPS, INPUTS)) < rate * DT)
    return Case(
        name,
        model,
        options,
        params,
        {"v": rng.uniform(*start, CELLS)},
        pre,
        post,
        weight,
        rng.integers(2, 40, len(pre)),
        port,
        *fired.T,
    )


def lif_delta() -> Case:
    """Return LIF, delta synapses, refractory."""
    params = {"tau_m": 20e-3, "e_l": 0.0, "v_th": 20e-3, "v_reset": 0.0, "t_ref": 2e-3}
    return _case("lif_delta", "lif", {"threshold": ">="}, params, (2.6e-3, 2e-3), (0.0, 20e-3), 90.0)


def lif_exp() -> Case:
    """Return LIF, exponential currents in units of the membrane (CUBA), resting below threshold."""
    params = {
        "tau_m": 20e-3, "tau_exc": 5e-3, "tau_inh": 10e-3, "e_l": -60e-3, "v_th": -50e-3, "v_reset": -60e-3,
        "t_ref": 5e-3,
    }  # fmt: skip
    return _case("lif_exp", "lif_exp", {"threshold": ">="}, params, (6e-3, 2e-3), (-60e-3, -50e-3), 60.0)


def lif_exp_start() -> Case:
    """Return the same, spikes acting on the membrane in the step of their arrival (the CUBA benchmark)."""
    case = lif_exp()
    return Case(**{**vars(case), "name": "lif_exp_start", "options": {"threshold": ">=", "arrival": "start"}})


def lif_psc_exp() -> Case:
    """Return LIF, exponential current in amperes, resting below threshold (microcircuit)."""
    params = {
        "c_m": 250e-12, "tau_m": 10e-3, "tau_syn": 0.5e-3, "e_l": -65e-3, "v_th": -50e-3, "v_reset": -65e-3,
        "t_ref": 2e-3, "i_e": 250e-12,
    }  # fmt: skip
    options = {"threshold": ">="}
    return _case("lif_psc_exp", "lif_psc_exp", options, params, (900e-12, 900e-12), (-65e-3, -50e-3), 90.0)


def lif_alpha() -> Case:
    """Return LIF, alpha-shaped currents."""
    params = {
        "c_m": 250e-12, "tau_m": 10e-3, "tau_exc": 2e-3, "tau_inh": 3e-3, "e_l": -70e-3, "v_th": -55e-3,
        "v_reset": -70e-3, "t_ref": 2e-3, "i_e": 250e-12,
    }  # fmt: skip
    options = {"threshold": ">="}
    return _case("lif_alpha", "lif_alpha", options, params, (110e-12, 70e-12), (-70e-3, -55e-3), 90.0)


def lif_cond_exp() -> Case:
    """Return LIF, exponential conductances (COBA), resting below threshold."""
    params = {
        "tau_m": 20e-3, "tau_exc": 5e-3, "tau_inh": 10e-3, "e_l": -60e-3, "e_exc": 0.0, "e_inh": -80e-3,
        "v_th": -50e-3, "v_reset": -60e-3, "t_ref": 5e-3,
    }  # fmt: skip
    options = {"threshold": ">="}
    return _case("lif_cond_exp", "lif_cond_exp", options, params, (0.16, 0.2), (-60e-3, -50e-3), 60.0, signed=False)


def izhikevich() -> Case:
    """Return Izhikevich's neuron, regular spiking, published Euler steps."""
    case = _case("izhikevich", "izhikevich", {}, {"a": 0.02, "b": 0.2, "c": -65.0, "d": 8.0, "v_peak": 30.0},
                 (90.0, 50.0), (-65.0, -60.0), 60.0)  # fmt: skip
    return Case(**{**vars(case), "init": {**case.init, "u": 0.2 * case.init["v"]}})


def adex() -> Case:
    """Return Adaptive exponential neuron, conductance synapses."""
    params = {
        "c_m": 281e-12, "g_l": 30e-9, "e_l": -70.6e-3, "v_t": -50.4e-3, "delta_t": 2e-3, "v_peak": 0.0,
        "v_reset": -70.6e-3, "tau_w": 144e-3, "a": 4e-9, "b": 80.5e-12, "i_e": 500e-12, "tau_exc": 2e-3,
        "tau_inh": 5e-3, "e_exc": 0.0, "e_inh": -85e-3, "t_ref": 1e-3,
    }  # fmt: skip
    case = _case("adex", "adex", {}, params, (8e-9, 6e-9), (-70e-3, -55e-3), 60.0, signed=False)
    return Case(**{**vars(case), "init": {**case.init, "w": np.zeros(CELLS)}})


def feed_forward(case: Case) -> Case:
    """Return a case without the synapses among its neurons: differences cannot grow from neuron to neuron."""
    kept = case.pre < case.inputs
    arrays = {k: getattr(case, k)[kept] for k in ("pre", "post", "weight", "delay", "port")}
    return Case(**{**vars(case), **arrays, "name": f"{case.name}_feed_forward"})


def refined(case: Case, factor: int) -> Case:
    """Return a case with so many times shorter steps."""
    changed = {"dt": case.dt / factor, "steps": case.steps * factor, "name": f"{case.name}_fine"}
    # an input at the end of a step stays at the same time
    shifted = {"input_step": (case.input_step + 1) * factor - 1, "delay": case.delay * factor}
    return Case(**{**vars(case), **changed, **shifted})


CASES: dict[str, Callable[[], Case]] = {
    f.__name__: f for f in (lif_delta, lif_exp, lif_exp_start, lif_psc_exp, lif_alpha, lif_cond_exp, izhikevich, adex)
}
