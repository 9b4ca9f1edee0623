"""The documentation is executed: every Python block of a page runs, in order, in one namespace per page.

A block of ``>>>`` lines is checked against the output it shows. ``<!-- not run: why -->`` on the line above a fence
leaves a block out; ``<!-- needs: torch -->`` leaves it, and what follows on the page, out where that package is absent.
"""

from __future__ import annotations

import doctest
import importlib.util
import re
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
PYTHON = ("python", "pycon")
RUN = [page for page in PAGES if any(f"```{language}" in page.read_text("utf-8") for language in PYTHON)]
FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)[^\n]*\n(?P<body>.*?)^(?P=indent)```", re.M | re.S)
MARK = re.compile(r"<!-- (?P<what>not run|needs): (?P<text>.+?) -->\s*$")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, text, first line (from 1), and the mark above it."""

    language: str
    text: str
    line: int
    mark: str = ""
    reason: str = ""


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page."""
    text, found = page.read_text("utf-8"), []
    for match in FENCE.finditer(text):
        above = MARK.search(text[: match.start()].rstrip(" "))
        lines = [line.removeprefix(match["indent"]) for line in match["body"].splitlines()]
        number = text[: match.start()].count("\n") + 2
        mark, reason = (above["what"], above["text"]) if above else ("", "")
        found.append(Block(match["language"], "\n".join(lines) + "\n", number, mark, reason))
    return found


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # of other libraries
@pytest.mark.parametrize("page", RUN, ids=name_of)
def test_python_blocks_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, require: Callable[[str], ModuleType | None]
) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks(page):
        if block.mark == "needs":
            require(block.reason)  # skips the rest of the page at home, fails in CI
        if block.language not in PYTHON or block.mark == "not run":
            continue
        if block.text.lstrip().startswith(">>>"):
            check_session(block, page, namespace)
        else:
            # blank lines in front, so that a traceback names the line of the page
            exec(compile("\n" * (block.line - 1) + block.text, str(page), "exec"), namespace)


def check_session(block: Block, page: Path, namespace: dict[str, Any]) -> None:
    """Run a block of ``>>>`` lines and compare what it prints."""
    test = doctest.DocTestParser().get_doctest(block.text, namespace, name_of(page), str(page), block.line - 1)
    test.globs = namespace  # not a copy: later blocks see its names
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    failed, _ = runner.run(test, out=said.append, clear_globs=False)
    assert not failed, "".join(said)


def commands() -> list[tuple[str, str]]:
    """Return every ``spikesim ...`` line that a page tells its reader to type."""
    found = []
    for page in PAGES:
        for block in blocks(page):
            if block.language in ("", "console", "bash", "sh"):
                lines = [line.strip().removeprefix("$ ") for line in block.text.splitlines()]
                found += [(name_of(page), line) for line in lines if line.startswith("spikesim ")]
    return found


@pytest.mark.parametrize(("page", "line"), commands())
def test_command_lines_parse(page: str, line: str) -> None:
    import typer.main

    from spikesim import cli

    if not cli.app.registered_commands:
        cli.register()
    command: Any = typer.main.get_command(cli.app)
    arguments = shlex.split(line, comments=True)[1:]
    context: Any = None
    while hasattr(command, "commands"):
        assert arguments and arguments[0] in command.commands, f"{page}: no such command: {line}"
        command, arguments = command.commands[arguments[0]], arguments[1:]
    if "--help" not in arguments:
        context = command.make_context("spikesim", arguments)  # raises on an option that does not exist
        assert context is not None


def script(name: str) -> Any:
    """Import a script of the docs folder."""
    path = ROOT / "docs" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"docs_{name}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["make_models", "make_cli", "make_hardware"])
def test_generated_pages_are_up_to_date(name: str) -> None:
    for path, text in script(name).pages().items():
        assert path.is_file(), f"run docs/{name}.py: {path.name} is missing"
        assert path.read_text("utf-8") == text, f"run docs/{name}.py: {path.name} is out of date"


def test_every_page_is_in_the_navigation_and_every_link_leads_somewhere() -> None:
    listed = (ROOT / "mkdocs.yml").read_text("utf-8")
    problems = []
    for page in PAGES:
        if page.parent != ROOT and name_of(page).removeprefix("docs/") not in listed:
            problems.append(f"{name_of(page)} is not in mkdocs.yml")
        for target in re.findall(r"\]\(([^)#\s]+)", re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.S)):
            if not target.startswith(("http:", "https:")) and not (page.parent / target).exists():
                problems.append(f"{name_of(page)}: {target} does not exist")
    assert not problems, "\n".join(problems)


def test_pictures_are_small() -> None:
    large = [p.name for p in (ROOT / "docs/images").glob("*.png") if p.stat().st_size > 60_000 and p.stem != "demo"]
    assert not large
