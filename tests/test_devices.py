"""Where a network runs if the user leaves it open."""

import pytest

from spikesim import devices, run
from spikesim.devices import CUDA_NEURONS, Accelerator, choose
from spikesim.lowering import lower
from spikesim.models.networks import brunel, cuba
from spikesim.models.neurons import lif
from spikesim.network import Network, Population

SMALL = lower(cuba(200))
LARGE = lower(Network([Population("a", CUDA_NEURONS, lif())]))
GPU = Accelerator("a card", 8 << 30)


@pytest.fixture
def card(monkeypatch):
    """Pretend that torch has a GPU."""
    monkeypatch.setattr(devices, "_accelerator", lambda: GPU)


def test_what_was_named_is_taken(card):
    assert choose(LARGE, None, "cpu") == ("numba", "cpu", "")
    assert choose(SMALL, "torch", "cuda:1") == ("torch", "cuda:1", "")


@pytest.mark.parametrize("backend", [None, "torch"])
def test_size_decides(card, backend):
    found = choose(LARGE, backend, "auto")
    assert (found.backend, found.device) == ("torch", "cuda")
    assert "cuda (a card): 20 000 neurons" in found.reason and "not measured" in found.reason
    found = choose(SMALL, backend, "auto")
    assert (found.backend, found.device) == (backend or "numba", "cpu")
    assert "200 neurons" in found.reason and "50 M synapses" in found.reason


def test_other_backends_keep_their_device(card):
    assert choose(LARGE, "numba", "auto")[:2] == ("numba", "cpu")


def test_learning_and_memory_speak_for_the_cpu(card, monkeypatch):
    monkeypatch.setattr(devices, "CUDA_NEURONS", 100)
    assert "plastic" in choose(lower(brunel(200, plastic=True)), None, "auto").reason
    monkeypatch.setattr(devices, "_accelerator", lambda: Accelerator("a card", 1000))
    found = choose(SMALL, None, "auto")
    assert found.device == "cpu" and "GiB free" in found.reason


def test_without_a_gpu_one_sentence_says_so(monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    recording = run(SMALL, steps=3, backend="torch", device="auto")
    assert recording.meta["device"] == "cpu"
    assert recording.meta["device_reason"].startswith("cpu: no CUDA device: torch")
    assert "device_reason" not in run(SMALL, steps=3, backend="torch").meta


def test_without_torch(monkeypatch):
    monkeypatch.setattr("spikesim.engine.backends", dict)
    assert choose(LARGE, None, "auto") == ("numba", "cpu", "cpu: no CUDA device: the torch backend is not registered")
