"""Training by backpropagation through time, with the gradients derived from the neurons' equations."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spikesim.data.dataset import split
from spikesim.engine import backend
from spikesim.errors import InvalidValueError, MissingPackageError, UnknownNameError
from spikesim.lowering import lower
from spikesim.network import Network
from spikesim.stimulus import Input
from spikesim.train.learned import with_learned
from spikesim.train.losses import Loss
from spikesim.train.losses import loss as loss_by_name
from spikesim.train.losses import rate_penalty as penalty_of
from spikesim.train.readout import Readout, read_out
from spikesim.train.result import Epoch, Trained
from spikesim.train.samples import Encode, check_encoding, labelled, present, the_input

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


def train(
    network: Network,
    data: Any,
    *,
    epochs: int = 40,
    batch_size: int = 64,
    learning_rate: float = 2e-3,
    optimiser: str = "adam",
    weight_decay: float = 0.0,
    schedule: str = "cosine",
    loss: str = "rate_cross_entropy",
    loss_settings: Mapping[str, float] | None = None,
    readout: str | None = None,
    rate_penalty: float = 0.0,
    rate_target: float = 0.0,
    surrogate: str = "arctan",
    surrogate_settings: Mapping[str, float] | None = None,
    detach_reset: bool = False,
    weights: Sequence[str] | None = None,
    params: Mapping[str, Sequence[str]] | None = None,
    encode: Encode = "constant",
    steps: int = 8,
    augment: Callable[[Any, Any], Any] | None = None,
    validation_fraction: float = 0.1,
    keep: str = "last",
    clip: float | None = None,
    seed: int = 0,
    dtype: str = "float32",
    device: str = "cpu",
    progress: Callable[[Epoch, int], None] | None = None,
) -> Trained:
    """Train a network to classify.

    Parameters
    ----------
    network
        A network with one :class:`~spikesim.stimulus.Input`; its weights are where training starts. The last
        population has one neuron per class.
    data
        A :class:`spikesim.data.Dataset` (its training part, brought to full intensity 1), or a pair ``(x, y)`` of
        samples ``[samples, ...]`` and class numbers. Test samples are never looked at.
    epochs, batch_size, learning_rate, optimiser, weight_decay, schedule
        ``optimiser``: ``"adam"``, ``"adamw"``, ``"nadam"``, ``"rmsprop"``, ``"sgd"`` (momentum 0.9);
        ``schedule``: ``"cosine"`` or ``"linear"`` to 0, or ``"constant"``.
    loss, loss_settings
        A name in :data:`spikesim.train.losses.LOSSES`, and its settings.
    readout
        A name in :data:`spikesim.train.readout.READOUTS`; the loss's own by default.
    rate_penalty, rate_target
        Weight of the mean squared excess of hidden neurons' rates (spikes per step) over a target.
    surrogate, surrogate_settings, detach_reset
        Derivative of the spike; see :class:`spikesim.backends.torch.module.SpikingModule`.
    weights, params
        Projections (all by default) and neuron parameters by population (none by default) that are learned.
    encode, steps
        How a sample is presented: a name in :data:`spikesim.train.samples.ENCODINGS` (``"constant"`` is the same
        current at every step), or a function of (samples, steps) that returns ``[steps, samples, ...]``.
    augment
        Varies training samples, see :class:`spikesim.train.Augment`; a function of (batch, generator).
    validation_fraction
        Part of the training samples, of each class, that is held out and evaluated after every epoch; 0 for none.
    keep
        ``"last"``, or ``"best"``: the weights after the epoch with the best validation accuracy (the first of equals).
    clip
        Largest norm of the gradient.
    seed
        Of the held-out part, shuffling and augmentation. The same seed gives the same bits on the same machine.
    dtype, device
        Precision and device.
    progress
        Called after every epoch with its figures and the number of epochs.

    Returns
    -------
    Trained

    Raises
    ------
    InvalidValueError, UnknownNameError
        If names, samples and network do not fit.
    MissingPackageError
        If torch is not installed.
    """
    config = {k: v for k, v in locals().items() if k not in ("network", "data", "progress")}
    chosen = loss_by_name(loss, **(loss_settings or {}))
    reader, entry = read_out(network, readout or chosen.readout), the_input(network)
    _check(config, reader, chosen)
    check_encoding(encode, entry)
    x, y = labelled(data)
    present(x[:1], encode, steps, entry)  # reports samples that do not fit the input
    if y.max() >= reader.n:
        raise InvalidValueError(
            f"labels go up to {y.max()}, but the last population {reader.population!r} has {reader.n} neurons"
        )
    module = _module(
        network,
        surrogate=surrogate,
        settings=surrogate_settings,
        detach_reset=detach_reset,
        weights=weights,
        params=params,
        dtype=dtype,
        device=device,
    )
    task = Task(module, entry, reader, chosen, encode, steps, rate_penalty, rate_target)
    history = tuple(_epochs(task, x, y, config, progress))
    return Trained(with_learned(network, module), history, seed, config)


def _module(network: Network, **settings: Any) -> Any:
    engine = backend("torch")
    available = engine.availability()
    if not available.ok:
        raise MissingPackageError(available.reason, "training", available.remedy)
    return engine.module(lower(network), **settings)  # type: ignore[attr-defined]


def _check(config: Mapping[str, Any], reader: Readout, chosen: Loss) -> None:
    for kind, name, known in (
        ("optimiser", config["optimiser"], OPTIMISERS),
        ("schedule", config["schedule"], SCHEDULES),
        ("choice of keep:", config["keep"], {"last": 0, "best": 0}),
    ):
        if name not in known:
            raise UnknownNameError(kind, name, list(known))
    problems = [
        f"{name} must be {'above' if low == 0 else 'at least'} {low}, found {config[name]!r}"
        for name, low in (("epochs", 1), ("batch_size", 1), ("steps", 1), ("learning_rate", 0))
        if not (config[name] > 0 if low == 0 else config[name] >= low)
    ]
    if not 0.0 <= config["validation_fraction"] < 1.0:
        problems.append(f"validation_fraction must be from 0 to below 1, found {config['validation_fraction']!r}")
    if config["keep"] == "best" and config["validation_fraction"] == 0:
        problems.append("keep='best' needs validation samples; set validation_fraction above 0")
    if (chosen.readout == "rate") != (reader.name == "rate"):
        problems.append(f"loss {chosen.name!r} does not fit read-out {reader.name!r}; use {chosen.readout!r}")
    if problems:
        raise InvalidValueError("\n".join(problems))


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
    """

    module: Any
    entry: Input
    reader: Readout
    loss: Loss
    encode: Encode
    steps: int
    rate_penalty: float
    rate_target: float

    def __call__(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the loss and the number of right answers of a batch."""
        import torch

        if self.encode == "constant":  # stays a tensor that is the same at every step
            given = x.reshape(len(x), *self.entry.shape).expand(self.steps, -1, *self.entry.shape)
        else:
            given = torch.as_tensor(np.array(present(x.numpy(), self.encode, self.steps, self.entry)))
        outputs = self.module({self.entry.name: given}, record=self.reader.record)
        scores, labels = self.reader.scores(outputs), y.to(self.module.device)
        value = self.loss(scores, labels, len(given))
        if self.rate_penalty:
            hidden = [outputs[n.name] for n in self.module.graph.nodes if n.name != self.reader.population]
            value = value + self.rate_penalty * penalty_of(hidden, self.rate_target)
        # the first of equals wins, as in a read-out of a recording
        best = scores.detach().cpu().numpy().argmax(1)
        return value, torch.as_tensor(best == y.numpy()).sum()


def _epochs(
    task: Task,
    x: NDArray[np.float64],
    y: NDArray[np.int64],
    config: Mapping[str, Any],
    progress: Callable[[Epoch, int], None] | None,
) -> Iterator[Epoch]:
    """Train epoch by epoch; in the end the module holds the weights to keep."""
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

    batches = order.split(config["batch_size"])
    total, right = 0.0, 0
    for k, batch in enumerate(batches):
        share = SCHEDULES[config["schedule"]](done + k / len(batches) / config["epochs"])
        for group in optimiser.param_groups:
            group["lr"] = config["learning_rate"] * share
        x = samples[batch]
        if config["augment"] is not None:
            x = config["augment"](x, generator)
        value, correct = task(x, labels[batch])
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        if config["clip"] is not None:
            torch.nn.utils.clip_grad_norm_(task.module.parameters(), config["clip"])
        optimiser.step()
        task.module.constrain_()
        total += float(value.detach()) * len(batch)
        right += int(correct)
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
    total, right = 0.0, 0
    with torch.no_grad():
        for batch in chosen.split(EVALUATION_BATCH):
            value, correct = task(samples[batch], labels[batch])
            total += float(value) * len(batch)
            right += int(correct)
    return total / len(chosen), right / len(chosen)
