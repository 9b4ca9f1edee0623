"""Dormant neurons: how many of a layer's neurons do next to nothing, and the schedules that are driven by that share.

The score of a neuron is its mean activity over that of its layer; it is dormant where the score is at most ``tau``
(Sokar et al. 2023, "The dormant neuron phenomenon in deep reinforcement learning", ICML). Two things differ from the
code that comes with the ratio elsewhere, because a spiking layer can be entirely silent: such a layer counts fully,
and activity means spikes, never what a layer computes before its threshold. Schedules: Xu et al. 2024, "DrM", ICLR,
arXiv 2310.19668.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikesim.analyse.replay import LocalJacobian, Replay
from spikesim.equations.surrogates import surrogate as surrogate_named
from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.network import Network
from spikesim.recording import Recording

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
TAU = 0.025
TINY = 1e-12


@dataclass(frozen=True, eq=False)
class Dormancy:
    """Which neurons are dormant.

    Parameters
    ----------
    ratio
        Share of dormant neurons over all layers.
    per_layer
        Share within each layer.
    masks
        bool ``[n]`` for each layer.
    scores
        Mean activity over the layer's mean for each layer, float64 ``[n]``; they add up to ``n`` unless all are silent.
    """

    ratio: float
    per_layer: Mapping[str, float]
    masks: Mapping[str, Mask]
    scores: Mapping[str, Floats]


def dormant_ratio(
    activity: Mapping[str, ArrayLike] | Sequence[ArrayLike], tau: float = TAU, r_min: float | None = None
) -> Dormancy:
    """Return the share of dormant neurons.

    Parameters
    ----------
    activity
        Spike counts or rates of each layer, ``[samples, *shape]``, by name or in a list (then named ``"0"``, ...). For
        channels in place of neurons, average over positions first.
    tau
        Largest score of a dormant neuron.
    r_min
        Neurons of a smaller mean activity are dormant too. The score is relative: a layer that is nearly silent
        throughout has no dormant neuron without such a floor.

    Raises
    ------
    InvalidValueError
        If activities are negative or not finite, or a layer is empty.

    Examples
    --------
    >>> dormant_ratio([[[0, 0, 4, 4]], [[0, 0]]]).per_layer
    {'0': 0.5, '1': 1.0}
    """
    named = dict(activity) if isinstance(activity, Mapping) else {str(k): a for k, a in enumerate(activity)}
    layers = {name: np.asarray(a, np.float64) for name, a in named.items()}
    _check(layers, tau, r_min)
    masks, scores = {}, {}
    for name, array in layers.items():
        mean = array.mean(axis=0).reshape(-1)
        scores[name] = mean / (mean.mean() + TINY)
        masks[name] = (scores[name] <= tau) | (mean < (0.0 if r_min is None else r_min))
    total = sum(m.size for m in masks.values())
    ratio = sum(int(m.sum()) for m in masks.values()) / total
    return Dormancy(ratio, {n: float(m.mean()) for n, m in masks.items()}, masks, scores)


def _check(layers: Mapping[str, Floats], tau: float, r_min: float | None) -> None:
    problems = [] if layers else ["at least one layer is needed, found none"]
    for name, array in layers.items():
        if array.ndim < 2 or array.size == 0:
            problems.append(f"layer {name!r}: activity needs the shape [samples, n], found {list(array.shape)}")
        elif not np.isfinite(array).all() or (array < 0.0).any():
            problems.append(f"layer {name!r}: activity must be finite and at least 0; pass spike counts or rates")
    for label, value in (("tau", tau), ("r_min", 0.0 if r_min is None else r_min)):
        if not (np.isfinite(value) and value >= 0.0):
            problems.append(f"{label} must be finite and at least 0, found {value}")
    if problems:
        raise InvalidValueError("\n".join(problems))


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What is wrong with the neurons of a recording.

    Parameters
    ----------
    dormancy
        Dormant neurons; those that never fired are among them.
    always_firing
        By population, bool ``[n]``: fired whenever it could, which tells nothing about the input.
    zero_gradient
        By population, bool ``[n]``: the surrogate was 0 at every step, so no gradient reaches the neuron's synapses.
        None if no network was given.
    """

    dormancy: Dormancy
    always_firing: Mapping[str, Mask]
    zero_gradient: Mapping[str, Mask] | None

    def __str__(self) -> str:
        lines = [f"dormant: {self.dormancy.ratio:.1%} of all neurons"]
        for name, share in self.dormancy.per_layer.items():
            line = f"  {name}: {share:.1%} dormant, {self.always_firing[name].mean():.1%} always firing"
            if self.zero_gradient is not None:
                line += f", {self.zero_gradient[name].mean():.1%} without gradient"
            lines.append(line)
        return "\n".join(lines)


def diagnose(
    recording: Recording,
    *,
    populations: Sequence[str] | None = None,
    tau: float = TAU,
    refractory: Mapping[str, int] | int = 0,
    network: Network | None = None,
    inputs: Mapping[str, Any] | None = None,
    surrogate: str = "triangle",
    settings: Mapping[str, float] | None = None,
) -> Diagnosis:
    """Find neurons that are dormant, fire always, or get no gradient.

    Parameters
    ----------
    recording
        Any recording.
    populations
        Which; all that it holds by default. Leave read-outs that never fire out.
    tau
        See :func:`dormant_ratio`; the floor is one spike over all steps and samples.
    refractory
        Steps after a spike in which a neuron cannot fire, for all or by population; a neuron that fires once in every
        ``refractory + 1`` steps always fires.
    network, inputs
        The network of the recording and its inputs, of one sample, for the flag of zero gradients: spikes alone do not
        say how far a membrane stayed from its threshold. The network runs again, for as many steps.
    surrogate, settings
        The surrogate that training uses. One without a finite window (``"arctan"``) is never exactly 0.

    Examples
    --------
    >>> from spikesim import Network, Population, run
    >>> from spikesim.models.neurons import lif
    >>> import numpy as np
    >>> net = Network([Population("a", 3, lif(bias=np.array([-5.0, 0.1, 9.0])))])
    >>> found = diagnose(run(net, steps=50), network=net)
    >>> [mask["a"].tolist() for mask in (found.dormancy.masks, found.always_firing, found.zero_gradient)]
    [[True, False, False], [False, False, True], [True, False, True]]
    """
    names = list(recording.spikes) if populations is None else list(populations)
    counts = {name: recording[name].counts() for name in names}
    steps, samples = recording.steps, recording.samples
    always = {}
    for name, fired in counts.items():
        pause = refractory if isinstance(refractory, int) else refractory.get(name, 0)
        always[name] = fired.sum(axis=0) >= samples * max(1, steps // (1 + pause))
    zero = None
    if network is not None:
        zero = _zero_gradient(network, names, inputs, steps, surrogate_named(surrogate, **dict(settings or {})))
    return Diagnosis(dormant_ratio(counts, tau, r_min=1.0 / samples), always, zero)


def _zero_gradient(
    network: Network, names: Sequence[str], inputs: Mapping[str, Any] | None, steps: int, surrogate: Callable[..., Any]
) -> dict[str, Mask]:
    """Return which neurons' spikes never depended on anything, in a run of so many steps."""
    replay = Replay(network, inputs, steps=steps)
    known = [n.name for n in replay.graph.nodes]
    for name in names:
        if name not in known:
            raise UnknownNameError("population of the network:", name, known)
    local = {n.name: LocalJacobian(n, surrogate) for n in replay.graph.nodes if n.name in names}
    flat = {name: np.ones(jacobian.node.n, bool) for name, jacobian in local.items()}
    for stretch in replay:
        for name, jacobian in local.items():
            for (result, _), values in jacobian.at(stretch).items():
                if result == "spike":
                    flat[name] &= (values == 0.0).all(axis=0)
    return flat


# -------------------------------------------------------------------------------- DrM's schedules, of the ratio alone
def perturb_factor(beta: float, k: float = 2.0, a_min: float = 0.2, a_max: float = 0.9) -> float:
    """Return how much of the weights is kept when they are mixed with fresh ones: ``clip(1 - k beta, a_min, a_max)``.

    >>> perturb_factor(0.0), perturb_factor(0.4), perturb_factor(1.0)
    (0.9, 0.2, 0.2)
    """
    return float(np.clip(1.0 - k * beta, a_min, a_max))


def exploration_std(
    beta: float, *, beta_hat: float = 0.2, temperature: float = 0.1, awakened: float | None = None
) -> float:
    """Return the standard deviation of exploration noise, ``1 / (1 + exp(-(beta - beta_hat) / temperature))``.

    Parameters
    ----------
    beta
        Dormant ratio.
    beta_hat, temperature
        Where and how steeply noise is switched off.
    awakened
        Value of the linear schedule that runs since the ratio first fell below ``beta_hat``; the larger of both counts.

    >>> exploration_std(0.2), round(exploration_std(1.0), 5)
    (0.5, 0.99966)
    """
    noise = float(1.0 / (1.0 + np.exp(-(beta - beta_hat) / temperature)))
    return noise if awakened is None else max(noise, awakened)


def exploitation_share(beta: float, *, beta_hat: float = 0.2, temperature: float = 0.02, largest: float = 0.6) -> float:
    """Return the share of the value estimate in the target, ``largest / (1 + exp((beta - beta_hat) / temperature))``.

    >>> exploitation_share(0.2)
    0.3
    """
    return float(largest / (1.0 + np.exp((beta - beta_hat) / temperature)))
