"""Curves of learning: means with their range over runs, and what a quine knows of itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from spikesim.plot import style

Runs = Sequence[Sequence[tuple[float, float]]]


def learning_curves(
    curves: Mapping[str, ArrayLike],
    at: ArrayLike | None = None,
    *,
    x: str = "epoch",
    y: str = "error",
    log: bool = False,
    dashed: Collection[str] = (),
    ax: Axes | None = None,
) -> Axes:
    """Draw how something changes while networks learn.

    Parameters
    ----------
    curves
        By name: ``[points]``, or ``[runs, points]``, of which the mean is drawn and the range shaded.
    at
        Where the points lie, ``[points]``; 0, 1, 2 and so on by default.
    x, y
        Labels of the axes.
    log
        Whether the vertical axis is logarithmic.
    dashed
        Names of curves that are drawn dashed; the first takes the colour of the first solid one, and so on.
    ax
        Where to draw; a new figure by default.

    Examples
    --------
    >>> learning_curves({"hebbian": [[0.4, 0.1], [0.3, 0.1]]}, y="test error").get_ylabel()
    'test error'
    """
    ax = style.new_axes(ax)
    for (name, values), colour in zip(curves.items(), _paint(curves, dashed), strict=True):
        runs = np.atleast_2d(np.asarray(values, np.float64))
        place = np.arange(runs.shape[1]) if at is None else np.asarray(at)[: runs.shape[1]]
        known = ~np.isnan(runs).all(0)
        runs, place = runs[:, known], place[known]
        ax.plot(place, np.nanmean(runs, 0), color=colour, lw=1.6, ls="--" if name in dashed else "-", label=name)
        if len(runs) > 1:
            ax.fill_between(place, np.nanmin(runs, 0), np.nanmax(runs, 0), color=colour, alpha=0.16, lw=0.0)
    if log:
        ax.set_yscale("log")
    style.label(ax, x, y)
    style.legend(ax)
    return ax


def quine(
    histories: Mapping[str, Runs], *, dashed: Collection[str] = (), axes: Sequence[Axes] | None = None
) -> Sequence[Axes]:
    """Draw what quines know of themselves: ``rho`` over the epochs, and the loss against the weights' norm.

    Parameters
    ----------
    histories
        By name the runs; a run is pairs ``(L_SR, sum theta^2)``, before training and after each epoch or generation.
    dashed
        As in :func:`learning_curves`.
    axes
        Two places to draw; a new figure by default.

    Returns
    -------
    sequence of Axes
        ``rho = L_SR / sum theta^2``, and both of its parts. A network on the dotted line knows no more than one that
        answers 0, however small its loss.

    Examples
    --------
    >>> [ax.get_ylabel() for ax in quine({"grad": [[(20.0, 16.0), (11.0, 25.0)]]})]
    ['rho', 'loss']
    """
    if axes is None:
        axes = Figure(figsize=(9.0, 3.6), layout="constrained").subplots(1, 2)
    left, right = (style.new_axes(ax) for ax in axes)
    parts = {name: _filled(runs) for name, runs in histories.items()}
    with np.errstate(divide="ignore", invalid="ignore"):
        rhos = {name: part[..., 0] / part[..., 1] for name, part in parts.items()}
    learning_curves(rhos, x="epoch or generation", y="rho", log=True, dashed=dashed, ax=left)
    left.axhline(1.0, color=style.FAINT, lw=1.0, ls=":")
    for (name, part), colour in zip(parts.items(), _paint(parts, dashed), strict=True):
        for run in part:
            loss, norm = run[(run > 0).all(1)].T  # what is exactly 0 has no place on these axes
            right.plot(norm, loss, color=colour, lw=1.2, ls="--" if name in dashed else "-")
            right.plot(norm[-1:], loss[-1:], "o", ms=4, color=colour)
    right.set(xscale="log", yscale="log")
    least = 1e-3 * min((run[0].min() for part in parts.values() for run in part if run[0].min() > 0), default=1.0)
    right.set(xlim=(max(least, right.get_xlim()[0]), None), ylim=(max(least, right.get_ylim()[0]), None))
    ends = max(right.get_xlim()[0], right.get_ylim()[0]), min(right.get_xlim()[1], right.get_ylim()[1])
    right.plot(ends, ends, color=style.FAINT, lw=1.0, ls=":")
    style.note(right, "dot: the end; dotted line: rho = 1")
    style.label(right, "sum of squared weights", "loss")
    return [left, right]


def _paint(names: Collection[str], dashed: Collection[str]) -> list[str]:
    """Return a colour for each name: solid ones differ, and so do dashed ones."""
    found, counts = [], {True: 0, False: 0}
    colours = style.colours(max(1, len(names)))
    for name in names:
        found.append(colours[counts[name in dashed]])
        counts[name in dashed] += 1
    return found


def _filled(runs: Runs) -> NDArray[np.float64]:
    """Return ``[runs, longest, 2]``, NaN behind the end of a run."""
    found = np.full((len(runs), max(map(len, runs)), 2), np.nan)
    for row, run in zip(found, runs, strict=True):
        row[: len(run)] = run
    return found


__all__ = ["learning_curves", "quine"]
