"""Write spikesim/data/digits.npz from scikit-learn's copy of the digits, and print its sha256.

Run it only to rebuild the shipped file: ``python scripts/make_digits.py`` in an environment with scikit-learn. The
sha256 it prints belongs into ``spikesim/data/digits.py``.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits  # type: ignore[import-untyped]

TARGET = Path(__file__).parents[1] / "spikesim" / "data" / "digits.npz"


def main() -> None:
    """Convert the pixels (0..16) and labels (0..9), which are whole numbers stored as floats, to bytes."""
    digits = load_digits()
    images = digits.images.astype(np.uint8)
    if not np.array_equal(images, digits.images):
        raise SystemExit("scikit-learn's digits hold values that do not fit a byte; this is not the known file")
    np.savez_compressed(TARGET, images=images, labels=digits.target.astype(np.uint8))
    content = TARGET.read_bytes()
    print(f"{TARGET}: {len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    main()
