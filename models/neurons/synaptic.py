"""Leaky current that feeds a leaky membrane, both per step: snnTorch's ``Synaptic``, operation for operation.

::

    c' = alpha c + (i + bias)
    u = beta v + c' - q R                          reset "subtract"
    u = where(R, v_reset, beta v + c')             reset "to", timing "pause"
    s = 1 if u > v_th else 0                       R is the spike of the step before, derived from the stored v

The current is never reset. snnTorch's ``reset_delay=True`` (its default) is ``timing="next"`` with "subtract" and
``timing="pause"`` with its ``"zero"``, here ``reset="to"``; its ``reset_delay=False`` is ``"again"`` and ``"same"``.
The bias is an input: it passes through the current, unlike that of ``cuba_lif``.

Reference: Eshraghian et al., "Training Spiking Neural Networks Using Lessons From Deep Learning", Proc. IEEE
111:1016, 2023.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from spikesim.models.neurons._reset import Firing, Reset, Timing, firing
from spikesim.neuron import Neuron, NeuronModel, Param, State, neuron


@cache
def _model(fire: Firing) -> NeuronModel:
    def step(c: Any, v: Any, i: Any, p: Any) -> Any:
        c = p.alpha * c + (i + p.bias)
        s, v = fire.step(lambda v: p.beta * v, v, c, p)
        return s, c, v

    return neuron(  # type: ignore[no-any-return]
        step,
        name="synaptic",
        doc="Leaky current and leaky membrane of deep learning: alpha and beta per step, as snnTorch's Synaptic",
        state={"c": State(0.0, "", "synaptic current"), "v": State(0.0, "", "membrane potential")},
        params={
            "alpha": Param(0.8, "", "what a step leaves of the current", low=0.0, high=1.0),
            "beta": Param(0.9, "", "what a step leaves of the membrane", low=0.0, high=1.0),
            "v_th": Param(1.0, "", "threshold"),
            "bias": Param(0.0, "", "constant input per step"),
            **fire.params(unit=""),
        },
        options=fire.options(),
    )


def synaptic(*, reset: Reset = "subtract", timing: Timing = "next", **params: Any) -> Neuron:
    """Return a neuron with a synaptic current as deep-learning libraries write it.

    Parameters
    ----------
    reset, timing
        As for :func:`~spikesim.models.neurons.leaky.leaky`; the defaults are snnTorch's.
    **params
        ``alpha``, ``beta``, ``v_th``, ``bias`` (pure numbers), ``v_reset`` with reset "to", ``q`` with "subtract" (the
        threshold if left out); ``init={"c": ..., "v": ...}``.

    Examples
    --------
    >>> from spikesim.equations.response import respond
    >>> trace = respond(synaptic(alpha=0.5, beta=0.5, v_th=2.0), [1.0, 0.0, 2.0, 0.0])
    >>> trace["v"].tolist(), trace["spike"].tolist()
    ([1.0, 1.0, 2.75, 0.5], [0.0, 0.0, 1.0, 0.0])
    """
    return _model(firing(reset, timing, ">", params))(**params)
