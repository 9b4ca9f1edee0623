"""Does a network fit on a device? Walls refuse, budgets warn, and what the maker does not publish stays unchecked."""

from __future__ import annotations

from typing import Literal

from spikesim.errors import DeviceLimitError
from spikesim.profile.checks import Check
from spikesim.profile.device import Device
from spikesim.profile.quantity import Record
from spikesim.profile.schema import ESSENTIAL_RULES

__all__ = ["Check", "Fit", "Verdict", "judge", "unchecked_rules"]

Verdict = Literal["fits", "does not fit", "fits under assumptions"]

UNPUBLISHED = {
    "cores": "cores per chip",
    "neurons_per_core": "neurons per core",
    "in_axons_per_core": "in-axons per core",
    "out_axons_per_core": "out-axons per core",
    "synapse_memory": "synapse memory per core",
    "fan_in": "fan-in of a neuron",
    "delay_max": "longest delay",
    "weight_bits": "weight bits",
}


class Fit(Record):
    """Whether a network fits on a device.

    Parameters
    ----------
    device
        Name.
    verdict
        ``"fits"`` only if every rule could be checked and holds.
    cores
        Cores used, None where the device does not say what a core holds. Found by a heuristic: fewer may do.
    least_cores, least_because
        Cores that no placement stays below, and the limit that says so; None where cores are not counted.
    chips
        Chips that so many cores fill, None where cores are not counted. Links between chips are not modelled.
    binding
        Walls that the network breaks.
    warnings
        Budgets that it exceeds, and walls whose height is contested.
    headroom
        Limits that hold, the fullest first.
    unchecked
        Rules that could not be checked, with the reason.
    assumptions
        What had to be assumed.
    notes
        What else to know; does not change the verdict.
    """

    device: str
    verdict: Verdict
    cores: int | None
    least_cores: int | None = None
    least_because: str = ""
    chips: int | None = None
    binding: tuple[Check, ...] = ()
    warnings: tuple[Check, ...] = ()
    headroom: tuple[Check, ...] = ()
    unchecked: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def tightest(self) -> Check | None:
        """The limit that is fullest, broken or not."""
        return max((*self.binding, *self.warnings, *self.headroom), key=lambda c: c.share, default=None)

    def require(self) -> None:
        """Raise :class:`~spikesim.errors.DeviceLimitError` with all broken walls, if there are any."""
        if self.binding:
            raise DeviceLimitError([c.sentence for c in self.binding], f"the network does not fit on {self.device}:")


def judge(
    device: Device,
    cores: int | None,
    checks: list[Check],
    unchecked: list[str],
    assumptions: list[str],
    notes: list[str],
) -> Fit:
    """Sort checks into walls, budgets and headroom, add what is unchecked, and give the verdict."""
    binding = sorted((c for c in checks if c.broken), key=lambda c: -c.share)
    warnings = [c for c in checks if c.exceeded and not c.broken]
    unchecked = [*_unchecked(device, cores), *unchecked]
    verdict: Verdict = "fits"
    if binding:
        verdict = "does not fit"
    elif warnings or unchecked or assumptions:
        verdict = "fits under assumptions"
    return Fit(
        device=device.name,
        verdict=verdict,
        cores=cores,
        binding=tuple(binding),
        warnings=tuple(warnings),
        headroom=tuple(_fullest_of_each_rule([c for c in checks if not c.exceeded])),
        unchecked=tuple(unchecked),
        assumptions=tuple(assumptions),
        notes=tuple(notes),
    )


def _fullest_of_each_rule(checks: list[Check]) -> list[Check]:
    fullest: dict[str, Check] = {}
    for c in sorted(checks, key=lambda c: -c.share):
        fullest.setdefault(c.rule, c)
    return list(fullest.values())


def unchecked_rules(device: Device) -> list[str]:
    """Return the rules that hold for every chip, and that a device neither states nor explains away."""
    if device.kind == "logic":
        return ["all limits: this is a price list, not a chip"]
    return [
        f"{UNPUBLISHED[rule]}: not stated in the profile of {device.title}"
        for rule in ESSENTIAL_RULES
        if not _stated(device, rule) and rule not in device.no_limit
    ]


def _unchecked(device: Device, cores: int | None) -> list[str]:
    unchecked = unchecked_rules(device)
    if cores is None and device.limits.cores is not None and device.layer_cores is None:
        unchecked.append(f"cores per chip: {device.limits.cores.value:g}, but what one core holds is not stated")
    return unchecked


def _stated(device: Device, rule: str) -> bool:
    alternatives = {
        "synapse_memory": ("synapse_words_per_core", "memory_bytes_per_core", "synapses"),
        "cores": ("cores", "neurons", "hidden_neurons"),
    }
    return any(device.limits.get(name) is not None for name in alternatives.get(rule, (rule,)))
