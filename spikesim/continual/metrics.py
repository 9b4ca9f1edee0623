"""What an accuracy matrix says about continual learning.

``matrix[i, j]`` is the accuracy on task j after task i, float64 ``[tasks, tasks]``; what was not measured is NaN. The
definitions are those of Lopez-Paz and Ranzato (2017, arXiv 1706.08840) and Chaudhry et al. (2018, arXiv 1801.10112);
forgetting looks at the rows before the last, so it may be negative. With a single task, whatever compares tasks is NaN.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikesim.errors import InvalidValueError


def _square(matrix: ArrayLike) -> NDArray[np.float64]:
    found = np.asarray(matrix, np.float64)
    if found.ndim != 2 or found.shape[0] != found.shape[1] or not found.size:
        raise InvalidValueError(f"an accuracy matrix has the shape [tasks, tasks], found {list(found.shape)}")
    return found


def _per_task(values: ArrayLike, tasks: int, what: str) -> NDArray[np.float64]:
    found = np.asarray(values, np.float64)
    if found.shape != (tasks,):
        raise InvalidValueError(f"{what} needs one accuracy per task, [{tasks}], found {list(found.shape)}")
    return found


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if values.size else float("nan")


def average_accuracy(matrix: ArrayLike) -> float:
    """Return ACC, the mean accuracy over all tasks after the last.

    Examples
    --------
    >>> average_accuracy([[0.9, 0.1], [0.6, 0.8]])
    0.7
    """
    return _mean(_square(matrix)[-1])


def average_incremental_accuracy(matrix: ArrayLike) -> float:
    """Return AIA: after each task the mean accuracy over the tasks so far, and of these the mean."""
    r = _square(matrix)
    return float(np.mean([r[i, : i + 1].mean() for i in range(len(r))]))


def backward_transfer(matrix: ArrayLike) -> float:
    """Return BWT, the mean change of the tasks before the last since they were learned; negative: forgotten.

    Examples
    --------
    >>> round(backward_transfer([[0.9, 0.1], [0.6, 0.8]]), 12)
    -0.3
    """
    r = _square(matrix)
    return _mean((r[-1] - np.diag(r))[:-1])


def forward_transfer(matrix: ArrayLike, untrained: ArrayLike) -> float:
    """Return FWT: how much better than untrained the tasks are just before they are learned, on average.

    Parameters
    ----------
    matrix
        Accuracies, also of tasks to come. They mean nothing where classes are new, and FWT is then NaN.
    untrained
        Accuracy of the untrained network on each task, ``[tasks]``.
    """
    r = _square(matrix)
    return _mean(np.diag(r, 1) - _per_task(untrained, len(r), "forward transfer")[1:])


def forgetting(matrix: ArrayLike) -> float:
    """Return the mean loss of the tasks before the last, from their best before the last task to the end."""
    r = _square(matrix)
    best = [r[j:-1, j].max() - r[-1, j] for j in range(len(r) - 1)]
    return _mean(np.array(best))


def learning_accuracy(matrix: ArrayLike) -> float:
    """Return the mean accuracy on each task right after it was learned."""
    return _mean(np.diag(_square(matrix)))


def intransigence(matrix: ArrayLike, joint: ArrayLike) -> float:
    """Return how much worse each task was learned than jointly with all others, on average.

    Parameters
    ----------
    matrix
        Accuracies.
    joint
        Accuracy on each task after joint training, ``[tasks]``: the last row of that learner's matrix.
    """
    r = _square(matrix)
    return _mean(_per_task(joint, len(r), "intransigence") - np.diag(r))


def figures(matrix: ArrayLike, untrained: ArrayLike | None = None, joint: ArrayLike | None = None) -> dict[str, float]:
    """Return all figures for which the accuracies are there, by name.

    Examples
    --------
    >>> {k: round(v, 6) for k, v in figures([[0.9, 0.1], [0.6, 0.8]], untrained=[0.1, 0.1]).items()}
    {'ACC': 0.7, 'AIA': 0.8, 'BWT': -0.3, 'forgetting': 0.3, 'learning accuracy': 0.85, 'FWT': 0.0}
    """
    found = {
        "ACC": average_accuracy(matrix),
        "AIA": average_incremental_accuracy(matrix),
        "BWT": backward_transfer(matrix),
        "forgetting": forgetting(matrix),
        "learning accuracy": learning_accuracy(matrix),
    }
    if untrained is not None:
        found["FWT"] = forward_transfer(matrix, untrained)
    if joint is not None:
        found["intransigence"] = intransigence(matrix, joint)
    return found
