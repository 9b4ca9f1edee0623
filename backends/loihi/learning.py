"""Learning projections as flat arrays: rules, wiring and state for the kernels, and an engine on given spike trains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikesim.backends.loihi import learning_kernels as kernels
from spikesim.backends.loihi.learning_kernels import Histories, Learned, Rules, Wiring, learn_column
from spikesim.fixedpoint import IntProjection, sign_mode_of
from spikesim.fixedpoint.learning import DRAWS, THIRD_FACTOR_TAU, IntLearning, LoihiRule
from spikesim.fixedpoint.rule_text import DEPENDENCIES, SYNAPTIC, VARIABLES, WIDTHS, Product

_SIGNS = {"mixed": kernels.MIXED, "excitatory": kernels.EXCITATORY, "inhibitory": kernels.INHIBITORY}
STATE = ("values", "x", "y", "own", "tx", "ty", "sums")


class Part(NamedTuple):
    """A learning projection and where its groups lie among all sources: the first number of each, and the sizes."""

    projection: IntProjection
    first_pre: int
    first_post: int
    n_pre: int
    n_post: int

    @property
    def learning(self) -> IntLearning:
        """How it learns."""
        return cast(IntLearning, self.projection.learning)


class Learner:
    """The learning projections of a network; holds no state.

    Parameters
    ----------
    parts
        The projections.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = list(parts)
        self.synapses = _bounds([p.projection.n_synapses for p in self.parts])
        self.pres, self.posts = (_bounds([getattr(p, n) for p in self.parts]) for n in ("n_pre", "n_post"))
        self.wiring = self._wiring()
        self.rules = self._rules()
        self.longest = max((p.learning.rule.t_epoch for p in self.parts), default=1)

    def _wiring(self) -> Wiring:
        ends, heads, targets, sources, orders = [], [], [], [], []
        for part, first in zip(self.parts, self.synapses, strict=False):
            projection, source = part.projection, part.projection.sources
            ends.append(projection.indptr + first)
            targets.append(projection.indices)
            sources.append(source)
            orders.append(np.lexsort((source, projection.indices)) + first)
            heads.append(_bounds(np.bincount(projection.indices, minlength=part.n_post)) + first)
        return Wiring(
            np.concatenate([*ends, np.zeros(0, np.int64)]),
            np.concatenate([*targets, np.zeros(0, np.int32)]).astype(np.int32),
            np.concatenate([*sources, np.zeros(0, np.int32)]).astype(np.int32),
            np.concatenate([*heads, np.zeros(0, np.int64)]),
            np.concatenate([*orders, np.zeros(0, np.int64)]),
        )

    def _rules(self) -> Rules:
        config = np.zeros((len(self.parts), kernels.CONFIG), np.int64)
        products: list[list[int]] = []
        factors: list[list[int]] = []
        constants: list[float] = []
        n = len(self.parts)
        keep, whole, fraction = np.zeros((n, 5)), np.zeros((n, 5)), np.zeros((n, 5), np.int64)
        own_keep, own_whole, own_fraction = np.zeros((n, 3)), np.zeros((n, 3)), np.zeros((n, 3), np.int64)
        for p, part in enumerate(self.parts):
            rule = part.learning.rule
            first = len(products)
            for variable, series in rule.products.items():
                for product in series:
                    products.append(_product(SYNAPTIC.index(variable), product, len(factors)))
                    for f in product.factors:
                        factors.append([VARIABLES.index(f.variable), f.sign, 1 << WIDTHS[f.variable]])
                        constants.append(f.constant)
            config[p] = self._config(p, part, first, len(products))
            keep[p], whole[p], fraction[p] = rule.trace_arrays()
            if rule.third_factor:
                own_keep[p], own_whole[p], own_fraction[p] = keep[p, 2:], whole[p, 2:], fraction[p, 2:]
                keep[p, 2:], whole[p, 2:], fraction[p, 2:] = np.exp(-1.0 / THIRD_FACTOR_TAU), 0.0, 0
        return Rules(
            config,
            np.array(products, np.int64).reshape(-1, kernels.PRODUCT),
            np.array(factors, np.int64).reshape(-1, 3),
            np.array(constants, np.float64),
            keep, whole, fraction, own_keep, own_whole, own_fraction,
        )  # fmt: skip

    def _config(self, p: int, part: Part, first: int, last: int) -> list[int]:
        rule, projection = part.learning.rule, part.projection
        mode = sign_mode_of(projection.weights) if projection.sign_mode == "auto" else projection.sign_mode
        acts = {x.dependency for series in rule.products.values() for x in series}
        return [
            part.first_pre, part.n_pre, part.first_post, part.n_post,
            self.pres[p], self.posts[p], self.pres[p] + p, self.posts[p] + p,  # indptr and heads have one entry more
            first, last, rule.t_epoch, -1 if rule.period is None else rule.period,
            rule.arithmetic == "fixed", _SIGNS[mode], projection.weight_exp, rule.third_factor,
            *(d in acts for d in DEPENDENCIES),
        ]  # fmt: skip

    def start(self) -> Learned:
        """Return the state before the first column."""
        values = np.zeros((3, self.synapses[-1]))
        values[0] = np.concatenate([np.zeros(0), *(_first_weights(p) for p in self.parts)])
        n_pre, n_post = int(self.pres[-1]), int(self.posts[-1])
        y = np.zeros((3, n_post))
        times = (np.zeros(n, np.int64) for n in (n_pre, n_post, n_post))
        return Learned(values, np.zeros((2, n_pre)), y, y.copy(), *times)

    def room(self) -> Histories:
        """Return scratch for one sample."""
        x, y = (np.zeros((self.longest + 1, k, int(n))) for k, n in ((2, self.pres[-1]), (3, self.posts[-1])))
        return Histories(x, y, np.zeros(3))

    def draws(self, sample: int, first: int, steps: int) -> NDArray[np.float64]:
        """Return the random numbers of some columns: float64, shape (steps, projections, 8); functions of the seed."""
        found = np.zeros((steps, len(self.parts), DRAWS))
        for p, part in enumerate(self.parts):
            found[:, p] = part.learning.draws(part.projection.name, sample, first, steps)
        return found

    def named(self, values: NDArray[np.float64]) -> dict[str, dict[str, NDArray[Any]]]:
        """Split w, d and t of all synapses (shape (..., 3, synapses)) by projection; integers where they are."""
        found = {}
        for part, first, last in zip(self.parts, self.synapses, self.synapses[1:], strict=False):
            kind = np.int32 if part.learning.rule.arithmetic == "fixed" else np.float64
            own = values[..., first:last]
            found[part.projection.name] = {v: own[..., k, :].astype(kind) for k, v in enumerate(SYNAPTIC)}
        return found


def _first_weights(part: Part) -> NDArray[np.int32]:
    fixed = part.learning.rule.arithmetic == "fixed"
    return part.projection.effective_weights if fixed else part.projection.weights


def _bounds(sizes: ArrayLike) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(np.asarray(sizes, np.int64))]).astype(np.int64)


def _product(target: int, product: Product, first_factor: int) -> list[int]:
    dependency = DEPENDENCIES.index(product.dependency)
    last = first_factor + len(product.factors)
    return [target, dependency, product.mantissa, product.exponent, product.lost_bits, first_factor, last]


class Followed(NamedTuple):
    """What :func:`follow` gives: w, d and t, shape (post, pre), after the last column, and w after every column."""

    w: NDArray[np.float64]
    d: NDArray[np.float64]
    t: NDArray[np.float64]
    weights: NDArray[np.float64]


def follow(
    rule: LoihiRule,
    weights: ArrayLike,
    pre: ArrayLike,
    post: ArrayLike,
    *,
    modulator: ArrayLike | None = None,
    seed: int = 0,
    draws: NDArray[np.float64] | None = None,
) -> Followed:
    """Let a rule follow given spike trains, without neurons: what a synapse would do between these sources and targets.

    Parameters
    ----------
    rule
        The rule.
    weights
        First weights, whole numbers, shape (n_post, n_pre).
    pre, post
        Spikes, 0 or 1, shapes (n_pre, columns) and (n_post, columns).
    modulator
        y2 of each column, if the rule has a modulator: shape (columns,); `modulator_weight` is not applied.
    seed
        Of the stochastic rounding.
    draws
        The random numbers themselves, in [0, 1), shape (columns, 1, 8), in place of the seed's.

    Returns
    -------
    Followed

    Examples
    --------
    >>> stdp = LoihiRule(
    ...     dw="y0*x1 - x0*y1", x1_impulse=16, x1_tau=10, y1_impulse=16, y1_tau=10, arithmetic="float"
    ... )
    >>> times = np.arange(20)
    >>> follow(stdp, [[20]], [times == 10], [times == 15]).w.round(9).tolist()
    [[29.704490555]]
    """
    sources, targets = np.asarray(pre, bool), np.asarray(post, bool)
    (n_pre, columns), n_post = sources.shape, targets.shape[0]
    signed = "mixed" if rule.sign_mode == "auto" else rule.sign_mode  # as Lava does
    line = IntProjection.from_dense(
        "line", "pre", "post", weights, sign_mode=signed, learning=IntLearning(rule, seed=seed)
    )
    learner = Learner([Part(line, 0, n_pre, n_pre, n_post)])
    learned, room = learner.start(), learner.room()
    chance = learner.draws(0, 0, columns) if draws is None else draws
    rewards = np.zeros(columns) if modulator is None else np.asarray(modulator, np.float64)
    spikes = np.concatenate([sources, targets])
    history = np.zeros((columns, n_post, n_pre))
    for k in range(columns):
        spiking = np.flatnonzero(spikes[:, k]).astype(np.int32)
        learn_column(learner.rules, learner.wiring, learned, room, spiking, rewards[k : k + 1], chance[k], k)
        history[k] = learned.values[0].reshape(n_pre, n_post).T
    w, d, t = (v.reshape(n_pre, n_post).T.copy() for v in learned.values)
    return Followed(w, d, t, history)


def flat(state: Learned) -> Mapping[str, NDArray[Any]]:
    """Return a state as arrays by name."""
    return {name: getattr(state, name) for name in STATE}
