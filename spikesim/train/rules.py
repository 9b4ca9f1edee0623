"""Training rules by name, and what a user's own rule or hook looks like.

A rule says what the gradient of a weight is made of: presynaptic rows ``x`` and an error per row,
``gradient = error^T x``. How errors travel from layer to layer is a choice of its own. See the guide on training rules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from spikesim.errors import InvalidValueError, UnknownNameError

if TYPE_CHECKING:
    import torch

RULES = {
    "bptt": "backpropagation through time: the exact backward pass, derived from the equations",
    "ottt": "online training through time: decaying presynaptic traces, memory that does not grow with the steps",
    "dsr": "differentiation on spike representation: gradients of weighted rates, without surrogates",
}
ERRORS = {
    "exact": "back through the weights themselves",
    "feedback": "back through fixed random weights (feedback alignment)",
    "sign": "back through the signs of the weights (sign-symmetric feedback)",
}


class Hook(Protocol):
    """Looks at the gradient of a learned projection before the optimiser uses it, and may replace it.

    Called for every batch (of ``"ottt"``: for every step) with the projection's name, its presynaptic rows ``[m, n]``
    and its gradient ``[n_post, n]``, which is ``error^T rows``. The rows are spikes of every step and sample
    (``"bptt"``), traces (``"ottt"``) or weighted averages over time (``"dsr"``); those of a convolution are patches
    (``n = channels * kernel height * kernel width``). An input that is the same at every step comes once. Sparse
    projections have a gradient ``[synapses]``. A chain with several matrices is several projections, ``"a->b/0"``, ...

    Where the error of each row is at hand, which is so for dense projections outside a cycle, ``rows.error`` is it,
    ``[m, n_post]``; else None. If ``rows`` are only some, ``rows.whole`` are all, whose errors these are; else None.

    Returns the gradient to use, of the same shape; None keeps it.
    """

    def __call__(self, projection: str, rows: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor | None:
        """Return the gradient to use, or None."""
        ...


class StepHook(Protocol):
    """Stands around every step of the optimiser, whatever rule the gradients come from.

    Adds to the gradients (a penalty), looks at what a step did (a path integral), takes part of it back (a mask), or
    does something else instead. Clipping is part of the step. What a hook keeps is not in a checkpoint.
    """

    def __call__(self, parameters: Mapping[str, torch.nn.Parameter], step: Callable[[], None]) -> None:
        """Call ``step``, or not.

        Parameters
        ----------
        parameters
            What is learned, by name (:meth:`spikesim.backends.torch.module.SpikingModule.named`; of a user's module its
            own names), with gradients in ``.grad``, which may be None.
        step
            Takes the optimiser's step.
        """
        ...


class Rule(Protocol):
    """Learns from one batch. A function of the same arguments is a user's own rule."""

    def __call__(self, task: Any, batch: Any, update: Callable[[], None]) -> tuple[Any, float]:
        """Leave gradients in ``.grad`` of the parameters of ``task.module``, and call ``update``.

        Parameters
        ----------
        task
            The module and its purpose. ``task.over_time(batch.x)`` are samples as ``[steps, samples, *shape]``;
            ``task.judge(values, rasters, batch)`` gives loss and score of the last population's spikes or membranes
            and the other populations' spikes, ``[steps, samples, n]``; ``task(batch)`` does both and runs the module
            in between.
        batch
            ``batch.x`` are samples, ``batch.y`` labels.
        update
            Clips the gradients, takes the optimiser's step and clears the gradients.

        Returns
        -------
        loss, score
            Loss, and number of right answers, as ``task(batch)`` returns them; nothing is differentiated any more.
        """
        ...


def backpropagate(task: Any, batch: Any, update: Callable[[], None]) -> tuple[Any, float]:
    """Learn from a batch by the module's own gradients: the rule ``"bptt"`` where nobody looks on."""
    loss, score = task(batch)
    loss.backward()
    update()
    return loss.detach(), score


@dataclass(frozen=True)
class Learning:
    """How a network learns: a rule, the way of its errors, and who looks on.

    Parameters
    ----------
    rule
        A name in :data:`RULES`, or a function like :class:`Rule`.
    settings
        Settings of the rule: ``{"every_step": True}`` lets ``"ottt"`` update the weights after every step.
    errors
        A name in :data:`ERRORS`.
    hook
        See :class:`Hook`.
    hook_rows
        Rows that it is shown at most, drawn at random; None for all.
    seed
        Of fixed feedback weights and of the rows that are drawn.
    """

    rule: str | Rule = "bptt"
    settings: tuple[tuple[str, Any], ...] = ()
    errors: str = "exact"
    hook: Hook | None = None
    hook_rows: int | None = None
    seed: int = 0

    @property
    def plain(self) -> bool:
        """Whether this is what a module does by itself."""
        return self.rule == "bptt" and self.errors == "exact" and self.hook is None

    def __post_init__(self) -> None:
        for kind, name, known in (("rule", self.rule, RULES), ("way of errors:", self.errors, ERRORS)):
            if isinstance(name, str) and name not in known:
                raise UnknownNameError(kind, name, list(known))
        problems = []
        if not isinstance(self.rule, str) and self.hook is not None:
            problems.append("a rule of one's own calls no hook; leave hook out, or name a rule")
        allowed = ["every_step"] if self.rule == "ottt" else []
        problems += [
            f"rule {self.rule!r} has no setting {name!r}; {'known: every_step' if allowed else 'leave it out'}"
            for name, _ in self.settings
            if name not in allowed
        ]
        if self.hook_rows is not None and self.hook_rows < 1:
            problems.append(f"hook_rows must be at least 1, found {self.hook_rows!r}")
        if problems:
            raise InvalidValueError("\n".join(problems))
