"""A synapse model for people: its traces and what its events do, as readable text."""

from __future__ import annotations

from spikesim.equations.show import _number, _text_assignments
from spikesim.synapse import EVENTS, SynapseModel


def synapse_text(model: SynapseModel) -> str:
    """Return a synapse model as readable assignments; ``w'`` is the next value of the weight ``w``.

    Parameters
    ----------
    model
        Any synapse model.

    Examples
    --------
    >>> from spikesim.models.synapses import oja
    >>> print(synapse_text(oja().model))
    oja: Oja's rule on traces
      param eta = 0.001, tau = 0.02 s, w_unit = 1, w_min = 0, w_max = 1
      pre_x decays with tau
      post_y decays with tau
      on_post
        w' = w + eta * (pre_x * w_unit - post_y * w)
      pre_spike
        pre_x' = pre_x + 1
      post_spike
        post_y' = post_y + 1
    """
    params = [f"{n} = {_number(p.default)}{' ' + p.unit if p.unit else ''}" for n, p in model.params.items()]
    lines = [f"{model.name}: {model.doc}" if model.doc else model.name]
    lines += [f"  param {', '.join(params)}"] if params else []
    lines += [f"  {name} decays with {tau}" for name, tau in model.decaying.items()]
    for event in EVENTS:
        if event in model.events:
            expressions = model.events[event]
            labels = {n: n if n == "sent" else f"{n}'" for n in expressions.outputs}
            lines.append(f"  {event}")
            lines += [f"    {name} = {text}" for name, text in _text_assignments(expressions, labels)]
    return "\n".join(lines)


__all__ = ["synapse_text"]
