"""The integer emulator against the real Lava runtime: spikes and states, on networks of every kind."""

import sys

import numpy as np
import pytest

from spikesim import Input, Network, Population, Probe, Projection, ms, run
from spikesim.backends.lava import runner
from spikesim.connect import Dense, FixedProbability
from spikesim.distributions import Normal, Uniform
from spikesim.errors import BackendError, UnsupportedError
from spikesim.lowering import lower
from spikesim.models.neurons import cuba_lif, lif, lif_soft
from spikesim.profile import profile
from spikesim.quantise import quantise
from spikesim.recording import differing_spikes


def random_network(seed: int) -> Network:
    """Three populations with hard and soft resets, a loop, random delays, projections without delay."""
    rng = np.random.default_rng(seed)
    n = [int(k) for k in rng.integers(8, 40, 3)]
    return Network(
        [
            Population("a", n[0], cuba_lif(reset="subtract", du=rng.uniform(0.05, 0.9), dv=rng.uniform(0.01, 0.5))),
            Population("b", n[1], lif(reset="to", tau_m=float(rng.uniform(3, 30)) * ms)),
            Population("c", n[2], lif_soft(th=0.7, q=float(rng.uniform(0.4, 1.5)))),
        ],
        [
            Projection("x", "a", Dense(rng.normal(0.15, 0.3, (n[0], 12)))),
            Projection("a", "a", FixedProbability(0.3), Normal(0.0, 0.2), delay=Uniform(1 * ms, 7 * ms)),
            Projection("a", "b", FixedProbability(0.5), Normal(0.2, 0.2)),
            Projection("b", "a", FixedProbability(0.4), -0.2, delay=3 * ms),
            Projection("b", "c", FixedProbability(0.6), Normal(0.1, 0.3)),
            Projection("x", "c", Dense(rng.normal(0.1, 0.3, (n[2], 12))), delay=2 * ms),
        ],
        [Input("x", 12)],
        probes=[Probe("a", ("u", "v")), Probe("c", ("v",), every=4)],
        seed=seed,
    )  # fmt: skip


@pytest.mark.lava
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_emulator_and_lava_agree_in_spikes_and_states(seed: int) -> None:
    network = quantise(random_network(seed)).network
    data = {"x": np.random.default_rng(seed).random((40, 2, 12)) < 0.3}
    emulated, real = (run(network, inputs=data, backend=b, timeout=120) for b in ("loihi", "lava"))
    assert all(len(s) > 20 for s in emulated.spikes.values())
    assert differing_spikes(emulated, real) == 0
    assert differing_spikes(emulated, run(network, inputs=data)) == 0
    for target, traces in emulated.traces.items():
        for variable, trace in traces.items():
            assert (trace.values == real.traces[target][variable].values).all(), (target, variable)
    for name, counts in emulated.counts.populations.items():
        assert counts.active.tolist() == real.counts.populations[name].active.tolist()
    assert profile(emulated, network, []).per_sample == profile(real, network, []).per_sample


@pytest.mark.lava
def test_a_failing_child_is_an_error_with_its_output() -> None:
    with pytest.raises(BackendError, match=r"(?s)exit code.*No such file|exit code.*unable to open"):
        runner._run_child(
            [sys.executable, "-m", "spikesim.backends.lava.worker", "/no/such/job.h5", "/no/result.h5"], 60
        )


def test_a_late_child_is_ended() -> None:
    with pytest.raises(BackendError, match=r"within 0\.5 s"):
        runner._run_child([sys.executable, "-c", "import time; time.sleep(60)"], 0.5)


def multapses(weight: object, delay: object = 1 * ms) -> Network:
    from spikesim.connect import FixedIndegree

    parts = [Projection("x", "a", FixedIndegree(6), weight=0.5), Projection("a", "a", FixedIndegree(5), weight, delay)]
    return Network([Population("a", 8, lif_soft())], parts, [Input("x", 20)])


@pytest.mark.lava
def test_several_synapses_between_one_pair_are_summed() -> None:
    network = quantise(multapses(0.1).swap(Projection("x", "a", weight=0.5))).network
    data = {"x": np.random.default_rng(0).random((40, 1, 20)) < 0.1}
    emulated, real = (run(network, inputs=data, backend=b, timeout=120) for b in ("loihi", "lava"))
    assert len(emulated["a"]) > 20 and differing_spikes(emulated, real) == 0


def test_what_lava_cannot_hold_is_listed() -> None:
    from spikesim.backends.lava import LavaBackend

    too_strong = LavaBackend().check(lower(quantise(multapses(0.5)).network))
    assert len(too_strong) == 2 and all("cannot hold their sum" in p for p in too_strong)
    delayed = LavaBackend().check(lower(quantise(multapses(0.01, Uniform(1 * ms, 9 * ms))).network))
    assert any("different delays" in p for p in delayed)
    net = multapses(0.1)
    with pytest.raises(UnsupportedError, match="not in fixed point"):
        run(net, inputs={"x": np.zeros((4, 1, 20))}, backend="loihi")
