"""A few threads that each take a range of columns; they sleep between calls and never spin."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import torch

ALIGN = 64  # columns of a range are a multiple of this, so that no two threads share a cache line
SMALL = 1 << 17  # values below which a second thread costs more than it brings


@lru_cache(maxsize=4)
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    # keyed by the process: a fork inherits the pool but not its threads
    return ThreadPoolExecutor(threads, thread_name_prefix="spikesim")


def over_columns(width: int, steps: int, work: Callable[[int, int], None], align: int = ALIGN) -> None:
    """Call ``work(first, last)`` for ranges that cover ``width`` columns, on as many threads as torch uses.

    Parameters
    ----------
    width, steps
        Size of the arrays; small ones are done by the calling thread.
    work
        Must release the interpreter's lock to gain anything.
    align
        Ranges begin at multiples of this; the default keeps threads off each other's cache lines.
    """
    threads = min(torch.get_num_threads(), 1 + width * steps // SMALL, -(-width // align))
    if threads < 2:
        work(0, width)
        return
    size = -(-width // (threads * align)) * align
    ranges = [(first, min(first + size, width)) for first in range(0, width, size)]
    others = [_pool(os.getpid(), threads - 1).submit(work, *r) for r in ranges[1:]]
    work(*ranges[0])
    for other in others:
        other.result()
