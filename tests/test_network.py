"""Describing and lowering: what fits together, what does not, and that everything is reported at once."""

import numpy as np
import pytest

from spikesim import Current, Input, Network, Poisson, PoissonDrive, Population, Probe, Projection, SpikeTrains, ms
from spikesim.connect import AllToAll, Dense, FixedProbability, OneToOne
from spikesim.distributions import Normal, Uniform
from spikesim.errors import InvalidValueError, NetworkError, UnknownNameError
from spikesim.graph import PortExactness
from spikesim.lowering import grid_of, lower, snap
from spikesim.models.neurons import lif, lif_exp


def two(**projection: object) -> Network:
    settings = {"weight": 0.5, "delay": 1 * ms, **projection}
    return Network(
        [Population("a", 4, lif()), Population("b", 3, lif())],
        [Projection("a", "b", **settings)],  # type: ignore[arg-type]
    )


def test_all_problems_are_reported_at_once_with_the_nearest_name() -> None:
    with pytest.raises(NetworkError) as caught:
        Network(
            [Population("cells", 4, lif(tau_m=-1.0)), Population("cells", 2, lif())],
            [
                Projection("cell", "cells", weight=0.1),
                Projection("cells", "cells", port="x", weight=np.nan, name="loop"),
            ],
            probes=[Probe("cells", ("volt",))],
            dt=0.0,
        )
    text = str(caught.value)
    assert len(caught.value.problems) == 7
    for part in (
        "tau_m must be above 0",
        "used twice",
        "did you mean 'cells'?",
        "port of 'cells'",
        "NaN",
        "'volt'",
        "dt must be",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (lambda: two(rule=OneToOne()), "equal sizes"),
        (lambda: two(rule=Dense(np.zeros((2, 2))), weight=None), "[3, 4], found [2, 2]"),
        (lambda: two(weight=[1.0, 2.0]), "2 values but the rule makes 12"),
        (lambda: two(delay=1.5 * ms), "not a whole number of steps"),
        (lambda: two(delay=-1 * ms), "at least 0 s"),
        (lambda: two(weight=None), "no weight given"),
        (lambda: two(rule=Dense(np.zeros((3, 4)))), "leave `weight` out"),
    ],
)
def test_a_projection_that_does_not_fit_says_why(make: object, part: str) -> None:
    with pytest.raises(NetworkError, match=part.replace("[", r"\[").replace("]", r"\]")):
        lower(make())  # type: ignore[operator]


def test_a_loop_without_delay_is_named() -> None:
    net = Network(
        [Population(n, 2, lif()) for n in "abc"],
        [
            Projection("a", "b", weight=1.0),
            Projection("b", "c", weight=1.0),
            Projection("c", "b", weight=1.0, delay=0.0),
        ],
    )
    with pytest.raises(NetworkError, match="b -> c -> b form a loop without delay"):
        lower(net)


def test_levels_follow_the_instantaneous_projections() -> None:
    net = Network(
        [Population(n, 2, lif()) for n in "cba"],
        [
            Projection("a", "b", weight=1.0),
            Projection("b", "c", weight=1.0),
            Projection("c", "a", weight=1.0, delay=1 * ms),
        ],
    )
    assert [(n.name, n.level) for n in lower(net).nodes] == [("a", 0), ("b", 1), ("c", 2)]


def test_weights_stand_on_a_grid_on_which_sums_are_exact() -> None:
    net = two(rule=FixedProbability(0.8), weight=Normal(0.0, 1.0))
    graph = lower(net)
    exact: PortExactness = graph.exactness["b", "i"]
    weights = np.asarray(graph.edges[0].weights)
    assert exact.exact and exact.max_change < 2.0**-30
    assert (weights / exact.grid == np.rint(weights / exact.grid)).all()
    raw = np.asarray(lower(net, snap=False).edges[0].weights)
    assert np.abs(raw - weights).max() <= exact.grid / 2
    shuffled = np.random.default_rng(0).permutation(np.tile(weights, 1000))
    assert shuffled.sum() == np.sort(shuffled).sum() == weights.sum() * 1000  # a float sum would depend on the order


def test_the_grid_is_a_power_of_two() -> None:
    assert grid_of(1.0) == 2.0**-30
    assert grid_of(1.0 + 2**-40) == 2.0**-29
    assert snap(0.3, 0.25) == 0.25


def test_another_projection_never_changes_the_draws_of_the_first() -> None:
    first = Projection("a", "b", FixedProbability(0.5), weight=Normal(0.0, 1.0), delay=Uniform(1 * ms, 5 * ms))
    net = Network([Population("a", 40, lif()), Population("b", 40, lif())], [first])
    more = net.add(Projection("b", "a", FixedProbability(0.5), weight=0.1, delay=1 * ms))
    one, other = lower(net, snap=False).edges[0], lower(more, snap=False).edges[0]
    assert (one.indices == other.indices).all() and (one.weights == other.weights).all()
    assert (one.delays == other.delays).all()
    assert (lower(net, seed=1).edges[0].synapses, lower(net, seed=2).edges[0].synapses) != (0, 0)
    assert not np.array_equal(lower(net, seed=1).edges[0].indices, lower(net, seed=2).edges[0].indices)


def test_delays_become_steps() -> None:
    assert lower(two(delay=3 * ms)).edges[0].delays == 3
    drawn = lower(two(delay=Uniform(1 * ms, 6 * ms))).edges[0].delays
    assert np.asarray(drawn).dtype == np.int32 and np.min(drawn) >= 1 and np.max(drawn) <= 6


def test_heterogeneous_parameters_and_initial_values() -> None:
    cell = lif(tau_m=Uniform(10 * ms, 30 * ms), init={"v": Normal(0.0, 0.1)})
    node = lower(Network([Population("a", 50, cell)])).nodes[0]
    assert node.params["tau_m"].shape == (50,) and len(np.unique(node.params["tau_m"])) > 40
    assert node.init["v"].std() > 0.05
    with pytest.raises(NetworkError, match="needs 1 or 3 values, found 2"):
        Network([Population("a", 3, lif(tau_m=[0.01, 0.02]))])


def test_names_are_checked_where_they_are_written() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'tau_m'"):
        lif(tau_n=0.01)
    net = two()
    with pytest.raises(UnknownNameError, match="did you mean 'a->b'"):
        net["a>b"]
    with pytest.raises(InvalidValueError, match="at least 1"):
        Population("a", 0, lif())


def test_networks_are_values() -> None:
    net = two()
    more = net.add(Poisson("p", 4, rate=10.0), Projection("p", "a", weight=1.0))
    assert len(net.stimuli) == 0 and len(more.projections) == 2
    swapped = net.swap(Population("b", 3, lif(tau_m=5 * ms)))
    assert swapped.population("b").neuron.params["tau_m"] == 5 * ms
    assert "tau_m" not in net.population("b").neuron.params or net.population("b").neuron.params["tau_m"] != 5 * ms
    with pytest.raises(NetworkError, match="used twice"):
        net.add(Population("a", 2, lif()))


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (lambda: Poisson("p", 3, rate=-1.0), "at least 0 Hz"),
        (lambda: PoissonDrive("p", "a", rate=float("nan")), "finite"),
        (lambda: SpikeTrains("s", 2, times=[0.1], indices=[5]), "must be 0 .. 1"),
        (lambda: SpikeTrains("s", 2, times=[-0.1], indices=[0]), "at least 0 s"),
        (lambda: Current("c", "a", times=[0.0, 0.0], values=[1.0, 2.0]), "rise"),
        (lambda: FixedProbability(1.5), "from 0 to 1"),
    ],
)
def test_stimuli_and_rules_refuse_what_cannot_be(make: object, part: str) -> None:
    with pytest.raises(InvalidValueError, match=part):
        make()  # type: ignore[operator]


def test_pint_quantities_are_accepted_at_the_border() -> None:
    pint = pytest.importorskip("pint")
    unit = pint.UnitRegistry()
    assert lif(tau_m=10 * unit.ms).params["tau_m"] == pytest.approx(0.01)
    with pytest.raises(InvalidValueError, match="needs the unit s"):
        lif(tau_m=10 * unit.meter)


def test_ports_have_names() -> None:
    net = Network(
        [Population("a", 2, lif_exp()), Population("s", 2, lif())],
        [Projection("s", "a", AllToAll(), weight=1e-3, delay=1 * ms, port="inh")],
    )
    assert lower(net).edges[0].port == "inh"
    assert lower(Network(stimuli=[Input("x", 3)])).sources[0].n == 3
