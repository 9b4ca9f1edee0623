"""Scenarios by what they must be: known pictures turned exactly, every sample once, and nothing to cheat with."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from spikesim.continual import (
    CONDITIONS,
    SCENARIOS,
    ClassesAndConditions,
    Corrupted,
    DataSets,
    Permuted,
    Relabelled,
    Rotated,
    Split,
    Stream,
    Task,
    named,
    run,
    spike_patterns,
)
from spikesim.continual.named import scenario_rows, some, usual_kind
from spikesim.continual.sets import stretched
from spikesim.data import Dataset, load
from spikesim.data.corruptions import CORRUPTIONS, corrupt
from spikesim.errors import InvalidValueError, UnknownNameError

DIGITS = load("digits")
FEW = some(DIGITS, 200, 100, seed=3)
PLAIN = (FEW.x_train / 16).astype(np.float32)


def rows(x):
    return sorted(bytes(sample) for sample in np.ascontiguousarray(x))


# ----------------------------------------------------------------------------------------------------------- scenarios
def test_a_quarter_turn_is_a_quarter_turn():
    scenario = Rotated(FEW, tasks=4, degrees=360.0)
    for k in range(4):
        found = scenario.experience(k)
        np.testing.assert_allclose(found.task.x, np.rot90(PLAIN, k, axes=(1, 2)), atol=1e-5)
        assert np.array_equal(found.task.y, FEW.y_train) and found.task.number is None
    half = Rotated(FEW, tasks=2, degrees=90.0).experience(1).task.x  # 45 degrees: the middle stays, corners come in
    assert half.max() <= 1.0 + 1e-6 and np.abs(half[:, 0, 0]).max() == 0 and scenario.outputs == 10
    normalised = Rotated(FEW.normalised(), tasks=2, degrees=90.0).experience(1).task.x
    np.testing.assert_allclose(normalised[:, 0, 0], FEW.normalised().x_train.min(), rtol=1e-5)


def test_corruptions_are_those_of_the_data_in_every_task_another():
    scenario = Corrupted(FEW, tasks=len(CONDITIONS), seed=2, severity=4)
    found = {way: scenario.experience(k).task.x for k, way in enumerate(CONDITIONS)}
    assert all(x.min() >= 0 and x.max() <= 1 and x.dtype == np.float32 for x in found.values())
    assert np.array_equal(found["clean"], PLAIN)
    np.testing.assert_allclose(found["negative"], 1 - PLAIN, atol=1e-7)
    assert set(CONDITIONS) - {"clean", "negative"} == set(CORRUPTIONS) - {"lose_events"}
    for way in ("blur", "contrast"):
        np.testing.assert_allclose(found[way], corrupt(PLAIN, way, 4), atol=1e-7)
    spoilt = (found["noise"] - PLAIN)[(PLAIN > 0.4) & (PLAIN < 0.6)]  # one deviation is within the limits
    low, high = np.quantile(spoilt, (0.1587, 0.8413))
    assert abs((high - low) / 2 - 0.4) < 0.04
    again, other = Corrupted(FEW, tasks=2, seed=2, severity=4), Corrupted(FEW, tasks=2, seed=3, severity=4)
    assert np.array_equal(again.experience(1).task.x, found["noise"])
    assert not np.array_equal(other.experience(1).task.x, found["noise"])
    same = Dataset("same", FEW.x_train, FEW.y_train, FEW.x_train, FEW.y_train, FEW.classes, "", "", 16.0)
    both = Corrupted(same, tasks=2).experience(1)
    assert not np.array_equal(both.task.x, both.x_test)  # training and testing have noise of their own


def test_relabelled_tasks_show_the_same_samples_in_other_groups():
    for groups, outputs in ((2, 2), (3, 3), (None, 10)):
        scenario = Relabelled(FEW, tasks=4, groups=groups, seed=1)
        assert scenario.outputs == outputs and scenario.told and not scenario.growing
        assert len(set(scenario.of_classes)) > 1
        for k, groups_of in enumerate(scenario.of_classes):
            found, sizes = scenario.experience(k), np.bincount(groups_of)
            assert len(sizes) == outputs and np.ptp(sizes) <= 1
            assert np.array_equal(found.task.x, PLAIN)
            assert np.array_equal(found.task.y, np.array(groups_of)[FEW.y_train])
            assert np.array_equal(found.y_test, np.array(groups_of)[FEW.y_test])
    assert not Relabelled(FEW, tasks=2, kind="domain").told
    with pytest.raises(InvalidValueError, match=r"found 'class'(.|\n)*groups must be from 2 to 10, found 11"):
        Relabelled(FEW, kind="class", groups=11)


def test_mixed_tasks_hold_each_class_under_each_condition_once():
    mixed = ClassesAndConditions(Split(FEW, 5), Corrupted(FEW, 2), seed=1)
    assert len(mixed) == 10 and mixed.growing and not mixed.told and mixed.outputs == 10
    seen = [mixed.experience(k) for k in range(10)]
    total = np.concatenate([e.task.x for e in seen])
    conditions = [Corrupted(FEW, 2).experience(k).task.x for k in range(2)]
    assert rows(total) == rows(np.concatenate(conditions))
    for (group, condition), e in zip(mixed.order, seen, strict=True):
        assert set(e.task.y) | set(e.y_test) <= set(mixed.classes.classes[group]) and e.task.number is None
        assert set(rows(e.x_test)) <= set(rows(Corrupted(FEW, 2).experience(condition).x_test))
    with pytest.raises(InvalidValueError, match=r"kind 'class', found 'task'(.|\n)*kind 'domain', found 'task'"):
        ClassesAndConditions(Split(FEW, 5, "task"), Corrupted(FEW, 2, "task"))


class Listener:
    """Keeps what it is given."""

    name, memory = "listener", 0

    def begin(self, seed):
        self.given, self.seed = [], seed

    def learn(self, task):
        self.given.append(task)

    def predict(self, x, task=None):
        return np.full(len(x), len(self.given))


def test_a_stream_is_every_sample_once_in_pieces_that_tell_nothing():
    scenario = Permuted(FEW, tasks=3)
    stream, listener = Stream(scenario, piece=70), Listener()
    result = run(stream, listener)
    assert result.matrix.shape == (3, 3)
    sizes = [len(task.y) for task in listener.given]
    assert sizes == [70] * 8 + [600 - 8 * 70] and all(task.number is None for task in listener.given)
    assert rows(np.concatenate([t.x for t in listener.given])) == rows(
        np.concatenate([scenario.experience(k).task.x for k in range(3)])
    )
    # tested after the pieces with which tasks end: after 2, 5 and all 9
    for row, pieces in zip(result.matrix, (2, 5, 9), strict=True):
        np.testing.assert_allclose(row, np.mean(FEW.y_test == pieces))
    ordered = np.concatenate([t.y for t in listener.given])[:200]
    assert not np.array_equal(ordered, FEW.y_train) and np.array_equal(np.sort(ordered), np.sort(FEW.y_train))
    with pytest.raises(InvalidValueError, match="a stream tells no task"):
        Stream(Permuted(FEW, tasks=2, kind="task"))


def test_a_piece_may_be_larger_than_a_task():
    stream, listener = Stream(Permuted(FEW, tasks=4), piece=500), Listener()
    run(stream, listener)
    assert [len(t.y) for t in listener.given] == [500, 300]


def test_data_sets_one_after_the_other():
    wide = Dataset("wide", np.ones((6, 3, 9)) * np.arange(9), np.arange(6) % 3, np.ones((3, 3, 9)) * 4.0,
                   np.arange(3), ("a", "b", "c"), "", "")  # fmt: skip
    for kind, outputs in (("task", 10), ("domain", 10), ("class", 13)):
        scenario = DataSets((FEW, wide), kind, (8, 17))
        first, second = scenario.experience(0), scenario.experience(1)
        assert scenario.outputs == outputs and first.task.x.shape == (200, 8, 17) and second.task.x.shape == (6, 8, 17)
        assert np.array_equal(second.y_test, np.arange(3) + (10 if kind == "class" else 0))
        # a line stays a line, and training decides what 0 and 1 are
        np.testing.assert_allclose(second.task.x[0, 5], np.linspace(0, 1, 17), atol=1e-6)
        np.testing.assert_allclose(second.x_test, 0.5, atol=1e-6)
        assert second.task.number == (1 if kind == "task" else None)
    assert np.array_equal(stretched(PLAIN, (8, 8)), PLAIN)


def test_spike_patterns():
    exact = spike_patterns(3, jitter=0.0, dropped=0.0, noise=0.0, samples=4, test_samples=2, rate=0.2, seed=5)
    templates = [exact.x_train[exact.y_train == k] for k in range(3)]
    assert all((part == part[0]).all() for part in templates) and not np.array_equal(templates[0][0], templates[1][0])
    assert abs(exact.x_train.mean() - 0.2) < 0.03 and set(np.unique(exact.x_train)) == {0, 1}
    more = spike_patterns(4, jitter=0.0, dropped=0.0, noise=0.0, samples=4, test_samples=2, rate=0.2, seed=5)
    assert np.array_equal(more.x_train[more.y_train < 3], exact.x_train)
    moved = spike_patterns(1, jitter=2.0, dropped=0.5, noise=0.0, rate=0.02, samples=300, steps=60, seed=1)
    template = spike_patterns(1, jitter=0.0, dropped=0.0, noise=0.0, rate=0.02, samples=1, steps=60, seed=1).x_train[0]
    channel = np.flatnonzero(template.sum(0) == 1)[0]
    when = np.nonzero(moved.x_train[:, :, channel])[1]
    assert abs(len(when) - 150) < 35 and abs(when.std() - 2.0) < 0.4 and "SYNTHETIC" in moved.source
    with pytest.raises(InvalidValueError, match=r"classes must be at least 1(.|\n)*noise must be from 0 to 1"):
        spike_patterns(0, noise=2.0)


# --------------------------------------------------------------------------------------------------------------- names
def test_every_scenario_of_digits_by_name():
    settings = {"samples": 60, "tests": 40, "seed": 1}
    for name in [n for n in SCENARIOS if n.endswith("-digits")]:
        found = named(name, **settings)
        experience = found.scenario.experience(1)
        assert found.shape == experience.task.x.shape[1:] == (8, 8) and experience.task.y.max() < found.scenario.outputs
    large = named("permuted-digits", tasks=2, size=18, **settings)
    assert large.shape == (18, 18)
    mean, sd = (getattr(large.scenario.data.x_train, name)() for name in ("mean", "std"))
    assert abs(mean) < 1e-6 and abs(sd - 1) < 1e-6
    assert isinstance(named("split-digits", piece=10, **settings).scenario, Stream)
    assert len(named("five-sets", sets="digits,digits", samples=20, tests=10).scenario) == 2
    spikes = named("spike-patterns", tasks=2, samples=4, tests=2)
    assert spikes.scenario.outputs == 4 and not spikes.graded and spikes.training == {"encode": "sequence"}
    assert all(summary for _, summary in scenario_rows())
    kinds = {name: usual_kind(name) for name in ("relabelled-digits", "permuted-digits", "mixed-digits", "none")}
    assert list(kinds.values()) == ["task", "domain", None, None]


def test_vowels_by_speaker(tmp_path, monkeypatch):
    generator, names = np.random.default_rng(0), ("TRAIN", "TEST")
    for part in names:
        lines = [
            ":".join(",".join(f"{v:.4f}" for v in generator.normal(size=n)) for _ in range(12)) + f":{speaker}"
            for speaker in range(1, 10)
            for n in generator.integers(7, 30, size=2)
        ]
        folder = tmp_path / "japanese-vowels"
        folder.mkdir(exist_ok=True)
        (folder / f"JapaneseVowels_{part}.ts").write_text("\n".join(["@timeStamps false", "@data", *lines]))
    monkeypatch.setenv("SPIKESIM_DATA", str(tmp_path))
    found = named("vowels-by-speaker", tasks=3, steps=10)
    assert found.shape == (12,) and found.scenario.outputs == 9 and found.training == {"encode": "sequence"}
    task = found.scenario.experience(0).task
    assert task.x.shape == (6, 10, 12) and len(set(task.y)) == 3


def test_mistakes_in_names_are_told():
    with pytest.raises(UnknownNameError, match="did you mean 'permuted-digits'"):
        named("permuted-digit")
    with pytest.raises(UnknownNameError, match="did you mean 'degrees'"):
        named("rotated-digits", degree=90)
    with pytest.raises(InvalidValueError, match=r"multiple of conditions \(2\), found 5"):
        named("mixed-digits", tasks=5)
    with pytest.raises(InvalidValueError, match="there are 7 ways to corrupt, so at most so many tasks, found 9"):
        named("corrupted-digits", tasks=9)
    with pytest.raises(UnknownNameError, match="corruption"):
        Corrupted(FEW, tasks=1, ways=("smoke",))
    with pytest.raises(InvalidValueError, match=r"severity must be a whole number from 1 to 5, found 0.5"):
        named("corrupted-digits", severity=0.5)
    with pytest.raises(InvalidValueError, match="samples must be at least 1"):
        named("permuted-digits", samples=0)


# ------------------------------------------------------------------------------------------------------------ cheating
class Cheat(Listener):
    """Tries to find out which task a test sample belongs to, and to spoil what comes later."""

    def learn(self, task):
        super().learn(task)
        self.number, self.leads_to = task.number, (task.x.base, task.y.base, set(vars(task)) - {"x", "y", "number"})
        with pytest.raises(FrozenInstanceError):
            task.number = 0
        with pytest.raises(ValueError, match="read-only"):
            task.x[0] = 9.0
        task.x.setflags(write=True)
        task.x[...] = 0.0  # its own copy

    def predict(self, x, task=None):
        self.told = task
        x[...] = 0.0
        owners = np.repeat(np.arange(3), 100)
        return owners[np.random.default_rng((self.seed, 3)).permutation(300)]  # an order that followed from its seed


class Owners(Permuted):
    """The label of a test sample is its task."""

    def experience(self, number):
        found = super().experience(number)
        return type(found)(found.task, found.x_test, np.full(len(found.y_test), number))


def test_a_learner_that_cheats_sees_and_spoils_nothing():
    """Only who knows the task is right more often than by chance."""
    scenario, cheat = Owners(FEW, tasks=3), Cheat()
    result = run(scenario, cheat, seed=0)
    assert cheat.number is None and cheat.told is None and cheat.leads_to == (None, None, set())
    assert np.abs(result.matrix - 1 / 3).max() < 0.25
    for k in range(3):
        task, fresh = scenario.experience(k).task, Permuted(FEW, tasks=3).experience(k).task
        assert np.array_equal(task.x, fresh.x) and task.x.any()


def test_a_task_is_copied_even_from_data_that_could_be_handed_out_as_it_is():
    data = Dataset("x", PLAIN, FEW.y_train, PLAIN[:10], FEW.y_train[:10], FEW.classes, "", "", 1.0)
    for scenario in (Rotated(data, 1), Corrupted(data, 1), Split(data, 1), DataSets((data,), shape=(8, 8)),
                     Stream(Split(data, 1), 10**6)):  # fmt: skip
        tasks = [scenario.experience(0).task, *(scenario.pieces(0) if isinstance(scenario, Stream) else ())]
        assert all(isinstance(t, Task) and t.x.base is None and not np.shares_memory(t.x, PLAIN) for t in tasks)
