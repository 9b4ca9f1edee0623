"""Studies: a run that was killed ends with the same numbers, files give back what was found, reports show it."""

import json
import os
import signal
import subprocess
import sys
import time
from multiprocessing.reduction import ForkingPickler
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("torch")

from spikesim.continual import METHODS, Plan, Result, Study, load_study, run, study
from spikesim.continual.report import tables, write_report
from spikesim.continual.results import StudyRun
from spikesim.continual.state import restore, state_of
from spikesim.continual.studies import Worker
from spikesim.continual.watching import Watcher
from spikesim.errors import FileAccessError, FileFormatError, InvalidValueError, UnknownNameError

SCENARIO = {"tasks": 3, "samples": 40, "tests": 30}
TRAINING = {"epochs": 1, "steps": 4, "rule": "dsr", "batch_size": 20}
SETTINGS = {
    "hlop": {"rows": 3}, "hlop-replay": {"rows": 3, "size": 20}, "replay": {"size": 20}, "gpm": {"rows": 3},
    "ewc": {"samples": 4}, "mas": {"samples": 4}, "afec": {"settings": {"samples": 4}}, "clnp": {"samples": 10},
}  # fmt: skip


def plan(method, **changes):
    scenario = {**SCENARIO, **({"kind": "task"} if METHODS[method].told else {})}
    return Plan("permuted-digits", scenario, method, SETTINGS.get(method, {}), "12", {**TRAINING, **changes}, 1)


def many(out, methods=("fine-tune", "hlop"), seeds=1, **changes):
    settings = {m: SETTINGS[m] for m in methods if m in SETTINGS}
    given = {"seeds": seeds, "network": "12", "settings": settings, "scenario_settings": SCENARIO, "training": TRAINING}
    return study("permuted-digits", methods, out=out, **{**given, **changes})


class Killed(BaseException):
    pass


@pytest.mark.parametrize("method", METHODS)
def test_a_run_that_was_killed_ends_with_the_same_numbers(method, tmp_path, monkeypatch):
    """Whatever a learner keeps, also what it has drawn so far; finished tasks are not learned again."""
    path, chosen = tmp_path / "run.h5", plan(method)
    whole = chosen.run()

    def kill(number, row):
        if number == 1:
            raise Killed

    with pytest.raises(Killed):
        chosen.run(checkpoint=path, progress=kill)
    scenario, learner = chosen.make()
    learned, learn = [], type(learner).learn
    monkeypatch.setattr(type(learner), "learn", lambda self, task: (learned.append(task), learn(self, task)))
    resumed = run(scenario, learner, 1, checkpoint=path)
    assert len(learned) == 1
    assert np.array_equal(resumed.matrix, whole.matrix, equal_nan=True)
    assert np.array_equal(resumed.memory, whole.memory) and set(resumed.costs) == set(whole.costs)
    assert np.array_equal(resumed.untrained, whole.untrained, equal_nan=True)


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    path = tmp_path / "run.h5"
    whole = plan("fine-tune").run(checkpoint=path)
    again = plan("fine-tune").run(checkpoint=path)  # it is over: nothing is left to do
    assert np.array_equal(again.seconds, whole.seconds) and np.array_equal(again.matrix, whole.matrix)
    with pytest.raises(InvalidValueError, match="learner 'fine-tune', not 'hlop'"):
        plan("hlop").run(checkpoint=path)
    with pytest.raises(InvalidValueError, match="another settings"):
        plan("fine-tune", epochs=2).run(checkpoint=path)


def test_a_state_makes_nothing_but_learners():
    learner = plan("hlop").make()[1]
    state = state_of(learner)
    state["attributes"]["protect"]["class"] = "subprocess.Popen"
    with pytest.raises(FileFormatError, match="is no class of"):
        restore(learner, state)
    state["attributes"]["protect"]["class"] = "runs.Path"  # in a module of ours, but not ours
    with pytest.raises(FileFormatError, match="is no class of"):
        restore(learner, state)


def test_a_study_that_was_killed_goes_on(tmp_path):
    """With kill -9; then here, with one more method."""
    out = tmp_path / "study.h5"
    pairs = [f"--train={k}={v}" for k, v in TRAINING.items()] + ["--set=hlop.rows=3"]
    pairs += [f"--scenario-setting={k}={v}" for k, v in SCENARIO.items() if k != "tasks"]
    command = [sys.executable, "-m", "spikesim", "learn", "--method=fine-tune,hlop", "--seeds=1", "--tasks=3"]
    command += ["--network=12", f"--out={out}", *pairs]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
    folder = tmp_path / "study.runs"
    for _ in range(2400):
        if process.poll() is not None or any(folder.glob("*.json")):
            break
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    with process.stderr as said:
        assert list(folder.glob("*.h5")) or out.exists(), said.read().decode()
    known = [r.plan.key for r in load_study(out).runs] if out.exists() else []
    counts = []
    found = many(out, methods=("fine-tune", "hlop", "joint"), progress=lambda done, total: counts.append((done, total)))
    assert counts[0][0] >= 1 and counts[-1] == (9, 9) and not folder.exists() and not found.failures
    fresh = many(tmp_path / "fresh.h5", methods=("fine-tune", "hlop", "joint"))
    for method in ("fine-tune", "hlop", "joint"):
        for one, other in zip(found.of(method), fresh.of(method), strict=True):
            assert one.seed == other.seed and np.array_equal(one.matrix, other.matrix)
    stored = load_study(out)
    assert {r.plan.key for r in stored.runs} == {r.plan.key for r in fresh.runs} and len(stored.runs) == 3
    assert known == [r.plan.key for r in stored.runs][: len(known)]
    again = many(out, seeds=[0, 4], methods=["hlop"], progress=lambda done, total: counts.append((done, total)))
    assert counts[-1] == (6, 6) and (3, 6) in counts  # one of both was there
    assert [r.seed for r in again.of("hlop")] == [0, 4]
    assert not np.array_equal(again.of("hlop")[0].matrix, again.of("hlop")[1].matrix)
    with pytest.raises(InvalidValueError, match=r"holds a study with network '12' in place of '13'"):
        many(out, network="13")
    with pytest.raises(FileAccessError, match="exists and is a spikesim continual results"):
        plan("fine-tune").run(checkpoint=out)


def test_what_other_processes_are_sent_arrives():
    sent = Worker("folder"), plan("hlop"), MADE.runs[0]
    worker, there, found = ForkingPickler.loads(ForkingPickler.dumps(sent))
    assert worker == sent[0] and there == sent[1] and there.key == sent[1].key
    assert np.array_equal(found.result.matrix, MADE.runs[0].result.matrix) and found.plan == MADE.runs[0].plan


def test_dask(tmp_path):
    distributed = pytest.importorskip("distributed", reason="pip install 'spikesim[dask]'")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:
        found = many(tmp_path / "a.h5", cluster=cluster.scheduler_address)
    here = many(tmp_path / "b.h5")
    for method in ("fine-tune", "hlop"):
        assert np.array_equal(found.matrix(method), here.matrix(method)) and not found.failures


# ------------------------------------------------------------------------------------------- figures without training
def made(method, seed, matrix, **arrays):
    matrix = np.array(matrix)
    blank = np.full(len(matrix), 0.1)
    result = Result("a scenario", method, seed, matrix, blank, np.array([8, 16]), np.array([1.0, 2.0]), arrays)
    return StudyRun(Plan("permuted-digits", {}, method, {}, "12", {}, seed), result)


MADE = Study(
    {"scenario": "permuted-digits"},
    (
        made("hlop", 1, [[0.9, 0.1], [0.7, 0.8]], writes=np.array([3.0, 5.0])),
        made("joint", 0, [[np.nan, np.nan], [0.9, 1.0]]),
        made("hlop", 0, [[0.8, 0.3], [0.8, 0.9]], writes=np.array([3.0, 7.0])),
    ),
)


def test_figures_of_a_study():
    assert MADE.methods == ("hlop", "joint") and [r.seed for r in MADE.of("hlop")] == [0, 1]
    np.testing.assert_allclose(MADE.matrix("hlop"), [[0.85, 0.2], [0.75, 0.85]])
    found = MADE.figures("hlop")
    np.testing.assert_allclose(found["BWT"], [0.0, -0.2])
    np.testing.assert_allclose(found["intransigence"], [0.1, np.nan])  # joint training has seed 0 only
    np.testing.assert_allclose(found["writes"], [7.0, 5.0])
    np.testing.assert_allclose(found["FWT"], [0.2, 0.0], atol=1e-12)
    row = next(MADE.rows())
    assert row["method"] == "hlop" and row["seeds"] == 2 and row["memory"] == 16
    np.testing.assert_allclose([row["ACC"], row["ACC sd"]], [0.8, 0.1 / np.sqrt(2)])
    assert "AIA" not in MADE.figures("joint")  # it was tested at the end only
    with pytest.raises(UnknownNameError, match="did you mean 'hlop'"):
        MADE.of("hlob")


def test_a_report_holds_everything_in_one_file(tmp_path):
    write_report(MADE, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    parts = ["hlop", "joint", "intransigence", "writes", "memory kept", "16", '<img src="data:image']
    for part in (*parts, "80.0\u00a0±\u00a07.1"):
        assert part in text, part
    assert "http" not in text.replace("http://www.w3.org", "") and text.count("<figure>") == 4
    from rich.console import Console

    console = Console(width=200, record=True, file=SimpleNamespace(write=lambda t: None, flush=lambda: None))
    for table in tables(MADE):
        console.print(table)
    shown = console.export_text()
    assert "80.0\u00a0±\u00a07.1" in shown and "95.0" in shown and "85.0" in shown


def test_mistakes_come_out_before_any_work(tmp_path):
    out = tmp_path / "x.h5"
    for changes, message in (
        ({"methods": ["hlopp"]}, "did you mean 'hlop'"),
        ({"network": "12x"}, "sizes of hidden layers"),
        ({"network": "12,xlam=1"}, "sizes of hidden layers"),
        ({"network": "12,lam=2,init=no"}, r"lam must be above 0(.|\n)*init must be one of he, uniform, found 'no'"),
        ({"settings": {"gpm": {}}}, "settings are given for 'gpm'"),
        ({"scenario_settings": {"task": 2}}, "did you mean 'tasks'"),
        ({"seeds": 0}, "at least one method and one seed"),
        ({"jobs": -1}, "jobs must be at least 0"),
    ):
        with pytest.raises((InvalidValueError, UnknownNameError), match=message):
            many(out, **changes)
    assert not out.exists() and not list(tmp_path.iterdir())


def test_networks_are_written_short():
    plan = Plan("permuted-digits", {"tasks": 2}, "fine-tune", {}, "20,lam=0.8,beta=0,init=uniform")
    network = plan.make()[1].network
    hidden, output = (network.populations[k].neuron.params for k in (0, 1))
    assert hidden["lam"] == 0.8 and output["beta"] == 0.0
    for projection, inputs in zip(network.projections, (64, 20), strict=True):  # as torch's layers begin
        bound = np.abs(projection.rule.weights).max() * np.sqrt(inputs)
        assert 0.9 < bound <= 1


def test_a_watcher_counts_what_runs_say(tmp_path):
    watcher = Watcher(tmp_path, {"a": 3, "b": 3, "c": 3}, {"a", "other"})
    assert watcher.total == 9 and watcher.done() == 3
    (tmp_path / "b.json").write_text(json.dumps({"tasks": 2}))
    (tmp_path / "c.json").write_text("{")
    assert watcher.done() == 5
