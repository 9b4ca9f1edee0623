"""How accuracy grows with the number of steps, from one run."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.network import Network
from spikesim.recording import Recording
from spikesim.train.evaluation import evaluate
from spikesim.train.readout import Readout, predict, read_out


def accuracy_over_time(
    network: Network, x: Any, y: Any, *, steps: int = 64, readout: str = "rate", **options: Any
) -> NDArray[np.float64]:
    """Return the accuracy of a network's answers after 1, 2, ..., ``steps`` steps.

    Parameters
    ----------
    network, x, y, steps, readout
        As for :func:`spikesim.train.evaluate`.
    **options
        Passed to it (``encode``, ``backend``, ...).

    Returns
    -------
    numpy.ndarray
        Fraction of samples answered right, float64 ``[steps]``; entry ``T - 1`` is after ``T`` steps.
    """
    run = evaluate(network, x, y, steps=steps, readout=readout, **options)
    scores = _scores_over_time(read_out(network, readout), run.recording)
    return np.array([np.mean(predict(now) == run.labels) for now in scores])


def _scores_over_time(reader: Readout, recording: Recording) -> Any:
    """Yield scores ``[samples, n]`` after each step."""
    if not reader.state:
        yield from np.cumsum(recording[reader.population].dense(), axis=0)
        return
    values = recording.traces[reader.population][reader.state].values.transpose(1, 0, 2)
    match reader.name:
        case "membrane_mean":
            yield from np.cumsum(values, axis=0)
        case "membrane_max":
            yield from np.maximum.accumulate(values, axis=0)
        case _:
            yield from values
