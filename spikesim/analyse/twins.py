"""Twin trajectories: how far apart two runs of the same network come that begin a finite distance apart.

No derivative is taken, so nothing is assumed about spikes. The rate depends on the first distance, as it must: one too
small to move any spike shrinks with the leaks, a larger one moves spikes, and these may multiply ("flux tubes",
Monteforte and Wolf 2012, Phys. Rev. X 2, 041007). Finite-size exponents: Aurell et al. 1997, J. Phys. A 30, 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spikesim.engine import compile
from spikesim.errors import InvalidValueError, UnsupportedError
from spikesim.inputs import input_arrays, total_steps
from spikesim.lowering import lower
from spikesim.network import Network, Probe
from spikesim.program import Chunk, Options, Program

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]
Key = tuple[str, str]
RESTING = 1e-9  # relative standard deviation up to which a state rests


@dataclass(frozen=True, eq=False)
class Twins:
    """How the distance between twins developed.

    Parameters
    ----------
    sizes
        Distances asked for, float64 ``[e]``.
    start
        Distances after rounding, float64 ``[e, trials]``.
    distance
        Euclidean distance of all states after each step, in their standard deviations, float64 ``[e, trials, steps]``.
    spikes
        Spikes of each step that only one twin fired, int64 ``[e, trials, steps]``.
    dt
        Time step in seconds.
    """

    sizes: Floats
    start: Floats
    distance: Floats
    spikes: NDArray[np.int64]
    dt: float

    @property
    def met(self) -> Floats:
        """Share of the twins of each size that ended in exactly the same state."""
        return np.asarray((self.distance[:, :, -1] == 0.0).mean(axis=1))

    def rates(self, steps: int | None = None) -> Floats:
        """Return ``log(d(T) / d(0)) / T`` of every pair, 1/s ``[e, trials]``; minus infinity for twins that met.

        Parameters
        ----------
        steps
            ``T`` in steps; all by default.
        """
        steps = self.distance.shape[2] if steps is None else steps
        if not 1 <= steps <= self.distance.shape[2]:
            raise InvalidValueError(f"steps must be from 1 to {self.distance.shape[2]}, found {steps}")
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(self.distance[:, :, steps - 1] / self.start) / (steps * self.dt))

    def exponents(self, steps: int | None = None) -> tuple[Floats, Floats]:
        """Return the finite-size exponent of each size and its standard error over trials, 1/s.

        Twins that met are left out of the mean (:attr:`met` tells their share); if all did, it is minus infinity.
        """
        rates = self.rates(steps)
        apart = np.isfinite(rates)
        number = apart.sum(axis=1)
        values = np.where(apart, rates, 0.0)
        mean = values.sum(axis=1) / np.maximum(number, 1)
        deviations = np.where(apart, values - mean[:, None], 0.0)
        errors = np.sqrt((deviations**2).sum(axis=1) / np.maximum(number - 1, 1) / np.maximum(number, 1))
        return np.where(number > 0, mean, -np.inf), np.where(number > 1, errors, np.nan)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the distances over time (:func:`spikesim.plot.divergence`)."""
        from spikesim.plot.lyapunov import divergence

        return divergence(self, ax=ax)


def twins(
    network: Network,
    sizes: Sequence[float] = (1e-8, 1e-6, 1e-4, 1e-2, 1.0),
    *,
    steps: int = 100,
    trials: int = 10,
    transient: int = 200,
    inputs: Mapping[str, Any] | None = None,
    backend: str = "numba",
    seed: int = 0,
    threads: int = 0,
) -> Twins:
    """Run a network beside twins of itself whose states begin a little apart, under the same stimuli.

    Parameters
    ----------
    network
        The network.
    sizes
        First distances, in standard deviations of each state (of its values during the transient). States that rest
        then are neither moved nor counted; if all do, the first one of each population is, in its unit.
    steps
        For how long the twins are followed.
    trials
        How often, each time from where the last trial ended, with another random direction.
    transient
        Steps before the first trial.
    inputs
        Data of the network's inputs, at least ``transient + trials * steps`` steps of one sample.
    backend
        An engine that can be stopped and set: ``"numba"``, ``"torch"``.
    seed
        Of the directions.
    threads
        Of the engine; the result does not depend on it.

    Returns
    -------
    Twins

    Raises
    ------
    InvalidValueError, UnsupportedError
        If a number cannot be used, or no neuron has a state that can change a little.

    Examples
    --------
    A leaky neuron forgets a distance at the rate of its leak, whatever its size:

    >>> from spikesim import Network, Population
    >>> from spikesim.models.neurons import lif
    >>> from spikesim.analyse import twins
    >>> found = twins(Network([Population("a", 3, lif(tau_m=20e-3))]), [1e-3, 0.1], steps=20, trials=2)
    >>> found.exponents()[0].round(6).tolist()
    [-50.0, -50.0]
    """
    first = np.asarray(sizes, np.float64)
    _check(first, steps, trials, transient)
    keys = [(p.name, s) for p in network.populations for s, state in p.model.states.items() if not state.integer]
    if not keys:
        raise UnsupportedError([f"no neuron of network {network.name!r} has a state that can change a little"])
    probes = [Probe(p.name, tuple(s for n, s in keys if n == p.name)) for p in network.populations]
    graph = lower(replace(network, probes=tuple(p for p in probes if p.variables)))
    data, samples, length = input_arrays(graph, inputs or {})
    if samples != 1:
        raise UnsupportedError([f"one sample is analysed at a time, found inputs of {samples} samples"])
    total_steps(graph, None, transient + trials * steps, length)  # says so if the inputs are too short
    pair = _Pair(compile(graph, backend, Options(threads=threads)), keys, data)
    scales = pair.begin(transient)
    start, distance = np.zeros((first.size, trials)), np.zeros((first.size, trials, steps))
    spikes = np.zeros(distance.shape, np.int64)
    for trial in range(trials):
        direction = np.random.default_rng([seed, trial]).standard_normal(sum(len(v) for v in pair.states().values()))
        direction /= np.linalg.norm(direction)
        found = pair.follow(transient + trial * steps, steps, first, direction, scales)
        start[:, trial], distance[:, trial], spikes[:, trial] = found
    return Twins(first, start, distance, spikes, network.dt)


def _check(sizes: Floats, steps: int, trials: int, transient: int) -> None:
    problems = []
    if sizes.ndim != 1 or sizes.size == 0 or not (np.isfinite(sizes) & (sizes > 0.0)).all():
        problems.append(f"sizes must be finite numbers above 0, at least one, found {sizes.tolist()}")
    for name, value in {"steps": steps, "trials": trials, "transient": transient}.items():
        if value < 1:
            problems.append(f"{name} must be at least 1, found {value}")
    if problems:
        raise InvalidValueError("\n".join(problems))


class _Pair:
    """One program that plays both twins in turn."""

    def __init__(self, program: Program, keys: Sequence[Key], data: Mapping[str, NDArray[Any]]) -> None:
        self.program, self.keys, self.data = program, keys, data

    def states(self) -> dict[Key, Floats]:
        """Return the present states."""
        return {key: self.program.get_state(*key)[0] for key in self.keys}

    def advance(self, first: int, steps: int) -> Chunk:
        """Run on."""
        return self.program.advance(steps, {name: array[first : first + steps] for name, array in self.data.items()})

    def begin(self, transient: int) -> dict[Key, float]:
        """Run the transient; return the standard deviation of each state in it.

        States that rest have no scale, and their units may be of another order altogether: they are left out. If all
        rest, the first one of each population (the membrane) is taken in its unit.
        """
        self.program.reset(1)
        chunk = self.advance(0, transient)
        values = {key: np.asarray(chunk.traces[key][1], np.float64) for key in self.keys}
        scales = {key: float(v.std()) for key, v in values.items() if v.std() > RESTING * np.abs(v).max()}
        if not scales:
            names = dict.fromkeys(name for name, _ in self.keys)
            scales = {next(k for k in self.keys if k[0] == name): 1.0 for name in names}
        self.keys = list(scales)
        return scales

    def follow(
        self, first: int, steps: int, sizes: Floats, direction: Floats, scales: Mapping[Key, float]
    ) -> tuple[Floats, Floats, NDArray[np.int64]]:
        """Run once as it is, then once for each size; leave the program where the first run ended."""
        before, states = self.program.snapshot(), self.states()
        chunk = self.advance(first, steps)
        after, path, raster = self.program.snapshot(), self._path(chunk, scales), self._raster(chunk, first)
        start, distance, spikes = [], [], []
        for size in sizes:
            self.program.restore(before)
            start.append(self._move(states, size * direction, scales))
            twin = self.advance(first, steps)
            distance.append(np.sqrt(((self._path(twin, scales) - path) ** 2).sum(axis=1)))
            differing = raster ^ self._raster(twin, first)
            spikes.append(np.bincount([step for _, step, _ in differing], minlength=steps))
        self.program.restore(after)
        return np.array(start), np.array(distance), np.array(spikes)

    def _move(self, states: Mapping[Key, Floats], by: Floats, scales: Mapping[Key, float]) -> float:
        """Set the states a little apart; return how far they are after rounding."""
        at, square = 0, 0.0
        for key, values in states.items():
            self.program.set_state(*key, values + scales[key] * by[at : at + len(values)])
            square += float((((self.program.get_state(*key)[0] - values) / scales[key]) ** 2).sum())
            at += len(values)
        if square == 0.0:
            raise InvalidValueError(
                f"a distance of {np.linalg.norm(by):g} standard deviations vanishes in rounding; choose larger sizes"
            )
        return float(np.sqrt(square))

    def _path(self, chunk: Chunk, scales: Mapping[Key, float]) -> Floats:
        """Return all states after each step, ``[steps, values]``."""
        return np.concatenate([np.asarray(chunk.traces[k][1][0], np.float64) / scales[k] for k in self.keys], axis=1)

    def _raster(self, chunk: Chunk, first: int) -> set[tuple[str, int, int]]:
        return {
            (name, step, neuron)
            for name, (_, steps, neurons) in chunk.spikes.items()
            for step, neuron in zip((steps - first).tolist(), neurons.tolist(), strict=True)
        }
