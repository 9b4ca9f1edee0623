"""The loop over epochs and batches."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from spikesim.errors import InvalidValueError
from spikesim.files.training import TrainingState
from spikesim.train.checkpoint import (
    Checkpoints,
    arrays,
    epochs_of,
    optimiser_arrays,
    restore_optimiser,
    rows_of,
    tensors,
)
from spikesim.train.feeds import Batch, Feed
from spikesim.train.logs import Log
from spikesim.train.progress import Stop, shown
from spikesim.train.randomness import Randomness
from spikesim.train.result import Epoch
from spikesim.train.rules import Rule, backpropagate
from spikesim.train.schedules import Schedule, without_improvement
from spikesim.train.settings import OPTIMISER_SETTINGS, OPTIMISERS
from spikesim.train.task import Task
from spikesim.train.upkeep import Attendants, Ground

SUMS = {"loss": 0.0, "score": 0.0, "samples": 0.0, "seconds": 0.0, "seal": 0.0}


class Trainer:
    """Trains epoch by epoch; in the end the module holds the weights to keep.

    Parameters
    ----------
    task
        What is trained, and for what.
    data, validation
        Batches to learn from, and to choose on (None: none).
    schedule
        Of the learning rate.
    randomness
        Every generator that is drawn from.
    checkpoints
        Where to begin, and where to write.
    logs
        Told about every epoch.
    config
        The settings of :func:`spikesim.train.train`.
    rule
        What learns from a batch.

    Attributes
    ----------
    history
        Epochs done.
    interrupted
        Whether Ctrl-C ended it.
    """

    def __init__(
        self,
        task: Task,
        data: Feed,
        validation: Feed | None,
        schedule: Schedule,
        randomness: Randomness,
        checkpoints: Checkpoints,
        logs: list[Log],
        config: Mapping[str, Any],
        rule: Rule = backpropagate,
    ) -> None:
        self.data, self.validation, self.schedule = data, validation, schedule
        self.randomness, self.checkpoints, self.logs, self.config = randomness, checkpoints, logs, config
        self.rule, self.module = rule, task.learner.module
        self.optimiser = _optimiser(task, config)
        batches = config["epochs"] * len(data)
        ground = Ground(
            self.module, task.learner.matrices(), self.optimiser, batches, config["seed"], task.learner.hidden
        )
        # masks act last, so that nothing that a cure gives life to is where no synapse is
        self.attendants = Attendants({name: config.get(name) for name in ("cure", "sparsity")}, ground)
        self.task = replace(task, watch=self.attendants.watch)
        self.history: list[Epoch] = []
        self.batch, self.sums = 0, dict(SUMS)
        self.begun = randomness.state()
        self.best: dict[str, torch.Tensor] = {}
        self.interrupted = False
        if checkpoints.start is not None:
            self._restore(checkpoints.start)

    # ------------------------------------------------------------------------------------------------ the loop
    def run(self, progress: Any) -> None:
        """Train to the end, until nothing improves any more, or until Ctrl-C."""
        epochs, per_epoch = self.config["epochs"], len(self.data)
        for log in self.logs:
            log.begin(self.history)
        if self.checkpoints.start is None:
            self.save()  # a file that cannot be written is found out now, and training killed from now on can go on
        with shown(progress, epochs, len(self.history) * per_epoch + self.batch) as self.shown, Stop() as self.stop:
            while len(self.history) < epochs and not self._exhausted() and not self.interrupted:
                self._epoch()
        for log in self.logs:
            log.close()
        if self.best:
            self.module.load_state_dict(self.best)

    def _exhausted(self) -> bool:
        patience = self.config["patience"]
        return patience is not None and without_improvement(self.monitored()) >= patience

    def monitored(self) -> list[float]:
        """Return what is to become small, after each epoch: minus the accuracy, the loss, or the error."""
        if self.validation is None:
            return []
        name = self.config["monitor"] or ("accuracy" if self.data.classes else "rmse")
        first = math.ceil(self.attendants.settled * self.config["epochs"])  # what is still being pruned is no candidate
        values = [getattr(e, f"validation_{name}") for e in self.history[first:]]
        return [-v for v in values] if name == "accuracy" else values

    def _epoch(self) -> None:
        """Go through the samples once, or through what is left of them; then look at the validation samples."""
        number, begin = len(self.history) + 1, time.perf_counter() - self.sums["seconds"]
        for batch in self._batches(number):
            self._one(batch)
            self.sums["seconds"] = time.perf_counter() - begin
            self.shown.batch(
                (number - 1) * len(self.data) + self.batch, len(self.data), self.sums["loss"] / self.sums["samples"]
            )
            if self.batch < len(self.data) and (self.stop.asked or self.checkpoints.due()):
                self.save()
                if self.stop.asked:
                    self.interrupted = True
                    return
        self._finish(number, begin)

    def _batches(self, number: int) -> Any:
        """Begin an epoch, or go to where it was interrupted."""
        self.module.train()
        if not self.batch:
            self.begun, self.sums = self.randomness.state(), dict(SUMS)
            return self.data.epoch(number, self.randomness.own)
        now = self.randomness.state()
        self.randomness.restore(self.begun)
        if hasattr(self.data, "seal"):
            self.data.seal = int(self.sums["seal"])
        rest = self.data.epoch(number, self.randomness.own, skip=self.batch)
        self.randomness.restore(now)
        return rest

    def _one(self, batch: Batch) -> None:
        """Learn from a batch."""
        done, part = len(self.history) + self.batch / len(self.data), 1 / len(self.data)
        share = self.schedule(done, part, self.monitored() if self.schedule.name == "plateau" else ())
        for group in self.optimiser.param_groups:
            group["lr"] = self.config["learning_rate"] * share
        self.task.learner.anneal_(done / self.config["epochs"])
        if self.config["augment"] is not None:
            batch = batch._replace(x=self.config["augment"](batch.x, self.randomness.own))
        loss, score = self.rule(self.task, batch, self.update)
        self.attendants.call("batch")
        self.batch += 1
        self.sums["loss"] += float(loss) * len(batch.y)
        self.sums["score"] += score
        self.sums["samples"] += len(batch.y)
        self.sums["seal"] = float(getattr(self.data, "seal", 0))
        self._check(math.isfinite(self.sums["loss"]))

    def update(self) -> None:
        """Take a step along the gradients, and clear them."""
        self.attendants.call("gradients")
        if self.config["step_hook"] is None:
            self._step()
        else:
            self.config["step_hook"](self.task.learner.named(), self._step)
        self.optimiser.zero_grad(set_to_none=True)

    def _step(self) -> None:
        if self.config["clip"] is not None:
            torch.nn.utils.clip_grad_norm_(self.module.parameters(), self.config["clip"])
        self.optimiser.step()
        self.task.learner.constrain_()
        self.attendants.call("stepped")

    def _finish(self, number: int, begin: float) -> None:
        """Validate, keep the best, tell everyone."""
        # a membrane of NaN never fires, and the loss of silence is finite, so the weights are looked at too
        self._check(all(bool(p.isfinite().all()) for p in self.module.parameters()))
        loss, score = (self.sums[k] / self.sums["samples"] for k in ("loss", "score"))
        held = self._validate()
        figures = {"accuracy": score, "rmse": None, "validation_accuracy": held[1], "validation_rmse": None}
        if not self.data.classes:
            root = None if held[1] is None else math.sqrt(held[1])
            figures = {"accuracy": None, "rmse": math.sqrt(score), "validation_accuracy": None, "validation_rmse": root}
        rate, seconds = self.optimiser.param_groups[0]["lr"], time.perf_counter() - begin
        epoch = Epoch(number, loss, validation_loss=held[0], learning_rate=rate, seconds=seconds, **figures)
        self.history.append(epoch)
        self.batch, self.sums = 0, dict(SUMS)
        monitored = self.monitored() if self.config["keep"] == "best" else []
        if monitored and without_improvement(monitored) == 0:
            self.best = {k: v.clone() for k, v in self.module.state_dict().items()}
        for log in self.logs:
            log.add(epoch)
        self.save()
        self.shown.epoch(epoch)
        self.interrupted = self.stop.asked and number < self.config["epochs"]

    def _validate(self) -> tuple[float, float] | tuple[None, None]:
        """Return loss and accuracy (or mean squared error) on the validation samples."""
        if self.validation is None:
            return None, None
        loss = score = samples = 0.0
        self.module.eval()
        with torch.no_grad():
            for batch in self.validation.epoch(len(self.history) + 1, self.randomness.own):
                outcome = self.task(batch)
                loss += float(outcome.loss) * len(batch.y)
                score += outcome.score
                samples += len(batch.y)
        return loss / samples, score / samples

    def _check(self, finite: bool) -> None:
        if not finite:
            raise InvalidValueError(
                f"training diverged in epoch {len(self.history) + 1}: loss or weights are not finite; "
                f"lower learning_rate (now {self.config['learning_rate']:g}) or set clip"
            )

    # ------------------------------------------------------------------------------------------------ checkpoints
    def save(self) -> None:
        """Write a checkpoint, if any are wanted."""
        if self.checkpoints.path is not None:
            self.checkpoints.write(
                history=rows_of(self.history),
                batch=self.batch,
                sums=self.sums,
                module=arrays(self.module.state_dict()),
                optimiser=optimiser_arrays(self.optimiser),
                best=arrays(self.best),
                begun=self.begun,
                random=self.randomness.state(),
            )

    def _restore(self, start: TrainingState) -> None:
        """Go to where the checkpoint was written."""
        self.history, self.batch, self.sums = epochs_of(start.history), start.batch, {**SUMS, **start.sums}
        like = self.module.state_dict()
        self.module.load_state_dict(tensors(start.module, like, "module"))
        restore_optimiser(self.optimiser, start.optimiser)
        self.best = tensors(start.best, like, "best") if start.best else {}
        self.begun = dict(start.begun)
        self.randomness.restore(start.random)


def _optimiser(task: Task, config: Mapping[str, Any]) -> torch.optim.Optimizer:
    name = config["optimiser"]
    groups = task.learner.groups(config["weight_decay"])
    if not groups:
        raise InvalidValueError("nothing to learn: name projections in weights or neuron parameters in params")
    made = getattr(torch.optim, OPTIMISERS[name])
    optimiser: torch.optim.Optimizer = made(groups, lr=config["learning_rate"], **OPTIMISER_SETTINGS.get(name, {}))
    return optimiser
