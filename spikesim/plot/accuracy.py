"""Accuracy against the number of steps."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from spikesim.plot import style


def accuracy(
    curves: ArrayLike | Mapping[str, ArrayLike], *, reference: float | None = None, ax: Axes | None = None
) -> Axes:
    """Draw how accuracy grows with the number of steps.

    Parameters
    ----------
    curves
        Accuracies after 1, 2, ... steps (:func:`spikesim.train.accuracy_over_time`), or several by name.
    reference
        A dashed line: the accuracy of the network that was converted.
    ax
        Where to draw; a new figure by default.
    """
    named = curves if isinstance(curves, Mapping) else {"": curves}
    ax = style.new_axes(ax)
    for (name, values), colour in zip(named.items(), style.colours(len(named)), strict=True):
        shown = 100.0 * np.asarray(values, np.float64)
        ax.plot(np.arange(1, len(shown) + 1), shown, color=colour, linewidth=1.4, label=name)
    if reference is not None:
        ax.axhline(100.0 * reference, color=style.INK, linewidth=1.0, linestyle="--", label="before conversion")
    ax.set_xscale("log", base=2)
    style.label(ax, "time steps", "accuracy (%)")
    style.legend(ax)
    return ax
