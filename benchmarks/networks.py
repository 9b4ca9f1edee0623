"""The networks of the benchmarks, and the same as plain numbers, so that other simulators build them alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import numpy as np

import spikesim as sp
from spikesim.connect import FixedIndegree, FixedProbability, FixedTotalNumber
from spikesim.distributions import Normal, Uniform
from spikesim.models.networks import NETWORKS, brunel
from spikesim.models.neurons import izhikevich, lif, lif_alpha, lif_psc_exp
from spikesim.models.synapses import stdp_pair
from spikesim.network import Network, Population, Projection
from spikesim.stimulus import PoissonDrive
from spikesim.units import ms, mV, pA

RULES = {FixedProbability: "probability", FixedIndegree: "indegree", FixedTotalNumber: "total"}
DT = 0.1 * ms


def own(n: int = 12500, seed: int = 1) -> Network:
    """Return Brunel's network with a weight (sd 10 %) and a delay (0.5 to 2.5 ms) of its own for every synapse."""
    net = brunel(n, seed=seed)
    low, high = 0.5 * ms, 2.5 * ms
    drawn = [
        replace(p, weight=Normal(p.weight, 0.1 * abs(p.weight)), delay=Uniform(low, high)) for p in net.projections
    ]
    return replace(net, projections=tuple(drawn))


def stdp(n: int = 12500, seed: int = 1) -> Network:
    """Return Brunel's network with additive pair-based STDP on the synapses between excitatory neurons."""
    net = brunel(n, seed=seed)
    weight = float(net["exc->exc"].weight)
    rule = stdp_pair(a_plus=1e-3, a_minus=1.05e-3, w_max=2 * weight)
    learning = [replace(p, plasticity=rule) if p.name == "exc->exc" else p for p in net.projections]
    return replace(net, projections=tuple(learning))


def indegree(k: int, seed: int = 1, distributed: bool = False) -> Network:
    """Return 10 000 neurons of Brunel's kind with ``k`` synapses each; weights shrink as ``k`` grows."""
    cell = lif(threshold=">=", tau_m=20 * ms, e_l=0.0, v_th=20 * mV, v_reset=0.0, t_ref=2 * ms)
    sizes, weight = {"exc": 8000, "inh": 2000}, 100 * mV / (0.8 * k)
    weights = {"exc": weight, "inh": -5 * weight}
    degrees = {"exc": round(0.8 * k), "inh": round(0.2 * k)}
    delay: Any = Uniform(0.5 * ms, 20 * ms) if distributed else 1.5 * ms
    return Network(
        [Population(name, n, cell) for name, n in sizes.items()],
        [Projection(a, b, FixedIndegree(degrees[a]), weight=weights[a], delay=delay) for a in sizes for b in sizes],
        [PoissonDrive(f"poisson_{p}", p, rate=2 * 20 * mV / (weight * 20 * ms), weight=weight) for p in sizes],
        dt=DT,
        seed=seed,
        name="indegree",
    )


def mixed(seed: int = 1) -> Network:
    """Return three populations of different models: exponential currents, alpha currents, Izhikevich's neuron."""
    cells = {
        "exc": Population("exc", 6000, lif_psc_exp(threshold=">=", tau_syn=2 * ms, e_l=-70 * mV, v_reset=-70 * mV,
                                                   v_th=-55 * mV)),
        "inh": Population("inh", 2000, lif_alpha(threshold=">=")),
        "fast": Population("fast", 2000, izhikevich("FS")),
    }  # fmt: skip
    unit = {"exc": 50 * pA, "inh": 25 * pA, "fast": 10.0}  # what one excitatory spike is worth to each
    size = {"exc": 1.0, "inh": -4.0, "fast": -4.0}

    def edge(pre: str, post: str) -> Projection:
        weight = size[pre] * unit[post]
        port = "inh" if post == "inh" and pre != "exc" else None
        drawn = Normal(weight, 0.1 * abs(weight))
        return Projection(
            pre, post, FixedProbability(0.02), weight=drawn, delay=Normal(1.5 * ms, 0.5 * ms, 0.3 * ms), port=port
        )

    noise = {"exc": 9000.0, "inh": 9000.0, "fast": 5000.0}
    return Network(
        list(cells.values()),
        [edge(a, b) for a in cells for b in cells],
        [PoissonDrive(f"poisson_{p}", p, rate=r, weight=unit[p]) for p, r in noise.items()],
        dt=DT,
        seed=seed,
        name="mixed",
    )


@sp.neuron(
    state={"v": 0.0, "w": 0.0},
    params={"tau": sp.Param(20e-3, "s"), "tau_w": sp.Param(100e-3, "s"), "v_th": sp.Param(20e-3), "b": sp.Param(5e-5)},
    constants=lambda p, dt: {"alpha": sp.exp(-dt / p.tau), "rho": sp.exp(-dt / p.tau_w)},
)
def tired(v: Any, w: Any, i: Any, p: Any) -> Any:
    """Leak, add the input, tire: a neuron as a user writes it."""
    u = p.alpha * v + i - w
    s = sp.spike(u - p.v_th)
    return s, sp.where(s, 0.0, u), p.rho * w + p.b * s


def user_neuron(seed: int = 1) -> Network:
    """Return 10 000 neurons that a user has written, coupled as in Brunel's network with 500 synapses each."""
    net = indegree(500, seed)
    populations = [replace(p, neuron=tired()) for p in net.populations]
    return replace(net, populations=tuple(populations), name="user_neuron")


def alone(drive: bool, seed: int = 1) -> Network:
    """Return 12 500 LIF neurons without synapses, with or without their Poisson input."""
    net = brunel(recurrent=False, seed=seed)
    return net if drive else replace(net, stimuli=())


Maker = tuple[Callable[..., Network], dict[str, Any]]
SIZES = (1250, 2500, 5000, 12500, 25000, 50000)
INDEGREES = (50, 100, 200, 500, 1000, 2000, 4000)
ETAS = (0.95, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0)  # external rate over what reaches threshold on average
NAMED: dict[str, Maker] = {
    "cuba": (NETWORKS["cuba"], {}),
    "coba": (NETWORKS["coba"], {}),
    **{f"brunel_{n}": (brunel, {"n": n}) for n in SIZES},
    "brunel_own": (own, {}),
    "brunel_stdp": (stdp, {}),
    "microcircuit_0.1": (NETWORKS["microcircuit"], {"scale": 0.1}),
    "microcircuit_1": (NETWORKS["microcircuit"], {"scale": 1.0}),
    "mixed": (mixed, {}),
    "user_neuron": (user_neuron, {}),
    "distributed_delays": (indegree, {"k": 500, "distributed": True}),
    **{f"indegree_{k}": (indegree, {"k": k}) for k in INDEGREES},
    **{f"rate_{eta}": (brunel, {"n": 12500, "eta": eta}) for eta in ETAS},
    "lif_alone": (alone, {"drive": False}),
    "lif_poisson": (alone, {"drive": True}),
}


def make(name: str, seed: int = 1) -> Network:
    """Return a network by its name here."""
    function, settings = NAMED[name]
    return function(**settings, seed=seed)


def describe(name: str) -> dict[str, Any]:
    """Return everything that another simulator needs, in SI units, without any drawn number."""
    net = make(name)
    drives = [d for d in net.stimuli if isinstance(d, PoissonDrive)]
    return {
        "name": name,
        "dt": net.dt,
        "populations": [_population(p) for p in net.populations],
        "projections": [_projection(p) for p in net.projections],
        "drives": [{"target": d.target, "rate": float(d.rate), "weight": float(d.weight)} for d in drives],
    }


def _population(p: Population) -> dict[str, Any]:
    params = {k: _value(p.neuron.value(k)) for k in p.model.params}
    init = {k: _value(v) for k, v in p.neuron.init.items()}
    if "e_l" not in params:  # where the membrane starts otherwise
        init = {k: state.init for k, state in p.model.states.items()} | init
    model, options = p.model.name, dict(p.model.options)
    return {"name": p.name, "cells": p.n, "model": model, "options": options, "params": params, "init": init}


def _projection(p: Projection) -> dict[str, Any]:
    rule = p.plasticity
    return {
        "pre": p.pre,
        "post": p.post,
        "rule": RULES[type(p.rule)],
        "number": next(getattr(p.rule, k) for k in ("p", "k", "n") if hasattr(p.rule, k)),
        "weight": _value(p.weight),
        "delay": _value(p.delay),
        "port": ["exc", "inh"].index(p.port) if p.port else 0,
        "stdp": rule and {k: float(rule.value(k)) for k in ("a_plus", "a_minus", "tau_plus", "tau_minus", "w_max")},
    }


def _value(value: Any) -> Any:
    if isinstance(value, Normal):
        return {"kind": "normal", **asdict(value)}
    if isinstance(value, Uniform):
        return {"kind": "uniform", **asdict(value)}
    return float(np.asarray(value))


def rate_and_cv(step: np.ndarray, neuron: np.ndarray, n: int, seconds: float, least: int = 3) -> tuple[float, float]:
    """Return the mean rate in hertz and the mean coefficient of variation of the intervals between spikes.

    The latter is the mean over neurons with at least ``least`` spikes of sd / mean of their intervals.
    """
    order = np.lexsort((step, neuron))
    step, neuron = np.asarray(step)[order].astype(float), np.asarray(neuron)[order]
    gaps, same = np.diff(step), np.diff(neuron) == 0
    owner, gaps = neuron[1:][same], gaps[same]
    count = np.bincount(owner, minlength=n)
    known = count >= least - 1
    mean = np.bincount(owner, gaps, minlength=n)[known] / count[known]
    square = np.bincount(owner, gaps**2, minlength=n)[known] / count[known]
    cv = np.sqrt(np.maximum(square - mean**2, 0.0)) / mean
    return len(step) / n / seconds, float(cv.mean()) if len(cv) else float("nan")


def flat(events: list[Any], sizes: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Join ``(step, neuron)`` of several populations; neurons are counted through."""
    first = np.cumsum([0, *sizes])
    step = np.concatenate([s for s, _ in events])
    return step, np.concatenate([k + low for (_, k), low in zip(events, first, strict=False)])
