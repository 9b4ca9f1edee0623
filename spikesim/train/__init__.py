"""Training with derived surrogate gradients: network and labelled samples in, network out."""

from spikesim.train.evaluation import Evaluation, evaluate
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
    "evaluate",
    "loss",
    "over_time",
    "spiking",
    "train",
]
