"""The self-contained page."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from matplotlib.figure import Figure as MatplotlibFigure

from spikesim.errors import InvalidValueError
from spikesim.profile.html import Figure, Heading, KeyNumbers, Prose, Table, page

EVIL = '<script>alert("x")</script>&\'"'


class Checker(HTMLParser):
    """Collect tags, and fail on one that is closed out of order."""

    VOID = frozenset({"meta", "img", "br", "link"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def figure() -> MatplotlibFigure:
    made = MatplotlibFigure(figsize=(3, 2))
    made.add_subplot().plot([1, 2, 3])
    return made


def test_page_is_well_formed_and_self_contained(tmp_path: Path) -> None:
    path = tmp_path / "x.html"
    text = page(
        "A run",
        [
            KeyNumbers([("accuracy", "97.5 %"), ("energy", "1.2 µJ", "0.9 to 1.5")]),
            Heading("One"),
            Prose("First.\n\nSecond with `code` and **weight**."),
            Table([{"a": 1, "b": "x"}, {"a": 2.5, "b": "y"}], caption="numbers"),
            Heading("Two"),
            Figure(figure(), "a line", "caption"),
            Heading("Three"),
            Heading("Small", level=3),
        ],
        subtitle="of a network",
        footer="made today",
        path=path,
    )
    assert path.read_text("utf-8") == text
    checker = Checker()
    checker.feed(text)
    assert checker.open == []
    assert "script" not in checker.seen
    assert "link" not in checker.seen
    assert not re.search(r'(?:src|href)="(?!data:|#)', text)
    assert "url(" not in text
    assert "@import" not in text
    assert "prefers-color-scheme: dark" in text
    assert '<html lang="en">' in text
    assert text.count("<p>") == 2
    assert "<code>code</code>" in text
    assert "<strong>weight</strong>" in text
    assert '<li><a href="#two">Two</a></li>' in text
    assert 'id="small"' in text


def test_everything_is_escaped() -> None:
    text = page(
        EVIL,
        [
            Heading(EVIL),
            Prose(EVIL),
            Prose(f"`{EVIL}` **{EVIL}**", note=True),
            KeyNumbers([(EVIL, EVIL, EVIL)]),
            Table([[EVIL, 1]], header=[EVIL, EVIL], caption=EVIL),
            Table([{EVIL: EVIL}]),
            Figure(figure(), EVIL, EVIL),
        ],
        subtitle=EVIL,
        footer=EVIL,
        language=EVIL,
    )
    assert "<script" not in text
    assert 'alert("x")' not in text
    checker = Checker()
    checker.feed(text)
    assert "script" not in checker.seen


def test_numbers_are_right_aligned() -> None:
    html = Table([["a", "1.5 µJ", "–"], ["b", "3", "12 %"]], header=["name", "energy", "share"]).html()
    assert html.count('<td class="n">') == 4
    assert '<th scope="col">name</th>' in html


def test_table_of_unequal_rows_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="every row needs 2 cells"):
        Table([[1, 2], [3]]).html()
    with pytest.raises(InvalidValueError, match="every row needs 2 cells"):
        Table([[1, 2]], header=["a"]).html()


def test_table_from_mappings_fills_gaps() -> None:
    html = Table([{"a": 1}, {"a": 2, "b": 3}]).html()
    assert html.count("<td") == 4


def test_empty_table() -> None:
    assert "<tbody>" in Table([], header=["a"]).html()


def test_figure_forms() -> None:
    assert "data:image/svg+xml;base64," in Figure(figure(), "x").html()
    assert "data:image/png;base64," in Figure(figure(), "x", form="png").html()
    assert Figure(figure(), "x").html() == Figure(figure(), "x").html()  # the same figure gives the same bytes


def test_large_drawing_becomes_a_bitmap() -> None:
    made = MatplotlibFigure()
    made.add_subplot().plot(range(30_000), [k % 97 for k in range(30_000)], ".")
    assert "data:image/png" in Figure(made, "x").html()


def test_figure_needs_words() -> None:
    with pytest.raises(InvalidValueError, match="needs `alt`"):
        Figure(figure(), "").html()


def test_headings_with_the_same_words_are_refused() -> None:
    with pytest.raises(InvalidValueError, match="same address #energy"):
        page("x", [Heading("Energy"), Heading("energy!", level=3)])
