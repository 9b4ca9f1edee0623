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
