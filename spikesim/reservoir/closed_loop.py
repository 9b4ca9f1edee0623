"""Closed-loop prediction: the network is fed what its own read-out said, and how long that stays near the truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikesim.engine import compile as compile_network
from spikesim.errors import InvalidValueError
from spikesim.network import Network
from spikesim.reservoir.attach import fitted, the_input
from spikesim.reservoir.features import TAU, drive
from spikesim.reservoir.readout import Linear, ridge
from spikesim.reservoir.tasks import Prediction

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ClosedLoop:
    """Predictions that a network made of its own predictions.

    Parameters
    ----------
    predicted, truth
        Standardised, float64 ``[starts, values, channels]``.
    valid
        Values before the error first exceeds the threshold, int64 ``[starts]``.
    lyapunov_times
        The same in Lyapunov times, float64 ``[starts]``; NaN where the exponent is not known.
    """

    predicted: Floats
    truth: Floats
    valid: NDArray[np.int64]
    lyapunov_times: Floats


def valid_values(predicted: Floats, truth: Floats, threshold: float = 0.4) -> NDArray[np.int64]:
    """Return how many values pass before the normalised error first exceeds a threshold.

    The error at a time is the distance of prediction and truth over the root mean squared distance of the truth from
    its mean; the count is that of all values if it never does.

    Parameters
    ----------
    predicted, truth
        ``[starts, values, channels]``.
    threshold
        0.4 is customary (Pathak et al., *Physical Review Letters* 120:024102, 2018).

    Returns
    -------
    numpy.ndarray
        Int64 ``[starts]``.

    Examples
    --------
    >>> truth = np.array([[[1.0], [-1.0], [1.0], [-1.0]]])
    >>> valid_values(truth + [[[0.0], [0.1], [0.5], [0.0]]], truth)
    array([2])
    """
    spread = np.sqrt(((truth - truth.mean(axis=(0, 1))) ** 2).sum(axis=2).mean())
    wrong = ~(np.linalg.norm(predicted - truth, axis=2) <= threshold * spread)
    return np.where(wrong.any(axis=1), wrong.argmax(axis=1), truth.shape[1])


def predict_freely(
    network: Network,
    task: Prediction,
    *,
    starts: int = 20,
    values: int | None = None,
    threshold: float = 0.4,
    noise: float = 0.0,
    tau: float = TAU,
    seed: int = 0,
    backend: str | None = None,
) -> ClosedLoop:
    """Train a read-out of the next value, then let the network go on alone from several places of the test part.

    Parameters
    ----------
    network
        As for :func:`spikesim.reservoir.evaluate`.
    task
        Its series, ``hold`` and ``discard``; the horizon is always the next value.
    starts
        Number of places, evenly spread; each is led up to by ``discard`` true values.
    values
        How far each goes: by default four Lyapunov times, at most half of the test part.
    threshold
        See :func:`valid_values`.
    noise
        Deviation of noise added to the input while learning, in deviations of the series, against feedback of errors.
    tau, seed, backend
        As for :func:`spikesim.reservoir.evaluate`.

    Raises
    ------
    InvalidValueError
        If the test part is too short for one start, or the network's input is rate-coded.

    Notes
    -----
    A prediction is limited to twice the range of the series, so that a loop that runs away stays finite.
    """
    ready, series = fitted(network, task.channels, seed), task.standardised()
    if not the_input(ready, task.channels).graded:
        raise InvalidValueError(
            "predict_freely needs a graded input, found one of spikes; use with_input(network, channels)"
        )
    span = _span(task, len(series), values)
    draws = np.random.default_rng(seed).normal(size=series.shape)
    x, _ = drive(ready, (series + noise * draws)[None], task.hold, tau, seed, backend)
    readout = ridge(x[0, task.discard : task.cut - 1], series[task.discard + 1 : task.cut])
    begins = np.unique(np.linspace(task.cut, len(series) - span, max(starts, 1)).astype(int))
    lead = np.stack([series[b - task.discard : b] for b in begins])
    predicted = _loop(ready, readout, lead, span, task.hold, tau, 2 * float(np.abs(series).max()), backend)
    truth = np.stack([series[b : b + span] for b in begins])
    valid = valid_values(predicted, truth, threshold)
    return ClosedLoop(predicted, truth, valid, valid / task.series.lyapunov_time)


def _span(task: Prediction, n: int, values: int | None) -> int:
    room = n - task.cut
    known = np.isfinite(task.series.lyapunov)
    if values is not None and not 1 <= values <= room:
        raise InvalidValueError(
            f"task {task.name!r}: values must be from 1 to {room}, the length of the test part, found {values!r}"
        )
    half = max(1, room // 2)
    return values or (min(round(4 * task.series.lyapunov_time), half) if known else half)


def _loop(
    network: Network,
    readout: Linear,
    lead: Floats,
    span: int,
    hold: int,
    tau: float,
    limit: float,
    backend: str | None,
) -> Floats:
    """Lead the network up to its start, one sample per place, then feed it its own predictions."""
    program = compile_network(network, backend or "numba")
    program.reset(len(lead))
    source = the_input(network, lead.shape[2])
    decay = np.exp(-network.dt / tau) if tau else 0.0
    names = [p.name for p in network.populations]
    trace = np.zeros((len(lead), sum(p.n for p in network.populations)))
    given = list(lead.transpose(1, 0, 2))
    out: list[Floats] = []
    for k in range(len(given) + span - 1):
        value = given[k] if k < len(given) else out[-1]
        for _ in range(hold):
            spikes = program.step(1, {source.name: value.reshape(len(lead), *source.shape)})
            trace = decay * trace + np.concatenate([spikes[name] for name in names], axis=1)
        if k >= len(given) - 1:
            out.append(np.clip(readout(trace), -limit, limit))
    return np.stack(out, axis=1)
