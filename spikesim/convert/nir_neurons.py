"""Membranes as NIR nodes and back: where time constants meet the time step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from spikesim.convert.membrane import NEVER, Membrane, Vector
from spikesim.models.neurons import cuba_lif, integrate_and_fire, leaky, li
from spikesim.neuron import Neuron

SPIKING = ("LIF", "CubaLIF", "IF", "Threshold")
SILENT = ("LI", "I", "CubaLI")
NEURONS = (*SPIKING, *SILENT)
ROUNDED = 1e-6  # a time constant of one step that was stored as float32 may be so much shorter


# ------------------------------------------------------------------------------------------------------------ writing
def nir_kind(membrane: Membrane) -> tuple[str, list[str]]:
    """Name the NIR node for a membrane, without the Threshold that follows one that no spike resets; or say why not."""
    problems = []
    full = membrane.keep_v >= 1.0
    if full.any() and not full.all():
        problems.append(
            "some of its neurons leak and others do not, NIR has one kind of node for a population; split it"
        )
    if membrane.keep_u is not None:
        if full.any():
            problems.append("a current that feeds a membrane without leak has no NIR node")
        if (membrane.keep_u >= 1.0).any():
            problems.append("a current that never decays has no NIR node")
        return ("CubaLI" if membrane.threshold is None or not membrane.resets else "CubaLIF"), problems
    if membrane.threshold is not None and not membrane.resets and not (membrane.keep_v.any() or membrane.bias.any()):
        return "Threshold", problems
    if membrane.threshold is None or not membrane.resets:
        return ("I" if full.all() else "LI"), problems
    return ("IF" if full.all() else "LIF"), problems


def nir_parameters(membrane: Membrane, kind: str, dt: float, own_tau: bool, bias: Vector) -> dict[str, Vector]:
    """Return the parameters of the NIR node: an Euler step of ``dt`` gives the membrane's step with input gain 1.

    Parameters
    ----------
    membrane
        What to write.
    kind
        From :func:`nir_kind`.
    dt
        Time step in seconds.
    own_tau
        Write the true time constant where the neuron has one, for readers that integrate exactly.
    bias
        The part of the bias that no weight layer carries.
    """
    keep = membrane.keep_v
    ones = np.ones_like(keep)
    if kind == "Threshold":
        return {"threshold": np.asarray(membrane.threshold)}
    fire = {} if kind in SILENT else {"v_threshold": np.asarray(membrane.threshold), "v_reset": membrane.v_reset}
    if kind in ("IF", "I"):
        return {"r": ones / dt, **fire}
    lost = 1.0 - keep
    common = {"r": ones / lost, "v_leak": membrane.rest + bias / lost, **fire}
    tau = membrane.tau if own_tau and membrane.tau is not None else dt / lost
    if kind in ("LIF", "LI"):
        return {"tau": tau, **common}
    lost_u = 1.0 - np.asarray(membrane.keep_u)
    return {"tau_mem": tau, "tau_syn": dt / lost_u, "w_in": ones / lost_u, **common}


# ------------------------------------------------------------------------------------------------------------ reading
@dataclass(frozen=True)
class Clock:
    """How NIR's continuous time becomes steps.

    Parameters
    ----------
    dt
        Seconds.
    exact
        Decay by ``exp(-dt/tau)`` instead of ``1 - dt/tau`` (Euler).
    per_step
        Integrators with ``r = 1`` add their input as it is, as most tools mean it.
    unit_gain
        The input acts with gain 1 whatever rounding left in ``r dt / tau``.
    unit_current
        A spike adds its weight to the synaptic current, whatever ``w_in dt / tau_syn`` says.
    tau_unit
        Factor that makes seconds of the time constants in the file.
    """

    dt: float
    exact: bool = False
    per_step: bool = True
    unit_gain: bool = False
    unit_current: bool = False
    tau_unit: float = 1.0

    def decay(self, tau: Vector) -> tuple[Vector, Vector]:
        """Return the fraction kept in a step and the fraction of a constant input that is taken up."""
        if self.exact:
            keep = np.exp(-self.dt / (tau * self.tau_unit))
            return keep, 1.0 - keep
        lost = self.dt / (tau * self.tau_unit)
        kept = 1.0 - lost
        return np.where((kept < 0.0) & (kept > -ROUNDED), 0.0, kept), lost


def parameter(node: Any, name: str, n: int) -> Vector:
    """Return a parameter as float64 ``[n]``; one value stands for all neurons."""
    value = getattr(node, name, None)
    if value is None:
        return np.ones(n) if name == "w_in" else np.zeros(n)
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    array = np.asarray(value, np.float64).reshape(-1)
    return np.broadcast_to(array, (n,)).copy() if array.size == 1 else array


def membrane_from(node: Any, n: int, clock: Clock) -> Membrane:
    """Return the membrane that a NIR node describes; ``gain`` is what a unit of its input adds."""
    kind = type(node).__name__

    def get(name: str) -> Vector:
        return parameter(node, name, n)

    zero = np.zeros(n)
    threshold = None if kind in SILENT else get("threshold" if kind == "Threshold" else "v_threshold")
    if kind == "Threshold":
        return Membrane(zero, zero, zero, threshold, zero, gain=np.ones(n))
    if kind in ("IF", "I"):
        r = get("r")
        gain = np.ones(n) if clock.unit_gain or (clock.per_step and (r == 1.0).all()) else r * clock.dt
        return Membrane(np.ones(n), zero, zero, threshold, get("v_reset"), gain=gain)
    keep, taken = clock.decay(get("tau" if kind in ("LIF", "LI") else "tau_mem"))
    keep_u, gain = None, get("r") * taken
    if kind in ("CubaLIF", "CubaLI"):
        keep_u, taken_u = clock.decay(get("tau_syn"))
        gain = gain if clock.unit_current else gain * get("w_in") * taken_u
    if clock.unit_gain:
        if np.asarray(node.r).dtype == np.float32:
            keep, keep_u = _float32(keep), None if keep_u is None else _float32(keep_u)
        gain = np.ones(n)
    gain = np.where(np.abs(gain - 1.0) < 1e-9, 1.0, gain)  # what rounding left of r dt / tau
    return Membrane(keep, get("v_leak"), zero, threshold, get("v_reset"), keep_u=keep_u, gain=gain)


def memoryless(n: int) -> Membrane:
    """Return a membrane that holds the input of the last step and never fires."""
    zero = np.zeros(n)
    return Membrane(zero, zero, zero, None, zero, gain=np.ones(n))


def _float32(values: Vector) -> Vector:
    """Undo the rounding of a factor that was a float32 before it became a time constant."""
    return values.astype(np.float32).astype(np.float64)


def neuron_from(membrane: Membrane, kind: str, bias: Vector) -> Neuron:
    """Return the spikesim neuron with the same step.

    Parameters
    ----------
    membrane, kind
        From :func:`membrane_from`, and the node's class.
    bias
        What weight layers add in every step, in units of the membrane.
    """
    total = bias + (1.0 - membrane.keep_v) * membrane.rest
    if membrane.keep_u is not None:
        values = {"du": 1.0 - membrane.keep_u, "dv": 1.0 - membrane.keep_v}
        if membrane.threshold is None:
            return cuba_lif(reset="none", v_th=NEVER, **_plain(values, bias=total))
        if kind == "Threshold":
            return cuba_lif(reset="none", **_plain(values, v_th=membrane.threshold, bias=total))
        return cuba_lif(**_plain(values, v_th=membrane.threshold, v_reset=membrane.v_reset, bias=total))
    if membrane.threshold is None:
        return li(**_plain({"beta": membrane.keep_v}, bias=total))
    fire = {"v_th": membrane.threshold, "bias": total}
    if kind == "IF":
        return integrate_and_fire(**_plain(fire, v_reset=membrane.v_reset))
    if kind == "Threshold":
        return leaky(reset="none", timing="same", **_plain(fire, beta=membrane.keep_v))
    return leaky(reset="to", timing="same", **_plain(fire, beta=membrane.keep_v, v_reset=membrane.v_reset))


def _plain(values: dict[str, Vector], **more: Vector) -> dict[str, Any]:
    """Return numbers for arrays whose entries are all equal."""
    return {k: float(v[0]) if (v == v[0]).all() else v for k, v in {**values, **more}.items()}
