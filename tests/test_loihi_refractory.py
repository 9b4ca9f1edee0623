"""The refractory period: as brian2-loihi and nengo-loihi count, in the emulator, the neuron model and the quantiser."""

from typing import Any

import numpy as np
import pytest

from spikesim import Input, Network, Population, Probe, Projection, ms, run
from spikesim.backends.loihi.emulator import Emulator, emulate
from spikesim.connect import Dense
from spikesim.errors import InvalidValueError, NetworkError, UnsupportedError
from spikesim.fixedpoint import IntInput, IntNetwork, IntPopulation, IntProjection, find_violations
from spikesim.models.neurons import lif, loihi_lif
from spikesim.quantise import quantise
from spikesim.recording import differing_spikes


def driven(refractory: Any, n: int = 1, **more: Any) -> IntPopulation:
    """A neuron that would spike in every column."""
    return IntPopulation("p", n, du=4095, dv=0, vth=0, bias_mant=1, refractory=refractory, **more)


@pytest.mark.parametrize("period", [1, 2, 5, 64])
def test_a_spike_comes_every_period(period: int) -> None:
    found = emulate(IntNetwork([driven(period)]), 200, record_v=True)
    assert found.spikes["p"][:, 0].tolist() == list(range(0, 200, period))
    assert not found.v["p"].any()


def test_the_current_goes_on_while_the_voltage_is_held() -> None:
    cell = IntPopulation("p", 1, du=2047, dv=0, vth=100, refractory=4)
    line = IntProjection.from_dense("l", "in", "p", [[200]])
    found = emulate(IntNetwork([cell], [line], [IntInput("in", 1)]), 6, {"in": [(0, 0)]}, record_u=True, record_v=True)
    assert found.spikes["p"].tolist() == [[1, 0]]
    assert found.u["p"][:, 0].tolist() == [0, 12800, 6400, 3200, 1600, 800]
    assert found.v["p"][:, 0].tolist() == [0, 0, 0, 0, 0, 800]


def test_each_neuron_may_have_its_own_and_a_run_can_be_cut() -> None:
    emulator = Emulator(IntNetwork([driven([1, 3, 7], 3)]))
    whole, first = emulator.run(40), emulator.run(10)
    second = emulator.run(30, state=first.state)
    assert np.array_equal(np.concatenate([first.spikes["p"], second.spikes["p"]]), whole.spikes["p"])
    assert whole.counts.spikes["p"] == 40 + 14 + 6


def test_a_period_beyond_the_register_or_with_a_soft_reset_is_refused() -> None:
    assert "refractory is 65" in find_violations(IntNetwork([driven(65)]))[0]
    assert "refractory is 0" in find_violations(IntNetwork([driven(0)]))[0]
    with pytest.raises(NetworkError, match="refractory needs reset='hard', found 'soft'"):
        driven(2, reset="soft")
    with pytest.raises(InvalidValueError, match="refractory period needs reset='to'"):
        loihi_lif(reset="subtract", refractory=3)


def network(neuron: Any, n: int = 12, **probe: Any) -> Network:
    rng = np.random.default_rng(4)
    parts = [Population("a", n, neuron), Population("b", n, neuron)]
    weights = rng.uniform(-0.3, 0.9, (3, n, n))
    lines = [
        Projection("x", "a", Dense(weights[0])),
        Projection("a", "b", Dense(weights[1])),
        Projection("b", "a", Dense(weights[2] - 0.4), delay=2 * ms),
    ]
    return Network(parts, lines, [Input("x", n)], probes=[Probe("b", probe["states"])] if probe else [])


@pytest.mark.parametrize(
    ("neuron", "period"),
    [
        (lif(t_ref=3 * ms), 4),
        (lif(t_ref=0.0), 1),
        (lif(t_ref=1 * ms, e_l=-1.0, v_reset=-1.0, v_th=0.0, init={"v": -1.0}), 2),
    ],
)
def test_quantised_refractory_neurons_have_the_same_spikes_everywhere(neuron: Any, period: int) -> None:
    fixed = quantise(network(neuron)).network
    data = {"x": np.random.default_rng(1).random((80, 2, 12)) < 0.3}
    emulated, compiled = run(fixed, inputs=data, backend="loihi"), run(fixed, inputs=data)
    assert len(emulated["b"]) > 50
    assert differing_spikes(emulated, compiled) == 0
    gaps = [np.diff(emulated["a"].step[(emulated["a"].neuron == i) & (emulated["a"].sample == 0)]) for i in range(12)]
    assert min(int(g.min()) for g in gaps if g.size) == period


def test_what_holds_the_voltage_elsewhere_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="holds its voltage where a hard reset put it"):
        quantise(network(lif(reset="subtract", t_ref=2 * ms)))
    with pytest.raises(UnsupportedError, match="at most 64 steps, found 101"):
        quantise(network(lif(t_ref=100 * ms)))
    with pytest.raises(UnsupportedError, match="one refractory time per population"):
        quantise(network(lif(t_ref=np.repeat([1 * ms, 2 * ms], 6))))


def test_lava_and_converters_refuse_it_by_name() -> None:
    from spikesim.backends.lava.job import find_unsupported
    from spikesim.convert.membrane import membrane_of
    from spikesim.lowering import lower

    assert "no refractory period, found 5" in find_unsupported(IntNetwork([driven(5)]))[0]
    graph = lower(quantise(network(lif(t_ref=3 * ms))).network)
    membrane, _ = membrane_of(graph.nodes[0])
    assert membrane is not None and any("refractory" in loss for loss in membrane.losses)


def test_a_counter_cannot_be_probed_on_the_chip() -> None:
    fixed = network(loihi_lif(refractory=3, v_th=50), states=("r",))
    with pytest.raises(UnsupportedError, match="states are 'u' and 'v', found 'r'"):
        run(fixed, inputs={"x": np.zeros((3, 1, 12))}, backend="loihi")


@pytest.mark.parametrize("backend", ["loihi", "lava"])
def test_options_that_would_be_ignored_are_refused(backend: str) -> None:
    net = Network([Population("p", 2, loihi_lif(bias_mant=100))])
    for option, match in (({"device": "cuda"}, "runs on the cpu, found device='cuda'"),
                          ({"dtype": "float32"}, "chip's integers, found dtype='float32'"),
                          ({"representations": {"l": "dense"}}, "found representations of 'l'")):  # fmt: skip
        with pytest.raises(InvalidValueError, match=match):
            run(net, steps=3, backend=backend, **option)  # type: ignore[arg-type]
