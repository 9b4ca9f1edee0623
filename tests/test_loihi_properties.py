"""The emulator against a plain numpy reference on random networks, and the promises about batches and continuation."""

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spikesim.backends.loihi.emulator import Emulator, emulate
from spikesim.errors import DeviceLimitError, InvalidValueError, NetworkError, UnknownNameError
from spikesim.fixedpoint import IntInput, IntNetwork, IntPopulation, IntProjection, IntRun, IntSample


def decay(x: np.ndarray, d: Any) -> np.ndarray:
    return np.sign(x) * ((np.abs(x) * (4096 - np.asarray(d))) >> 12)


def reference(network: IntNetwork, steps: int, sample: IntSample) -> dict[str, tuple[list, list, list]]:
    """Section by section what Lava's models do, with dense matrices and no cleverness: u, v, s of each column."""
    size = {g.name: g.n for g in (*network.populations, *network.inputs)}
    u = {p.name: np.zeros(p.n, np.int64) + p.u0 for p in network.populations}
    v = {p.name: np.zeros(p.n, np.int64) + p.v0 for p in network.populations}
    arriving = {p.name: np.zeros((steps + 70, p.n), np.int64) for p in network.populations}
    for name, current in sample.drive.items():
        arriving[name][:steps] += current
    outside = {g.name: np.zeros((steps, g.n), bool) for g in network.inputs}
    for name, events in sample.spikes.items():
        for column, source in events:
            outside[name][column, source] = True
    log: dict[str, tuple[list, list, list]] = {p.name: ([], [], []) for p in network.populations}
    for t in range(steps):
        spikes = {name: raster[t] for name, raster in outside.items()}
        for p in network.populations:
            if p.reset_interval and (t + 1) % p.reset_interval == p.reset_offset % p.reset_interval:
                u[p.name][:] = v[p.name][:] = 0
            x = decay(u[p.name], np.asarray(p.du) + 1) + (arriving[p.name][t] << 6)
            x = np.where(x > 2**23, x - 2**24, np.where(x <= -(2**23), x + 2**24, x))
            bias = np.asarray(p.bias_mant) << np.asarray(p.bias_exp)
            y = np.clip(decay(v[p.name], p.dv) + x + bias, 1 - 2**23, 2**23 - 1)
            s = y > np.asarray(p.vth) * 64
            if p.reset == "hard":
                y = np.where(s, 0, y)
            elif p.reset == "soft":
                y = y - s * np.asarray(p.vth * 64 if p.quantum is None else p.quantum)
            u[p.name], v[p.name], spikes[p.name] = x, y, s
            for record, value in zip(log[p.name], (x, y, s), strict=True):
                record.append(value.copy())
        for line in network.projections:
            delays = np.broadcast_to(line.delay, line.indices.shape)
            for d in np.unique(delays):
                chosen = delays == d
                w = np.zeros((size[line.post], size[line.pre]), np.int64)
                np.add.at(w, (line.indices[chosen], line.sources[chosen]), line.effective_weights[chosen])
                a = w @ spikes[line.pre]
                a = a << line.weight_exp if line.weight_exp > 0 else a >> -line.weight_exp
                arriving[line.post][t + 1 + d] += a
    return log


def random_network(rng: np.random.Generator) -> IntNetwork:
    """Two to four groups with any wiring, wild parameters, and every option of the emulator."""
    inputs = [IntInput(f"in{i}", int(rng.integers(1, 6))) for i in range(rng.integers(1, 3))]
    populations = [random_population(rng, f"p{i}") for i in range(rng.integers(1, 4))]
    groups = [*inputs, *populations]
    projections = [
        random_projection(rng, f"l{i}", groups[rng.integers(len(groups))], populations[rng.integers(len(populations))])
        for i in range(rng.integers(1, 6))
    ]
    return IntNetwork(populations, projections, inputs)


def random_population(rng: np.random.Generator, name: str) -> IntPopulation:
    n = int(rng.integers(1, 9))

    def some(low: int, high: int) -> Any:
        return rng.integers(low, high, n) if rng.random() < 0.5 else int(rng.integers(low, high))

    return IntPopulation(
        name,
        n,
        du=some(0, 4096),
        dv=some(0, 4097),
        vth=some(0, 400) if rng.random() < 0.8 else some(100_000, 131_072),
        bias_mant=some(-300, 600),
        bias_exp=some(0, 5),
        reset=("hard", "soft", "none")[rng.integers(3)],
        quantum=None if rng.random() < 0.5 else some(0, 30_000),
        u0=some(-(2**22), 2**22),
        v0=some(-(2**22), 2**22),
        reset_interval=int(rng.integers(0, 9)),
        reset_offset=int(rng.integers(0, 20)),
    )


def random_projection(rng: np.random.Generator, name: str, pre: Any, post: Any) -> IntProjection:
    sign = rng.integers(3)
    low, high = ((-256, 256), (0, 256), (-255, 1))[sign]
    w = rng.integers(low, high, (post.n, pre.n)) * (rng.random((post.n, pre.n)) < 0.7)
    delay = int(rng.integers(0, 63)) if rng.random() < 0.5 else rng.integers(0, 7, w.shape)
    mode = ("auto", "mixed", "excitatory", "inhibitory")[rng.integers(4)]
    return IntProjection.from_dense(
        name,
        pre.name,
        post.name,
        w,
        delay=delay,
        keep_zeros=bool(rng.integers(2)),
        weight_exp=int(rng.integers(-8, 8)),
        sign_mode=mode,
        num_weight_bits=int(rng.integers(1, 9)),
    )


def random_sample(rng: np.random.Generator, network: IntNetwork, steps: int) -> IntSample:
    rate = rng.random()
    spikes = {g.name: np.argwhere(rng.random((steps, g.n)) < rate) for g in network.inputs}
    scale = int(10 ** rng.uniform(0, 6))
    drive = {p.name: rng.integers(-scale, scale + 1, (steps, p.n)) for p in network.populations if rng.random() < 0.3}
    return IntSample(spikes, drive)


def assert_equal(run: IntRun, log: dict[str, tuple[list, list, list]]) -> None:
    for name, (u, v, s) in log.items():
        shape = run.u[name].shape
        assert np.array_equal(run.u[name], np.reshape(u, shape))
        assert np.array_equal(run.v[name], np.reshape(v, shape))
        assert np.array_equal(run.spikes[name], np.argwhere(np.reshape(s, shape)))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32 - 1), steps=st.integers(0, 80))
def test_emulator_equals_the_reference(seed: int, steps: int) -> None:
    rng = np.random.default_rng(seed)
    network = random_network(rng)
    sample = random_sample(rng, network, steps)
    run = emulate(network, steps, sample, record_u=True, record_v=True)
    log = reference(network, steps, sample)
    assert_equal(run, log)
    check_counts(network, run, sample, log)


def wide_projection(rng: np.random.Generator, name: str, pre: Any, post: Any) -> IntProjection:
    """Between parts of two groups; from few to all pairs; one delay, one a source, or many; pairs in order or not."""
    w = 2 * rng.integers(-64, 64, (post.n, pre.n))
    exists = rng.random(w.shape) < rng.choice([0.1, 0.32, 0.35, 0.9, 1.0])
    low, high = sorted(rng.integers(0, post.n + 1, 2))
    exists[:low], exists[high:] = False, False
    source, target = np.nonzero(exists.T)
    again = source.size and rng.random() < 0.2  # then some pairs are connected twice
    source, target = (np.sort(np.append(source, source[:3])), target) if again else (source, target)
    if again or rng.random() < 0.2:
        target = rng.integers(0, post.n, source.size) if again else target[np.lexsort((-target, source))]
    delay: Any = int(rng.integers(0, 4))
    if rng.random() < 0.4:
        delay = rng.integers(0, 4, pre.n)[source] if rng.random() < 0.5 else rng.integers(0, 4, source.size)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(source, minlength=pre.n))])
    return IntProjection(name, pre.name, post.name, indptr, target, w[target, source], delay, weight_exp=0)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32 - 1))
def test_wide_projections_equal_the_reference(seed: int) -> None:
    rng = np.random.default_rng(seed)
    inputs = [IntInput(name, int(rng.integers(1, 60))) for name in ("a", "b")]
    cells = [IntPopulation(name, int(rng.integers(8, 150)), du=900, dv=300, vth=500) for name in ("c", "d")]
    ends = [(pre, post) for pre in (*inputs, *cells) for post in cells]
    network = IntNetwork(cells, [wide_projection(rng, f"l{i}", *both) for i, both in enumerate(ends)], inputs)
    sample = IntSample({g.name: np.argwhere(rng.random((12, g.n)) < 0.5) for g in inputs})
    run = emulate(network, 12, sample, record_u=True, record_v=True)
    log = reference(network, 12, sample)
    assert_equal(run, log)
    check_counts(network, run, sample, log)


def test_the_order_and_layout_of_events_do_not_matter() -> None:
    cells = IntPopulation("c", 20, vth=100)
    line = IntProjection.from_dense("l", "in", "c", np.arange(-100, 100).reshape(20, 10))
    network = IntNetwork([cells], [line], [IntInput("in", 10)])
    events = np.argwhere(np.random.default_rng(0).random((30, 10)) < 0.3)
    expected = emulate(network, 30, {"in": events}, record_v=True)
    frozen = events.astype(np.int32)
    frozen.flags.writeable = False
    shuffled = events[np.random.default_rng(1).permutation(len(events))]
    for same in (events.astype(np.uint8), np.ascontiguousarray(events), events.tolist(), frozen, shuffled):
        run = emulate(network, 30, {"in": same}, record_v=True)
        assert np.array_equal(run.v["c"], expected.v["c"])
        assert run.counts.events["l"] == expected.counts.events["l"] == 20 * len(events)
    with pytest.raises(NetworkError, match=r"spikes twice.*"):
        emulate(network, 30, {"in": np.concatenate([events, events[3:4]])})
    with pytest.raises(NetworkError, match=r"sources -1\.\.10 do not lie in 0\.\.9"):
        emulate(network, 30, {"in": [(2, 10), (1, -1)]})


def check_counts(network: IntNetwork, run: IntRun, sample: IntSample, log: dict[str, tuple[list, list, list]]) -> None:
    fired = {name: np.sum(s, axis=0, dtype=np.int64) for name, (_, _, s) in log.items()}
    for g in network.inputs:
        fired[g.name] = np.bincount(np.asarray(sample.spikes[g.name])[:, 1], minlength=g.n)
    for name, f in fired.items():
        assert run.counts.spikes[name] == np.sum(f)
    for line in network.projections:
        assert run.counts.events[line.name] == np.sum(fired[line.pre] * np.diff(line.indptr))
    for p in network.populations:
        assert run.counts.active[p.name] + run.counts.idle[p.name] == p.n * run.steps
        assert run.counts.active[p.name] >= run.counts.spikes[p.name]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32 - 1), cut=st.lists(st.integers(0, 30), min_size=1, max_size=4))
def test_a_continued_run_equals_a_run_in_one_piece(seed: int, cut: list[int]) -> None:
    rng = np.random.default_rng(seed)
    network, steps = random_network(rng), sum(cut)
    sample = random_sample(rng, network, steps)
    whole = emulate(network, steps, sample, record_u=True, record_v=True, stride=3)
    emulator, state, first, parts = Emulator(network), None, 0, []
    for length in cut:
        piece = IntSample(
            {n: e[(e[:, 0] >= first) & (e[:, 0] < first + length)] for n, e in sample.spikes.items()},  # type: ignore[call-overload,index]
            {n: np.asarray(d)[first : first + length] for n, d in sample.drive.items()},
        )
        parts.append(emulator.run(length, piece, record_u=True, record_v=True, stride=3, state=state))
        state, first = parts[-1].state, first + length
    assert whole.state is not None and state is not None
    assert np.array_equal(np.concatenate([p.columns for p in parts]), whole.columns)
    for p in network.populations:
        assert np.array_equal(np.concatenate([part.spikes[p.name] for part in parts]), whole.spikes[p.name])
        assert np.array_equal(np.concatenate([part.u[p.name] for part in parts]), whole.u[p.name])
        assert np.array_equal(np.concatenate([part.v[p.name] for part in parts]), whole.v[p.name])
        for field in ("spikes", "active", "idle", "wraps", "clips"):
            assert sum(getattr(part.counts, field)[p.name] for part in parts) == getattr(whole.counts, field)[p.name]
    assert state.column == whole.state.column
    for field in ("u", "v", "arrivals"):
        assert np.array_equal(getattr(state, field), getattr(whole.state, field))


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_a_sample_does_not_depend_on_its_batch(threads: int) -> None:
    rng = np.random.default_rng(11)
    network = random_network(rng)
    samples = [random_sample(rng, network, 50) for _ in range(5)]
    batch = emulate(network, 50, samples, record_u=True, record_v=True, threads=threads)
    assert batch.samples == 5
    for i, sample in enumerate(samples):
        alone = emulate(network, 50, sample, record_u=True, record_v=True)
        for p in network.populations:
            events = batch.spikes[p.name]
            assert np.array_equal(events[events[:, 0] == i, 1:], alone.spikes[p.name])
            assert np.array_equal(batch.u[p.name][i], alone.u[p.name])
            assert np.array_equal(batch.v[p.name][i], alone.v[p.name])
            assert np.array_equal(batch.raster(p.name, p.n)[i], alone.raster(p.name, p.n))
            assert batch.counts.wraps[p.name][i] == alone.counts.wraps[p.name]
        for line in network.projections:
            assert batch.counts.events[line.name][i] == alone.counts.events[line.name]


def test_a_batch_can_be_continued() -> None:
    rng = np.random.default_rng(12)
    network = random_network(rng)
    emulator = Emulator(network)
    samples = [random_sample(rng, network, 20) for _ in range(3)]
    first = emulator.run(20, samples)
    again = emulator.run(20, [{}] * 3, state=first.state)
    repeated = emulator.run(20, [{}] * 3, state=first.state)
    whole = emulator.run(20, samples[1]).state
    assert first.state is not None and whole is not None
    assert np.array_equal(first.state.v[1], whole.v[0])
    for p in network.populations:
        assert np.array_equal(again.spikes[p.name], repeated.spikes[p.name])
    with pytest.raises(InvalidValueError, match="arrivals of shape"):
        emulator.run(5, state=first.state)


def busy_network() -> IntNetwork:
    return IntNetwork([IntPopulation("busy", 40, vth=0, bias_mant=1), IntPopulation("calm", 3)])


def test_more_spikes_than_one_piece_holds() -> None:
    run = emulate(busy_network(), 4000)
    assert run.counts.spikes["busy"] == len(run.spikes["busy"]) == 160_000
    assert np.array_equal(run.spikes["busy"][-1], [3999, 39])


def test_only_what_is_wanted_is_recorded() -> None:
    run = emulate(busy_network(), 10, record_spikes=["calm"], record_u=["busy"], record_v=["calm"], stride=4)
    assert (list(run.spikes), list(run.u), list(run.v)) == (["calm"], ["busy"], ["calm"])
    assert run.columns.tolist() == [0, 4, 8] and run.u["busy"].shape == (3, 40) and run.v["calm"].shape == (3, 3)
    assert run.counts.spikes["busy"] == 400
    assert emulate(busy_network(), 10, record_spikes=False).spikes == {}


def test_mistakes_are_named() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'busy'"):
        emulate(busy_network(), 1, record_v=["bussy"])
    with pytest.raises(InvalidValueError, match="stride is 0"):
        emulate(busy_network(), 1, stride=0)
    with pytest.raises(InvalidValueError, match="steps is -1"):
        emulate(busy_network(), -1)
    with pytest.raises(DeviceLimitError, match="du is 5000"):
        emulate(IntNetwork([IntPopulation("p", 1, du=5000)]), 1)
    with pytest.raises(NetworkError, match="drive of 'calm' has shape"):
        emulate(busy_network(), 2, IntSample(drive={"calm": np.zeros((3, 3), int)}))
