"""Step 4 of Lyapunov noise pruning: time constants of the survivors, tuned on the spectrum by Bayesian optimisation.

The paper names Bayesian optimisation with the Lyapunov spectrum as its objective. The objective here is a
reconstruction: time constants follow a gamma distribution of some shape and mean, their order is kept, and what is
minimised is the Wasserstein distance between the spectra before and after pruning, plus a penalty if the largest
exponent is positive.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from spikesim.neuron import Neuron
from spikesim.optional import require

Floats = NDArray[np.float64]
NAMES = ("tau_m", "tau", "tau_mem")  # parameters in seconds
DECAYS = ("beta", "lam", "alpha")  # what a step leaves of the membrane
EVALUATIONS = 25
SHAPES = (1.0, 30.0)
MEANS = (0.5, 2.0)  # relative to the mean of the survivors
LIMITS = (3e-3, 100e-3)  # s
FIRST = 6  # evaluations before the first model


class Tuned(NamedTuple):
    """What a search found."""

    shape: float
    mean: float
    value: float
    """Objective at the best point."""
    start: float
    """Objective at the first one."""


def time_constants(neuron: Neuron, params: Any, dt: float, n: int) -> tuple[str, Floats] | None:
    """Return the parameter that is a neuron's membrane time constant and its values in seconds, or None.

    Parameters
    ----------
    neuron
        The neuron.
    params
        Values of its parameters, drawn.
    dt
        Time step, for a parameter that is a factor of decay.
    n
        Number of neurons.
    """
    for name in NAMES:
        if name in neuron.model.params and neuron.model.params[name].unit == "s":
            return name, np.array(np.broadcast_to(np.asarray(params[name], np.float64), (n,)))
    for name in DECAYS:
        known = neuron.model.params.get(name)
        if known is not None and (known.low, known.high) == (0.0, 1.0):
            factor = np.clip(np.broadcast_to(np.asarray(params[name], np.float64), (n,)), 1e-6, 1.0 - 1e-6)
            return name, -dt / np.log(factor)
    return None


def with_time_constants(neuron: Neuron, name: str, tau: Floats, dt: float) -> Neuron:
    """Return the neuron with other membrane time constants in seconds; ``name`` as :func:`time_constants` gave it."""
    values: dict[str, Any] = {name: tau if name in NAMES else np.exp(-dt / tau)}
    return neuron(**values)


def gamma_like(tau: Floats, shape: float, mean: float) -> Floats:
    """Return time constants in the order of ``tau`` whose distribution is a gamma, clipped to 3 .. 100 ms or as before.

    >>> gamma_like(np.array([30e-3, 10e-3]), 1e6, 20e-3).round(4).tolist()
    [0.02, 0.02]
    """
    rank = np.empty(len(tau))
    rank[np.argsort(tau, kind="stable")] = (np.arange(len(tau)) + 0.5) / len(tau)
    low, high = min(LIMITS[0], float(tau.min())), max(LIMITS[1], float(tau.max()))
    return np.asarray(np.clip(stats.gamma.ppf(rank, shape, scale=mean / shape), low, high))


def tune(
    objective: Callable[[float, float], float], tau: Floats, *, evaluations: int = EVALUATIONS, seed: int = 0
) -> Tuned:
    """Minimise an objective of a gamma distribution's shape and mean: expected improvement on a Gaussian process.

    Parameters
    ----------
    objective
        ``objective(shape, mean)``; mean in seconds.
    tau
        Present time constants: their own gamma (by moments) is the first point, their mean the middle of the search. If
        all are equal, only the mean is tuned, for a homogeneous network stays one.
    evaluations
        Of the objective.
    seed
        Of the first points and of the candidates.

    Raises
    ------
    MissingPackageError
        Without scikit-learn.
    """
    process = require("sklearn.gaussian_process", "the optimisation of time constants")
    centre, spread = float(tau.mean()), float(tau.std())
    same = spread < 1e-9 * centre
    low = np.log([SHAPES[0], MEANS[0] * centre])
    high = np.log([SHAPES[1], MEANS[1] * centre])
    begin = np.clip(np.log([SHAPES[1] if same else (centre / spread) ** 2, centre]), low, high)
    rng = np.random.default_rng(seed)

    def place(count: int) -> Floats:
        x = rng.random((count, 2))
        if same:
            x[:, 0] = 1.0
        return x

    xs = np.concatenate([[(begin - low) / (high - low)], place(FIRST - 1)])
    ys: list[float] = []
    kernel = process.kernels.ConstantKernel(1.0) * process.kernels.Matern(0.3, nu=2.5) + process.kernels.WhiteKernel(
        1e-4
    )
    for k in range(evaluations):
        if k >= len(xs):
            model = process.GaussianProcessRegressor(kernel, normalize_y=True, random_state=seed)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a length scale at its bound is no concern here
                model.fit(xs[:k], ys)
            options = place(512)
            mean, sd = model.predict(options, return_std=True)
            z = (min(ys) - mean) / np.maximum(sd, 1e-12)
            gain = sd * (z * stats.norm.cdf(z) + stats.norm.pdf(z))
            xs = np.concatenate([xs, options[[int(np.argmax(gain))]]])
        shape, mean = np.exp(low + xs[k] * (high - low))
        ys.append(float(objective(float(shape), float(mean))))
    best = int(np.argmin(ys))
    shape, mean = np.exp(low + xs[best] * (high - low))
    return Tuned(float(shape), float(mean), ys[best], ys[0])
