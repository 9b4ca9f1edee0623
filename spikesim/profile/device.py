"""Device profiles: the schema of ``hw_profiles/*.toml``, and reading them."""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from spikesim.errors import FileFormatError, InvalidValueError, UnknownNameError
from spikesim.profile.quantity import (
    ClockPrice,
    Duration,
    EnergyPrice,
    Limit,
    Number,
    PowerPrice,
    Provenance,
    Record,
    Text,
)

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Pricing = Literal["per_term", "affine", "time_based", "none"]

EVENT_TERMS = (
    "synaptic_event",
    "graded_event",
    "weight_fetch",
    "neuron_active",
    "neuron_idle",
    "spike_out",
    "packet",
    "hop_x",
    "hop_y",
)
"""What is counted: the names under ``[energy]``."""

TERMS = (*EVENT_TERMS, "static")
"""Everything that a per-term device must price, include in another price, or declare unpriced."""


class Limits(Record):
    """Limits that the mapping checks. One that is left out is reported as unchecked, never as passed."""

    cores: Limit | None = None
    neurons: Limit | None = None
    synapses: Limit | None = None
    inputs: Limit | None = None
    hidden_neurons: Limit | None = None
    outputs: Limit | None = None
    layers: Limit | None = None
    neurons_per_core: Limit | None = None
    in_axons_per_core: Limit | None = None
    out_axons_per_core: Limit | None = None
    synapse_words_per_core: Limit | None = None
    words_per_axon: Limit | None = None
    memory_bytes_per_core: Limit | None = None
    fan_in: Limit | None = None
    target_cores_per_neuron: Limit | None = None
    delay_min: Limit | None = None
    delay_max: Limit | None = None
    weight_bits: Limit | None = None

    def get(self, rule: str) -> Limit | None:
        """Return a limit by the name of its rule, or None if the device does not state it."""
        limit: Limit | None = getattr(self, rule)
        return limit


ESSENTIAL_RULES = (
    "cores",
    "neurons_per_core",
    "in_axons_per_core",
    "out_axons_per_core",
    "synapse_memory",
    "fan_in",
    "delay_max",
    "weight_bits",
)
"""Rules that hold for every chip: one that is neither stated nor explained in ``[no_limit]`` is unchecked."""


class Grid(Provenance):
    """Routers of the mesh: ``columns`` x ``rows``, each with ``cores_per_router`` cores."""

    columns: int = Field(ge=1)
    rows: int = Field(ge=1)
    cores_per_router: int = Field(ge=1)


class SynapseMemory(Provenance):
    """How a core packs synapses into words, where the maker's code says so.

    Parameters
    ----------
    word_bits, synapses_per_entry, header_bits
        An entry holds so many synapses at most and a header, and fills whole words.
    weight_bit_codes, index_bit_codes
        Widths that exist.
    """

    word_bits: int = Field(ge=1)
    synapses_per_entry: int = Field(ge=1)
    header_bits: int = Field(ge=0)
    weight_bit_codes: tuple[int, ...]
    index_bit_codes: tuple[int, ...]


class Packing(Provenance):
    """Bytes per item that somebody assumed because the maker does not publish them: a fit is then an assumption."""

    neuron_bytes: float = Field(ge=0)
    synapse_bytes: float = Field(ge=0)
    in_axon_bytes: float = Field(ge=0)
    out_axon_bytes: float = Field(ge=0)


class EventPrices(Record):
    """Energy of one event of each kind. An active update has one price and an idle one another; never both."""

    synaptic_event: EnergyPrice | None = None
    graded_event: EnergyPrice | None = None
    weight_fetch: EnergyPrice | None = None
    neuron_active: EnergyPrice | None = None
    neuron_idle: EnergyPrice | None = None
    spike_out: EnergyPrice | None = None
    packet: EnergyPrice | None = None
    hop_x: EnergyPrice | None = None
    hop_y: EnergyPrice | None = None


class Clock(Record):
    """A clock that runs only as fast as the events need: energy per cycle, cycles per event, highest frequency."""

    energy: ClockPrice
    cycles_per_event: Number
    max_mhz: Number | None = None


class Power(Record):
    """Powers that are paid over time: ``static`` beside events, or ``active`` instead of them (``time_based``)."""

    static: PowerPrice | None = None
    active: PowerPrice | None = None
    clock: Clock | None = None


class Barrier(Duration):
    """Time of the synchronisation at the end of a step, with so many tiles (routers) in use."""

    tiles: int = Field(ge=1)


class Times(Record):
    """Time of one event of each kind on the core that handles it, and how much faster than its ``dt`` a device runs."""

    synaptic_event: Duration | None = None
    neuron_active: Duration | None = None
    neuron_idle: Duration | None = None
    spike_out: Duration | None = None
    message_in: Duration | None = None
    message_out: Duration | None = None
    barrier: tuple[Barrier, ...] = ()
    speed_up: Number | None = None

    @property
    def complete(self) -> bool:
        """Whether the time of a step can be computed."""
        return None not in (self.synaptic_event, self.neuron_active, self.neuron_idle) and bool(self.barrier)


class Arithmetic(Record):
    """Energy of one multiplication and one addition at one precision."""

    bits: int = Field(ge=1)
    multiply: EnergyPrice
    add: EnergyPrice


class MemoryLevel(Record):
    """Energy of one access of ``access_bits`` to a memory of so many bytes (no size: off chip)."""

    name: Text
    access_bits: int = Field(ge=1)
    energy: EnergyPrice
    capacity_bytes: int | None = Field(default=None, ge=1)


class Unpriced(Record):
    """A cost for which no price is published.

    Parameters
    ----------
    reason
        One sentence.
    charged
        Whether a total without it would mean nothing. If so, the bill has no total once the count is above 0;
        otherwise the total is given and the term is listed beside it.
    """

    reason: Text
    charged: bool = False


class Reference(EnergyPrice):
    """A published figure that is printed beside the bill and never added to it."""

    per: Literal["synaptic_event", "inference", "hop", "bit", "learning_update"]


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
            raise ValueError(f"term {twice[0]!r} stands in {' and '.join(homes[twice[0]])}; it can be charged only once")
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
        raise InvalidValueError(f"device file {path}: no such file; give a TOML file or one of: {', '.join(list_devices())}")
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
