"""Write the pages that follow from stored results, with their pictures.

::

    python benchmarks/write_docs.py
"""

from __future__ import annotations

from pathlib import Path

import continual_plots
import page_emulator
import page_filter_frequency
import page_pruning
import page_rnp
import plots
import soft_reset_plots
from page_benchmarks import benchmarks
from page_continual import continual
from page_hrsnn import hrsnn
from page_soft_reset import soft_reset
from page_sparse_training import sparse_training
from page_validation import validation

DOCS = Path(__file__).resolve().parents[1] / "docs"


def main() -> None:
    """Write pages and pictures."""
    for made in (
        plots,
        page_emulator,
        soft_reset_plots,
        continual_plots,
        page_pruning,
        page_rnp,
        page_filter_frequency,
    ):
        for name in made.draw(DOCS / "images"):
            print(f"docs/images/{name}")
    pages = {
        "validation": validation,
        "benchmarks": benchmarks,
        "methods/soft-reset-mpr": soft_reset,
        "methods/continual": continual,
        "methods/pruning": page_pruning.pruning,
        "methods/hrsnn": hrsnn,
        "methods/sparse-training": sparse_training,
        "methods/rnp": page_rnp.rnp,
        "methods/filter-frequency": page_filter_frequency.filter_frequency,
    }
    for name, text in pages.items():
        (DOCS / f"{name}.md").write_text(text())
        print(f"docs/{name}.md")


if __name__ == "__main__":
    main()
