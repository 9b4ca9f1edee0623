"""The chip's parameters of a population, one value per neuron: what its equations say, before any rounding."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.graph import Node
from spikesim.quantise.chip_form import TOLERANCE, ChipForm, chip_form

Floats = NDArray[np.float64]
NUMBERS = ("current_keep", "voltage_keep", "gain", "bias", "threshold", "quantum", "rest", "coupling")


@dataclass(frozen=True, eq=False)
class Forms:
    """A population as the chip sees it; every number float64 ``[n]``, see :class:`ChipForm` for their meaning.

    Parameters
    ----------
    current, voltage, reset, refractory
        As in :class:`ChipForm`, the same for all neurons.
    current_keep, voltage_keep, gain, bias, threshold, quantum, rest, coupling
        One value per neuron.
    """

    current: str | None
    voltage: str
    reset: str
    current_keep: Floats
    voltage_keep: Floats
    gain: Floats
    bias: Floats
    threshold: Floats
    quantum: Floats
    rest: Floats
    coupling: Floats
    refractory: int = 1

    def with_one_rest(self) -> Forms:
        """Return forms in which all voltages are counted from one level; where they rest becomes a bias.

        With a hard reset the level is given: there the voltage is reset to.
        """
        if self.reset == "hard" or not differ(self.rest):
            return self
        level = self.threshold + self.rest
        rest = 0.0 if (level > 0.0).all() else float(self.rest.min())
        bias = self.bias + (self.rest - rest) * (1.0 - self.voltage_keep)
        return replace(self, threshold=level - rest, bias=bias, rest=np.full_like(self.rest, rest))

    def with_one_threshold(self) -> Forms:
        """Return forms of the same spikes in which all neurons have one threshold: gains and biases take the factor.

        A neuron's voltage may be counted in any unit; thresholds that differ are a matter of units.
        """
        factor = self.threshold[:1] / self.threshold
        scaled = {name: getattr(self, name) * factor for name in ("gain", "bias", "quantum", "coupling")}
        return replace(self, threshold=self.threshold * factor, **scaled)


def forms_of(node: Node) -> tuple[Forms | None, list[str]]:
    """Match a population's neuron with the chip's, neuron by neuron where parameters differ.

    Parameters
    ----------
    node
        A lowered population.

    Returns
    -------
    forms
        The chip's parameters, or None.
    reasons
        Why it does not match, one sentence each.
    """
    form, reasons = chip_form(node)
    if form is not None:
        return _forms([form], np.zeros(node.n, np.int64)), []
    varying = [name for name, v in node.constants.items() if np.ndim(v) and len(np.unique(v)) > 1]
    if not varying:
        return None, reasons
    rows = np.stack([np.asarray(node.constants[name], np.float64) for name in varying], axis=1)
    kinds, kind_of = np.unique(rows, axis=0, return_inverse=True)
    found = []
    for kind in kinds:
        one = {**node.constants, **{name: float(value) for name, value in zip(varying, kind, strict=True)}}
        form, reasons = chip_form(replace(node, constants=one))
        if form is None:
            return None, reasons
        found.append(form)
    for what, values in (
        ("kind of reset", {f.reset for f in found}),
        ("refractory time", {f.refractory for f in found}),
    ):
        if len(values) > 1:
            several = " and ".join(sorted(map(str, values)))
            return None, [
                f"population {node.name!r} (neuron {node.model.name!r}): the chip has one {what} per population, found "
                f"{several}; split it into populations"
            ]
    return _forms(found, kind_of.reshape(-1)).with_one_rest(), []


def _forms(found: list[ChipForm], kind_of: NDArray[np.int64]) -> Forms:
    first = found[0]
    numbers: dict[str, Any] = {}
    for name in NUMBERS:
        if len(found) == 1:
            numbers[name] = np.broadcast_to(np.asarray(getattr(first, name), np.float64), kind_of.shape)
        else:
            numbers[name] = np.array([float(np.ravel(getattr(f, name))[0]) for f in found])[kind_of]
    return Forms(first.current, first.voltage, first.reset, refractory=first.refractory, **numbers)


def one_if_same(values: Any) -> Any:
    """Return one number where all are equal, else the array.

    >>> one_if_same(np.array([3, 3])), one_if_same(np.array([3.0, 4.0])).tolist()
    (3, [3.0, 4.0])
    """
    array = np.asarray(values)
    if array.ndim == 0 or not len(array):
        return array.item() if array.ndim == 0 else array
    return array[0].item() if (array == array[0]).all() else array


def differ(values: Floats) -> bool:
    """Tell whether numbers differ by more than rounding."""
    return bool(np.ptp(values) > TOLERANCE * max(1.0, float(np.abs(values).max())))
