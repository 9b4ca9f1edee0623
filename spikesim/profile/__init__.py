"""Counts, mapping on a device, energy, report."""

from __future__ import annotations

from typing import Any

from spikesim.profile.activity import Activity
from spikesim.profile.baseline import Baselines, BreakEven, baselines, equivalent_bits
from spikesim.profile.bill import Bill, Missing, Term
from spikesim.profile.checks import Check
from spikesim.profile.compare import Difference, ProfileComparison, compare_profiles
from spikesim.profile.device import Device, list_devices, load_device
from spikesim.profile.energy import price
from spikesim.profile.fit import Fit
from spikesim.profile.layers import LayerProfile, ProjectionProfile, Stat
from spikesim.profile.listing import device_rows
from spikesim.profile.mapping import Mapping, place
from spikesim.profile.neurobench import NeuroBench
from spikesim.profile.quantity import Energy
from spikesim.profile.report import profile
from spikesim.profile.traffic import LayerTraffic
from spikesim.profile.value import Origin, Profile, Series
from spikesim.recording import Recording


def profile_module(module: Any, x: Any, devices: Any = "all", **options: Any) -> Profile:
    """Profile a torch module by its own run; see :func:`spikesim.profile.module_torch.profile_module`."""
    from spikesim.profile import module_torch

    return module_torch.profile_module(module, x, devices, **options)


def recording_of_rasters(network: Any, rasters: Any, origin: str = "given spikes") -> Recording:
    """Count given spikes; see :func:`spikesim.profile.rasters.recording_of_rasters`."""
    from spikesim.profile import rasters as given

    return given.recording_of_rasters(network, rasters, origin)


__all__ = [
    "Activity",
    "Baselines",
    "Bill",
    "BreakEven",
    "Check",
    "Device",
    "Difference",
    "Energy",
    "Fit",
    "LayerProfile",
    "LayerTraffic",
    "Mapping",
    "Missing",
    "NeuroBench",
    "Origin",
    "Profile",
    "ProfileComparison",
    "ProjectionProfile",
    "Series",
    "Stat",
    "Term",
    "baselines",
    "compare_profiles",
    "device_rows",
    "equivalent_bits",
    "list_devices",
    "load_device",
    "place",
    "price",
    "profile",
    "profile_module",
    "recording_of_rasters",
]
