"""Neurons of snnTorch, norse and Lava, spike for spike."""

from typing import Any

import numpy as np
import pytest

from spikesim.equations.response import respond
from spikesim.errors import InvalidValueError
from spikesim.models.neurons import cuba_lif, leaky, lif, loihi_lif
from spikesim.neuron import Neuron

Floats = np.ndarray[Any, np.dtype[np.float64]]


def spikes(neuron: Neuron, inputs: Any, dt: float = 1e-3) -> list[int]:
    """Return the steps in which one neuron fires."""
    return np.flatnonzero(respond(neuron, inputs, dt=dt)["spike"]).tolist()


def drive(seed: int = 0) -> Floats:
    return np.random.default_rng(seed).uniform(0.0, 2.5, (400, 64))


def precisions() -> list[Any]:
    return [np.float32, np.float64]


@pytest.mark.parametrize("dtype", precisions())
@pytest.mark.parametrize("delay", [True, False])
@pytest.mark.parametrize(("mechanism", "reset"), [("subtract", "subtract"), ("zero", "to"), ("none", "none")])
def test_leaky_is_snntorchs(mechanism: str, reset: Any, delay: bool, dtype: Any) -> None:
    torch = pytest.importorskip("torch")
    snntorch = pytest.importorskip("snntorch")
    beta, scale = 0.9, {"none": 0.1, "zero": 0.4, "subtract": 0.7}[mechanism]
    x = (drive() * scale - (0.05 if mechanism == "none" else 0.0)).astype(dtype)
    cell = snntorch.Leaky(
        beta=torch.tensor(beta, dtype=torch.from_numpy(x).dtype), reset_mechanism=mechanism, reset_delay=delay
    )
    cell.threshold = cell.threshold.to(torch.from_numpy(x).dtype)
    mem = torch.zeros(64, dtype=torch.from_numpy(x).dtype)
    expected, membranes = [], []
    for row in torch.from_numpy(x):
        spike, mem = cell(row, mem)
        expected.append(spike.detach().numpy())
        membranes.append(mem.detach().numpy())
    timing: Any = "next" if delay else "again" if mechanism == "subtract" else "same"
    trace = respond(leaky(beta=beta, reset=reset, timing=timing), x, dtype=dtype)
    assert np.array(expected).sum() > 1000
    assert (trace["spike"] == np.array(expected)).all()
    assert np.allclose(trace["v"], np.array(membranes), rtol=0, atol=2e-6 if dtype is np.float32 else 1e-14)


def test_two_timings_need_their_reset() -> None:
    for reset, timing in (("to", "again"), ("none", "again"), ("subtract", "pause")):
        with pytest.raises(InvalidValueError, match="needs reset="):
            leaky(reset=reset, timing=timing)  # type: ignore[arg-type]
    assert spikes(leaky(reset="to", timing="pause"), [1.5] * 6) == [0, 2, 4]


def test_the_two_timings_differ_with_subtract_only() -> None:
    x = drive() * 0.4
    assert (respond(leaky(reset="to"), x)["spike"] == respond(leaky(reset="to", timing="same"), x)["spike"]).all()
    assert (respond(leaky(), x)["spike"] != respond(leaky(timing="same"), x)["spike"]).sum() > 100


@pytest.mark.parametrize("dtype", precisions())
@pytest.mark.parametrize(("method", "reset"), [("reset_value", "to"), ("reset_subtract", "subtract")])
def test_leaky_is_norses_box(method: str, reset: Any, dtype: Any) -> None:
    torch = pytest.importorskip("torch")
    norse = pytest.importorskip("norse.torch.functional.lif_box")
    resets = pytest.importorskip("norse.torch.functional.reset")
    x = drive().astype(dtype)
    p = norse.LIFBoxParameters(reset_method=getattr(resets, method))
    state = norse.LIFBoxFeedForwardState(v=torch.zeros(64, dtype=torch.from_numpy(x).dtype))
    expected = []
    for row in torch.from_numpy(x):
        z, state = norse.lif_box_feed_forward_step(row, state, p)
        expected.append(z.numpy())
    # beta = 1 - dt / tau, and the input is scaled by 1 - beta
    trace = respond(leaky(beta=0.9, reset=reset, timing="same"), x * dtype(0.1), dtype=dtype)
    assert np.array(expected).sum() > 1000
    assert (trace["spike"] == np.array(expected)).all()


@pytest.mark.parametrize("dtype", precisions())
def test_cuba_lif_is_snntorchs_synaptic_and_norses_lif(dtype: Any) -> None:
    # syn = alpha syn + x, mem = beta mem + syn: du = 1 - alpha, dv = 1 - beta; norse scales its input by 1 - beta
    torch = pytest.importorskip("torch")
    snntorch = pytest.importorskip("snntorch")
    norse = pytest.importorskip("norse.torch.functional.lif")
    x = (drive() * 0.3).astype(dtype)
    real = torch.from_numpy(x).dtype
    alpha, beta = torch.tensor(0.8, dtype=real), torch.tensor(0.9, dtype=real)
    cell = snntorch.Synaptic(alpha=alpha, beta=beta, reset_mechanism="zero", reset_delay=False)
    cell.threshold = cell.threshold.to(real)
    syn = mem = torch.zeros(64, dtype=real)
    state = norse.LIFFeedForwardState(v=torch.zeros(64, dtype=real), i=torch.zeros(64, dtype=real))
    theirs, norses = [], []
    for row in torch.from_numpy(x):
        spike, syn, mem = cell(row * dtype(0.1), syn, mem)
        theirs.append(spike.detach().numpy())
        z, state = norse.lif_feed_forward_step(row, state, norse.LIFParameters())
        norses.append(z.numpy())
    ours = respond(cuba_lif(du=0.2, dv=0.1), x * dtype(0.1), dtype=dtype)["spike"]
    assert ours.sum() > 1000
    assert (ours == np.array(theirs)).all() and (ours == np.array(norses)).all()


@pytest.mark.parametrize("reset", ["to", "subtract"])
def test_lif_is_leaky_for_the_same_leak(reset: Any) -> None:
    x = drive() * 0.4
    a = respond(lif(reset=reset, tau_m=10e-3), x)
    b = respond(leaky(reset=reset, timing="same", beta=float(np.exp(-0.1))), x)
    assert (a["spike"] == b["spike"]).all() and np.allclose(a["v"], b["v"], atol=1e-14)


# ------------------------------------------------------------------------------------------------------- Loihi, float
G7_A = [1.0, 0, 0, 1, 1, 0, 0, 0, 1, 1]
G7_U = [1.0, 0.5, 0.25, 1.125, 1.5625, 0.78125, 0.390625, 0.1953125, 1.09765625, 1.548828125]
G7_HARD_V = [0.0, 0.5625, 0.734375, 0.0, 0.0, 0.84375, 0.0, 0.2578125, 0.0, 0.0]
G7_SOFT_V = [0.0625, 0.609375, 0.76953125, 0.7646484375, 1.198486328125, 0.74261474609375, 0.0100860595703125,
             0.2653770446777344, 0.3591890335083008, 0.8807199001312256]  # fmt: skip


@pytest.mark.parametrize(
    ("reset", "v", "fired"), [("to", G7_HARD_V, [0, 3, 4, 6, 8, 9]), ("subtract", G7_SOFT_V, [0, 3, 4, 5, 6, 8, 9])]
)
def test_cuba_lif_is_lavas(reset: Any, v: list[float], fired: list[int]) -> None:
    cell = cuba_lif(reset=reset, du=0.5, dv=0.25, bias=0.0625)
    trace = respond(cell, G7_A)
    assert trace["u"].tolist() == G7_U and trace["v"].tolist() == v and spikes(cell, G7_A) == fired


# ------------------------------------------------------------------------------------------------- Loihi, fixed point
def rows(text: str) -> list[list[int]]:
    return np.array(text.split(), np.int64).reshape(3, 20).tolist()


# computed with lava-nc 0.10.0 (fixed_pt): one row per neuron, one column per step, v after the reset
G1_A = rows(
    """
    0 60 86 -52 60 94 120 -52 -78 -18 26 60 86 -18 60 34 60 -44 -44 34
    0 -64 -28 42 20 4 -44 42 90 110 -48 -64 -28 110 20 -16 -64 74 74 -16
    0 114 24 30 -40 10 74 30 -34 -74 64 114 24 -74 -40 50 114 16 16 50
    """
)
G1_U = rows(
    """
    0 3840 8959 4734 8100 13305 19653 14357 7927 5981 7046 10180 14665 12045 14679 15385 17684 13097 8970 10248
    0 -4096 -5478 -2241 -736 -406 -3181 -174 5604 12083 7801 2924 839 7795 8294 6439 1698 6264 10372 8309
    0 7296 8101 9210 5728 5794 9950 10874 7609 2111 5995 12690 12955 6922 3669 6501 13146 12854 12591 14530
    """
)
G1_V = rows(
    """
    160 4152 13064 17307 0 13465 0 14517 0 6141 13041 0 14825 0 14839 0 17844 0 9130 19083
    -48 -4189 -9506 -11321 -11541 -11420 -14080 -13600 -7366 5036 12538 14789 14843 0 8246 14226 15167 0 10324
      18070
    0 7296 15033 0 5728 11236 0 10874 17941 19158 0 12690 0 6922 10246 16236 0 12854 0 14530
    """
)
G1_SPIKES = [[4, 6, 8, 11, 13, 15, 17], [13, 17], [3, 6, 10, 12, 16, 18]]
G2_V = rows(
    """
    160 4152 13064 17307 5505 18695 18376 12777 1027 7116 13967 4411 19016 11073 6160 2198 732 13952 3187 13436
    -48 -4189 -9506 -11321 -11541 -11420 -14080 -13600 -7366 5036 12538 14789 14843 2650 10764 16618 17440 3587
      13732 2109
    0 7296 15033 4294 9808 15113 5110 15729 3354 5297 11028 3968 16725 3614 7103 13250 6536 19064 11505 6261
    """
)
G2_SPIKES = [[4, 6, 7, 8, 11, 13, 14, 15, 16, 18], [13, 17, 19], [3, 6, 8, 11, 13, 16, 18, 19]]


@pytest.mark.parametrize(("reset", "v", "fired"), [("to", G1_V, G1_SPIKES), ("subtract", G2_V, G2_SPIKES)])
def test_loihi_lif_is_lavas(reset: Any, v: list[list[int]], fired: list[list[int]]) -> None:
    cell = loihi_lif(reset=reset, du=409, dv=204, v_th=300, bias_mant=np.array([10.0, -3.0, 0.0]), bias_exp=4)
    trace = respond(cell, np.array(G1_A).T)
    assert trace["u"].T.tolist() == G1_U
    assert trace["v"].T.tolist() == v
    assert [np.flatnonzero(s).tolist() for s in trace["spike"].T] == fired


def test_loihi_rounds_towards_zero() -> None:
    u = [192, 172, 154, 138, 124, 111, 99, 89, 80, 71, 63, 56, 50, 44, 39, 35]
    v = [192, 354, 490, 603, 696, 772, 832, 879, 915, 940, 956, 964, 965, 960, 951, 938]
    for sign in (1, -1):
        trace = respond(loihi_lif(du=409, dv=204, v_th=300), [3 * sign] + [0] * 15)
        assert trace["u"].tolist() == [sign * x for x in u] and trace["v"].tolist() == [sign * x for x in v]


def test_loihi_threshold_is_strict() -> None:
    trace = respond(loihi_lif(du=0, dv=0, v_th=10, bias_mant=10, bias_exp=6), np.zeros(8))
    assert trace["v"].tolist() == [640, 0, 640, 0, 640, 0, 640, 0]
    assert np.flatnonzero(trace["spike"]).tolist() == [1, 3, 5, 7]
    soft = respond(loihi_lif(reset="subtract", du=0, dv=0, v_th=10, bias_mant=7, bias_exp=6), np.zeros(8))
    assert soft["v"].tolist() == [448, 256, 64, 512, 320, 128, 576, 384]
    assert np.flatnonzero(soft["spike"]).tolist() == [1, 2, 4, 5, 7]


def test_loihi_bias_exponents() -> None:
    cell = loihi_lif(du=0, dv=0, v_th=300, bias_mant=np.array([7.0, -7, 5, -5]), bias_exp=np.array([-1.0, -1, 3, 0]))
    trace = respond(cell, np.zeros((4, 4)))
    assert trace["v"].T.tolist() == [[3, 6, 9, 12], [-4, -8, -12, -16], [40, 80, 120, 160], [-5, -10, -15, -20]]


@pytest.mark.parametrize(
    ("a", "u", "v0", "fired", "v1"),
    [
        (131071, 8388544, 8388544, 0, 2047),
        (131072, 8388608, 0, 1, 0),
        (131073, -8388544, -8388544, 0, -2047),
        (152400, -7023616, -7023616, 0, -1714),
        (-131071, -8388544, -8388544, 0, -2047),
        (-131072, 8388608, 0, 1, 0),
        (-131073, 8388544, 8388544, 0, 2047),
        (-152400, 7023616, 7023616, 0, 1714),
        (262144, 0, 0, 0, 0),
        (393217, 8388672, 0, 1, 0),
        (400000, 8822784, 0, 1, 0),
    ],
)
def test_loihi_wraps_the_current_once(a: int, u: int, v0: int, fired: int, v1: int) -> None:
    trace = respond(loihi_lif(du=4095, dv=4095, v_th=131071), [a, 0])
    assert (trace["u"][0], trace["v"][0], trace["spike"][0], trace["v"][1], trace["u"][1]) == (u, v0, fired, v1, 0)


def test_loihi_wrap_goes_on() -> None:
    u = [6400000, -3978779, 2422193, -7955615, -1553672, 4846708, -5531692, 869659]
    v = [6400000, 1782158, 4026396, -4331269, -5452448, -61293, -5586864, -4159336]
    for sign in (1, -1):
        trace = respond(loihi_lif(du=0, dv=409, v_th=131071), np.full(8, sign * 100000.0))
        assert trace["u"].tolist() == [sign * x for x in u] and trace["v"].tolist() == [sign * x for x in v]


def test_loihi_clips_the_membrane() -> None:
    cell = loihi_lif(du=4095, dv=0, v_th=131071)
    assert respond(cell, np.full(6, -100000.0))["v"].tolist() == [-6400000] + [-8388607] * 5
    assert respond(cell, np.full(4, 100000.0))["v"].tolist() == [6400000, 0, 6400000, 0]
    soft = loihi_lif(reset="subtract", du=4095, dv=0, v_th=131071)
    assert respond(soft, np.full(4, 100000.0))["v"].tolist() == [6400000, 63, 6400063, 63]


def test_loihi_states_stay_whole() -> None:
    x = np.random.default_rng(2).integers(-2000, 2200, (500, 16)).astype(np.float64)
    trace = respond(loihi_lif(reset="subtract", du=300, dv=77, v_th=900, q=700), x)
    for name in ("u", "v"):
        assert (trace[name] == np.rint(trace[name])).all()
    assert trace["spike"].sum() > 100
