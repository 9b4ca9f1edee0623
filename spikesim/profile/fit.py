"""Does a network fit on a device? Walls refuse, budgets warn, and what the maker does not publish stays unchecked."""

from __future__ import annotations

from typing import Literal

from spikesim.errors import DeviceLimitError
from spikesim.profile.device import Device
from spikesim.profile.quantity import Evidence, Record
from spikesim.profile.schema import ESSENTIAL_RULES

Verdict = Literal["fits", "does not fit", "fits under assumptions"]

REMEDIES = {
    "cores": "use fewer neurons or prune synapses (an upper bound: no better arrangement is searched)",
    "neurons": "use fewer neurons",
    "synapses": "prune synapses",
    "inputs": "use fewer input elements",
    "hidden_neurons": "use fewer hidden neurons",
    "outputs": "use fewer output neurons",
    "layers": "use fewer populations",
    "neurons_per_core": "split the population",
    "in_axons_per_core": "split the population or lower its fan-in",
    "out_axons_per_core": "split the population or lower its fan-out",
    "synapse_words_per_core": "prune synapses or use fewer weight bits",
    "words_per_axon": "lower the fan-out of one neuron into the core",
    "memory_bytes_per_core": "prune synapses",
    "fan_in": "lower the fan-in to it",
    "target_cores_per_neuron": "lower the fan-out",
    "delay_max": "shorten the delay or pass it on through a relay neuron",
    "weight_bits": "quantise the weights further",
}
LABELS = {
    "in_axons_per_core": "in-axons",
    "out_axons_per_core": "out-axon entries",
    "neurons_per_core": "neurons on one core",
    "synapse_words_per_core": "words of synapse memory",
    "words_per_axon": "words for one axon",
    "memory_bytes_per_core": "bytes of core memory",
    "fan_in": "synapses into one neuron",
    "target_cores_per_neuron": "target cores of one neuron",
    "delay_max": "steps of delay",
    "weight_bits": "weight bits",
    "hidden_neurons": "hidden neurons",
}
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


class Check(Record):
    """One limit and what the network uses of it.

    Parameters
    ----------
    rule
        Name of the limit in the device file.
    subject
        What uses it: a population, a core, a projection.
    used, limit, unit
        The numbers.
    limit_high
        The upper end where the limit is contested; what lies between is a warning.
    kind
        ``wall`` or ``budget``.
    evidence, source
        Of the limit.
    sentence
        The check in words.
    """

    rule: str
    subject: str
    used: float
    limit: float
    limit_high: float
    unit: str
    kind: Literal["wall", "budget"]
    evidence: Evidence
    source: str
    sentence: str

    @property
    def exceeded(self) -> bool:
        """Whether more is used than allowed."""
        return self.used > self.limit

    @property
    def broken(self) -> bool:
        """Whether it is a wall, and even its upper end is exceeded."""
        return self.kind == "wall" and self.used > self.limit_high

    @property
    def share(self) -> float:
        """Used over allowed."""
        return self.used / self.limit if self.limit else float(self.used > 0)


class Fit(Record):
    """Whether a network fits on a device.

    Parameters
    ----------
    device
        Name.
    verdict
        ``"fits"`` only if every rule could be checked and holds.
    cores
        Cores used, None where the device does not say what a core holds.
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


def check(device: Device, rule: str, subject: str, used: float) -> Check | None:
    """Compare a number with a limit, if the device states it."""
    limit = device.limits.get(rule)
    if limit is None:
        return None
    high = limit.value if limit.high is None else limit.high
    allowed = f"{limit.value:g}" + (f" (contested: up to {high:g})" if high > limit.value else "")
    label = LABELS.get(rule, rule.replace("_", " "))
    sentence = f"{subject}: {used:g} {label}, {device.title} allows {allowed} ({limit.source}; {limit.evidence})"
    if used > limit.value:
        sentence += f"; {limit.consequence if limit.kind == 'budget' else REMEDIES[rule]}"
    return Check(
        rule=rule,
        subject=subject,
        used=used,
        limit=limit.value,
        limit_high=high,
        unit=limit.unit,
        kind=limit.kind,
        evidence=limit.evidence,
        source=limit.source,
        sentence=sentence,
    )


def judge(device: Device, cores: int | None, checks: list[Check], assumptions: list[str], notes: list[str]) -> Fit:
    """Sort checks into walls, budgets and headroom, add what is unchecked, and give the verdict."""
    binding = sorted((c for c in checks if c.broken), key=lambda c: -c.share)
    warnings = [c for c in checks if c.exceeded and not c.broken]
    unchecked = _unchecked(device, cores)
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


def _unchecked(device: Device, cores: int | None) -> list[str]:
    if device.kind == "logic":
        return ["all limits: this is a price list, not a chip"]
    unchecked = [
        f"{UNPUBLISHED[rule]}: not stated in the profile of {device.title}"
        for rule in ESSENTIAL_RULES
        if not _stated(device, rule) and rule not in device.no_limit
    ]
    if cores is None and device.limits.cores is not None:
        unchecked.append(f"cores per chip: {device.limits.cores.value:g}, but what one core holds is not stated")
    return unchecked


def _stated(device: Device, rule: str) -> bool:
    alternatives = {
        "synapse_memory": ("synapse_words_per_core", "memory_bytes_per_core", "synapses"),
        "cores": ("cores", "neurons", "hidden_neurons"),
    }
    return any(device.limits.get(name) is not None for name in alternatives.get(rule, (rule,)))
