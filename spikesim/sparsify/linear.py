"""The linear system around which a spiking network fluctuates when noise drives it.

A network that noise keeps firing is replaced by one membrane per neuron, ``v[t + 1] = a v[t] + b (W g v)[t]``, hence

::

    A = (diag(a) - 1 + diag(b) W diag(g)) / dt,        A_ij from j to i

``g``, spikes per unit of membrane, is measured: the linear fit of the spike to what the neuron compares with its
threshold, ``g = cov(s, x) / var(x)``, which for Gaussian ``x`` is the slope of the firing probability (statistical
linearisation, Bussgang 1952, MIT Research Laboratory of Electronics, report 216). ``a`` is the slowest factor of decay
of the neuron's own equations with ``g`` in place of the derivative of every spike, so a reset is a leak: ``alpha (1 - q
g)`` for a leaky neuron whose spikes subtract ``q``. ``b`` is what an input adds to the membrane, its steady response
times ``1 - a``.

This is a reconstruction: the paper on Lyapunov noise pruning says that it linearises, and not how.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from spikesim.analyse.replay import LocalJacobian, Replay, Stretch
from spikesim.errors import InvalidValueError
from spikesim.graph import Node
from spikesim.lowering import lower
from spikesim.network import Network, Projection
from spikesim.sparsify.surgery import Synapses, synapses_of
from spikesim.stimulus import Input, OrnsteinUhlenbeck, Source, SpikeTrains

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
SLOWEST = 1.0 - 1e-3  # a perfect integrator counts as a leak of 1000 steps, or it would have no stationary variance
SLOPE = "slope of every spike"  # a name that no parameter can have
NO_GAIN = 1e-9  # stands for none where something is divided by it
SILENT = 0.05  # least gain, relative to the mean: a neuron that noise never made fire may still matter
RATE = 20.0  # Hz; noise is raised until the mean neuron fires so often
CORRELATED = 5e-3  # s, of the noise


@dataclass(frozen=True, eq=False)
class LinearModel:
    """A network as a linear system, and which synapse each entry is.

    Parameters
    ----------
    names, sizes
        Populations (and sources) that make up the rows, in order.
    decay
        ``a``, float64 ``[n]``.
    gain
        ``g``, float64 ``[n]``.
    synapses
        Projection to its synapses.
    pre, post
        Rows of the two ends of every synapse, int64 ``[m]``, projection after projection.
    weight
        ``b_i w_ij g_j / dt`` in 1/s, float64 ``[m]``.
    dt
        Time step in seconds.
    noise
        Standard deviation of the noise that drove it, by population.
    rates
        Spikes per neuron and step under that noise, float64 ``[n]``.
    reach
        Projection to ``b`` of its targets, float64 ``[targets]``.
    ends
        Projection to the names of its source and its target.
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    decay: Floats
    gain: Floats
    synapses: Mapping[str, Synapses]
    pre: Ints
    post: Ints
    weight: Floats
    dt: float
    noise: Mapping[str, float]
    rates: Floats
    reach: Mapping[str, Floats]
    ends: Mapping[str, tuple[str, str]]

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.decay)

    def rows(self, name: str) -> slice:
        """Return the rows of a population."""
        first = sum(self.sizes[: self.names.index(name)])
        return slice(first, first + self.sizes[self.names.index(name)])

    def matrix(self, weight: Floats | None = None, decay: Floats | None = None) -> sparse.csr_array:
        """Return ``A``, ``[n, n]`` in 1/s, with other weights or decays if they are given."""
        values, a = (self.weight if weight is None else weight), (self.decay if decay is None else decay)
        w = sparse.coo_array((values, (self.post, self.pre)), shape=(self.n, self.n))
        return sparse.csr_array(w + sparse.diags_array((a - 1.0) / self.dt))

    def rewired(self, synapses: Mapping[str, Synapses] | None = None) -> LinearModel:
        """Return the system with other synapses between the same rows; responses stay as they are."""
        parts = dict(self.synapses if synapses is None else synapses)
        pre, post, weight = [], [], []
        for name, s in parts.items():
            source, target = (self.rows(side).start for side in self.ends[name])
            weight.append(self.reach[name][s.post] * s.weight * self.gain[source + s.pre] / self.dt)
            pre.append(s.pre + source)
            post.append(s.post + target)
        ends = np.concatenate(pre), np.concatenate(post)
        return replace(self, synapses=parts, pre=ends[0], post=ends[1], weight=np.concatenate(weight))

    def split(self, values: Any) -> dict[str, Any]:
        """Split one value per synapse into those of each projection."""
        ends = np.cumsum([len(s.pre) for s in self.synapses.values()])[:-1]
        return dict(zip(self.synapses, np.split(values, ends), strict=True))


def with_noise(network: Network, sd: Mapping[str, float]) -> Network:
    """Return the network under noise: Gaussian on the first port of every population, data of inputs left out.

    The network's own drives and Poisson sources stay; ``Input`` and ``SpikeTrains``, which hold a task's data, go with
    the projections from them, and so do plasticity and probes.
    """
    data = {s.name for s in network.stimuli if isinstance(s, (Input, SpikeTrains))}
    kept = (s for s in network.stimuli if s.name not in data)
    drives = (
        OrnsteinUhlenbeck(f"noise on {name}", name, mean=value, sd=value, tau=CORRELATED)
        for name, value in sd.items()
        if value > 0.0 and network.population(name).model.inputs
    )
    return replace(
        network,
        projections=tuple(replace(p, plasticity=None) for p in network.projections if p.pre not in data),
        stimuli=(*kept, *drives),
        probes=(),
    )


def linearise(
    network: Network,
    projections: Sequence[str],
    *,
    steps: int | None = None,
    noise: Mapping[str, float] | None = None,
    seed: int = 0,
) -> LinearModel:
    """Run a network under noise and return the linear system of some of its projections.

    Parameters
    ----------
    network
        The network.
    projections
        Names of those that count; populations and sources at their ends make up the rows. A source is a row with the
        mean decay and gain.
    steps
        Length of the run; 0.4 s by default, from 400 steps to 4000.
    noise
        Standard deviation (and mean) by population; by default raised until the mean neuron fires at 20 Hz.
    seed
        Of the noise.

    Raises
    ------
    InvalidValueError
        If no noise makes the network fire.
    """
    network = network.folded()
    steps = max(400, min(4000, round(0.4 / network.dt))) if steps is None else steps
    chosen = [p for p in network.projections if p.name in projections]
    own = with_noise(network.with_(seed=seed), {})
    rest = _Response(Replay(own, steps=2))
    scale = {name: rest.scale(name) for name in rest.sums}
    noise = _loud_enough(network, scale, seed) if noise is None else dict(noise)
    driven = _Response(Replay(with_noise(network.with_(seed=seed), noise), steps=steps))
    return _model(network, chosen, driven, noise)


def _loud_enough(network: Network, scale: Mapping[str, float], seed: int) -> dict[str, float]:
    """Raise the noise until the populations that can fire do so at 20 Hz on average, and half of their neurons at all.

    The second is asked up to a noise whose mean alone takes the usual neuron to its threshold: a few neurons with a
    large bias must not stand for all, nor neurons that nothing can wake make the others run away.
    """
    from spikesim.engine import run

    can = [p.name for p in network.populations if p.model.spiking]
    steps = max(100, round(0.1 / network.dt)) if network.dt >= 1e-4 else 1000
    sd = {name: value / 16.0 for name, value in scale.items()}
    for _ in range(16):
        recording = run(with_noise(network.with_(seed=seed), sd), steps=steps)
        wanted = min(RATE * network.dt, 0.1)
        quiet = [n for n in can if len(recording[n]) < wanted * steps * recording[n].n]
        quiet += [n for n in can if n not in quiet and sd[n] < scale[n] and _mostly_silent(recording[n])]
        if can and not quiet:
            return sd
        sd |= {name: 1.5 * sd[name] for name in quiet}
    if all(not len(recording[n]) for n in can):
        raise InvalidValueError(
            f"network {network.name!r} does not fire, whatever noise drives it, so it cannot be probed; check its "
            "thresholds, or prune by method='magnitude' or 'random'"
        )
    return sd


def _mostly_silent(spikes: Any) -> bool:
    """Tell whether fewer than half of the neurons fired."""
    return bool((spikes.counts() > 0).mean() < 0.5)


class _Response:
    """What a run says about each population: decay, steady response of the membrane, gain, rate."""

    def __init__(self, replay: Replay) -> None:
        self.steps = replay.steps
        self.nodes = {n.name: n for n in replay.graph.nodes}
        one = {name: LocalJacobian(n, lambda x: x * 0.0 + 1.0) for name, n in self.nodes.items()}
        same = {name: LocalJacobian(n, lambda x: x) for name, n in self.nodes.items()}
        self.sums = {name: np.zeros((5, n.n)) for name, n in self.nodes.items()}  # number, x, x^2, s, s x
        self.first: Stretch  # a run has one at least
        for stretch in replay:
            if stretch.first == 0:
                self.first = stretch
            for name, node in self.nodes.items():
                ports = node.model.inputs
                x, known = _compared(one[name].at(stretch), same[name].at(stretch), ports, stretch.steps, node.n)
                s = stretch.spikes[name]
                values = (np.ones(x.shape), x, x * x, s, s * x)
                self.sums[name] += np.array([np.where(known, v, 0.0).sum(axis=0) for v in values])

    def gain(self, name: str) -> Floats:
        """Return ``cov(s, x) / var(x)`` of each neuron, at least 5 % of the mean."""
        number, x, xx, s, sx = self.sums[name]
        number = np.maximum(number, 1.0)
        variance = np.maximum(xx / number - (x / number) ** 2, 0.0)
        shared = sx / number - x * s / number**2
        found = np.divide(shared, variance, out=np.zeros(len(x)), where=variance > 1e-30)
        return np.asarray(np.maximum(found, SILENT * max(float(found.mean()), 1e-30)))

    def steady(self, name: str, gain: Floats) -> tuple[Floats, dict[str, Floats]]:
        """Return the slowest decay per step, and what a steady unit input at each port adds to the membrane."""
        slopes = _Slopes(self.nodes[name], self.first, np.maximum(gain, NO_GAIN))
        m, n = slopes.states, len(gain)
        radius = np.abs(np.linalg.eigvals(m)).max(axis=1, initial=0.0) if m.size else np.zeros(n)
        m = m * np.where(radius > SLOWEST, SLOWEST / np.maximum(radius, 1e-12), 1.0)[:, None, None]
        found = {}
        for port, into in slopes.inputs.items():
            settled = np.linalg.solve(np.eye(m.shape[1]) - m, into[:, :, None])[:, :, 0]
            found[port] = (slopes.read * settled).sum(axis=1) + slopes.direct[port]
        return np.minimum(radius, SLOWEST), found

    def rate(self, name: str) -> Floats:
        """Return spikes per step."""
        return np.asarray(self.sums[name][3] / max(self.steps, 1))

    def scale(self, name: str) -> float:
        """Return how large a steady input must be to reach the threshold from rest."""
        number, x, *_ = self.sums[name]
        away = float(np.abs(x / np.maximum(number, 1.0)).mean())
        steady = self.steady(name, np.zeros(len(x)))[1]
        reach = max((float(np.abs(v).mean()) for v in steady.values()), default=0.0)
        return away / reach if reach > 0.0 and away > 0.0 else 1.0


class _Slopes:
    """Usual (median) derivatives of a step whose spikes have a slope: ``states [n, s, s]``, ``inputs [n, s]``.

    ``read [n, s]`` and ``direct [n]`` are those of what is compared with the threshold. The slope stands in for every
    spike of the equations, also for one that a delayed reset derives from the membrane of the step before.
    """

    def __init__(self, node: Node, stretch: Stretch, slope: Floats) -> None:
        known = replace(node, constants={**node.constants, SLOPE: slope})
        jacobian = LocalJacobian(known, lambda x: x.tape.symbol("param", SLOPE))
        local, states, ports, n = jacobian.at(stretch), jacobian.states, node.model.inputs, node.n

        def usual(result: str, cause: str) -> Floats:
            return np.median(local[result, cause], axis=0) if (result, cause) in local else np.zeros(n)

        def rows(table: list[Floats]) -> Floats:
            return np.array(table).reshape(len(states), n).T

        columns = [rows([usual(r, c) for r in states]) for c in states]
        self.states = np.stack(columns, axis=2) if states else np.zeros((n, 0, 0))
        self.inputs = {port: rows([usual(r, port) for r in states]) for port in ports}
        self.read = rows([usual("spike", c) / slope for c in states])
        self.direct = {port: usual("spike", port) / slope for port in ports}


def _compared(slopes: Any, products: Any, ports: Sequence[str], steps: int, n: int) -> tuple[Floats, Any]:
    """Return what is compared with the threshold, ``[steps, n]``, and where it is known.

    A derivative with the surrogate 1, and with the surrogate x, differ by the factor x. Inputs are asked first: on the
    way from a state there may be a second spike, that of a delayed reset.
    """
    x, known = np.zeros((steps, n)), np.zeros((steps, n), bool)
    for cause in sorted((c for r, c in slopes if r == "spike"), key=lambda c: c not in ports):
        slope = slopes["spike", cause]
        here = (slope != 0.0) & ~known
        product = products.get(("spike", cause), np.zeros((steps, n)))
        x[here] = product[here] / slope[here]
        known |= here
    return x, known


def _model(
    network: Network, chosen: Sequence[Projection], driven: _Response, noise: Mapping[str, float]
) -> LinearModel:

    graph = lower(network, snap=False)
    edges = {e.name: e for e in graph.edges}
    ends = {name for p in chosen for name in (p.pre, p.post)}
    populations = [p.name for p in network.populations if p.name in ends]
    sources = [s.name for s in network.stimuli if isinstance(s, Source) and s.name in ends]
    gains = [driven.gain(p) for p in populations]
    responses = {p: driven.steady(p, g) for p, g in zip(populations, gains, strict=True)}
    decays = [responses[p][0] for p in populations]
    rates = [driven.rate(p) for p in populations]
    mean_decay, mean_gain = float(np.concatenate(decays).mean()), float(np.concatenate(gains).mean())
    for name in sources:
        n = network[name].n  # type: ignore[union-attr]
        decays, gains = [*decays, np.full(n, mean_decay)], [*gains, np.full(n, mean_gain)]
        rates = [*rates, np.zeros(n)]
    names, sizes = (*populations, *sources), tuple(len(d) for d in decays)
    synapses = {p.name: synapses_of(edges[p.name]) for p in chosen}
    reach = {p.name: (1.0 - responses[p.post][0]) * responses[p.post][1][edges[p.name].port] for p in chosen}
    none = np.zeros(0)
    nobody = np.zeros(0, np.int64)
    return LinearModel(
        names, sizes, np.concatenate(decays), np.concatenate(gains), synapses, nobody, nobody, none, network.dt, noise,
        np.concatenate(rates), reach, {p.name: (p.pre, p.post) for p in chosen},
    ).rewired()  # fmt: skip
