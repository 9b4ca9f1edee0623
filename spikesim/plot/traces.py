"""State variables over time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from spikesim.describe import PREFIXED, PREFIXES
from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.plot import style
from spikesim.recording import Recording, Trace

FEW = 3  # neurons drawn by default


def traces(
    recording: Recording,
    population: str | None = None,
    state: str | None = None,
    *,
    neurons: Sequence[int] | None = None,
    sample: int = 0,
    threshold: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a state of some neurons over time, their spikes as marks above it.

    Parameters
    ----------
    recording
        With a probe.
    population, state
        Which; the first probed ones by default.
    neurons
        Which; the first three recorded by default.
    sample
        Which sample.
    threshold
        Drawn as a dashed line, in the unit of the state.
    ax
        Where to draw; a new figure by default.

    Raises
    ------
    UnknownNameError, InvalidValueError
        If that was not recorded.
    """
    population, state, trace = _find(recording, population, state)
    columns = _columns(trace, neurons)
    if not 0 <= sample < len(trace.values):
        raise InvalidValueError(f"sample must be 0 .. {len(trace.values) - 1}, found {sample}")
    factor, time = style.time_unit(recording.steps * recording.dt)
    scale, unit = _readable(trace, columns)
    ax = style.new_axes(ax, height=2.8)
    for column, colour in zip(columns, style.colours(len(columns)), strict=True):
        values = trace.values[sample, :, column] * scale
        ax.plot(
            trace.times * factor, values, color=colour, linewidth=1.3, label=f"{population} {trace.neurons[column]}"
        )
    if threshold is not None:
        ax.axhline(threshold * scale, color=style.FAINT, linewidth=1.0, linestyle=(0, (4, 3)))
        ax.annotate(
            "threshold", (1.0, threshold * scale), xycoords=("axes fraction", "data"), xytext=(-2, 2),
            textcoords="offset points", ha="right", va="bottom", fontsize=style.SMALL, color=style.FAINT,
        )  # fmt: skip
    ax.set_xlim(0, max(recording.steps * recording.dt * factor, 1e-9))
    _mark_spikes(ax, recording, population, trace.neurons[columns].tolist(), sample, factor)
    style.label(ax, f"time ({time})", f"{state} ({unit})" if unit else state)
    _raise_legend(ax, len(columns))
    return ax


def _find(recording: Recording, population: str | None, state: str | None) -> tuple[str, str, Trace]:
    if not recording.traces:
        raise InvalidValueError("the recording holds no traces; add probes to the network, such as Probe('out', 'v')")
    population = population or next(iter(recording.traces))
    if population not in recording.traces:
        raise UnknownNameError("population with traces:", population, list(recording.traces))
    state = state or next(iter(recording.traces[population]))
    if state not in recording.traces[population]:
        raise UnknownNameError(f"recorded state of {population!r}:", state, list(recording.traces[population]))
    return population, state, recording.traces[population][state]


def _columns(trace: Trace, neurons: Sequence[int] | None) -> list[int]:
    where = {int(n): k for k, n in enumerate(trace.neurons)}
    chosen = list(where)[:FEW] if neurons is None else [int(n) for n in neurons]
    missing = [n for n in chosen if n not in where]
    if missing:
        raise InvalidValueError(f"neuron {missing[0]} was not recorded; recorded are {list(where)[:12]}")
    return [where[n] for n in chosen]


def _readable(trace: Trace, columns: list[int]) -> tuple[float, str]:
    """Return the factor and the unit that make the values easy to read: millivolts rather than 0.065 V."""
    values = np.abs(trace.values[:, :, columns])
    largest = float(values[np.isfinite(values)].max(initial=0.0))
    if trace.unit not in PREFIXED or largest == 0.0:
        return 1.0, trace.unit
    power = int(np.clip(np.floor(np.log10(largest) / 3), min(PREFIXES), max(PREFIXES)))
    return 1000.0**-power, PREFIXES[power] + trace.unit


def _mark_spikes(
    ax: Axes, recording: Recording, population: str, neurons: list[int], sample: int, factor: float
) -> None:
    """Draw a row of ticks above the axes for each neuron."""
    spikes = recording.spikes[population].of(sample)
    for row, (neuron, colour) in enumerate(zip(neurons, style.colours(len(neurons)), strict=True)):
        times = spikes.times[spikes.neuron == neuron] * factor
        low = 1.03 + 0.055 * row
        ax.vlines(
            times, low, low + 0.04, color=colour, linewidth=1.2, transform=ax.get_xaxis_transform(), clip_on=False
        )


def _raise_legend(ax: Axes, rows: int) -> None:
    style.legend(ax, least=1)
    found = ax.get_legend()
    if found is not None:
        found.set_bbox_to_anchor((0.0, 1.03 + 0.055 * rows))
