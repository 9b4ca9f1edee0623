"""Optional packages in tests: skipped with the reason at home, a failure in CI."""

from __future__ import annotations

import os
from collections.abc import Callable
from types import ModuleType

import pytest

from spikesim import optional


def _require(name: str) -> ModuleType | None:
    """Import an optional package; without it skip, or fail if the variable CI is set."""
    ok, reason = optional.available(name)
    if not ok:
        _absent(reason)
    # Lava is imported in child processes only: its import fixes how this process starts others.
    return None if name == "lava" else optional.require(name, "this test")


def _absent(reason: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(f"CI is set, so no part may be missing: {reason}", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def require() -> Callable[[str], ModuleType | None]:
    """Return a function that imports an optional package by its import name: ``torch = require("torch")``."""
    return _require


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Give every test marked ``lava`` the same treatment."""
    if item.get_closest_marker("lava") is not None:
        _require("lava")
