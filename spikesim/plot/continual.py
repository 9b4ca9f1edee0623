"""Continual learning: the accuracy matrix, and accuracies over the tasks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from spikesim.errors import InvalidValueError
from spikesim.plot import style

BANDS = 6
"""Curves up to which bands are drawn; more would hide each other."""


def accuracy_matrix(matrix: ArrayLike, *, title: str = "", ax: Axes | None = None) -> Axes:
    """Draw the accuracy on every task (column) after every task (row) as a heat map with numbers in percent.

    Parameters
    ----------
    matrix
        Fractions ``[tasks, tasks]``; what is NaN stays empty.
    title
        Above.
    ax
        Where to draw; a new figure by default.
    """
    values = np.asarray(matrix, np.float64)
    if values.ndim != 2 or values.shape[0] != values.shape[1]:
        raise InvalidValueError(f"an accuracy matrix has the shape [tasks, tasks], found {list(values.shape)}")
    size = len(values)
    side = float(np.clip(0.42 * size, 2.4, 6.0))
    ax = style.new_axes(ax, width=side + 0.7, height=side + 0.6)
    ax.grid(False)
    ax.spines[:].set_visible(False)
    ax.imshow(values, cmap=style.SEQUENTIAL, vmin=0.0, vmax=1.0)
    names = [str(k + 1) for k in range(size)]
    ax.set_xticks(np.arange(size), names)
    ax.set_yticks(np.arange(size), names)
    ax.tick_params(which="both", length=0.0)
    for i, j in zip(*np.nonzero(~np.isnan(values)), strict=True):
        colour = "white" if values[i, j] > 0.5 else style.INK
        weight = "bold" if i == j else "normal"
        ax.text(j, i, f"{100 * values[i, j]:.0f}", ha="center", va="center", fontsize=7.0, color=colour, weight=weight)
    style.label(ax, "tested on task", "after task", title)
    return ax


def accuracy_curves(matrices: Mapping[str, ArrayLike], *, task: int | None = None, ax: Axes | None = None) -> Axes:
    """Draw, over the tasks learned, the mean accuracy on the tasks so far; or the accuracy on one task.

    Parameters
    ----------
    matrices
        Accuracy matrices ``[tasks, tasks]`` by name; with an axis of seeds before, ``[seeds, tasks, tasks]``, a band
        shows the smallest and the largest, unless there are more than :data:`BANDS` curves.
    task
        Which task, from 0; None for the mean over the tasks so far.
    ax
        Where to draw; a new figure by default.
    """
    ax = style.new_axes(ax, width=5.6, height=3.4)
    for number, (name, given) in enumerate(matrices.items()):
        matrix = np.asarray(given, np.float64)
        matrix = matrix[None] if matrix.ndim == 2 else matrix
        first, tasks = task or 0, matrix.shape[1]
        rows = range(first, tasks)
        curves = np.stack([matrix[:, i, : i + 1].mean(1) if task is None else matrix[:, i, task] for i in rows], axis=1)
        colour = style.COLOURS[number % len(style.COLOURS)]
        dashes = "-" if number < len(style.COLOURS) else "--"
        at = np.array(rows) + 1
        ax.plot(at, 100 * curves.mean(0), dashes, color=colour, marker="o", markersize=3, linewidth=1.4, label=name)
        if len(curves) > 1 and len(matrices) <= BANDS:
            ax.fill_between(at, 100 * curves.min(0), 100 * curves.max(0), color=colour, alpha=0.15, linewidth=0)
    what = "mean accuracy on the tasks so far (%)" if task is None else f"accuracy on task {task + 1} (%)"
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    style.label(ax, "tasks learned", what)
    style.legend(ax, 1)
    return ax
