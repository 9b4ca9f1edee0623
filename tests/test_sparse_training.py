"""Masks, gradual pruning, GraNet: their arithmetic, and that training keeps to them."""

import numpy as np
import pytest

from spikesim import Input, Network, Population, Projection, run, sequential
from spikesim.connect import Dense, Sparse
from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.layers import dense
from spikesim.lowering import lower
from spikesim.models.neurons import lif_soft
from spikesim.sparsify import Gradual, GraNet, Rigl, pruning_plasticity, sparsity_named
from spikesim.sparsify.gradual import cubic_sparsity, keep_largest
from spikesim.sparsify.rigl import erk_densities, random_masks, swap, swap_share

torch = pytest.importorskip("torch")

from spikesim.train import evaluate, train  # noqa: E402

RANDOM = np.random.default_rng(0)
X = RANDOM.uniform(0, 1, (160, 12))
Y = (X[:, :6].sum(1) > X[:, 6:].sum(1)).astype(int)
SETTINGS = {"batch_size": 16, "steps": 4, "learning_rate": 1e-2, "validation_fraction": 0.0, "schedule": "constant"}


def small(seed=1, hidden=20):
    return sequential(Input("x", 12, graded=True), dense(hidden), lif_soft(), dense(2), lif_soft(), seed=seed)


# ---------------------------------------------------------------------------------------------------- pure functions
def test_cubic_schedule():
    values = [cubic_sparsity(k, 10, 0.2, 0.9) for k in range(11)]
    assert values[0] == pytest.approx(0.2) and values[10] == 0.9 and values == sorted(values)
    assert values[5] == pytest.approx(0.2 + 0.875 * 0.7)
    assert (cubic_sparsity(1000, 1000, 0, 1) - cubic_sparsity(999, 1000, 0, 1)) * 1000 < 2e-6  # flat at the end


def test_swap_share_is_a_cosine():
    assert swap_share(0.0) == 0.5 and swap_share(1.0) == pytest.approx(0.005)
    assert swap_share(0.5, 0.4, 0.0) == pytest.approx(0.2)


@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.9, 0.98, 0.999])
def test_pruning_keeps_exactly_the_largest_of_all_matrices(sparsity):
    weights = {"a": RANDOM.normal(size=(40, 30)), "b": 0.1 * RANDOM.normal(size=(500,))}
    masks = {name: np.ones(w.shape, bool) for name, w in weights.items()}
    kept = keep_largest(weights, masks, sparsity, np.random.default_rng(0))
    sizes = np.concatenate([np.abs(w).ravel() for w in weights.values()])
    chosen = np.concatenate([kept[name].ravel() for name in weights])
    assert chosen.sum() == round((1 - sparsity) * 1700)
    assert sizes[chosen].min() >= sizes[~chosen].max(initial=0.0)
    even = keep_largest(weights, masks, sparsity, np.random.default_rng(0), "uniform")
    assert {n: int(m.sum()) for n, m in even.items()} == {n: round((1 - sparsity) * w.size) for n, w in weights.items()}


def test_pruning_with_ties_at_zero_takes_no_more_than_asked_and_revives_nothing():
    weights, masks = {"a": np.zeros(100)}, {"a": np.arange(100) < 60}
    kept = keep_largest(weights, masks, 0.7, np.random.default_rng(0))["a"]
    assert kept.sum() == 30 and not kept[60:].any()
    other = keep_largest(weights, masks, 0.7, np.random.default_rng(1))["a"]
    assert (kept != other).any()  # ties are drawn
    assert keep_largest(weights, masks, 0.1, np.random.default_rng(0))["a"].sum() == 60


def test_a_swap_drops_the_smallest_and_grows_where_the_gradient_is_largest():
    weight = np.array([[5.0, 0.2, 0.0], [0.1, 3.0, 0.0], [0.0, 4.0, 0.0]])
    mask = weight != 0
    gradient = np.array([[9.0, 0.0, -0.7], [0.3, 9.0, 0.6], [0.1, 9.0, 0.5]])
    found = swap(weight, mask, gradient, 0.4, np.random.default_rng(0))  # ceil(0.4 * 5) = 2
    assert found.mask.tolist() == [[True, False, True], [False, True, True], [False, True, False]]
    assert found.grown.tolist() == [[False, False, True], [False, False, True], [False, False, False]]


def test_silent_neurons_do_not_make_a_swap_drift():
    mask = np.arange(50) < 25
    for seed in range(5):  # every gradient 0: the places are drawn, and none that is taken counts
        found = swap(RANDOM.normal(size=50) * mask, mask, np.zeros(50), 0.3, np.random.default_rng(seed))
        assert found.mask.sum() == 25 and found.grown.sum() == 8 and not (found.grown & ~found.mask).any()
    assert swap(np.ones(9), np.ones(9, bool), np.ones(9), 0.5, np.random.default_rng(0)).mask.all()


@pytest.mark.parametrize("density", [0.01, 0.1, 0.5, 1.0])
def test_erdos_renyi_densities_add_up(density):
    dims = {"a": (784, 256), "b": (256, 64), "c": (64, 10), "d": (16, 3, 3, 3)}
    sizes = {name: int(np.prod(d)) for name, d in dims.items()}
    found = erk_densities(dims, sizes, density)
    assert sum(found[n] * sizes[n] for n in dims) == pytest.approx(density * sum(sizes.values()))
    assert all(0 < d <= 1 for d in found.values())
    inner = {n: d for n, d in found.items() if d < 1}
    ratios = [d * sizes[n] / sum(dims[n]) for n, d in inner.items()]
    assert np.ptp(ratios) < 1e-9 if ratios else density == 1.0
    masks = random_masks(dims, found, np.random.default_rng(0))
    assert sum(m.sum() for m in masks.values()) == round(density * sum(sizes.values()))


def test_mistakes_get_a_clear_answer():
    with pytest.raises(InvalidValueError, match=r"(?s)sparsity must be .*start must be .*until must be"):
        GraNet(1.0, start=2.0, until=0.0)
    with pytest.raises(UnknownNameError, match="score"):
        GraNet(0.9, score="luck")
    with pytest.raises(UnknownNameError, match="granet"):
        sparsity_named("snip:0.9")
    with pytest.raises(InvalidValueError, match="such as 'granet"):
        sparsity_named("granet")
    with pytest.raises(InvalidValueError, match="too few for one event every 50"):
        train(small(), (X, Y), epochs=1, sparsity=GraNet(0.9, every=50), **SETTINGS)
    with pytest.raises(UnknownNameError, match="learned projection"):
        train(small(), (X, Y), epochs=1, sparsity=GraNet(0.9, exempt=("nobody",)), **SETTINGS)


# --------------------------------------------------------------------------------------------------------- training
def watched(plan):
    """Return a plan that notes, after every step, whether a masked weight or moment is not 0, and all counts."""

    class Plan:
        def __init__(self):
            self.leaks, self.counts = [], []

        def attend(self, ground):
            pruner = plan.attend(ground)
            inner_stepped, inner_batch = pruner.stepped, pruner.batch

            def leaks():
                found = 0.0
                for m in pruner.store.matrices:
                    off = pruner.store.kept[m.name] == 0
                    state = ground.optimiser.state.get(m.weight, {})
                    for value in (m.weight, *(v for v in state.values() if v is not None and v.shape == off.shape)):
                        found = max(found, float(value.detach()[off].abs().sum()))
                return found

            def stepped():
                inner_stepped()
                self.leaks.append(leaks())

            def batch():
                inner_batch()
                self.leaks.append(leaks())
                self.counts.append([int(k.sum()) for k in pruner.store.kept.values()])

            pruner.stepped, pruner.batch = stepped, batch
            return pruner

    return Plan()


@pytest.mark.parametrize("optimiser", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("score", ["grad", "elig"])
def test_masked_weights_and_moments_stay_zero_and_counts_are_exact(optimiser, score):
    plan = watched(GraNet(0.9, every=3, score=score))
    train(small(), (X, Y), epochs=6, optimiser=optimiser, weight_decay=1e-3, sparsity=plan, **SETTINGS)
    assert max(plan.leaks) == 0.0 and len(plan.leaks) == 2 * 60
    n = 12  # events: 60 batches, the first 60 % of them, every third
    for k in range(1, 21):
        expected = round((1 - cubic_sparsity(k, n, 0.0, 0.9)) * 280)
        assert sum(plan.counts[3 * k - 1]) == expected
    assert sum(plan.counts[-1]) == 28


def test_without_swap_it_is_gradual_pruning_and_from_its_end_it_is_rigl():
    gmp = watched(Gradual(0.8, every=5))
    train(small(), (X, Y), epochs=5, sparsity=gmp, **SETTINGS)
    assert train(small(), (X, Y), epochs=5, sparsity=Gradual(0.8, every=5), **SETTINGS).network == (
        train(small(), (X, Y), epochs=5, sparsity=GraNet(0.8, every=5, swap=0, swap_end=0), **SETTINGS).network
    )
    rigl = watched(Rigl(0.8, every=5))
    train(small(), (X, Y), epochs=5, sparsity=rigl, **SETTINGS)
    assert len({tuple(c) for c in rigl.counts}) == 1 and sum(rigl.counts[0]) == 56  # per matrix: a swap only


def test_what_comes_out_has_missing_synapses_and_the_same_spikes_everywhere():
    trained = train(small(), (X, Y), epochs=5, sparsity="granet:0.9", seed=3, **SETTINGS)
    net = trained.network
    edges = lower(net).edges
    assert all(isinstance(p.rule, Sparse) for p in net.projections) and sum(e.synapses for e in edges) == 28
    full = [Projection(p.pre, p.post, Dense(p.rule.weights.toarray()), name=p.name) for p in net.projections]
    inputs = {"x": np.broadcast_to(X[:8], (6, 8, 12))}
    runs = [run(n, inputs=inputs, backend=b) for n in (net, net.swap(*full)) for b in ("numba", "torch")]
    for other in runs[1:]:
        for name in net.populations:
            np.testing.assert_array_equal(runs[0][name.name].dense(), other[name.name].dense())
        assert other.counts.synaptic_events == runs[0].counts.synaptic_events
    report = trained.upkeep["sparsity"]
    assert report["sparsity"] == pytest.approx(0.9) and set(report["density"]) == {p.name for p in net.projections}
    again = train(net, (X, Y), epochs=1, **SETTINGS).network  # it can go on learning, with the synapses that it has
    assert sum(e.synapses for e in lower(again).edges) == 28


def test_the_readout_may_stay_dense():
    net = train(small(), (X, Y), epochs=3, sparsity=GraNet(0.9, keep_readout=True), **SETTINGS).network
    first, last = lower(net).edges
    assert first.synapses == 24 and last.synapses == 40 and isinstance(net.projections[1].rule, Dense)


def test_sparse_synapses_and_kernels_are_pruned_too():
    from spikesim.connect import FixedProbability

    sparse = Network(
        [Population("h", 30, lif_soft()), Population("out", 2, lif_soft())],
        [
            Projection("x", "h", FixedProbability(0.5), weight=0.3),
            Projection("h", "h", FixedProbability(0.3), weight=np.nan_to_num(0.05), delay=1e-3, name="loop"),
            Projection("h", "out", Dense(RANDOM.normal(0, 0.3, (2, 30)))),
        ],
        [Input("x", 12, graded=True)],
    )
    before = sum(e.synapses for e in lower(sparse).edges)
    trained = train(sparse, (X, Y), epochs=2, sparsity=GraNet(0.75), **SETTINGS)
    assert sum(e.synapses for e in lower(trained.network).edges) == round(0.25 * before)


def test_training_that_is_killed_ends_with_the_same_network(tmp_path):
    def learn(**more):
        return train(small(), (X, Y), epochs=4, sparsity=GraNet(0.9, score="elig"), seed=5, **SETTINGS, **more)

    whole = learn()

    def stop(epoch, epochs):
        if epoch.number == 2:
            raise RuntimeError("killed")

    path = tmp_path / "run.ckpt.h5"
    with pytest.raises(RuntimeError, match="killed"):
        learn(checkpoint=path, progress=stop)
    resumed = learn(checkpoint=path, resume=True)
    assert resumed.network == whole.network and resumed.upkeep == whole.upkeep


def test_the_best_epoch_is_one_after_pruning():
    settings = {**SETTINGS, "validation_fraction": 0.3}
    trained = train(small(), (X, Y), epochs=6, keep="best", patience=1, sparsity=GraNet(0.95), **settings)
    assert trained.upkeep["sparsity"]["sparsity"] == pytest.approx(0.95, abs=0.002) and len(trained.history) >= 5
    assert sum(e.synapses for e in lower(trained.network).edges) == 14


def test_users_modules_are_masked_too():
    module = torch.nn.Sequential(torch.nn.Linear(12, 20, bias=False), torch.nn.Linear(20, 2, bias=False))
    train(module, (X, Y), epochs=2, loss="membrane_cross_entropy", sparsity=GraNet(0.8), **SETTINGS)
    assert sum(int((p != 0).sum()) for p in module.parameters()) <= 56 and len(module.state_dict()) == 2


def test_pruning_plasticity():
    trained = train(small(hidden=40), (X, Y), epochs=8, **SETTINGS).network
    found = pruning_plasticity(trained, (X, Y), (X, Y), rate=0.8, epochs=4, regrow=0.3, seed=2, **SETTINGS)
    assert found.before == evaluate(trained, X, Y, steps=4).accuracy and found.pruned <= found.before
    assert found.value == found.recovered - found.before and found.recovered >= found.pruned
    assert sum(e.synapses for e in lower(found.network).edges) == round(0.2 * 560)
    none = pruning_plasticity(trained, (X, Y), (X, Y), rate=0.0, epochs=1, **{**SETTINGS, "learning_rate": 1e-12})
    assert none.pruned == none.before and none.value == pytest.approx(0.0, abs=0.02)


def test_command_line(tmp_path):
    from typer.testing import CliRunner

    from spikesim.cli import app, register

    register()
    words = ["train", "digits_mlp", "--epochs", "1", "--steps", "2", "--batch-size", "256", "--json"]
    out = str(tmp_path / "sparse.h5")
    done = CliRunner().invoke(app, [*words, "--sparsity", "gradual:0.9", "--out", out])
    assert done.exit_code == 0 and '"sparsity": 0.9' in done.stdout
    net = Network.load(out)
    assert sum(e.synapses for e in lower(net).edges) < 0.101 * sum(
        net[p.pre].n * net[p.post].n for p in net.projections
    )
    wrong = CliRunner().invoke(app, [*words, "--sparsity", "snip:0.9", "--out", out])
    assert wrong.exit_code != 0
