"""Derived gradients of every neuron and surrogate: against torch, finite differences and sympy."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from spikesim.equations.derivative import vector_jacobian
from spikesim.equations.expression import Expressions, Node, Tape
from spikesim.equations.primitives import clip, detach, exp, floor, log, maximum, minimum, spike, sqrt, tanh, where
from spikesim.equations.show import jacobian
from spikesim.equations.surrogates import SURROGATES, surrogate
from spikesim.equations.targets import NUMPY
from spikesim.models.neurons import NEURONS
from spikesim.neuron import NeuronModel, Param, State, neuron

DT = 1e-3
# every branch of every model that changes its equations
VARIANTS: dict[str, dict[str, Any]] = {
    "lif subtract": {"reset": "subtract"},
    "lif subtract q": {"reset": "subtract", "q": 0.7},
    "lif subtract next": {"reset": "subtract", "timing": "next"},
    "lif to next": {"timing": "next"},
    "lif none": {"reset": "none"},
    "lif >=": {"threshold": ">="},
    "lif t_ref": {"t_ref": 2e-3},
    "integrate_and_fire subtract": {"reset": "subtract"},
    "leaky to": {"reset": "to"},
    "leaky same": {"timing": "same"},
    "lif_exp start": {"arrival": "start"},
    "lif_alpha start": {"arrival": "start"},
    "alif 2018": {"variant": "2018"},
    "alif same": {"timing": "same"},
    "cuba_lif subtract": {"reset": "subtract"},
    "loihi_lif subtract": {"reset": "subtract"},
    "li beta": {"beta": 0.9},
}
MODELS: dict[str, NeuronModel] = {
    **{name: make().model for name, make in NEURONS.items()},
    **{name: NEURONS[name.split()[0]](**options).model for name, options in VARIANTS.items()},
}


def leaves_of(model: NeuronModel) -> list[tuple[str, str]]:
    return [(kind, name) for kind in ("state", "input", "param") for name in model.dynamics.leaves(kind)]


def scales(model: NeuronModel) -> dict[str, float]:
    """Size of what each state and input does to the membrane, so that random points lie around the threshold."""
    params = {name: p.default for name, p in model.params.items()}
    if model.name in ("lif_psc_exp", "lif_alpha", "adex"):
        currents = dict.fromkeys(["i_syn", "i", "dc", "i_exc", "i_inh", "exc", "inh"], 1e-9)
        return {**currents, "v": 1e-3, "d_exc": 1e-6, "d_inh": 1e-6, "w": 1e-10, "g_exc": 1e-8, "g_inh": 1e-8, "r": 1.0}
    if model.name == "lif_exp":
        return {"v": 1e-3, "g_exc": 1e-3, "g_inh": 1e-3, "exc": 1e-3, "inh": 1e-3, "r": 1.0}
    if model.name == "lif_cond_exp":
        return {"v": 1e-3, "g_exc": 0.5, "g_inh": 0.5, "exc": 0.5, "inh": 0.5, "r": 1.0}
    if model.name == "loihi_lif":
        return {"u": 3000.0, "v": 3000.0, "i": 50.0}
    if model.name == "izhikevich":
        return {"v": 10.0, "u": 5.0, "i": 10.0}
    return dict.fromkeys([*model.states, *model.inputs], abs(params.get("v_th", 1.0)))


def point(model: NeuronModel, seed: int) -> dict[str, dict[str, Any]]:
    """Return random states and inputs near the threshold, and the default step constants."""
    rng = np.random.default_rng(seed)
    scale = scales(model)
    params = {name: np.float64(p.default) for name, p in model.params.items()}
    centre = params.get("v_th", params.get("v_peak", params.get("th", 0.0)))
    if model.name == "loihi_lif":
        centre = 64.0 * params["v_th"]
    if model.name == "adex":  # near the peak a step of 1 ms explodes
        centre = params["v_t"]
    state = {name: rng.normal() * scale[name] for name in model.states}
    state["v"] = centre + rng.normal() * scale["v"]
    if "r" in state:
        state["r"] = float(rng.integers(0, 2) * 3)
    inputs = {name: rng.normal() * scale[name] for name in model.inputs}
    constants = model.step_constants(params, DT)
    return {"state": state, "input": inputs, "param": {k: np.float64(v) for k, v in constants.items()}}


def cotangents(model: NeuronModel, seed: int) -> dict[str, float]:
    rng = np.random.default_rng(seed + 1000)
    # the counter is a whole number: no gradient ever arrives there
    return {name: float(rng.normal()) if name != "r" else 0.0 for name in model.dynamics.outputs}


def backward(
    model: NeuronModel, at: dict[str, dict[str, Any]], cot: dict[str, float], slope: Any, detach_reset: bool = False
) -> dict[tuple[str, str], float]:
    leaves = leaves_of(model)
    derived = vector_jacobian(model.dynamics, leaves, slope, detach_reset=detach_reset)
    values = derived.evaluate({**at, "cotangent": cot}, NUMPY)
    return {(kind, name): float(values[f"d_{kind}_{name}"]) for kind, name in leaves}


# ------------------------------------------------------------------------------------------------------- torch
def torch_ops(slope: Callable[[Any], Any], detached: bool = False) -> dict[str, Callable[..., Any]]:
    """Return the grammar in torch, with a spike whose gradient is ``slope`` (traced and evaluated in torch)."""
    torch = pytest.importorskip("torch")
    tape = Tape()
    traced = slope(tape.symbol("input", "x"))
    program = tape.finish({"y": tape.symbol("input", "x").lift(traced)})

    class Spike(torch.autograd.Function):  # type: ignore[misc, name-defined, unused-ignore]
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return (x > 0).to(x.dtype)

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            (x,) = ctx.saved_tensors
            return g * program.evaluate({"input": {"x": x}}, table)["y"]

    def choose(c: Any, a: Any, b: Any) -> Any:
        return torch.where(c, a, b) if c.dtype == torch.bool else c * a + (1 - c) * b

    def as_tensor(x: float) -> Any:
        return torch.tensor(x, dtype=torch.float64)

    table: dict[str, Callable[..., Any]] = {
        "const": as_tensor,
        "neg": torch.neg,
        "abs": lambda x: torch.where(x < 0, -x, x),
        "floor": torch.floor,
        "sqrt": torch.sqrt,
        "exp": torch.exp,
        "log": torch.log,
        "tanh": torch.tanh,
        "spike": lambda x: Spike.apply(x).detach() if detached else Spike.apply(x),
        "detach": lambda x: x.detach(),
        "add": torch.add,
        "sub": torch.sub,
        "mul": torch.mul,
        "div": torch.div,
        "min": lambda a, b: torch.where(a < b, a, b),
        "max": lambda a, b: torch.where(a > b, a, b),
        "gt": torch.gt,
        "ge": torch.ge,
        "lt": torch.lt,
        "le": torch.le,
        "eq": torch.eq,
        "and": torch.logical_and,
        "or": torch.logical_or,
        "not": torch.logical_not,
        "where": choose,
    }
    return table


def by_autograd(
    model: NeuronModel, at: dict[str, dict[str, Any]], cot: dict[str, float], slope: Any, detach_reset: bool = False
) -> dict[tuple[str, str], float]:
    """Return gradients by torch, through the same step with the surrogate spliced in."""
    torch = pytest.importorskip("torch")
    tensors = {
        kind: {n: torch.tensor(float(x), dtype=torch.float64, requires_grad=True) for n, x in values.items()}
        for kind, values in at.items()
    }
    out = model.dynamics.evaluate(tensors, torch_ops(slope))
    if detach_reset:  # gradients reach states without passing any spike
        states = model.dynamics.evaluate(tensors, torch_ops(slope, detached=True))
        out = {**states, "spike": out["spike"]}
    total = sum((out[name] * cot[name] for name in out), torch.zeros((), dtype=torch.float64))
    leaves = leaves_of(model)
    if not total.requires_grad:
        return dict.fromkeys(leaves, 0.0)
    grads = torch.autograd.grad(total, [tensors[k][n] for k, n in leaves], allow_unused=True)
    return {leaf: 0.0 if g is None else float(g) for leaf, g in zip(leaves, grads, strict=True)}


def assert_close(found: dict[tuple[str, str], float], expected: dict[tuple[str, str], float]) -> None:
    for leaf, value in expected.items():
        assert found[leaf] == pytest.approx(value, rel=1e-9, abs=1e-12), leaf


@pytest.mark.parametrize("name", sorted(MODELS))
def test_backward_agrees_with_torch_for_every_surrogate(name: str) -> None:
    pytest.importorskip("torch")
    model = MODELS[name]
    for surrogate_name in SURROGATES:
        slope = surrogate(surrogate_name)
        for seed in range(6):
            at, cot = point(model, seed), cotangents(model, seed)
            assert_close(backward(model, at, cot, slope), by_autograd(model, at, cot, slope))


@pytest.mark.parametrize("q", [0.5, 1.0])
def test_gradients_of_soft_and_hard_reset_are_the_papers(q: float) -> None:
    # soft: du = dm (1 - q g) + do g;  hard: du = dm ((1 - o) - u g) + do g;  dm[t-1] = lam du, dI = du
    lam, th, slope = 0.8, 0.5, surrogate("mpr")
    dm, do = 1.7, -0.6
    for u in np.linspace(-0.4, 1.4, 19) + 0.01:
        v = 0.3
        inputs = {"i": u - lam * v}
        g, o = float(slope(u - th)), float(u > th)
        soft = {"state": {"v": v}, "input": inputs, "param": {"lam": lam, "th": th, "q": q, "bias": 0.0}}
        found = backward(MODELS["lif_soft"], soft, {"spike": do, "v": dm}, slope)
        du = dm * (1 - q * g) + do * g
        assert found["input", "i"] == pytest.approx(du) and found["state", "v"] == pytest.approx(lam * du)
        hard = {"state": {"v": v}, "input": inputs, "param": {"beta": lam, "v_th": th, "v_reset": 0.0, "bias": 0.0}}
        model = NEURONS["leaky"](reset="to", timing="same").model
        found = backward(model, hard, {"spike": do, "v": dm}, slope)
        du = dm * ((1 - o) - u * g) + do * g
        assert found["input", "i"] == pytest.approx(du) and found["state", "v"] == pytest.approx(lam * du)


TWO_SPIKES = ("leaky", "leaky to", "alif", "alif 2018", "synaptic")
ONE_SPIKE = sorted(n for n in MODELS if "next" not in n and n not in (*TWO_SPIKES, "li"))


@pytest.mark.parametrize("name", ONE_SPIKE)
def test_detached_reset_agrees_with_torch(name: str) -> None:
    pytest.importorskip("torch")
    model, slope = MODELS[name], surrogate("arctan")
    for seed in range(6):
        at, cot = point(model, seed), cotangents(model, seed)
        assert_close(
            backward(model, at, cot, slope, detach_reset=True), by_autograd(model, at, cot, slope, detach_reset=True)
        )


@pytest.mark.parametrize("timing", ["same", "next"])
@pytest.mark.parametrize("reset", ["subtract", "to"])
def test_detached_reset_is_snntorchs(reset: Any, timing: Any) -> None:
    # snnTorch detaches R: du/dv = beta (1 - R) or beta, and the spike's slope only reaches the spike
    model = NEURONS["leaky"](reset=reset, timing=timing).model
    for v in (0.4, 1.3):
        at = {"state": {"v": v}, "input": {"i": 0.35}, "param": {"beta": 0.9, "v_th": 1.0, "bias": 0.0, "v_reset": 0.0}}
        found = backward(model, at, {"spike": 2.0, "v": 3.0}, surrogate("sigmoid", slope=2.0), detach_reset=True)
        fired = float(v > 1.0) if timing == "next" else 0.0
        kept = 0.9 * (1.0 - fired) if reset == "to" else 0.9
        u = 0.9 * v * (1.0 - fired) + 0.35 if reset == "to" else 0.9 * v + 0.35 - fired
        g = float(surrogate("sigmoid", slope=2.0)(u - 1.0))
        through = 1.0 - float(u > 1.0) if timing == "same" and reset == "to" else 1.0
        assert found["input", "i"] == pytest.approx(3.0 * through + 2.0 * g)
        assert found["state", "v"] == pytest.approx(kept * (3.0 * through + 2.0 * g))


# ------------------------------------------------------------------------------------------- finite differences
def smooth_ops(width: float) -> dict[str, Callable[..., Any]]:
    """Return numpy in extended precision with a sigmoid as spike and no rounding: a differentiable neuron."""

    def smooth(x: Any) -> Any:
        return 1.0 / (1.0 + np.exp(-x / width))

    return {
        **NUMPY,
        "const": np.longdouble,
        "exp": np.exp,
        "log": np.log,
        "tanh": np.tanh,
        "floor": lambda x: x,  # straight through
        "spike": smooth,
        "where": lambda c, a, b: (a if c else b) if isinstance(c, (bool, np.bool_)) else c * a + (1.0 - c) * b,
    }


def smooth_backward(model: NeuronModel, at: Any, cot: Any, width: float) -> dict[tuple[str, str], float]:
    """Return the derived backward step, evaluated with the sigmoid as spike and its derivative as surrogate."""

    def slope(x: Any) -> Any:
        s = 1.0 / (1.0 + exp(x * (-1.0 / width)))
        return s * (1.0 - s) * (1.0 / width)

    leaves = leaves_of(model)
    values = vector_jacobian(model.dynamics, leaves, slope).evaluate({**at, "cotangent": cot}, smooth_ops(width))
    return {(kind, name): float(values[f"d_{kind}_{name}"]) for kind, name in leaves}


@pytest.mark.parametrize("name", sorted(MODELS))
def test_backward_agrees_with_finite_differences(name: str) -> None:
    model = MODELS[name]
    width = 1.0 if model.name == "loihi_lif" else abs(scales(model)["v"])
    ops = smooth_ops(width)
    for seed in range(4):
        at, cot = point(model, seed), cotangents(model, seed)
        at = {kind: {n: np.longdouble(x) for n, x in values.items()} for kind, values in at.items()}
        found = smooth_backward(model, at, cot, width)
        for kind, leaf in leaves_of(model):
            if leaf == "r":
                continue
            x = at[kind][leaf]

            def total(value: Any, kind: str = kind, leaf: str = leaf, at: Any = at, cot: Any = cot) -> Any:
                with np.errstate(over="ignore", invalid="ignore"):
                    out = model.dynamics.evaluate({**at, kind: {**at[kind], leaf: value}}, ops)
                return sum(out[n] * cot[n] for n in out if n != "r")

            # quantities range from picoamperes to whole numbers: the best of many widths counts
            widths = [np.longdouble(10.0) ** k for k in range(-22, 1)]
            slopes = [float((total(x + h) - total(x - h)) / (2 * h)) for h in widths]
            error = np.nanmin([abs(found[kind, leaf] - slope) for slope in slopes])
            assert error <= 1e-6 * abs(found[kind, leaf]) + 1e-12, (leaf, found[kind, leaf], slopes)


# ----------------------------------------------------------------------------------------------------------- sympy
@pytest.mark.parametrize("name", sorted(MODELS))
def test_sympy_jacobian_agrees(name: str) -> None:
    sp = pytest.importorskip("sympy")
    model, slope = MODELS[name], surrogate("arctan")
    exact = jacobian(model)
    numeric = {
        "g": lambda x: float(slope(x)),
        "spike": lambda x: float(x > 0),
        "floor": np.floor,
        "detach": lambda x: x,
    }
    for seed in range(3):
        at = point(model, seed)
        values = {k: float(x) for leaves in at.values() for k, x in leaves.items()}
        for label, definition in exact.definitions.items():
            values[label] = number(sp, definition, values, numeric)
        for row in exact.rows:
            cot = {n: float(n == row) for n in exact.rows}
            found = backward(model, at, cot, slope)
            for column in exact.columns:
                if "r" in (row, column):
                    continue
                kind = "state" if column in model.states else "input"
                expected = number(sp, exact[row, column], values, numeric)
                assert found.get((kind, column), 0.0) == pytest.approx(expected, rel=1e-9, abs=1e-12), (row, column)


def number(sp: Any, expression: Any, values: dict[str, float], functions: dict[str, Any]) -> float:
    symbols = sorted(expression.free_symbols, key=str)
    plain = [sp.Dummy() for _ in symbols]
    f = sp.lambdify(plain, expression.subs(dict(zip(symbols, plain, strict=True))), [functions, "math"])
    return float(f(*(values[s.name] for s in symbols)))


# ------------------------------------------------------------------------------------------------ users' own neurons
def test_every_primitive_can_be_traced_differentiated_and_evaluated() -> None:
    @neuron(state={"v": 0.3, "w": State(2.0)}, params={"k": Param(1.5, low=0.0)})
    def rich(v: Any, w: Any, i: Any, p: Any) -> Any:
        x = exp(-abs(v)) + log(1.0 + w * w) + tanh(i) + sqrt(w * w + p.k)
        s = spike(minimum(x, 2.0) - maximum(v, 0.1))
        w = where((w > 0.5) & ~(i >= 3.0) | (v < -5.0), w + detach(s), clip(w, -1.0, 1.0))
        return s, x - floor(v) * s, w

    slope = surrogate("fast_sigmoid")
    for seed in range(8):
        rng = np.random.default_rng(seed)
        at = {
            "state": {"v": rng.normal(), "w": rng.normal()},
            "input": {"i": rng.normal()},
            "param": {"k": 1.5, "dt": DT},
        }
        cot = {name: float(rng.normal()) for name in rich.dynamics.outputs}
        assert_close(backward(rich, at, cot, slope), by_autograd(rich, at, cot, slope))


def test_derivative_of_a_stored_expression_with_repeated_nodes() -> None:
    nodes = (
        Node("state", (), "v"),
        Node("state", (), "v"),
        Node("mul", (0, 0)),
        Node("mul", (1, 1)),
        Node("add", (2, 3)),
    )
    program = Expressions((*nodes, Node("spike", (4,))), {"spike": 5, "v": 4})
    derived = vector_jacobian(program, [("state", "v")], surrogate("triangle"))
    out = derived.evaluate({"state": {"v": 3.0}, "cotangent": {"spike": 0.0, "v": 1.0}}, NUMPY)
    assert out["d_state_v"] == 12.0
