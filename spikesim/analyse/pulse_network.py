"""Leaky integrate-and-fire neurons without a time step: what the event-driven exponents are computed of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikesim.analyse.saltation_kernel import advance
from spikesim.errors import InvalidValueError, UnsupportedError

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PulseNetwork:
    """Leaky integrate-and-fire neurons whose spikes are pulses or exponential currents, without a time step.

    Parameters
    ----------
    weights
        ``[n, n]``, from column to row: by how much a spike moves the target's membrane, or, with ``tau_syn``, its
        current. The diagonal of pulses must be 0. ``[p, n, n]`` for ``p`` kinds of currents.
    tau
        Membrane time constants in seconds: a number, or ``[n]``.
    drive
        Where the membrane would settle: a number, or ``[n]``. Without currents, neurons with a drive up to ``v_th``
        never fire.
    v_th, v_reset
        Threshold, and membrane after a spike: a number, or ``[n]``. A reset that subtracts ``q`` is one to ``v_th - q``
        here, since a spike comes when the threshold is reached exactly.
    tau_syn
        Decay times of the currents in seconds, ``tau dv/dt = drive - v + g``, ``tau_syn dg/dt = -g``: a number,
        ``[n]``, or ``[p, 1]`` or ``[p, n]`` for several kinds. None: pulses.
    t_ref
        Seconds for which the membrane is held after a spike, a number, or ``[n]``. Pulses that arrive then are lost.

    Raises
    ------
    InvalidValueError
        If a value cannot be used; all problems are listed.
    """

    weights: Floats
    tau: Floats
    drive: Floats
    v_th: Floats
    v_reset: Floats
    tau_syn: Floats
    t_ref: Floats

    def __init__(
        self, weights: ArrayLike, tau: ArrayLike, drive: ArrayLike, *, v_th: ArrayLike = 1.0,
        v_reset: ArrayLike = 0.0, tau_syn: ArrayLike | None = None, t_ref: ArrayLike = 0.0,
    ) -> None:  # fmt: skip
        w = np.ascontiguousarray(weights, np.float64)
        n, problems, found = w.shape[-1] if w.ndim else 0, [], {}
        kinds = () if tau_syn is None else (w.shape[0] if w.ndim == 3 else 1,)
        square = w.shape == (n, n) or (tau_syn is not None and w.shape == (*kinds, n, n))
        if not square or w.size == 0 or not np.isfinite(w).all() or (tau_syn is None and np.diagonal(w).any()):
            what = "with a diagonal of 0" if tau_syn is None else "or [p, n, n]"
            problems.append(f"weights must be finite, [n, n], {what}, found the shape {list(w.shape)}")
        values = {"tau": tau, "drive": drive, "v_th": v_th, "v_reset": v_reset, "t_ref": t_ref}
        for name, value in (values | ({} if tau_syn is None else {"tau_syn": tau_syn})).items():
            array = np.asarray(value, np.float64)
            shapes = ((), (n,), (*kinds, 1), (*kinds, n)) if name == "tau_syn" else ((), (n,))
            low = {"tau": 0.0, "tau_syn": 0.0, "t_ref": -1e-300}.get(name, -np.inf)
            if array.shape not in shapes or not np.isfinite(array).all() or (array <= low).any():
                bound = {0.0: " above 0", -np.inf: ""}.get(low, " from 0")
                problems.append(f"{name} must be finite{bound}, 1 or {n} values, found {array.tolist()}")
            elif square:
                shape = (*kinds, n) if name == "tau_syn" else (n,)
                found[name] = np.array(np.broadcast_to(array, shape))
        if "v_th" in found and "v_reset" in found and not (found["v_reset"] < found["v_th"]).all():
            problems.append(f"v_reset must be below v_th = {v_th!r}, found {v_reset!r}")
        if problems:
            raise InvalidValueError("\n".join(problems))
        found["weights"] = w if tau_syn is None else w.reshape(*kinds, n, n)
        for name, checked in ({"tau_syn": np.zeros((0, n))} | found).items():
            object.__setattr__(self, name, checked)

    @property
    def n(self) -> int:
        """Number of neurons."""
        return len(self.tau)

    @property
    def dimension(self) -> int:
        """States that can change a little: a membrane per neuron, and its currents."""
        return self.n * (1 + len(self.tau_syn))

    def start(self, v: ArrayLike) -> Floats:
        """Return the state that begins with membranes ``[n]`` and neither currents nor held neurons."""
        held = self.n if self.t_ref.any() else 0
        return np.concatenate([np.asarray(v, np.float64), np.zeros(self.dimension - self.n + held)])

    def advance(self, state: Floats, q: Floats, duration: float) -> NDArray[np.int64]:
        """Carry a state and tangent columns ``[dimension, k]`` on by some seconds, in place.

        Parameters
        ----------
        state
            Membranes ``[n]``, then each kind of currents ``[n]``, then, if any ``t_ref`` is above 0, for how long each
            neuron is still held, ``[n]``. See :meth:`start`.
        q
            Tangent columns.
        duration
            Seconds.

        Returns
        -------
        int64 ``[n]``
            Spikes of each neuron.

        Raises
        ------
        UnsupportedError
            If a pulse takes a neuron over its threshold: it would fire in the same instant.
        """
        n, d, p = self.n, self.dimension, len(self.tau_syn)
        spikes, rest = np.zeros(n, np.int64), state[d:] if len(state) > d else np.zeros(n)
        none = np.zeros((n, n)), np.zeros((0, n, n))
        pulses, currents = (self.weights, none[1]) if p == 0 else (none[0], self.weights)
        over = advance(
            state[:n], state[n:d].reshape(p, n), rest, q, duration, pulses, currents, self.tau, self.tau_syn,
            self.drive, self.v_th, self.v_reset, self.t_ref, spikes,
        )  # fmt: skip
        if over >= 0:
            raise UnsupportedError(
                [
                    f"a pulse took neuron {over} over its threshold, so it fires in the same instant, which has no "
                    "saltation matrix here; take weaker excitatory weights, exponential currents (tau_syn), or "
                    "`network_spectrum` or `twins`"
                ]
            )
        return spikes
