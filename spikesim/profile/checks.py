"""One limit of a device and what a network uses of it."""

from __future__ import annotations

from typing import Literal

from spikesim.profile.device import Device
from spikesim.profile.quantity import Evidence, Provenance, Record

REMEDIES = {
    "cores": "use fewer neurons or prune synapses",
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
    "configurations_per_core": "use fewer different time constants in a population (`spikesim quantise` bins them)",
    "thresholds_per_core": "use fewer different thresholds in a population",
    "weight_values_per_neuron": "use fewer different weights",
    "kernel_words": "use fewer input or output channels, or a smaller kernel",
    "neuron_words": "use fewer channels or a smaller image",
    "kernel_side": "use a smaller kernel, or a pool before a dense layer",
    "out_features": "use fewer output channels",
    "target_layers": "let a population reach fewer others",
    "stride": "use another stride",
    "layer_cores": "use fewer populations, or smaller ones",
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
    "configurations_per_core": "sets of decays on one core",
    "thresholds_per_core": "thresholds on one core",
    "weight_values_per_neuron": "different weights into one neuron",
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


def check(device: Device, rule: str, subject: str, used: float) -> Check | None:
    """Compare a number with a limit, if the device states it."""
    limit = device.limit(rule)
    if limit is None:
        return None
    high = limit.value if limit.high is None else limit.high
    allowed = _plain(limit.value) + (f" (contested: up to {_plain(high)})" if high > limit.value else "")
    label = LABELS.get(rule, rule.replace("_", " "))
    sentence = f"{subject}: {_plain(used)} {label}, {device.title} allows {allowed} ({limit.source}; {limit.evidence})"
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


def wall(device: Device, rule: str, subject: str, used: float, limit: float, what: str, source: Provenance) -> Check:
    """Compare a number with a wall that does not stand among the device's limits."""
    sentence = f"{subject}: {_plain(used)} {what}, {device.title} allows {_plain(limit)} "
    sentence += f"({source.source}; {source.evidence})"
    if used > limit:
        sentence += f"; {REMEDIES[rule]}"
    return _check(rule, subject, used, limit, "1", "wall", source, sentence)


def budget(
    device: Device,
    rule: str,
    subject: str,
    used: float,
    limit: float,
    unit: str,
    what: str,
    source: Provenance,
    consequence: str,
) -> Check:
    """Compare a number with a budget that does not stand among the device's limits."""
    sentence = f"{subject}: {_plain(used)} {what}, {device.title} allows {_plain(limit)} "
    sentence += f"({source.source}; {source.evidence})"
    if used > limit:
        sentence += f"; {consequence}"
    return _check(rule, subject, used, limit, unit, "budget", source, sentence)


def _check(
    rule: str,
    subject: str,
    used: float,
    limit: float,
    unit: str,
    kind: Literal["wall", "budget"],
    source: Provenance,
    sentence: str,
) -> Check:
    return Check(
        rule=rule,
        subject=subject,
        used=used,
        limit=limit,
        limit_high=limit,
        unit=unit,
        kind=kind,
        evidence=source.evidence,
        source=source.source,
        sentence=sentence,
    )


def _plain(number: float) -> str:
    """Return a whole number with all its digits, any other with four."""
    return f"{number:.0f}" if float(number).is_integer() else f"{number:.4g}"
