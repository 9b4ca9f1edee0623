"""One self-contained HTML page: text, tables, figures and key numbers; no script, no font, no file beside it.

>>> from spikesim.profile.html import Heading, KeyNumbers, Prose, page
>>> text = page("A run", [KeyNumbers([("accuracy", "97.5 %", "360 samples")]), Heading("Result"), Prose("It works.")])
>>> text.startswith("<!doctype html>")
True
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, Protocol

import matplotlib
from matplotlib.figure import Figure as MatplotlibFigure

from spikesim.errors import InvalidValueError

LARGE = 400_000  # bytes; an SVG above this is written as PNG instead
NUMBER = re.compile(r"^[-+−–±]?[\d.,\s]+(?:e[-+]?\d+)?\s?(?:[%‰×]|[fpnµumkMGT]?(?:J|s|W|Hz|B)?)?$")


class Section(Protocol):
    """A part of a page."""

    def html(self) -> str:
        """Return the part as HTML; everything that came from outside is escaped."""


@dataclass(frozen=True)
class Heading:
    """A heading; level 2 begins a section and appears in the list of contents."""

    text: str
    level: Literal[2, 3] = 2

    @property
    def anchor(self) -> str:
        """Name for links."""
        return re.sub(r"[^a-z0-9]+", "-", self.text.lower()).strip("-") or "section"

    def html(self) -> str:
        """Return HTML."""
        return f'<h{self.level} id="{self.anchor}">{escape(self.text)}</h{self.level}>'


@dataclass(frozen=True)
class Prose:
    """Paragraphs, separated by blank lines; `` `code` `` and ``**bold**`` are understood, nothing else."""

    text: str
    note: bool = False

    def html(self) -> str:
        """Return HTML."""
        kind = ' class="note"' if self.note else ""
        blocks = [b.strip() for b in self.text.split("\n\n") if b.strip()]
        return "\n".join(f"<p{kind}>{_inline(b)}</p>" for b in blocks)


def _inline(text: str) -> str:
    safe = escape(text)
    safe = re.sub(r"`([^`]+)`", r"<code>\1</code>", safe)
    return re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", safe)


@dataclass(frozen=True)
class KeyNumbers:
    """A row of large numbers: ``(label, value)`` or ``(label, value, note)``."""

    numbers: Sequence[tuple[str, str] | tuple[str, str, str]]

    def html(self) -> str:
        """Return HTML."""
        return f'<dl class="numbers">{"".join(self._one(*n) for n in self.numbers)}</dl>'

    @staticmethod
    def _one(label: str, value: str, note: str = "") -> str:
        below = f'<dd class="sub">{escape(note)}</dd>' if note else ""
        return f"<div><dt>{escape(label)}</dt><dd>{escape(value)}</dd>{below}</div>"


@dataclass(frozen=True)
class Table:
    """A table.

    Parameters
    ----------
    rows
        Rows as sequences, or as mappings (then the header is their keys).
    header
        Names of the columns.
    caption
        A line above.
    """

    rows: Sequence[Sequence[Any]] | Sequence[Mapping[str, Any]]
    header: Sequence[str] | None = None
    caption: str = ""

    def html(self) -> str:
        """Return HTML."""
        header, rows = self._cells()
        width = max([len(header), *map(len, rows)], default=0)
        if any(len(row) != width for row in rows) or (header and len(header) != width):
            raise InvalidValueError(f"table {self.caption!r}: every row needs {width} cells, one for each column")
        right = [bool(rows) and all(_is_number(row[k]) for row in rows) for k in range(width)]
        kinds = [' class="n"' if r else "" for r in right]
        # a table without a header has an empty one: the shorter list ends the loop
        head = "".join(f'<th scope="col"{kind}>{escape(name)}</th>' for name, kind in zip(header, kinds, strict=False))
        body = "\n".join(f"<tr>{_row(row, kinds)}</tr>" for row in rows)
        caption = f"<caption>{escape(self.caption)}</caption>" if self.caption else ""
        thead = f"<thead><tr>{head}</tr></thead>" if head else ""
        label = escape(self.caption or "table")
        return (
            f'<div class="wide" role="region" tabindex="0" aria-label="{label}">'
            f"<table>{caption}{thead}<tbody>\n{body}\n</tbody></table></div>"
        )

    def _cells(self) -> tuple[list[str], list[list[Any]]]:
        if self.rows and isinstance(self.rows[0], Mapping):
            names = list(self.header or dict.fromkeys(key for row in self.rows for key in row))
            return names, [[row.get(n, "") for n in names] for row in self.rows if isinstance(row, Mapping)]
        return list(self.header or []), [list(row) for row in self.rows]


def _row(row: Sequence[Any], kinds: Sequence[str]) -> str:
    return "".join(f"<td{kind}>{_cell(cell)}</td>" for cell, kind in zip(row, kinds, strict=True))


def _is_number(value: Any) -> bool:
    text = str(value).strip()
    return text in ("", "–", "-") or bool(NUMBER.match(text))


def _cell(value: Any) -> str:
    return escape(f"{value:g}" if isinstance(value, float) else str(value))


@dataclass(frozen=True)
class Figure:
    """A matplotlib figure, put into the page as an image.

    Parameters
    ----------
    figure
        The figure.
    alt
        What it shows, for those who cannot see it.
    caption
        A line below.
    form
        ``svg``, ``png``, or ``auto``: SVG unless it would be very large.
    """

    figure: MatplotlibFigure
    alt: str
    caption: str = ""
    form: Literal["auto", "svg", "png"] = "auto"

    def html(self) -> str:
        """Return HTML."""
        if not self.alt:
            raise InvalidValueError("a figure needs `alt`: one sentence on what it shows, for those who cannot see it")
        caption = f"<figcaption>{_inline(self.caption)}</figcaption>" if self.caption else ""
        return f'<figure><img src="{self._data_uri()}" alt="{escape(self.alt)}">{caption}</figure>'

    def _data_uri(self) -> str:
        kind = "svg" if self.form == "auto" else self.form
        data = _render(self.figure, kind)
        if self.form == "auto" and len(data) > LARGE:
            kind, data = "png", _render(self.figure, "png")
        mime = {"svg": "image/svg+xml", "png": "image/png"}[kind]
        return f"data:{mime};base64,{base64.b64encode(data).decode('ascii')}"


def _render(figure: MatplotlibFigure, kind: str) -> bytes:
    buffer = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else {"Software": None}
    with matplotlib.rc_context({"svg.hashsalt": "spikesim"}):  # the same figure gives the same bytes
        figure.savefig(buffer, format=kind, bbox_inches="tight", dpi=160, metadata=metadata, facecolor="white")
    return buffer.getvalue()


def page(
    title: str,
    sections: Iterable[Section],
    *,
    subtitle: str = "",
    footer: str = "",
    path: str | Path | None = None,
    language: str = "en",
) -> str:
    """Return a page as one HTML text, and write it to a file if a path is given.

    Parameters
    ----------
    title, subtitle
        At the top.
    sections
        :class:`Heading`, :class:`Prose`, :class:`KeyNumbers`, :class:`Table`, :class:`Figure`, or anything else with
        an ``html()``.
    footer
        At the end: what made the page, and when.
    path
        File to write.
    language
        Language of the text.

    Raises
    ------
    InvalidValueError
        Two headings with the same words, rows of unequal length, a figure without ``alt``.
    """
    parts = list(sections)
    anchors = [h.anchor for h in parts if isinstance(h, Heading)]
    again = sorted({a for a in anchors if anchors.count(a) > 1})
    if again:
        raise InvalidValueError(f"two headings would have the same address #{again[0]}; give them different words")
    tops = [s for s in parts if isinstance(s, Heading) and s.level == 2]
    links = "".join(f'<li><a href="#{h.anchor}">{escape(h.text)}</a></li>' for h in tops)
    contents = f'<nav aria-label="Contents"><ul>{links}</ul></nav>' if len(tops) > 2 else ""
    css = (files("spikesim.profile") / "page.css").read_text("utf-8")
    body = "\n".join(section.html() for section in parts)
    text = f"""<!doctype html>
<html lang="{escape(language)}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="spikesim">
<title>{escape(title)}</title>
<style>
{css}</style>
</head>
<body>
<header>
<h1>{escape(title)}</h1>
{f'<p class="subtitle">{_inline(subtitle)}</p>' if subtitle else ""}
{contents}
</header>
<main>
{body}
</main>
{f"<footer>{_inline(footer)}</footer>" if footer else ""}
</body>
</html>
"""
    if path is not None:
        Path(path).write_text(text, "utf-8")
    return text
