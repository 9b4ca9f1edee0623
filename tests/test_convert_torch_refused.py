"""Models of torch that cannot be read as networks: every reason by name, all at once."""

import pytest

from spikesim.convert import format_of, from_torch
from spikesim.errors import InvalidValueError, UnsupportedError

torch = pytest.importorskip("torch")
snn = pytest.importorskip("snntorch")
nn = torch.nn


def layered(*between, cell=None):
    return nn.Sequential(nn.Linear(4, 4), *between, cell or snn.Leaky(0.9, init_hidden=True))


class Deaf(snn.Leaky):
    """A user's class that fires differently."""

    def fire(self, mem):
        return (mem > 2 * self.threshold).to(mem.dtype)


def changed():
    module = layered()
    module[-1].reset_mechanism = "zero"
    return module


REFUSED = {
    "Deaf changes what snntorch.Leaky does": lambda: layered(cell=Deaf(0.9, init_hidden=True)),
    "changed after it was made": changed,
    "the ReLU '1'": lambda: layered(nn.ReLU()),
    "inhibition": lambda: layered(cell=snn.Leaky(0.9, inhibition=True, init_hidden=True)),
    "graded_spikes_factor": lambda: layered(cell=snn.Leaky(0.9, graded_spikes_factor=2.0, init_hidden=True)),
    "state_quant": lambda: layered(cell=snn.Leaky(0.9, state_quant=lambda x: x, init_hidden=True)),
    "there is no neuron in it": lambda: nn.Sequential(nn.Linear(4, 4)),
    "snntorch's SLSTM": lambda: layered(cell=snn.SLSTM(4, 4, init_hidden=True)),
    "the GRUCell": lambda: layered(nn.GRUCell(4, 4)),
    "without running statistics": lambda: layered(nn.BatchNorm1d(4, track_running_stats=False)),
}


@pytest.mark.filterwarnings("ignore:Inhibition")
@pytest.mark.parametrize("sentence", REFUSED)
def test_what_has_no_counterpart_is_refused_by_name(sentence):
    module = REFUSED[sentence]()
    with pytest.raises(UnsupportedError, match=sentence):
        from_torch(module, torch.zeros(2, 4))


@pytest.mark.filterwarnings("ignore:Inhibition")
def test_all_problems_are_said_at_once():
    module = nn.Sequential(
        nn.Linear(4, 4), snn.Leaky(0.9, inhibition=True, init_hidden=True), nn.Linear(4, 4), nn.Sigmoid(),
        snn.Leaky(0.9, init_hidden=True),
    )  # fmt: skip
    with pytest.raises(UnsupportedError) as caught:
        from_torch(module, torch.zeros(1, 4))
    assert "inhibition" in str(caught.value) and len(caught.value.problems) == 2


def test_what_changes_from_step_to_step_is_refused():
    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.lif = nn.Linear(4, 4), snn.Leaky(0.9)

        def forward(self, x):
            mem, total = self.lif.init_leaky(), 0.0
            for row in x:
                total = total + self.fc(row)
                _, mem = self.lif(total, mem)
            return mem

    with pytest.raises(UnsupportedError, match="step 0 is not what arrives in step 4"):
        from_torch(Sum(), torch.ones(5, 1, 4))


def test_a_module_that_does_not_run_says_so():
    with pytest.raises(InvalidValueError, match="does not run on a sample of shape"):
        from_torch(layered(), torch.zeros(1, 5))


def test_torch_files_are_not_read():
    with pytest.raises(UnsupportedError, match=r"use convert\.from_snntorch"):
        format_of("model.pt")
