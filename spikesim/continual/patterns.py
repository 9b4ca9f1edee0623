"""Synthetic spike patterns: as many classes as wanted, in spikes from the start."""

from __future__ import annotations

import numpy as np

from spikesim.data.dataset import Dataset
from spikesim.errors import InvalidValueError


def spike_patterns(
    classes: int = 10,
    *,
    channels: int = 40,
    steps: int = 20,
    rate: float = 0.1,
    jitter: float = 1.0,
    dropped: float = 0.1,
    noise: float = 0.02,
    samples: int = 60,
    test_samples: int = 30,
    seed: int = 0,
) -> Dataset:
    """Draw templates of Poisson spikes, one per class, and samples that vary them.

    Parameters
    ----------
    classes
        Templates.
    channels, steps
        Shape of a pattern.
    rate
        Probability of a spike of a template, per channel and step.
    jitter
        Standard deviation by which each spike moves, in steps; what leaves the pattern comes to its edge.
    dropped
        Probability that a spike of the template is missing.
    noise
        Probability of a spike more, per channel and step.
    samples, test_samples
        Of each class.
    seed
        Of everything that is drawn; a class is drawn by its number, so more classes do not change the others.

    Returns
    -------
    Dataset
        uint8 ``[samples, steps, channels]``, 0 or 1, ``"sequence"`` for training.

    Examples
    --------
    >>> spike_patterns(4, samples=5, test_samples=2)
    <Dataset 'spike-patterns': 20 training + 8 test samples of 20x40 uint8, 4 classes>
    """
    problems = [
        f"{name} must be at least 1, found {value!r}"
        for name, value in (("classes", classes), ("channels", channels), ("steps", steps), ("samples", samples))
        if value < 1
    ]
    problems += [
        f"{name} must be from 0 to 1, found {value!r}"
        for name, value in (("rate", rate), ("dropped", dropped), ("noise", noise))
        if not 0 <= value <= 1
    ]
    if problems or jitter < 0:
        raise InvalidValueError("\n".join([*problems, *([] if jitter >= 0 else ["jitter must be at least 0"])]))
    drawn = []
    for number in range(classes):
        generator = np.random.default_rng((seed, number))
        when, where = np.nonzero(generator.random((steps, channels)) < rate)
        x = (generator.random((samples + test_samples, steps, channels)) < noise).astype(np.uint8)
        for sample in x:
            kept = generator.random(len(when)) >= dropped
            moved = np.rint(when + generator.normal(0.0, jitter, len(when))).clip(0, steps - 1).astype(int)
            sample[moved[kept], where[kept]] = 1
        drawn.append(x)
    x_train, x_test = (np.concatenate([x[part] for x in drawn]) for part in (np.s_[:samples], np.s_[samples:]))
    y_train, y_test = (np.repeat(np.arange(classes), n) for n in (samples, test_samples))
    how = f"SYNTHETIC: Poisson templates of rate {rate}, jitter {jitter} steps, dropped {dropped}, noise {noise}"
    names = tuple(f"pattern {k}" for k in range(classes))
    return Dataset("spike-patterns", x_train, y_train, x_test, y_test, names, "none", f"{how}, seed {seed}")
