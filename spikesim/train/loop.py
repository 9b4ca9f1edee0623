"""Training by backpropagation through time, with the gradients derived from the neurons' equations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from spikesim.engine import backend
from spikesim.errors import InvalidValueError, MissingPackageError, UnknownNameError
from spikesim.lowering import lower
from spikesim.network import Network
from spikesim.train.epochs import OPTIMISERS, SCHEDULES, Task, train_epochs
from spikesim.train.learned import with_learned
from spikesim.train.losses import Loss
from spikesim.train.losses import loss as loss_by_name
from spikesim.train.readout import Readout, read_out
from spikesim.train.result import Epoch, Trained
from spikesim.train.rules import Hook, Learning, Rule, backpropagate
from spikesim.train.samples import Encode, check_encoding, labelled, present, the_input


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
    rule: str | Rule = "bptt",
    rule_settings: Mapping[str, Any] | None = None,
    errors: str = "exact",
    hook: Hook | None = None,
    hook_rows: int | None = None,
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
    rule, rule_settings, errors, hook, hook_rows
        What gradients are made of and how errors travel back; see :class:`spikesim.train.rules.Learning`.
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
        Of the held-out part, shuffling and augmentation. The same seed gives the same bits on the same
        machine with the same number of threads.
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
    config = {k: v for k, v in locals().items() if k not in ("network", "data", "progress", "hook")}
    chosen = loss_by_name(loss, **(loss_settings or {}))
    reader, entry = read_out(network, readout or chosen.readout), the_input(network)
    _check(config, reader, chosen)
    learning = Learning(rule, tuple(sorted((rule_settings or {}).items())), errors, hook, hook_rows, seed)
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
    learner: Rule = backpropagate
    if not learning.plain:
        learner = backend("torch").rule(module, learning, reader)  # type: ignore[attr-defined]
    task = Task(module, entry, reader, chosen, encode, steps, rate_penalty, rate_target, learner)
    history = tuple(train_epochs(task, x, y, config, progress))
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
