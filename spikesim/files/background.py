"""Writing beside the run: a thread sorts, compresses and writes what the main thread only hands over."""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping
from typing import Any

from spikesim.collect import Mark
from spikesim.engine import Chunk
from spikesim.files.recording_writer import Writer
from spikesim.recording import Recording

ROOM = 1  # chunks that may wait; a run that is quicker than its file waits, so that memory stays flat


class Background:
    """A writer in a thread of its own, with the same methods.

    Parameters
    ----------
    writer
        What writes. It belongs to the thread until :meth:`mark` or :meth:`close` has returned.

    Notes
    -----
    Compressing and copying release the interpreter lock, as the engines do, so both go on at once. What breaks in the
    thread is raised by the next call of the main thread; the file then stays as the last commit left it.
    """

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._waiting: queue.Queue[Chunk | None] = queue.Queue(ROOM)
        self._error: BaseException | None = None
        self._raised = False
        self._thread = threading.Thread(target=self._work, name="spikesim recording", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while (chunk := self._waiting.get()) is not None:
            try:
                if self._error is None:
                    self._writer.add(chunk)
            except BaseException as error:  # raised where the user can see it
                self._error = error
            self._waiting.task_done()
        self._waiting.task_done()

    def _check(self) -> None:
        if self._error is not None and not self._raised:
            self._raised = True
            raise self._error

    def add(self, chunk: Chunk) -> None:
        """Hand over what happened in some more steps; waits while another chunk is waiting."""
        self._check()
        self._waiting.put(chunk)

    @property
    def steps(self) -> int:
        """Steps that are written, once the thread has nothing more to do."""
        self._waiting.join()
        return self._writer.steps

    def mark(self) -> Mark:
        """Wait for the thread, commit, and return how far the recording has come."""
        self._waiting.join()
        self._check()
        return self._writer.mark()

    def close(self, meta: Mapping[str, Any]) -> None:
        """Wait for the thread and end the run."""
        self._waiting.put(None)
        self._thread.join()
        try:
            self._writer.close(meta)  # also after an error: what is whole is kept
        except BaseException:
            self._writer.abandon()
            if self._error is None:
                raise
        self._check()

    def recording(self) -> Recording:
        """Return what is in the file; large parts are read when asked for."""
        return self._writer.recording()
