"""Which core of the mesh takes which part of the network, so that packets cross few routers.

A quadratic assignment problem: no method finds the best order of large ones in reasonable time. Here pairs of places
are exchanged as long as that lowers the sum of packets times hops; then some are exchanged at random, and the descent
begins again from the best order so far (iterated local search). The amount of work is fixed, not the time, and the
random numbers follow from a seed: the same network gives the same order on every machine.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikesim.profile.schema import Grid

Ints = NDArray[np.int64]
Reals = NDArray[np.float64]

KICKS = 100  # restarts from the best order
WORK = 40_000_000  # places compared, at most
EXCHANGED = 10  # pairs exchanged at random before each restart


def routers_in_order(cores: int, grid: Grid | None) -> Ints:
    """Return the router of each core if cores are taken row by row."""
    return np.arange(cores, dtype=np.int64) // (grid.cores_per_router if grid else 1)


def arrange(traffic: Reals, entering: Reals, grid: Grid, seed: int = 0) -> Ints:
    """Return the router of each core.

    Parameters
    ----------
    traffic
        Packets from core to core, float64 ``[cores, cores]``.
    entering
        Packets to each core from outside; they enter at the first router.
    grid
        The mesh. If one chip has too few places, cores stay in their order.
    seed
        Of the random exchanges.
    """
    cores, places = len(entering), grid.columns * grid.rows * grid.cores_per_router
    if cores > places or not (traffic.any() or entering.any()):
        return routers_in_order(cores, grid)
    search = _Search(traffic, entering, grid, places)
    search.descend()
    best, least = search.place.copy(), search.cost()
    rng = np.random.default_rng(seed)
    for _ in range(KICKS):
        if search.work_left <= 0 or least == 0:
            break
        for a, b in rng.integers(0, cores, (EXCHANGED, 2)).tolist():
            search.exchange(a, b)
        search.descend()
        cost = search.cost()
        if cost < least * (1 - 1e-12):
            best, least = search.place.copy(), cost
        else:
            search.restart(best)
    return np.asarray(best[:cores] // grid.cores_per_router, np.int64)


class _Search:
    """An order, and what each exchange of two places would change; places without a core take part as empty cores."""

    def __init__(self, traffic: Reals, entering: Reals, grid: Grid, places: int) -> None:
        cores = len(entering)
        self._between = np.zeros((places, places))
        self._between[:cores, :cores] = traffic + traffic.T
        np.fill_diagonal(self._between, 0.0)
        self._entering = np.zeros(places)
        self._entering[:cores] = entering
        router = np.arange(places) // grid.cores_per_router
        y, x = np.divmod(router, grid.columns)
        self._apart = (np.abs(x[:, None] - x) + np.abs(y[:, None] - y)).astype(np.float64)
        self._cores = cores
        self.work_left = WORK
        self.restart(np.arange(places))

    def restart(self, place: Ints) -> None:
        """Take an order."""
        self.place = place.copy()
        # at[i, p]: packets times hops of core i if it stood at p and all others where they are
        self._at = self._between @ self._apart[self.place] + np.outer(self._entering, self._apart[0])

    def cost(self) -> float:
        """Return packets times hops of all cores."""
        here = self._apart[np.ix_(self.place, self.place)]
        return float((self._between * here).sum() / 2 + self._entering @ self._apart[0, self.place])

    def exchange(self, a: int, b: int) -> None:
        """Exchange the places of two cores."""
        p, q = self.place[a], self.place[b]
        self._at += np.outer(self._between[:, a] - self._between[:, b], self._apart[q] - self._apart[p])
        self.place[a], self.place[b] = q, p

    def descend(self) -> None:
        """Make the exchange that helps most, until none helps."""
        smallest = 1e-9 * max(self.cost(), 1e-30)
        while self.work_left > 0:
            at = self._at[: self._cores][:, self.place]  # of core i at the place of core (or empty core) j
            own = self._at[np.arange(len(self.place)), self.place]
            theirs = self._at[:, self.place[: self._cores]].T
            change = at + theirs - own[: self._cores, None] - own
            change += 2 * self._between[: self._cores] * self._apart[np.ix_(self.place[: self._cores], self.place)]
            a, b = divmod(int(np.argmin(change)), len(self.place))
            self.work_left -= change.size
            if change[a, b] >= -smallest:
                break
            self.exchange(a, b)
