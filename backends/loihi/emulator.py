"""Run an integer network exactly as Lava's fixed-point simulation does, without Lava.

For every neuron in every column, with a the arriving sum and decay(x, d) = x * (4096 - d) / 4096 rounded towards 0:

1. ``u = decay(u, du + 1) + (a << 6)``, wrapped once into (-2^23, 2^23];
2. ``v = decay(v, dv) + u + bias``, clipped to +-(2^23 - 1);
3. a spike if ``v > vth << 6``, then ``v = 0`` (hard) or ``v -= quantum`` (soft);
4. with a refractory period, v stays 0 in the ``refractory - 1`` columns after a spike, while u goes on.

Sources: lava-nc 0.10.0 (``lava/proc/lif/models.py``, ``lava/proc/dense/models.py``); Davies et al. 2018, "Loihi: a
neuromorphic manycore processor with on-chip learning". Loihi 2 itself has no public model: these are emulator numbers.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

import numpy as np

from spikesim.backends.loihi.beside import Beside, Companion, is_static
from spikesim.backends.loihi.collect import assemble
from spikesim.backends.loihi.layout import Layout, lay_out, per_neuron
from spikesim.backends.loihi.sample import RawSample, Wanted, run_sample
from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.fixedpoint import IntNetwork, IntRun, IntSample, IntState, check_network
from spikesim.fixedpoint.run import InputsLike, as_samples

Which: TypeAlias = bool | Collection[str]


def emulate(
    network: IntNetwork,
    steps: int,
    inputs: InputsLike | Sequence[InputsLike] = (),
    *,
    record_spikes: Which = True,
    record_u: Which = False,
    record_v: Which = False,
    stride: int = 1,
    state: IntState | None = None,
    threads: int | None = None,
) -> IntRun:
    """Run a network for a number of columns; see `Emulator.run`, which does not check the network anew each time.

    Examples
    --------
    >>> from spikesim.fixedpoint import IntInput, IntNetwork, IntPopulation, IntProjection
    >>> cell = IntPopulation("cell", 1, du=4095, dv=4095, vth=50)
    >>> line = IntProjection.from_dense("line", "in", "cell", [[100]])
    >>> run = emulate(IntNetwork([cell], [line], [IntInput("in", 1)]), 5, {"in": [(2, 0)]})
    >>> run.spikes["cell"].tolist()
    [[3, 0]]
    """
    return Emulator(network).run(
        steps,
        inputs,
        record_spikes=record_spikes,
        record_u=record_u,
        record_v=record_v,
        stride=stride,
        state=state,
        threads=threads,
    )


class Emulator:
    """A checked network, laid out for the kernels. Holds no state: `run` takes it and gives it back.

    Parameters
    ----------
    network
        The network.

    Raises
    ------
    DeviceLimitError
        If a parameter does not fit into its register; lists all.
    """

    def __init__(self, network: IntNetwork) -> None:
        check_network(network)
        self.network = network
        self.layout: Layout = lay_out(network)
        static = all(is_static(network, p) for p in network.projections)
        self.beside = None if static else Beside(network, self.layout.first, self.layout.n_neurons)
        self._u0, self._v0 = (per_neuron(network.populations, f) for f in (lambda p: p.u0, lambda p: p.v0))

    def initial_state(self, samples: int = 1) -> IntState:
        """Return the state before column 0 for a number of samples."""
        layout, shape = self.layout, (samples, self.layout.n_neurons)
        return IntState(
            column=0,
            u=np.broadcast_to(self._u0, shape),
            v=np.broadcast_to(self._v0, shape),
            arrivals=np.zeros((samples, layout.slots, layout.n_neurons), np.int32),
            wait=np.zeros(shape, np.int32),
        )

    def run(
        self,
        steps: int,
        inputs: InputsLike | Sequence[InputsLike] = (),
        *,
        record_spikes: Which = True,
        record_u: Which = False,
        record_v: Which = False,
        stride: int = 1,
        state: IntState | None = None,
        threads: int | None = None,
    ) -> IntRun:
        """Run some columns from the beginning, or from where another run ended.

        Parameters
        ----------
        steps
            Number of columns.
        inputs
            One sample, or a sequence of samples that run side by side and cannot influence each other; an empty
            sequence means one sample without input.
        record_spikes, record_u, record_v
            Which populations to record: all, none, or the names.
        stride
            u and v are recorded in the columns that it divides.
        state
            ``IntRun.state`` of the run to continue, with as many samples. It is copied, so it can be used again.
        threads
            Samples that run at the same time; by default as many as this process may use cores. The result does not
            depend on it.

        Returns
        -------
        IntRun
            With the state after the last column.

        Raises
        ------
        NetworkError
            If the inputs do not fit; lists all problems.
        InvalidValueError
            If `stride` is not positive or `state` belongs to another network or batch.
        UnknownNameError
            If a population to record does not exist.
        """
        if stride < 1:
            raise InvalidValueError(f"stride is {stride}; it must be at least 1")
        column = 0 if state is None else state.column
        empty = isinstance(inputs, Sequence) and len(inputs) == 0
        samples, batched = as_samples(self.network, column, steps, IntSample() if empty else inputs)
        start = self.initial_state(len(samples)) if state is None else self._matching(state, len(samples))
        spikes, u, v = (self._names(which) for which in (record_spikes, record_u, record_v))
        wanted = Wanted(spikes, u, v, stride, column, steps)

        along: list[Companion | None] = [None] * len(samples)
        if self.beside is not None:
            along = [self.beside.begin(s, start, i, column, steps) for i, s in enumerate(samples)]

        def one(i: int) -> RawSample:
            return run_sample(self.layout, samples[i], start, i, wanted, along[i])

        workers = min(len(samples), _cores() if threads is None else max(1, threads))
        if workers > 1:
            with ThreadPoolExecutor(workers) as pool:
                raw = list(pool.map(one, range(len(samples))))
        else:
            raw = [one(i) for i in range(len(samples))]
        run = assemble(self.layout, raw, batched, wanted)
        return run if self.beside is None else self.beside.finish(run, [c for c in along if c])

    def _names(self, which: Which) -> list[str]:
        known = [p.name for p in self.network.populations]
        if isinstance(which, bool):
            return known if which else []
        for name in which:
            if name not in known:
                raise UnknownNameError("population", name, known)
        return [name for name in known if name in which]

    def _matching(self, state: IntState, samples: int) -> IntState:
        shape = (samples, self.layout.slots, self.layout.n_neurons)
        if state.arrivals.shape != shape or state.u.shape != (samples, self.layout.n_neurons):
            raise InvalidValueError(
                f"the state has arrivals of shape {state.arrivals.shape}, this network and batch need {shape}; "
                "continue with the network and the number of samples the state came from"
            )
        return state


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
