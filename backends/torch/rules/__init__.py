"""Training rules: BPTT, OTTT, DSR, and the ways in which errors travel back."""

from __future__ import annotations

import torch

from spikesim.backends.torch.delays import DelayedMap
from spikesim.backends.torch.module import SpikingModule
from spikesim.backends.torch.rules.bptt import Bptt
from spikesim.backends.torch.rules.dsr import Dsr
from spikesim.backends.torch.rules.feedback import set_feedback
from spikesim.backends.torch.rules.ottt import Ottt
from spikesim.backends.torch.rules.parts import Watcher, parts
from spikesim.errors import InvalidValueError, UnsupportedError
from spikesim.train.readout import Readout
from spikesim.train.rules import Learning, Rule

READOUTS = ("rate", "membrane_mean", "membrane_last")  # of which every step, or the last, can be judged by itself


def make_rule(module: SpikingModule, learning: Learning, reader: Readout) -> Rule:
    """Return the rule that a module learns by, and let its errors travel as was asked for.

    Parameters
    ----------
    module
        The network.
    learning
        What was asked for.
    reader
        How the last population is read.

    Raises
    ------
    InvalidValueError
        If the read-out does not fit the rule.
    UnsupportedError
        If the network does not fit the rule; says all reasons.
    """
    if problems := _problems(module, learning):
        raise UnsupportedError(problems, f"network {module.graph.name!r} cannot be trained in this way:")
    for part in (p for wire in module.wires() for p in parts(wire)):
        if learning.errors == "exact":
            part.linear.back = None
        else:
            set_feedback(part, learning.errors, learning.seed)
    if not isinstance(learning.rule, str):
        return learning.rule
    watcher = Watcher(learning.hook, learning.hook_rows, torch.Generator().manual_seed(learning.seed))
    if learning.rule != "bptt" and reader.name not in READOUTS:
        raise InvalidValueError(
            f"rule {learning.rule!r}: the read-out {reader.name!r} looks at all steps at once; "
            f"use {', '.join(READOUTS)}, or rule 'bptt'"
        )
    match learning.rule:
        case "ottt":
            return Ottt(module, watcher, reader, **dict(learning.settings))
        case "dsr":
            return Dsr(module, watcher, reader)
    return Bptt(module, watcher)


def _problems(module: SpikingModule, learning: Learning) -> list[str]:
    """Say which projections do in training what a rule, a way of errors or a hook cannot follow."""
    name = repr(learning.rule) if isinstance(learning.rule, str) else "one's own"
    chosen = f"rule {name}, errors {learning.errors!r}{' and a hook' if learning.hook is not None else ''}"
    problems = []
    for edge, linear in zip(module.graph.edges, module.maps, strict=True):
        for what, found, refused in (
            ("batch norm looks at all steps at once", edge.norm is not None, learning.rule in ("ottt", "dsr")),
            ("dropout draws anew", bool(edge.dropout), learning.rule == "dsr" or learning.hook is not None),
            ("its delays are learned", isinstance(linear, DelayedMap), not learning.plain),
        ):
            if found and refused:
                problems.append(f"projection {edge.name!r}: {what}, which does not go with {chosen}")
    return problems


__all__ = ["make_rule"]
