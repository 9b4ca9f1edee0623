"""Soft-reset integrate-and-fire neuron (SRIF), the neuron of the Membrane Potential Rectifier.

::

    u = lam v + i + bias
    s = 1 if u > th else 0
    v = u - q s

A spike subtracts the quantum ``q`` instead of emptying the membrane, so what was above the threshold is kept. With
``lam = 1`` nothing is ever lost: the sum of the inputs equals ``q`` times the number of spikes plus what is left in
``v``, hence the error of the rate over T steps is exactly ``|v| / (T q)``.

The rectifier (MPR) pushes ``u`` towards 0 and 1 before the firing test while training. It keeps every value on its
side of the threshold, so spikes never change: it is the surrogate ``"mpr"``, to be chosen where the network is trained.

Reference: Guo et al., "Reducing Information Loss for Spiking Neural Networks", ECCV 2022, arXiv 2307.04356, and the
authors' code ``yfguo91/Re-Loss``.
"""

from __future__ import annotations

from typing import Any

from spikesim.equations.primitives import spike
from spikesim.errors import UnknownNameError
from spikesim.neuron import Neuron, NeuronModel, Param, neuron

PRESETS = {
    "code": {"lam": 1.0, "th": 0.5, "q": 1.0},  # the released code: a rounding (mid-tread) quantiser
    "figure": {"lam": 1.0, "th": 0.5, "q": 0.5},  # solved from the paper's figure: a floor quantiser
}


def _step(v: Any, i: Any, p: Any) -> Any:
    u = p.lam * v + (i + p.bias)
    s = spike(u - p.th)
    return s, u - p.q * s


_MODEL: NeuronModel = neuron(
    _step,
    name="lif_soft",
    doc="Soft-reset integrate-and-fire neuron (SRIF): a spike subtracts q",
    params={
        "lam": Param(1.0, "", "what a step leaves of the membrane; 1 does not leak", low=0.0, high=1.0),
        "th": Param(0.5, "", "threshold"),
        "q": Param(1.0, "", "what a spike subtracts"),
        "bias": Param(0.0, "", "constant input per step"),
    },
    options={"reset": "subtract", "timing": "same", "threshold": ">", "quantum": "q"},
)


def lif_soft(preset: str = "code", **params: Any) -> Neuron:
    """Return a soft-reset neuron.

    Parameters
    ----------
    preset
        ``"code"`` (``lam = 1, th = 0.5, q = 1``; use it for training) or ``"figure"`` (``lam = 1, th = q = 0.5``).
    **params
        Values in place of the preset's: ``lam``, ``th``, ``q``, ``bias`` (pure numbers); ``init={"v": ...}``.

    Examples
    --------
    >>> from spikesim.equations.response import respond
    >>> x = [0.35, 0.35, 0.35, 0.0, 0.35]
    >>> respond(lif_soft("figure"), x)["spike"].tolist()
    [0.0, 1.0, 1.0, 0.0, 0.0]
    >>> respond(lif_soft("code"), x)["spike"].tolist()
    [0.0, 1.0, 0.0, 0.0, 0.0]
    """
    if preset not in PRESETS:
        raise UnknownNameError("preset of lif_soft:", preset, list(PRESETS))
    return _MODEL(**{**PRESETS[preset], **params})
