"""Recurrent networks with linear read-outs: tasks, filtered spikes, scores, memory capacity.

>>> from spikesim import reservoir
>>> from spikesim.models.networks import mrsnn
>>> scores = reservoir.evaluate(mrsnn(60), "lorenz")
>>> scores.synapses
840
"""

from spikesim.reservoir.attach import fitted, with_input, with_readout
from spikesim.reservoir.capacity import Capacity, memory_capacity, network_capacity
from spikesim.reservoir.closed_loop import ClosedLoop, predict_freely, valid_values
from spikesim.reservoir.evaluate import Scores, evaluate
from spikesim.reservoir.features import drive, filtered, pooled, states
from spikesim.reservoir.readout import Linear, logistic, ridge
from spikesim.reservoir.settle import settled
from spikesim.reservoir.tasks import TASKS, Classification, Prediction, Task, task, user_task

__all__ = [
    "TASKS",
    "Capacity",
    "Classification",
    "ClosedLoop",
    "Linear",
    "Prediction",
    "Scores",
    "Task",
    "drive",
    "evaluate",
    "filtered",
    "fitted",
    "logistic",
    "memory_capacity",
    "network_capacity",
    "pooled",
    "predict_freely",
    "ridge",
    "settled",
    "states",
    "task",
    "user_task",
    "valid_values",
    "with_input",
    "with_readout",
]
