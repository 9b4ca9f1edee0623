"""Connectivity and spectrum of a network before and after pruning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes

from spikesim.plot import style

if TYPE_CHECKING:
    from spikesim.sparsify.report import PruneReport


def connectivity(matrix: Any, *, most: int = 20_000, ax: Axes | None = None) -> Axes:
    """Draw the synapses of a matrix: a dot per synapse, excitation and inhibition in two colours.

    Parameters
    ----------
    matrix
        Sparse ``[targets, sources]``; the diagonal is left out.
    most
        Draw at most so many synapses, evenly chosen.
    ax
        Where to draw; a new figure by default.
    """
    ax = style.new_axes(ax)
    coo = matrix.tocoo()
    off = np.flatnonzero((coo.row != coo.col) & (coo.data != 0.0))
    off = off[:: max(1, -(-off.size // most))]
    colours = style.colours(2)
    size = max(0.2, 400.0 / max(matrix.shape[0], 1) ** 1.3)
    for sign, colour, label in ((1, colours[0], "excites"), (-1, colours[1], "inhibits")):
        some = off[np.sign(coo.data[off]) == sign]
        ax.scatter(coo.col[some], coo.row[some], s=size, color=colour, linewidths=0, label=label, rasterized=True)
    ax.set_xlim(-0.5, matrix.shape[1] - 0.5)
    ax.set_ylim(matrix.shape[0] - 0.5, -0.5)
    ax.set_aspect("equal")
    style.label(ax, "source", "target")
    return ax


def pruning(report: PruneReport, axes: Sequence[Axes] | None = None) -> Sequence[Axes]:
    """Draw connectivity before and after, and both spectra in the complex plane.

    Parameters
    ----------
    report
        What :func:`spikesim.sparsify.prune` reported.
    axes
        Three places to draw; a new figure by default.
    """
    if axes is None:
        from matplotlib.figure import Figure

        axes = Figure(figsize=(10.5, 3.4), layout="constrained").subplots(1, 3)
    for ax, matrix, label, count in zip(axes, report.matrices, ("before", "after"), report.synapses, strict=False):
        connectivity(matrix, ax=ax)
        ax.set_title(f"{label}: {count} synapses", fontsize=9)
    for values, colour, label in zip(report.spectrum, style.colours(2), ("before", "after"), strict=True):
        axes[2].scatter(values.real, values.imag, s=6, color=colour, label=label, linewidths=0)
    axes[2].axvline(0.0, color=style.FAINT, linewidth=0.8, linestyle="--")
    style.label(axes[2], "real part (1/s)", "imaginary part (1/s)")
    style.legend(axes[2])
    return axes
