"""Learners by name: a table of methods, each a frozen value with plain, documented settings.

>>> ", ".join(sorted(METHODS))
'afec, clnp, ewc, fine-tune, gpm, hlop, hlop-replay, joint, mas, metaplastic, replay, si, single-task'
>>> method("hlop", rows=20).rows
20

``method(name, **settings)`` checks the settings; ``.build(network, **training)`` makes the learner. Settings are
numbers, strings, None, and lists or dictionaries of such, so they can be stored in a file and given on a command line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from spikesim.continual.methods import (
    AfecPenalty,
    ClnpPruning,
    EwcPenalty,
    FineTuning,
    GpmProjection,
    HlopProjection,
    HlopWithReplay,
    JointTraining,
    MasPenalty,
    MetaplasticSynapses,
    Method,
    Replaying,
    SingleTraining,
    SiPenalty,
)
from spikesim.errors import UnknownNameError

METHODS: dict[str, type[Any]] = {
    "fine-tune": FineTuning,
    "joint": JointTraining,
    "single-task": SingleTraining,
    "replay": Replaying,
    "ewc": EwcPenalty,
    "mas": MasPenalty,
    "si": SiPenalty,
    "afec": AfecPenalty,
    "clnp": ClnpPruning,
    "metaplastic": MetaplasticSynapses,
    "gpm": GpmProjection,
    "hlop": HlopProjection,
    "hlop-replay": HlopWithReplay,
}
"""Name to class; a user's own class may be added."""


def method(name: str, **settings: Any) -> Method:
    """Return a way of continual learning by name.

    Parameters
    ----------
    name
        A name in :data:`METHODS`.
    **settings
        Its settings.

    Raises
    ------
    UnknownNameError
        If there is no such method, or it has no such setting.

    Examples
    --------
    >>> method("replay", size=50)
    Replaying(size=50)
    """
    if name not in METHODS:
        raise UnknownNameError("method of continual learning", name, list(METHODS))
    known = [f.name for f in fields(METHODS[name])]
    for setting in settings:
        if setting not in known:
            raise UnknownNameError(f"setting of method {name!r}:", setting, known)
    made: Method = METHODS[name](**settings)
    return made


def methods(told: bool) -> Sequence[str]:
    """Return the names of the methods that a scenario can be learned with.

    Parameters
    ----------
    told
        Whether the scenario tells the task at test time.
    """
    return [name for name, found in METHODS.items() if told or not found.told]
