"""The ranges of Loihi's registers, and one check that reports every violation.

Lava checks almost none of them: du = 5000 makes its current alternate in sign without a word.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from spikesim.errors import DeviceLimitError
from spikesim.fixedpoint.network import IntNetwork, IntPopulation, IntProjection
from spikesim.fixedpoint.weights import SIGN_MODES, WEIGHT_BITS

MAX_STATE = 2**23


class Limit(NamedTuple):
    """An inclusive range and where it comes from."""

    low: int
    high: int
    source: str


_LIF = "lava-nc 0.10.0, PyLifModelBitAcc"
POPULATION_LIMITS = {
    "du": Limit(0, 4095, f"12 bit, {_LIF}"),
    "dv": Limit(0, 4096, f"12 bit plus full decay, {_LIF} and lava-dl netx"),
    "vth": Limit(0, 131071, f"17 bit, {_LIF}"),
    "bias_mant": Limit(-4096, 4095, f"13 bit, {_LIF}"),
    "bias_exp": Limit(0, 7, f"3 bit, {_LIF}"),
    "quantum": Limit(0, MAX_STATE - 1, "24 bit state; a soft reset exists in simulation only"),
    "u0": Limit(-MAX_STATE + 1, MAX_STATE, f"24 bit, {_LIF}"),
    "v0": Limit(-MAX_STATE + 1, MAX_STATE - 1, f"24 bit, {_LIF}"),
    "reset_interval": Limit(0, 2**31 - 1, "0 means never"),
    "refractory": Limit(1, 64, "6 bit, Davies 2018; brian2-loihi and nengo-loihi count alike"),
}
PROJECTION_LIMITS = {
    "weights": Limit(-256, 255, "8 bit and sign mode, lava-nc 0.10.0, clip_weights"),
    "delay": Limit(0, 62, "lava-dl 0.6.0, netx; 6 bit"),
    "weight_exp": Limit(-8, 7, "4 bit, Davies 2018"),
    "num_weight_bits": Limit(0, WEIGHT_BITS, "lava-nc 0.10.0, truncate_weights"),
}
NEGATIVE_BIAS_EXP = Limit(-31, 7, "CPU model only, lava-nc 0.10.0")


def find_violations(network: IntNetwork) -> list[str]:
    """List every value that does not fit into its register.

    Parameters
    ----------
    network
        The network to check.

    Returns
    -------
    list of str
        One sentence for each parameter out of range; empty if there is none.
    """
    found: list[str] = []
    for population in network.populations:
        found += _population(population, network.allow_negative_bias_exp)
    for projection in network.projections:
        found += _projection(projection)
    return found


def check_network(network: IntNetwork) -> None:
    """Raise one `DeviceLimitError` that lists everything `find_violations` found."""
    found = find_violations(network)
    if found:
        raise DeviceLimitError(found, "This network does not fit into Loihi's registers:")


def _population(population: IntPopulation, negative_bias_exp: bool) -> Iterator[str]:
    for name, limit in POPULATION_LIMITS.items():
        if name == "bias_exp" and negative_bias_exp:
            limit = NEGATIVE_BIAS_EXP
        yield from _outside(f"population {population.name!r}", population, name, limit)


def _projection(projection: IntProjection) -> Iterator[str]:
    owner = f"projection {projection.name!r}"
    for name, limit in PROJECTION_LIMITS.items():
        yield from _outside(owner, projection, name, limit)
    if projection.sign_mode not in SIGN_MODES:
        yield f"{owner}: sign_mode is {projection.sign_mode!r}; use one of {', '.join(SIGN_MODES)}"


def _outside(owner: str, part: object, name: str, limit: Limit) -> Iterator[str]:
    value = getattr(part, name)
    values = np.asarray(0 if value is None else value)
    bad = np.flatnonzero((values < limit.low) | (values > limit.high))
    if bad.size:
        flat = values.reshape(-1)
        where = "" if flat.size == 1 else f" at {bad.size} of {flat.size} places, first at index {bad[0]}"
        yield f"{owner}: {name} is {flat[bad[0]]}{where}; allowed is {limit.low}..{limit.high} ({limit.source})"
