"""The engine's choice between one thread and a team."""

import pytest

from spikesim.backends.numba import plan
from spikesim.backends.numba.pace import AGAIN, TRIALS, WHOLE, Pace


def sizes(pace: Pace, seconds: dict[int, float], stretches: int) -> list[int]:
    """Run some stretches on a machine that takes so many seconds per step."""
    used = []
    for _ in range(stretches):
        size, _ = pace.next()
        pace.note(size, seconds[size])
        used.append(size)
    return used


def test_both_are_tried_and_the_faster_is_kept() -> None:
    used = sizes(Pace(4, 15), {1: 2.0, 4: 1.0}, 30)
    assert used[: 2 * TRIALS].count(1) == TRIALS and used[2 * TRIALS : 2 * TRIALS + 10] == [4] * 10


def test_a_team_that_gains_little_leaves_the_other_cores_alone() -> None:
    assert sizes(Pace(2, 15), {1: 1.0, 2: 0.95}, 20)[2 * TRIALS :] == [1] * (20 - 2 * TRIALS)


def test_the_choice_follows_the_machine() -> None:
    pace = Pace(2, 15)
    sizes(pace, {1: 2.0, 2: 1.0}, 10)
    assert sizes(pace, {1: 2.0, 2: 20.0}, 10)[-1] == 1  # somebody took the second core
    assert 2 in sizes(pace, {1: 2.0, 2: 1.0}, 3 * AGAIN)[-AGAIN // 2 :] or pace.next()[0] == 2  # and gave it back


def test_one_thread_runs_whole_stretches() -> None:
    assert Pace(1, 15).next() == (1, WHOLE)


def test_stretches_last_a_twentieth_of_a_second() -> None:
    pace = Pace(2, 15)
    sizes(pace, {1: 1e-4, 2: 5e-5}, 2 * TRIALS)
    assert pace.next() == (2, 1000)


def test_what_it_costs_to_start_threads_does_not_decide() -> None:
    pace, start = Pace(2, 15), 3e-3  # seconds until a second core is awake, in each stretch
    for _ in range(2 * TRIALS):
        size, steps = pace.next()
        pace.note(size, {1: 28e-6, 2: 14e-6}[size] + (start / steps if size > 1 else 0.0))
    assert pace.next()[0] == 2


def test_never_more_threads_than_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "cores", lambda: 2)
    assert [plan.threads_for(given) for given in (None, 0, 1, 2, 3)] == [2, 2, 1, 2, 2]
