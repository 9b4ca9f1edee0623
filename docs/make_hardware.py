"""Write ``docs/reference/hardware.md``: every device and every number of ``hw_profiles``, from the files themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spikesim.profile.device import Device, list_devices, load_device
from spikesim.profile.fit import unchecked_rules
from spikesim.profile.listing import device_row
from spikesim.profile.quantity import Provenance, Quantity, Record

PAGE = Path(__file__).parent / "reference/hardware.md"
OPENING = """<!-- Made by docs/make_hardware.py from hw_profiles/*.toml; edit those, not this page. -->

# Devices

What `spikesim` knows of each device, number by number, with what the number is, how it became known, and where it
stands. [How to read an energy figure honestly](../guides/energy.md) explains the words; [Mapping](../guides/mapping.md)
says what the limits mean and how to add a device of your own. `spikesim list hardware` prints the first table.

A **wall** cannot be passed: the mapping refuses. A **budget** can, with the consequence that stands beside it. What is
**unchecked** the maker does not publish, or it is not at hand; it never counts as passed.
"""


def pages() -> dict[Path, str]:
    """Return the text of the page."""
    devices = [load_device(name) for name in list_devices()]
    rows = [
        f"| [`{d.name}`](#{d.name}) | {d.title} | {d.process or '–'} | {device_row(d)[2]} | {device_row(d)[3]} |"
        for d in devices
    ]
    head = "| device | | process | price model | prices; weakest evidence |\n|---|---|---|---|---|\n"
    return {PAGE: OPENING + "\n" + head + "\n".join(rows) + "\n\n" + "\n\n".join(map(section, devices)) + "\n"}


def section(device: Device) -> str:
    """Return the section of one device."""
    parts = [f"## {device.name}", f"**{device.title}.** {device.summary}", *device.notes]
    rows = [_row(place, number) for place, number in numbers(device)]
    if rows:
        head = "| what | value | what it is | known from | source | |\n|---|---|---|---|---|---|\n"
        parts.append(head + "\n".join(rows))
    rules = unchecked_rules(device)
    if rules:
        parts.append(f"Unchecked: {', '.join(rule.partition(': not stated')[0] for rule in rules)}.")
    if device.no_limit:
        parts.append(
            "No limit of its own: " + "; ".join(f"{_words(k)} ({v})" for k, v in device.no_limit.items()) + "."
        )
    if device.included:
        parts.append(
            "Held by another price: "
            + ", ".join(f"{_words(k)} by {_words(v)}" for k, v in device.included.items())
            + "."
        )
    if device.unpriced:
        reasons: dict[str, list[str]] = {}
        for term, entry in device.unpriced.items():
            reasons.setdefault(entry.reason, []).append(_words(term))
        parts.append(
            "Without a price: " + "; ".join(f"{', '.join(terms)} ({why})" for why, terms in reasons.items()) + "."
        )
    return "\n\n".join(parts)


def numbers(value: Any, place: str = "") -> Iterator[tuple[str, Provenance]]:
    """Yield every number with its provenance, and every formula, with its place in the file."""
    if isinstance(value, Provenance):
        yield place, value
    if isinstance(value, Record):
        names = type(value).model_fields
        below = {name: getattr(value, name) for name in names if name not in ("references", "notes")}
        if isinstance(value, Device):
            below["references"] = value.references
    elif isinstance(value, dict):
        below = value
    elif isinstance(value, tuple):
        below = {str(getattr(item, "name", k)): item for k, item in enumerate(value)}
    else:
        return
    for name, item in below.items():
        yield from numbers(item, f"{place}.{name}".strip("."))


def _row(place: str, number: Provenance) -> str:
    scope = getattr(number, "scope", "")
    kind = getattr(number, "kind", "")
    beyond = getattr(number, "consequence", "")
    conditions = ", ".join(
        str(v) if k == "note" else f"{k.replace('_', ' ')} {v}" for k, v in number.conditions.items()
    )
    remarks = "; ".join(part for part in (kind, beyond, scope.replace("_", " "), conditions, number.note) if part)
    cells = (_words(place), _value(number), number.nature, number.evidence, number.source, remarks)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _value(number: Provenance) -> str:
    """Return a quantity with its range, or the fields of a formula."""
    if isinstance(number, Quantity):
        low = number.value if number.low is None else number.low
        high = number.value if number.high is None else number.high
        span = f" ({_plain(low)} to {_plain(high)})" if low < high else ""
        unit = "" if number.unit == "1" else f" {number.unit}"
        return f"{_plain(number.value)}{span}{unit}"
    known = set(Provenance.model_fields)
    plain = {k: getattr(number, k) for k in type(number).model_fields if k not in known}
    return ", ".join(f"{_words(k)} {_plain(v)}" for k, v in plain.items() if not isinstance(v, Record))


def _plain(value: Any) -> str:
    if isinstance(value, tuple):
        return " ".join(map(_plain, value))
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return f"{value:,.10g}".replace(",", " ")


def _words(name: str) -> str:
    return name.replace("_", " ").replace(".", ": ")


def main() -> None:
    """Write the page."""
    for path, text in pages().items():
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
