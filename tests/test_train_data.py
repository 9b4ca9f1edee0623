"""What training takes and tells: batches, sequences of own lengths, targets, modules; stopping, progress, logs."""

# ruff: noqa: NPY002  (numpy's global generator is what is tested)

import json
import re

import numpy as np
import pytest
from typer.testing import CliRunner

torch = pytest.importorskip("torch")

from spikesim import Network, cli, data  # noqa: E402
from spikesim.errors import InvalidValueError, SpikesimError, UnknownNameError  # noqa: E402
from spikesim.layers import dense, sequential  # noqa: E402
from spikesim.models.neurons import li, lif_soft  # noqa: E402
from spikesim.stimulus import Input  # noqa: E402
from spikesim.train import RateRegulariser, evaluate, settings, train  # noqa: E402
from spikesim.train.progress import Lines  # noqa: E402
from spikesim.train.result import Epoch  # noqa: E402

if not cli.app.registered_commands:
    cli.register()


def samples(count=96, features=10):
    y = np.arange(count) % 4
    centres = np.random.default_rng(42).uniform(0, 1, (4, features))
    return centres[y] + np.random.default_rng(0).normal(0, 0.1, (count, features)), y


def net(last=None, inputs=10, outputs=4, seed=0):
    entry = Input("x", inputs, graded=True)
    return sequential(entry, dense(24), lif_soft(), dense(outputs), last or lif_soft(), seed=seed)


def weights(trained):
    return [p.rule.weights for p in trained.network.projections]


QUICK = {"epochs": 3, "learning_rate": 1e-2, "batch_size": 32}


# ---------------------------------------------------------------------------------------- where samples come from


def test_batches_give_the_same_bits_as_arrays():
    """The same batches in the same order, from memory and as a stream."""
    x, y = samples()
    order, generator = [], torch.Generator().manual_seed(0)
    for _ in range(2):
        order.append(torch.randperm(len(y), generator=generator).split(32))

    class Batches:
        def set_epoch(self, number):
            self.number = number

        def __len__(self):
            return 3

        def __iter__(self):
            return ((x[part], y[part]) for part in order[getattr(self, "number", 1) - 1])

    settings = QUICK | {"epochs": 2}
    known = train(net(), (x, y), validation=(x[:20], y[:20]), **settings)
    streamed = train(net(), Batches(), validation=[(x[:20], y[:20])], **settings)
    assert all(np.array_equal(a, b) for a, b in zip(weights(known), weights(streamed), strict=True))
    assert [e.validation_loss for e in known.history] == [e.validation_loss for e in streamed.history]
    assert train(net(), Batches(), **settings).history[0].validation_loss is None


def loader(x, y, own):
    """A torch DataLoader whose samples are varied by torch's and numpy's global generators."""

    class Varied(torch.utils.data.Dataset):
        def __len__(self):
            return len(y)

        def __getitem__(self, k):
            return x[k] + 0.1 * torch.randn(x.shape[1]).double().numpy() + 0.1 * np.random.normal(size=x.shape[1]), y[k]

    own = torch.Generator().manual_seed(5) if own else None
    return torch.utils.data.DataLoader(Varied(), batch_size=32, shuffle=True, generator=own)


@pytest.mark.parametrize("own", [False, True])
def test_a_data_loader_that_draws_from_global_generators_repeats_and_resumes(own, tmp_path, monkeypatch):
    x, y = samples()
    runs = []
    for k in range(2):
        torch.manual_seed(k)
        np.random.seed(k)
        before = torch.get_rng_state(), np.random.get_state()[1]
        runs.append(train(net(), loader(x, y, own), **QUICK))
        assert torch.equal(before[0], torch.get_rng_state()) and np.array_equal(before[1], np.random.get_state()[1])
    assert all(np.array_equal(a, b) for a, b in zip(weights(runs[0]), weights(runs[1]), strict=True))
    from spikesim.files import training
    from spikesim.train import checkpoint

    class Killed(BaseException):
        pass

    def save(state, path):
        training.save_training(state, path)
        if state.history and state.batch == 2:
            raise Killed

    where = {"checkpoint": tmp_path / "a.h5", "checkpoint_every": 0}
    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(checkpoint, "save_training", save)
        train(net(), loader(x, y, own), **QUICK, **where)
    resumed = train(net(), loader(x, y, own), **QUICK, **where, resume=True)
    assert all(np.array_equal(a, b) for a, b in zip(weights(runs[0]), weights(resumed), strict=True))


def test_a_stream_in_another_order_is_refused_when_training_goes_on(tmp_path):
    x, y = samples()
    halves = [(x[:48], y[:48]), (x[48:], y[48:]), (x[:3], y[:3])]
    seen = 0

    class Interrupted:
        def __len__(self):
            return 3

        def __iter__(self):
            nonlocal seen
            for batch in halves:
                seen += 1
                if seen == 7:
                    raise KeyboardInterrupt
                yield batch

    where = {"checkpoint": tmp_path / "a.h5", "checkpoint_every": 0}
    with pytest.raises(KeyboardInterrupt):
        train(net(), Interrupted(), **QUICK, **where)
    with pytest.raises(InvalidValueError, match="another order than before"):
        train(net(), [halves[0], (x[48:], y[48:][::-1].copy()), halves[2]], **QUICK, **where, resume=True)


def test_sparse_batches_become_dense_one_by_one():
    events = torch.zeros(8, 5, 10)
    events[:, ::2, ::3] = 1.0
    batch = (events.to_sparse(), torch.arange(8) % 4)
    one, two = (train(net(), [b], epochs=1, encode="sequence") for b in (batch, (events, batch[1])))
    assert all(np.array_equal(a, b) for a, b in zip(weights(one), weights(two), strict=True))
    assert evaluate(one.network, [batch, batch], encode="sequence").recording.steps == 5


def test_sequences_of_different_lengths():
    """What lies behind the end of a sequence changes nothing."""
    generator = np.random.default_rng(1)
    y, lengths = np.arange(64) % 2, generator.integers(2, 8, 64)
    x = generator.normal(0, 0.2, (64, 8, 10)) + (y * 0.5)[:, None, None]
    padded, noisy = x.copy(), x.copy()
    behind = np.arange(8) >= lengths[:, None]
    padded[behind], noisy[behind] = 0.0, 100.0
    settings = {"encode": "sequence", "loss": "membrane_cross_entropy", "readout": "last"}
    settings |= {"epochs": 12, "learning_rate": 1e-2, "batch_size": 16}
    runs = [train(net(li(), outputs=2), (v, y, lengths), **settings) for v in (padded, noisy)]
    assert all(np.array_equal(a, b) for a, b in zip(*map(weights, runs), strict=True))
    options = {"encode": "sequence", "readout": "last"}
    results = [
        evaluate(runs[0].network, (v, y, lengths), **options, batch_size=b) for v in (padded, noisy) for b in (64, 9)
    ]
    assert len({r.accuracy for r in results}) == 1 and results[0].accuracy > 0.8
    with pytest.raises(InvalidValueError, match="lengths go up to 9"):
        train(net(li(), outputs=2), (x, y, lengths + 2), **settings)


# ---------------------------------------------------------------------------------------- targets


@pytest.mark.parametrize("over_time", [False, True])
def test_targets_are_followed(over_time):
    x = np.random.default_rng(0).uniform(0, 1, (128, 4))
    target = np.stack([x[:, 0] - x[:, 1], 0.5 * x.sum(1)], 1)
    if over_time:
        target = np.repeat(target[:, None], 8, 1) * np.linspace(0.2, 1, 8)[:, None]
    start, settings = net(li(beta=0.9), inputs=4, outputs=2), {"epochs": 40, "learning_rate": 3e-2, "batch_size": 16}
    trained = train(start, (x, target), loss="mse", **settings)
    before, after = trained.history[0], trained.history[-1]
    assert after.accuracy is None and after.validation_rmse < 0.6 * before.validation_rmse
    assert "RMSE" in str(trained)
    result = evaluate(trained.network, x, target, readout="membrane_mean", batch_size=50)
    again = evaluate(trained.network, x, target, readout="membrane_mean", backend="torch")
    assert result.rmse == pytest.approx(float(np.sqrt(np.square(result.predicted - target).mean())))
    assert result.rmse == pytest.approx(again.rmse) and result.rmse < 0.6 * target.std()
    assert np.isnan(result.accuracy)
    with pytest.raises(InvalidValueError, match="no classes"):
        result.confusion()


def test_labels_and_targets_that_do_not_fit():
    x, y = samples()
    target = np.zeros((len(x), 4))
    for given, settings_, word in (
        ((x, target), {}, "needs class numbers .* use loss='mse'"),
        ((x, y), {"loss": "mse"}, "needs targets"),
        ((x, target[:, :3]), {"loss": "mse"}, r"targets need the shape \[32, 4\], found \[32, 3\]"),
        ((x, y), {"monitor": "rmse"}, "not a figure of these data"),
        ((x, y.astype(float)), {}, "targets of a regression"),
        ((x, y, y[:5]), {}, "one whole number from 0 per sample"),
        ((x[:, None], y), {}, None),
        ((x.reshape(-1, 2, 5), y), {}, None),
        ((np.stack([x, x], 1), y), {}, "need encode='sequence'"),
    ):
        last = li() if settings_.get("loss") == "mse" else None
        if word is None:
            train(net(last), given, epochs=1, **settings_)
            continue
        with pytest.raises(InvalidValueError, match=word):
            train(net(last), given, **QUICK | {"validation_fraction": 0.0} | settings_)


def test_batches_that_cannot_be_used():
    x, y = samples()

    class Short(list):
        def __len__(self):
            return 5

    for given, more, word in (
        (iter([(x, y)]), {}, "have a length, found list_iterator"),
        (((x, y) for _ in range(3)), {}, "have a length, found generator"),
        ([x], {}, "must yield batches"),
        ([], {}, "no batches"),
        (Short([(x, y)]), {}, "fewer batches than its length"),
        ([(x, y)], {"validation_fraction": 0.2}, "no part can be held out of batches"),
        ([(x, y + 3)], {}, "labels go up to 6"),
        ((x, y), {"validation_fraction": 0.2, "validation": (x, y)}, "one of both"),
        ((x, y), {"validation": (x, y + 3)}, "labels go up to 6"),
        ([(x, y)], {"keep": "best", "patience": 2}, "keep='best' and patience needs validation samples"),
    ):
        with pytest.raises(InvalidValueError, match=word):
            train(net(), given, **QUICK, **more)


# ---------------------------------------------------------------------------------------- modules


def test_a_torch_module_is_trained_in_place_and_resumes(tmp_path):
    class Rates(torch.nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(3)
            self.layers = torch.nn.Sequential(torch.nn.Linear(10, 32), torch.nn.ReLU(), torch.nn.Dropout(0.1))
            self.last = torch.nn.Linear(32, 4)

        def forward(self, x):
            return self.last(self.layers(x))

    settings = QUICK | {"loss": "step_cross_entropy", "readout": "mean", "schedule": "constant", "steps": 2}
    whole = train(Rates(), samples(), **settings)
    assert isinstance(whole.network, Rates) and whole.history[-1].loss < whole.history[0].loss
    result = evaluate(whole.network, *samples(), readout="mean", steps=2, batch_size=40)
    with torch.no_grad():
        logits = whole.network.eval()(torch.as_tensor(samples()[0]).float()).numpy()
    np.testing.assert_allclose(result.scores, logits, rtol=1e-5)  # the same current at every step
    assert result.accuracy == np.mean(logits.argmax(1) == samples()[1]) > 0.5
    assert result.recording is None and result.confusion().sum() == 96
    with pytest.raises(InvalidValueError, match="evaluate takes a Network or a torch"):
        evaluate("digits_mlp", *samples())
    train(Rates(), samples(), **settings | {"epochs": 1}, checkpoint=tmp_path / "a.h5")
    resumed = train(Rates(), samples(), **settings, checkpoint=tmp_path / "a.h5", resume=True)
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(tensor, resumed.network.state_dict()[name]), name
    with pytest.raises(InvalidValueError, match=r"must return \[steps, samples, n\]"):
        train(torch.nn.Sequential(torch.nn.Linear(10, 4), torch.nn.Flatten()), samples(), **settings)
    with pytest.raises(InvalidValueError, match="takes a Network or a torch"):
        train("digits_mlp", samples())


# ---------------------------------------------------------------------------------------- how it goes


def test_training_stops_without_improvement():
    settings = {"epochs": 40, "learning_rate": 0.05, "patience": 3, "monitor": "loss"}
    trained = train(net(), samples(), **settings)
    losses = [e.validation_loss for e in trained.history]
    assert len(losses) < 40 and int(np.argmin(losses)) == len(losses) - 4


def test_schedules_and_warm_up_reach_the_optimiser():
    settings = {"epochs": 4, "learning_rate": 0.01, "batch_size": 32, "validation_fraction": 0.0}
    stepped = train(net(), samples(), schedule="step", schedule_settings={"every": 2}, warmup=1, **settings)
    assert [e.learning_rate for e in stepped.history] == pytest.approx([0.01, 0.01, 0.01, 0.001])
    flat = train(net(), samples(), schedule="plateau", schedule_settings={"wait": 0}, **settings | {"validation_fraction": 0.25, "learning_rate": 1e-12})  # fmt: skip  # noqa: E501
    assert flat.history[-1].learning_rate == pytest.approx(1e-12 / 4)


def test_rate_regularisers_change_rates():
    def spikes(**settings):
        trained = train(net(), samples(), epochs=15, learning_rate=1e-2, **settings)
        recording = evaluate(trained.network, *samples()).recording
        return recording.counts.populations["layer1"].spikes.sum()

    with pytest.raises(UnknownNameError, match="before the last: 'layer2'; did you mean 'layer1'"):
        spikes(regularise=[RateRegulariser(populations=("layer2",))])
    plain = spikes()
    assert spikes(regularise=[RateRegulariser(20.0, upper=0.02, populations=("layer1",))]) < 0.7 * plain
    assert spikes(regularise=[RateRegulariser(100.0, upper=None, lower=0.8)]) > 1.3 * plain


def test_products_in_bfloat16():
    if not torch.cpu._is_avx512_bf16_supported():
        with pytest.raises(InvalidValueError, match="slower than float32 on this CPU"):
            train(net(), samples(), mixed_precision=True)
        return
    mixed, exact = (
        train(net(), samples(), epochs=8, learning_rate=2e-2, batch_size=8, mixed_precision=m) for m in (True, False)
    )
    assert mixed.history[-1].accuracy > 0.9 and mixed.history[-1].loss != exact.history[-1].loss
    with pytest.raises(InvalidValueError, match="needs dtype='float32'"):
        train(net(), samples(), mixed_precision=True, dtype="float64")


def test_what_does_not_exist_on_this_machine(monkeypatch):
    with pytest.raises(InvalidValueError, match="device 'nothing' cannot be used here"):
        train(net(), samples(), device="nothing")
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    with pytest.raises(InvalidValueError, match="no bfloat16 instructions"):
        settings.check_mixed_precision(True, "float32", "cpu")


def test_lines_say_how_long_it_takes(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("spikesim.train.progress.time.monotonic", lambda: now[0])
    said = []
    lines = Lines(3, 0, said.append)
    for batch in range(1, 5):
        now[0] += 20.0
        lines.batch(batch, 4, 0.5)
    lines.epoch(Epoch(1, 0.5, 0.75, 0.6, 0.7, 1e-3, 80.0))
    assert said == [
        "epoch 1/3, 50%: loss 0.5 (3 min 20 s left)",
        "epoch 1/3: loss 0.5, training accuracy 75.0%, validation accuracy 70.0%, 80.0 s (2 min 40 s left)",
    ]


def test_progress_and_tensorboard(tmp_path, capsys, require):
    require("tensorboard")
    trained = train(net(), samples(), **QUICK, progress=True, log=tmp_path / "board")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3 and re.match(r"epoch 1/3: loss .*, validation accuracy .* left\)", lines[0])
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(tmp_path / "board")).Reload()
    found = [(e.step, e.value) for e in board.Scalars("validation/loss")]
    assert found == [(e.number, pytest.approx(e.validation_loss)) for e in trained.history]


# ---------------------------------------------------------------------------------------- evaluation


def test_evaluation_in_batches_is_the_same():
    part = data.load("digits")
    network = sequential(Input("x", (8, 8), graded=True), dense(16), lif_soft(), dense(10), lif_soft())
    whole, batches = evaluate(network, part), evaluate(network, part, batch_size=100)
    assert np.array_equal(whole.scores, batches.scores) and np.array_equal(whole.confusion(), batches.confusion())
    assert whole.accuracy == pytest.approx(batches.accuracy) and whole.spikes == batches.spikes > 0
    assert len(whole.labels) == 359 and batches.recording.samples == 59
    with pytest.raises(InvalidValueError, match="batch_size must be at least 1"):
        evaluate(network, part, batch_size=0)


# ---------------------------------------------------------------------------------------- the command line


def call(*words):
    result = CliRunner().invoke(cli.app, [str(w) for w in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.stdout


def test_the_command_trains_resumes_and_says_what_is_wrong(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["train", "digits_mlp", "--epochs", 2, "--schedule", "constant", "--noise", 0.1, "--json"]
    found = json.loads(call(*words, "--checkpoint", "run.ckpt.h5", "--log", "run.csv"))
    assert found["epochs"] == 2 and found["test_accuracy"] > 0.7 and found["spikes_per_sample"] > 0
    again = json.loads(call("train", "--resume", "run.ckpt.h5", "--epochs", 3, "--out", "b.h5", "--json"))
    assert again["epochs"] == 3 and again["model"] == "digits_mlp"
    assert len((tmp_path / "run.csv").read_text().splitlines()) == 4
    whole = json.loads(call(*words, "--epochs", 3, "--out", "c.h5"))
    assert whole["test_accuracy"] == again["test_accuracy"] and Network.load("b.h5") == Network.load("c.h5")
    call("train", "c.h5", "--epochs", 1, "--loss", "tet", "--loss-setting", "lam=0.1", "--out", "d.h5", "--json")
    for words_, kind, word in (
        (["train"], SpikesimError, "what is to be trained"),
        (["train", "--resume", "run.ckpt.h5", "--steps", 4], SpikesimError, "leave out --steps"),
        (["train", "--resume", "absent.h5"], SpikesimError, "does not exist"),
        (["train", "digits_mlp", "--loss-setting", "scal=1"], UnknownNameError, "did you mean 'scale'"),
        (["train", "digits_mlp", "--checkpoint", "no/x.h5"], SpikesimError, "folder does not exist"),
        (["train", "digits_mlp", "--threads", -1], SpikesimError, "threads must be at least 0"),
        (["train", "digits_mlp", "--epochs", 0], SpikesimError, "epochs must be at least 1"),
    ):
        with pytest.raises(kind, match=word):
            call(*words_)
