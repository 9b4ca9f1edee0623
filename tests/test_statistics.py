"""Spike statistics against cases counted by hand and against closed forms."""

import numpy as np
import pytest

from spikesim import statistics
from spikesim.errors import InvalidValueError
from spikesim.recording import Spikes


def events(*rows: tuple[int, int, int], n: int, steps: int, samples: int = 1, dt: float = 1e-3) -> Spikes:
    """Spikes from (sample, step, neuron)."""
    table = np.array(sorted(rows), np.int64).reshape(-1, 3)
    return Spikes(table[:, 0].astype(np.int32), table[:, 1], table[:, 2].astype(np.int32), n, steps, samples, dt)


def poisson(rate: float, n: int, steps: int, dt: float, seed: int = 1) -> Spikes:
    step, neuron = np.nonzero(np.random.default_rng(seed).random((steps, n)) < rate * dt)
    return Spikes(np.zeros(len(step), np.int32), step, neuron.astype(np.int32), n, steps, 1, dt)


HAND = events((0, 0, 0), (0, 2, 0), (0, 6, 0), (0, 3, 1), (1, 1, 0), (1, 4, 0), n=3, steps=10, samples=2, dt=0.1)


def test_rates_by_hand() -> None:
    assert statistics.rates(HAND).tolist() == [2.5, 0.5, 0.0]
    assert statistics.mean_rate(HAND) == pytest.approx(1.0)


def test_psth_by_hand() -> None:
    edges, values = statistics.psth(HAND, bin=0.4)
    assert edges.tolist() == pytest.approx([0.0, 0.4, 0.8, 1.0])
    assert values.tolist() == pytest.approx([4 / (0.4 * 6), 2 / (0.4 * 6), 0.0])
    assert statistics.psth(HAND, bin=0.5, neurons=[1]).values.tolist() == pytest.approx([1 / (0.5 * 2), 0.0])


def test_the_psth_integrates_to_the_mean_rate() -> None:
    train = poisson(20.0, 10, 997, 1e-3)
    edges, values = statistics.psth(train, bin=10e-3)
    assert (np.diff(edges) * values).sum() / edges[-1] == pytest.approx(statistics.mean_rate(train))


def test_intervals_by_hand() -> None:
    found = statistics.intervals(HAND)
    assert found.seconds.tolist() == pytest.approx([0.2, 0.4, 0.3])
    assert found.neuron.tolist() == [0, 0, 0] and found.sample.tolist() == [0, 0, 1]


def test_cv_by_hand() -> None:
    values = statistics.cv_per_neuron(HAND)
    assert values[0] == pytest.approx(np.std([2, 4, 3]) / 3) and np.isnan(values[1:]).all()
    assert statistics.cv_isi(HAND) == values[0]
    assert np.isnan(statistics.cv_per_neuron(HAND, min_spikes=5)).all() and np.isnan(
        statistics.cv_isi(HAND, min_spikes=5)
    )


def test_a_clock_does_not_vary() -> None:
    clock = events(*((0, 10 * k, 0) for k in range(50)), n=1, steps=500)
    assert statistics.cv_per_neuron(clock)[0] == pytest.approx(0.0, abs=1e-12)
    assert statistics.fano(clock, 0.05)[0] == pytest.approx(0.0, abs=1e-12)


def test_a_poisson_process_has_cv_and_fano_factor_one_and_no_correlation() -> None:
    train = poisson(50.0, 40, 200_000, 1e-4)  # geometric intervals: CV = sqrt(1 - rate dt)
    assert statistics.mean_rate(train) == pytest.approx(50.0, rel=0.01)
    assert statistics.cv_isi(train) == pytest.approx(np.sqrt(1 - 50e-4), abs=0.01)
    assert statistics.fano(train, 0.1).mean() == pytest.approx(1 - 50e-4, abs=0.03)
    assert abs(statistics.mean_correlation(train, 0.01)) < 0.005


def test_gamma_intervals_have_cv_one_over_root_k() -> None:
    waits = np.random.default_rng(2).gamma(4.0, 25.0, (10, 4000))
    step = np.cumsum(waits, axis=1).astype(np.int64)
    neuron = np.repeat(np.arange(10), 4000)
    order = np.argsort(step.reshape(-1), kind="stable")
    train = Spikes(np.zeros(40000, np.int32), step.reshape(-1)[order], neuron[order], 10, int(step.max()) + 1, 1, 1e-3)
    assert statistics.cv_isi(train) == pytest.approx(0.5, abs=0.01)


def test_a_shared_source_correlates_as_it_should() -> None:
    random = np.random.default_rng(3)
    own, shared = random.random((60_000, 8)) < 0.01, random.random((60_000, 1)) < 0.01
    raster = own ^ shared  # rare events: variances add, covariance is that of what is shared
    step, neuron = np.nonzero(raster)
    train = Spikes(np.zeros(len(step), np.int32), step, neuron.astype(np.int32), 8, 60_000, 1, 1e-3)
    assert statistics.mean_correlation(train, 10e-3) == pytest.approx(0.5, abs=0.03)


def test_the_mean_correlation_is_the_mean_of_the_matrix() -> None:
    train = poisson(30.0, 12, 4_003, 1e-3)
    matrix = statistics.correlation(train, 7e-3)
    assert statistics.mean_correlation(train, 7e-3) == pytest.approx(matrix[~np.eye(12, dtype=bool)].mean())
    counts = statistics.binned_counts(train, 7e-3)
    assert np.allclose(matrix, np.corrcoef(counts.T))
    part = statistics.correlation(train, 7e-3, neurons=[3, 5])
    assert np.allclose(part, matrix[np.ix_([3, 5], [3, 5])])


def test_silent_neurons_are_nan() -> None:
    train = events((0, 1, 0), (0, 5, 2), n=3, steps=10)
    matrix = statistics.correlation(train, 2e-3)
    assert np.isnan(matrix[1]).all() and np.isnan(matrix[:, 1]).all() and matrix[0, 0] == 1.0
    assert np.isnan(statistics.fano(train, 2e-3)[1])
    silent = events(n=2, steps=10)
    assert statistics.intervals(silent).seconds.size == 0 and statistics.rates(silent).tolist() == [0.0, 0.0]
    assert np.isnan(statistics.cv_isi(silent)) and np.isnan(statistics.mean_correlation(silent, 2e-3))


def test_binned_counts_by_hand() -> None:
    counts = statistics.binned_counts(HAND, 0.3)
    assert counts.tolist() == [[2, 0, 0], [0, 1, 0], [1, 0, 0], [1, 0, 0], [1, 0, 0], [0, 0, 0]]
    assert statistics.binned_counts(HAND, 0.3, [1]).sum() == 1


@pytest.mark.parametrize("bin", [0.0, -1.0, 1e-5])
def test_bins_that_cannot_be(bin: float) -> None:
    with pytest.raises(InvalidValueError, match="at least one step"):
        statistics.psth(HAND, bin=bin)


def test_too_few_windows_and_unknown_neurons() -> None:
    with pytest.raises(InvalidValueError, match="at least 2 windows"):
        statistics.fano(events((0, 1, 0), n=1, steps=10), 10.0)
    with pytest.raises(InvalidValueError, match=r"neurons must be 0 .. 2, found 3 .. 3"):
        statistics.binned_counts(HAND, 0.3, [3])
