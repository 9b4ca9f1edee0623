"""Put runs of neurons on cores: as few cores as two plain heuristics find, and the arrangement with less traffic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from spikesim.profile.device import Device
from spikesim.profile.memory import Layout
from spikesim.profile.partition import CORE_RULES, Block, Ints, Run, says_what_a_core_holds

Reals = NDArray[np.float64]

SLACK = 128  # a run may stay this part of itself shorter than it could be, which saves looking


@dataclass(frozen=True, eq=False)
class Piece:
    """A run on a core: neurons ``begin ... end - 1`` of a block."""

    block: Block
    begin: int
    end: int
    run: Run


class Core:
    """What a core holds of each limit, and which source elements reach it."""

    def __init__(self, limits: Mapping[str, float]) -> None:
        self.pieces: list[Piece] = []
        self.uncut = False  # holds what was not cut any more
        self.axons: Ints = np.zeros(0, np.int64)  # sorted
        self.used: dict[str, int] = {}
        self._limits = limits
        nothing: frozenset[int] = frozenset()
        self._sets = {"configurations_per_core": nothing, "thresholds_per_core": nothing}

    def shared(self, run: Run) -> NDArray[np.bool_]:
        """Tell which axons of a run reach the core already."""
        if not len(self.axons):
            return np.zeros(len(run.axons), bool)
        place = np.searchsorted(self.axons, run.axons)
        return np.asarray(self.axons[np.minimum(place, len(self.axons) - 1)] == run.axons)

    def after(self, run: Run) -> dict[str, int]:
        """Return what would be used with a run added."""
        after = {rule: self.used.get(rule, 0) + load for rule, load in run.loads.items()}
        if "words_per_axon" in after:
            after["words_per_axon"] = max(self.used.get("words_per_axon", 0), run.loads["words_per_axon"])
        after["in_axons_per_core"] = len(self.axons) + int((~self.shared(run)).sum())
        for rule, mine in (("configurations_per_core", run.configurations), ("thresholds_per_core", run.thresholds)):
            together = self._sets[rule] | mine
            if together:
                after[rule] = len(together)
        return after

    def broken(self, run: Run) -> set[str]:
        """Return the limits that a run would break."""
        return {rule for rule, used in self.after(run).items() if used > self._limits.get(rule, np.inf)}

    def add(self, piece: Piece) -> None:
        """Put a run on the core."""
        self.used = self.after(piece.run)
        self.axons = np.union1d(self.axons, piece.run.axons) if len(self.axons) else piece.run.axons
        self._sets["configurations_per_core"] |= piece.run.configurations
        self._sets["thresholds_per_core"] |= piece.run.thresholds
        self.pieces.append(piece)

    @property
    def fullness(self) -> float:
        """Share of the fullest limit."""
        return max((used / self._limits[rule] for rule, used in self.used.items() if rule in self._limits), default=0.0)


@dataclass(frozen=True, eq=False)
class Arrangement:
    """Runs on cores.

    Parameters
    ----------
    cores
        The cores.
    broken
        Limits that no run can keep: even one neuron breaks them.
    """

    cores: list[Core]
    broken: frozenset[str] = field(default_factory=frozenset)

    def packets(self, rates: Reals) -> float:
        """Return the packets of a step, if each element fires at its rate."""
        return float(sum(rates[core.axons].sum() for core in self.cores))

    def core_of(self) -> dict[str, Ints]:
        """Return the core of each neuron, by population."""
        found: dict[str, Ints] = {}
        for number, core in enumerate(self.cores):
            for p in core.pieces:
                home = found.setdefault(p.block.node.name, np.zeros(p.block.node.n, np.int64))
                home[p.block.order[p.begin : p.end]] = number
        return found

    def loads(self) -> dict[str, Ints]:
        """Return what each core uses, by the name of the limit."""
        rules = [rule for rule in CORE_RULES if any(rule in core.used for core in self.cores)]
        return {rule: np.array([core.used.get(rule, 0) for core in self.cores], np.int64) for rule in rules}

    def uncut(self) -> NDArray[np.bool_]:
        """Tell which cores hold a rest that was not cut any more, for the chip was full long before."""
        return np.array([core.uncut for core in self.cores], bool)

    def layouts(self) -> dict[str, dict[Layout, int]]:
        """Return the layouts of each edge's synapses, and on how many cores each is used."""
        found: dict[str, dict[Layout, int]] = {}
        for core in self.cores:
            for piece in core.pieces:
                for edge, layout in piece.run.layouts.items():
                    counts = found.setdefault(edge, {})
                    counts[layout] = counts.get(layout, 0) + 1
        return found

    def words_upper(self) -> Ints:
        """Return the words of synapse memory of each core by the device's second formula."""
        return np.array([sum(p.block.words_by(p.begin, p.end) for p in c.pieces) for c in self.cores], np.int64)


def core_limits(device: Device) -> dict[str, float]:
    """Return the limits of one core that the device states."""
    stated = {rule: device.limit(rule) for rule in CORE_RULES}
    return {rule: limit.value for rule, limit in stated.items() if limit is not None}


def enough(device: Device) -> float:
    """Return the number of cores after which cutting is given up: far more than the chip has."""
    limit = device.limits.cores
    if limit is None or limit.kind == "budget":
        return np.inf
    return max(64.0, 2 * (limit.value if limit.high is None else limit.high))


class Filler:
    """Cuts populations into runs and fills cores with them.

    Parameters
    ----------
    device
        The device.
    out
        Out-axon entries of each neuron, by population.
    """

    def __init__(self, device: Device, out: Mapping[str, Ints]) -> None:
        self._device = device
        self._out = out
        self._limits = core_limits(device)
        self._made, self._enough = 0, enough(device)
        self._usual: dict[str, int] = {}  # length of the last run of each population: the next is about as long
        self.broken: set[str] = set()

    def in_order(self, blocks: Sequence[Block]) -> Arrangement:
        """Fill one core after the other, cutting a population wherever a core is full."""
        cores: list[Core] = []
        for block in blocks:
            cores += self._cut(block, cores[-1] if cores else None)
        return Arrangement(cores, frozenset(self.broken))

    def by_population(self, blocks: Sequence[Block], rates: Reals) -> Arrangement:
        """Fill cores with each population by itself; what is left of each joins what has the same inputs."""
        cores: list[Core] = []
        rests: list[Core] = []
        for block in blocks:
            *full, last = self._cut(block, None)
            cores += full
            rests.append(last)
        rests.sort(key=lambda core: -core.fullness)
        while rests:
            core, *rests = rests
            cores.append(core)
            while True:
                fitting = [c for c in rests if not core.broken(c.pieces[0].run)]
                if not fitting:
                    break
                best = max(fitting, key=lambda c: (self._saved(core, c, rates), c.fullness))
                core.add(best.pieces[0])
                rests = [c for c in rests if c is not best]
        return Arrangement(cores, frozenset(self.broken))

    @staticmethod
    def _saved(core: Core, rest: Core, rates: Reals) -> float:
        """Return the packets that need not be sent twice if a rest comes onto a core."""
        run = rest.pieces[0].run
        return float(rates[run.axons[core.shared(run)]].sum())

    def _new(self, piece: Piece) -> Core:
        core = Core(self._limits)
        core.add(piece)
        return core

    def _cut(self, block: Block, current: Core | None) -> list[Core]:
        """Put a population on the current core and on new ones; return the new ones."""
        new: list[Core] = []
        begin, n = 0, block.node.n
        if not says_what_a_core_holds(self._device):
            return [self._new(self._piece(block, 0, n))]
        hopeless = self._hopeless(block)
        core = current
        while begin < n:
            if self._made >= self._enough:
                new.append(self._new(self._piece(block, begin, n)))
                new[-1].uncut = True
                break
            end = begin if core is None else self._longest(core, block, begin, hopeless)
            if core is None or end == begin:
                core = Core(self._limits)
                new.append(core)
                self._made += 1
                end = max(begin + 1, self._longest(core, block, begin, hopeless))
            core.add(self._piece(block, begin, end))
            begin = end
        return new

    def _piece(self, block: Block, begin: int, end: int) -> Piece:
        return Piece(block, begin, end, block.run(begin, end, self._out.get(block.node.name)))

    def _hopeless(self, block: Block) -> set[str]:
        """Return the limits that some neuron breaks by itself: refused later, no reason to cut for them."""
        empty = Core(self._limits)
        found: set[str] = set()
        for neuron in {0, int(np.argmax(self._inputs(block)))} if block.node.n else set():
            found |= empty.broken(self._piece(block, neuron, neuron + 1).run)
        self.broken |= found
        return found

    @staticmethod
    def _inputs(block: Block) -> Ints:
        return sum((np.diff(a.start) for a in block.arrivals), np.zeros(block.node.n, np.int64))

    def _longest(self, core: Core, block: Block, begin: int, hopeless: set[str]) -> int:
        """Return the end of the longest run that still fits, ``begin`` if there is none."""
        room = self._limits.get("neurons_per_core", np.inf) - core.used.get("neurons_per_core", 0)
        most = int(min(block.node.n, begin + max(room, 0)))
        if most <= begin:
            return begin
        kept = {rule: limit for rule, limit in self._limits.items() if rule not in hopeless}

        def share(end: int) -> float:
            after = core.after(self._piece(block, begin, end).run)
            return max((after.get(rule, 0) / limit if limit else 0.0 for rule, limit in kept.items()), default=0.0)

        before = max((core.used.get(rule, 0) / limit for rule, limit in kept.items() if limit), default=0.0)
        low, high = begin, min(most, begin + self._usual.get(block.node.name, most) * 33 // 32 + 1)
        full = share(high)
        while full <= 1.0 and high < most:
            low, before, high = high, full, min(most, 2 * high - begin)
            full = share(high)
        if full <= 1.0:
            return high
        for attempt in range(2 * high):  # `low` fits (it is empty), `high` does not; loads grow almost in proportion
            if high - low <= 1 + (low - begin) // SLACK:
                break
            guess = low + int((high - low) * (1.0 - before) / max(full - before, 1e-9)) if attempt < 6 else 0
            guess = min(max(guess, low + 1), high - 1) if attempt < 6 else (low + high) // 2
            here = share(guess)
            low, high, before, full = (guess, high, here, full) if here <= 1.0 else (low, guess, before, here)
        if low > begin:
            self._usual[block.node.name] = low - begin
        return low
