"""What print(network) and a notebook say."""

import numpy as np
import pytest
from scipy import sparse

from spikesim import Network, PoissonDrive, Population, Probe, Projection, ms, mV
from spikesim.connect import (
    AllToAll,
    Connection,
    Conv2d,
    Dense,
    FixedIndegree,
    FixedOutdegree,
    FixedProbability,
    FixedTotalNumber,
    OneToOne,
    SmallWorld,
    Sparse,
)
from spikesim.describe import amount, count, describe, describe_html, quantity, synapses
from spikesim.distributions import Normal, Uniform
from spikesim.lowering import lower
from spikesim.models.neurons import lif


def small() -> Network:
    return Network(
        [
            Population("exc", 80, lif(tau_m=15 * ms, init={"v": Uniform(0.0, 5 * mV)})),
            Population("inh", (4, 5), lif(v_th=np.linspace(1.0, 2.0, 20))),
        ],
        [
            Projection("exc", "inh", FixedProbability(0.1), weight=0.5, delay=1.5 * ms),
            Projection("inh", "exc", FixedIndegree(3), weight=Normal(-0.2, 0.1, high=0.0), delay=1 * ms, name="back"),
        ],
        [PoissonDrive("noise", "exc", rate=1.2e3, weight=0.1)],
        [Probe("exc", "v", every=10, neurons=(0, 1))],
        dt=0.5 * ms,
        name="<b>tiny</b>",
    )


def test_the_text() -> None:
    assert str(small()).splitlines() == [
        "Network '<b>tiny</b>': 100 neurons, 400 synapses, dt 500 µs, seed 0",
        "Populations",
        "  exc  80     lif  tau_m 15 ms, v(0) Uniform(0 V, 5 mV)",
        "  inh  4 x 5  lif  v_th 1 V .. 2 V",
        "Stimuli",
        "  noise  -> exc  PoissonDrive  rate 1.2 kHz, weight 0.1",
        "Projections",
        "  exc -> inh        FixedProbability(p=0.1)  160 synapses  weight 0.5                         delay 1.5 ms",
        "  back: inh -> exc  FixedIndegree(k=3)       240 synapses  weight Normal(-0.2, 0.1, up to 0)  delay 1 ms",
        "Probes",
        "  exc  v  every 10 steps  2 neurons",
    ]


def test_the_notebook_table_is_escaped_and_has_no_script() -> None:
    page = describe_html(small())
    assert "&lt;b&gt;tiny&lt;/b&gt;" in page and "<b>tiny" not in page and "<script" not in page
    assert page == small()._repr_html_() and page.count("<tr>") == page.count("</tr>")
    assert "exc -&gt; inh" in page


@pytest.mark.parametrize(
    "rule",
    [
        AllToAll(),
        AllToAll(autapses=False),
        OneToOne(),
        FixedIndegree(4),
        FixedOutdegree(3),
        FixedTotalNumber(55),
        SmallWorld(4, 0.1),
        Dense(np.ones((20, 20))),
        Sparse(sparse.random(20, 20, 0.2, rng=np.random.default_rng(0))),
    ],
)
def test_synapses_are_counted_without_drawing_them(rule: Connection) -> None:
    weight = None if rule.has_weights else 0.1
    net = Network([Population("a", 20, lif())], [Projection("a", "a", rule, weight=weight, delay=1 * ms)])
    assert synapses(net.projections[0], net) == lower(net).synapses


def test_synapses_of_a_convolution() -> None:
    rule = Conv2d(np.ones((2, 1, 3, 3)))
    net = Network([Population("a", (1, 6, 6), lif()), Population("b", (2, 4, 4), lif())], [Projection("a", "b", rule)])
    assert synapses(net.projections[0], net) == lower(net).synapses
    wrong = Network([Population("a", 7, lif()), Population("b", (2, 4, 4), lif())], [Projection("a", "b", rule)])
    assert "Conv2d" in describe(wrong)  # what does not fit is described all the same


def test_a_network_of_many_parts_stays_short() -> None:
    net = Network([Population(f"p{k}", 1, lif()) for k in range(100)])
    assert len(str(net).splitlines()) < 50 and "... and 60 more" in str(net)
    assert str(Network()) == "Network 'network': 0 neurons, 0 synapses, dt 1 ms, seed 0"


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.02, "s", "20 ms"),
        (0.9999999, "s", "1 s"),
        (1e-3, "V", "1 mV"),
        (-0.0705, "V", "-70.5 mV"),
        (999.99e-6, "A", "1 mA"),
        (1e-18, "F", "0.001 fF"),
        (2.5, "", "2.5"),
        (3e7, "Ohm", "30 MOhm"),
        (float("inf"), "s", "inf s"),
        (0.01, "1/s", "0.01 1/s"),
    ],
)
def test_quantities(value: float, unit: str, text: str) -> None:
    assert quantity(value, unit) == text


def test_amounts() -> None:
    assert amount(np.array([1e-3, 5e-3]), "s") == "1 ms .. 5 ms" and amount(np.array([]), "s") == "no values"
    assert amount(np.full(3, 2.0)) == "2" and count(9_999) == "9999" and count(1_250_000) == "1.25 M"
