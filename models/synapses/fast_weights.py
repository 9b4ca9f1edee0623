"""Fast weights: a second weight per synapse and sample that plasticity changes while the network answers.

A synapse has a slow weight ``W``, learned across episodes, and a fast one ``w``, which is 0 when an episode begins. The
network's output ``y`` holds, behind the answers, a logit ``m`` that sets the pace of its own plasticity::

    effective weight  W + w                        g = 2 sigmoid(m), or 1 if not modulated
    eta = eta0 / 2 g,   lam = decay0 / 2 g
    hebbian           D = pre post                 gradient   D = d mean((v y)^2) / d w,   v learned
    n = sqrt(sum of D^2 over all synapses),   c = min(1, clip / n)
    w <- (1 - lam) w + eta c alpha D

``alpha`` is one learned rate per synapse; its sign decides whether the network's own loss is descended or ascended.
With spikes ``pre`` and ``post`` are rates over the micro-steps of a trial step. ``"three_factor"`` is the gradient
without its way back in time: ``D = pre (psi(v_post) L_post)`` with the errors ``L`` carried back through the weights of
the same micro-step; it equals ``"gradient"`` with one micro-step.

Such a network is trained as a torch module (:func:`spikesim.train.fast_weights`). What a synapse can do by
itself, event by event, is :func:`fast_weights`: Hebbian growth on traces that a modulator gates, and decay.

Reference: Duan, Jia, Li, Ma and Pehlevan, "Hebbian and Gradient-based Plasticity Enables Robust Memory and Rapid
Learning in RNNs", ICLR 2023, arXiv 2302.03235, and the authors' code. The spiking form is this library's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import log
from typing import Any

from spikesim.errors import InvalidValueError, UnknownNameError, UnsupportedError
from spikesim.neuron import Param
from spikesim.synapse import Plasticity, SynapseModel, synapse

RULES = ("none", "hebbian", "gradient", "three_factor")
ALPHAS = ("random", "plus", "minus", "fixed")


@dataclass(frozen=True)
class FastWeights:
    """How the fast weights of a network change.

    Parameters
    ----------
    rule
        ``"none"`` (slow weights alone), ``"hebbian"``, ``"gradient"`` or ``"three_factor"``.
    eta0, decay0
        Largest rate of change and of decay per trial step; without modulation half of it is used.
    clip
        Largest norm of a sample's change ``D`` over all synapses.
    alpha
        Rates of the synapses: learned, from ``U(-1, 1)`` (``"random"``), from 1 (``"plus"``) or from -1 (``"minus"``);
        or 1 for ever (``"fixed"``).
    modulated
        Whether the last output sets the pace.
    micro_steps
        Time steps of the neurons per trial step, in which the input is held.

    Raises
    ------
    UnknownNameError, InvalidValueError
        If a name or a number is not allowed.
    """

    rule: str = "hebbian"
    eta0: float = 0.2
    decay0: float = 0.2
    clip: float = 1.0
    alpha: str = "random"
    modulated: bool = True
    micro_steps: int = 4

    def __post_init__(self) -> None:
        for kind, name, known in (("rule", self.rule, RULES), ("alpha", self.alpha, ALPHAS)):
            if name not in known:
                raise UnknownNameError(f"{kind} of fast weights:", name, known)
        problems = [
            f"{name} of fast weights must be {allowed}, found {value!r}"
            for name, value, allowed, fits in (
                ("eta0", self.eta0, "a number of at least 0", _number(self.eta0) and 0 <= self.eta0 < float("inf")),
                ("decay0", self.decay0, "a number from 0 to 1", _number(self.decay0) and 0 <= self.decay0 <= 1),
                ("clip", self.clip, "above 0 (inf: none)", _number(self.clip) and self.clip > 0),
                ("micro_steps", self.micro_steps, "a whole number from 1", _whole(self.micro_steps)),
            )
            if not fits
        ]
        if problems:
            raise InvalidValueError("\n".join(problems))

    def online(self, modulator: str = "", *, dt: float = 1e-3, tau: float = 20e-3, w_max: float = 1.0) -> Plasticity:
        """Return the rule as events of a synapse, for the engines that simulate plasticity.

        With one micro-step and ``tau=0`` it *is* the Hebbian rule of :func:`spikesim.train.fast_weights`: every spike
        and fast weight of a spiking population is the same. With more micro-steps pairs are counted by traces instead.

        Parameters
        ----------
        modulator
            Source or population whose output is ``g``, summed over a trial step: it gates growth and decay. Empty if
            ``modulated`` is False.
        dt
            Time step of the network, seconds.
        tau
            Time within which spikes count as together, seconds; 0: only those of the same step.
        w_max
            Largest magnitude of slow and fast weight together.

        Raises
        ------
        UnsupportedError
            If the rule needs what a synapse does not know: all reasons.
        InvalidValueError
            If a modulator is missing or too many.
        """
        problems = self.beyond_a_synapse()
        if problems:
            raise UnsupportedError(problems, "fast weights cannot run event by event:")
        self.check_modulator(modulator)
        # rates over S micro-steps are counts / S, hence a pair of spikes counts 1 / S^2
        eta = self.eta0 / 2 * (-1.0 if self.alpha == "minus" else 1.0) / self.micro_steps**2
        how: dict[str, Any] = {"tau": tau, "w_min": -w_max, "w_max": w_max}
        if modulator:  # it brings the decay as well, so nothing else may make the weight fade
            return fast_weights(modulator, eta=eta, decay=self.decay0 / 2, tau_f=NEVER * dt, **how)
        # what a trial step adds fades from the next one on, a state at once
        kept = (1.0 - self.decay0 / 2) ** (1.0 / self.micro_steps)
        return fast_weights(eta=eta / kept, tau_f=-dt / log(kept) if kept < 1.0 else NEVER * dt, **how)

    def beyond_a_synapse(self) -> list[str]:
        """Return what of the rule a synapse cannot compute from its own spikes and one modulator."""
        problems = []
        if self.rule in ("gradient", "three_factor"):
            problems.append(
                f"rule {self.rule!r} needs an error per target neuron, and a synapse has one modulator for all; "
                "use rule='hebbian'"
            )
        if self.rule == "none":
            problems.append("rule 'none' changes nothing; leave plasticity out")
        if self.alpha == "random":
            problems.append("alpha 'random' is a rate per synapse, and a rule has one; use alpha='plus' or 'minus'")
        if self.clip != float("inf"):
            problems.append("clip needs the norm over all synapses, and a synapse knows itself alone; use clip=inf")
        return problems

    def check_modulator(self, modulator: str) -> None:
        """Raise if a modulator is missing or too many."""
        if bool(modulator) != self.modulated:
            found, remedy = (repr(modulator), "pass modulated=True") if modulator else ("none", "name the modulator")
            raise InvalidValueError(f"modulated={self.modulated} does not fit the modulator, found {found}; {remedy}")


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


NEVER = 1e7  # steps; the longest time constant that engines take, nearly

_PARAMS = {
    "eta": Param(0.01, "", "growth of the fast weight per pair of spikes, in the unit of the port"),
    "decay": Param(0.0, "", "part of the fast weight that a modulator of 1 takes away", low=0.0),
    "tau": Param(20e-3, "s", "time within which spikes count as together", low=0.0),
    "tau_f": Param(100e-3, "s", "time constant of the fast weight", low=0.0),
    "w_min": Param(-1.0, "", "smallest weight"),
    "w_max": Param(1.0, "", "largest weight"),
}


@cache
def _model(modulated: bool) -> SynapseModel:
    """Return the events; with a modulator pairs of spikes wait in ``e`` until it says how much of them counts."""

    def pair_pre(w: Any, f: Any, pre: Any, post: Any, p: Any) -> Any:
        return w, f + p.eta * post.y

    def pair_post(w: Any, f: Any, pre: Any, post: Any, p: Any) -> Any:
        return w, f + p.eta * pre.x

    def wait_pre(w: Any, f: Any, e: Any, pre: Any, post: Any, p: Any) -> Any:
        return w, f, e + post.y

    def wait_post(w: Any, f: Any, e: Any, pre: Any, post: Any, p: Any) -> Any:
        return w, f, e + pre.x

    def reward(w: Any, f: Any, e: Any, reward: Any, p: Any) -> Any:
        return w, f + reward * (p.eta * e - p.decay * f), e

    return synapse(
        "fast_weights_modulated" if modulated else "fast_weights",
        params=_PARAMS if modulated else {k: v for k, v in _PARAMS.items() if k != "decay"},
        pre={"x": "tau"},
        post={"y": "tau"},
        state={"f": "tau_f", "e": "tau"} if modulated else {"f": "tau_f"},
        on_pre=wait_pre if modulated else pair_pre,
        on_post=wait_post if modulated else pair_post,
        on_reward=reward if modulated else None,
        send=(lambda w, f, e, pre, p: w + f) if modulated else (lambda w, f, pre, p: w + f),
        doc="Hebbian fast weight beside the slow one",
    )


def fast_weights(modulator: str = "", **params: Any) -> Plasticity:
    """Return a Hebbian fast weight beside the slow one, event by event.

    ::

        x, y (tau) grow by 1 at every arrival and at every post spike;  f (tau_f) is the fast weight
        at an arrival       f += eta y,  and w + f is delivered
        at a post spike     f += eta x
        with a modulator    e (tau) grows by y and x instead, and at a reward m   f += m (eta e - decay f)

    Parameters
    ----------
    modulator
        Source or population whose output gates growth and ``decay``; none by default.
    **params
        ``eta``, ``tau`` (s), ``tau_f`` (s); with a modulator ``decay`` (0); ``w_min`` (-1) and ``w_max`` (1), which
        also limit what is sent.

    Examples
    --------
    >>> fast_weights(eta=0.1).model.states
    {'f': 'tau_f'}
    >>> FastWeights(alpha="plus", clip=float("inf"), modulated=False).online(w_max=2.0).value("w_max")
    2.0
    """
    return Plasticity(_model(bool(modulator)), params, modulator)


__all__ = ["ALPHAS", "RULES", "FastWeights", "fast_weights"]
