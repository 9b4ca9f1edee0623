"""Write validation, benchmarks and soft reset, pages with pictures, from the stored results.

::

    python benchmarks/write_docs.py
"""

from __future__ import annotations

from pathlib import Path

import plots
import soft_reset_plots
from page_benchmarks import benchmarks
from page_soft_reset import soft_reset
from page_sparse_training import sparse_training
from page_validation import validation

DOCS = Path(__file__).resolve().parents[1] / "docs"


def main() -> None:
    """Write pages and pictures."""
    for name in [*plots.draw(DOCS / "images"), *soft_reset_plots.draw(DOCS / "images")]:
        print(f"docs/images/{name}")
    pages = {
        "validation": validation,
        "benchmarks": benchmarks,
        "methods/soft-reset-mpr": soft_reset,
        "methods/sparse-training": sparse_training,
    }
    for name, text in pages.items():
        (DOCS / f"{name}.md").write_text(text())
        print(f"docs/{name}.md")


if __name__ == "__main__":
    main()
