"""Prune a network: Network in, smaller Network and a report out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.network import Network
from spikesim.rng import Stream
from spikesim.sparsify.betweenness import Betweenness
from spikesim.sparsify.checks import check, check_seen, targets
from spikesim.sparsify.covariance import leading
from spikesim.sparsify.linear import LinearModel, linearise
from spikesim.sparsify.lnp import MARGIN, added_edges
from spikesim.sparsify.report import PruneReport, Round, make_report, notes_on
from spikesim.sparsify.rules import DRAWN, KEPT_NEURONS, Scores, Settings
from spikesim.sparsify.surgery import Synapses, cut
from spikesim.sparsify.timescales import EVALUATIONS
from spikesim.sparsify.trained import pruned_in_training
from spikesim.sparsify.tuning import retuned

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
ADDED = 0.01  # of the synapses that stay, at most, are new ones against localised modes
ROUNDS = {"lnp": 3}
HELD = 3  # times that weights are scaled and the network is probed again, at most, until it is stable


@dataclass(frozen=True, eq=False)
class Pruned:
    """A pruned network.

    Parameters
    ----------
    network
        What is left; it runs, trains and exports like any other.
    report
        What that cost.
    kept
        By population of the original: which neurons stayed, bool ``[n]``.
    """

    network: Network
    report: PruneReport
    kept: Mapping[str, Mask]


def prune(
    network: Network,
    method: str = "lnp",
    *,
    keep: float = 0.15,
    keep_neurons: float | None = None,
    projections: Sequence[str] | None = None,
    protect: Sequence[str] | None = None,
    rounds: int | None = None,
    steps: Sequence[int] = (1, 2, 3, 4),
    factor: str = "L",
    floor: float = 1e-2,
    rescale: bool = True,
    exponents: str = "auto",
    engine: str = "own",
    inputs: Mapping[str, Any] | None = None,
    data: Any = None,
    training: Mapping[str, Any] | None = None,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Pruned:
    """Take synapses and neurons out of a network.

    Parameters
    ----------
    network
        The network. ``lnp``, ``noise``, ``random`` never see a task's data: the network is probed by noise.
    method
        ``"lnp"``, ``"noise"``, ``"weight"``, ``"random"``, ``"magnitude"``, ``"activity"`` or ``"sparse_init"``
        (:mod:`spikesim.sparsify.rules`); ``"granet"`` trains the network on while it is pruned
        (:class:`spikesim.sparsify.GraNet`), and removes no neurons.
    keep
        Share of the synapses of the pruned projections that are left in the end, at most.
    keep_neurons
        Share of the neurons; half for ``lnp`` and ``activity``, else all by default.
    projections
        Which are pruned: by default those on a cycle, or all where there is no cycle.
    protect
        Populations that keep all their neurons: by default those that nothing reads within the network (its outputs).
    rounds
        Steps of 1 to 3 are repeated so often, each time to the same share of what is left; 3 for ``lnp``, else 1.
    steps
        Of ``lnp``: 1 synapses, 2 neurons by betweenness, 3 edges against localised modes, 4 time constants.
    factor
        Of ``lnp``: ``"L"`` Lyapunov weights, ``"w"`` weights (noise-prune), ``"wL"`` both.
    floor
        Smallest probability of a draw: no weight grows by more than its inverse.
    rescale
        Divide drawn weights by their probability, so sums are right on average.
    exponents
        How exponents of neurons are found (:func:`spikesim.sparsify.lnp.neuron_exponents`).
    engine
        Of the betweenness, ``"own"`` or ``"rustworkx"``.
    inputs
        For ``activity``: data to measure rates on, by the name of the input.
    data, training
        For ``granet``: samples with labels, and settings of :func:`spikesim.train.train`, such as ``{"epochs": 10}``.
    seed
        Of noise, draws and training.
    progress
        Called with a sentence per round.

    Returns
    -------
    Pruned

    Raises
    ------
    InvalidValueError, UnknownNameError
        If a setting cannot be used, nothing can be pruned, or the network never fires.

    Notes
    -----
    After every round the network is probed again: if the largest eigenvalue of its linear system comes closer to 0 than
    5 % of the mean leak (or than the original's, if that is larger), the weights of the pruned projections are scaled
    down. The paper has no such step; ``1 / p`` makes it necessary. Neurons are taken from the excitatory and the
    inhibitory ones in proportion, with every method, because the balance of both decides how much a network fires.

    Examples
    --------
    >>> from spikesim import Population, Projection
    >>> from spikesim.connect import FixedProbability
    >>> from spikesim.distributions import Normal
    >>> from spikesim.models.neurons import lif
    >>> net = Network([Population("a", 40, lif())],
    ...               [Projection("a", "a", FixedProbability(0.5), weight=Normal(0.0, 0.1), delay=1e-3)])
    >>> pruned = prune(net, "noise", keep=0.25)
    >>> pruned.report.synapses[1] <= 0.25 * pruned.report.synapses[0]
    True
    """
    chosen, removable = targets(network, projections, protect)
    share = KEPT_NEURONS.get(method, 1.0) if keep_neurons is None else keep_neurons
    rounds = ROUNDS.get(method, 1) if rounds is None else rounds
    check(method, keep, share, rounds, steps, factor, exponents, engine, floor)
    check_seen(method, share, data, training)
    if method == "granet":
        made, report = pruned_in_training(network, chosen, keep, seed, data, training or {})
        return Pruned(made, report, {p.name: np.ones(p.n, bool) for p in network.populations})
    settings = Settings(method, tuple(steps), factor, floor, rescale, exponents, engine, seed)
    first = model = linearise(network, chosen, seed=seed)
    spikes = None if inputs is None else _activity(network, inputs)
    now, kept = network, {p.name: np.ones(p.n, bool) for p in network.populations}
    total, people = len(model.pre), sum(int(kept[n].sum()) for n in removable)
    limit = max(float(leading(model.matrix(), 1).real[0]), -MARGIN * float((1.0 - model.decay).mean()) / model.dt)
    history: list[Round] = []
    for r in range(1, rounds + 1):
        rates = None if spikes is None else _rates(spikes, kept, model)
        goal = round(total * keep ** (r / rounds)), max(1, round(people * share ** (r / rounds)))
        scores = Scores(now, model, settings, rates, r)
        now, stays, entry = _round(now, model, scores, removable, goal)
        now, model, scale = _held(now, chosen, first, limit, seed)
        history.append(entry._replace(scale=scale))
        for name, mask in stays.items():
            kept[name][np.flatnonzero(kept[name])[~mask]] = False
        if progress:
            progress(f"round {r} of {rounds}: {entry.neurons} neurons, {entry.synapses} synapses")
    tuned = None
    if method == "lnp" and 4 in steps:
        now, tuned = retuned(now, chosen, first, evaluations=EVALUATIONS, seed=seed)
        now, model, _ = _held(now, chosen, first, limit, seed)
    rows = np.concatenate([kept.get(n, np.ones(s, bool)) for n, s in zip(first.names, first.sizes, strict=True)])
    notes = notes_on(network, chosen, first, now, model)
    report = make_report(network, now, method, seed, first, model, rows, history, tuned, notes)
    return Pruned(now, report, kept)


def _rates(spikes: Mapping[str, Floats], kept: Mapping[str, Mask], model: LinearModel) -> Floats:
    """Return the spikes of every row; sources get none."""
    sizes = zip(model.names, model.sizes, strict=True)
    return np.concatenate([spikes[n][kept[n]] if n in kept else np.zeros(size) for n, size in sizes])


def _activity(network: Network, inputs: Mapping[str, Any]) -> dict[str, Floats]:
    from spikesim.engine import run

    recording = run(network.with_(probes=()), inputs=inputs)
    return {p.name: recording[p.name].counts().sum(axis=0).astype(np.float64) for p in network.populations}


def _round(
    network: Network, model: LinearModel, scores: Scores, removable: Sequence[str], goal: tuple[int, int]
) -> tuple[Network, dict[str, Mask], Round]:
    """Prune once to so many synapses and neurons; neurons are chosen on a trial draw, then the draw is made anew."""
    settings, m = scores.settings, len(model.pre)
    everything = np.ones(m, bool)
    lnp = settings.method == "lnp"
    count = min(goal[0], m) if not lnp or 1 in settings.steps else m
    may = np.zeros(model.n, bool)
    for name in removable:
        may[model.rows(name)] = True
    surplus = int(may.sum()) - goal[1] if not lnp or 2 in settings.steps else 0
    stays, error = np.ones(model.n, bool), 0.0
    if surplus > 0:
        trial, p = scores.kept(everything, count)
        values, errors = scores.neurons(trial, p, may)
        stays, error = _without_lowest(model, values, may, surplus), _relative(Betweenness(values, errors, 0))
    among = stays[model.pre] & stays[model.post]
    room = round(ADDED * count) if lnp and 3 in settings.steps else 0
    kept, p = scores.kept(among, min(max(count - room, 1), int(among.sum())))
    factor = 1.0 / np.where(kept, p, 1.0) if settings.rescale and settings.method in DRAWN else np.ones(m)
    parts, ipr = _synapses(model, kept, factor, among, scores), None
    if room:
        parts, ipr = added_edges(model, parts, stays, room, settings.seed)
    masks = {n: stays[model.rows(n)] for n in model.names if n in removable}
    smaller = cut(network, masks, parts)
    synapses = sum(len(s.pre) for s in parts.values())
    return smaller, masks, Round(sum(p.n for p in smaller.populations), synapses, 1.0, ipr, error)


def _relative(found: Betweenness) -> float:
    return float(found.errors.mean() / max(float(found.values.mean()), 1e-300))


def _without_lowest(model: LinearModel, values: Floats, may: Mask, surplus: int) -> Mask:
    """Return who stays: the lowest go, among excitatory and inhibitory neurons alike, but no population loses all."""
    stays = np.ones(model.n, bool)
    left = {name: model.sizes[k] for k, name in enumerate(model.names)}
    names = np.repeat(np.arange(len(model.names)), model.sizes)
    sent = np.concatenate([s.weight for s in model.synapses.values()])
    inhibits = np.bincount(model.pre, sent, model.n) < 0.0
    share = round(surplus * int((inhibits & may).sum()) / int(may.sum()))
    quota = {True: share, False: surplus - share}
    for row in np.lexsort((np.arange(model.n), values)):
        name, kind = model.names[names[row]], bool(inhibits[row])
        if quota[kind] and may[row] and left[name] > 1:
            stays[row], quota[kind], left[name] = False, quota[kind] - 1, left[name] - 1
    return stays


def _synapses(model: LinearModel, kept: Mask, factor: Floats, among: Mask, scores: Scores) -> dict[str, Synapses]:
    masks, factors = model.split(kept), model.split(factor)
    parts = {n: replace(s, weight=s.weight * factors[n]).only(masks[n]) for n, s in model.synapses.items()}
    if scores.settings.method == "sparse_init":
        seed, exists = scores.settings.seed, model.split(among)
        old = model.synapses
        return {n: _random_graph(old[n], len(s.pre), exists[n], seed, n) if len(s.pre) else s for n, s in parts.items()}
    return parts


def _random_graph(old: Synapses, count: int, among: Mask, seed: int, name: str) -> Synapses:
    """Return random new pairs of neurons that stay, with weights of old synapses of the same source.

    Weights grow by the square root of one over the share that is kept, so the spectral radius stays about the same.
    Pairs that are drawn twice count once.
    """
    stream = Stream(seed, f"prune/{name}/pairs")
    pool = np.flatnonzero(among)
    donors = pool[np.argsort(stream.uniform(len(pool)), kind="stable")[:count]]
    targets = np.unique(old.post[pool])
    post = targets[(stream.child("post").uniform(len(donors)) * len(targets)).astype(np.int64)]
    first = np.unique(np.column_stack([old.pre[donors], post]), axis=0, return_index=True)[1]
    donors, post = donors[first], post[first]
    return Synapses(old.pre[donors], post, old.weight[donors] * np.sqrt(len(old.pre) / count), old.origin[donors])


def _held(
    network: Network, chosen: Sequence[str], first: LinearModel, limit: float, seed: int
) -> tuple[Network, LinearModel, float]:
    """Return the network, its weights scaled until its largest exponent is at most a limit, probed anew; the factor."""
    total = 1.0
    for attempt in range(HELD + 1):
        model = linearise(network, chosen, noise=first.noise, seed=seed)
        factor = _stabilising(model, limit) if attempt < HELD else 1.0
        if factor == 1.0:
            break
        total *= factor
        scaled = {n: replace(s, weight=s.weight * factor) for n, s in model.synapses.items()}
        network = cut(network, {}, scaled)
    return network, model, total


def _stabilising(model: LinearModel, limit: float) -> float:
    """Return the factor of all weights that keeps the largest real part of the linear system at most at a limit."""

    def rate(factor: float) -> float:
        return float(leading(model.matrix(model.weight * factor), 1).real[0])

    limit = max(limit, 0.5 * float(model.matrix(0.0 * model.weight).diagonal().max()))  # the slowest leak by itself
    if rate(1.0) <= limit + 1e-9 * abs(limit):
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(7):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if rate(middle) <= limit else (low, middle)
    return low
