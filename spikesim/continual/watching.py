"""Progress of runs that go on in other processes: each says in a small file how many tasks it has done."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from spikesim.train.progress import duration

EVERY = 1.0  # seconds between two looks
QUIET = 30.0  # seconds without a line where there is no terminal


class Watcher:
    """Counts the tasks that are done.

    Parameters
    ----------
    folder
        Where runs say what they have done.
    tasks
        Tasks of each run, by key.
    finished
        Keys of the runs that have ended.
    """

    def __init__(self, folder: Path, tasks: Mapping[str, int], finished: set[str]) -> None:
        self.folder, self.tasks, self.finished = folder, dict(tasks), set(finished)

    @property
    def total(self) -> int:
        """Tasks in all."""
        return sum(self.tasks.values())

    def done(self) -> int:
        """Return the number of tasks that are done."""
        return sum(n if key in self.finished else min(self._told(key), n) for key, n in self.tasks.items())

    def _told(self, key: str) -> int:
        try:
            return int(json.loads((self.folder / f"{key}.json").read_text())["tasks"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0


class Watch:
    """Shows what a watcher counts, in a thread, until the block is left.

    Parameters
    ----------
    watcher
        Counts.
    progress
        True for a bar on a terminal and lines elsewhere (both on stderr), a function of (done, total), or False.
    """

    def __init__(self, watcher: Watcher, progress: bool | Callable[[int, int], None]) -> None:
        self.watcher, self.progress = watcher, progress
        self.stop, self.thread = threading.Event(), threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Watch:
        self.begun, self.first = time.monotonic(), self.watcher.done()
        if self.progress:
            self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop.set()
        if self.progress:
            self.thread.join()

    def _watch(self) -> None:
        if callable(self.progress):
            self._tell(self.progress)
        elif sys.stderr.isatty():
            self._bar()
        else:
            self._tell(self._line)

    def _tell(self, function: Callable[[int, int], None]) -> None:
        """Call a function whenever a task is done, and now and then."""
        told, when = -1, 0.0
        while True:
            over, done = self.stop.is_set(), self.watcher.done()
            if done != told or (self.progress is True and time.monotonic() - when > QUIET):
                told, when = done, time.monotonic()
                function(done, self.watcher.total)
            if over:
                return
            self.stop.wait(EVERY)

    def _line(self, done: int, total: int) -> None:
        print(f"{done} of {total} tasks learned{self._left(done, total)}", file=sys.stderr, flush=True)

    def _left(self, done: int, total: int) -> str:
        if done <= self.first:
            return ""
        per_task = (time.monotonic() - self.begun) / (done - self.first)
        return f" ({duration(per_task * (total - done))} left)"

    def _bar(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns: list[Any] = [
            TextColumn("learning"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("tasks{task.description}"),
        ]
        with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as bar:
            shown = bar.add_task("", total=self.watcher.total)
            while not self.stop.wait(EVERY):
                done = self.watcher.done()
                bar.update(shown, completed=done, description=self._left(done, self.watcher.total))
