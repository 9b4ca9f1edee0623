"""What pruning refuses, and what it applies to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.lowering import lower
from spikesim.network import Network
from spikesim.optional import require
from spikesim.sparsify.lnp import EXPONENTS, FACTORS
from spikesim.sparsify.rules import METHODS


def check(
    method: str, keep: float, share: float, rounds: int, steps: Sequence[int], factor: str, exponents: str,
    engine: str, floor: float,
) -> None:  # fmt: skip
    """Refuse settings that cannot be used, all at once."""
    for kind, value, known in (
        ("pruning method", method, (*METHODS, "granet")), ("factor of the probability:", factor, FACTORS),
        ("kind of exponents:", exponents, EXPONENTS), ("engine of the betweenness:", engine, ("own", "rustworkx")),
    ):  # fmt: skip
        if value not in known:
            raise UnknownNameError(kind, value, known)
    if method == "lnp" and 4 in steps:
        require("sklearn", "step 4 of LNP, the optimisation of time constants,")
    problems = []
    for label, number in (("keep", keep), ("keep_neurons", share)):
        if not 0.0 < number <= 1.0:
            problems.append(f"{label} must be above 0 and at most 1, found {number}")
    if not 0.0 <= floor < 1.0:
        problems.append(f"floor must be from 0 to below 1, found {floor}")
    if rounds < 1:
        problems.append(f"rounds must be at least 1, found {rounds}")
    if not set(steps) <= {1, 2, 3, 4}:
        problems.append(f"steps must be among 1, 2, 3, 4, found {sorted(steps)}")
    if problems:
        raise InvalidValueError("\n".join(problems))


def check_seen(method: str, share: float, data: Any, training: Any) -> None:
    """Refuse samples that a method would not look at, so that nobody believes it did."""
    problems = []
    if (data is not None or training) and method != "granet":
        problems.append(f"data and training are for granet, which trains; {method} does not, leave them out")
    if method == "granet" and share < 1.0:
        problems.append(
            f"granet removes synapses, keep_neurons must be 1, found {share}; spikesim.sparsify.remove_unread takes "
            "out the neurons that lead nowhere afterwards"
        )
    if problems:
        raise InvalidValueError("\n".join(problems))


def targets(
    network: Network, projections: Sequence[str] | None, protect: Sequence[str] | None
) -> tuple[list[str], list[str]]:
    """Return the projections that are pruned and the populations that may lose neurons.

    Raises
    ------
    InvalidValueError, UnknownNameError
        If a name is not known, or there is nothing to prune.
    """
    graph = lower(network, snap=False)
    known = [p.name for p in network.projections]
    if projections is None:
        looped = [n for n in known if n in graph.recurrent_edges]
        projections = looped or known
    for name in projections:
        if name not in known:
            raise UnknownNameError("projection", name, known)
    chosen = [n for n in known if n in projections]
    if not sum(e.synapses for e in graph.edges if e.name in chosen):
        raise InvalidValueError(f"network {network.name!r} has no synapses that could be pruned")
    populations = [p.name for p in network.populations]
    for name in protect or ():
        if name not in populations:
            raise UnknownNameError("population", name, populations)
    if protect is None:
        protect = [n for n in populations if not any(p.pre == n for p in network.projections)]
    ends = {side for p in network.projections if p.name in chosen for side in (p.pre, p.post)}
    return chosen, [n for n in populations if n in ends and n not in protect]
