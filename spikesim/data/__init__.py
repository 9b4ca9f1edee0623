"""Real data sets: digits (shipped), MNIST and Fashion-MNIST (IDX files), Japanese Vowels.

>>> from spikesim import data
>>> digits = data.load("digits")
>>> digits.x_train.shape, digits.y_test.shape
((1438, 8, 8), (359,))
"""

from spikesim.data.catalogue import CATALOGUE, Entry, dataset_rows, info, list_datasets, load
from spikesim.data.dataset import Dataset, split
from spikesim.data.idx import read_idx
from spikesim.data.vowels import read_ts

__all__ = [
    "CATALOGUE",
    "Dataset",
    "Entry",
    "dataset_rows",
    "info",
    "list_datasets",
    "load",
    "read_idx",
    "read_ts",
    "split",
]
