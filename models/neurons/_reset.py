"""How neurons fire, reset and rest: the choices that several models share, written in one place.

Every choice is made before a ``step`` is traced, so the compiled equations hold no trace of the others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from spikesim.equations.primitives import maximum, spike, where
from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.neuron import Param, State

Reset = Literal["subtract", "to", "none"]
Timing = Literal["same", "next", "again", "pause"]
Threshold = Literal[">", ">="]
Arrival = Literal["end", "start"]

T_REF = Param(0.0, "s", "absolute refractory time, rounded to whole steps", low=0.0)
COUNTER = State(0.0, "", "steps left until the neuron may fire again", integer=True)


def check(kind: str, value: str, choices: Any) -> None:
    """Raise if an option has a value that does not exist."""
    if value not in get_args(choices):
        raise UnknownNameError(kind, value, get_args(choices))


@dataclass(frozen=True)
class Firing:
    """How a membrane fires and what a spike does to it.

    Parameters
    ----------
    reset
        ``"subtract"``: ``v - q`` (soft reset, keeps what was above the threshold); ``"to"``: ``v_reset`` (hard reset);
        ``"none"``: nothing.
    timing
        ``"same"``: the reset belongs to the step of the spike. ``"next"``: the stored ``v`` is that before the reset,
        which takes place within the next update, as in snnTorch; the spike is derived again from the stored ``v``.
        Two more are snnTorch's own. ``"again"``, with "subtract": as "same", but a membrane that is still above the
        threshold after its reset is tested a quantum lower in the next step (its ``reset_delay=False``). ``"pause"``,
        with "to": the reset takes the whole next step, whose input is lost (its ``"zero"`` but for ``Leaky``).
    threshold
        ``">"``: fire above the threshold only; ``">="``: also exactly at it, as NEST.
    quantum
        The parameter that ``"subtract"`` takes away: ``"v_th"`` (the threshold itself) or ``"q"``.
    """

    reset: Reset = "to"
    timing: Timing = "same"
    threshold: Threshold = ">"
    quantum: str = "v_th"

    def __post_init__(self) -> None:
        check("kind of reset", self.reset, Reset)
        check("reset timing", self.timing, Timing)
        check("kind of threshold", self.threshold, Threshold)
        needed = {"again": "subtract", "pause": "to"}.get(self.timing, self.reset)
        if self.reset != needed:
            raise InvalidValueError(f"timing={self.timing!r} needs reset={needed!r}, found reset={self.reset!r}")

    def spike(self, v: Any, v_th: Any) -> Any:
        """Return 1 where ``v`` reaches the threshold, else 0."""
        # v >= v_th is "not v < v_th": the only non-smooth primitive is a strict comparison
        return spike(v - v_th) if self.threshold == ">" else 1.0 - spike(v_th - v)

    def after(self, s: Any, v: Any, p: Any) -> Any:
        """Return the membrane after a spike ``s``."""
        if self.reset == "subtract":
            return v - getattr(p, self.quantum) * s
        # a spike as condition lets the gradient through, and the other branch cannot leave rounding behind
        return where(s, p.v_reset, v) if self.reset == "to" else v

    def step(self, leak: Callable[[Any], Any], v: Any, x: Any, p: Any) -> tuple[Any, Any]:
        """Leak, add the input ``x``, fire and reset; return the spike and the next ``v``."""
        if self.timing == "same":
            u = leak(v) + x
            s = self.spike(u, p.v_th)
            return s, self.after(s, u, p)
        fired = self.spike(v, p.v_th)
        if self.reset == "subtract":
            u = leak(v) + x - getattr(p, self.quantum) * fired
        elif self.timing == "pause":
            u = self.after(fired, leak(v) + x, p)
        else:
            u = leak(self.after(fired, v, p)) + x
        s = self.spike(u, p.v_th)
        return s, u - getattr(p, self.quantum) * (s - fired) if self.timing == "again" else u

    def params(self, v_reset: float = 0.0, q: float = 1.0, unit: str = "V") -> dict[str, Param]:
        """Return the parameters that this choice needs."""
        if self.reset == "to":
            return {"v_reset": Param(v_reset, unit, "membrane after a spike")}
        if self.reset == "subtract" and self.quantum == "q":
            return {"q": Param(q, unit, "what a spike subtracts")}
        return {}

    def options(self) -> dict[str, str]:
        """Return the choices for people and exporters."""
        chosen: dict[str, str] = {"reset": self.reset, "timing": self.timing, "threshold": self.threshold}
        return {**chosen, "quantum": self.quantum} if self.reset == "subtract" else chosen


def firing(reset: Reset, timing: Timing, threshold: Threshold, params: dict[str, Any]) -> Firing:
    """Return the choices of a model function; giving ``q`` makes it a parameter of its own, apart from ``v_th``."""
    if "t_ref" in params and timing != "same":
        raise InvalidValueError("a refractory time needs timing='same': the held membrane is the one after the reset")
    return Firing(reset, timing, threshold, "q" if "q" in params else "v_th")


def held(r: Any, v: Any, u: Any) -> Any:
    """Return ``v`` while the counter ``r`` runs (input of these steps is lost), else ``u``."""
    return where(r > 0.0, v, u)


def count(r: Any, s: Any, n_ref: Any) -> Any:
    """Return the next value of a refractory counter."""
    return where(s > 0.0, n_ref, maximum(r - 1.0, 0.0))
