"""Derived scans against torch's autograd through the plain loop, with the surrogate as a custom function."""

import math

import numpy as np
import pytest
from numba import njit

torch = pytest.importorskip("torch")

from spikesim import exp, minimum, spike, tanh, where  # noqa: E402
from spikesim.backends.torch.ops import step_constants, table  # noqa: E402
from spikesim.backends.torch.scan import Scan  # noqa: E402
from spikesim.equations.scan_source import Layout, Surrogate, backward_source, forward_source, load  # noqa: E402
from spikesim.errors import UnknownNameError  # noqa: E402
from spikesim.neuron import NeuronModel, neuron  # noqa: E402

STEPS, SAMPLES, N = 12, 3, 5
DT = 1e-3


@neuron(lam=0.9, th=0.5, q=1.0)
def soft(v, i, p):
    u = p.lam * v + i
    s = spike(u - p.th)
    return s, u - p.q * s


@neuron(v_th=1.0, v_reset=0.1, tau=5e-3, constants=lambda p, dt: {"alpha": exp(-dt / p.tau)})
def hard(v, i, p):
    u = p.alpha * v + i
    s = spike(u - p.v_th)
    return s, where(s, p.v_reset, u)


@neuron(v_th=1.0, beta=0.8)
def hard_next(v, i, p):
    """Reset within the next update."""
    fired = spike(v - p.v_th)
    u = p.beta * where(fired, 0.0, v) + i
    return spike(u - p.v_th), u


@neuron(
    state={"v": 0.0, "a": 0.1},
    tau=4e-3,
    tau_a=20e-3,
    jump=0.2,
    delta=0.3,
    constants=lambda p, dt: {"alpha": exp(-dt / p.tau), "rho": exp(-dt / p.tau_a)},
)
def own(v, a, current, gain, p):
    """A user's neuron: two ports, adaptation, an exponential and a saturating input."""
    u = p.alpha * v + tanh(current) * (1.0 + gain) + p.delta * exp(minimum(v, 1.0) - 1.0)
    s = spike(u - 1.0 - a)
    return s, u * (1.0 - s), p.rho * a + p.jump * s


@neuron(beta=0.7)
def readout(v, i, p):
    return 0.0, p.beta * v + i


SURROGATES = {
    "arctan": lambda x: 1.0 / (1.0 + (torch.pi * x) ** 2),
    "fast_sigmoid": lambda x: 1.0 / (1.0 + 25.0 * x.abs()) ** 2,
    "sigmoid": lambda x: 25.0 * torch.sigmoid(25.0 * x) * torch.sigmoid(-25.0 * x),
    "triangle": lambda x: (1.0 - x.abs()).clamp(min=0.0),
    "rectangle": lambda x: (x.abs() <= 0.5).to(x.dtype),
    "gaussian": lambda x: torch.exp(-2.0 * x * x) / (0.5 * (2 * torch.pi) ** 0.5),
    "mpr": lambda x: 1.5 / (math.tanh(1.5) * torch.cosh(3 * x) ** 2) * (x.abs() <= 0.5),
}


def loop(model: NeuronModel, slope, inputs, init, constants):
    """Run the step function with torch operations that autograd follows."""

    class Spike(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return (x > 0).to(x.dtype)

        @staticmethod
        def backward(ctx, grad):
            return grad * slope(ctx.saved_tensors[0])

    first = next(iter(inputs.values()))
    ops = dict(table(first.dtype, first.device))
    plain_where = ops["where"]
    ops["spike"] = Spike.apply
    ops["where"] = lambda c, a, b: plain_where(c, a, b) if c.dtype == torch.bool else c * a + (1 - c) * b
    ops["exp"], ops["tanh"] = torch.exp, torch.tanh
    state, spikes, traces = dict(init), [], []
    for now in zip(*(x.unbind(0) for x in inputs.values()), strict=True):
        leaves = {"state": state, "input": dict(zip(inputs, now, strict=True)), "param": constants}
        results = model.dynamics.evaluate(leaves, ops)
        state = {n: results[n] for n in model.states}
        spikes.append(results["spike"] + torch.zeros_like(first[0]))
        traces.append(torch.stack([s + torch.zeros_like(first[0]) for s in state.values()]))
    return torch.stack(spikes), torch.stack(traces)


def problem(model: NeuronModel, dtype, seed=0, per_neuron=False):
    """Random inputs, initial states and parameters that need gradients, and random cotangents."""
    generator = np.random.default_rng(seed)

    def tensor(array, grad=True):
        return torch.tensor(array, dtype=dtype).requires_grad_(grad)

    inputs = {p: tensor(generator.normal(0.3, 0.6, (STEPS, SAMPLES, N))) for p in model.inputs}
    init = {s: tensor(generator.normal(0.2, 0.1, (SAMPLES, N))) for s in model.states}
    factor = generator.uniform(0.8, 1.2, N) if per_neuron else 1.0
    params = {n: tensor(np.asarray(p.default) * factor) for n, p in model.params.items()}
    weights = [tensor(generator.normal(size=(STEPS, SAMPLES, N)), False)]
    weights.append(tensor(generator.normal(size=(STEPS, len(model.states), SAMPLES, N)), False))
    return inputs, init, params, weights


def gradients(model, run, inputs, init, params, weights):
    """Return the spikes and the gradients of a random functional of spikes and traces for every leaf."""
    dtype = weights[0].dtype
    constants = {k: c.to(dtype) for k, c in step_constants(model, params, DT, torch.device("cpu")).items()}
    spikes, traces = run(inputs, init, constants)
    loss = (spikes * weights[0]).sum() + (traces * weights[1]).sum()
    leaves = [*inputs.values(), *init.values(), *params.values()]
    return spikes.detach(), torch.autograd.grad(loss, leaves, allow_unused=True)


def scan_of(model, surrogate, fused):
    def run(inputs, init, constants):
        spikes, traces = Scan(model, surrogate, fused)(inputs, init, constants, (STEPS, SAMPLES, N))
        return spikes, torch.stack([t[1:] for t in traces.values()], 1)

    return run


def assert_equal_gradients(found, expected, tolerance):
    for f, e in zip(found, expected, strict=True):
        if e is None or not e.abs().max():
            assert f is None or f.abs().max() == 0
        else:
            assert (f - e).abs().max() <= tolerance * e.abs().max()


@pytest.mark.parametrize("fused", [True, False], ids=["fused", "plain"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("model", [soft, hard, hard_next, own, readout], ids=lambda m: m.name)
def test_scan_has_the_spikes_and_gradients_of_the_plain_loop(model, dtype, fused):
    args = problem(model, dtype, per_neuron=model is own)
    reference = gradients(model, lambda i, v, c: loop(model, SURROGATES["arctan"], i, v, c), *args)
    spikes, grads = gradients(model, scan_of(model, Surrogate("arctan"), fused), *args)
    assert torch.equal(spikes, reference[0])
    assert (spikes.sum() > 10) == model.spiking
    assert_equal_gradients(grads, reference[1], 1e-5 if dtype == torch.float32 else 1e-10)


@pytest.mark.parametrize("name", sorted(SURROGATES))
@pytest.mark.parametrize("model", [soft, own], ids=lambda m: m.name)
def test_every_surrogate(model, name):
    args = problem(model, torch.float64, seed=1)
    _, expected = gradients(model, lambda i, v, c: loop(model, SURROGATES[name], i, v, c), *args)
    for fused in (True, False) if model is soft else (False,):
        _, grads = gradients(model, scan_of(model, Surrogate(name), fused), *args)
        assert_equal_gradients(grads, expected, 1e-10)


def test_detached_reset_follows_the_hand_written_recursion():
    inputs, init, params, weights = problem(soft, torch.float64)
    _, grads = gradients(soft, scan_of(soft, Surrogate(detach_reset=True), True), inputs, init, params, weights)
    v, carried, u = init["v"].detach(), [], []
    for i in inputs["i"].detach():
        u.append(0.9 * v + i)
        v = u[-1] - (u[-1] > 0.5).double()
        carried.append(v)
    d_v = torch.zeros_like(v)
    for t in reversed(range(STEPS)):
        d_u = d_v + weights[1][t, 0] + weights[0][t] * SURROGATES["arctan"](u[t] - 0.5)
        assert torch.allclose(grads[0][t], d_u, rtol=1e-12, atol=1e-12)
        d_v = 0.9 * d_u


def test_detached_reset_of_the_next_step():
    """Of snnTorch's kind: the spike is derived again from the stored membrane, and its reset carries no gradient."""
    inputs, init, params, weights = problem(hard_next, torch.float64)
    _, grads = gradients(
        hard_next, scan_of(hard_next, Surrogate(detach_reset=True), True), inputs, init, params, weights
    )
    x = inputs["i"].detach().requires_grad_()
    v, loss = init["v"].detach(), 0.0
    for t, i in enumerate(x.unbind(0)):
        v = 0.8 * (v * (v <= 1.0)) + i
        slope = SURROGATES["arctan"]((v - 1.0).detach())
        loss = loss + (weights[1][t, 0] * v).sum() + (weights[0][t] * slope * v).sum()
    assert torch.allclose(grads[0], torch.autograd.grad(loss, x)[0], rtol=1e-12, atol=1e-12)


def test_gradients_against_finite_differences():
    """With the spike replaced by a smooth function whose slope is the surrogate, the derived gradient is exact."""
    inputs, init, _, weights = problem(soft, torch.float64, seed=3)
    smooth = lambda x: 0.5 + torch.arctan(torch.pi * x) / torch.pi  # noqa: E731

    def run(current, lam):
        v, total = init["v"].detach(), 0.0
        for t, i in enumerate(current.unbind(0)):
            u = lam * v + i
            s = smooth(u - 0.5)
            v = u - s
            total = total + (weights[0][t] * s).sum() + (weights[1][t, 0] * v).sum()
        return total

    # the same network through the derived backward, with the smooth spike in the step itself
    from spikesim.equations.derivative import vector_jacobian
    from spikesim.equations.surrogates import arctan

    current, lam = inputs["i"].detach(), torch.tensor(0.9, dtype=torch.float64)
    derived = vector_jacobian(soft.dynamics, [("state", "v"), ("input", "i"), ("param", "lam")], arctan)
    ops = {**table(torch.float64, torch.device("cpu")), "spike": smooth}
    states = [init["v"].detach()]
    for i in current:
        u = 0.9 * states[-1] + i
        states.append(u - smooth(u - 0.5))
    d_v, d_lam, d_i = torch.zeros_like(states[0]), 0.0, torch.zeros_like(current)
    for t in reversed(range(STEPS)):
        leaves = {
            "state": {"v": states[t]},
            "input": {"i": current[t]},
            "param": {k: torch.tensor(p.default, dtype=torch.float64) for k, p in soft.params.items()},
            "cotangent": {"spike": weights[0][t], "v": d_v + weights[1][t, 0]},
        }
        results = derived.evaluate(leaves, ops)
        d_v, d_i[t] = results["d_state_v"], results["d_input_i"]
        d_lam = d_lam + results["d_param_lam"].sum()
    h = 1e-6
    assert abs((run(current, lam + h) - run(current, lam - h)) / (2 * h) - d_lam) < 1e-6 * abs(d_lam)
    for index in [(0, 0, 0), (3, 1, 2), (11, 2, 4)]:
        shift = torch.zeros_like(current)
        shift[index] = h
        numeric = (run(current + shift, lam) - run(current - shift, lam)) / (2 * h)
        assert abs(numeric - d_i[index]) < 1e-6 * max(1.0, abs(d_i[index]))


def test_threads_give_the_same_bits():
    torch.manual_seed(0)
    x = torch.randn(40, 64, 512, requires_grad=True)
    constants = {k: torch.tensor(p.default) for k, p in soft.params.items()}
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            spikes, traces = Scan(soft)({"i": x}, {"v": torch.zeros(512)}, constants, (40, 64, 512))
            grad = torch.autograd.grad((spikes * x.detach()).sum() + traces["v"][-1].sum(), x)[0]
            results.append((spikes.detach(), grad))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])


def test_printed_kernels_vectorise():
    """LLVM must check that many arrays do not overlap (compiled anew: cached code cannot be inspected)."""
    layout = Layout(own, "float32", own.inputs, ("alpha", "rho"))
    printed = load(backward_source(layout, ("alpha", "rho"), (), Surrogate()), "backward")
    kernel = njit(error_model="numpy")(printed.py_func)
    column, rows = np.zeros(64, np.float32), np.zeros((3, 64), np.float32)
    constants = [column.copy() if c in layout.arrays else np.float32(0.5) for c in layout.constants]
    d_inputs, columns = [rows.copy(), rows.copy()], [column.copy() for _ in range(4)]
    kernel(0, 64, 0, 3, rows, rows, rows, rows, rows, *columns[:2], *d_inputs, *columns[2:], *constants)
    assembly = "".join(kernel.inspect_asm().values())
    assert "mulps" in assembly or "fmul\tv" in assembly


def test_an_input_that_is_the_same_at_every_step_needs_one_row():
    inputs, init, params, weights = problem(own, torch.float64)
    for fused in (True, False):
        found = []
        for copied in (False, True):
            once = inputs["current"][:1].detach().requires_grad_()
            current = once.expand(STEPS, SAMPLES, N)
            given = {**inputs, "current": current.clone() if copied else current}
            spikes, grads = gradients(own, scan_of(own, Surrogate(), fused), given, init, params, weights)
            found.append((spikes, torch.autograd.grad(current, once, grads[0])[0], *grads[1:]))
        for a, b in zip(*found, strict=True):
            assert torch.allclose(a, b, rtol=1e-12, atol=1e-12)


def test_states_are_kept_only_if_asked_for():
    inputs, init, params, _ = problem(own, torch.float64)
    constants = step_constants(own, params, DT, torch.device("cpu"))
    everything, traces = Scan(own)(inputs, init, constants, (STEPS, SAMPLES, N))
    spikes, kept = Scan(own)(inputs, init, constants, (STEPS, SAMPLES, N), keep=["a"])
    assert list(kept) == ["a"] and torch.equal(kept["a"], traces["a"]) and torch.equal(spikes, everything)
    assert Scan(own)(inputs, init, constants, (STEPS, SAMPLES, N), keep=[])[1] == {}


def test_more_columns_and_steps_than_fit_a_block():
    """Blocks of the backward scan get narrow for many steps; their seams must not show."""
    torch.manual_seed(0)
    x = (0.4 * torch.randn(1500, 3, 70, dtype=torch.float64)).requires_grad_()
    constants = {k: torch.tensor(p.default, dtype=torch.float64) for k, p in soft.params.items()}
    found = []
    for fused in (True, False):
        spikes, traces = Scan(soft, fused=fused)({"i": x}, {"v": torch.zeros(70).double()}, constants, (1500, 3, 70))
        found.append((spikes, torch.autograd.grad((spikes * x.detach()).sum() + traces["v"][700].sum(), x)[0]))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.allclose(found[0][1], found[1][1], rtol=1e-10, atol=1e-12)


def test_source_can_be_read():
    text = forward_source(Layout(soft, "float32", ("i",), ()), ())
    assert "def scan(first, last, begin, end, spikes, in_i, c_v, p_lam" in text
    compile(text, "forward", "exec")
    compile(backward_source(Layout(soft, "float64", ("i",), ("lam",)), ("lam",), ("v",), Surrogate("mpr")), "b", "exec")


def test_unknown_surrogate_names_the_nearest():
    with pytest.raises(UnknownNameError, match="arctan"):
        Surrogate("arctn").function()
    with pytest.raises(UnknownNameError, match="slope"):
        Surrogate("fast_sigmoid", (("slop", 5.0),)).function()
    assert Surrogate("atan").function()(0.3) == SURROGATES["arctan"](0.3)
