"""snnTorch's and norse's own modules, read as networks: the same spikes, or a refusal that names the part."""

import numpy as np
import pytest

from spikesim import run
from spikesim.convert import from_norse, from_snntorch, from_torch
from spikesim.errors import InvalidValueError, UnsupportedError

torch = pytest.importorskip("torch")
snn = pytest.importorskip("snntorch")
norse = pytest.importorskip("norse.torch")
resets = pytest.importorskip("norse.torch.functional.reset")
nn = torch.nn

STEPS = 400
PRECISIONS = {"float32": torch.float32, "float64": torch.float64}


def fire(x):
    """A spike in the precision of the membrane: snnTorch's own is float32, which no layer in float64 takes."""
    return (x > 0).to(x.dtype)


def exact(module, scale=4.0, bits=8):
    """Weights that a few bits hold, so that sums are the same in any order; what is left is the neuron's arithmetic."""
    for name, p in module.named_parameters():
        if name.rpartition(".")[2] in ("weight", "bias", "input_weights", "recurrent_weights"):
            p.data = (p.data * scale * 2**bits).round() / 2**bits
    return module


def spikes(*shape, rate=0.3, dtype=torch.float32, seed=0):
    return (torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) < rate).to(dtype)


def same(module, sample, least=500, **options):
    """The network of a module; it must give the module's own spikes."""
    network, report = from_torch(module, sample, verify=True, **options)
    assert report.verification.differing == 0, str(report)
    assert report.verification.before >= least, str(report)
    return network, report


# ---------------------------------------------------------------------------------------------------- every neuron
def snntorch_cells(dtype):
    """Every neuron with every reset, at once and delayed, with parameters as people have them."""
    torch.manual_seed(1)
    n, each = 24, {}
    beta, threshold = torch.rand(n, dtype=dtype) * 0.5 + 0.5, torch.rand(n, dtype=dtype) + 0.5
    for reset in ("subtract", "zero", "none"):
        for delay in (True, False):
            kw = {"reset_mechanism": reset, "reset_delay": delay, "init_hidden": True, "spike_grad": fire}
            label = f"{reset}_{delay}"
            each[f"learned_{label}"] = snn.Leaky(beta, threshold, learn_beta=True, learn_threshold=True, **kw)
            each[f"synaptic_{label}"] = snn.Synaptic(alpha=0.7, beta=beta, threshold=2.0, learn_alpha=True, **kw)
            each[f"all_{label}"] = exact(snn.RLeaky(beta=0.8, linear_features=n, **kw))
        kw = {"reset_mechanism": reset, "init_hidden": True, "spike_grad": fire}
        each[f"rsynaptic_{reset}"] = exact(snn.RSynaptic(alpha=0.5, beta=0.9, linear_features=n, threshold=3.0, **kw))
        each[f"lapicque_{reset}"] = snn.Lapicque(R=1.0, C=4.0, time_step=1.0, threshold=0.5, **kw)
        each[f"alpha_{reset}"] = snn.Alpha(alpha=0.9, beta=0.75, threshold=1.5, **kw)
    each["lapicque_beta"] = snn.Lapicque(beta=0.9, threshold=0.3, init_hidden=True, spike_grad=fire)
    each["one"] = snn.RLeaky(0.9, V=-0.75, all_to_all=False, init_hidden=True, spike_grad=fire)
    each["clamped"] = snn.Leaky(beta=1.5, threshold=5.0, init_hidden=True)
    return each


class Zoo(nn.Module):
    """Many neurons beside each other, all given the same."""

    def __init__(self, cells, n_in=20, n=24):
        super().__init__()
        self.fc = exact(nn.Linear(n_in, n))
        self.cells = nn.ModuleDict(cells)

    def forward(self, x):
        current = self.fc(x)
        return tuple(cell(current) for cell in self.cells.values())


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_every_neuron_of_snntorch(dtype):
    real = PRECISIONS[dtype]
    torch.manual_seed(0)
    zoo = Zoo(snntorch_cells(real)).to(real)
    network, _ = same(zoo, spikes(STEPS, 2, 20, dtype=real), least=10_000, per_step=True)
    assert len(network.populations) == len(zoo.cells)
    assert {p.model.options["timing"] for p in network.populations} == {"same", "next", "again", "pause"}


class NorseZoo(nn.Module):
    """The same for norse, whose neurons are given their states."""

    def __init__(self, cells, n_in=20, n=24):
        super().__init__()
        self.fc = exact(nn.Linear(n_in, n), 16)
        self.cells = nn.ModuleDict(cells)

    def forward(self, x, states=None):
        current, found, states = self.fc(x), [], states or [None] * len(self.cells)
        after = []
        for cell, state in zip(self.cells.values(), states, strict=True):
            spike, state = cell(current, state)
            found.append(spike)
            after.append(state)
        return found, after


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_every_neuron_of_norse(dtype):
    real = PRECISIONS[dtype]
    torch.manual_seed(0)
    tau, level = torch.rand(24, dtype=real) * 300 + 50, torch.rand(24, dtype=real) * 0.5 + 0.5
    as_real = lambda x: torch.tensor(x, dtype=real)  # noqa: E731
    rest = {"v_leak": as_real(-0.25), "v_reset": as_real(-0.5), "v_th": level}
    box = norse.LIFBoxParameters
    cells = {
        "box": norse.LIFBoxCell(),
        "box_rest": norse.LIFBoxCell(box(tau_mem_inv=tau, **rest), dt=5e-4),
        "box_subtract": norse.LIFBoxCell(box(tau_mem_inv=tau, reset_method=resets.reset_subtract)),
        "lif": norse.LIFCell(),
        "lif_rest": norse.LIFCell(norse.LIFParameters(tau_mem_inv=tau, tau_syn_inv=as_real(350.0), **rest)),
        "recurrent": exact(norse.LIFRecurrentCell(24, 16), 4),
        "refractory": norse.LIFRefracCell(norse.LIFRefracParameters(rho_reset=as_real(3.0))),
        "adaptive": norse.LSNNCell(norse.LSNNParameters(tau_adapt_inv=as_real(50.0), beta=as_real(0.75))),
        "izhikevich": norse.IzhikevichCell(norse.tonic_bursting),
        "adaptive_recurrent": exact(norse.LSNNRecurrentCell(24, 16), 4),
        "iaf": norse.IAFCell(norse.IAFParameters(v_th=as_real(30.0), v_reset=as_real(1.0))),
    }
    network, report = same(NorseZoo(cells).to(real), spikes(STEPS, 2, 20, dtype=real), least=5_000, per_step=True)
    assert network.dt == 1e-3 and "0.0005" in report.notes[0]
    assert network["cells.recurrent->cells.recurrent"].delay == 1e-3


# --------------------------------------------------------------------------------------------- modules as people write
class Loop(nn.Module):
    """snnTorch's tutorials: explicit states, a loop over time, spikes and membranes returned."""

    def __init__(self, index):
        super().__init__()
        self.index = index
        self.fc1, self.lif1 = exact(nn.Linear(20, 16)), snn.Leaky(beta=0.9)
        self.fc2, self.lif2 = exact(nn.Linear(16, 10)), snn.Leaky(beta=0.8)

    def forward(self, x):
        mem1, mem2, spikes, mems = self.lif1.init_leaky(), self.lif2.init_leaky(), [], []
        for step in range(60):
            spk1, mem1 = self.lif1(self.fc1(self.index(x, step)), mem1)
            mem1 = mem1.detach()
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spikes.append(spk2)
            mems.append(mem2)
        return torch.stack(spikes), torch.stack(mems)


@pytest.mark.parametrize("index", [lambda x, t: x[t], lambda x, t: x.transpose(0, 1)[t], lambda x, t: x[:, t]])
def test_a_loop_over_time(index):
    sample = spikes(60, 3, 20)
    inside = sample if index(sample, 1).shape == (3, 20) else sample.transpose(0, 1)
    network, report = same(Loop(index), inside)
    assert [p.name for p in network.populations] == ["lif1", "lif2"]
    assert report.verification.steps == 60 and report.verification.samples == 3
    assert network["input"].shape == (20,) and not network["input"].graded


def test_a_constant_input_is_graded():
    network, _ = same(Loop(lambda x, t: x), torch.rand(5, 20).mul(256).round() / 256)
    assert network["input"].graded


def test_a_constant_input_that_the_module_repeats():
    class Repeats(Loop):
        def forward(self, x):
            return super().forward(x.unsqueeze(0).repeat(60, 1, 1))

    network, report = same(Repeats(lambda x, t: x[t]), torch.rand(5, 20).mul(256).round() / 256)
    assert network["input"].shape == (20,) and report.verification.samples == 5


def test_without_a_sample_and_step_by_step():
    torch.manual_seed(0)
    hidden = nn.Sequential(nn.Flatten(), nn.Linear(12, 8), snn.Leaky(0.9, init_hidden=True))
    network, _ = from_snntorch(nn.Sequential(*list(hidden)[1:]))
    assert network["layer1"].n == 8
    with pytest.raises(InvalidValueError, match="needs sample="):
        from_snntorch(hidden)


class Wired(nn.Module):
    """A loop that the user wired, one neuron module with two states, a residual sum, a delay."""

    def __init__(self):
        super().__init__()
        self.fc1, self.fc2, self.back = (exact(nn.Linear(12, 12)) for _ in range(3))
        self.gain = nn.Parameter(torch.full((12,), 0.25))
        self.lif = snn.Leaky(beta=0.9)

    def forward(self, x):
        one = two = past = torch.zeros(x.shape[1], 12)
        mem1, mem2, out = self.lif.init_leaky(), self.lif.init_leaky(), []
        for row in x:
            before = one
            one, mem1 = self.lif(0.5 * self.fc1(row) + self.back(two), mem1)
            two, mem2 = self.lif(self.fc2(one) - past + self.gain, mem2)
            past = before
            out.append(two)
        return torch.stack(out, 0)


def test_loops_shared_neurons_residuals_and_delays():
    network, _ = same(Wired(), spikes(100, 2, 12))
    delays = {p.name: (p.delay, type(p.rule).__name__) for p in network.projections}
    assert delays == {
        "input->lif": (0.0, "Dense"), "lif_2->lif": (1e-3, "Dense"), "lif->lif_2": (0.0, "Dense"),
        "lif->lif_2 2": (2e-3, "OneToOne"),
    }  # fmt: skip


def test_images_norms_pools_and_dropout():
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, groups=1), nn.BatchNorm2d(4),
        snn.Leaky(0.9, spike_grad=fire, init_hidden=True), nn.AvgPool2d(2),
        nn.Conv2d(4, 4, 3, stride=(2, 1), dilation=1, groups=2), nn.Dropout(0.5),
        snn.Leaky(0.8, spike_grad=fire, init_hidden=True),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 6), nn.BatchNorm1d(6),
        snn.Synaptic(0.5, torch.full((6,), 0.9), init_hidden=True, output=True),
    )  # fmt: skip
    for p in module.modules():
        if "BatchNorm" in type(p).__name__:
            p.running_mean.uniform_(-0.5, 0.5)
            p.running_var.uniform_(0.01, 0.1)
            nn.init.uniform_(p.weight, 0.5, 1.0)
            nn.init.uniform_(p.bias, 0.0, 0.5)
    module = module.double().train()
    network, _ = same(module, spikes(60, 3, 1, 8, 8, dtype=torch.float64), per_step=True)
    assert [p.shape for p in network.populations] == [(4, 8, 8), (4, 1, 2), (6,)]
    assert module.training and not module[2]._forward_hooks and module[2].mem.numel() == 0


def test_many_steps_at_once_and_read_outs_of_norse():
    torch.manual_seed(0)
    module = norse.SequentialState(
        norse.Lift(exact(nn.Conv2d(1, 2, 3), 16)), norse.LIF(), nn.Flatten(2), exact(nn.Linear(72, 12), 4),
        exact(norse.LIFRecurrent(12, 8), 2), exact(nn.Linear(8, 3)), norse.LI(),
    )  # fmt: skip
    sample = spikes(80, 2, 1, 8, 8)
    network, _ = same(module, sample, least=200)
    membranes = module(sample)[0].detach().numpy()
    with_probe = network.with_(probes=[_probe("layer3")])
    found = run(with_probe, inputs={"input": sample.numpy()}, backend="torch")
    assert np.allclose(found.traces["layer3"]["v"].values.swapaxes(0, 1), membranes, atol=1e-5)


def _probe(population):
    from spikesim import Probe

    return Probe(population, ("v",))


def test_a_recurrent_container_of_norse():
    module = norse.RecurrentSequential(norse.SequentialState(exact(nn.Linear(10, 10), 32), norse.LIFBoxCell()))
    network, _ = same(module, spikes(100, 2, 10), least=100, per_step=True)
    assert {p.delay for p in network.projections} == {0.0, 1e-3}
    assert from_norse(module, spikes(2, 10))[0] == network


def test_a_last_layer_without_neurons_is_a_read_out():
    class Read(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.lif, self.out = exact(nn.Linear(20, 8)), snn.Leaky(0.9), exact(nn.Linear(8, 3))

        def forward(self, x):
            mem, rows = self.lif.init_leaky(), []
            for row in x:
                spk, mem = self.lif(self.fc(row), mem)
                rows.append(self.out(spk))
            return torch.stack(rows)

    module, x = Read(), spikes(50, 2, 20)
    network, _ = from_snntorch(module, x)
    found = run(network.with_(probes=[_probe("out")]), inputs={"input": x.numpy()}, backend="torch")
    assert np.allclose(found.traces["out"]["v"].values.swapaxes(0, 1), module(x).detach().numpy(), atol=1e-6)


def test_any_weights_differ_in_rounding_only():
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Linear(50, 64), snn.Leaky(0.9, init_hidden=True), nn.Linear(64, 64), snn.Leaky(0.9, init_hidden=True)
    )
    with torch.no_grad():
        for p in module.parameters():
            p.mul_(4)
    _, report = from_torch(module, spikes(STEPS, 4, 50), per_step=True, verify=True)
    assert report.verification.differing <= 1e-4 * report.verification.before


def test_states_of_an_earlier_run_do_not_count():
    cells = [snn.Leaky(0.9, init_hidden=True), snn.Alpha(0.9, 0.75, init_hidden=True)]
    module = nn.Sequential(exact(nn.Linear(20, 8)), cells[0], exact(nn.Linear(8, 8)), cells[1])
    module(torch.ones(2, 20))
    kept = cells[1].syn_exc
    same(module, spikes(50, 2, 20), least=20, per_step=True)
    assert cells[1].syn_exc is kept


class OneStep(nn.Module):
    """One step from rest in every call."""

    def __init__(self):
        super().__init__()
        self.fc, self.lif = exact(nn.Linear(20, 8)), snn.Leaky(0.9)

    def forward(self, x):
        return self.lif(self.fc(x), self.lif.init_leaky())


def test_a_module_that_begins_anew_in_every_call():
    _, report = same(OneStep(), spikes(50, 20), least=20)
    assert report.verification.steps == 1
    with pytest.raises(UnsupportedError, match="start anew"):
        from_torch(OneStep(), spikes(5, 2, 20), per_step=True)


class Named(snn.Leaky):
    """A user's class that changes nothing."""


def test_a_users_class_counts_as_what_it_extends():
    same(
        nn.Sequential(exact(nn.Linear(20, 8)), Named(0.9, init_hidden=True)), spikes(50, 2, 20), least=20, per_step=True
    )
