"""Training with derived surrogate gradients: network and labelled samples in, network out.

``spikesim.train(network, data)`` is short for :func:`spikesim.train.train`.
"""

import inspect
import sys
from types import ModuleType

from spikesim.train.accuracy import accuracy_over_time
from spikesim.train.evaluation import Evaluation, evaluate
from spikesim.train.fast import fast_weights, slow_network
from spikesim.train.loop import train
from spikesim.train.losses import LOSSES, RateRegulariser, loss
from spikesim.train.readout import READOUTS
from spikesim.train.result import Epoch, Trained
from spikesim.train.samples import Augment
from spikesim.train.schedules import SCHEDULES
from spikesim.train.spiking import over_time, spiking

__all__ = [
    "LOSSES",
    "READOUTS",
    "SCHEDULES",
    "Augment",
    "Epoch",
    "Evaluation",
    "RateRegulariser",
    "Trained",
    "accuracy_over_time",
    "evaluate",
    "fast_weights",
    "loss",
    "over_time",
    "slow_network",
    "spiking",
    "train",
]


class _Callable(ModuleType):
    """A room that does its main work when it is called itself."""

    __call__ = staticmethod(train)


sys.modules[__name__].__class__ = _Callable
__signature__ = inspect.signature(train)  # what help() and editors show
