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

from collections.abc import Callable, Mapping
from typing import Any

import torch

from spikesim.backends.torch.module import SpikingModule
from spikesim.backends.torch.rules.membrane import Decay, decay
from spikesim.backends.torch.rules.online import Walk
from spikesim.backends.torch.rules.parts import Watcher
from spikesim.errors import UnsupportedError


class Ottt:
    """The rule ``"ottt"``.

    Parameters
    ----------
    module
        The network.
    watcher
        Shows traces and gradients of every step.
    read
        Population to the state that is read out in place of its spikes.
    every_step
        Update the weights after every step instead of once for all steps.

    Raises
    ------
    UnsupportedError
        If the network does not fit the rule; says all reasons.
    """

    def __init__(
        self, module: SpikingModule, watcher: Watcher, read: Mapping[str, str], every_step: bool = False
    ) -> None:
        self.module, self.watcher, self.every_step = module, watcher, every_step
        self.decays, problems = _decays(module, read)
        problems += _delay_problems(module)
        if len(module.learned):
            problems.append("neuron parameters are learned by rule 'bptt' only; leave params out")
        if problems:
            raise UnsupportedError(problems, f"network {module.graph.name!r} cannot be trained with rule 'ottt':")

    def __call__(
        self, task: Any, x: torch.Tensor, y: torch.Tensor, update: Callable[[], None]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Learn from a batch; see :class:`spikesim.train.rules.Rule`."""
        given = task.present(x)
        walk = Walk(self.module, given, task.reader.record, self.decays, self.watcher)
        last = task.reader.name == "membrane_last"
        value = scores = None
        for t in range(walk.steps):
            outputs = walk.forward(t)
            now = task.reader.scores(outputs)
            scores = now.detach() if scores is None or last else scores + now.detach()
            if last and t < walk.steps - 1:
                continue  # nothing is read yet
            share = task.judge(outputs, y, 1) / (1 if last else walk.steps)
            share.backward()
            walk.backward(total=not self.every_step)
            value = share.detach() if value is None else value + share.detach()
            if self.every_step:
                update()
        if not self.every_step:
            update()
        return value, task.right(scores, y)


def _decays(module: SpikingModule, read: Mapping[str, str]) -> tuple[dict[str, Decay], list[str]]:
    """Return the decay of each projection's trace, and for which there is none."""
    found, problems = {}, []
    for edge in module.graph.edges:
        node = module.graph.node(edge.post)
        try:
            found[edge.name] = decay(node.model, edge.port, module.constants(node), read.get(node.name, "spike"))
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
