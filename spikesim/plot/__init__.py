"""Plots: functions that take and return a matplotlib Axes.

>>> from spikesim.plot import raster
>>> from spikesim.recording import Spikes
>>> import numpy as np
>>> spikes = Spikes(np.zeros(2, np.int32), np.array([1, 7]), np.array([0, 1]), n=2, steps=10, samples=1, dt=1e-3)
>>> axes = raster(spikes)
>>> axes.get_xlabel()
'time (ms)'
"""

from spikesim.plot.accuracy import accuracy
from spikesim.plot.camera import event_frame
from spikesim.plot.continual import accuracy_curves, accuracy_matrix
from spikesim.plot.cores import core_bars, core_figure, core_map
from spikesim.plot.distributions import correlation, isi, rates
from spikesim.plot.learning import learning_curves, quine
from spikesim.plot.lyapunov import convergence, divergence
from spikesim.plot.matrices import activity, confusion, confusion_matrix
from spikesim.plot.pruning import connectivity, pruning
from spikesim.plot.raster import psth, raster
from spikesim.plot.traces import traces

__all__ = [
    "accuracy",
    "accuracy_curves",
    "accuracy_matrix",
    "activity",
    "confusion",
    "confusion_matrix",
    "connectivity",
    "convergence",
    "core_bars",
    "core_figure",
    "core_map",
    "correlation",
    "divergence",
    "event_frame",
    "isi",
    "learning_curves",
    "pruning",
    "psth",
    "quine",
    "raster",
    "rates",
    "traces",
]
