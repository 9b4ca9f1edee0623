"""Write ``docs/validation.md``, ``docs/benchmarks.md`` and its pictures from the stored results.

::

    python benchmarks/write_docs.py
"""

from __future__ import annotations

from pathlib import Path

import plots
from page_benchmarks import benchmarks
from page_validation import validation

DOCS = Path(__file__).resolve().parents[1] / "docs"


def main() -> None:
    """Write pages and pictures."""
    for name in plots.draw(DOCS / "images"):
        print(f"docs/images/{name}")
    for name, text in (("validation", validation), ("benchmarks", benchmarks)):
        (DOCS / f"{name}.md").write_text(text())
        print(f"docs/{name}.md")


if __name__ == "__main__":
    main()
