"""How well noise-pruning keeps the spectrum of clustered symmetric networks, against weight-proportional and uniform.

python benchmarks/noise_prune.py            # writes benchmarks/results/pruning/spectrum.json
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np

from spikesim.sparsify import covariance, eigen_errors, noise_prune

OUT = Path(__file__).parent / "results/pruning/spectrum.json"
CLUSTERS = {
    300: ((150, 30, 120), 300),
    600: ((300, 60, 240), 900),
    1000: ((500, 100, 400), 1700),
    2000: ((1000, 200, 800), 5000),
}
DELTA = 1e-3


def clustered(sizes: tuple[int, ...], long_range: int, seed: int) -> np.ndarray:
    """Return ``A = W - D``: dense clusters, few links between them, and a diagonal that dominates by 1e-3."""
    rng = np.random.default_rng(seed)
    n = sum(sizes)
    group = np.repeat(np.arange(len(sizes)), sizes)
    upper = np.triu(group[:, None] == group, 1) & (rng.random((n, n)) < 0.6)
    w = np.where(upper, rng.normal(1.0, 1.0, (n, n)), 0.0)
    i, j = np.nonzero(np.triu(group[:, None] != group, 1))
    chosen = rng.choice(len(i), long_range // 2, replace=False)
    w[i[chosen], j[chosen]] = rng.random(len(chosen))
    w = w + w.T
    w /= 1.1 * np.linalg.eigvalsh(w)[-1]
    return w - np.diag(np.abs(w).sum(axis=1) + DELTA)


def main() -> None:
    rows, leverage = [], []
    for n, (sizes, links) in CLUSTERS.items():
        for seed in range(5):
            a = clustered(sizes, links, seed)
            c = covariance(a, method="symmetric")
            w = a - np.diag(np.diag(a))
            total = float((np.abs(w) * np.maximum(np.add.outer(np.diag(c), np.diag(c)) - 2 * np.sign(w) * c, 0)).sum())
            leverage.append({"n": n, "seed": seed, "sum": total, "exact": n + DELTA * np.trace(np.linalg.inv(a))})
            for keep in (0.2, 0.4):
                for rule in ("noise", "weight", "uniform"):
                    start = time.perf_counter()
                    found = noise_prune(a, keep, rule=rule, c=c, seed=seed)
                    errors = eigen_errors(a, found.matrix)
                    row = {"n": n, "keep": keep, "rule": rule, "seed": seed, "kept": found.kept / found.entries}
                    rows.append({**row, **vars(errors), "seconds": time.perf_counter() - start})
            print(n, seed, flush=True)
            OUT.parent.mkdir(parents=True, exist_ok=True)
            OUT.write_text(json.dumps({"rows": rows, "leverage": leverage}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
