"""The quine: a network that, asked for the number of one of its weights, answers with that weight.

::

    coordinate c -> fixed random currents P[c], held for some steps -> layer1 -> layer2 -> out
    f(c) = w_out . (mean spikes of layer2),   N = 2 H^2 + K H weights, no biases,   K = 1 + classes

    L_SR = sum_c (f(c) - theta_c)^2,    rho = L_SR / sum_c theta_c^2

A network that answers 0 has ``rho = 1`` whatever its weights are, so a small loss alone says nothing: shrinking weights
shrink it too. With classes it is the auxiliary quine: half of the currents come from a projected image, and ``K - 1``
more outputs name its class; their weights are described as well.

Regeneration replaces every weight by what the network says of it. If only the read-out describes itself, from fixed
features ``Phi[c]``, that is power iteration ``w <- Phi w``: it ends at 0, or nowhere, unless the largest eigenvalue of
``Phi`` is 1. :func:`self_reading` scales ``Phi`` so, which gives a quine that is exact and not zero.

Reference: Chang and Lipson, "Neural Network Quine", ALIFE 2018, arXiv 1803.05859. The spiking form is this library's.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikesim.connect import Dense
from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.models.neurons import leaky, li
from spikesim.network import Network, Population, Projection
from spikesim.rng import Stream
from spikesim.stimulus import Input

STARTS = ("uniform", "he")


def quine(
    hidden: int = 24, classes: int = 0, start: str = "uniform", gain: float = 4.0, seed: int = 0, dt: float = 1e-3
) -> Network:
    """Build a spiking network that can be asked for its own weights.

    Parameters
    ----------
    hidden
        Neurons of each layer, and currents of a coordinate.
    classes
        Further outputs, one per class; 0: none.
    start
        Initial weights: ``"uniform"``, ``U(-1, 1) / sqrt(hidden)``, or ``"he"``, ``N(0, 2 / hidden)``.
    gain
        What currents are multiplied by, as a threshold of ``1 / gain``.
    seed
        Seed of the initial weights.
    dt
        Time step in seconds.

    Examples
    --------
    >>> net = quine(hidden=8)
    >>> weights_of(net).shape, coordinates(net).shape
    ((136,), (136, 8))
    """
    if not (isinstance(hidden, int) and hidden >= 1 and classes >= 0 and gain > 0):
        raise InvalidValueError(
            f"a quine needs hidden of at least 1, classes of at least 0 and a gain above 0, found {hidden!r}, "
            f"{classes!r} and {gain!r}"
        )
    if classes and hidden % 2:
        raise InvalidValueError(
            f"with classes half of the currents are the image's: hidden must be even, found {hidden}"
        )

    def drawn(name: str, targets: int) -> Dense:
        return Dense(_drawn(Stream(seed, f"quine/{name}"), (targets, hidden), start))

    cell = leaky(beta=0.9, v_th=1.0 / gain, q=1.0 / gain, timing="same")
    return Network(
        [
            Population("layer1", hidden, cell),
            Population("layer2", hidden, cell),
            Population("out", 1 + classes, li(beta=0.0)),
        ],
        [
            Projection("coordinate", "layer1", drawn("layer1", hidden), delay=0.0),
            Projection("layer1", "layer2", drawn("layer2", hidden), delay=0.0),
            Projection("layer2", "out", drawn("out", 1 + classes), delay=0.0),
        ],
        [Input("coordinate", hidden, graded=True)],
        dt=dt,
        seed=seed,
        name="quine",
    )


def _drawn(stream: Stream, shape: tuple[int, int], start: str) -> NDArray[np.float64]:
    if start not in STARTS:
        raise UnknownNameError("start of a quine:", start, STARTS)
    n = shape[0] * shape[1]
    if start == "uniform":
        return np.asarray((2.0 * stream.uniform(n) - 1.0).reshape(shape) / np.sqrt(shape[1]))
    return np.asarray(stream.normal(n).reshape(shape) * np.sqrt(2.0 / shape[1]))


def weights_of(network: Network) -> NDArray[np.float64]:
    """Return ``theta``: all weights in the order of their coordinates, by projection, target and source."""
    found = [np.asarray(p.rule.weights) for p in network.projections if isinstance(p.rule, Dense)]
    return np.concatenate([w.ravel() for w in found])


def with_weights(network: Network, theta: ArrayLike) -> Network:
    """Return a quine with other weights, in the order of :func:`weights_of`."""
    values, first, changed = np.asarray(theta, np.float64), 0, []
    if values.shape != (weights_of(network).size,):
        raise InvalidValueError(f"the quine has {weights_of(network).size} weights, found {list(values.shape)}")
    for part in network.projections:
        if isinstance(part.rule, Dense):
            shape = part.rule.weights.shape
            rule = Dense(values[first : first + shape[0] * shape[1]].reshape(shape))
            changed.append(replace(part, rule=rule))
            first += shape[0] * shape[1]
    return network.swap(*changed)


def coordinates(network: Network, start: str = "uniform") -> NDArray[np.float64]:
    """Return the fixed currents of every coordinate, ``[weights, hidden]``, a part of the question and not of the self.

    Parameters
    ----------
    network
        A quine; its seed draws them. With classes only the first half of a row is filled, the rest is the image's.
    start
        ``"uniform"``: ``U(-1, 1) / sqrt(hidden)``; ``"he"``: ``N(0, 1)``.
    """
    hidden, n = network.populations[0].n, weights_of(network).size
    width = hidden // 2 if network.populations[-1].n > 1 else hidden
    found = np.zeros((n, hidden))
    drawn = _drawn(Stream(network.seed, "quine/coordinates"), (n, width), start)
    scale = np.sqrt(width / hidden) if start == "uniform" else np.sqrt(width / 2.0)
    found[:, :width] = drawn * scale
    return found


def rho(answers: ArrayLike, theta: ArrayLike) -> float:
    """Return ``L_SR / sum theta^2``: 0 for a perfect quine, 1 for one that knows no more than 0; NaN without weights.

    >>> rho([0.0, 0.0], [1.0, 2.0])
    1.0
    """
    total = float(np.square(theta).sum())
    return float(np.square(np.subtract(answers, theta)).sum()) / total if total else float("nan")


def self_reading(features: ArrayLike) -> tuple[float, NDArray[np.float64]]:
    """Return the gain and the read-out weights with which a read-out answers its own weights exactly.

    Parameters
    ----------
    features
        ``Phi [H, H]``: what the read-out sees when it is asked for its weight ``c``, row by row.

    Returns
    -------
    gain : float
        1 / the dominant eigenvalue.
    weights : ndarray
        Its eigenvector, of length 1: ``gain Phi w = w``.

    Raises
    ------
    InvalidValueError
        If the dominant eigenvalue is not real and above 0; spike rates, which are not negative, have one that is unless
        they are silent.

    Examples
    --------
    >>> gain, w = self_reading([[2.0, 0.0], [1.0, 1.0]])
    >>> gain, bool(np.allclose(gain * np.array([[2.0, 0.0], [1.0, 1.0]]) @ w, w))
    (0.5, True)
    """
    phi = np.asarray(features, np.float64)
    values, vectors = np.linalg.eig(phi)
    k = int(np.argmax(np.abs(values)))
    if values[k].real <= 0 or abs(values[k].imag) > 1e-12 * abs(values[k]):
        raise InvalidValueError(
            f"the dominant eigenvalue of the features must be real and above 0, found {values[k]:.3g}; take spike rates"
        )
    w = vectors[:, k].real
    return 1.0 / float(values[k].real), w / np.linalg.norm(w)


__all__ = ["coordinates", "quine", "rho", "self_reading", "weights_of", "with_weights"]
