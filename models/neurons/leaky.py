"""Leaky integrate-and-fire neuron with its leak given per step: snnTorch's ``Leaky``, operation for operation.

::

    u = beta v + (i + bias) - q R          reset "subtract"
    u = beta where(R, v_reset, v) + (i + bias)     reset "to"
    s = 1 if u > v_th else 0               R is the spike of the step before, derived from the stored v

``timing="next"`` is snnTorch's ``reset_delay=True`` (its default); ``"to"`` is its ``"zero"``. Its
``reset_delay=False`` is ``timing="same"`` with "to" and ``timing="again"`` with "subtract": there a membrane that is
still above the threshold after its reset is tested a quantum lower in the next step. ``timing="same"`` with "subtract"
is norse's: every spike subtracts once. ``timing="pause"`` is ``"zero"`` of snnTorch's ``RLeaky`` and ``Lapicque``: the
reset takes the next step, whose input is lost.

All but "pause" fire alike with "to". With "subtract" a delayed reset takes ``beta q`` off the next membrane and one
without delay ``q``, so ``timing="next"`` fires as ``timing="same"`` with a quantum of ``q / beta``.

Reference: Eshraghian et al., "Training Spiking Neural Networks Using Lessons From Deep Learning", Proc. IEEE
111:1016, 2023.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from spikesim.models.neurons._reset import Firing, Reset, Timing, firing
from spikesim.neuron import Neuron, NeuronModel, Param, neuron


@cache
def _model(fire: Firing) -> NeuronModel:
    def step(v: Any, i: Any, p: Any) -> Any:
        return fire.step(lambda v: p.beta * v, v, i + p.bias, p)

    return neuron(  # type: ignore[no-any-return]
        step,
        name="leaky",
        doc="Leaky integrate-and-fire neuron of deep learning: beta per step, as snnTorch's Leaky",
        params={
            "beta": Param(0.9, "", "what a step leaves of the membrane", low=0.0, high=1.0),
            "v_th": Param(1.0, "", "threshold"),
            "bias": Param(0.0, "", "constant input per step"),
            **fire.params(unit=""),
        },
        options=fire.options(),
    )


def leaky(*, reset: Reset = "subtract", timing: Timing = "next", **params: Any) -> Neuron:
    """Return a leaky neuron as deep-learning libraries write it.

    Parameters
    ----------
    reset, timing
        As for :func:`~spikesim.models.neurons.lif.lif`, besides ``"again"`` and ``"pause"``; the defaults are
        snnTorch's.
    **params
        ``beta``, ``v_th``, ``bias`` (pure numbers), ``v_reset`` with reset "to", ``q`` with "subtract" (the threshold
        if left out); ``init={"v": ...}``.

    Examples
    --------
    >>> from spikesim.equations.response import respond
    >>> respond(leaky(beta=0.5), [1.5, 1.5, 1.5])["v"].tolist()
    [1.5, 1.25, 1.125]
    >>> respond(leaky(beta=0.5, timing="same"), [1.5, 1.5, 1.5])["v"].tolist()
    [0.5, 0.75, 0.875]
    """
    return _model(firing(reset, timing, ">", params))(**params)
