"""The integer network: populations, projections and inputs as plain arrays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikesim.errors import NetworkError
from spikesim.fixedpoint.learning import IntLearning
from spikesim.fixedpoint.weights import WEIGHT_BITS, SignMode, truncate_weights

IntParameter: TypeAlias = int | NDArray[np.int64]
ResetKind = Literal["hard", "soft", "none"]
RESET_KINDS: tuple[ResetKind, ...] = ("hard", "soft", "none")
THRESHOLD_SHIFT = 6


def _whole(owner: str, name: str, value: ArrayLike) -> NDArray[np.int64]:
    """Turn a value into int64, refusing what is not a whole number."""
    found = np.asarray(value)
    if found.dtype.kind not in "iub":
        whole = found.astype(np.float64) if found.dtype.kind == "f" else None
        if whole is None or not np.array_equal(whole, np.rint(whole)):
            raise NetworkError([f"{owner}: {name} must be whole numbers, found {value!r}; quantise first"])
    return found.astype(np.int64)


def _parameter(owner: str, name: str, value: ArrayLike, n: int) -> IntParameter:
    """Return a scalar as int and anything else as an int64 array of shape (n,)."""
    found = _whole(owner, name, value)
    if found.ndim == 0:
        return int(found)
    if found.shape != (n,):
        raise NetworkError([f"{owner}: {name} has shape {found.shape}; give one number or {n} of them"])
    found.flags.writeable = False
    return found


@dataclass(frozen=True)
class IntInput:
    """A group of spike sources that is driven from outside.

    Parameters
    ----------
    name
        Unique among inputs and populations.
    n
        Number of sources.
    graded
        Whether its spikes carry a whole number, by which the weights are multiplied.
    """

    name: str
    n: int
    graded: bool = False


@dataclass(frozen=True, eq=False)
class IntPopulation:
    """A population of current-based leaky integrate-and-fire neurons in Loihi's integers.

    Every parameter is one number or an array of shape (n,). Lava takes scalars only for `du`, `dv`, `vth`, `quantum`.

    Parameters
    ----------
    name
        Unique among inputs and populations.
    n
        Number of neurons.
    du
        Current decay, 0..4095; the current keeps ``(4095 - du) / 4096`` a step (the chip adds 1 to it).
    dv
        Voltage decay, 0..4096; the voltage keeps ``(4096 - dv) / 4096`` a step.
    vth
        Threshold mantissa, 0..131071; a neuron spikes when ``v > vth << 6``.
    bias_mant, bias_exp
        The bias ``bias_mant << bias_exp``, -4096..4095 and 0..7, in units of `v`.
    reset
        ``"hard"``: v becomes 0; ``"soft"``: v loses `quantum`; ``"none"``: v is left alone. u is never reset.
    quantum
        What a soft reset subtracts, 0..2^23-1 in units of `v`; by default the effective threshold ``vth << 6``.
    u0, v0
        State before the first column, in 24 bit.
    reset_interval, reset_offset
        If the interval is positive, u and v are set to 0 at the start of every column with
        ``(column + 1) % reset_interval == reset_offset % reset_interval`` (Lava's ``LIFReset``).
    refractory
        Columns from a spike to the next possible one, 1..64; v stays 0 in those between, u goes on. Only with a hard
        reset; Lava has none in fixed point.

    Raises
    ------
    NetworkError
        If a value is not a whole number or has the wrong shape. Ranges are checked by `check_network`.
    """

    name: str
    n: int
    du: IntParameter = 0
    dv: IntParameter = 0
    vth: IntParameter = 10
    bias_mant: IntParameter = 0
    bias_exp: IntParameter = 0
    reset: ResetKind = "hard"
    quantum: IntParameter | None = None
    u0: IntParameter = 0
    v0: IntParameter = 0
    reset_interval: int = 0
    reset_offset: int = 0
    refractory: IntParameter = 1

    def __post_init__(self) -> None:
        """Bring every parameter into its canonical form."""
        if self.reset not in RESET_KINDS:
            raise NetworkError(
                [f"population {self.name!r}: reset is {self.reset!r}; use one of {', '.join(RESET_KINDS)}"]
            )
        for name in ("du", "dv", "vth", "bias_mant", "bias_exp", "quantum", "refractory", "u0", "v0"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, _parameter(f"population {self.name!r}", name, value, self.n))
        if self.reset != "hard" and np.any(np.not_equal(self.refractory, 1)):
            raise NetworkError([f"population {self.name!r}: refractory needs reset='hard', found {self.reset!r}"])

    @property
    def threshold(self) -> IntParameter:
        """The effective threshold ``vth << 6`` in units of `v`."""
        return self.vth << THRESHOLD_SHIFT

    @property
    def bias(self) -> NDArray[np.int32]:
        """The effective bias of every neuron: int32, shape (n,); a negative exponent shifts right and rounds down."""
        mant = np.broadcast_to(np.int64(self.bias_mant), (self.n,))
        exp = np.broadcast_to(np.int64(self.bias_exp), (self.n,))
        return np.where(exp >= 0, mant << np.maximum(exp, 0), mant >> np.maximum(-exp, 0)).astype(np.int32)

    @property
    def soft_quantum(self) -> IntParameter:
        """What a soft reset subtracts, in units of `v`."""
        return self.threshold if self.quantum is None else self.quantum


@dataclass(frozen=True, eq=False)
class IntProjection:
    """Synapses from one group to a population, stored by source (compressed sparse rows).

    Parameters
    ----------
    name
        Unique among projections.
    pre
        Name of an input or a population.
    post
        Name of a population.
    indptr
        int64, shape (n_pre + 1,): source ``s`` owns the synapses ``indptr[s]:indptr[s + 1]``.
    indices
        int32, shape (n_synapses,): target neurons.
    weights
        int32, shape (n_synapses,), -256..255, before truncation; see `effective_weights`.
    delay
        One number or int32 of shape (n_synapses,), 0..62 in Lava's meaning: a spike in column k arrives in column
        ``k + 1 + delay``.
    weight_exp
        The arriving sum is shifted left by this (right if negative, rounding down). As in Lava's ``Dense`` and
        ``DelayDense`` it is applied to the sum per projection, target and delay, not to single weights.
    sign_mode, num_weight_bits
        How the weights are stored; see `truncate_weights`.
    learning
        How the weights change; not at all by default. Synapses that learn have no delay.

    Raises
    ------
    NetworkError
        If the arrays do not fit together.
    """

    name: str
    pre: str
    post: str
    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    weights: NDArray[np.int32]
    delay: int | NDArray[np.int32] = 0
    weight_exp: int = 0
    sign_mode: SignMode = "auto"
    num_weight_bits: int = WEIGHT_BITS
    learning: IntLearning | None = None

    def __post_init__(self) -> None:
        """Bring the arrays into their canonical types and check that their lengths agree."""
        owner = f"projection {self.name!r}"
        for name, dtype in (("indptr", np.int64), ("indices", np.int32), ("weights", np.int32)):
            array = np.ascontiguousarray(_whole(owner, name, getattr(self, name)), dtype=dtype)
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        delay = _parameter(owner, "delay", self.delay, self.indices.size)
        object.__setattr__(self, "delay", delay if isinstance(delay, int) else delay.astype(np.int32))
        problems = _csr_problems(owner, self.indptr, self.indices, self.weights)
        if problems:
            raise NetworkError(problems)

    @property
    def n_synapses(self) -> int:
        """Number of synapses that are listed, those whose weight is 0 included."""
        return int(self.indices.size)

    @property
    def max_delay(self) -> int:
        """Longest delay, in Lava's meaning; 0 without synapses."""
        return int(np.max(self.delay, initial=0)) if self.n_synapses else 0

    @property
    def effective_weights(self) -> NDArray[np.int32]:
        """The weights as the chip keeps them: int32, shape (n_synapses,), before `weight_exp`."""
        return truncate_weights(self.weights, self.num_weight_bits, self.sign_mode)

    @property
    def sources(self) -> NDArray[np.int32]:
        """The source of every synapse: int32, shape (n_synapses,)."""
        return np.repeat(np.arange(self.indptr.size - 1, dtype=np.int32), np.diff(self.indptr))

    @classmethod
    def from_dense(
        cls,
        name: str,
        pre: str,
        post: str,
        weights: ArrayLike,
        *,
        delay: ArrayLike = 0,
        keep_zeros: bool = True,
        **options: Any,
    ) -> IntProjection:
        """Build a projection from a matrix.

        Parameters
        ----------
        name, pre, post
            As in the class.
        weights
            Integers, shape (n_post, n_pre): Lava's order.
        delay
            One number or integers of the same shape.
        keep_zeros
            Whether a weight of 0 is a synapse.
        **options
            `weight_exp`, `sign_mode`, `num_weight_bits`, `learning`.

        Returns
        -------
        IntProjection
        """
        w = _whole(f"projection {name!r}", "weights", weights)
        if w.ndim != 2:
            raise NetworkError(
                [f"projection {name!r}: weights have shape {w.shape}; a matrix (n_post, n_pre) is needed"]
            )
        exists = np.ones(w.shape, bool) if keep_zeros else w != 0
        source, target = np.nonzero(exists.T)
        indptr = np.concatenate([[0], np.cumsum(exists.sum(axis=0))])
        d = np.asarray(delay)
        each = d if d.ndim == 0 else np.broadcast_to(d, w.shape)[target, source]
        return cls(
            name, pre, post, indptr, target.astype(np.int32), w[target, source].astype(np.int32), each, **options
        )


def _csr_problems(owner: str, indptr: NDArray[Any], indices: NDArray[Any], weights: NDArray[Any]) -> list[str]:
    problems = []
    if indptr.ndim != 1 or indptr.size < 1 or indptr[0] != 0 or np.any(np.diff(indptr) < 0):
        problems.append(f"{owner}: indptr must start at 0 and never fall")
    elif indices.ndim != 1 or indptr[-1] != indices.size:
        problems.append(f"{owner}: indptr ends at {indptr[-1]}, but there are {indices.size} indices")
    if weights.shape != indices.shape:
        problems.append(f"{owner}: {weights.size} weights for {indices.size} indices")
    return problems


@dataclass(frozen=True, eq=False)
class IntNetwork:
    """Populations, the projections between them, and the inputs from outside.

    Parameters
    ----------
    populations, projections, inputs
        The parts; kept as tuples.
    allow_negative_bias_exp
        Accept `bias_exp` down to -31, as Lava's CPU model does and the chip does not.

    Raises
    ------
    NetworkError
        If names are not unique, a projection refers to a group that is not there, or does not fit it. Lists all.
    """

    populations: Sequence[IntPopulation]
    projections: Sequence[IntProjection] = ()
    inputs: Sequence[IntInput] = ()
    allow_negative_bias_exp: bool = False
    _sizes: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Freeze the parts and check that they refer to each other correctly."""
        for name in ("populations", "projections", "inputs"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        groups: list[IntInput | IntPopulation] = [*self.inputs, *self.populations]
        object.__setattr__(self, "_sizes", {g.name: g.n for g in groups})
        problems = [
            *_repeated("group", [g.name for g in groups]),
            *_repeated("projection", [p.name for p in self.projections]),
            *(f"{g.name!r} has {g.n} neurons; at least 1 is needed" for g in groups if g.n < 1),
        ]
        posts = {p.name for p in self.populations}
        graded = {i.name for i in self.inputs if i.graded}
        for projection in self.projections:
            problems += _end_problems(projection, self._sizes, posts)
            problems += _learning_problems(projection, self._sizes, graded)
        if problems:
            raise NetworkError(problems, "This integer network cannot be built:")

    def size(self, name: str) -> int:
        """Return the number of neurons or sources of the group `name`."""
        return self._sizes[name]

    def graded(self, name: str) -> bool:
        """Tell whether `name` is an input whose spikes carry a number."""
        return any(i.name == name and i.graded for i in self.inputs)

    def population(self, name: str) -> IntPopulation:
        """Return the population `name`."""
        return next(p for p in self.populations if p.name == name)

    def projection(self, name: str) -> IntProjection:
        """Return the projection `name`."""
        return next(p for p in self.projections if p.name == name)


def _repeated(kind: str, names: Iterable[str]) -> list[str]:
    seen: set[str] = set()
    repeated = [n for n in names if n in seen or seen.add(n)]  # type: ignore[func-returns-value]
    return [f"the name {n!r} is used by more than one {kind}; names must differ" for n in repeated]


def _end_problems(projection: IntProjection, sizes: dict[str, int], posts: set[str]) -> list[str]:
    owner = f"projection {projection.name!r}"
    problems = []
    if projection.pre not in sizes:
        problems.append(
            f"{owner}: there is no group {projection.pre!r} to come from; known: {', '.join(sorted(sizes))}"
        )
    elif projection.indptr.size != sizes[projection.pre] + 1:
        problems.append(
            f"{owner}: {projection.indptr.size - 1} rows for the {sizes[projection.pre]} sources of {projection.pre!r}"
        )
    if projection.post not in posts:
        problems.append(
            f"{owner}: there is no population {projection.post!r} to go to; known: {', '.join(sorted(posts))}"
        )
    elif (
        projection.n_synapses and not 0 <= projection.indices.min() <= projection.indices.max() < sizes[projection.post]
    ):
        n = sizes[projection.post]
        problems.append(
            f"{owner}: targets {projection.indices.min()}..{projection.indices.max()} in a population of {n}"
        )
    return problems


def _learning_problems(projection: IntProjection, sizes: dict[str, int], graded: set[str]) -> list[str]:
    if projection.learning is None:
        return []
    owner, modulator = f"projection {projection.name!r} learns", projection.learning.rule.modulator
    problems = []
    if projection.max_delay:
        problems.append(
            f"{owner} and takes {projection.max_delay + 1} steps on the chip, but learning synapses take 1; shorten "
            "its delay, or the other paths to its target"
        )
    if projection.pre in graded:
        problems.append(
            f"{owner}, for which it needs spikes, but {projection.pre!r} is graded; use a source that spikes"
        )
    if modulator and modulator not in sizes:
        problems.append(f"{owner} by the modulator {modulator!r}, which is not among {', '.join(sorted(sizes))}")
    return problems
