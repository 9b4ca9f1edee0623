"""Checkpoints of training: killed anywhere, it goes on and ends with the bits of one that was not."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from spikesim.errors import FileAccessError, FileFormatError, InvalidValueError  # noqa: E402
from spikesim.files import training  # noqa: E402
from spikesim.files.training import load_training, save_training  # noqa: E402
from spikesim.layers import dense, sequential  # noqa: E402
from spikesim.models.neurons import lif, lif_soft  # noqa: E402
from spikesim.network import Network  # noqa: E402
from spikesim.stimulus import Input  # noqa: E402
from spikesim.train import Augment, train  # noqa: E402
from spikesim.train import checkpoint as checkpoints  # noqa: E402

SETTINGS: dict[str, Any] = {
    "epochs": 4,
    "batch_size": 32,
    "learning_rate": 1e-2,
    "augment": Augment(noise=0.1),
    "params": {"layer1": ["tau_m"]},
    "validation_fraction": 0.2,
    "keep": "best",
}


def net(seed: int = 0) -> Network:
    hidden, last = lif(tau_m=5e-3, v_th=0.5), lif_soft()
    return sequential(Input("x", 10, graded=True), dense(24), hidden, dense(4), last, seed=seed)


def samples() -> tuple[Any, Any]:
    y = np.arange(160) % 4
    centres = np.random.default_rng(42).uniform(0, 1, (4, 10))
    return centres[y] + np.random.default_rng(0).normal(0, 0.2, (160, 10)), y


def bits(trained: Any) -> list[Any]:
    """Everything that must be the same: weights, parameters, figures."""
    network = trained.network
    figures = [[e.loss, e.accuracy, e.validation_loss, e.validation_accuracy] for e in trained.history]
    taus = [network.population("layer1").neuron.value("tau_m")] if isinstance(network, Network) else []
    return [*(p.rule.weights.tobytes() for p in network.projections), *taus, figures]


class Killed(BaseException):
    """Stands for kill -9 in this process."""


@pytest.mark.parametrize("extra", [{}, {"optimiser": "sgd", "schedule": "plateau"}], ids=["adam", "sgd"])
def test_it_goes_on_from_every_checkpoint(extra: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after each of its checkpoints (every batch, every epoch), and once more while it goes on."""
    settings, path = SETTINGS | extra | {"epochs": 3}, tmp_path / "run.ckpt.h5"
    whole = train(net(), samples(), **settings)
    allowed = 0

    def save(state: Any, where: Path) -> None:
        nonlocal allowed
        save_training(state, where)
        allowed -= 1
        if not allowed:
            raise Killed

    monkeypatch.setattr(checkpoints, "save_training", save)
    also = {"checkpoint": path, "checkpoint_every": 0.0, "resume": True}
    for first in (1, 4, 6):  # of 12 checkpoints: 3 epochs of 4 batches
        path.unlink(missing_ok=True)
        for allowed in (first, 3):  # noqa: B007
            with pytest.raises(Killed):
                train(net(), samples(), **settings, **also)
        allowed = 1000
        assert bits(train(net(), samples(), **settings, **also)) == bits(whole), first


RUNNER = """
import sys, time
sys.path.insert(0, sys.argv[1])
import torch
torch.set_num_threads(int(sys.argv[3]))
from test_train_resume import digits
from spikesim.train import feeds
read, batches = feeds.ArrayFeed._batch, iter(range(10**6))
# it waits in the end, in case whoever is to kill it was held up
feeds.ArrayFeed._batch = lambda self, chosen: time.sleep(0.01 if next(batches) < 25 else 60) or read(self, chosen)
digits(checkpoint=sys.argv[2], checkpoint_every=0.02, resume=True)
"""


def digits(**settings: Any) -> Any:
    from spikesim import data

    part = data.load("digits")
    start = sequential(Input("x", (8, 8), graded=True), dense(64), lif_soft(), dense(10), lif_soft())
    config = {"epochs": 3, "augment": Augment(noise=0.1, shift=1), "learning_rate": 5e-3, **settings}
    return train(start, part, **config)


def place(path: Path) -> tuple[int, int]:
    if not path.exists():
        return 0, 0
    state = load_training(path)
    return len(state.history), state.batch


@pytest.mark.parametrize("threads", [1, 2])
def test_kill_minus_nine_at_random_moments(threads: int, tmp_path: Path) -> None:
    path, chance, places = tmp_path / "run.ckpt.h5", random.Random(threads), [(0, 0)]
    command = [sys.executable, "-c", RUNNER, str(Path(__file__).parent), str(path), str(threads)]
    for _ in range(threads):
        process = subprocess.Popen(command)
        while process.poll() is None and place(path) <= places[-1]:
            time.sleep(0.005)
        time.sleep(chance.uniform(0.0, 0.15))
        process.send_signal(signal.SIGKILL)
        process.wait()
        places.append(place(path))
    assert places == sorted(set(places)) and places[-1] < (3, 0), "it was not killed in time"
    kept = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        resumed, whole = digits(checkpoint=path, resume=True), digits()
    finally:
        torch.set_num_threads(kept)
    for a, b in zip(resumed.network.projections, whole.network.projections, strict=True):
        assert np.array_equal(a.rule.weights, b.rule.weights)
    assert [e.loss for e in resumed.history] == [e.loss for e in whole.history]


def test_control_c_ends_after_the_batch(tmp_path: Path) -> None:
    path = tmp_path / "run.ckpt.h5"
    calls = 0

    def augment(x: Any, generator: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 6:
            os.kill(os.getpid(), signal.SIGINT)
        return x + 0.1 * torch.randn(x.shape, generator=generator, dtype=x.dtype)

    settings = SETTINGS | {"augment": augment}
    stopped = train(net(), samples(), **settings, checkpoint=path)
    assert stopped.interrupted and len(stopped.history) == 1 and load_training(path).batch == 2
    resumed = train(net(), samples(), **settings, checkpoint=path, resume=True)
    assert not resumed.interrupted
    assert bits(resumed) == bits(train(net(), samples(), **settings))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_more_epochs_where_the_schedule_allows_it(tmp_path: Path) -> None:
    settings = SETTINGS | {"schedule": "step", "schedule_settings": {"every": 2, "factor": 0.5}, "epochs": 2}
    train(net(), samples(), **settings, checkpoint=tmp_path / "a.h5")
    longer = train(net(), samples(), **(settings | {"epochs": 4}), checkpoint=tmp_path / "a.h5", resume=True)
    assert bits(longer) == bits(train(net(), samples(), **(settings | {"epochs": 4})))


def test_another_training_is_refused_and_says_what_differs(tmp_path: Path) -> None:
    path, quick = tmp_path / "a.h5", SETTINGS | {"epochs": 1}
    train(net(), samples(), **quick, checkpoint=path)
    x, y = samples()
    for network, data, changed, words in (
        (net(seed=1), (x, y), {}, "another network"),
        (net(), (x + 1e-9, y), {}, "other data"),
        (net(), (x, y), {"learning_rate": 2e-2}, "learning_rate 0.01 in place of 0.02"),
        (net(), (x, y), {"params": None}, "params .* in place of None"),
        (net(), (x, y), {"epochs": 2}, "epochs 1 in place of 2"),
    ):
        with pytest.raises(InvalidValueError, match=words):
            train(network, data, **(quick | changed), checkpoint=path, resume=True)
    state = load_training(path)
    save_training(training.TrainingState(**{**vars(state), "identity": {**state.identity, "torch": "1.0"}}), path)
    with pytest.warns(UserWarning, match=r"torch '1\.0' in place of"):
        train(net(), samples(), **quick, checkpoint=path, resume=True)


def test_damaged_foreign_and_forged_files(tmp_path: Path) -> None:
    path, quick = tmp_path / "a.h5", SETTINGS | {"epochs": 1}
    train(net(), samples(), **quick, checkpoint=path)
    good, state = path.read_bytes(), load_training(path)
    path.write_bytes(good[:-100])
    with pytest.raises(FileFormatError, match="damaged"):
        train(net(), samples(), **quick, checkpoint=path, resume=True)
    net().save(tmp_path / "net.h5")
    with pytest.raises(FileAccessError, match="is a spikesim network"):
        train(net(), samples(), **quick, checkpoint=tmp_path / "net.h5")
    with pytest.raises(FileAccessError, match="no folder"):
        train(net(), samples(), **quick, checkpoint=tmp_path / "no" / "a.h5")
    with pytest.raises(InvalidValueError, match="pass checkpoint="):
        train(net(), samples(), **quick, resume=True)
    for part, word in (
        ({"module": {**state.module, "maps.0.weight": np.zeros((10, 23), np.float32)}}, "expected torch.float32"),
        ({"module": {**state.module, "maps.0.weight": np.zeros((10, 24))}}, "is torch.float64"),
        ({"module": {}}, "expected"),
        ({"optimiser": {"7": {}}}, "no parameter 7"),
        ({"optimiser": {"0": {"exp_avg": np.zeros(3, np.float32)}}}, "exp_avg"),
        ({"history": ({"number": 1},)}, "each epoch needs"),
        ({"random": {}}, "generators"),
    ):
        save_training(training.TrainingState(**{**vars(state), **part}), path)
        with pytest.raises(FileFormatError, match=word):
            train(net(), samples(), **quick, checkpoint=path, resume=True)


def test_logs_of_a_resumed_run_have_each_epoch_once(tmp_path: Path) -> None:
    path, log = tmp_path / "a.h5", [tmp_path / "run.csv", tmp_path / "run.jsonl"]
    settings = SETTINGS | {"schedule": "constant", "checkpoint": path, "log": log}
    train(net(), samples(), **(settings | {"epochs": 2}))
    log[0].write_text(log[0].read_text() + "3,half a line")  # of a run killed after its last checkpoint
    trained = train(net(), samples(), **(settings | {"epochs": 4}), resume=True)
    rows = log[0].read_text().splitlines()
    assert rows[0].startswith("number,loss,accuracy,validation_loss")
    assert [r.split(",")[0] for r in rows[1:]] == ["1", "2", "3", "4"]
    found = [json.loads(line) for line in log[1].read_text().splitlines()]
    assert [f["loss"] for f in found] == [e.loss for e in trained.history]
    foreign = tmp_path / "mine.csv"
    foreign.write_text("a,b\n1,2\n")
    for wrong, word in ((foreign, "no log of a training"), (tmp_path / "no" / "x.csv", "no folder")):
        with pytest.raises(FileAccessError, match=word):
            train(net(), samples(), **SETTINGS, log=wrong)
    with pytest.raises(InvalidValueError, match=r"found 'x\.txt'"):
        train(net(), samples(), **SETTINGS, log=tmp_path / "x.txt")
    assert foreign.read_text() == "a,b\n1,2\n"
