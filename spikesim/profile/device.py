"""Device profiles: the schema of ``hw_profiles/*.toml``, and reading them."""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from spikesim.errors import FileFormatError, InvalidValueError, UnknownNameError
from spikesim.profile.quantity import EnergyPrice, Limit, Number, Record, Text
from spikesim.profile.schema import (
    ESSENTIAL_RULES,
    EVENT_TERMS,
    TERMS,
    Arithmetic,
    EventPrices,
    Grid,
    LayerCores,
    Limits,
    MemoryLevel,
    Packing,
    Power,
    Pricing,
    Reference,
    StepCycles,
    StepTime,
    SynapseMemory,
    Times,
    Unpriced,
)

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


class Device(Record):
    """One device: what it holds and what its events cost.

    Parameters
    ----------
    format
        Version of this schema.
    name, title, process, summary
        Short name (that of the file), name for people, technology node, one or two sentences.
    kind
        ``chip``, or ``logic``: a price list of arithmetic and memory, without limits.
    pricing
        ``per_term``: events times prices. ``affine``: static power plus events. ``time_based``: power times time.
        ``none``: counts and fit only.
    limits, formats
        What the mapping checks; what it does not (number formats: the quantiser and the back ends do).
    no_limit
        Rule to the reason why the device has no limit of that kind.
    grid, synapse_memory, packing, layer_cores
        The mesh; how a core stores synapses; bytes that somebody assumed; cores for one convolution each.
    synapse_memory_upper
        A second published formula; what exceeds the memory by it alone is a warning.
    step_time, step_cycles
        What a step of real time allows.
    included
        Term to the term whose price already holds it.
    unpriced
        Term to the reason why it has no price.
    events_per_spike
        On a full crossbar, synaptic events of every spike, whatever is connected.
    references
        Published figures to compare with.
    """

    format: Literal[1]
    name: Text
    title: Text
    process: str = ""
    kind: Literal["chip", "logic"] = "chip"
    pricing: Pricing
    summary: Text
    notes: tuple[str, ...] = ()
    limits: Limits = Limits()
    formats: dict[str, Limit] = Field(default_factory=dict)
    no_limit: dict[str, Text] = Field(default_factory=dict)
    grid: Grid | None = None
    synapse_memory: SynapseMemory | None = None
    synapse_memory_upper: SynapseMemory | None = None
    layer_cores: LayerCores | None = None
    step_time: StepTime | None = None
    step_cycles: StepCycles | None = None
    packing: Packing | None = None
    energy: EventPrices = EventPrices()
    power: Power = Power()
    time: Times = Times()
    arithmetic: dict[str, Arithmetic] = Field(default_factory=dict)
    memory: tuple[MemoryLevel, ...] = ()
    events_per_spike: Number | None = None
    included: dict[str, str] = Field(default_factory=dict)
    unpriced: dict[str, Unpriced] = Field(default_factory=dict)
    references: dict[str, Reference] = Field(default_factory=dict)

    @field_validator("included")
    @classmethod
    def _known_terms(cls, included: dict[str, str]) -> dict[str, str]:
        bad = [term for term in included if term not in TERMS]
        if bad:
            raise ValueError(f"unknown term {bad[0]!r}; known: {', '.join(TERMS)}")
        return included

    @field_validator("no_limit")
    @classmethod
    def _known_rules(cls, no_limit: dict[str, str]) -> dict[str, str]:
        bad = [rule for rule in no_limit if rule not in ESSENTIAL_RULES]
        if bad:
            raise ValueError(f"unknown rule {bad[0]!r}; known: {', '.join(ESSENTIAL_RULES)}")
        return no_limit

    @model_validator(mode="after")
    def _accounts_for_every_term(self) -> Device:
        homes = {term: self._homes(term) for term in TERMS}
        twice = [t for t, h in homes.items() if len(h) > 1]
        if twice:
            raise ValueError(f"term {twice[0]!r} stands in {' and '.join(homes[twice[0]])}; charge it once")
        missing = [t for t, h in homes.items() if not h]
        if self.pricing == "per_term" and self.kind == "chip" and missing:
            raise ValueError(
                f"a per_term device must price, include or declare unpriced every term; missing: {', '.join(missing)}"
            )
        return self

    @model_validator(mode="after")
    def _adds_nothing_to_an_all_in_figure(self) -> Device:
        prices = {t: p for t in EVENT_TERMS if (p := self.price(t)) is not None}
        whole = [t for t, p in prices.items() if p.scope == "all_in"]
        others = [t for t in prices if t not in whole[:1]] + ["static"] * (self.power.static is not None)
        if whole and others:
            raise ValueError(
                f"the price of {whole[0]!r} is all_in: it already holds every other cost, so {', '.join(others)} "
                "cannot be charged beside it; move one of them to [references]"
            )
        return self

    @model_validator(mode="after")
    def _has_what_its_pricing_needs(self) -> Device:
        if self.pricing == "affine" and (self.power.static is None or self.energy.synaptic_event is None):
            raise ValueError("an affine device needs [power.static] and [energy.synaptic_event]")
        if self.pricing == "time_based" and self.power.active is None:
            raise ValueError("a time_based device needs [power.active]")
        if self.kind == "logic" and not (self.arithmetic and self.memory):
            raise ValueError("a device of kind 'logic' needs [arithmetic] and [[memory]]")
        if self.pricing == "none" and any(self.price(t) is not None for t in EVENT_TERMS):
            raise ValueError("a device with pricing 'none' must not have [energy]")
        return self

    def price(self, term: str) -> EnergyPrice | None:
        """Return the price of one event of a kind, or None."""
        price: EnergyPrice | None = getattr(self.energy, term, None)
        return price

    def limit(self, rule: str) -> Limit | None:
        """Return a limit by the name of its rule, or None if the device does not state it.

        What a core shares among its neurons stands with the number formats, where the quantiser looks for it.
        """
        shared = {
            "configurations_per_core": "compartment_configurations",
            "thresholds_per_core": "threshold_configurations",
        }
        return self.formats.get(shared[rule]) if rule in shared else self.limits.get(rule)

    def _homes(self, term: str) -> list[str]:
        priced = self.power.static is not None if term == "static" else self.price(term) is not None
        found = {"a price": priced, "[included]": term in self.included, "[unpriced]": term in self.unpriced}
        return [home for home, here in found.items() if here]


def list_devices() -> list[str]:
    """Return the names of the devices that come with spikesim."""
    folder = files("spikesim.hw_profiles")
    return sorted(entry.name[: -len(".toml")] for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_device(name: str | Path) -> Device:
    """Read a device profile.

    Parameters
    ----------
    name
        One of :func:`list_devices`, or the path of a TOML file of the same form.

    Raises
    ------
    UnknownNameError
        No such device.
    InvalidValueError
        No such file.
    FileFormatError
        The file is not TOML, or a field is missing, unknown or out of range; all problems are listed.

    Examples
    --------
    >>> load_device("loihi1").energy.synaptic_event.value
    23.6
    """
    if isinstance(name, str) and not name.endswith(".toml"):
        known = list_devices()
        if name not in known:
            raise UnknownNameError("device", name, known)
        text = (files("spikesim.hw_profiles") / f"{name}.toml").read_text("utf-8")
        return parse_device(text, f"hw_profiles/{name}.toml")
    path = Path(name)
    if not path.is_file():
        names = ", ".join(list_devices())
        raise InvalidValueError(f"device file {path}: no such file; give a TOML file or one of: {names}")
    try:
        return parse_device(path.read_text("utf-8"), str(path))
    except UnicodeDecodeError as error:
        raise FileFormatError(f"device file {path}: not UTF-8 text ({error.reason} at byte {error.start})") from None


def parse_device(text: str, where: str = "device profile") -> Device:
    """Make a device from TOML text; ``where`` names it in errors."""
    try:
        data: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FileFormatError(f"{where}: not valid TOML: {error}") from None
    try:
        return Device.model_validate(data)
    except ValidationError as error:
        problems = "\n".join(f"- {_sentence(e)}" for e in error.errors(include_url=False))
        raise FileFormatError(f"{where} is not a device profile of spikesim:\n{problems}") from None


def _sentence(problem: Any) -> str:
    field = ".".join(str(part) for part in problem["loc"]) or "the file"
    found = "" if problem["type"] in {"missing", "value_error", "extra_forbidden"} else f", found {problem['input']!r}"
    message = {"missing": "is missing", "extra_forbidden": "is not a known field; remove it or correct its name"}.get(
        problem["type"], problem["msg"].removeprefix("Value error, ")
    )
    return f"{field}: {message}{found}"
