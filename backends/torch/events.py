"""Products with matrices that are mostly zero, such as spikes: only the rows that fired are added."""

from __future__ import annotations

import torch


def product(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return ``x @ weight``, differentiable.

    Parameters
    ----------
    x
        ``[m, n_pre]``, spikes or values.
    weight
        ``[n_pre, n_post]``.
    """
    return x @ weight
