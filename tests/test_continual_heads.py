"""Heads of several tasks trained together, and every learner with heads."""

from copy import deepcopy

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from spikesim.continual import METHODS, Afec, Ewc, Joint, Metaplastic, Relabelled, Replay, method, run  # noqa: E402
from spikesim.continual.heads import head, joined, parted  # noqa: E402
from spikesim.continual.named import some  # noqa: E402
from spikesim.continual.state import restore, state_of  # noqa: E402
from spikesim.data import load  # noqa: E402
from spikesim.errors import InvalidValueError, UnsupportedError  # noqa: E402
from spikesim.layers import dense, recurrent, sequential  # noqa: E402
from spikesim.models.neurons import li, lif_soft  # noqa: E402
from spikesim.stimulus import Input  # noqa: E402
from spikesim.train import evaluate  # noqa: E402

DIGITS = load("digits")
SETTINGS = {"loss": "membrane_cross_entropy", "epochs": 4, "learning_rate": 0.05, "steps": 6, "heads": True}


def net(seed=0, beta=0.9):
    image = Input("image", (8, 8), graded=True)
    return sequential(image, dense(40), lif_soft(lam=0.5), dense(2), li(beta=beta), seed=seed)


def test_heads_side_by_side_answer_as_each_alone():
    first, others = net(0), [net(1), net(2, beta=0.5)]
    heads = [head(one) for one in (first, *others)]
    wide, x = joined(first, heads), DIGITS.x_test[:20] / 16
    assert wide.populations[-1].n == 6
    found = evaluate(wide, x, np.zeros(20, int), readout="membrane_mean", steps=6).scores
    for k, one in enumerate(parted(wide, heads)):
        alone = evaluate(first.swap(*one), x, np.zeros(20, int), readout="membrane_mean", steps=6).scores
        np.testing.assert_allclose(found[:, 2 * k : 2 * k + 2], alone, rtol=1e-6, atol=1e-9)
        np.testing.assert_array_equal(one[1].rule.weights, heads[k][1].rule.weights)
        assert one[0].shape == (2,)
    assert parted(joined(first, heads[:1]), heads[:1])[0] == heads[0]
    with pytest.raises(UnsupportedError, match="'layer1->layer1'"):
        again = sequential(Input("image", (8,), graded=True), dense(4), lif_soft(), recurrent())
        joined(again, [head(again)])


def test_joint_training_and_replay_learn_contradicting_tasks_with_heads():
    scenario = Relabelled(some(DIGITS, 500, 150, seed=0), tasks=2, groups=2, seed=1)
    joint, replay, shared = (
        run(scenario, learner).metrics()["ACC"]
        for learner in (
            Joint(net, **SETTINGS), Replay(net, size=200, **SETTINGS),
            Replay(net, size=200, **{**SETTINGS, "heads": False}),
        )
    )  # fmt: skip
    assert joint > 0.87 and replay > 0.87 and shared < 0.85, (joint, replay, shared)
    with pytest.raises(InvalidValueError, match="does not tell which task"):
        run(Relabelled(DIGITS, tasks=2, kind="domain"), Joint(net, **SETTINGS))


@pytest.mark.parametrize("name", [*METHODS, "afec with replay"])
def test_every_learner_takes_heads_and_goes_on_from_its_state(name):
    few = Relabelled(some(DIGITS, 80, 40, seed=0), tasks=3, groups=2, seed=1)
    brief = {**SETTINGS, "epochs": 1, **({"optimiser": "adam"} if name == "metaplastic" else {})}
    given = {
        "replay": {"size": 20}, "hlop": {"rows": 4}, "hlop-replay": {"rows": 4, "size": 20}, "ewc": {"samples": 5},
        "mas": {"samples": 5}, "afec": {"settings": {"samples": 5}},
    }.get(name, {})  # fmt: skip
    if name == "afec with replay":
        made = [Replay(net, size=20, penalty=Afec(Ewc(1.0, samples=5), 1.0), **brief) for _ in range(2)]
    else:
        made = [method(name, **given).build(net, **brief) for _ in range(2)]
    whole, later = made
    for learner in made:
        learner.begin(0)
    for k in range(2):
        whole.learn(few.experience(k).task)
    restore(later, deepcopy(state_of(whole)))  # a file would copy
    for learner in made:
        learner.learn(few.experience(2).task)
        assert learner.network_for(0).populations[-1].n == 2
    assert all(whole.network_for(k) == later.network_for(k) for k in range(3))
    assert len({head(whole.network_for(k))[1].rule.weights.tobytes() for k in range(3)}) == 3
    assert whole.memory == later.memory


def test_synapses_of_a_head_wait_for_its_task():
    few = Relabelled(some(DIGITS, 80, 40, seed=0), tasks=2, groups=2, seed=1)
    learner = Metaplastic(net, count_writes=True, **{**SETTINGS, "epochs": 1, "learning_rate": 0.005})
    learner.begin(0)
    kept, writes = [], []
    for number in (0, 1, 0):
        learner.learn(few.experience(number).task)
        kept.append(learner.of_heads[0]["layer1->layer2"].hidden.copy())
        writes.append(learner.writes)
        for now, then in zip(learner.now().projections, learner.network.projections, strict=True):
            np.testing.assert_allclose(now.rule.weights, then.rule.weights, rtol=1e-6)
    assert np.array_equal(kept[0], kept[1]) and not np.array_equal(kept[1], kept[2])
    assert writes == sorted(set(writes))
    assert learner.memory == 4 * (64 * 40 + 2 * 80)
