"""How well a recurrent network serves a task, and what it costs: the read-out is trained, the network is not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.counts import Counts
from spikesim.network import Network
from spikesim.recording import Recording
from spikesim.reservoir.attach import fitted, own_input
from spikesim.reservoir.closed_loop import predict_freely
from spikesim.reservoir.features import TAU, drive, pooled
from spikesim.reservoir.readout import Linear, logistic, ridge
from spikesim.reservoir.tasks import Classification, Prediction, Task
from spikesim.reservoir.tasks import task as task_by_name

Floats = NDArray[np.float64]

BATCH = 200  # samples run side by side: their filtered spikes fit the memory of a small machine


@dataclass(frozen=True, eq=False)
class Scores:
    """What came out.

    Parameters
    ----------
    task, seed
        What was evaluated.
    metrics
        Of a prediction ``"rmse"`` (in deviations of the part that was learned from), ``"nrmse"`` (root mean square over
        channels of RMSE over the deviation of the test part; 1 is what the mean of the test part would get), and
        ``"vpt"``, the mean valid prediction time in Lyapunov times, if asked for; of a classification ``"accuracy"``.
        All on the test part.
    neurons, synapses
        Of the network without inputs and read-out; synapses whose weight is not 0.
    input_synapses, readout_synapses
        Of the input's projections, and weights of the read-out.
    spikes, sops, input_sops
        Spikes, recurrent synaptic operations (each spike times its synapses) and those of the input, per value of the
        series, over all that was run.
    input
        ``"own"`` if the network's own input was used, ``"drawn"`` if one was put in its place
        (:func:`spikesim.reservoir.with_input`).
    readout
        What was trained.
    network, recording
        What ran, with its input, and its run (of the last batch): ``profile(scores.recording, scores.network)``.
    """

    task: str
    seed: int
    metrics: Mapping[str, float]
    neurons: int
    synapses: int
    input_synapses: int
    readout_synapses: int
    spikes: float
    sops: float
    input_sops: float
    input: str
    readout: Linear
    network: Network
    recording: Recording

    def row(self) -> dict[str, Any]:
        """Return the plain numbers, for a table or a file."""
        skipped = ("metrics", "readout", "network", "recording")
        return {**{k: v for k, v in vars(self).items() if k not in skipped}, **self.metrics}


def evaluate(
    network: Network, task: str | Task, seed: int = 0, *, tau: float = TAU, starts: int = 0, backend: str | None = None
) -> Scores:
    """Train a read-out for a task on a network's filtered spikes, and test it.

    Parameters
    ----------
    network
        Any network: an :func:`~spikesim.models.networks.hrsnn`, a pruned one, a user's. If it has no input that takes
        the task's channels, its inputs are replaced by a random one; every population is read.
    task
        A name in :data:`spikesim.reservoir.TASKS`, or a task. A name takes ``seed`` for its data.
    seed
        Of a named task's data, of an input that is drawn, of the validation part.
    tau
        Time constant (s) of the filter.
    starts
        Of a prediction whose Lyapunov exponent is known: from how many places the network goes on alone, for ``"vpt"``
        (:func:`spikesim.reservoir.predict_freely`). 0 leaves it out.
    backend
        See :func:`spikesim.run`.

    Returns
    -------
    Scores

    Examples
    --------
    >>> from spikesim.models.networks import hrsnn
    >>> scores = evaluate(hrsnn(60), "lorenz")
    >>> scores.neurons, scores.synapses, scores.metrics["nrmse"] < 1
    (60, 840, True)
    """
    chosen = task_by_name(task, seed) if isinstance(task, str) else task
    ready = fitted(network, chosen.channels, seed)
    how = _predict if isinstance(chosen, Prediction) else _classify
    readout, metrics, recording, tally = how(ready, chosen, seed, tau, backend)  # type: ignore[arg-type]
    if starts and isinstance(chosen, Prediction) and np.isfinite(chosen.series.lyapunov):
        free = predict_freely(ready, chosen, starts=starts, tau=tau, seed=seed, backend=backend)
        metrics = {**metrics, "vpt": float(free.lyapunov_times.mean())}
    return Scores(
        task=chosen.name,
        seed=seed,
        metrics=metrics,
        neurons=sum(p.n for p in ready.populations),
        readout_synapses=readout.synapses,
        input="own" if own_input(network, chosen.channels) else "drawn",
        readout=readout,
        network=ready,
        recording=recording,
        **tally.means(),
    )


class _Tally:
    """Adds up the counts of several runs of one network."""

    def __init__(self, hold: int) -> None:
        self.hold, self.values = hold, 0
        self.spikes = self.sops = self.input_sops = self.synapses = self.input_synapses = 0

    def add(self, counts: Counts, populations: set[str]) -> None:
        self.values += counts.samples * counts.steps // self.hold
        self.spikes += counts.spikes
        loops = [p for p in counts.projections.values() if p.pre in populations]
        ways = [p for p in counts.projections.values() if p.pre not in populations]
        self.sops += sum(int(p.events.sum()) for p in loops)
        self.input_sops += sum(int(p.events.sum()) for p in ways)
        self.synapses, self.input_synapses = sum(p.synapses for p in loops), sum(p.synapses for p in ways)

    def means(self) -> dict[str, Any]:
        per_value = {k: getattr(self, k) / self.values for k in ("spikes", "sops", "input_sops")}
        return {**per_value, "synapses": self.synapses, "input_synapses": self.input_synapses}


def _predict(network: Network, task: Prediction, seed: int, tau: float, backend: str | None) -> Any:
    series, ahead = task.standardised(), task.horizon
    x, recording = drive(network, series[None], task.hold, tau, seed, backend)
    first, cut, last = task.discard, task.cut, len(series) - ahead
    readout = ridge(x[0, first : cut - ahead], series[first + ahead : cut])  # no target lies in the test part
    error = readout(x[0, cut:last]) - series[cut + ahead :]
    tally = _Tally(task.hold)
    tally.add(recording.counts, {p.name for p in network.populations})
    return readout, _errors(error, series[cut + ahead :]), recording, tally


def _errors(error: Floats, target: Floats) -> dict[str, float]:
    square = (error**2).mean(axis=0)
    spread = np.maximum(target.var(axis=0), 1e-300)
    return {"rmse": float(np.sqrt(square.mean())), "nrmse": float(np.sqrt((square / spread).mean()))}


def _classify(network: Network, task: Classification, seed: int, tau: float, backend: str | None) -> Any:
    data, tally = task.data, _Tally(task.hold)
    names = {p.name for p in network.populations}
    parts = []
    for x, lengths in zip(task.standardised(), (data.lengths_train, data.lengths_test), strict=True):
        found = []
        for at in range(0, len(x), BATCH):
            batch = slice(at, at + BATCH)
            seen, recording = drive(network, x[batch], task.hold, tau, seed, backend)
            tally.add(recording.counts, names)
            found.append(pooled(seen, None if lengths is None else lengths[batch]))
        parts.append(np.concatenate(found))
    readout = logistic(parts[0], data.y_train, seed=seed)
    right = readout(parts[1]).argmax(axis=1) == data.y_test
    return readout, {"accuracy": float(right.mean())}, recording, tally
