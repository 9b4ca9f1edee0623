"""Training rules: BPTT, OTTT, DSR, and the ways in which errors travel back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from spikesim.backends.torch.module import SpikingModule
from spikesim.backends.torch.rules.bptt import Bptt
from spikesim.backends.torch.rules.dsr import Dsr
from spikesim.backends.torch.rules.feedback import set_feedback
from spikesim.backends.torch.rules.ottt import Ottt
from spikesim.backends.torch.rules.parts import Watcher, parts
from spikesim.train.rules import Learning, Rule


def make_rule(module: SpikingModule, learning: Learning, record: Sequence[str]) -> Rule:
    """Return the rule that a module learns by, and let its errors travel as was asked for.

    Parameters
    ----------
    module
        The network.
    learning
        What was asked for.
    record
        States that the read-out reads, as ``"population/state"``.

    Raises
    ------
    UnsupportedError
        If the network does not fit the rule; says all reasons.
    """
    for part in (p for wire in module.wires() for p in parts(wire)):
        if learning.errors == "exact":
            part.linear.back = None
        else:
            set_feedback(part, learning.errors, learning.seed)
    if not isinstance(learning.rule, str):
        return learning.rule
    watcher = Watcher(learning.hook, learning.hook_rows, torch.Generator().manual_seed(learning.seed))
    read: dict[str, Any] = dict(name.split("/") for name in record)
    match learning.rule:
        case "ottt":
            return Ottt(module, watcher, read, **dict(learning.settings))
        case "dsr":
            return Dsr(module, watcher, read)
    return Bptt(module, watcher)


__all__ = ["make_rule"]
