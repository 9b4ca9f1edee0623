"""What came out: the confusion of classes, the activity of layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

from spikesim.errors import InvalidValueError
from spikesim.plot import style
from spikesim.recording import Recording


def confusion(
    labels: ArrayLike, predictions: ArrayLike, classes: Sequence[str] | None = None, *, ax: Axes | None = None
) -> Axes:
    """Draw which class was taken for which: rows are the true ones, columns what the network said.

    Parameters
    ----------
    labels, predictions
        Class numbers, as many of each.
    classes
        Names; the numbers by default.
    ax
        Where to draw; a new figure by default.
    """
    matrix = confusion_matrix(labels, predictions, None if classes is None else len(classes))
    size = len(matrix)
    names = [str(k) for k in range(size)] if classes is None else list(classes)
    side = float(np.clip(0.42 * size, 3.0, 8.0))
    ax = style.new_axes(ax, width=side + 0.6, height=side + 0.4)
    ax.grid(False)
    ax.spines[:].set_visible(False)
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    ax.imshow(share, cmap=style.SEQUENTIAL, vmin=0.0, vmax=1.0)
    ax.set_xticks(np.arange(size), names)
    ax.set_yticks(np.arange(size), names)
    ax.set_xticks(np.arange(size + 1) - 0.5, minor=True)
    ax.set_yticks(np.arange(size + 1) - 0.5, minor=True)
    ax.grid(True, which="minor", color=style.GRID, linewidth=1.0)
    ax.tick_params(which="both", length=0.0)
    if size <= 30:
        _write_numbers(ax, matrix, share)
    accuracy = np.trace(matrix) / max(1, matrix.sum())
    style.label(ax, "class said", "true class", f"{100 * accuracy:.2f} % of {matrix.sum()} right")
    return ax


def _write_numbers(ax: Axes, matrix: NDArray[np.int64], share: NDArray[np.float64]) -> None:
    for row, column in zip(*np.nonzero(matrix), strict=True):
        colour = "white" if share[row, column] > 0.5 else style.INK
        weight = "normal" if row == column else "bold"
        ax.text(
            column, row, str(matrix[row, column]), ha="center", va="center", fontsize=7.5, color=colour, weight=weight
        )


def confusion_matrix(labels: ArrayLike, predictions: ArrayLike, classes: int | None = None) -> NDArray[np.int64]:
    """Return how often each class (row) was taken for each class (column), int64 ``[classes, classes]``.

    >>> confusion_matrix([0, 0, 1], [0, 1, 1]).tolist()
    [[1, 1], [0, 1]]
    """
    truth, said = np.asarray(labels).reshape(-1), np.asarray(predictions).reshape(-1)
    if truth.shape != said.shape or not truth.size:
        raise InvalidValueError(f"as many labels as predictions are needed, found {truth.size} and {said.size}")
    highest = int(max(truth.max(), said.max()))
    size = highest + 1 if classes is None else classes
    if min(truth.min(), said.min()) < 0 or highest >= size:
        raise InvalidValueError(f"classes must be 0 .. {size - 1}, found {min(truth.min(), said.min())} .. {highest}")
    flat = truth.astype(np.int64) * size + said.astype(np.int64)
    return np.bincount(flat, minlength=size**2).reshape(size, size)


def activity(recording: Recording, *, ax: Axes | None = None) -> Axes:
    """Draw how often a neuron of each layer fires per sample: the mean, and the spread over samples.

    Parameters
    ----------
    recording
        The counts are used, so the whole of a big file is not read.
    ax
        Where to draw; a new figure by default.
    """
    counts = recording.counts
    layers: dict[str, NDArray[Any]] = {name: s / counts.source_sizes[name] for name, s in counts.sources.items()}
    inputs = len(layers)
    layers |= {name: p.spikes / p.neurons for name, p in counts.populations.items()}
    ax = style.new_axes(ax, height=0.9 + 0.36 * max(1, len(layers)))
    ax.grid(False, axis="y")
    means = [float(v.mean()) for v in layers.values()]
    spreads = [float(v.std()) for v in layers.values()]
    shades = [style.FAINT] * inputs + [style.COLOURS[0]] * (len(layers) - inputs)
    rows = np.arange(len(layers))
    ax.barh(rows, means, height=0.62, color=shades)
    if counts.samples > 1:
        ax.errorbar(means, rows, xerr=spreads, fmt="none", ecolor=style.INK, elinewidth=1.0, capsize=2.5)
    ends = [m + (s if counts.samples > 1 else 0.0) for m, s in zip(means, spreads, strict=True)]
    for row, mean in enumerate(means):
        text = f"{mean:.3g}   {100 * mean / max(1, counts.steps):.3g} % of steps"
        ax.annotate(
            text, (ends[row], row), xytext=(6, 0), textcoords="offset points", va="center", fontsize=style.SMALL,
            color=style.INK,
        )  # fmt: skip
    ax.set_yticks(rows, list(layers))
    ax.invert_yaxis()
    ax.tick_params(axis="y", length=0.0)
    ax.set_xlim(0, 1.45 * max([*ends, 1e-9]))
    style.label(ax, "spikes per neuron and sample")
    return ax
