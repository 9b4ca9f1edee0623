"""Accuracy of a network on labelled samples, on any backend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.engine import run
from spikesim.errors import InvalidValueError
from spikesim.network import Network
from spikesim.recording import Recording
from spikesim.train.readout import predict, read_out
from spikesim.train.samples import Encode, check_encoding, checked, present, the_input


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How a network did on labelled samples.

    Parameters
    ----------
    accuracy
        Fraction of samples whose predicted class is the label.
    predicted, labels
        Class numbers, int64 ``[samples]``.
    scores
        What the read-out said, float64 ``[samples, classes]``.
    recording
        Spikes and counts of the run.
    """

    accuracy: float
    predicted: NDArray[np.int64]
    labels: NDArray[np.int64]
    scores: NDArray[np.float64]
    recording: Recording

    def confusion(self) -> NDArray[np.int64]:
        """Return how often each label (row) was taken for each class (column)."""
        classes = self.scores.shape[1]
        return np.bincount(self.labels * classes + self.predicted, minlength=classes**2).reshape(classes, classes)


def evaluate(
    network: Network,
    x: Any,
    y: Any,
    *,
    backend: str = "numba",
    steps: int = 8,
    encode: Encode = "constant",
    readout: str = "rate",
    **options: Any,
) -> Evaluation:
    """Run a network on labelled samples and compare its answers with the labels.

    Parameters
    ----------
    network
        A network with one :class:`~spikesim.stimulus.Input`.
    x, y
        Samples ``[samples, ...]`` and class numbers ``[samples]``.
    backend
        Which engine.
    steps
        Steps that each sample is presented; a sequence has its own length.
    encode
        A name in :data:`spikesim.train.samples.ENCODINGS`, or a function of (samples, steps).
    readout
        A name in :data:`spikesim.train.readout.READOUTS`.
    **options
        Passed to :func:`spikesim.engine.run` (``dtype``, ``threads``, ``device``, ``progress``, ...).

    Returns
    -------
    Evaluation

    Raises
    ------
    InvalidValueError
        If samples, labels and network do not fit together.
    """
    reader, entry = read_out(network, readout), the_input(network)
    check_encoding(encode, entry)
    samples, labels = checked(x, y)
    if labels.max() >= reader.n:
        raise InvalidValueError(
            f"labels go up to {labels.max()}, but the last population {reader.population!r} has {reader.n} neurons"
        )
    over_time = present(samples, encode, steps, entry)
    recording = run(
        reader.probed(network), steps=len(over_time), backend=backend, inputs={entry.name: over_time}, **options
    )
    scores = reader.read(recording)
    predicted = predict(scores)
    return Evaluation(float(np.mean(predicted == labels)), predicted, labels, scores, recording)
