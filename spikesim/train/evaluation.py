"""Accuracy of a network on labelled samples, on any backend."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.engine import run
from spikesim.errors import InvalidValueError
from spikesim.lowering import lower
from spikesim.network import Network
from spikesim.recording import Recording
from spikesim.session import bar
from spikesim.train.readout import Readout, predict, read_out, readout_name
from spikesim.train.samples import Encode, Samples, check_encoding, checked, is_stream, present, samples_of, the_input


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How a network did on labelled samples.

    Parameters
    ----------
    accuracy
        Fraction of samples whose predicted class is the label; NaN for a regression.
    predicted, labels
        Class numbers, int64 ``[samples]``; of a regression outputs and targets, float64 ``[samples, n]`` or
        ``[samples, steps, n]``.
    scores
        What the read-out said, float64 ``[samples, classes]``.
    recording
        Spikes and counts of the run; of its last batch, if there were several. None of a ``torch.nn.Module``.
    spikes
        Spikes of all samples.
    rmse
        Root of the mean squared error of a regression, over samples, real steps and outputs; NaN for classes.
    """

    accuracy: float
    predicted: NDArray[Any]
    labels: NDArray[Any]
    scores: NDArray[np.float64]
    recording: Recording | Any
    spikes: int = 0
    rmse: float = float("nan")

    def confusion(self) -> NDArray[np.int64]:
        """Return how often each label (row) was taken for each class (column).

        Raises
        ------
        InvalidValueError
            For a regression.
        """
        if self.labels.ndim > 1:
            raise InvalidValueError("a regression has no classes to confuse; look at rmse")
        classes = self.scores.shape[1]
        return np.bincount(self.labels * classes + self.predicted, minlength=classes**2).reshape(classes, classes)


def evaluate(
    network: Any,
    x: Any,
    y: Any = None,
    *,
    backend: str = "numba",
    steps: int = 8,
    encode: Encode = "constant",
    readout: str = "rate",
    batch_size: int | None = None,
    progress: Callable[[int, int], None] | bool = False,
    **options: Any,
) -> Evaluation:
    """Run a network on labelled samples and compare its answers with the labels.

    Parameters
    ----------
    network
        A network with one :class:`~spikesim.stimulus.Input`; or a ``torch.nn.Module`` as
        :func:`spikesim.train.train` takes it, which is evaluated where it is.
    x, y
        Samples ``[samples, ...]`` and class numbers ``[samples]``, or targets ``[samples, n]`` or ``[samples, steps,
        n]``. Or ``x`` alone: a :class:`spikesim.data.Dataset` (its test part, at full intensity 1), a triple ``(x, y,
        lengths)``, or batches as :func:`spikesim.train.train` takes them.
    backend
        Which engine.
    steps
        Steps that each sample is presented; a sequence has its own length.
    encode
        A name in :data:`spikesim.train.samples.ENCODINGS`, or a function of (samples, steps).
    readout
        A name in :data:`spikesim.train.readout.READOUTS`.
    batch_size
        Samples that run at once, so that memory does not grow with their number; all by default.
    progress
        True for a bar on a terminal, or a function of (steps, or with several batches batches, done and in all).
    **options
        Passed to :func:`spikesim.engine.run` (``dtype``, ``threads``, ``device``, ...).

    Returns
    -------
    Evaluation

    Raises
    ------
    InvalidValueError
        If samples, labels and network do not fit together.
    """
    if batch_size is not None and not batch_size >= 1:
        raise InvalidValueError(f"batch_size must be at least 1, found {batch_size!r}")
    if not isinstance(network, Network):
        return _of_module(network, x, y, steps, encode, readout_name(readout), batch_size)
    reader, entry = read_out(network, readout), the_input(network)
    check_encoding(encode, entry)
    count, batches = _batches(x, y, batch_size)
    graph = lower(reader.probed(network))
    several = count > 1
    parts = []
    with bar(several and progress, count, "evaluating") as report:
        for samples in batches:
            _check(samples, reader)
            over_time = present(samples.scaled(slice(None)), encode, steps, entry)
            recording = run(
                graph,
                steps=len(over_time),
                backend=backend,
                inputs={entry.name: over_time},
                progress=progress if not several else False,
                **options,
            )
            values = reader.over_time(recording) if samples.y.ndim == 3 else None
            scores = reader.read(recording, samples.lengths)
            parts.append(_part(scores, values, samples, recording))
            report(len(parts), count)
    return _joined(parts)


def _joined(parts: list[Evaluation]) -> Evaluation:
    """Return the evaluation of all batches."""
    scores, predicted, labels = (
        np.concatenate([getattr(p, n) for p in parts]) for n in ("scores", "predicted", "labels")
    )
    sizes = [len(p.labels) for p in parts]
    accuracy = float(np.average([p.accuracy for p in parts], weights=sizes))
    rmse = float(np.sqrt(np.average([p.rmse**2 for p in parts], weights=sizes)))
    return Evaluation(accuracy, predicted, labels, scores, parts[-1].recording, sum(p.spikes for p in parts), rmse)


def _batches(x: Any, y: Any, batch_size: int | None) -> tuple[int, Iterator[Samples]]:
    """Return the number of batches, and the batches."""
    if y is None and is_stream(x):
        if not hasattr(x, "__len__"):
            raise InvalidValueError(f"batches need a length (len), found {type(x).__name__}")
        return len(x), (checked(*(_array(part) for part in batch)) for batch in x)
    samples = samples_of(x, "test") if y is None else checked(x, y)
    size = batch_size or len(samples)
    parts = (slice(k, k + size) for k in range(0, len(samples), size))
    return -(-len(samples) // size), (
        replace(
            samples, x=samples.x[p], y=samples.y[p], lengths=None if samples.lengths is None else samples.lengths[p]
        )
        for p in parts
    )


def _array(part: Any) -> Any:
    return part.to_dense() if getattr(part, "is_sparse", False) else part


def _check(samples: Samples, reader: Readout) -> None:
    if samples.classes and samples.y.max() >= reader.n:
        raise InvalidValueError(
            f"labels go up to {samples.y.max()}, but the last population {reader.population!r} has {reader.n} neurons"
        )
    if not samples.classes and samples.y.shape[-1] != reader.n:
        raise InvalidValueError(
            f"targets have {samples.y.shape[-1]} values, but the last population {reader.population!r} has "
            f"{reader.n} neurons"
        )


def _part(scores: Any, values: Any, samples: Samples, recording: Recording | None) -> Evaluation:
    """Evaluate one batch from its scores, or from ``[steps, samples, n]`` where targets go over time."""
    labels, spikes = samples.y, 0 if recording is None else recording.counts.spikes
    if samples.classes:
        predicted = predict(scores)
        return Evaluation(float(np.mean(predicted == labels)), predicted, labels, scores, recording, spikes)
    outputs = np.moveaxis(values, 0, 1) if labels.ndim == 3 else scores
    if outputs.shape != labels.shape:
        raise InvalidValueError(f"targets need the shape {list(outputs.shape)}, found {list(labels.shape)}")
    error = np.square(outputs - labels)
    if labels.ndim == 3 and samples.lengths is not None:
        real = (np.arange(error.shape[1]) < samples.lengths[:, None])[:, :, None]
        error = (error * real).sum(1) / samples.lengths[:, None]
    return Evaluation(float("nan"), outputs, labels, scores, recording, spikes, float(np.sqrt(error.mean())))


def _of_module(
    module: Any, x: Any, y: Any, steps: int, encode: Encode, readout: str, batch_size: int | None
) -> Evaluation:
    """Evaluate a user's module, in its evaluation mode."""
    import torch

    from spikesim.train.learner import ModuleLearner

    if not isinstance(module, torch.nn.Module):
        raise InvalidValueError(f"evaluate takes a Network or a torch.nn.Module, found {type(module).__name__}")
    check_encoding(encode, None)
    first = next(module.parameters(), torch.zeros(()))
    learner, training = ModuleLearner(module, first.dtype, first.device), module.training
    parts, reader = [], Readout(readout, "output", "", 0)
    module.eval()
    try:
        for samples in _batches(x, y, batch_size)[1]:
            over_time = np.array(present(samples.scaled(slice(None)), encode, steps, None))
            with torch.no_grad():
                values = learner(torch.as_tensor(over_time).to(learner.dtype)).values.double().cpu()
            lengths = None if samples.lengths is None else torch.as_tensor(samples.lengths)
            scores = reader.scores(values, lengths).numpy()
            parts.append(_part(scores, values.numpy(), samples, None))
    finally:
        module.train(training)
    return _joined(parts)
