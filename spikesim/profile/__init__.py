"""Counts, mapping on a device, energy, report."""

from spikesim.profile.activity import Activity
from spikesim.profile.baseline import Baselines, BreakEven, baselines, equivalent_bits
from spikesim.profile.bill import Bill, Missing, Term
from spikesim.profile.device import Device, list_devices, load_device
from spikesim.profile.energy import price
from spikesim.profile.fit import Check, Fit
from spikesim.profile.layers import LayerProfile, ProjectionProfile, Stat
from spikesim.profile.listing import device_rows
from spikesim.profile.mapping import Mapping, place
from spikesim.profile.quantity import Energy
from spikesim.profile.report import Profile, profile

__all__ = [
    "Activity",
    "Baselines",
    "Bill",
    "BreakEven",
    "Check",
    "Device",
    "Energy",
    "Fit",
    "LayerProfile",
    "Mapping",
    "Missing",
    "Profile",
    "ProjectionProfile",
    "Stat",
    "Term",
    "baselines",
    "device_rows",
    "equivalent_bits",
    "list_devices",
    "load_device",
    "place",
    "price",
    "profile",
]
