"""EWC, MAS, SI, AFEC and what they share: against analytic minimisers, and gradients computed by hand."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from spikesim.continual import (  # noqa: E402
    METHODS,
    Afec,
    Ewc,
    FineTune,
    Mas,
    Permuted,
    Replay,
    SingleTask,
    Split,
    SynapticIntelligence,
    costs,
    method,
    methods,
    run,
)
from spikesim.continual.consolidation import Consolidation, Pull, weights_of  # noqa: E402
from spikesim.data import Dataset, load  # noqa: E402
from spikesim.engine import backend  # noqa: E402
from spikesim.errors import InvalidValueError, UnknownNameError  # noqa: E402
from spikesim.layers import batch_norm, dense, sequential  # noqa: E402
from spikesim.lowering import lower  # noqa: E402
from spikesim.models.neurons import li, lif_soft  # noqa: E402
from spikesim.stimulus import Input  # noqa: E402
from spikesim.train import train  # noqa: E402

DIGITS = load("digits")
SETTINGS = {"loss": "membrane_cross_entropy", "epochs": 4, "learning_rate": 0.05, "steps": 6}
BRIEF = {**SETTINGS, "epochs": 1}


def net(seed=0, hidden=40, outputs=10, *more):
    return sequential(
        Input("image", (8, 8), graded=True), dense(hidden), *more, lif_soft(lam=0.5), dense(outputs), li(beta=0.9),
        seed=seed,
    )  # fmt: skip


def few(n=60):
    x, y = DIGITS.x_train[:n], DIGITS.y_train[:n]
    return Dataset("few", x, y, x[:20], y[:20], DIGITS.classes, "", "", DIGITS.full_scale)


def weights(network):
    return {e.name: e.rule.weights for e in lower(network).edges}


def learned(learner, tasks, seed=0):
    learner.begin(seed)
    for experience in tasks:
        learner.learn(experience.task)
    return learner


# --------------------------------------------------------------------------------------------------- the step hook
def test_a_hook_around_the_step_sees_every_parameter_and_may_do_something_else():
    x, y = few().x_train / 16, few().y_train
    network = net(0, 6, 10, batch_norm())
    settings = {**BRIEF, "optimiser": "sgd", "params": {"layer1": {"lam": "shared"}}, "validation_fraction": 0.0}
    plain = train(network, (x, y), **settings).network
    seen = {}

    def look(parameters, step):
        seen.update({name: tuple(p.shape) for name, p in parameters.items()})
        assert all(p.grad is not None for p in parameters.values())
        step()

    assert train(network, (x, y), **settings, step_hook=look).network == plain
    assert seen == {
        "image->layer1": (64, 6), "image->layer1/norm/scale": (6,), "image->layer1/norm/shift": (6,),
        "layer1->layer2": (6, 10), "layer1/lam": (),
    }  # fmt: skip
    still = train(net(), (x, y), **BRIEF, step_hook=lambda parameters, step: None).network
    for a, b in zip(weights(still).values(), weights(net()).values(), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-7)
    own = torch.nn.Linear(64, 10)
    names = []
    train(_Once(own), (x, y), **{**BRIEF, "loss": "rate_cross_entropy"}, step_hook=lambda p, step: names.extend(p))
    assert set(names) == {"linear.weight", "linear.bias"}


class _Once(torch.nn.Module):
    def __init__(self, linear):
        super().__init__()
        self.linear = linear

    def forward(self, x):
        return self.linear(x.flatten(2))


# ------------------------------------------------------------------------------------------------------------ pulls
def minimise(pulls, task, start=0.0, rate=0.1, steps=400):
    w = torch.nn.Parameter(torch.tensor([start], dtype=torch.float64))
    optimiser = torch.optim.SGD([w], lr=rate)
    for _ in range(steps):
        w.grad = task(w.detach())
        for pull in pulls:
            pull.add({"w": w})
        optimiser.step()
    return float(w.detach())


def one(value):
    return {"w": torch.tensor([value], dtype=torch.float64)}


def test_the_minimum_of_two_pulls_and_a_quadratic_task():
    """AFEC's toy: (a c + lam F A + lam_e F_e E) / (a + lam F + lam_e F_e)."""
    a, c, lam, f, anchor, lam_e, f_e, expanded = 3.0, 1.0, 2.0, 0.5, -1.0, 4.0, 0.7, 0.2
    found = minimise([Pull(lam, one(f), one(anchor)), Pull(lam_e, one(f_e), one(expanded))], lambda w: a * (w - c))
    expected = (a * c + lam * f * anchor + lam_e * f_e * expanded) / (a + lam * f + lam_e * f_e)
    assert found == pytest.approx(expected, abs=1e-9)
    far = [minimise([Pull(1e3, one(f_e), one(expanded))], lambda w: a * (w - c), rate=1e-3)]
    assert far[0] == pytest.approx(expanded, abs=1e-2)


def test_the_more_is_forgotten_the_better_the_new_task():
    """Two conflicting regressions, y = -x and then y = x."""
    new, old = [], []
    for lam_e in (0.0, 1.0, 10.0, 100.0):
        w = minimise([Pull(5.0, one(1.0), one(-1.0)), Pull(lam_e, one(1.0), one(1.0))], lambda w: w - 1, rate=1e-2)
        new.append((w - 1) ** 2)
        old.append((w + 1) ** 2)
    assert new == sorted(new, reverse=True) and old == sorted(old) and new[0] > 4 * new[-1]


def test_a_weighted_product_of_gaussians_is_what_forgetting_does_to_the_old_posterior():
    m1, v1, m2, v2, b = -0.3, 0.4, 1.1, 0.9, 0.3
    x = np.linspace(-12, 12, 200001)
    density = np.exp(-(1 - b) * (x - m1) ** 2 / (2 * v1) - b * (x - m2) ** 2 / (2 * v2))
    density /= density.sum()
    mean = (density * x).sum()
    assert mean == pytest.approx(((1 - b) * v2 * m1 + b * v1 * m2) / (b * v1 + (1 - b) * v2), abs=1e-9)
    assert (density * (x - mean) ** 2).sum() == pytest.approx(v1 * v2 / (b * v1 + (1 - b) * v2), abs=1e-9)
    # two pulls with these precisions have their common minimum there
    assert minimise(
        [Pull((1 - b) / v1, one(1.0), one(m1)), Pull(b / v2, one(1.0), one(m2))], lambda w: 0 * w
    ) == pytest.approx(mean, abs=1e-9)


@pytest.mark.parametrize(("combine", "decay"), [("mean", 1.0), ("sum", 1.0), ("sum", 0.5), ("separate", 1.0)])
def test_importances_of_tasks_are_combined(combine, decay):
    penalty = Consolidation(2.0, combine=combine, decay=decay)
    found = [4.0, 1.0, 7.0]
    sizes = []
    for k, value in enumerate(found):
        penalty.keep(one(value), one(float(k)))
        sizes.append(penalty.memory)
    kept = [float(pull.importance["w"]) for pull in penalty.pulls]
    expected = {"mean": [4.0], "sum": [sum(v * decay ** (2 - k) for k, v in enumerate(found))], "separate": found}
    assert kept == pytest.approx(expected[combine])
    anchors = [float(pull.anchor["w"]) for pull in penalty.pulls]
    assert anchors == ([0.0, 1.0, 2.0] if combine == "separate" else [2.0])
    assert sizes == ([16, 32, 48] if combine == "separate" else [16] * 3)  # bytes: one pull, however many tasks


def test_which_parameters_are_weights():
    names = ["a->b", "b->c/0", "b->c/1", "a->b/norm/scale", "a->b/delay", "b/bias", "c->head"]
    assert list(weights_of(dict.fromkeys(names), frozenset({"c->head"}))) == ["a->b", "b->c/0", "b->c/1"]


# ---------------------------------------------------------------------------------------------- importance by hand
def by_hand(network, x, y, of):
    """Return the gradients of ``of(scores, label)`` for each sample, by plain autograd of the module."""
    module = backend("torch").module(lower(network, folded=False))
    for sample, label in zip(x, y, strict=True):
        given = torch.tensor(sample)[None, None].expand(6, 1, 8, 8)
        scores = module({"image": given}, record=("layer2/v",))["layer2/v"].mean(0)
        module.zero_grad()
        of(scores, torch.tensor([label])).backward()
        yield {name: p.grad.clone() for name, p in module.named().items()}


def measured(penalty, data, **settings):
    learner = learned(FineTune(net, penalty=penalty, **{**BRIEF, **settings}), [Permuted(data, tasks=1).experience(0)])
    return learner, penalty.pulls[0]


def test_fisher_information_is_the_mean_square_of_each_samples_gradient():
    data = few(12)
    learner, pull = measured(Ewc(1.0), data)
    task = Permuted(data, tasks=1).experience(0).task
    each = list(by_hand(learner.network, task.x, task.y, torch.nn.functional.cross_entropy))
    for name, found in pull.importance.items():
        torch.testing.assert_close(found, sum(g[name].square() for g in each) / 12, rtol=1e-4, atol=1e-9)
        np.testing.assert_allclose(pull.anchor[name].T, weights(learner.network)[name], rtol=0, atol=1e-6)
    assert set(pull.importance) == {"image->layer1", "layer1->layer2"}
    _, coarse = measured(Ewc(1.0, batch=12), data)  # of the mean gradient
    for name, found in coarse.importance.items():
        torch.testing.assert_close(found, (sum(g[name] for g in each) / 12).square(), rtol=1e-3, atol=1e-9)


def test_labels_can_be_drawn_from_what_the_network_answers():
    """The two Fisher matrices agree on average if labels are as the network believes; here on their size only."""
    data = few(40)
    given, drawn = (measured(Ewc(1.0, labels=kind), data)[1] for kind in ("given", "drawn"))
    sizes = [float(sum(f.sum() for f in pull.importance.values())) for pull in (given, drawn)]
    assert sizes[0] != sizes[1] and 0.3 < sizes[1] / sizes[0] < 3
    with pytest.raises(InvalidValueError, match=r"softmax of scores.*found 'step_cross_entropy'"):
        measured(Ewc(labels="drawn"), data, loss="step_cross_entropy", readout="membrane_mean")


def test_memory_aware_synapses_measure_how_outputs_depend_on_weights():
    data = few(12)
    learner, pull = measured(Mas(1.0), data)
    task = Permuted(data, tasks=1).experience(0).task
    each = list(by_hand(learner.network, task.x, task.y, lambda scores, label: scores.square().sum()))
    for name, found in pull.importance.items():
        torch.testing.assert_close(found, sum(g[name].abs() for g in each) / 12, rtol=1e-4, atol=1e-8)


def test_the_path_of_synaptic_intelligence_adds_up_to_the_fall_of_the_loss():
    penalty = SynapticIntelligence(1.0, damping=0.1)
    path = {}

    class Watched(FineTune):
        def step_hook(self):
            def around(parameters, step):
                before = {n: (p.detach().clone(), p.grad.clone()) for n, p in parameters.items()}
                self.penalty(parameters, step)
                for name, (w, g) in before.items():
                    path[name] = path.get(name, 0) + g * (w - parameters[name].detach())

            return around

    start = weights(net())
    learner = learned(Watched(net, penalty=penalty, **BRIEF), [Permuted(few(), tasks=1).experience(0)])
    pull, end = penalty.pulls[0], weights(learner.network)
    for name, found in pull.importance.items():
        moved = torch.as_tensor((end[name] - start[name]).T.astype(np.float32))
        expected = path[name].clamp(min=0) / (moved.square() + 0.1)
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-7)
    with pytest.raises(InvalidValueError, match="batch norms"):
        learned(
            FineTune(net(0, 6, 10, batch_norm()), penalty=SynapticIntelligence(), **BRIEF), Permuted(few(), tasks=1)
        )


# ---------------------------------------------------------------------------------------------------------- learners
@pytest.mark.parametrize("base", [Ewc(50.0, samples=20), Mas(0.1, samples=20), SynapticIntelligence(1.0)])
def test_afec_without_forgetting_is_its_base_bit_by_bit(base):
    tasks = list(Permuted(few(), tasks=3))
    plain, zero, some = (
        learned(FineTune(net, penalty=p, **BRIEF), tasks) for p in (base, Afec(base, 0.0), Afec(base, 30.0))
    )
    # the same penalty began anew each time
    assert plain.network == zero.network != some.network
    assert some.memory == plain.memory  # the expansion is discarded


def test_expansions_start_where_they_are_told():
    tasks = list(Permuted(few(), tasks=3))
    found = {s: learned(FineTune(net, penalty=Afec(Ewc(50.0, samples=20), 30.0, start=s), **BRIEF), tasks)
             for s in ("fresh", "main", "continue")}  # fmt: skip
    assert len({weights(learner.network)["image->layer1"].tobytes() for learner in found.values()}) == 3
    assert found["continue"].memory > found["fresh"].memory == found["main"].memory


def test_interleaved_pulls_are_to_the_expansion_as_it_was_after_as_many_epochs():
    """The target of epoch e is what training for e epochs gives, and its Fisher information is measured there."""
    settings = {**BRIEF, "epochs": 3, "schedule": "constant", "batch_size": 20}
    fisher, tasks = Ewc(0.0, samples=10), list(Permuted(few(), tasks=2))
    penalty = Afec(SynapticIntelligence(1.0), 30.0, mode="interleaved", fisher=fisher)
    learner = learned(FineTune(net, penalty=penalty, count_writes=True, **settings), tasks[:1])
    task = tasks[1].task
    penalty.begin_task(learner, task, (task.x, task.y))
    assert len(penalty.pulls) == 3 and penalty.per_pull == 3
    for epochs, pull in enumerate(penalty.pulls, 1):
        expanded = learner.teach(learner.first, (task.x, task.y), hook=None, epochs=epochs)
        importance, anchor = fisher.fisher(learner, expanded, task)
        for name, values in anchor.items():
            torch.testing.assert_close(pull.anchor[name], values, rtol=0, atol=1e-6)
            torch.testing.assert_close(pull.importance[name], importance[name], rtol=1e-3, atol=1e-9)
    used = []
    penalty.base = Afec(None).base
    for k, pull in enumerate(penalty.pulls):
        pull.add = lambda parameters, limit, k=k: used.append(k)
    for _ in range(9):
        penalty({}, lambda: None)
    assert used == [0] * 3 + [1] * 3 + [2] * 3
    with pytest.raises(InvalidValueError, match="start='main'"):
        learned(FineTune(net(0, 6, 10, batch_norm()), penalty=Afec(Ewc(), 1.0, mode="interleaved"), **BRIEF), tasks)


def test_without_a_base_only_the_expansion_pulls():
    tasks, settings = list(Permuted(few(), tasks=2)), {**BRIEF, "epochs": 6}
    plain, zero, strong = (
        learned(FineTune(net, penalty=p, **settings), tasks) for p in (None, Afec(None, 0.0), Afec(None, 1e6))
    )
    assert plain.network == zero.network and zero.memory == 0 and zero.name == "afec"
    expanded = weights(learned(FineTune(net, **settings), tasks[1:]).network)["image->layer1"]
    near, far = (np.abs(weights(one.network)["image->layer1"] - expanded).mean() for one in (strong, plain))
    assert near < 0.5 * far


def test_pulls_keep_old_tasks_and_forgetting_frees_new_ones():
    scenario = Permuted(DIGITS, tasks=2, seed=1)
    made = {
        "plain": FineTune(net, **SETTINGS),
        "ewc": FineTune(net, penalty=Ewc(100.0, samples=30), **SETTINGS),
        "mas": FineTune(net, penalty=Mas(0.1, samples=30), **SETTINGS),
        "si": FineTune(net, penalty=SynapticIntelligence(2.0), **SETTINGS),
        "afec": FineTune(net, penalty=Afec(Ewc(100.0, samples=30), 100.0), **SETTINGS),
    }
    found = {name: run(scenario, learner, seed=2).metrics() for name, learner in made.items()}
    assert found["plain"]["BWT"] < -0.3
    for name in ("ewc", "mas", "si"):
        assert found[name]["BWT"] > -0.12 and found[name]["ACC"] > found["plain"]["ACC"] + 0.1
    assert found["afec"]["learning accuracy"] > found["ewc"]["learning accuracy"]
    assert found["afec"]["BWT"] < found["ewc"]["BWT"]


def test_a_pull_never_overshoots():
    """Far stronger than a step of SGD bears; the old task is kept, and nothing explodes."""
    scenario = Permuted(DIGITS, tasks=2, seed=1)
    result = run(scenario, FineTune(net, penalty=Ewc(1e7, samples=50), **{**SETTINGS, "epochs": 3}), seed=2)
    assert result.matrix[1, 0] > 0.85


def test_a_fresh_network_for_every_task():
    settings = {**SETTINGS, "epochs": 2}
    told, hidden = (
        run(Permuted(few(), tasks=2, kind=kind), SingleTask(net, **settings)) for kind in ("task", "domain")
    )
    assert told.metrics()["BWT"] == 0 and np.array_equal(np.diag(told.matrix), np.diag(hidden.matrix))
    alone = FineTune(net, **settings)
    assert (
        learned(alone, [Permuted(few(), tasks=2).experience(1)]).network
        == learned(SingleTask(net, **settings), Permuted(few(), tasks=2)).network
    )
    assert list(told.memory) == [0, 4 * (64 * 40 + 400)] and not hidden.memory.any()
    with pytest.raises(InvalidValueError, match="penalty must be left out"):
        SingleTask(net, penalty=Ewc())


def test_penalties_go_with_replay_and_with_heads():
    tasks = list(Permuted(few(), tasks=2))
    learner = learned(Replay(net, size=20, penalty=Afec(Ewc(1.0, samples=10)), **BRIEF), tasks)
    assert learner.name == "afec on ewc with replay" and learner.memory > 20 * 64 * 4
    split = list(Split(few(), tasks=5, kind="task"))[:3]
    penalty = Afec(Ewc(1.0, samples=10), start="continue")
    learner = learned(FineTune(net(outputs=2), heads=True, penalty=penalty, **BRIEF), split)
    assert set(penalty.base.pulls[0].importance) == {"image->layer1"} and set(learner.heads) == {0, 1, 2}


# ------------------------------------------------------------------------------------------------- costs, registry
def test_writes_are_counted_and_change_nothing():
    tasks = list(Permuted(few(), tasks=2))
    counting, plain = (learned(FineTune(net, count_writes=c, **BRIEF), tasks) for c in (True, False))
    assert counting.network == plain.network and plain.writes is None
    changed = [(weights(counting.network)[n] != w).sum() for n, w in weights(net()).items()]
    assert sum(changed) <= counting.writes <= 2 * (64 * 40 + 400)  # one batch in each of two tasks
    frozen = learned(FineTune(net, count_writes=True, weights=["layer1->layer2"], **BRIEF), tasks)
    assert frozen.writes <= 2 * 400
    found = costs(counting, few().x_test)
    assert found.writes == counting.writes and found.memory == 0
    recording = counting.run(counting.network, few().x_test).recording
    assert found.spikes == recording.counts.spikes / 20 and found.energy["cmos45"].nominal_j > 0


def test_every_method_is_made_by_name():
    assert set(methods(told=False)) == set(METHODS) - {"clnp"} and set(methods(told=True)) == set(METHODS)
    for name in METHODS:
        learner = method(name).build(net, **BRIEF)
        assert learner.name and (learner.memory == 0 or name in ("metaplastic", "clnp"))
    afec = method("afec", base="si", settings={"strength": 3.0}, replay=10).build(net, **BRIEF)
    assert afec.penalty.base.strength == 3.0 and isinstance(afec, Replay)
    assert method("afec", base=None, mode="interleaved").build(net, **BRIEF).penalty.mode == "interleaved"
    with pytest.raises(UnknownNameError, match="did you mean 'ewc'"):
        method("ewk")
    with pytest.raises(UnknownNameError, match="did you mean 'strength'"):
        method("ewc", strenght=1)
    with pytest.raises(UnknownNameError, match="base of AFEC"):
        method("afec", base="hlop").build(net)
    with pytest.raises(InvalidValueError, match="without a base has no settings"):
        method("afec", base=None, settings={"strength": 1.0}).build(net)


def test_mistakes_are_told():
    with pytest.raises(InvalidValueError, match=r"strength(.|\n)*decay(.|\n)*labels(.|\n)*samples(.|\n)*batch"):
        Ewc(-1, decay=0, labels="any", samples=0, batch=0)
    with pytest.raises(InvalidValueError, match="damping"):
        SynapticIntelligence(damping=0)
    with pytest.raises(UnknownNameError, match="way to combine"):
        Mas(combine="max")
    with pytest.raises(UnknownNameError, match="start of an expansion"):
        Afec(Ewc(), start="old")
    with pytest.raises(UnknownNameError, match="mode of AFEC"):
        Afec(Ewc(), mode="both")
    with pytest.raises(InvalidValueError, match="forgetting"):
        Afec(Ewc(), -1)
    with pytest.raises(InvalidValueError, match="step_hook is set by the learner"):
        FineTune(net, step_hook=print)
