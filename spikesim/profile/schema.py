"""The sections of a device file; :class:`spikesim.profile.device.Device` holds them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

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
    weight_values_per_neuron: Limit | None = None
    events_per_second_per_layer: Limit | None = None
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
    spare_bits
        Bits of the last word of an entry that stay free at least.
    dense_holds_first_index
        Whether a dense entry says where it begins.
    """

    word_bits: int = Field(ge=1)
    synapses_per_entry: int = Field(ge=1)
    header_bits: int = Field(ge=0)
    spare_bits: int = Field(default=0, ge=0)
    dense_holds_first_index: bool = False
    weight_bit_codes: tuple[int, ...]
    index_bit_codes: tuple[int, ...]


class Packing(Provenance):
    """Bytes per item that somebody assumed because the maker does not publish them: a fit is then an assumption."""

    neuron_bytes: float = Field(ge=0)
    synapse_bytes: float = Field(ge=0)
    in_axon_bytes: float = Field(ge=0)
    out_axon_bytes: float = Field(ge=0)


class LayerCores(Provenance):
    """Cores that hold one convolution each, with memories of different sizes.

    Parameters
    ----------
    kernel_words, neuron_words
        Words of each core. A kernel takes `c_in 2^(ceil log2(kx ky) + ceil log2 f_out)` of them, and the neurons
        `f_out 2^(ceil log2 fx + ceil log2 fy)`, for the memories are addressed by powers of two.
    kernel_side, strides, out_features, targets
        Longest side of a kernel, strides that exist, most output channels, most layers that one layer reaches.
    """

    kernel_words: tuple[int, ...]
    neuron_words: tuple[int, ...]
    kernel_side: int = Field(ge=1)
    strides: tuple[int, ...]
    out_features: int = Field(ge=1)
    targets: int = Field(ge=1)

    @model_validator(mode="after")
    def _as_many(self) -> LayerCores:
        if len(self.kernel_words) != len(self.neuron_words):
            found = f"{len(self.kernel_words)} and {len(self.neuron_words)}"
            raise ValueError(f"kernel_words and neuron_words need one number for each core, found {found}")
        return self


class StepTime(Record):
    """What a core that computes in software can do in a step of real time.

    Parameters
    ----------
    step
        The step that it must keep.
    neuron, event
        Time of one neuron update and of one synaptic event; left out where it is not published, and then not counted.
    consequence
        What happens when it takes longer.
    """

    step: Duration
    neuron: Duration | None = None
    event: Duration | None = None
    consequence: Text


class StepCycles(Provenance):
    """Clock cycles of a step of a chip that computes one input, hidden and output layer, one operation after the other.

    ``N_in (input_synapse p_in N_hid + input) + N_hid (recurrent_synapse fan_out p_hid + hidden)
    + N_hid p_hid (readout + readout_synapse N_out) + N_hid (neuron + spike p_hid) + N_out output``, where ``p`` is the
    share of the steps in which an element fires.
    """

    input: float = Field(ge=0)
    input_synapse: float = Field(ge=0)
    hidden: float = Field(ge=0)
    recurrent_synapse: float = Field(ge=0)
    readout: float = Field(ge=0)
    readout_synapse: float = Field(ge=0)
    neuron: float = Field(ge=0)
    spike: float = Field(ge=0)
    output: float = Field(ge=0)
    clock_mhz: Number


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
