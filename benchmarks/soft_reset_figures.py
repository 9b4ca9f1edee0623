"""What is measured of a network that was trained with or without soft reset and MPR."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.engine import backend
from spikesim.equations.surrogates import phi
from spikesim.lowering import lower
from spikesim.models.neurons import integrate_and_fire
from spikesim.network import Network, Population

WATCHED = 256  # samples whose membranes are looked at
AT_ONCE = 500
EDGES = np.linspace(-3.0, 4.0, 141)


def figures(
    untrained: Network, trained: Network, surrogate: Mapping[str, Any], training: Any, test: Any, steps: int
) -> dict[str, Any]:
    """Return test accuracy, and by hidden layer gradients before training, membranes and rates after it.

    Parameters
    ----------
    untrained, trained
        The network before and after; its last population reads out and never fires.
    surrogate
        For the gradients, as ``train`` takes it.
    training, test
        Samples and labels.
    steps
        Steps a sample is presented.
    """
    layers = [quantisation(u) for u in membranes(trained, test[0][:WATCHED], steps)]
    return {
        "accuracy": round(accuracy(trained, *test, steps), 5),
        "gradients": [short(g) for g in gradients(untrained, surrogate, *training, steps)],
        **{key: [short(layer[key]) for layer in layers] for key in layers[0]},
    }


def short(value: float) -> float:
    """Round to four digits: more would only make files long."""
    return float(f"{value:.4g}")


def _module(network: Network, **options: Any) -> Any:
    return backend("torch").module(lower(network, folded=False), **options)  # type: ignore[attr-defined]


def _over_time(x: Any, steps: int) -> Any:
    import torch

    return torch.as_tensor(np.asarray(x)).expand(steps, *np.shape(x))


def accuracy(network: Network, x: Any, y: Any, steps: int, dtype: str = "float32") -> float:
    """Return the share of samples whose largest mean read-out is that of their label."""
    import torch

    module, name = _module(network, dtype=dtype).eval(), network.populations[-1].name
    right = 0
    with torch.no_grad():
        for k in range(0, len(x), AT_ONCE):
            scores = module(_over_time(x[k : k + AT_ONCE], steps), record=[f"{name}/v"])[f"{name}/v"].mean(0)
            right += int((scores.argmax(1).numpy() == y[k : k + AT_ONCE]).sum())
    return right / len(x)


def gradients(network: Network, surrogate: Mapping[str, Any], x: Any, y: Any, steps: int) -> Iterator[float]:
    """Yield the norm of the gradient of each projection's weights before training, over the first samples."""
    import torch

    named = {"surrogate": surrogate["surrogate"], "settings": surrogate["surrogate_settings"]}
    module, name = _module(network, **named), network.populations[-1].name
    scores = module(_over_time(x[:WATCHED], steps), record=[f"{name}/v"])[f"{name}/v"].mean(0)
    torch.nn.functional.cross_entropy(scores, torch.as_tensor(y[:WATCHED], dtype=torch.long)).backward()
    for linear in module.maps:
        yield float(torch.stack([p.grad.norm() for p in linear.parameters()]).norm())


def membranes(network: Network, x: Any, steps: int) -> list[NDArray[np.float64]]:
    """Return the membranes just before the firing test, by hidden layer, each ``[steps, samples, n]``."""
    import torch

    hidden = network.populations[:-1]
    watched = network.swap(*(Population(p.name, p.shape, _keeping(p.neuron)) for p in hidden))
    with torch.no_grad():
        found = _module(watched, dtype="float64").eval()(_over_time(x, steps), record=[f"{p.name}/v" for p in hidden])
    return [found[f"{p.name}/v"].numpy() for p in hidden]


def _keeping(neuron: Any) -> Any:
    """Return the same neuron, with the reset at the beginning of the next step: its state is what the test saw."""
    reset, params = neuron.model.options["reset"], dict(neuron.params)
    kept = {"v_th": params.get("th", params.get("v_th")), "bias": params.get("bias", 0.0)}
    if reset == "subtract":
        kept["q"] = params["q"]
    return integrate_and_fire(reset=reset, timing="next", **kept)


def quantisation(u: NDArray[np.float64]) -> dict[str, float]:
    """Return what a spike leaves out of a membrane, without and with the rectifier, and where membranes are.

    ``q_raw = mean (u - o)^2``, ``q_mpr = mean (phi(u) - o)^2`` with ``o = 1[u > 1/2]``; ``outside`` is the share of
    membranes outside [0, 1], where both surrogates are 0.
    """
    o = u > 0.5
    return {
        "q_raw": float(np.mean((u - o) ** 2)),
        "q_mpr": float(np.mean((phi(u) - o) ** 2)),
        "outside": float(np.mean((u < 0.0) | (u > 1.0))),
        "rate": float(np.mean(o)),
    }


def histogram(u: NDArray[np.float64]) -> dict[str, list[int]]:
    """Return how many membranes lie in each bin, as they are and rectified; what is beyond counts in the last bin."""
    low, high = EDGES[0], np.nextafter(EDGES[-1], 0.0)
    return {
        name: np.histogram(np.clip(values, low, high), EDGES)[0].tolist()
        for name, values in (("u", u), ("phi", phi(u)))
    }
