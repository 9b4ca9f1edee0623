"""Processes that work on items side by side; one that dies loses its item only, and none outlives its parent."""

from __future__ import annotations

import contextlib
import inspect
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple

from spikesim.devices import cores
from spikesim.errors import BackendError, InvalidValueError

NAME = "spikesim worker"
THREAD_VARIABLES = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
READY, DONE, FAILED = "ready", "done", "failed"


class Failure(NamedTuple):
    """An item that could not be worked on, and why."""

    error: str


def check_importable(function: Any) -> None:
    """Refuse a function that other processes cannot find, and a script that starts processes while they import it.

    Parameters
    ----------
    function
        A function, or a ``partial`` of one; anything else is left to the process that is started with it.

    Raises
    ------
    InvalidValueError
        With the remedy.
    """
    if multiprocessing.current_process().name == NAME:
        raise InvalidValueError(
            "the processes of a sweep import your script, which starts a sweep again; "
            'put its call under: if __name__ == "__main__":'
        )
    while isinstance(function, partial):
        function = function.func
    if not inspect.isfunction(function):
        return
    module = sys.modules.get(function.__module__)
    if module is sys.modules["__main__"] and not hasattr(module, "__file__"):
        raise InvalidValueError(
            f"{function.__name__!r} was typed into an interpreter or a notebook, where other processes cannot find it; "
            "put it in a file and import it, or use jobs=1"
        )
    if getattr(module, function.__qualname__, None) is not function:
        raise InvalidValueError(
            f"other processes cannot find {function.__qualname__!r} by its name; "
            "define it with def at the top of a file, or use jobs=1"
        )


def work(task: Callable[[Any], Any], items: Iterable[Any], jobs: int) -> Iterator[tuple[Any, Any]]:
    """Work on items in processes of their own.

    Parameters
    ----------
    task
        Called with an item; must be importable (:func:`check_importable`).
    items
        What to work on.
    jobs
        How many processes; each is told to use as many threads as there are processors for it.

    Yields
    ------
    tuple
        Each item and its result, or a :class:`Failure`, in the order in which they are finished. Whoever leaves the
        loop early ends the processes.

    Raises
    ------
    BackendError
        If a process cannot even begin.
    """
    waiting = deque(items)
    team = [_Worker(task, jobs) for _ in range(min(jobs, len(waiting)))]
    try:
        while team:
            for worker in _that_have_something_to_say(team):
                item, result = worker.listen()
                if item is not None:
                    yield item, result
                if worker.alive and waiting:
                    worker.give(waiting.popleft())
                    continue
                worker.stop()
                team.remove(worker)
                if waiting:
                    team.append(_Worker(task, jobs))
    finally:
        for worker in team:
            worker.stop()


def _that_have_something_to_say(team: list[_Worker]) -> list[_Worker]:
    ready = wait([w.connection for w in team])
    return [w for w in team if w.connection in ready]


class _Worker:
    """One process, seen from the parent."""

    def __init__(self, task: Callable[[Any], Any], jobs: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        self.process = context.Process(target=_serve, args=(other, task), name=NAME, daemon=True)
        self.item: Any = None
        self.ready, self.alive = False, True
        with _for_children(max(1, cores() // jobs)):
            self.process.start()
        other.close()

    def give(self, item: Any) -> None:
        """Send the next item."""
        self.item = item
        with contextlib.suppress(OSError):  # it has died: the next `listen` says so
            self.connection.send(item)

    def listen(self) -> tuple[Any, Any]:
        """Return what it worked on and the result; nothing and nothing when it has only begun."""
        item, self.item = self.item, None
        try:
            kind, value = self.connection.recv()
        except (EOFError, OSError):
            self.process.join()
            self.alive = False
            end = f"the process ended with exit code {self.process.exitcode}"
            if not self.ready:
                raise BackendError(f"a process of the sweep could not begin: {end}; try jobs=1") from None
            return item, Failure(end)
        if kind == READY:
            self.ready = True
            return None, None
        return item, value if kind == DONE else Failure(value)

    def stop(self) -> None:
        """End the process."""
        self.process.terminate()
        self.process.join()
        self.connection.close()


@contextlib.contextmanager
def _for_children(threads: int) -> Iterator[None]:
    """Set what children inherit: their number of threads, and that Ctrl-C is the parent's business."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    in_main = threading.current_thread() is threading.main_thread()
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN) if in_main else None
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        if in_main:
            signal.signal(signal.SIGINT, handler)


def _serve(connection: Connection[Any, Any], task: Callable[[Any], Any]) -> None:
    """Work on what the parent sends, until it or this process ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    connection.send((READY, None))
    while True:
        try:
            item = connection.recv()
        except EOFError:
            return
        try:
            answer = (DONE, task(item))
        except Exception as error:
            told = "".join(traceback.format_exception_only(error)).strip()
            answer = (FAILED, told)
        connection.send(answer)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
