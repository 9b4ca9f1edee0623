"""HLOP's lateral circuit as populations and plastic projections, against the same rule on arrays."""

import numpy as np
import pytest

from spikesim.continual import Subspace
from spikesim.continual.lateral import Lateral
from spikesim.continual.subspace import SATURATION
from spikesim.engine import run
from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.models.synapses import subspace

N, K = 6, 2


def circuit(frozen=0, **settings):
    generator, found = np.random.default_rng(5), Subspace(N, levels=160, **settings)
    if frozen:
        found.add_subspace(frozen, generator)
        found.merge()
    found.add_subspace(K, generator)
    return found


def counts(rows, seed=0):
    return np.random.default_rng(seed).integers(0, 9, (rows, N))


def by_arrays(start, lateral, rows):
    """Return the rows after batches, with responses and residuals rounded as spikes round them."""
    h, old = np.array(start.rows), start.frozen
    m, quantum = np.zeros_like(h), SATURATION / start.levels
    for x in (rows * lateral.unit).reshape(-1, lateral.batch, N):
        for _ in range(start.iterations):
            y = np.rint(np.clip(x @ h.T, -SATURATION, SATURATION) / quantum) * quantum
            residual = np.rint((x - y @ h) / lateral.finest) * lateral.finest
            d = np.clip(y.T @ residual / lateral.batch, -start.clip, start.clip)
            m = start.momentum * m + (1 - start.momentum) * d
            h[old:] += start.learning_rate * m[old:]
    return h


@pytest.mark.parametrize("frozen", [0, 2])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_the_circuit_learns_what_the_arrays_learn(frozen, momentum):
    """Without momentum up to the grid of the weights (2^-29 here), with it up to what it decays by."""
    settings = {"learning_rate": 0.3, "iterations": 2, "momentum": momentum}
    start, rows = circuit(frozen, **settings), counts(8)
    lateral = Lateral(start, batch=4)
    found = lateral.learn(rows)
    assert np.array_equal(found[:frozen], start.rows[:frozen]) and np.abs(found - start.rows).max() > 0.03
    np.testing.assert_allclose(
        found, by_arrays(start, lateral, rows), rtol=0, atol=1e-4 if momentum else 4 * start.iterations * 2**-29
    )
    for x in (rows * lateral.unit).reshape(-1, 4, N):  # whose residuals are not rounded
        start.update(x)
    np.testing.assert_allclose(found, start.rows, rtol=0, atol=4e-3)


def test_the_clip_is_the_one_of_the_arrays():
    start, rows = circuit(learning_rate=0.3, iterations=1, momentum=0.0, clip=0.1), counts(4)
    lateral = Lateral(start, batch=2)
    expected = by_arrays(start, lateral, rows)
    assert np.abs(expected - start.rows).max() == pytest.approx(0.06)  # two batches, both at the bound
    np.testing.assert_allclose(lateral.learn(rows), expected, rtol=0, atol=1e-8)


def test_responses_and_residuals_are_bursts_of_spikes():
    start, rows = circuit(frozen=2, iterations=1), counts(1)
    lateral = Lateral(start, batch=1)
    given = lateral.inputs(rows)
    recording = run(lateral.network(), steps=len(given["clock"]), inputs=given)
    x = rows[0] * lateral.unit
    y = np.rint(x @ start.rows.T / lateral.quantum)
    fired = [recording[name].counts()[0] for name in ("frozen", "lateral")]
    assert np.array_equal(np.concatenate(fired), np.abs(y))
    residual = np.rint((x - lateral.quantum * y @ start.rows) / lateral.finest)
    assert np.array_equal(recording["source"].counts()[0], rows[0] + np.abs(residual))


def test_mistakes_are_told():
    with pytest.raises(InvalidValueError, match="fire bursts; give the circuit levels"):
        Lateral(Subspace(N), batch=1)
    lateral = Lateral(circuit(), batch=4)
    with pytest.raises(InvalidValueError, match=r"multiple of 4, 6\], found \[3, 6\]"):
        lateral.inputs(counts(3))
    with pytest.raises(InvalidValueError, match="from 0 to 8, found 9 to 9"):
        lateral.inputs(np.full((4, N), 9))
    with pytest.raises(UnknownNameError, match="side of a lateral circuit"):
        subspace("teacher", "both")
