"""How Lyapunov exponents converge, and how far twin trajectories come apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes

from spikesim.plot import style

if TYPE_CHECKING:
    from spikesim.analyse.spectrum import Spectrum
    from spikesim.analyse.twins import Twins


def convergence(spectrum: Spectrum, *, most: int = 8, ax: Axes | None = None) -> Axes:
    """Draw running means of Lyapunov exponents, and the final values with their standard errors as bars.

    Parameters
    ----------
    spectrum
        What :func:`spikesim.analyse.spectrum` returned.
    most
        Draw at most so many exponents, spread evenly over the spectrum.
    ax
        Where to draw; a new figure by default.
    """
    ax = style.new_axes(ax)
    finite = np.flatnonzero(np.isfinite(spectrum.exponents))
    if finite.size == 0:
        style.empty(ax, "all exponents are minus infinity")
    shown = finite[np.unique(np.linspace(0, finite.size - 1, min(most, finite.size)).round().astype(int))]
    for index, colour in zip(shown, style.colours(len(shown)), strict=True):
        ax.plot(spectrum.times, spectrum.history[:, index], color=colour, linewidth=1.2, label=f"{index + 1}")
        error = np.nan_to_num(spectrum.errors[index])
        at = spectrum.times[-1]
        ax.errorbar([at], [spectrum.exponents[index]], yerr=[error], color=colour, marker="o", markersize=3, capsize=3)
    ax.axhline(0.0, color=style.FAINT, linewidth=0.8, linestyle="--")
    time = "time (s)" if spectrum.unit == "1/s" else "steps" if spectrum.unit == "per step" else "time"
    style.label(ax, time, f"Lyapunov exponent ({spectrum.unit})")
    style.legend(ax)
    return ax


def divergence(twins: Twins, *, ax: Axes | None = None) -> Axes:
    """Draw the distance of twin trajectories over time: the geometric mean over trials, one curve per first distance.

    Parameters
    ----------
    twins
        What :func:`spikesim.analyse.twins` returned. Twins that met are left out of a mean from then on.
    ax
        Where to draw; a new figure by default.
    """
    ax = style.new_axes(ax)
    factor, unit = style.time_unit(twins.distance.shape[2] * twins.dt)
    times = np.arange(twins.distance.shape[2] + 1) * twins.dt * factor
    for size, start, distance, colour in zip(
        twins.sizes, twins.start, twins.distance, style.colours(len(twins.sizes)), strict=True
    ):
        path = np.concatenate([start[:, None], distance], axis=1)
        apart = path > 0.0
        number = apart.sum(axis=0)
        logs = np.log(path, out=np.zeros(path.shape), where=apart).sum(axis=0) / np.maximum(number, 1)
        ax.plot(times, np.where(number > 0, np.exp(logs), np.nan), color=colour, linewidth=1.2, label=f"{size:g}")
    ax.set_yscale("log")
    style.label(ax, f"time ({unit})", "distance (standard deviations)")
    style.legend(ax)
    return ax
