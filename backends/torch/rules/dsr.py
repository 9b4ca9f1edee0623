"""Differentiation on spike representation (DSR): spikes forward, gradients of weighted rates backward.

A soft-reset neuron adds up what it cannot pass on, so its rate over T steps, weighted by what its leak leaves of a step
until the end, follows from the rate of what comes in::

    r = sum_t lam^(T-t) s[t] / W,    x = sum_t lam^(T-t) (g i[t] + b) / W,    W = sum_t lam^(T-t)
    r = clamp(x / q, 0, 1) + (lam^T v[0] - v[T]) / (q W)     exactly, while x / q is from 0 to 1

The last term is what is left in the membrane; without a leak it vanishes as 1 / T. Forward, the network runs with its
spikes; backward, errors pass the clamps as if each layer were one, with the measured weighted rates as activities.
Hence no surrogate, and a backward pass that does not depend on T.

Reference: Meng, Xiao, Yan, Wang, Lin and Luo, "Training High-Performance Low-Latency Spiking Neural Networks by
Differentiation on Spike Representation", CVPR 2022, arXiv 2205.00459. There spikes have the height of the threshold;
here they are 1 and the weights hold it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from spikesim.backends.torch.module import SpikingModule
from spikesim.backends.torch.rules.parts import Watcher, one_length, rasters
from spikesim.backends.torch.rules.representation import Representation, represent
from spikesim.backends.torch.wire import Wire
from spikesim.errors import InvalidValueError, UnsupportedError
from spikesim.graph import Node
from spikesim.train.readout import Readout


class Dsr:
    """The rule ``"dsr"``.

    Parameters
    ----------
    module
        The network.
    watcher
        Shows weighted averages and gradients.
    reader
        How the last population is read.

    Raises
    ------
    UnsupportedError
        If the network does not fit the rule; says all reasons.
    """

    def __init__(self, module: SpikingModule, watcher: Watcher, reader: Readout) -> None:
        self.module, self.watcher, self.reader = module, watcher, reader
        problems = _problems(module, reader)
        if problems:
            raise UnsupportedError(problems, f"network {module.graph.name!r} cannot be trained with rule 'dsr':")

    def __call__(self, task: Any, batch: Any, update: Callable[[], None]) -> tuple[torch.Tensor, float]:
        """Learn from a batch; see :class:`spikesim.train.rules.Rule`."""
        one_length("dsr", batch)
        if batch.y.ndim == 3:
            raise InvalidValueError("rule 'dsr' has one rate for all steps; targets for each step need another rule")
        given = {task.entry.name: task.over_time(batch.x)}
        with torch.no_grad():
            outputs = self.module(given, record=self.reader.record)
        averages: dict[str, list[torch.Tensor]] = {}
        with self.watcher.listening(self.module.wires()):
            self._represent(given, outputs, averages)
        loss, score = task.judge(outputs[self.reader.output], rasters(self.module, outputs, self.reader), batch)
        loss.backward()
        for wire in self.module.wires():
            rows = averages[wire.edge.name]
            self.watcher(wire, torch.cat(rows) if len(rows) > 1 else rows[0])
        update()
        return loss.detach(), score

    def _represent(
        self,
        given: Mapping[str, torch.Tensor],
        outputs: dict[str, torch.Tensor],
        averages: dict[str, list[torch.Tensor]],
    ) -> None:
        """Give the outputs, measured without gradients, those of the representation; keep the average inputs."""
        emitted = self.module.emitted(given) | {n.name: outputs[n.name] for n in self.module.graph.nodes}
        steps, samples = next(iter(emitted.values())).shape[:2]
        drives, wires = self.module.drives(steps, samples), self.module.wires()
        rates: dict[str, torch.Tensor] = {}
        for node in self.module.graph.nodes:
            form = represent(node.model, self.module.constants(node))
            over_time = self._weights(node, form, steps)
            share = over_time / over_time.sum()
            total = form.bias.to(self.module.dtype)
            for wire in wires:
                if wire.edge.post == node.name:
                    rows = averages[wire.edge.name] = _averages(wire, emitted[wire.edge.pre], share)
                    for group, row in enumerate(rows):
                        arrived = wire.apply(_through(row, rates.get(wire.edge.pre)), group)
                        total = total + form.gain[wire.edge.port].to(self.module.dtype) * arrived
            for port, drive in drives.get(node.name, {}).items():
                drive = torch.tensordot(share, drive.to(self.module.dtype), 1)
                total = total + form.gain[port].to(self.module.dtype) * drive
            if form.quantum is None:
                outputs[self.reader.output] = _through(outputs[self.reader.output], total * over_time.sum())
            else:
                rates[node.name] = (total / form.quantum.to(self.module.dtype)).clamp(0.0, 1.0)
                outputs[node.name] = _through(outputs[node.name], rates[node.name])

    def _weights(self, node: Node, form: Representation, steps: int) -> torch.Tensor:
        """Return what counts how much: what is left of each step's input at the end, or on average over the steps."""
        left = form.keep ** torch.arange(steps - 1, -1, -1, dtype=torch.float64)
        if form.quantum is None and self.reader.name == "membrane_mean":
            left = left.flip(0).cumsum(0).flip(0) / steps
        return left.to(self.module.device, self.module.dtype)


def _through(measured: torch.Tensor, represented: torch.Tensor | None) -> torch.Tensor:
    """Return what was measured, with the gradient of what represents it."""
    return measured if represented is None else measured + (represented - represented.detach())


def _averages(wire: Wire, values: torch.Tensor, share: torch.Tensor) -> list[torch.Tensor]:
    """Return the weighted average over time of what arrives with each delay, ``[samples, n_pre]``."""
    steps, found = len(values), []
    for delay in wire.delays():
        rest = max(steps - delay, 0)
        if values.stride(0) == 0:
            found.append(values[0] * share[steps - rest :].sum())
        else:
            found.append(torch.tensordot(share[steps - rest :], values[:rest], 1))
    return found


def _problems(module: SpikingModule, reader: Readout) -> list[str]:
    """Say what of a network has no representation by rates."""
    problems = [
        f"projection {name!r} lies on a cycle, which weighted rates cannot represent; use rule 'bptt' or 'ottt'"
        for name in sorted(module.graph.recurrent_edges)
    ]
    for node in module.graph.nodes:
        who = f"population {node.name!r} (neuron {node.model.name!r})"
        try:
            form = represent(node.model, module.constants(node))
        except UnsupportedError as error:
            problems.append(f"{who}: {error}; use rule 'bptt'")
            continue
        learned = {key.split("/")[1]: p for key, p in module.learned.items() if key.startswith(f"{node.name}/")}
        problems += [
            f"{who}: the weighted rate does not depend on {name!r}; leave it out of params"
            for name, parameter in learned.items()
            if not _matters(parameter, form)
        ]
        read = reader.state and node.name == reader.population
        if form.quantum is not None and read:
            problems.append(f"{who} fires, so its rate is what is represented, not its membrane; use readout 'rate'")
        if form.quantum is None and not read:
            problems.append(f"{who} never fires, so it passes nothing on to the layers after it; leave it out")
    return problems


def _matters(parameter: torch.Tensor, form: Representation) -> bool:
    """Tell whether what a representation is made of has a slope for a parameter."""
    made_of = [x for x in (*form.gain.values(), form.bias, form.quantum) if x is not None and x.requires_grad]
    slopes = [torch.autograd.grad(x.sum(), parameter, retain_graph=True, allow_unused=True)[0] for x in made_of]
    return any(bool((slope != 0).any()) for slope in slopes if slope is not None)
