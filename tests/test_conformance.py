"""Every neuron model on every backend: the same spikes, or a reason."""

import numpy as np
import pytest

from spikesim import Network, PoissonDrive, Population, Projection, SpikeTrains, ms, neuron, run, spike
from spikesim.connect import FixedProbability
from spikesim.distributions import Normal, Uniform
from spikesim.engine import backends
from spikesim.errors import UnsupportedError
from spikesim.models.neurons import NEURONS
from spikesim.quantise import quantise
from spikesim.recording import differing_spikes

# neurons whose natural scale is not "threshold 1, inputs around 0.1": weight and drive that make them fire
STRENGTH = {"izhikevich": 10.0, "loihi_lif": 60.0, "cuba_lif": 0.2, "lif_euler": 4.0}
SILENT = {"li"}


def chaotic(cell: object, strength: float) -> Network:
    """Fifty neurons, random weights of both signs, random delays, Poisson drive: an error would grow."""
    weights = Normal(0.0, strength)
    return Network(
        [Population("a", 30, cell), Population("b", 20, cell)],
        [
            Projection("a", "b", FixedProbability(0.5), weight=weights, delay=Uniform(1 * ms, 8 * ms)),
            Projection("b", "a", FixedProbability(0.5), weight=weights, delay=2 * ms),
            Projection("a", "a", FixedProbability(0.3), weight=weights, delay=1 * ms),
            Projection("in", "a", FixedProbability(0.5), weight=strength),
        ],
        [
            SpikeTrains("in", 10, times=np.arange(200) * 2 * ms, indices=np.arange(200) % 10),
            PoissonDrive("noise", "a", rate=400.0, weight=strength),
            PoissonDrive("noise_b", "b", rate=400.0, weight=strength),
        ],
        dt=1 * ms,
        seed=3,
    )


@pytest.mark.parametrize("name", sorted(NEURONS))
def test_numba_and_torch_agree_to_the_spike(name: str) -> None:
    pytest.importorskip("torch")
    network = chaotic(NEURONS[name](), STRENGTH.get(name, 0.4))
    compiled = run(network, steps=400)
    reference = run(network, steps=400, backend="torch")
    assert name in SILENT or len(compiled["a"]) > 50
    assert differing_spikes(compiled, reference) == 0
    for population, counts in compiled.counts.populations.items():
        assert counts.active.tolist() == reference.counts.populations[population].active.tolist()


def test_a_users_own_neuron_runs_everywhere() -> None:
    @neuron(alpha=0.9, v_th=1.0, q=0.7)
    def my_lif(v, i, p):  # type: ignore[no-untyped-def]
        u = p.alpha * v + i
        s = spike(u - p.v_th)
        return s, u - p.q * s

    network = chaotic(my_lif, 0.4)
    compiled = run(network, steps=400)
    assert len(compiled["a"]) > 100
    if "torch" in backends():
        assert differing_spikes(compiled, run(network, steps=400, backend="torch")) == 0


# what the chip's neuron has no counterpart for: neuron, and part of the reason that must be given
NOT_ON_THE_CHIP = {
    "adex": "has one input",
    "alif": "tests for a spike 2 times",
    "izhikevich": "multiplies two values that change",
    "li": "tests for a spike 0 times",
    "lif_alpha": "has one input",
    "lif_cond_exp": "has one input",
    "lif_exp": "has one input",
    "lif_psc_exp": "has one input",
    "loihi_lif": "in fixed point already",
}


def chip_network(name: str) -> Network:
    """A population with input and a loop with random delays."""
    scale = 10.0 if name == "lif_euler" else 1.0  # its input acts with a factor of 0.1
    return Network(
        [Population("a", 25, NEURONS[name]())],
        [
            Projection("in", "a", FixedProbability(0.5), weight=Normal(0.3 * scale, 0.2)),
            Projection("a", "a", FixedProbability(0.3), weight=Normal(0.0, 0.2 * scale), delay=Uniform(1 * ms, 6 * ms)),
        ],
        [SpikeTrains("in", 10, times=np.arange(300) * ms, indices=np.arange(300) % 10)],
        seed=4,
    )


@pytest.mark.parametrize("name", sorted(NEURONS))
def test_on_the_chip_or_a_reason(name: str) -> None:
    """Each neuron is brought to fixed point and runs in the emulator as on numba, or is refused with the reason."""
    if name in NOT_ON_THE_CHIP:
        with pytest.raises(UnsupportedError, match=NOT_ON_THE_CHIP[name]):
            quantise(chip_network(name))
        return
    integers = quantise(chip_network(name)).network
    emulated = run(integers, steps=300, backend="loihi")
    assert len(emulated["a"]) > 50
    assert differing_spikes(emulated, run(integers, steps=300)) == 0


@pytest.mark.lava
@pytest.mark.parametrize("name", sorted(set(NEURONS) - {*NOT_ON_THE_CHIP, "lif_euler", "synaptic"}))
def test_lava_runs_what_the_chip_has(name: str) -> None:
    integers = quantise(chip_network(name)).network
    emulated, real = (run(integers, steps=60, backend=b, timeout=120) for b in ("loihi", "lava"))
    assert len(emulated["a"]) > 5
    assert differing_spikes(emulated, real) == 0
