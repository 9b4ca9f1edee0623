"""Online training through time (OTTT): gradients step by step, from decaying traces of what came in.

With spikes of the past taken as given, the membrane of a neuron depends on a weight through a trace of its source,
``a[t] = lam a[t-1] + s[t]``, where ``lam`` is the decay of the membrane between spikes. The error ``g[t]`` of a
membrane is that of the loss of the same step, passed back through the layers within the step. The gradient is the sum
over steps of ``g[t]^T a[t]``: nothing of a step is needed once it is over.

Reference: Xiao, Meng, Zhang, He and Lin, "Online Training Through Time for Spiking Neural Networks", NeurIPS 2022,
arXiv 2210.04195. There the current of an input that never changes is not traced; here every source is, as follows from
the same equations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from spikesim.backends.torch.module import SpikingModule
from spikesim.backends.torch.rules.membrane import Decay, decay
from spikesim.backends.torch.rules.online import Walk
from spikesim.backends.torch.rules.parts import Watcher, one_length, rasters
from spikesim.errors import UnsupportedError
from spikesim.train.readout import Readout


class Ottt:
    """The rule ``"ottt"``.

    Parameters
    ----------
    module
        The network.
    watcher
        Shows traces and gradients of every step.
    reader
        How the last population is read.
    every_step
        Update the weights after every step instead of once for all steps.

    Raises
    ------
    UnsupportedError
        If the network does not fit the rule; says all reasons.
    """

    def __init__(self, module: SpikingModule, watcher: Watcher, reader: Readout, every_step: bool = False) -> None:
        self.module, self.watcher, self.reader, self.every_step = module, watcher, reader, every_step
        self.decays, problems = _decays(module, reader)
        problems += _delay_problems(module)
        if len(module.learned):
            problems.append("neuron parameters are learned by rule 'bptt' only; leave params out")
        if problems:
            raise UnsupportedError(problems, f"network {module.graph.name!r} cannot be trained with rule 'ottt':")

    def __call__(self, task: Any, batch: Any, update: Callable[[], None]) -> tuple[torch.Tensor, float]:
        """Learn from a batch; see :class:`spikesim.train.rules.Rule`."""
        given = task.over_time(batch.x)
        steps, reader = len(given), self.reader
        walk = Walk(self.module, {task.entry.name: given}, reader.record, self.decays, self.watcher)
        one_length("ottt", batch)
        over_time = task.loss.over_time or batch.y.ndim == 3  # every step has its own loss, or its own target
        last = reader.name == "membrane_last" and not over_time
        losses, read, score = [], torch.zeros(()), 0.0
        for t in range(steps):
            outputs = walk.forward(t)
            now = outputs[reader.output]
            read = now.detach() if last else read + now.detach()
            if last and t < steps - 1:
                continue  # nothing is read yet
            given_now = batch._replace(y=batch.y[:, t : t + 1]) if batch.y.ndim == 3 else batch
            outcome = task.judge(now, rasters(self.module, outputs, reader), given_now)
            score += outcome.score / steps
            loss = outcome.loss / (1 if last else steps)
            loss.backward()
            walk.backward(total=not self.every_step)
            losses.append(loss.detach())
            if self.every_step:
                update()
        if not self.every_step:
            update()
        if batch.y.ndim < 3:  # one answer per sample: from what all steps said, as if it were one
            with torch.no_grad():
                read = read / steps if reader.name == "membrane_mean" else read
                score = task.judge(read, rasters(self.module, outputs, reader), batch).score
        return torch.stack(losses).sum(), score


def _decays(module: SpikingModule, reader: Readout) -> tuple[dict[str, Decay], list[str]]:
    """Return the decay of each projection's trace, and for which there is none."""
    found, problems = {}, []
    for edge in module.graph.edges:
        node = module.graph.node(edge.post)
        try:
            reads = reader.state if node.name == reader.population and reader.state else "spike"
            found[edge.name] = decay(node.model, edge.port, module.constants(node), reads)
        except UnsupportedError as error:
            problem = f"population {node.name!r} (neuron {node.model.name!r}): {error}; use rule 'bptt'"
            if problem not in problems:
                problems.append(problem)
    return found, problems


def _delay_problems(module: SpikingModule) -> list[str]:
    """Say which projections would keep errors from the layers before them."""
    graph = module.graph
    return [
        f"projection {e.name!r}: errors travel within a step, so a delay between layers must be 0, found "
        f"{e.max_delay} steps; use rule 'bptt'"
        for e in graph.edges
        if e.max_delay and graph.source(e.pre) is None and e.name not in graph.recurrent_edges
    ]
