"""Which neurons each rank runs."""

from __future__ import annotations

from collections.abc import Mapping

from spikesim.errors import InvalidValueError

BLOCK = 64  # neurons that stay together: random numbers and bitmaps come in blocks of 64


def share(sizes: Mapping[str, int], ranks: int) -> list[dict[str, tuple[int, int]]]:
    """Cut every population into one range of neurons per rank.

    Every rank gets about the same number of every population, so that all are equally busy; what does not divide goes
    to the ranks that have the fewest so far.

    Parameters
    ----------
    sizes
        Population to number of neurons.
    ranks
        Number of ranks.

    Returns
    -------
    list of dict
        Per rank, population to ``(lo, hi)``: the neurons ``lo .. hi - 1``. ``lo`` is a multiple of 64.

    Raises
    ------
    InvalidValueError
        If there are not enough neurons for so many ranks.

    Examples
    --------
    >>> share({"e": 200, "i": 50}, 2)
    [{'e': (0, 128), 'i': (0, 0)}, {'e': (128, 200), 'i': (0, 50)}]
    """
    blocks = {name: -(-n // BLOCK) for name, n in sizes.items()}
    if ranks < 1:
        raise InvalidValueError(f"ranks must be at least 1, found {ranks}")
    if sum(blocks.values()) < ranks:
        most = max(1, sum(blocks.values()))
        raise InvalidValueError(
            f"the network has {sum(sizes.values())} neurons, which are dealt out in blocks of {BLOCK} of one "
            f"population: at most {most} ranks can share it, found {ranks}; use {most} or fewer"
        )
    found: list[dict[str, tuple[int, int]]] = [{} for _ in range(ranks)]
    held = [0] * ranks
    for name, n in sizes.items():
        each, rest = divmod(blocks[name], ranks)
        more = sorted(range(ranks), key=lambda rank: held[rank])[:rest]
        lo = 0
        for rank in range(ranks):
            hi = min(n, lo + BLOCK * (each + (rank in more)))
            found[rank][name] = (lo, hi)
            held[rank] += hi - lo
            lo = hi
    return found
