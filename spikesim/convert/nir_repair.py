"""Known defects of other exporters: recognised by their numbers, repaired, and always said."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikesim.convert.image_rules import array
from spikesim.convert.nir_graph import View
from spikesim.convert.nir_neurons import Clock

SNNTORCH_DT = 1e-4
NORSE_DT = 1e-3


def clock_for(seen: View, dt: float, exact: bool, repair: bool) -> tuple[Clock, list[str]]:
    """Return how to read the time constants of a foreign file, and what was repaired.

    Parameters
    ----------
    seen
        The file.
    dt
        The step that the user wants, in seconds.
    exact
        Decay by ``exp(-dt/tau)``.
    repair
        Whether to look for known defects.

    Notes
    -----
    snnTorch 1.0.0 writes ``tau = 1e-4/(1 - beta)`` and ``r = tau/1e-4`` whatever the user's step is. norse 1.1.0
    writes ``tau dt`` in place of ``tau``, with its ``to_nir``'s own ``dt``, by default 1e-3 (norse#411).
    """
    plain = Clock(dt, exact)
    if not repair:
        return Clock(dt, exact, per_step=False), []
    leaky = [seen.nodes[n] for n in seen.named("LIF", "CubaLIF", "LI", "CubaLI")]
    if leaky and all(_unit_gain(node, SNNTORCH_DT) for node in leaky) and not exact:
        known = "" if np.isclose(dt, SNNTORCH_DT) else f"; the step of the network is {dt:g} s, as asked"
        return Clock(SNNTORCH_DT, unit_gain=True), [
            f"the file looks like snnTorch's, which writes every time constant for a step of {SNNTORCH_DT:g} s: "
            f"beta was restored from that{known}. snnTorch writes 'subtract' and 'none' as hard reset without saying "
            "so: check the model's reset_mechanism"
        ]
    if leaky and all((_tau(node) < dt).all() and (array(node.r) == 1.0).all() for node in leaky):
        return Clock(dt, exact, unit_current=True, tau_unit=1.0 / NORSE_DT), [
            f"the file looks like norse 1.1.0's, which multiplies time constants by its step (norse#411): they were "
            f"divided by {NORSE_DT:g} s. norse writes a soft reset as hard reset, and no v_reset: check the model"
        ]
    ones = [n for n in seen.named("IF", "I") if (array(seen.nodes[n].r) == 1.0).all()]
    if ones and not np.isclose(dt, 1.0):
        names = ", ".join(repr(n) for n in ones)
        return plain, [
            f"{names}: r = 1 was read as 'the input is added as it is', as norse, sinabs and snnTorch mean it; "
            f"by the letter of NIR a step adds {dt:g} times the input (repair=False)"
        ]
    return plain, []


def _tau(node: Any) -> Any:
    return array(node.tau if hasattr(node, "tau") else node.tau_mem)


def _unit_gain(node: Any, dt: float) -> bool:
    tau, r = _tau(node), array(node.r)
    with np.errstate(invalid="ignore"):
        fits = np.isclose(r * dt, tau, rtol=1e-4) | (np.isinf(r) & np.isinf(tau))
    if hasattr(node, "tau_syn"):
        fits = fits & np.isclose(array(node.w_in) * dt, array(node.tau_syn), rtol=1e-4)
    return bool(np.all(fits))
