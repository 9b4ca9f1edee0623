"""Synapses drawn straight into the tables that the kernels deliver from, in threads and without large intermediates.

A tile is a range ``(low, high)`` of targets, at most 65 536, that begins at a multiple of 64, and ends at one or at the
end of the population. Every function draws each random number once or twice for all tiles of an edge together, gives
the same tables for any number of threads, and leaves what it has counted with the edge.
"""

from spikesim.backends.numba.build.bits import Bitmap, bitmaps
from spikesim.backends.numba.build.dense import dense
from spikesim.backends.numba.build.rows import Rows16, rows16
from spikesim.backends.numba.build.segments import Part, Segments, segments
from spikesim.backends.numba.build.together import build

__all__ = ["Bitmap", "Part", "Rows16", "Segments", "bitmaps", "build", "dense", "rows16", "segments"]
