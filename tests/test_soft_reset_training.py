"""MPR and soft reset where they are trained: MPR is a surrogate and nothing else, gradients, export."""

from typing import Any

import numpy as np
import pytest

import spikesim as sp
from spikesim.connect import OneToOne
from spikesim.convert import from_nir, to_nir, write_netx
from spikesim.engine import backend
from spikesim.equations.primitives import exp, log, maximum, minimum, spike, tanh, where
from spikesim.equations.response import respond
from spikesim.equations.surrogates import SURROGATES, phi
from spikesim.errors import UnsupportedError
from spikesim.layers import dense
from spikesim.lowering import lower
from spikesim.models.neurons import integrate_and_fire, li, lif_soft
from spikesim.network import Network, Population
from spikesim.neuron import Neuron, Param, neuron
from spikesim.quantise import quantise

STEPS, SAMPLES = 6, 5


@neuron(params={"q": Param(1.0), "bias": Param(0.0)})
def rectified(v: Any, i: Any, p: Any) -> Any:
    """Fire on phi(u) > 1/2, as the paper writes it; the carried membrane is not rectified."""
    u = v + (i + p.bias)
    below = 1.0 - exp(log(1.0 - minimum(u, 0.0)) / 3.0)
    above = exp(log(maximum(u, 1.0)) / 3.0)
    inner = 0.5 + tanh(3.0 * (minimum(maximum(u, 0.0), 1.0) - 0.5)) / (2.0 * np.tanh(1.5))
    r = where(u < 0.0, below, where(u > 1.0, above, inner))
    s = spike(r - 0.5)
    return s, u - p.q * s


def network(cell: Neuron, seed: int = 0) -> Network:
    """Two hidden layers and a linear read-out, weights normal."""
    return sp.sequential(
        sp.Input("x", 12, graded=True), dense(16), cell, dense(16), cell, dense(3), li(beta=0.0), seed=seed
    )


def samples(seed: int = 1) -> Any:
    return np.random.default_rng(seed).normal(0.0, 1.0, (STEPS, SAMPLES, 12))


def gradients(net: Network, surrogate: str, **options: Any) -> tuple[Any, list[Any], Any]:
    """Return read-outs, gradients of the weights of a loss, and spikes by layer, float64."""
    import torch

    module = backend("torch").module(lower(net), surrogate=surrogate, dtype="float64", **options)  # type: ignore[attr-defined]
    found = module(torch.as_tensor(samples()), record=["layer3/v"])
    value = found["layer3/v"]
    (value.mean(0) ** 2).sum().backward()
    arrays = {name: x.detach().numpy() for name, x in found.items()}
    return arrays["layer3/v"], [p.grad.numpy() for p in module.maps.parameters()], arrays


# --------------------------------------------------------------------------------------------------- MPR is a surrogate
def test_the_rectifier_written_out_is_phi() -> None:
    # the same branches as a user's neuron would write them: what a step adds to nothing is u itself
    u = np.concatenate([np.linspace(-5.0, 6.0, 2001), [-1e-9, 1e-9]])
    fired = respond(rectified(), u[None])["spike"][0]
    assert (fired == (phi(u) > 0.5)).all()
    assert (fired == (u > 0.5)).all()


def test_training_and_inference_graph_have_equal_spikes_and_logits(require: Any) -> None:
    require("torch")
    with_phi, _, before = gradients(network(rectified()), "rectangle")
    dropped, _, after = gradients(network(lif_soft()), "mpr")
    assert np.array_equal(with_phi, dropped)
    assert all(np.array_equal(before[name], after[name]) for name in ("layer1", "layer2"))
    assert 0.1 < after["layer2"].mean() < 0.9


@pytest.mark.parametrize("detach", [False, True])
def test_clamp_behind_the_rectifier_is_the_surrogate_mpr(require: Any, detach: bool) -> None:
    # phi'(u) comes from differentiating the neuron above, the clamp from "rectangle" on phi(u): together "mpr" on u
    require("torch")
    _, written, _ = gradients(network(rectified()), "rectangle", detach_reset=detach)
    _, named, _ = gradients(network(lif_soft()), "mpr", detach_reset=detach)
    _, other, _ = gradients(network(lif_soft()), "rectangle", detach_reset=detach)
    for a, b in zip(written, named, strict=True):
        assert np.abs(a - b).max() <= 1e-10 * np.abs(b).max()
    assert np.abs(named[0] - other[0]).max() > 1e-3 * np.abs(other[0]).max()


# ------------------------------------------------------------------------------------------------------------ gradients
def slope(u: Any, rectify: bool) -> Any:
    """Return ``do/du``, from the closed form."""
    inside = (u >= 0.0) & (u <= 1.0)
    return np.where(inside, 1.5 / (np.tanh(1.5) * np.cosh(3.0 * (u - 0.5)) ** 2) if rectify else 1.0, 0.0)


def recursion(current: Any, d_spike: Any, q: float | None, rectify: bool, emit: Any) -> tuple[Any, Any]:
    """Return ``dI`` and the outputs of a scan of neurons: the recursions, q None for the hard reset."""
    m, us, os = np.zeros_like(current[0]), [], []
    for i in current:
        u = m + i
        o = emit(u)
        m = u * (1.0 - o) if q is None else u - q * o
        us.append(u)
        os.append(o)
    dm, found = np.zeros_like(m), []
    for u, o, do in zip(us[::-1], os[::-1], d_spike[::-1], strict=True):
        g = slope(u, rectify)
        kept = (1.0 - o) - u * g if q is None else 1.0 - q * g
        dm = dm * kept + do * g  # du, and with lam = 1 the dm of the step before
        found.append(dm)
    return np.array(found[::-1]), np.array(os)


CELLS = {
    "soft": (lif_soft(), 1.0),
    "half": (lif_soft("figure"), 0.5),
    "hard": (integrate_and_fire(v_th=0.5), None),
}


@pytest.mark.parametrize("rectify", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_gradients_follow_the_recursion(require: Any, cell: str, rectify: bool) -> None:
    torch = require("torch")
    made, q = CELLS[cell]
    alone = Network([Population("a", 12, made)], [sp.Projection("x", "a", OneToOne(), weight=1.0)],
                    [sp.Input("x", 12, graded=True)])  # fmt: skip
    surrogate = "mpr" if rectify else "rectangle"
    module = backend("torch").module(lower(alone), surrogate=surrogate, dtype="float64", weights=[])  # type: ignore[attr-defined]
    x = np.round(samples() * 2**12) / 2**12  # on the grid of graded inputs
    given = torch.tensor(x, requires_grad=True)
    fired = module(given)["a"]
    toward = np.random.default_rng(2).normal(size=fired.shape)
    fired.backward(torch.as_tensor(toward))
    wanted, spikes = recursion(x, toward, q, rectify, lambda u: (u > 0.5).astype(float))
    assert np.array_equal(fired.detach().numpy(), spikes)
    assert np.abs(given.grad.numpy() - wanted).max() <= 1e-12 * np.abs(wanted).max()


@pytest.mark.parametrize("q", [1.0, 0.5, None])
def test_the_recursion_is_the_derivative_of_the_rectified_model(q: float | None) -> None:
    # phi(u), held at 0 and 1 outside, in place of the spike: then everything is smooth and differences must agree
    def smooth(u: Any) -> Any:
        return np.clip(phi(u), 0.0, 1.0)

    x = np.random.default_rng(3).uniform(0.05, 0.35, (STEPS, 8))
    toward = np.random.default_rng(4).normal(size=x.shape)
    wanted, _ = recursion(x, toward, q, True, smooth)

    def value(currents: Any) -> Any:
        return (recursion(currents, toward, q, True, smooth)[1] * toward).sum(0)

    eps = 1e-6
    for t in range(STEPS):
        nudge = np.zeros_like(x)
        nudge[t] = eps
        difference = (value(x + nudge) - value(x - nudge)) / (2 * eps)
        assert np.abs(difference - wanted[t]).max() < 1e-7


@pytest.mark.parametrize("q", [0.5, 1.0])
def test_the_reset_path_cannot_blow_up(q: float) -> None:
    g = slope(np.linspace(-1.0, 2.0, 30001), rectify=True)
    assert np.abs(1.0 - q * g).max() <= 1.0
    assert 1.0 - g.max() == pytest.approx(-0.657, abs=1e-3)  # negative near the threshold


def test_how_steep_the_rectifier_may_be() -> None:
    # the largest slope is k / (2 tanh(k/2)); with q = 1 the reset path shrinks gradients while it is at most 2
    for k, steep in ((3.0, False), (3.82, False), (3.84, True), (5.0, True)):
        assert (float(SURROGATES["mpr"](0.0, k=k)) > 2.0) is steep


def test_the_slope_of_the_rectifier() -> None:
    u, eps = np.array([0.0, 0.3, 0.5, 1.0]), 1e-7
    inward = np.array([1.0, 1.0, 1.0, -1.0]) * eps
    assert np.allclose((phi(u + inward) - phi(u)) / inward, slope(u, True), atol=1e-6)
    assert slope(0.5, True) == pytest.approx(1.6571871, abs=1e-7)
    assert slope(0.0, True) == pytest.approx(3.0 / np.sinh(3.0), abs=1e-12)
    assert (phi(-eps) - phi(0.0)) / -eps == pytest.approx(1 / 3, abs=1e-6)  # outside: nearly the same slope
    grid = np.linspace(0.0, 1.0, 100001)
    assert np.trapezoid(slope(grid, True), grid) == pytest.approx(1.0, abs=1e-9)  # as much as the rectangle


# --------------------------------------------------------------------------------------------------------------- export
def test_a_soft_reset_keeps_its_meaning_or_is_refused(tmp_path: Any, require: Any) -> None:
    require("nir")
    spiking = sp.sequential(sp.Input("x", 12), dense(16), lif_soft(), dense(3), lif_soft("figure"), seed=0)
    graph, report = to_nir(spiking)
    assert report.status == "impossible"  # the format has no soft reset; its metadata bring it back here
    after, _ = from_nir(graph)
    assert all(after[p.name].neuron == p.neuron for p in spiking.populations)
    with pytest.raises(UnsupportedError, match="soft reset"):
        to_nir(spiking, on_lossy="error")
    chip = quantise(spiking)  # the emulator and Lava know a soft reset: tests/test_quantise.py, test_lava_*.py
    assert {p.neuron.model.options["reset"] for p in chip.network.populations} == {"subtract"}
    with pytest.raises(UnsupportedError, match="--reset hard"):
        write_netx(chip, tmp_path / "x.net")
