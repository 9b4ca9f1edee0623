"""One thread or a team: whichever was faster in the last stretches, since spikes do not depend on it."""

from __future__ import annotations

from statistics import median
from typing import Final

TRIALS: Final = 3  # stretches that are compared
TRIAL_STEPS: Final = 64  # at least, of a stretch that only tries
TRIAL_SECONDS: Final = 0.01  # of one: starting a thread on a core that slept takes milliseconds and must not decide
SECONDS: Final = 0.05  # of any other stretch
AGAIN: Final = 20  # stretches after which the slower way is tried again: the machine may be less busy by then
GAIN: Final = 0.9  # a team takes less than this of one thread's time, or its second core is better left alone
WHOLE: Final = 2**62


class Pace:
    """Chooses how many threads run the next stretch, and how long it is.

    Parameters
    ----------
    team
        Threads of the team.
    epoch
        Steps between two meetings of its threads.
    """

    def __init__(self, team: int, epoch: int) -> None:
        self.team, self.epoch = team, epoch
        self.taken: dict[int, list[float]] = {1: [], team: []}  # seconds per step of the last stretches
        self.since = 0  # stretches since the slower way was tried

    def next(self) -> tuple[int, int]:
        """Return the number of threads for the next stretch, and how many steps it may have."""
        if self.team == 1:
            return 1, WHOLE
        known = [seconds for taken in self.taken.values() for seconds in taken]
        trial = max(TRIAL_STEPS, 4 * self.epoch, int(TRIAL_SECONDS / min(known)) if known else 0)
        for size in (1, self.team):  # one thread first: it says how many steps a trial needs
            if len(self.taken[size]) < TRIALS:
                return size, trial
        pace = {size: median(taken) for size, taken in self.taken.items()}
        faster = self.team if pace[self.team] < GAIN * pace[1] else 1
        if self.since >= AGAIN:
            return (1 if faster == self.team else self.team), trial
        return faster, max(trial, int(SECONDS / pace[faster]))

    def note(self, size: int, seconds: float) -> None:
        """Take the seconds per step of a stretch."""
        usual = size == min(self.taken, key=lambda s: median(self.taken[s] or [0.0]))
        self.since = self.since + 1 if usual else 0
        self.taken[size] = [*self.taken[size], seconds][-TRIALS:]
