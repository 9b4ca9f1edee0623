"""Progress of training: a bar with the time left on a terminal, plain lines elsewhere; and Ctrl-C."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Protocol

from spikesim.train.result import Epoch

QUIET = 30.0  # seconds without a line, after which the middle of an epoch is reported


class Progress(Protocol):
    """Told about every batch and every epoch."""

    def batch(self, done: int, per_epoch: int, loss: float) -> None:
        """Hear of a batch: how many are done of all epochs, how many an epoch has, the mean loss in this epoch."""

    def epoch(self, epoch: Epoch) -> None:
        """Hear of an epoch."""


class Silent:
    """Tells a function, or nobody."""

    def __init__(self, function: Callable[[Epoch, int], None] | None, epochs: int) -> None:
        self.function, self.epochs = function, epochs

    def batch(self, done: int, per_epoch: int, loss: float) -> None:
        """Do nothing."""

    def epoch(self, epoch: Epoch) -> None:
        """Call the function."""
        if self.function is not None:
            self.function(epoch, self.epochs)


class Lines:
    """One line per epoch, and one every half minute within.

    Parameters
    ----------
    epochs
        In all.
    begun
        Batches that a resumed run has had already.
    write
        Takes a line.
    """

    def __init__(self, epochs: int, begun: int, write: Callable[[str], None]) -> None:
        self.epochs, self.begun, self.write = epochs, begun, write
        self.start = self.last = time.monotonic()
        self.done, self.per_epoch = begun, 1

    def batch(self, done: int, per_epoch: int, loss: float) -> None:
        """Write a line if there has been none for a while."""
        self.done, self.per_epoch = done, per_epoch
        if time.monotonic() - self.last > QUIET and done % per_epoch:
            number, part = done // per_epoch + 1, done % per_epoch / per_epoch
            self._say(f"epoch {number}/{self.epochs}, {part:.0%}: loss {loss:.4g}")

    def epoch(self, epoch: Epoch) -> None:
        """Write a line."""
        self._say(f"epoch {epoch.number}/{self.epochs}: {epoch.figures()}, {epoch.seconds:.1f} s")

    def _say(self, text: str) -> None:
        self.last = time.monotonic()
        left = (self.epochs * self.per_epoch - self.done) * (self.last - self.start) / max(self.done - self.begun, 1)
        self.write(f"{text} ({duration(left)} left)")


class Bar:
    """A bar over all batches of all epochs, with the figures of each epoch above it."""

    def __init__(self, epochs: int, begun: int, bar: Any) -> None:
        self.epochs, self.begun, self.bar = epochs, begun, bar
        self.task = bar.add_task("training", total=None)
        self.known = False

    def batch(self, done: int, per_epoch: int, loss: float) -> None:
        """Move on."""
        if not self.known:
            self.bar.update(self.task, total=self.epochs * per_epoch - self.begun)
            self.known = True
        number = (done - 1) // per_epoch + 1
        text = f"epoch {number}/{self.epochs}, loss {loss:.4g}"
        self.bar.update(self.task, completed=done - self.begun, description=text)

    def epoch(self, epoch: Epoch) -> None:
        """Write a line above the bar."""
        self.bar.console.print(f"epoch {epoch.number}/{self.epochs}: {epoch.figures()}, {epoch.seconds:.1f} s")


@contextmanager
def shown(progress: Callable[[Epoch, int], None] | bool | None, epochs: int, begun: int = 0) -> Iterator[Progress]:
    """Yield who is told about batches and epochs.

    Parameters
    ----------
    progress
        True for a bar on a terminal and lines elsewhere (both on stderr), a function of (epoch, epochs), or nothing.
    epochs
        In all.
    begun
        Batches that a resumed run has had already.
    """
    if not isinstance(progress, bool) or not progress:
        yield Silent(None if isinstance(progress, bool) else progress, epochs)
    elif not sys.stderr.isatty():
        yield Lines(epochs, begun, lambda line: print(line, file=sys.stderr, flush=True))
    else:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        columns = [TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn()]
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            yield Bar(epochs, begun, bar)


def duration(seconds: float) -> str:
    """Say a duration.

    >>> duration(3.2), duration(250.0), duration(7300.0)
    ('3 s', '4 min 10 s', '2 h 1 min')
    """
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 7200 else f"{whole // 3600} h {whole % 3600 // 60} min"


class Stop:
    """Ctrl-C ends training after the batch under way; a second one kills. Used as a context."""

    def __init__(self) -> None:
        self.asked = False
        self._before: Any = None

    def __enter__(self) -> Stop:
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            try:
                self._before = signal.signal(signal.SIGINT, self._ask)
            except ValueError:  # not the main thread: Ctrl-C is somebody else's business
                self._before = None
        return self

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
