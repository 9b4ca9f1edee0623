"""Data sets: digits (shipped), MNIST and Fashion-MNIST, time series, SHD, SSC and N-MNIST; batches of any of them.

>>> from spikesim import data
>>> digits = data.load("digits")
>>> digits.x_train.shape, digits.y_test.shape
((1438, 8, 8), (359,))
"""

from spikesim.data.batches import Batches, mask
from spikesim.data.catalogue import CATALOGUE, Entry, dataset_rows, info, list_datasets, load
from spikesim.data.dataset import Dataset, split
from spikesim.data.event_set import EventDataset, EventSamples, from_tonic
from spikesim.data.idx import read_idx
from spikesim.data.nmnist import synthetic_nmnist, write_nmnist
from spikesim.data.series import read_ts
from spikesim.data.series_generated import Series, lorenz, mackey_glass, roessler
from spikesim.data.series_user import series_of
from spikesim.data.shd import read_shd, synthetic_shd, write_shd

__all__ = [
    "CATALOGUE",
    "Batches",
    "Dataset",
    "Entry",
    "EventDataset",
    "EventSamples",
    "Series",
    "dataset_rows",
    "from_tonic",
    "info",
    "list_datasets",
    "load",
    "lorenz",
    "mackey_glass",
    "mask",
    "read_idx",
    "read_shd",
    "read_ts",
    "roessler",
    "series_of",
    "split",
    "synthetic_nmnist",
    "synthetic_shd",
    "write_nmnist",
    "write_shd",
]
