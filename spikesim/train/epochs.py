"""The loop over epochs and batches."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikesim.data.dataset import split
from spikesim.errors import InvalidValueError
from spikesim.stimulus import Input
from spikesim.train.losses import Loss, rate_penalty
from spikesim.train.readout import Readout
from spikesim.train.result import Epoch
from spikesim.train.rules import Rule
from spikesim.train.samples import Encode, present

if TYPE_CHECKING:
    import torch

OPTIMISERS = {"adam": "Adam", "adamw": "AdamW", "nadam": "NAdam", "rmsprop": "RMSprop", "sgd": "SGD"}
OPTIMISER_SETTINGS: dict[str, dict[str, Any]] = {"sgd": {"momentum": 0.9}}
SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda done: 1.0,
    "cosine": lambda done: 0.5 * (1.0 + math.cos(math.pi * done)),
    "linear": lambda done: 1.0 - done,
}
EVALUATION_BATCH = 256


class Batch(NamedTuple):
    """Samples and their labels."""

    x: torch.Tensor
    y: torch.Tensor


class Outcome(NamedTuple):
    """Of a batch: the loss, to be differentiated, and how many answers were right."""

    loss: torch.Tensor
    score: float


@dataclass(frozen=True, eq=False)
class Task:
    """What a batch is put through.

    Parameters
    ----------
    module
        The network as a module.
    entry, encode, steps
        Where samples go in, and how they are presented.
    reader, loss, rate_penalty, rate_target
        What is read and what is minimised.
    rule
        Learns from a batch.
    """

    module: Any
    entry: Input
    reader: Readout
    loss: Loss
    encode: Encode
    steps: int
    rate_penalty: float
    rate_target: float
    rule: Rule

    def __call__(self, batch: Batch) -> Outcome:
        """Return the outcome of a batch."""
        given = self.over_time(batch.x)
        outputs = self.module({self.entry.name: given}, record=self.reader.record)
        hidden = {n.name: outputs[n.name] for n in self.module.graph.nodes if n.name != self.reader.population}
        return self.judge(outputs[self.reader.output], hidden, batch)

    def over_time(self, x: torch.Tensor) -> torch.Tensor:
        """Return samples as ``[steps, samples, *shape]``."""
        import torch

        if self.encode == "constant":  # stays a tensor that is the same at every step
            return x.reshape(len(x), *self.entry.shape).expand(self.steps, -1, *self.entry.shape)
        return torch.as_tensor(np.array(present(x.numpy(), self.encode, self.steps, self.entry)))

    def judge(self, values: torch.Tensor, rasters: Mapping[str, torch.Tensor], batch: Batch) -> Outcome:
        """Return the outcome of what the module gave: the last population's values, and spikes of those before it."""
        scores = self.reader.scores({self.reader.output: values})
        value = self.loss(scores, batch.y.to(self.module.device), len(values))
        if self.rate_penalty:
            value = value + self.rate_penalty * rate_penalty(rasters.values(), self.rate_target)
        # the first of equals wins, as in a read-out of a recording
        best = scores.detach().cpu().numpy().argmax(1)
        return Outcome(value, float((best == batch.y.numpy()).sum()))


def train_epochs(
    task: Task,
    x: NDArray[np.float64],
    y: NDArray[np.int64],
    config: Mapping[str, Any],
    progress: Callable[[Epoch, int], None] | None,
) -> Iterator[Epoch]:
    """Train epoch by epoch; in the end the module holds the weights to keep.

    Parameters
    ----------
    task
        The module and what it is trained for.
    x, y
        All training samples and their labels; some are held out.
    config
        The settings of :func:`spikesim.train.train`.
    progress
        Called after every epoch.

    Yields
    ------
    Epoch
        Figures of each epoch.
    """
    import torch

    fraction, epochs, seed = config["validation_fraction"], config["epochs"], config["seed"]
    known, held = split(y, seed=seed, test_fraction=fraction) if fraction else (np.arange(len(y)), np.arange(0))
    samples, labels = torch.tensor(x, dtype=task.module.dtype), torch.tensor(y)
    generator = torch.Generator().manual_seed(seed)
    optimiser = _optimiser(task.module, config)
    best: tuple[float, dict[str, torch.Tensor]] = (-1.0, {})
    for number in range(1, epochs + 1):
        begin = time.perf_counter()
        order = torch.as_tensor(known)[torch.randperm(len(known), generator=generator)]
        figures = _one_epoch(task, samples, labels, order, optimiser, generator, (number - 1) / epochs, config)
        held_loss, held_accuracy = _evaluate(task, samples, labels, torch.as_tensor(held))
        rate, seconds = optimiser.param_groups[0]["lr"], time.perf_counter() - begin
        epoch = Epoch(number, *figures, held_loss, held_accuracy, rate, seconds)
        if config["keep"] == "best" and (epoch.validation_accuracy or 0.0) > best[0]:
            kept = {k: v.clone() for k, v in task.module.state_dict().items()}
            best = (epoch.validation_accuracy or 0.0, kept)
        if progress is not None:
            progress(epoch, epochs)
        yield epoch
    if best[1]:
        task.module.load_state_dict(best[1])


def _optimiser(module: Any, config: Mapping[str, Any]) -> Any:
    import torch

    name = config["optimiser"]
    parameters = list(module.parameters())
    if not parameters:
        raise InvalidValueError("nothing to learn: name projections in weights or neuron parameters in params")
    decayed = [p for p in module.maps.parameters()]
    groups = [
        {"params": decayed, "weight_decay": config["weight_decay"]},
        {"params": list(module.learned.parameters()), "weight_decay": 0.0},
    ]
    settings = OPTIMISER_SETTINGS.get(name, {})
    made = getattr(torch.optim, OPTIMISERS[name])
    return made([g for g in groups if g["params"]], lr=config["learning_rate"], **settings)


def _one_epoch(
    task: Task,
    samples: torch.Tensor,
    labels: torch.Tensor,
    order: torch.Tensor,
    optimiser: Any,
    generator: torch.Generator,
    done: float,
    config: Mapping[str, Any],
) -> tuple[float, float]:
    """Go through the training samples once; return the mean loss and the accuracy."""
    import torch

    def update() -> None:
        if config["clip"] is not None:
            torch.nn.utils.clip_grad_norm_(task.module.parameters(), config["clip"])
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        task.module.constrain_()

    batches = order.split(config["batch_size"])
    total, right = 0.0, 0.0
    for k, batch in enumerate(batches):
        share = SCHEDULES[config["schedule"]](done + k / len(batches) / config["epochs"])
        for group in optimiser.param_groups:
            group["lr"] = config["learning_rate"] * share
        x = samples[batch]
        if config["augment"] is not None:
            x = config["augment"](x, generator)
        value, correct = task.rule(task, Batch(x, labels[batch]), update)
        total += float(value) * len(batch)
        right += correct
    # weights too: a membrane of NaN never fires, and the loss of silence is finite
    if not math.isfinite(total) or not all(bool(p.isfinite().all()) for p in task.module.parameters()):
        raise InvalidValueError(
            f"training diverged in epoch {round(done * config['epochs']) + 1}: loss or weights are not finite; "
            f"lower learning_rate (now {config['learning_rate']:g}) or set clip"
        )
    return total / len(order), right / len(order)


def _evaluate(
    task: Task, samples: torch.Tensor, labels: torch.Tensor, chosen: torch.Tensor
) -> tuple[float, float] | tuple[None, None]:
    """Return loss and accuracy on held-out samples."""
    import torch

    if not len(chosen):
        return None, None
    total, right = 0.0, 0.0
    with torch.no_grad():
        for batch in chosen.split(EVALUATION_BATCH):
            value, correct = task(Batch(samples[batch], labels[batch]))
            total += float(value) * len(batch)
            right += correct
    return total / len(chosen), right / len(chosen)
