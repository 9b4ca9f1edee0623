"""What a conversion kept, changed or lost, part by part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from spikesim.errors import UnsupportedError

Status = Literal["exact", "approximated", "impossible"]
ORDER: tuple[Status, ...] = ("exact", "approximated", "impossible")


@dataclass(frozen=True)
class Row:
    """One part of a network and how well a format holds it.

    Parameters
    ----------
    part
        Name of the population, projection or stimulus.
    written_as
        What it became.
    status
        ``"exact"``; ``"approximated"``: close, ``detail`` says by how much; ``"impossible"``: the format has no words
        for it, ``detail`` says what a reader sees instead.
    detail
        The reason.
    """

    part: str
    written_as: str
    status: Status
    detail: str = ""


@dataclass(frozen=True)
class Verification:
    """The spikes of a network before and after a conversion, on the same input.

    Parameters
    ----------
    steps, samples
        Length of the comparison.
    before, after
        Number of spikes.
    differing
        Spikes that only one of the two has.
    parts
        The same by population, where there are any.
    data
        What the input was.
    """

    steps: int
    samples: int
    before: int
    after: int
    differing: int
    parts: Mapping[str, int] = field(default_factory=dict)
    data: str = "random spikes"

    def __str__(self) -> str:
        size = f"{self.samples} sample{'s' if self.samples > 1 else ''} of {self.steps} steps"
        where = ", ".join(f"{n} in {name}" for name, n in self.parts.items())
        differ = f"{self.differing} differ{f': {where}' if where else ''}"
        return f"{self.before} spikes before, {self.after} after, {differ} ({size}; {self.data})"


@dataclass
class ConversionReport:
    """What became of every part.

    Parameters
    ----------
    format
        Name of the file format.
    rows
        One per part.
    warnings
        Repairs of known defects, and whatever else a user must know.
    notes
        Remarks.
    verification
        Measured difference in spikes, if it was measured.
    """

    format: str
    rows: list[Row] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    verification: Verification | None = None

    def add(self, part: str, written_as: str, status: Status = "exact", detail: str = "") -> None:
        """Add a row."""
        self.rows.append(Row(part, written_as, status, detail))

    @property
    def status(self) -> Status:
        """The worst status of all rows."""
        return max((r.status for r in self.rows), key=ORDER.index, default="exact")

    @property
    def lost(self) -> list[str]:
        """One sentence for each part that the format cannot hold."""
        return [f"{r.part}: {r.detail}" for r in self.rows if r.status == "impossible"]

    def refuse_losses(self) -> None:
        """Raise if anything is lost.

        Raises
        ------
        UnsupportedError
            If a part is ``"impossible"``; all are listed.
        """
        if self.lost:
            raise UnsupportedError(self.lost, f"{self.format} cannot hold this network:")

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain values, for JSON."""
        return {
            "format": self.format,
            "status": self.status,
            "rows": [vars(r) for r in self.rows],
            "warnings": self.warnings,
            "notes": self.notes,
            "verification": vars(self.verification) if self.verification else None,
        }

    def __str__(self) -> str:
        width = max((len(r.part) for r in self.rows), default=0)
        lines = [
            f"{r.part:<{width}}  {r.written_as}  {r.status}{': ' + r.detail if r.detail else ''}" for r in self.rows
        ]
        lines += [f"warning: {w}" for w in self.warnings] + [f"note: {n}" for n in self.notes]
        return "\n".join([*lines, *([f"spikes: {self.verification}"] if self.verification else [])])


class ExportReport(ConversionReport):
    """Report of writing a file."""


class ImportReport(ConversionReport):
    """Report of reading a file."""
