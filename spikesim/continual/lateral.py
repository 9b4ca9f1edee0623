"""The lateral circuit of HLOP as populations and plastic projections, run by an engine.

| population | is | fires |
|---|---|---|
| ``source`` | the presynaptic neurons, with a membrane that takes the feedback | the row, then its residual |
| ``lateral`` | the rows of ``H`` that learn | responses |
| ``frozen`` | the rows of ``H`` of old tasks, if there are any | responses |

A row of activity is presented as spike counts. Then responses are fired, positive before negative ones, and taken from
the membranes of the sources; then what is left there is fired in the same way. A *clock* tells the neurons which of
these it is, a *teacher* the synapses (:mod:`spikesim.models.synapses.subspace`). In numbers it is
:class:`spikesim.continual.Subspace` with ``levels``, and with the residual rounded to a grid as well.

A plastic synapse learns from spikes, so lateral neurons are spiking ones; linear ones, which answer with values,
cannot be expressed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikesim.connect import AllToAll, Dense, OneToOne
from spikesim.continual.subspace import SATURATION, Subspace, like
from spikesim.engine import compile as compile_network
from spikesim.equations.primitives import spike, where
from spikesim.errors import InvalidValueError
from spikesim.models.synapses import subspace
from spikesim.network import Network, Population, Projection
from spikesim.neuron import Neuron, NeuronModel, Param, neuron
from spikesim.stimulus import Input

IDLE, ROW, BEHIND, PLUS, MINUS, LEFT_PLUS, LEFT_MINUS, HOLD = range(8)
"""What the clock says."""
PAUSE = 3
"""Steps between two bursts, so that spikes and the clock arrive everywhere."""
NEVER = -1e9


def _during(clock: Any, phase: int, value: Any, otherwise: Any) -> Any:
    """Return a value while the clock says a phase; the grammar knows no equality."""
    return where((clock > phase - 0.5) & (clock < phase + 0.5), value, otherwise)


@cache
def _source() -> NeuronModel:
    def step(v: Any, row: Any, feedback: Any, clock: Any, p: Any) -> Any:
        taken = _during(clock, PLUS, -feedback, _during(clock, MINUS, feedback, 0.0))
        held = _during(clock, IDLE, 0.0, v + p.unit * _during(clock, ROW, row, 0.0)) + p.quantum * taken
        over = _during(clock, LEFT_PLUS, held, _during(clock, LEFT_MINUS, -held, NEVER)) - 0.5 * p.residual
        s = spike(_during(clock, ROW, row - 0.5, over))
        sign = _during(clock, LEFT_PLUS, 1.0, _during(clock, LEFT_MINUS, -1.0, 0.0))
        return s, held - sign * (p.residual * s)

    params = {
        "unit": Param(1.0, "", "activity of one spike of a row"),
        "quantum": Param(1.0, "", "response of one spike of a lateral neuron"),
        "residual": Param(1.0, "", "residual of one spike"),
    }
    return neuron(  # type: ignore[no-any-return]
        step, name="hlop_source", doc="Presynaptic neuron with a residual", state={"v": 0.0}, params=params
    )


@cache
def _lateral() -> NeuronModel:
    def step(v: Any, i: Any, clock: Any, p: Any) -> Any:
        # the last spikes of a row arrive in the pause behind it
        held = _during(clock, IDLE, 0.0, v + p.unit * _during(clock, ROW, i, _during(clock, BEHIND, i, 0.0)))
        s = spike(_during(clock, PLUS, held, _during(clock, MINUS, -held, NEVER)) - 0.5 * p.quantum)
        return s, held - _during(clock, MINUS, -1.0, 1.0) * (p.quantum * s)

    params = {
        "unit": Param(1.0, "", "activity of one spike of a row"),
        "quantum": Param(1.0, "", "response of one spike"),
    }
    return neuron(  # type: ignore[no-any-return]
        step, name="hlop_lateral", doc="Lateral neuron of a subspace circuit", state={"v": 0.0}, params=params
    )


@dataclass(frozen=True)
class Lateral:
    """A lateral circuit to be run.

    Parameters
    ----------
    circuit
        Where it starts, with ``levels`` (a response is a burst of so many spikes at most, of either sign) and
        ``iterations``.
    batch
        Rows in a batch.
    most
        Most spikes of a source in a row.
    unit
        Activity of one of these spikes.
    finest
        Residual of one spike.
    longest
        Most spikes of a burst of residuals, of either sign; what is larger is cut.

    Raises
    ------
    InvalidValueError
        If lateral neurons are linear.
    """

    circuit: Subspace
    batch: int
    most: int = 8
    unit: float = 0.125
    finest: float = 1 / 64
    longest: int = 128

    def __post_init__(self) -> None:
        if self.circuit.levels is None:
            raise InvalidValueError(
                "lateral neurons that are run fire bursts; give the circuit levels (spikes per burst), found None"
            )

    @property
    def quantum(self) -> float:
        """Response of one spike."""
        return SATURATION / int(self.circuit.levels or 1)

    def network(self) -> Network:
        """Return the circuit as populations and plastic projections."""
        rows = np.asarray(like(self.circuit.rows, np.zeros(0)))
        frozen, learning = rows[: self.circuit.frozen], rows[self.circuit.frozen :]
        settings = {
            "eta": self.circuit.learning_rate, "momentum": self.circuit.momentum, "clip": self.circuit.clip,
            "scale": self.quantum * self.finest / self.batch,
        }  # fmt: skip
        source = Neuron(_source(), {"unit": self.unit, "quantum": self.quantum, "residual": self.finest})
        answering = Neuron(_lateral(), {"unit": self.unit, "quantum": self.quantum})
        one = 1e-3
        populations = [Population("source", self.circuit.n, source)]
        projections = [
            Projection("row", "source", OneToOne(), weight=1.0, delay=one, port="row"),
            Projection("clock", "source", AllToAll(), weight=1.0, delay=one, port="clock"),
        ]
        for name, weights in (("frozen", frozen), ("lateral", learning)):
            if len(weights):
                there = back = None
                if name == "lateral":
                    there = subspace("teacher", "to_lateral", **settings)
                    back = subspace("teacher", "from_lateral", **settings)
                populations.append(Population(name, len(weights), answering))
                projections += [
                    Projection("clock", name, AllToAll(), weight=1.0, port="clock"),
                    Projection("source", name, Dense(weights), delay=one, port="i", plasticity=there),
                    Projection(name, "source", Dense(weights.T), delay=one, port="feedback", plasticity=back),
                ]
        stimuli = [Input("row", self.circuit.n), Input("clock", 1, graded=True), Input("teacher", 1, graded=True)]
        return Network(populations, projections, stimuli, dt=one, name="lateral circuit")

    def inputs(self, counts: ArrayLike) -> dict[str, NDArray[np.float64]]:
        """Return what is shown to the network: batches of rows, each as often as the circuit iterates.

        Parameters
        ----------
        counts
            Spikes of each source in each row, whole numbers ``[rows, n]``; the rows are a multiple of ``batch``.
        """
        found = np.asarray(counts)
        problems = []
        if found.ndim != 2 or found.shape[1] != self.circuit.n or len(found) % self.batch:
            problems.append(f"counts must be [a multiple of {self.batch}, {self.circuit.n}], found {list(found.shape)}")
        elif found.min(initial=0) < 0 or found.max(initial=0) > self.most:
            problems.append(f"counts must be from 0 to {self.most}, found {found.min()} to {found.max()}")
        if problems:
            raise InvalidValueError("\n".join(problems))
        rows, clock, teacher = [], [], []
        for batch in found.reshape(-1, self.batch, self.circuit.n):
            for _ in range(self.circuit.iterations):
                for k, row in enumerate(batch):
                    shown, told, taught = self._one(row, last=k == self.batch - 1)
                    rows.append(shown)
                    clock.append(told)
                    teacher.append(taught)
        values = {"row": np.concatenate(rows), "clock": np.concatenate(clock), "teacher": np.concatenate(teacher)}
        return {name: value.reshape(len(value), 1, -1) for name, value in values.items()}

    def _one(self, row: NDArray[Any], last: bool) -> tuple[Any, Any, Any]:
        """Return spikes, clock and teacher of one row."""
        levels = int(self.circuit.levels or 0)
        clock: list[int] = []
        teacher: list[int] = []
        for phase, steps, code in (
            (ROW, self.most, 0), (PLUS, levels, 1), (MINUS, levels, 2), (LEFT_PLUS, self.longest, 3),
            (LEFT_MINUS, self.longest, 4), (IDLE, 1, 5), (IDLE, 1, 6 if last else 0),
        ):  # fmt: skip
            pause = {IDLE: IDLE, ROW: BEHIND}.get(phase, HOLD)
            clock += [phase] * steps + [pause] * PAUSE
            teacher += [0] * (steps + PAUSE - 1) + [code]
        spikes = np.zeros((len(clock), len(row)))
        spikes[: self.most] = np.arange(self.most)[:, None] < row
        return spikes, np.array(clock, float), np.array(teacher, float)

    def learn(self, counts: ArrayLike, backend: str = "numba") -> NDArray[np.float64]:
        """Run the circuit on rows, and return all rows of ``H`` afterwards, ``[k, n]``.

        Parameters
        ----------
        counts
            See :meth:`inputs`.
        backend
            Which engine.

        Raises
        ------
        InvalidValueError
            If the weights to lateral neurons and those back are not the same any more, which cannot be.
        """
        program = compile_network(self.network(), backend)
        given = self.inputs(counts)
        program.step(len(given["clock"]), given)
        k = len(self.circuit.rows) - self.circuit.frozen
        there = np.asarray(program.get_weights("source->lateral:i")).reshape(self.circuit.n, k).T
        back = np.asarray(program.get_weights("lateral->source:feedback")).reshape(k, self.circuit.n)
        if not np.array_equal(there, back):
            raise InvalidValueError("weights to lateral neurons and back have come apart")
        return np.concatenate([np.asarray(like(self.circuit.rows, np.zeros(0)))[: self.circuit.frozen], there])
