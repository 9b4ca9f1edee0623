"""Training with derived surrogate gradients: network and labelled samples in, network out."""

from spikesim.train.evaluation import Evaluation, evaluate
from spikesim.train.loop import train
from spikesim.train.losses import LOSSES, loss
from spikesim.train.over_time import accuracy_over_time
from spikesim.train.readout import READOUTS
from spikesim.train.result import Epoch, Trained
from spikesim.train.samples import Augment

__all__ = [
    "LOSSES",
    "READOUTS",
    "Augment",
    "Epoch",
    "Evaluation",
    "Trained",
    "accuracy_over_time",
    "evaluate",
    "loss",
    "train",
]
