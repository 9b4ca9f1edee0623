"""Traced equations: how they read, how they are stored, what is refused; surrogates."""

import math
from typing import Any

import numpy as np
import pytest

from spikesim.distributions import Uniform
from spikesim.equations.expression import Expressions, Symbol, Tape
from spikesim.equations.primitives import exp, spike, where
from spikesim.equations.response import respond
from spikesim.equations.show import equations_latex, equations_text
from spikesim.equations.surrogates import SURROGATES, phi, surrogate
from spikesim.errors import FileFormatError, InvalidValueError, UnknownNameError, UnsupportedError
from spikesim.models.neurons import NEURONS
from spikesim.neuron import NeuronModel, neuron

MODELS: dict[str, NeuronModel] = {name: make().model for name, make in NEURONS.items()}


@pytest.mark.parametrize("name", sorted(MODELS))
def test_equations_can_be_read(name: str) -> None:
    model = MODELS[name]
    text = equations_text(model)
    for state in model.states:
        assert f"    {state}' = " in text
    assert "    spike = " in text
    latex = equations_latex(model)
    assert latex.startswith("\\begin{aligned}") and latex.count("&=") >= 1 + len(model.states)


def test_text_keeps_the_order_of_operations() -> None:
    @neuron(a=2.0, b=3.0)
    def odd(v: Any, i: Any, p: Any) -> Any:
        return spike(v), (v - (i - p.a)) / (p.b * v) + -(v + i) * (p.a / p.b)

    assert "v' = (v - (i - a)) / (b * v) + -(v + i) * (a / b)" in equations_text(odd)


# ---------------------------------------------------------------------------------------------------------- storage
@pytest.mark.parametrize("name", sorted(MODELS))
def test_json_round_trip_is_exact(name: str) -> None:
    import json

    for program in (MODELS[name].dynamics, MODELS[name].constants):
        read = Expressions.from_json(json.loads(json.dumps(program.to_json())))
        assert read == program and hash(read) == hash(program)
        assert read.to_json() == program.to_json()


@pytest.mark.parametrize(
    "node",
    [
        ["eval", [], "print(1)"],
        ["__import__", [0], None],
        ["add", [0], None],
        ["add", [0, 5], None],
        ["add", [0, -1], None],
        ["add", [0, 0.5], None],
        ["add", [True, True], None],
        ["add", "00", None],
        ["state", [], None],
        ["state", [], 3],
        ["neg", [0], "v"],
        ["const", [], 1.0],
        ["const", [], "one"],
        [["add"], [0, 0], None],
        "add",
        None,
    ],
)
def test_reading_refuses_what_is_not_in_the_grammar(node: Any) -> None:
    with pytest.raises(FileFormatError, match="stored expression"):
        Expressions.from_json({"nodes": [["state", [], "v"], node], "outputs": {"spike": 0}})


@pytest.mark.parametrize(
    "data", [{}, {"nodes": []}, {"nodes": [["state", [], "v"]], "outputs": {"spike": 1}}, {"nodes": 3}]
)
def test_reading_refuses_damaged_data(data: Any) -> None:
    with pytest.raises(FileFormatError, match="stored expression"):
        Expressions.from_json(data)


def test_signed_zero_makes_another_program() -> None:
    def program(zero: float) -> Expressions:
        tape = Tape()
        return tape.finish({"spike": tape.symbol("state", "v").apply("add", zero).index})

    assert program(0.0) != program(-0.0)
    assert program(0.0) == program(0.0)


# ---------------------------------------------------------------------------------------------------- error messages
def test_branching_on_a_symbol_names_the_remedy() -> None:
    with pytest.raises(UnsupportedError, match=r"neuron 'bad': a step function cannot branch .* use spikesim.where"):

        @neuron
        def bad(v: Any, i: Any, p: Any) -> Any:
            return (spike(v), v) if v > 1 else (spike(v), 0.0)


def test_equality_of_a_symbol_is_refused_and_not_false() -> None:
    with pytest.raises(UnsupportedError, match=r"neuron 'bad': .* with `==` or `!=`; use `\(a >= b\) & \(a <= b\)`"):

        @neuron
        def bad(v: Any, i: Any, p: Any) -> Any:
            return spike(v), where(i == 1.0, v, 0.0)


def test_math_functions_name_the_remedy() -> None:
    with pytest.raises(UnsupportedError, match=r"neuron 'bad': .* plain numbers .* use spikesim.exp"):

        @neuron
        def bad(v: Any, i: Any, p: Any) -> Any:
            return spike(v), math.exp(v)


def test_numpy_functions_are_refused() -> None:
    with pytest.raises(TypeError):

        @neuron
        def bad(v: Any, i: Any, p: Any) -> Any:
            return spike(v), np.exp(v)


def test_unknown_parameter_names_the_nearest() -> None:
    with pytest.raises(
        UnknownNameError, match=r"neuron 'bad': unknown parameter or step constant 'alpa'; did you mean 'alpha'"
    ):

        @neuron(alpha=0.9)
        def bad(v: Any, i: Any, p: Any) -> Any:
            return spike(v), p.alpa * v


def test_unknown_parameter_in_constants_names_the_neuron() -> None:
    with pytest.raises(UnknownNameError, match=r"neuron 'bad': unknown parameter or step constant 'tua'"):

        @neuron(tau=0.02, constants=lambda p, dt: {"alpha": exp(-dt / p.tua)})
        def bad(v: Any, i: Any, p: Any) -> Any:
            return spike(v), p.alpha * v


def test_wrong_number_of_returns() -> None:
    with pytest.raises(
        InvalidValueError, match=r"step must return the spike and the next \['v'\], that is 2 values, found 1"
    ):

        @neuron
        def bad(v: Any, i: Any, p: Any) -> Any:
            return spike(v)


def test_wrong_arguments() -> None:
    with pytest.raises(InvalidValueError, match=r"arguments of step must begin with the states \['v', 'u'\]"):

        @neuron(state={"v": 0.0, "u": 0.0})
        def bad(u: Any, v: Any, i: Any, p: Any) -> Any:
            return spike(v), v, u


@pytest.mark.parametrize("params", [{"v": 1.0}, {"i": 1.0}, {"dt": 1.0}, {"spike": 1.0}])
def test_a_name_has_one_meaning(params: dict[str, float]) -> None:
    with pytest.raises(InvalidValueError, match="has two meanings"):

        @neuron(params=params)
        def bad(v: Any, i: Any, p: Any) -> Any:
            return spike(v), v


def test_arrays_and_powers_are_refused() -> None:
    with pytest.raises(InvalidValueError, match="works on numbers, found ndarray"):

        @neuron
        def bad(v: Any, i: Any, p: Any) -> Any:
            return spike(v), v * np.ones(3)

    with pytest.raises(UnsupportedError, match="whole positive powers"):

        @neuron
        def worse(v: Any, i: Any, p: Any) -> Any:
            return spike(v), v**0.5


def test_response_of_arrays_and_precisions() -> None:
    model = NEURONS["lif"](tau_m=np.array([5e-3, 20e-3]))
    trace = respond(model, np.full((5, 2), 0.3))
    assert trace["v"].shape == (5, 2) and trace["v"].dtype == np.float64
    assert respond(model, np.full((5, 2), 0.3), dtype=np.float32)["v"].dtype == np.float32
    with pytest.raises(UnknownNameError, match="port of neuron 'lif'"):
        respond(model, {"exc": [1.0]})
    with pytest.raises(InvalidValueError, match="'tau_m' is a distribution"):
        respond(NEURONS["lif"](tau_m=Uniform(5e-3, 20e-3)), [1.0])
    with pytest.raises(InvalidValueError, match="equally many steps"):
        respond(NEURONS["lif_exp"](), {"exc": [1.0], "inh": [1.0, 2.0]})


def test_tracing_leaves_symbols_hashable_and_numpy_out() -> None:
    tape = Tape()
    v = tape.symbol("state", "v")
    assert isinstance(2.0 - v, Symbol) and isinstance(np.float64(2.0) * v, Symbol)


# ------------------------------------------------------------------------------------------------------- surrogates
@pytest.mark.parametrize("name", sorted(SURROGATES))
def test_surrogates_are_even_and_peak_at_the_threshold(name: str) -> None:
    slope = surrogate(name)
    x = np.linspace(-3, 3, 601)
    y = np.array([float(slope(a)) for a in x])
    assert np.allclose(y, y[::-1], atol=1e-12)
    assert y.argmax() in range(299, 302) or name == "rectangle"


@pytest.mark.parametrize("name", ["triangle", "rectangle", "gaussian", "mpr"])
def test_unit_area(name: str) -> None:
    x = np.linspace(-5, 5, 200001)
    y = np.array(surrogate(name)(x))
    assert np.trapezoid(y, x) == pytest.approx(1.0, abs=1e-4)


def test_mpr_is_the_slope_of_phi() -> None:
    u = np.linspace(0.01, 0.99, 99)
    h = 1e-6
    slopes = (phi(u + h) - phi(u - h)) / (2 * h)
    assert np.allclose(slopes, [float(surrogate("mpr")(x)) for x in u - 0.5], atol=1e-8)
    outside = [float(surrogate("mpr")(x)) for x in (-0.6, 0.51, 3.0)]
    assert outside == [0.0, 0.0, 0.0]


def test_mpr_slopes() -> None:
    assert float(surrogate("mpr")(0.0)) == pytest.approx(1.6571871, abs=1e-7)
    assert float(surrogate("mpr")(0.5)) == pytest.approx(0.2994647, abs=1e-7)
    for q in (0.5, 1.0):  # the path through the reset cannot blow up
        x = np.linspace(-1, 1, 2001)
        assert (np.abs(1.0 - q * surrogate("mpr")(x)) <= 1.0 + 1e-12).all()


def test_unknown_surrogate() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'arctan'"):
        surrogate("arctn")


def test_infinite_numbers_are_refused() -> None:
    from spikesim import minimum, neuron, spike
    from spikesim.equations.expression import Expressions
    from spikesim.errors import FileFormatError, InvalidValueError

    def step(v, i, p):
        return spike(v), minimum(v + i, float("inf"))

    with pytest.raises(InvalidValueError, match="finite numbers"):
        neuron(step)
    with pytest.raises(FileFormatError, match="the number inf"):
        Expressions.from_json({"nodes": [["const", [], "inf"]], "outputs": {"spike": 0}})
