"""The shipped devices as rows of a table."""

from __future__ import annotations

from spikesim.profile.device import Device, list_devices, load_device
from spikesim.profile.quantity import EnergyPrice, PowerPrice, weakest
from spikesim.profile.schema import EVENT_TERMS


def device_rows() -> list[tuple[str, str, str, str]]:
    """Return name, what it is, price model and evidence of every shipped device."""
    return [device_row(load_device(name)) for name in list_devices()]


def device_row(device: Device) -> tuple[str, str, str, str]:
    """Return name, what it is, price model and (weakest) evidence of a device."""
    prices = _prices(device)
    natures = "/".join(sorted({p.nature for p in prices}))
    evidence = weakest([p.evidence for p in prices])
    model = {"none": "no published price"}.get(device.pricing, device.pricing.replace("_", " "))
    return device.name, f"{device.title}. {device.summary}", model, f"{natures}; {evidence}" if prices else "–"


def _prices(device: Device) -> list[EnergyPrice | PowerPrice]:
    found: list[EnergyPrice | PowerPrice | None] = [device.price(term) for term in EVENT_TERMS]
    found += [device.power.static, device.power.active]
    found += [p for a in device.arithmetic.values() for p in (a.multiply, a.add)]
    found += [m.energy for m in device.memory]
    return [p for p in found if p is not None]
