"""Which connections close a loop: tools with a clock delay those by a step, NIR does not say so."""

from __future__ import annotations

from collections.abc import Sequence


def feedback(starts: Sequence[str], arrows: Sequence[tuple[str, str]]) -> list[bool]:
    """Tell for each arrow whether it leads back, when the arrows are followed depth first from the starts.

    Parameters
    ----------
    starts
        Where to begin; places that cannot be reached from there come last, in the order of the arrows.
    arrows
        ``(from, to)``.

    Returns
    -------
    list of bool
        Without the arrows marked True there is no loop.

    Examples
    --------
    >>> feedback(["in"], [("in", "a"), ("a", "b"), ("b", "a"), ("b", "b")])
    [False, False, True, True]
    """
    leaving: dict[str, list[int]] = {}
    for k, (origin, _) in enumerate(arrows):
        leaving.setdefault(origin, []).append(k)
    back = [False] * len(arrows)
    state: dict[str, int] = {}  # 1: on the path, 2: done
    for start in [*starts, *(a for a, _ in arrows)]:
        if start in state:
            continue
        state[start] = 1
        path = [(start, iter(leaving.get(start, [])))]
        while path:
            here, remaining = path[-1]
            following = next(remaining, None)
            if following is None:
                state[here] = 2
                path.pop()
                continue
            there = arrows[following][1]
            back[following] = state.get(there) == 1
            if there not in state:
                state[there] = 1
                path.append((there, iter(leaving.get(there, []))))
    return back


def in_order(names: Sequence[str], arrows: Sequence[tuple[str, str]]) -> list[str]:
    """Return names such that every arrow leads forward, otherwise as they stand; the arrows must make no loop.

    >>> in_order(["10", "2", "1"], [("1", "2"), ("2", "10")])
    ['1', '2', '10']
    """
    before: dict[str, list[str]] = {n: [] for n in names}
    for origin, target in arrows:
        if origin in before and target in before:
            before[target].append(origin)
    depth: dict[str, int] = {}
    waiting = list(names)
    while waiting:
        ready = [n for n in waiting if all(b in depth for b in before[n])]
        for name in ready:
            depth[name] = 1 + max((depth[b] for b in before[name]), default=0)
        waiting = [n for n in waiting if n not in depth]
    return sorted(names, key=depth.__getitem__)
