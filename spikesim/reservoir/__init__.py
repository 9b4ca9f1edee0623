"""Recurrent networks with linear read-outs: tasks, filtered spikes, scores, memory capacity.

>>> from spikesim import reservoir
>>> from spikesim.models.networks import mrsnn
>>> scores = reservoir.evaluate(mrsnn(60), "lorenz")
>>> scores.synapses
840
"""

from spikesim.reservoir.attach import fitted, with_input, with_readout
from spikesim.reservoir.evaluate import Scores, drive, evaluate
from spikesim.reservoir.features import filtered, pooled, states
from spikesim.reservoir.readout import Linear, logistic, ridge
from spikesim.reservoir.tasks import TASKS, Classification, Prediction, Task, task, user_task

__all__ = [
    "TASKS",
    "Classification",
    "Linear",
    "Prediction",
    "Scores",
    "Task",
    "drive",
    "evaluate",
    "filtered",
    "fitted",
    "logistic",
    "pooled",
    "ridge",
    "states",
    "task",
    "user_task",
    "with_input",
    "with_readout",
]
