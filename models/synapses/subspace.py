"""Oja's subspace rule with signed bursts: the synapses between a layer and its lateral circuit in HLOP.

Lateral neurons with weights ``H`` answer a row of activity ``x`` with ``y = H x``, feed ``y H`` back, and the sources
are left with the residual ``r = x - y H``. Hebbian learning of the response with the residual is Oja's subspace rule::

    d = sum over rows of y r / rows,    m = momentum m + (1 - momentum) clip(d),    w += eta m

Responses and residuals have a sign, spikes do not. So they are fired one sign after the other, and a modulator that
reaches all synapses says when which burst is over (three factors). A synapse holds

- ``c``: spikes of the lateral neuron in the present burst,
- ``s``: its response so far, a signed count,
- ``e``: the sum of ``s`` over the source's spikes in the present burst,
- ``d``: the signed sum of ``e`` over the rows, ``m``: the momentum.

| modulator | a burst is over | then |
|---|---|---|
| 1, 2 | of positive, of negative responses | ``s += c`` or ``s -= c``; ``c = 0`` |
| 3, 4 | of positive, of negative residuals | ``d += e`` or ``d -= e``; ``e = 0`` |
| 5 | a row | ``s = 0`` |
| 6 | a batch | ``w += eta m`` with ``d = scale d``; ``d = 0`` |

The synapse from source to lateral neuron and the one back see the same two neurons, so both learn the same change:
weights need not be carried from one to the other. Counts are whole numbers and are rounded to them, so decay cannot
touch them; the momentum decays with the longest time constant that there is, by less than a thousandth in ten thousand
steps.

References: Xiao, Meng, Zhang, He and Lin, "Hebbian Learning based Orthogonal Projection for Continual Learning of
Spiking Neural Networks", ICLR 2024, arXiv 2402.11984 (signed bursts of lateral neurons, momentum, clip); Oja,
*International Journal of Neural Systems* 1:61 (1989). The order of bursts and the modulator are this library's.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from spikesim.equations.primitives import clip, floor, where
from spikesim.errors import UnknownNameError
from spikesim.neuron import Param
from spikesim.synapse import Plasticity, SynapseModel, synapse

SIDES = ("to_lateral", "from_lateral")
_PARAMS = {
    "eta": Param(0.01, "", "learning rate"),
    "momentum": Param(0.9, "", "what a batch leaves of the momentum", low=0.0, high=1.0),
    "clip": Param(10.0, "", "largest change of a batch before the momentum, of either sign", low=0.0),
    "scale": Param(1.0, "", "size of one response times one residual spike, over the rows of a batch", low=0.0),
    "tau": Param(1e4, "s", "time constant of everything that is held", low=0.0),
    "w_min": Param(-2.0, "", "smallest weight"),
    "w_max": Param(2.0, "", "largest weight"),
}


def _whole(x: Any) -> Any:
    """Return a count as it was before it decayed."""
    return floor(x + 0.5)


@cache
def _model(side: str) -> SynapseModel:
    def responded(w: Any, c: Any, s: Any, e: Any, d: Any, m: Any, pre: Any, post: Any, p: Any) -> Any:
        return w, _whole(c) + 1.0, s, e, d, m

    def remained(w: Any, c: Any, s: Any, e: Any, d: Any, m: Any, pre: Any, post: Any, p: Any) -> Any:
        return w, c, s, _whole(e) + _whole(s), d, m

    def on_reward(w: Any, c: Any, s: Any, e: Any, d: Any, m: Any, reward: Any, p: Any) -> Any:
        c, s, e, d = _whole(c), _whole(s), _whole(e), _whole(d)
        # the grammar knows no equality: codes are whole numbers, told apart by order
        response = where(reward < 1.5, s + c, where(reward < 2.5, s - c, where(reward < 4.5, s, 0.0)))
        total = where(reward < 2.5, d, where(reward < 3.5, d + e, where(reward < 4.5, d - e, d)))
        moved = p.momentum * m + (1.0 - p.momentum) * clip(p.scale * d, -p.clip, p.clip)
        learns = reward > 5.5
        return (
            where(learns, w + p.eta * moved, w),
            where(reward < 2.5, 0.0, c),
            response,
            where(reward < 2.5, e, where(reward < 4.5, 0.0, e)),
            where(learns, 0.0, total),
            where(learns, moved, m),
        )

    first, second = (remained, responded) if side == "to_lateral" else (responded, remained)
    return synapse(
        f"subspace_{side}",
        params=_PARAMS,
        state=dict.fromkeys(("c", "s", "e", "d", "m"), "tau"),
        on_pre=first,
        on_post=second,
        on_reward=on_reward,
        doc="Oja's subspace rule with signed bursts",
    )


def subspace(modulator: str, side: str = "to_lateral", **params: Any) -> Plasticity:
    """Return Oja's subspace rule.

    Parameters
    ----------
    modulator
        Name of the source that says which burst is over.
    side
        ``"to_lateral"`` for synapses from sources to lateral neurons, ``"from_lateral"`` for those back.
    **params
        ``eta``, ``momentum``, ``clip``, ``scale``, ``tau`` (s); ``w_min`` (-2) and ``w_max`` (2).

    Raises
    ------
    UnknownNameError
        If there is no such side.

    Examples
    --------
    >>> subspace("teacher", eta=0.05).value("eta")
    0.05
    """
    if side not in SIDES:
        raise UnknownNameError("side of a lateral circuit:", side, SIDES)
    return Plasticity(_model(side), params, modulator)
