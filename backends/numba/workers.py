"""The threads of a program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.backends.numba.kernels import team
from spikesim.backends.numba.layout import Layout
from spikesim.backends.numba.plastic.tables import Learned
from spikesim.backends.numba.tables import Numbers, Room, addresses


class Workers:
    """Runs the compiled loop in threads; each works in a room of its own, which it leaves clean.

    Parameters
    ----------
    loop
        The compiled loop, which takes three addresses and releases the interpreter lock.
    make_room
        Makes the arrays of one thread.
    """

    def __init__(self, loop: Callable[[int, int, int], Any], make_room: Callable[[], Room]) -> None:
        self._loop, self._make_room = loop, make_room
        self._rooms: list[tuple[Room, NDArray[np.int64]]] = []

    def run(self, calls: Sequence[Numbers], shared: NDArray[np.int64], barrier: NDArray[np.int64] | None) -> None:
        """Make some calls, each in a thread of its own.

        Parameters
        ----------
        calls
            What differs from thread to thread.
        shared
            Table of the arrays that they share.
        barrier
            Where they wait for each other, if they do.
        """
        for _ in range(len(self._rooms), len(calls)):
            room = self._make_room()
            self._rooms.append((room, addresses(room)))
        try:
            if len(calls) == 1:
                self.work(0, calls[0], shared)
            else:
                self._together(calls, shared, barrier)
        except BaseException:
            self._rooms = []  # not left clean
            raise

    def work(self, thread: int, numbers: Numbers, shared: NDArray[np.int64]) -> None:
        """Make one call."""
        own = np.array(numbers, np.int64)
        self._loop(own.ctypes.data, shared.ctypes.data, self._rooms[thread][1].ctypes.data)

    def _together(self, calls: Sequence[Numbers], shared: NDArray[np.int64], barrier: NDArray[np.int64] | None) -> None:
        """Run several threads; if one fails or cannot be started, those who wait for it leave."""
        with ThreadPoolExecutor(len(calls)) as pool:
            try:
                for future in as_completed([pool.submit(self.work, k, c, shared) for k, c in enumerate(calls)]):
                    future.result()
            except BaseException:
                if barrier is not None:
                    team.leave(barrier)
                raise


def new_room(layout: Layout, learned: Learned) -> Room:
    """Return what one thread works in."""
    counters, cells, drawn, widest, channels, parts, large, image = layout.sizes.tolist()
    sizes = {
        np.uint8: (counters, drawn, widest),
        np.float64: (cells, layout.ext_size, image),
        np.int64: (channels, parts, layout.most_rows),
        np.int32: (large, max((n.n for n in layout.graph.nodes), default=0)),
    }
    arrays = [np.zeros(n, dtype) for dtype, own in sizes.items() for n in own]
    return Room._make([*arrays, learned.new_room()])
