"""Events of cameras and cochleas: reading, varying, binning.

>>> from spikesim import events, ms
>>> recording = events.Events([200, 1500], x=[0, 1], y=[0, 1], p=[1, 0], shape=(2, 2, 2))
>>> events.frames(events.downsample(recording, 2), dt=1 * ms).shape
(2, 2, 1, 1)
"""

from spikesim.events.binning import frames
from spikesim.events.chain import TRANSFORMS, Transform, apply, transform
from spikesim.events.dvs import saccades
from spikesim.events.files import read_events, write_events
from spikesim.events.filters import denoise, hot_pixels, refractory
from spikesim.events.noise import (
    background,
    drop_events,
    drop_pixels,
    drop_time,
    flip_at_random,
    jitter_space,
    jitter_time,
    shift,
)
from spikesim.events.transforms import (
    crop,
    crop_time,
    downsample,
    flip_left_right,
    flip_polarity,
    flip_up_down,
    from_first,
    merge_polarity,
    transpose,
)
from spikesim.events.value import Events

__all__ = [
    "TRANSFORMS",
    "Events",
    "Transform",
    "apply",
    "background",
    "crop",
    "crop_time",
    "denoise",
    "downsample",
    "drop_events",
    "drop_pixels",
    "drop_time",
    "flip_at_random",
    "flip_left_right",
    "flip_polarity",
    "flip_up_down",
    "frames",
    "from_first",
    "hot_pixels",
    "jitter_space",
    "jitter_time",
    "merge_polarity",
    "read_events",
    "refractory",
    "saccades",
    "shift",
    "transform",
    "transpose",
    "write_events",
]
