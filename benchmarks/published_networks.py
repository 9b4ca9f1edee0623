"""Published networks as plain numbers, so that other simulators build them from the same definition."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from spikesim.connect import FixedIndegree, FixedProbability, FixedTotalNumber
from spikesim.distributions import Normal, Uniform
from spikesim.models.networks import NETWORKS
from spikesim.network import Network, Population
from spikesim.stimulus import PoissonDrive

NAMED: dict[str, tuple[str, dict[str, Any]]] = {
    "cuba": ("cuba", {}),
    "coba": ("coba", {}),
    "brunel_1250": ("brunel", {"n": 1250}),
    "brunel_12500": ("brunel", {"n": 12500}),
    "microcircuit_0.1": ("microcircuit", {"scale": 0.1}),
}
RULES = {FixedProbability: "probability", FixedIndegree: "indegree", FixedTotalNumber: "total"}


def make(name: str, seed: int = 1) -> Network:
    """Return a network by its name here."""
    function, settings = NAMED[name]
    return NETWORKS[function](**settings, seed=seed)


def describe(name: str) -> dict[str, Any]:
    """Return everything that another simulator needs, in SI units, without any drawn number."""
    net = make(name)
    drives = [d for d in net.stimuli if isinstance(d, PoissonDrive)]
    return {
        "name": name,
        "dt": net.dt,
        "populations": [_population(p) for p in net.populations],
        "projections": [
            {
                "pre": p.pre,
                "post": p.post,
                "rule": RULES[type(p.rule)],
                "number": next(getattr(p.rule, k) for k in ("p", "k", "n") if hasattr(p.rule, k)),
                "weight": _value(p.weight),
                "delay": _value(p.delay),
                "port": ["exc", "inh"].index(p.port) if p.port else 0,
            }
            for p in net.projections
        ],
        "drives": [{"target": d.target, "rate": float(d.rate), "weight": float(d.weight)} for d in drives],
    }


def _population(p: Population) -> dict[str, Any]:
    params = {k: _value(p.neuron.value(k)) for k in p.model.params}
    init = {k: _value(v) for k, v in p.neuron.init.items()}
    model, options = p.model.name, dict(p.model.options)
    return {"name": p.name, "cells": p.n, "model": model, "options": options, "params": params, "init": init}


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
