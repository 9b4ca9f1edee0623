"""Kernels printed for Triton: their results under Triton's interpreter, and the machine code that they become.

The interpreter is chosen when Triton is imported, for a whole process: one test runs the interpreted ones in another.
"""

import os
import re
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("triton")
torch = pytest.importorskip("torch")

from spikesim import Input, Projection, exp, log, minimum, spike, tanh, where  # noqa: E402
from spikesim.backends.torch import TorchBackend  # noqa: E402
from spikesim.backends.torch.ops import step_constants  # noqa: E402
from spikesim.backends.torch.scan import Scan  # noqa: E402
from spikesim.backends.torch.triton_passes import triton_serves  # noqa: E402
from spikesim.connect import Dense  # noqa: E402
from spikesim.equations import elementary_torch  # noqa: E402
from spikesim.equations.primitives import sqrt  # noqa: E402
from spikesim.equations.scan_source import Layout, Surrogate  # noqa: E402
from spikesim.equations.surrogates import SURROGATES  # noqa: E402
from spikesim.equations.triton_source import backward_triton, forward_triton, load_triton  # noqa: E402
from spikesim.layers import dense, sequential  # noqa: E402
from spikesim.lowering import lower  # noqa: E402
from spikesim.models.neurons import NEURONS  # noqa: E402
from spikesim.neuron import neuron  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),  # the interpreter divides in columns beyond the last
    pytest.mark.filterwarnings("ignore::DeprecationWarning:triton"),  # 3.6's interpreter with numpy 2
]

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
interpreted = pytest.mark.skipif(not INTERPRETED, reason="runs in the process of test_under_the_interpreter")
compiled = pytest.mark.skipif(INTERPRETED, reason="needs Triton's compiler")

STEPS, SAMPLES, N = 8, 2, 3
CPU = torch.device("cpu")


@neuron(
    state={"v": 0.0, "a": 0.1},
    tau=4e-3,
    tau_a=20e-3,
    jump=0.2,
    constants=lambda p, dt: {"alpha": exp(-dt / p.tau), "rho": exp(-dt / p.tau_a)},
)
def own(v, a, current, gain, p):
    """A user's neuron with every elementary function, two ports, and states that exchange their values."""
    u = p.alpha * v + tanh(current) * (1.0 + gain) + 0.3 * exp(minimum(v, 1.0) - 1.0) - log(sqrt(v * v + 1.0)) / 3.0
    s = spike(u - 0.7 - a)
    return s, where((u > 2.0) | ~(u > -9.0), a, u * (1.0 - s)), p.rho * a + p.jump * s


@neuron(beta=0.7)
def readout(v, i, p):
    """No spike, and a next state that is a number."""
    return 0.0, p.beta * v + i


MODELS = {name: make().model for name, make in NEURONS.items()}
MODELS |= {"own": own, "readout": readout, "leaky same": NEURONS["leaky"](timing="same").model}
STRONG = {
    "lif_cond_exp": 5.0,
    "lif_euler": 20.0,
    "izhikevich": 60.0,
    "loihi_lif": 3000.0,
    "lif_psc_exp": 2e-8,
    "lif_alpha": 2e-8,
    "adex": 5e-9,
}


def both_ways(model, dtype, surrogate=Surrogate(), per_neuron=True):  # noqa: B008  (a frozen value)
    """Spikes, traces and gradients of random leaves by plain torch and by the printed kernels."""
    rng = np.random.default_rng(1)

    def leaf(values):
        return torch.tensor(values, dtype=dtype).requires_grad_()

    shape = (STEPS, SAMPLES, N)
    size = STRONG.get(model.name, 0.05 if "lif" in model.name and "_exp" in model.name else 1.0)
    inputs = {p: leaf(rng.normal(0.5, 0.8, shape) * size) for p in model.inputs}
    init = {s: leaf(np.broadcast_to(np.float64(v), shape[1:]).copy()) for s, v in model_init(model).items()}
    factor = rng.uniform(0.98, 1.02, N) if per_neuron else 1.0
    params = {n: leaf(np.asarray(p.default) * factor) for n, p in model.params.items()}
    constants = {k: c.to(dtype) for k, c in step_constants(model, params, 1e-3, CPU).items()}
    weights = torch.tensor(rng.normal(size=(1 + len(init), *shape)), dtype=dtype)
    results = []
    for fused in (True, False):
        spikes, traces = Scan(model, surrogate, fused)(inputs, init, constants, shape)
        values = torch.stack([spikes, *(t[1:] for t in traces.values())])
        leaves = [*inputs.values(), *init.values(), *params.values()]
        gradients = torch.autograd.grad((values * weights).sum(), leaves, allow_unused=True, retain_graph=True)
        results.append((spikes.detach(), values.detach(), gradients))
    return results


def model_init(model):
    return {name: getattr(state, "init", state) for name, state in model.states.items()}


def assert_same(results, tolerance):
    (spikes, values, gradients), (same_spikes, same_values, expected) = results
    assert torch.equal(spikes, same_spikes)
    assert torch.equal(values, same_values)
    for found, wanted in zip(gradients, expected, strict=True):
        if wanted is not None and wanted.abs().max() > 0:
            assert (found - wanted).abs().max() <= tolerance * wanted.abs().max()


# ------------------------------------------------------------------------------------------------ interpreted
@interpreted
@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_neuron_has_the_spikes_states_and_gradients_of_plain_torch(name):
    for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-5)):
        results = both_ways(MODELS[name], dtype)
        assert_same(results, tolerance)
        assert results[0][0].sum() > 0 or not MODELS[name].spiking
    assert triton_serves(CPU)


@interpreted
@pytest.mark.parametrize("name", sorted(SURROGATES))
def test_every_surrogate_with_and_without_the_path_through_the_reset(name):
    for detach in (False, True):
        assert_same(both_ways(MODELS["lif_soft"], torch.float64, Surrogate(name, (), detach), per_neuron=False), 1e-10)


@interpreted
def test_columns_beyond_one_block_and_constants_by_neuron():
    model, n = MODELS["lif_soft"], 150
    inputs = {"i": torch.rand((3, 2, n), generator=torch.manual_seed(0), dtype=torch.float64) * 2}
    constants = step_constants(model, {k: p.default for k, p in model.params.items()}, 1e-3, CPU)
    name = next(iter(constants))
    constants[name] = constants[name] * torch.linspace(0.9, 1.1, n, dtype=torch.float64)
    init = {s: torch.zeros((), dtype=torch.float64) for s in model.states}
    runs = [Scan(model, Surrogate(), fused)(inputs, init, constants, (3, 2, n)) for fused in (True, False)]
    assert torch.equal(runs[0][0], runs[1][0]) and 0 < runs[0][0].sum() < runs[0][0].numel()
    for state in model.states:
        assert torch.equal(runs[0][1][state], runs[1][1][state])


@interpreted
def test_an_input_that_stays_the_same_is_read_once():
    model, results = MODELS["own"], []
    x = torch.rand((1, 2, 5), generator=torch.manual_seed(0), dtype=torch.float64).requires_grad_()
    other = torch.rand((6, 2, 5), generator=torch.manual_seed(1), dtype=torch.float64)
    constants = step_constants(model, {k: p.default for k, p in model.params.items()}, 1e-3, CPU)
    init = {s: torch.zeros((), dtype=torch.float64) for s in model.states}
    for fused in (True, False):
        inputs = {"current": x.expand(6, 2, 5), "gain": other}
        spikes, traces = Scan(model, Surrogate(), fused)(inputs, init, constants, (6, 2, 5), keep=("a",))
        (gradient,) = torch.autograd.grad((spikes * other).sum() + traces["a"].square().sum(), x)
        results.append((spikes.detach(), traces["a"].detach(), gradient))
    assert list(traces) == ["a"] and 0 < spikes.sum() < spikes.numel()
    assert torch.equal(results[0][0], results[1][0]) and torch.equal(results[0][1], results[1][1])
    assert torch.allclose(results[0][2], results[1][2], rtol=1e-12, atol=0) and results[0][2].abs().min() > 0


@interpreted
def test_a_recurrent_network_is_stepped_and_learns_as_plain_torch():
    """Layers take one launch for all steps, a loop one for each step and direction."""
    network = sequential(Input("x", 4), dense(5), NEURONS["lif_soft"](), dense(3), NEURONS["leaky"](), seed=2)
    network = network.add(Projection("layer1", "layer1", Dense(np.full((5, 5), -0.2)), delay=1e-3))
    x, results = (torch.rand((9, 2, 4), generator=torch.manual_seed(1)) < 0.6).double(), []
    for fused in (True, False):
        module = TorchBackend().module(lower(network), dtype="float64", fused=fused, params={"layer2": ["beta"]})
        outputs = module(x, record=["layer2/v"])
        (outputs["layer2"].sum() + outputs["layer2/v"].square().sum()).backward()
        results.append((outputs, {name: p.grad for name, p in module.named_parameters()}))
    assert results[0][0]["layer1"].sum() > 5
    for name in ("layer1", "layer2", "layer2/v"):
        assert torch.equal(results[0][0][name], results[1][0][name])
    for name, gradient in results[1][1].items():
        assert gradient.abs().max() > 0
        assert (results[0][1][name] - gradient).abs().max() <= 1e-10 * gradient.abs().max()


@interpreted
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_elementary_functions_have_the_bits_of_torch(dtype):
    model = elementary_model()
    x = torch.cat([torch.linspace(-800, 800, 4001), torch.logspace(-44, 38, 4001), torch.tensor([0.0, -0.0, 1.0])])
    x = x.to(dtype).reshape(1, 1, -1)
    constants: dict[str, torch.Tensor] = {}
    init = {s: torch.zeros((), dtype=dtype) for s in model.states}
    _, traces = Scan(model)({"x": x}, init, constants, x.shape)
    integer = torch.int64 if dtype == torch.float64 else torch.int32
    for state, function in {"a": "exp", "b": "log", "c": "tanh"}.items():
        expected = getattr(elementary_torch, function)(x[0])
        assert torch.equal(traces[state][1].view(integer), expected.view(integer))


def elementary_model():
    @neuron(state={"a": 0.0, "b": 0.0, "c": 0.0})
    def functions(a, b, c, x, p):
        return 0.0, exp(x), log(x), tanh(x)

    return functions


# ------------------------------------------------------------------------------------------------ compiled
@compiled
def test_under_the_interpreter():
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", __file__]
    done = subprocess.run(command, env={**os.environ, "TRITON_INTERPRET": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert re.search(r"\d\d passed", done.stdout)
    assert not triton_serves(CPU)  # here, where the compiler is: a CPU has numba


@compiled
@pytest.mark.parametrize(("dtype", "stages"), [("float32", 1), ("float64", 1), ("float32", 3)])
def test_compiled_code_neither_contracts_nor_approximates(dtype, stages):
    """Compiled for a GPU without one: no fused multiply-add, IEEE division and root, nothing flushed to zero."""
    layout = Layout(own, dtype, tuple(own.inputs), ("alpha",))
    learn, traced = tuple(own.used_constants()), ("v",)
    texts = {"forward": forward_triton(layout, traced)}
    texts["backward"] = backward_triton(layout, learn, traced, Surrogate("sigmoid"))
    for kind, text in texts.items():
        ptx = machine_code(load_triton(text, kind), "*fp32" if dtype == "float32" else "*fp64", stages)
        bits = dtype[-2:]
        operations = set(re.findall(r"^\s*(?:@\S+\s+)?([a-z0-9.]+)\s", ptx, re.MULTILINE))
        assert {f"div.rn.f{bits}", f"sqrt.rn.f{bits}", f"mul.rn.f{bits}"} <= operations
        assert not [o for o in operations if o.startswith(("fma", "ex2", "lg2", "rcp", "mad.rn")) or "approx" in o]
        assert not [o for o in operations if ".ftz" in o]


def machine_code(kernel, pointer, stages):
    """PTX of a printed kernel for compute capability 9.0."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    signature = dict.fromkeys(kernel.arg_names, pointer)
    signature |= {
        "begin": "i32",
        "steps": "i32",
        "width": "i32",
        "n": "i32",
        "BLOCK": "constexpr",
        "STAGES": "constexpr",
    }
    source = ASTSource(kernel, signature, constexprs={"BLOCK": 128, "STAGES": stages})
    options = {"enable_fp_fusion": False}
    return triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options).asm["ptx"]
