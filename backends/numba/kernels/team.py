"""A barrier among threads that run compiled code without the interpreter lock.

Who waits spins for a few microseconds, then sleeps in the kernel: on a busy machine a spinning thread would hold the
core that the last one needs. Threads that have to be woken cost some 10 us, threads that come together below 1 us.

The state is one int64 array, so it can be passed to kernels and nothing in them is an address. It holds counters, each
on a cache line of its own, a mutex and a condition variable of the system's threads.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"

import ctypes
import os
from typing import Any, Final

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from spikesim.backends.numba.kernels.vector import atomic_add, atomic_load, atomic_store, relax

ARRIVED: Final = 0  # entries of the state
EPOCH: Final = 16
SLEEPERS: Final = 32
ABORTED: Final = 48
MUTEX: Final = 64  # room for 128 bytes each; the largest known is 64
CONDITION: Final = 80
LENGTH: Final = 96
SPINS: Final = 500  # with a pause each: 3 to 8 microseconds

_ADDRESS = types.uintp
_lock = types.ExternalFunction("pthread_mutex_lock", types.int32(_ADDRESS))
_unlock = types.ExternalFunction("pthread_mutex_unlock", types.int32(_ADDRESS))
_sleep = types.ExternalFunction("pthread_cond_wait", types.int32(_ADDRESS, _ADDRESS))
_wake = types.ExternalFunction("pthread_cond_broadcast", types.int32(_ADDRESS))


def available() -> bool:
    """Whether this system has the threads the barrier needs; without them a program uses one thread."""
    return os.name == "posix"


def new_team() -> NDArray[np.int64]:
    """Return the state of a new barrier.

    The memory must not move or be freed while a thread may be in :func:`wait`.

    Returns
    -------
    int64[96]

    Raises
    ------
    OSError
        The system has no such threads (:func:`available`), or gives no mutex.
    """
    if not available():
        raise OSError("a team of threads needs POSIX threads, which this system does not have; use one thread")
    state = np.zeros(LENGTH + 16, np.int64)
    state = state[-state.ctypes.data % 128 // 8 :][:LENGTH]  # counters on cache lines of their own
    system: Any = ctypes.CDLL(None)
    for name, entry in (("pthread_mutex_init", MUTEX), ("pthread_cond_init", CONDITION)):
        error = system[name](ctypes.c_void_p(state.ctypes.data + 8 * entry), None)
        if error:
            raise OSError(error, f"{name}: {os.strerror(error)}")
    return state


@njit(error_model="numpy", nogil=True)
def _broadcast(state):
    """Wake all who sleep. Under the lock, or one who is about to sleep would miss it."""
    mutex = state.ctypes.data + np.uint64(8 * MUTEX)
    _lock(mutex)
    _wake(state.ctypes.data + np.uint64(8 * CONDITION))
    _unlock(mutex)


@njit(error_model="numpy", nogil=True)
def _sleep_until(state, epoch):
    """Sleep until the epoch has passed or somebody has left."""
    mutex = state.ctypes.data + np.uint64(8 * MUTEX)
    _lock(mutex)
    atomic_add(state, SLEEPERS, 1)  # before the epoch is read again: who ends the epoch sees it, or we see the end
    while atomic_load(state, EPOCH) == epoch and atomic_load(state, ABORTED) == 0:
        _sleep(state.ctypes.data + np.uint64(8 * CONDITION), mutex)
    atomic_add(state, SLEEPERS, -1)
    _unlock(mutex)


@njit(error_model="numpy", nogil=True)
def wait(state, size):
    """Wait until `size` threads have come here.

    Parameters
    ----------
    state
        From :func:`new_team`; the same array for all threads, of one size for ever.
    size
        Number of threads, each of which calls this equally often.

    Returns
    -------
    bool
        False if somebody has left (:func:`leave`): then the others may still be at work, and no thread will ever wait
        here again.
    """
    if atomic_load(state, ABORTED) != 0:
        return False
    epoch = atomic_load(state, EPOCH)
    if atomic_add(state, ARRIVED, 1) == size - 1:
        atomic_store(state, ARRIVED, 0)  # before the epoch ends: then the first may come back
        atomic_add(state, EPOCH, 1)
        if atomic_load(state, SLEEPERS) > 0:
            _broadcast(state)
    else:
        spins = 0
        while atomic_load(state, EPOCH) == epoch and atomic_load(state, ABORTED) == 0 and spins < SPINS:
            relax()
            spins += 1
        if spins == SPINS:
            _sleep_until(state, epoch)
    return atomic_load(state, ABORTED) == 0


@njit(error_model="numpy", nogil=True)
def leave(state):
    """Let all threads go on, now and for ever: for one that stops early, whatever the reason. Callable from Python."""
    atomic_store(state, ABORTED, 1)
    _broadcast(state)
