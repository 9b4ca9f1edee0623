"""Lyapunov spectra of spiking networks from the Jacobian of a whole network's step.

A small change of the network's state is a change of every neuron's states and of the spikes that are still under way.
One step carries it through the derivative of each neuron's step, with a surrogate in place of the derivative of the
spike, and through the weights, each after its delay.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.analyse.benettin import chosen_interval, first_columns, orthonormalise, unresolved
from spikesim.analyse.replay import LocalJacobian, Replay, Stretch
from spikesim.analyse.spectrum import Spectrum, summarise
from spikesim.equations.derivative import Surrogate
from spikesim.equations.surrogates import surrogate as surrogate_named
from spikesim.errors import InvalidValueError
from spikesim.network import Network

Floats = NDArray[np.float64]


class Tangent:
    """How small changes of a network's state grow over one step.

    Parameters
    ----------
    replay
        A run of the network.
    surrogate, detach_reset
        See :class:`spikesim.analyse.replay.LocalJacobian`.

    Attributes
    ----------
    dimension
        Values of neurons' states, and spikes that can be under way to neurons; whole-numbered states do not count.
    states
        Values of neurons' states.
    neuron
        Row of the tangent columns to the number of its neuron, int64 ``[dimension]``.
    """

    def __init__(self, replay: Replay, surrogate: Surrogate, detach_reset: bool = False) -> None:
        graph = replay.graph
        self.nodes = graph.nodes  # in the order of their update within a step
        self.local = {n.name: LocalJacobian(n, surrogate, detach_reset) for n in self.nodes}
        populations = {n.name for n in self.nodes}
        self.incoming = [w for w in replay.wirings if w.edge.pre in populations]
        self.rows: dict[tuple[str, str], slice] = {}
        self.rings: dict[str, int] = {}
        at, neurons, numbers = 0, 0, []
        for node in self.nodes:
            for state in self.local[node.name].states:
                self.rows[node.name, state] = slice(at, at + node.n)
                at += node.n
                numbers.append(np.arange(neurons, neurons + node.n))
            neurons += node.n
        self.states = at
        neurons = 0
        for node in self.nodes:
            self.rings[node.name] = max((w.edge.max_delay for w in self.incoming if w.edge.pre == node.name), default=0)
            for slot in range(self.rings[node.name]):
                self.rows[node.name, f"/{slot}"] = slice(at, at + node.n)
                at += node.n
                numbers.append(np.arange(neurons, neurons + node.n))
            neurons += node.n
        self.dimension = at
        self.neuron = np.concatenate(numbers) if numbers else np.zeros(0, np.int64)

    def advance(self, q: Floats, t: int, jacobians: Mapping[str, Mapping[tuple[str, str], Floats]], k: int) -> None:
        """Carry columns ``q`` ``[dimension, k]`` through step ``t``, which is row ``k`` of the Jacobians, in place."""
        now: dict[str, Floats] = {}
        for node in self.nodes:
            name, local, states = node.name, jacobians[node.name], self.local[node.name].states
            causes: dict[str, Any] = {s: q[self.rows[name, s]] for s in states}
            causes |= self._arriving(name, q, now, t)
            changed = {}
            for result in ("spike", *states):
                terms = [local[result, c][k][:, None] * v for c, v in causes.items() if (result, c) in local]
                changed[result] = sum(terms[1:], terms[0]) if terms else np.zeros((node.n, q.shape[1]))
            now[name] = changed["spike"]
            for state in states:
                q[self.rows[name, state]] = changed[state]
        for name, slots in self.rings.items():
            if slots:
                q[self.rows[name, f"/{t % slots}"]] = now[name]

    def _arriving(self, name: str, q: Floats, now: Mapping[str, Floats], t: int) -> dict[str, Floats]:
        """Return what arrives at each port of a population that anything arrives at."""
        ports: dict[str, Floats] = {}
        for wiring in self.incoming:
            edge = wiring.edge
            if edge.post != name:
                continue
            for delay, matrix in wiring.parts:
                slots = self.rings[edge.pre]
                sent = q[self.rows[edge.pre, f"/{(t - delay) % slots}"]] if delay else now[edge.pre]
                arrived = matrix @ sent
                ports[edge.port] = ports[edge.port] + arrived if edge.port in ports else arrived
        return ports

    def jacobians(self, stretch: Stretch) -> dict[str, dict[tuple[str, str], Floats]]:
        """Evaluate the derivatives of all neurons' steps over a stretch."""
        return {name: local.at(stretch) for name, local in self.local.items()}


def network_spectrum(
    network: Network,
    *,
    inputs: Mapping[str, Any] | None = None,
    exponents: int | None = None,
    steps: int | None = None,
    transient: int | None = None,
    every: int | None = None,
    surrogate: str | None = "arctan",
    settings: Mapping[str, float] | None = None,
    detach_reset: bool = False,
    seed: int = 0,
    threads: int = 0,
) -> Spectrum:
    """Compute the Lyapunov spectrum of a spiking network from its surrogate Jacobian.

    The network runs as it is; stimuli are the same for a state and its neighbours (the exponents are conditional on
    them). Changes grow by the Jacobian of its step, with a surrogate derivative of the spike: the spectrum of what
    backpropagation through time sees.

    Parameters
    ----------
    network
        The network, without plastic synapses. Recurrence is not needed: without it these are the exponents of single
        neurons.
    inputs
        Data of its inputs, ``[steps, 1, *shape]`` or ``[steps, *shape]``.
    exponents
        How many, from the largest; by default as many as the neurons have states. Spikes under way may add more.
    steps
        Steps in all, the transient among them; the length of the inputs by default.
    transient
        Steps that are not averaged over; a fifth of ``steps`` by default.
    every
        Steps between two orthonormalisations. By default chosen within the transient, and halved in another run if a
        column vanished in rounding.
    surrogate
        A name of :data:`spikesim.equations.surrogates.SURROGATES`. None takes the derivative that a hard threshold has
        almost everywhere, 0: synapses then do not appear at all, and ``log(alpha) / dt`` of each leak is left over.
    settings
        Of the surrogate. Its width is in the unit of the membrane: a neuron in volts needs one of millivolts.
    detach_reset
        Leave the way through the reset out of the Jacobian.
    seed
        Of the first tangent columns.
    threads
        Of the run; the result does not depend on it.

    Returns
    -------
    Spectrum
        In 1/s, with ``per_neuron``: ``l_i = sum_k l_k <q_ik^2>`` over finite exponents, in the order of the graph's
        populations (:func:`spikesim.lowering.lower`). They add up to the sum of the exponents. This is a
        reconstruction: the method of Lyapunov noise pruning names such exponents and does not define them.

    Raises
    ------
    InvalidValueError, UnsupportedError
        If a number cannot be used, no neuron has a state, or synapses are plastic.

    Examples
    --------
    >>> from spikesim import Network, Population
    >>> from spikesim.models.neurons import leaky
    >>> from spikesim.analyse import network_spectrum
    >>> found = network_spectrum(Network([Population("a", 2, leaky(beta=0.9))]), steps=100, surrogate=None)
    >>> found.exponents.round(3).tolist(), found.unit
    ([-105.361, -105.361], '1/s')
    """
    replay = Replay(network, inputs, steps=steps, threads=threads)
    transient = replay.steps // 5 if transient is None else transient
    _check(replay.steps, transient, every)
    derivative = (lambda x: x * 0.0) if surrogate is None else surrogate_named(surrogate, **dict(settings or {}))
    tangent = Tangent(replay, derivative, detach_reset)
    if tangent.states == 0:
        raise InvalidValueError(f"no neuron of network {network.name!r} has a state; there is nothing that could grow")
    q = first_columns(tangent.dimension, tangent.states if exponents is None else exponents, seed)
    logs, places, chosen, settling = _follow(replay, tangent, q, transient, every)
    while every is None and chosen > 1 and unresolved(logs, settling):
        logs, places, chosen, settling = _follow(replay, tangent, q, transient, chosen // 2)
    every = chosen
    interval = every * network.dt
    rates = np.where(np.isfinite(logs).all(axis=0), logs.sum(axis=0), 0.0) / (len(logs) * interval)
    neurons = np.zeros(replay.graph.neurons)
    np.add.at(neurons, tangent.neuron, (places / len(logs)) @ rates)
    return summarise(logs, interval, "1/s", tangent.dimension, every, neurons)


def _follow(
    replay: Replay, tangent: Tangent, q: Floats, transient: int, every: int | None
) -> tuple[Floats, Floats, int, Floats]:
    """Return the logarithms of growth ``[blocks, k]``, sums of ``q_ik^2``, the interval, the transient's logs."""
    logs, settling, chosen, places = [], [np.full(q.shape[1], -np.inf)], [], np.zeros(q.shape)
    interval, since, limit = every or 1, 0, max(1, (replay.steps - transient) // 20)
    for stretch in replay:
        jacobians = tangent.jacobians(stretch)
        for k in range(stretch.steps):
            t = stretch.first + k
            tangent.advance(q, t, jacobians, k)
            since += 1
            if since < interval and t + 1 != transient:
                continue
            (q, grown), passed, since = orthonormalise(q), since, 0
            if t + 1 > transient:
                logs.append(grown)
                places += q * q
                continue
            settling.append(grown)
            if every is None:
                # the interval grows carefully while the network settles; then the shortest of the last choices holds
                chosen.append(chosen_interval(grown / passed, limit))
                interval = min(2 * interval, *chosen[-5:])
    return np.array(logs), places, interval, np.array(settling)


def _check(steps: int, transient: int, every: int | None) -> None:
    problems = []
    if every is not None and every < 1:
        problems.append(f"every must be at least 1 step, found {every}")
    if not 0 <= transient < steps or steps - transient < (every or 1):
        problems.append(f"transient must leave at least {every or 1} of the {steps} steps, found {transient}")
    if problems:
        raise InvalidValueError("\n".join(problems))
