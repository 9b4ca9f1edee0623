"""The emulator against vectors that were confirmed in lava-nc 0.10.0, fixed_pt, element by element.

Vectors are indexed by column; an input spike in column k acts in column k + 1.
"""

from typing import Any

import numpy as np
import pytest

from spikesim.backends.loihi.emulator import emulate
from spikesim.fixedpoint import (
    IntInput,
    IntNetwork,
    IntPopulation,
    IntProjection,
    IntRun,
    IntSample,
    optimize_weight_bits,
    raster_to_events,
)

MIXED_IN = [
    [0, 1, 2, 5, 6, 9, 10, 11, 15],
    [1, 3, 4, 5, 8, 11, 12, 13],
    [2, 6, 7, 8, 12, 16, 17],
    [0, 4, 5, 10, 14, 15, 16, 17, 18],
]
MIXED_W = [[27, 61, -77, 35], [-47, 20, 90, -15], [64, -39, -33, 51]]
MIXED_PARAMETERS: dict[str, Any] = dict(du=409, dv=204, vth=300, bias_mant=[10, -3, 0], bias_exp=4)
# fmt: off
MIXED_U = [
    [0, 3840, 8959, 4734, 8100, 13305, 19653, 14357, 7927, 5981,
     7046, 10180, 14665, 12045, 14679, 15385, 17684, 13097, 8970, 10248],
    [0, -4096, -5478, -2241, -736, -406, -3181, -174, 5604, 12083,
     7801, 2924, 839, 7795, 8294, 6439, 1698, 6264, 10372, 8309],
    [0, 7296, 8101, 9210, 5728, 5794, 9950, 10874, 7609, 2111,
     5995, 12690, 12955, 6922, 3669, 6501, 13146, 12854, 12591, 14530],
]
HARD_V = [
    [160, 4152, 13064, 17307, 0, 13465, 0, 14517, 0, 6141, 13041, 0, 14825, 0, 14839, 0, 17844, 0, 9130, 19083],
    [-48, -4189, -9506, -11321, -11541, -11420, -14080, -13600, -7366, 5036,
     12538, 14789, 14843, 0, 8246, 14226, 15167, 0, 10324, 18070],
    [0, 7296, 15033, 0, 5728, 11236, 0, 10874, 17941, 19158, 0, 12690, 0, 6922, 10246, 16236, 0, 12854, 0, 14530],
]
HARD_SPIKES = [[4, 6, 8, 11, 13, 15, 17], [13, 17], [3, 6, 10, 12, 16, 18]]
SOFT_V = [
    [160, 4152, 13064, 17307, 5505, 18695, 18376, 12777, 1027, 7116,
     13967, 4411, 19016, 11073, 6160, 2198, 732, 13952, 3187, 13436],
    [-48, -4189, -9506, -11321, -11541, -11420, -14080, -13600, -7366, 5036,
     12538, 14789, 14843, 2650, 10764, 16618, 17440, 3587, 13732, 2109],
    [0, 7296, 15033, 4294, 9808, 15113, 5110, 15729, 3354, 5297,
     11028, 3968, 16725, 3614, 7103, 13250, 6536, 19064, 11505, 6261],
]
# fmt: on
SOFT_SPIKES = [[4, 6, 7, 8, 11, 13, 14, 15, 16, 18], [13, 17, 19], [3, 6, 8, 11, 13, 16, 18, 19]]


def columns_of(run: IntRun, name: str, n: int) -> list[list[int]]:
    events = run.spikes[name]
    return [events[events[:, 1] == i, 0].tolist() for i in range(n)]


def events_from(columns: list[list[int]]) -> list[tuple[int, int]]:
    return [(column, source) for source, list_ in enumerate(columns) for column in list_]


def layers(*parts: IntPopulation, n_in: int, **weights: Any) -> IntNetwork:
    """A feed-forward chain in -> parts[0] -> parts[1] ... with the matrices given by name of the target."""
    names = ["in", *(p.name for p in parts)]
    chain = []
    for pre, part in zip(names, parts, strict=False):
        w, options = weights[part.name]
        chain.append(IntProjection.from_dense(f"{pre} to {part.name}", pre, part.name, w, **options))
    return IntNetwork(parts, chain, [IntInput("in", n_in)])


def alone(steps: int, drive: Any = None, **parameters: Any) -> IntRun:
    """Run a population without synapses on a direct current of shape (steps,) or (steps, n)."""
    n = int(np.max([np.size(v) for k, v in parameters.items() if k != "reset"], initial=1))
    current = None if drive is None else np.asarray(drive).reshape(steps, -1)
    n = n if current is None else current.shape[1]
    population = IntPopulation("p", n, **parameters)
    sample = IntSample(drive={} if current is None else {"p": current})
    return emulate(IntNetwork([population]), steps, sample, record_u=True, record_v=True)


@pytest.mark.parametrize(("reset", "v", "spikes"), [("hard", HARD_V, HARD_SPIKES), ("soft", SOFT_V, SOFT_SPIKES)])
def test_three_neurons_behind_mixed_odd_weights(reset: str, v: list[list[int]], spikes: list[list[int]]) -> None:
    cells = IntPopulation("cells", 3, reset=reset, **MIXED_PARAMETERS)
    network = layers(cells, n_in=4, cells=(MIXED_W, {}))
    run = emulate(network, 20, {"in": events_from(MIXED_IN)}, record_u=True, record_v=True)
    assert run.u["cells"].T.tolist() == MIXED_U
    assert run.v["cells"].T.tolist() == v
    assert columns_of(run, "cells", 3) == spikes


def test_truncated_weights_given_directly_change_nothing() -> None:
    effective = [[26, 60, -78, 34], [-48, 20, 90, -16], [64, -40, -34, 50]]
    cells = IntPopulation("cells", 3, **MIXED_PARAMETERS)
    network = layers(cells, n_in=4, cells=(effective, {}))
    assert layers(cells, n_in=4, cells=(MIXED_W, {})).projections[0].effective_weights.tolist() == (
        network.projections[0].weights.tolist()
    )
    run = emulate(network, 20, {"in": events_from(MIXED_IN)})
    assert columns_of(run, "cells", 3) == HARD_SPIKES


@pytest.mark.parametrize("sign", [1, -1])
def test_decay_rounds_towards_zero(sign: int) -> None:
    run = alone(16, [3 * sign] + 15 * [0], du=409, dv=204, vth=300)
    u = [192, 172, 154, 138, 124, 111, 99, 89, 80, 71, 63, 56, 50, 44, 39, 35]
    v = [192, 354, 490, 603, 696, 772, 832, 879, 915, 940, 956, 964, 965, 960, 951, 938]
    assert (sign * run.u["p"][:, 0]).tolist() == u
    assert (sign * run.v["p"][:, 0]).tolist() == v


def test_threshold_is_strict() -> None:
    run = alone(8, vth=10, bias_mant=10, bias_exp=6)
    assert run.v["p"][:, 0].tolist() == [640, 0, 640, 0, 640, 0, 640, 0]
    assert columns_of(run, "p", 1) == [[1, 3, 5, 7]]


def test_soft_reset_keeps_the_rest() -> None:
    run = alone(8, vth=10, bias_mant=7, bias_exp=6, reset="soft")
    assert run.v["p"][:, 0].tolist() == [448, 256, 64, 512, 320, 128, 576, 384]
    assert columns_of(run, "p", 1) == [[1, 2, 4, 5, 7]]


def test_bias_exponent_of_each_neuron() -> None:
    cells = IntPopulation("p", 4, vth=300, bias_mant=[7, -7, 5, -5], bias_exp=[-1, -1, 3, 0])
    assert cells.bias.tolist() == [3, -4, 40, -5]
    run = emulate(IntNetwork([cells], allow_negative_bias_exp=True), 4, record_v=["p"])
    assert run.v["p"].T.tolist() == [[3, 6, 9, 12], [-4, -8, -12, -16], [40, 80, 120, 160], [-5, -10, -15, -20]]


WRAPS = [
    (131071, 8388544, 8388544, False, 2047),
    (131072, 8388608, 0, True, 0),
    (131073, -8388544, -8388544, False, -2047),
    (152400, -7023616, -7023616, False, -1714),
    (-131071, -8388544, -8388544, False, -2047),
    (-131072, 8388608, 0, True, 0),
    (-131073, 8388544, 8388544, False, 2047),
    (-152400, 7023616, 7023616, False, 1714),
    (262144, 0, 0, False, 0),
    (393217, 8388672, 0, True, 0),
    (400000, 8822784, 0, True, 0),
]


@pytest.mark.parametrize(("a", "u", "v", "spikes", "v_next"), WRAPS)
def test_current_wraps_once(a: int, u: int, v: int, spikes: bool, v_next: int) -> None:
    run = alone(2, [a, 0], du=4095, dv=4095, vth=131071)
    assert run.u["p"][:, 0].tolist() == [u, 0]
    assert run.v["p"][:, 0].tolist() == [v, v_next]
    assert columns_of(run, "p", 1) == [[0] if spikes else []]
    assert run.counts.wraps["p"] == (abs(a) > 131072 or a == -131072)


@pytest.mark.parametrize("sign", [1, -1])
def test_current_wraps_again_and_again(sign: int) -> None:
    run = alone(8, 8 * [100000 * sign], du=0, dv=409, vth=131071)
    u = [6400000, -3978779, 2422193, -7955615, -1553672, 4846708, -5531692, 869659]
    v = [6400000, 1782158, 4026396, -4331269, -5452448, -61293, -5586864, -4159336]
    assert (sign * run.u["p"][:, 0]).tolist() == u
    assert (sign * run.v["p"][:, 0]).tolist() == v
    assert run.counts.spikes["p"] == 0


@pytest.mark.parametrize(
    ("a", "reset", "v", "spikes"),
    [
        (-100000, "hard", [-6400000] + 5 * [-8388607], []),
        (100000, "hard", [6400000, 0, 6400000, 0], [1, 3]),
        (100000, "soft", [6400000, 63, 6400063, 63], [1, 3]),
    ],
)
def test_voltage_saturates(a: int, reset: str, v: list[int], spikes: list[int]) -> None:
    run = alone(len(v), len(v) * [a], du=4095, dv=0, vth=131071, reset=reset)
    assert run.v["p"][:, 0].tolist() == v
    assert columns_of(run, "p", 1) == [spikes]
    assert run.counts.clips["p"] == (5 if a < 0 else 2)


@pytest.mark.parametrize(
    ("exponent", "arriving"),
    [
        (0, [0, -50, 46, -90, 40]),
        (2, [0, -200, 184, -360, 160]),
        (-1, [0, -25, 23, -45, 20]),
        (-2, [0, -13, 11, -23, 10]),
        (-3, [0, -7, 5, -12, 5]),
    ],
)
def test_weight_exponent_shifts_the_sum(exponent: int, arriving: list[int]) -> None:
    cell = IntPopulation("cell", 1, du=4095, vth=131071)
    network = layers(cell, n_in=3, cell=([[46, -90, -6]], {"weight_exp": exponent}))
    run = emulate(network, 5, {"in": events_from([[0, 1, 3], [0, 2], [0, 3]])}, record_u=True)
    assert (run.u["cell"][:, 0] >> 6).tolist() == arriving


def relay(name: str) -> IntPopulation:
    return IntPopulation(name, 1, du=4095, dv=4095, vth=50)


@pytest.mark.parametrize(("delay", "column"), [(0, 3), (1, 4), (2, 5), (5, 8)])
def test_a_spike_arrives_one_column_after_its_delay(delay: int, column: int) -> None:
    run = emulate(layers(relay("a"), n_in=1, a=([[100]], {"delay": delay})), 12, {"in": [(2, 0)]})
    assert columns_of(run, "a", 1) == [[column]]


@pytest.mark.parametrize(("delay", "expected"), [(0, [3, 4, 5]), (2, [5, 8, 11])])
def test_chain(delay: int, expected: list[int]) -> None:
    w = ([[100]], {"delay": delay})
    run = emulate(layers(relay("a"), relay("b"), relay("c"), n_in=1, a=w, b=w, c=w), 12, {"in": [(2, 0)]})
    assert [columns_of(run, name, 1)[0] for name in "abc"] == [[c] for c in expected]


def test_self_loop() -> None:
    network = layers(relay("a"), n_in=1, a=([[100]], {}))
    loop = IntProjection.from_dense("loop", "a", "a", [[100]])
    run = emulate(IntNetwork(network.populations, [*network.projections, loop], network.inputs), 12, {"in": [(2, 0)]})
    assert columns_of(run, "a", 1) == [list(range(3, 12))]


@pytest.mark.parametrize(
    ("offset", "spikes", "v"),
    [
        (
            0,
            [2, 6, 11, 16],
            [256, 512, 0, 256, 256, 512, 0, 256, 512, 256, 512, 0, 256, 512, 256, 512, 0, 256, 512, 256],
        ),
        (
            3,
            [4, 9, 14, 19],
            [256, 512, 256, 512, 0, 256, 512, 256, 512, 0, 256, 512, 256, 512, 0, 256, 512, 256, 512, 0],
        ),
    ],
)
def test_reset_interval(offset: int, spikes: list[int], v: list[int]) -> None:
    run = alone(20, vth=10, bias_mant=4, bias_exp=6, reset_interval=5, reset_offset=offset)
    assert columns_of(run, "p", 1) == [spikes]
    assert run.v["p"][:, 0].tolist() == v


def test_recurrent_net_with_heterogeneous_delays() -> None:
    cells = IntPopulation("cells", 3, du=2047, dv=511, vth=100)
    forward = IntProjection.from_dense("forward", "in", "cells", [[120, -40], [60, 80], [0, 100]])
    loop = IntProjection.from_dense(
        "loop",
        "cells",
        "cells",
        [[0, -90, 60], [50, 0, -70], [-60, 70, -30]],
        delay=[[0, 1, 3], [2, 0, 0], [4, 1, 2]],
        keep_zeros=False,
    )
    network = IntNetwork([cells], [forward, loop], [IntInput("in", 2)])
    inputs = {"in": events_from([[0, 3, 6, 9, 12, 15, 18], [1, 2, 8, 14, 17]])}
    run = emulate(network, 24, inputs, record_u=True, record_v=True)
    # fmt: off
    u = [
        [0, 7680, 1280, -1920, 960, -5280, -8400, 7320, 7500, 5030, 10195, 5097,
         -3212, 6074, 6877, -4882, 5239, -3141, -4130, 3695, 1847, -997, -498, -249],
        [0, 3840, 7040, 8640, 6880, -1040, -5000, 1340, 670, 5455, 6567, -1197,
         2602, 8341, 4170, 7205, 6162, 6281, 3780, 5730, 2865, 1432, -3764, -1882],
        [0, 0, 6400, 9600, 9280, 9120, 3280, -280, -2060, 5370, 2685, 1342,
         5151, 655, -3513, 5284, 2642, 5801, 3540, 2410, -715, 4123, 2061, 1030],
    ]
    v = [
        [0, 0, 1280, -800, 260, -5053, -12822, -3902, 4085, 0, 0, 5097,
         1249, 0, 0, -4882, 967, -2295, -6138, -1677, 380, -665, -1080, -1194],
        [0, 3840, 0, 0, 0, -1040, -5910, -3832, -2683, 3107, 0, -1197,
         1555, 0, 4170, 0, 6162, 0, 3780, 0, 2865, 3939, -317, -2159],
        [0, 0, 6400, 0, 0, 0, 3280, 2590, 206, 5550, 0, 1342,
         6325, 6190, 1904, 0, 2642, 0, 3540, 5508, 4105, 0, 2061, 2833],
    ]
    # fmt: on
    spikes = [[1, 9, 10, 13, 14], [2, 3, 4, 10, 13, 15, 17, 19], [3, 4, 5, 10, 15, 17, 21]]
    assert run.u["cells"].T.tolist() == u
    assert run.v["cells"].T.tolist() == v
    assert columns_of(run, "cells", 3) == spikes


def test_seeded_soft_and_hard_totals() -> None:
    rng = np.random.default_rng(1)
    spikes = raster_to_events(rng.random((20, 200)) < 0.3)
    w = rng.integers(-100, 180, (16, 20))
    for reset, total in (("soft", 3083), ("hard", 2872)):
        cells = IntPopulation("cells", 16, du=1500, dv=300, vth=300, reset=reset)
        run = emulate(layers(cells, n_in=20, cells=(w, {})), 200, {"in": spikes})
        assert run.counts.spikes["cells"] == total


def test_seeded_total_of_one_layer() -> None:
    rng = np.random.default_rng(5)
    spikes = raster_to_events(rng.random((30, 200)) < 0.2)
    w = rng.integers(-60, 100, (40, 30)) * 2
    run = emulate(
        layers(IntPopulation("cells", 40, du=1499, dv=300, vth=400), n_in=30, cells=(w, {})), 200, {"in": spikes}
    )
    assert run.counts.spikes["cells"] == 6499


def test_seeded_totals_of_a_recurrent_and_a_delayed_layer() -> None:
    rng = np.random.default_rng(7)
    spikes = raster_to_events(rng.random((30, 200)) < 0.2)
    w1, w2 = rng.integers(-60, 100, (40, 30)) * 2, rng.integers(-60, 80, (20, 40)) * 2
    loop = IntProjection.from_dense("loop", "first", "first", rng.integers(-40, 40, (40, 40)) * 2)
    first = IntPopulation("first", 40, du=1499, dv=300, vth=600)
    second = IntPopulation("second", 20, du=2499, dv=100, vth=500)
    chain = layers(first, second, n_in=30, first=(w1, {}), second=(w2, {"delay": 3}))
    run = emulate(IntNetwork(chain.populations, [*chain.projections, loop], chain.inputs), 200, {"in": spikes})
    assert (run.counts.spikes["first"], run.counts.spikes["second"]) == (4408, 3108)


@pytest.mark.parametrize("optimised", [False, True])
def test_seeded_totals_of_the_netx_file(optimised: bool) -> None:
    rng = np.random.default_rng(3)
    w1, w2 = rng.integers(-64, 64, (64, 30)) * 2, rng.integers(-64, 64, (10, 64)) * 2
    bias = rng.integers(-3, 3, 64)
    spikes = raster_to_events(rng.random((30, 100)) < 0.15)
    hidden = IntPopulation("hidden", 64, du=1023, dv=300, vth=120, bias_mant=bias, bias_exp=6)
    out = IntPopulation("out", 10, du=1023, dv=300, vth=120)
    weights: dict[str, Any] = {}
    for name, w, options in (("hidden", w1, {}), ("out", w2, {"delay": 2})):
        best = optimize_weight_bits(w, "mixed")
        bits = {"num_weight_bits": best.num_weight_bits, "weight_exp": best.weight_exp} if optimised else {}
        weights[name] = (best.weights if optimised else w, options | bits | {"sign_mode": "mixed"})
    run = emulate(layers(hidden, out, n_in=30, **weights), 100, {"in": spikes})
    assert (run.counts.spikes["hidden"], run.counts.spikes["out"]) == (1539, 493)


def test_seeded_totals_of_the_larger_net() -> None:
    rng = np.random.default_rng(0)
    spikes = raster_to_events(rng.random((100, 1000)) < 0.2)
    w1, w2 = rng.integers(-64, 65, (256, 100)), rng.integers(-64, 65, (10, 256))
    hidden, out = (IntPopulation(name, n, du=2048, dv=410, vth=200) for name, n in (("hidden", 256), ("out", 10)))
    run = emulate(layers(hidden, out, n_in=100, hidden=(w1, {}), out=(w2, {})), 1000, {"in": spikes})
    assert (run.counts.spikes["hidden"], run.counts.spikes["out"]) == (43289, 2741)
    assert run.counts.events["in to hidden"] == 256 * len(spikes)
    assert run.counts.events["hidden to out"] == 10 * 43289
