"""Training by backpropagation through time, with the gradients derived from the neurons' equations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import spikesim
from spikesim.engine import backend
from spikesim.errors import InvalidValueError, MissingPackageError
from spikesim.lowering import lower
from spikesim.network import Network
from spikesim.train.logs import logs
from spikesim.train.losses import RateRegulariser
from spikesim.train.losses import loss as loss_by_name
from spikesim.train.readout import Readout, read_out, readout_name
from spikesim.train.result import Epoch, Trained
from spikesim.train.rules import Hook, Learning, Rule, StepHook, backpropagate
from spikesim.train.samples import Encode, check_encoding, present, the_input
from spikesim.train.schedules import Schedule
from spikesim.train.settings import (
    check_data,
    check_device,
    check_mixed_precision,
    check_names,
    check_regularisers,
    check_settings,
    settled,
)

if TYPE_CHECKING:
    from spikesim.train.feeds import Feed
    from spikesim.train.learner import Learner
    from spikesim.train.upkeep import Upkeep


def train(
    network: Any,
    data: Any,
    *,
    validation: Any = None,
    validation_fraction: float | None = None,
    epochs: int = 40,
    batch_size: int = 64,
    learning_rate: float = 2e-3,
    optimiser: str = "adam",
    weight_decay: float = 0.0,
    schedule: str = "cosine",
    schedule_settings: Mapping[str, float] | None = None,
    warmup: float = 0.0,
    clip: float | None = None,
    loss: str = "rate_cross_entropy",
    loss_settings: Mapping[str, float] | None = None,
    readout: str | None = None,
    regularise: Sequence[RateRegulariser] = (),
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
    step_hook: StepHook | None = None,
    weights: Sequence[str] | None = None,
    params: Mapping[str, Sequence[str] | Mapping[str, str]] | None = None,
    delays: Mapping[str, float] | None = None,
    delay_per: str = "synapse",
    sparsity: Upkeep | str | None = None,
    cure: Upkeep | None = None,
    fold: bool = True,
    encode: Encode = "constant",
    steps: int = 8,
    augment: Callable[[Any, Any], Any] | None = None,
    keep: str = "last",
    monitor: str | None = None,
    patience: int | None = None,
    seed: int = 0,
    dtype: str = "float32",
    mixed_precision: bool = False,
    device: str = "cpu",
    log: str | Path | Sequence[str | Path] | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_every: float = 60.0,
    resume: bool = False,
    progress: Callable[[Epoch, int], None] | bool | None = None,
    command: Mapping[str, Any] | None = None,
) -> Trained:
    """Train a network to classify, or to follow targets.

    Parameters
    ----------
    network
        A network with one :class:`~spikesim.stimulus.Input`; its weights are where training starts. The last
        population has one neuron per class or output. Or a ``torch.nn.Module`` from ``[steps, samples, ...]`` to spikes
        or membranes ``[steps, samples, n]``, which is trained in place.
    data
        A :class:`spikesim.data.Dataset` (its training part, brought to full intensity 1); a pair ``(x, y)`` or a triple
        ``(x, y, lengths)`` of samples ``[samples, ...]``, class numbers ``[samples]`` or targets (floats, ``[samples,
        outputs]`` or ``[samples, steps, outputs]``), and steps per sample; or batches of such: a torch ``DataLoader``
        or any iterable with a length, gone through once per epoch. Test samples are never looked at.
    validation, validation_fraction
        Samples to choose on, given like ``data``; or the part of the training samples, of each class, that is held out
        (0.1 by default, none where batches are given). They are evaluated after every epoch.
    epochs, batch_size, learning_rate, optimiser, weight_decay
        ``optimiser``: ``"adam"``, ``"adamw"``, ``"nadam"``, ``"rmsprop"``, ``"sgd"`` (momentum 0.9).
    schedule, schedule_settings, warmup
        ``"cosine"`` (to 0), ``"linear"``, ``"step"``, ``"one_cycle"``, ``"plateau"`` or ``"constant"``, with settings
        as in :mod:`spikesim.train.schedules`; ``warmup`` epochs in which the learning rate rises from 0 come before.
    clip
        Largest norm of the gradient.
    loss, loss_settings
        A name in :data:`spikesim.train.losses.LOSSES`, and its settings.
    readout
        A name in :data:`spikesim.train.readout.READOUTS`; the loss's own by default.
    regularise, rate_penalty, rate_target
        Costs of firing rates; ``rate_penalty`` is the weight of the mean squared excess of hidden neurons' rates
        (spikes per step) over ``rate_target``, short for one :class:`spikesim.train.RateRegulariser`.
    surrogate, surrogate_settings, detach_reset
        Derivative of the spike; see :class:`spikesim.backends.torch.module.SpikingModule`.
    rule, rule_settings, errors, hook, hook_rows
        What gradients are made of and how errors travel back; see :class:`spikesim.train.rules.Learning`.
    step_hook
        Stands around every step of the optimiser; see :class:`spikesim.train.rules.StepHook`.
    weights, params
        Projections (all by default) and neuron parameters by population (none by default) that are learned;
        ``{"layer1": {"bias": "channel"}}`` says how a parameter is shared.
    delays, delay_per
        Projections whose delays are learned, with the longest in seconds; one per ``"synapse"`` or per ``"source"``.
    sparsity
        Removes synapses while it trains: :class:`spikesim.sparsify.GraNet`, ``Gradual`` or ``Rigl``, or a name and the
        share of synapses that are gone in the end, ``"granet:0.98"``. ``keep="best"``, ``patience`` and the schedule
        ``"plateau"`` then look only at epochs after the last pruning. ``StayOff`` keeps filters off that are off.
    cure
        Revives dormant neurons: :class:`spikesim.sparsify.Perturb`, ``Redo`` or ``Homeostasis``; ``Watch`` only counts.
    fold
        Return the network with batch norms folded into weights and biases, and without dropout; False keeps them.
    encode, steps
        How a sample is presented: a name in :data:`spikesim.train.samples.ENCODINGS` (``"constant"`` is the same
        current at every step), or a function of (samples, steps) that returns ``[steps, samples, ...]``.
    augment
        Varies training samples, see :class:`spikesim.train.Augment`; a function of (batch, generator).
    keep, monitor, patience
        ``keep="best"`` returns the weights of the epoch whose validation ``monitor`` (``"accuracy"``, ``"rmse"`` or
        ``"loss"``) was best, the first of equals, and not the last ones; training stops after ``patience`` epochs
        without an improvement.
    seed
        Of the held-out part, shuffling and augmentation; torch's and numpy's global generators start from it too, and
        are as before afterwards. The same seed gives the same bits on the same machine with the same number of threads.
    dtype, mixed_precision, device
        Precision and device; ``mixed_precision`` computes products in bfloat16, while states stay float32.
    log
        ``.csv``, ``.jsonl``, or a folder for TensorBoard (a name without suffix); or several.
    checkpoint, checkpoint_every, resume
        A file (HDF5) to which everything is written after each epoch and every so many seconds within. With ``resume``
        the same call goes on from it, if it is there, and ends with the bits of a training that was never interrupted.
        More epochs may be asked for with a schedule that does not depend on their number.
    progress
        True for a bar with the time left (lines where there is no terminal), or a function of (epoch, epochs).
    command
        Kept in the checkpoint: options of the command line.

    Returns
    -------
    Trained

    Raises
    ------
    InvalidValueError, UnknownNameError
        If names, samples and network do not fit.
    FileAccessError, FileFormatError
        If the checkpoint or the log cannot be written, or read.
    MissingPackageError
        If torch is not installed.
    """
    config = {k: v for k, v in locals().items() if k not in ("network", "data", "validation")}
    if isinstance(sparsity, str):
        from spikesim.sparsify.granet import sparsity_named

        config["sparsity"] = sparsity_named(sparsity)
    check_names(config)
    chosen = loss_by_name(loss, **(loss_settings or {}))
    named = isinstance(network, Network)
    reader = read_out(network, readout or chosen.readout) if named else _reader(readout or chosen.readout)
    check_settings(config, reader, chosen)
    learning = Learning(rule, tuple(sorted((rule_settings or {}).items())), errors, hook, hook_rows, seed)
    plan = Schedule(schedule, epochs, warmup, schedule_settings or {})
    entry = the_input(network) if named else None
    check_encoding(encode, entry)
    _check_torch()
    regularisers = [*regularise, *([RateRegulariser(rate_penalty, upper=rate_target)] if rate_penalty else [])]
    check_regularisers(regularisers, network)
    check_device(device)
    check_mixed_precision(mixed_precision, dtype, device)
    if mixed_precision and rule in ("ottt", "dsr"):
        raise InvalidValueError(f"rule {rule!r} computes in dtype {dtype!r} throughout; leave mixed_precision out")
    written = logs(log)

    import torch

    from spikesim.train.checkpoint import Checkpoints
    from spikesim.train.epochs import Trainer
    from spikesim.train.feeds import feeds
    from spikesim.train.randomness import Randomness, seeded
    from spikesim.train.task import Task

    with seeded(seed, torch.device(device)):
        learner = _learner(network, entry, reader, config)
        feed, held = feeds(data, validation, config, learner.dtype, learner.n)
        present(feed.first().x.numpy(), encode, steps, entry)  # reports samples that do not fit the input
        check_data(config, chosen, feed.classes, held is not None)
        task = Task(learner, entry, reader, chosen, regularisers, encode, steps, mixed_precision)
        identity = _identity(learner, feed, held, config) if checkpoint is not None else {}
        checkpoints = Checkpoints(checkpoint, identity, checkpoint_every, command or {}, resume)
        by = _rule(learner, learning, reader)
        randomness = Randomness(seed, _generators(learner, data, by), learner.device)
        trainer = Trainer(task, feed, held, plan, randomness, checkpoints, written, config, by)
        try:
            trainer.run(progress)
        finally:
            upkeep = trainer.attendants.leave()
        masks = trainer.attendants.masks()
    shown = {k: v for k, v in config.items() if k not in ("progress", "command")}
    products = learner.products()
    result = learner.result()
    if masks and named:
        from spikesim.sparsify.masks import without_masked

        result = without_masked(result, masks)
    return Trained(result, tuple(trainer.history), seed, shown, trainer.interrupted, products, upkeep)


def _check_torch() -> None:
    available = backend("torch").availability()
    if not available.ok:
        raise MissingPackageError(available.reason, "training", available.remedy)


def _reader(name: str) -> Readout:
    """Return the read-out of a user's module, whose output is read as it is."""
    return Readout(readout_name(name), "output", "", 0)


def _learner(network: Any, entry: Any, reader: Readout, config: Mapping[str, Any]) -> Learner:
    import torch

    from spikesim.train.learner import ModuleLearner, NetworkLearner

    if isinstance(network, torch.nn.Module):
        return ModuleLearner(network, getattr(torch, config["dtype"]), torch.device(config["device"]))
    if not isinstance(network, Network):
        raise InvalidValueError(f"train takes a Network or a torch.nn.Module, found {type(network).__name__}")
    names = ("detach_reset", "weights", "params", "delays", "delay_per", "seed", "dtype", "device", "surrogate")
    settings = {name: config[name] for name in names} | {"settings": config["surrogate_settings"]}
    module = backend("torch").module(lower(network, folded=False), **settings)  # type: ignore[attr-defined]
    return NetworkLearner(network, module, entry, reader, config["fold"])


def _rule(learner: Learner, learning: Learning, reader: Readout) -> Rule:
    """Return what learns from a batch."""
    from spikesim.train.learner import NetworkLearner

    if learning.plain:
        return backpropagate
    if not isinstance(learner, NetworkLearner):
        if callable(learning.rule) and learning.errors == "exact":
            return learning.rule
        raise InvalidValueError(
            "a torch.nn.Module of one's own learns by rule 'bptt' with exact errors and no hook, or by a rule of one's "
            "own; pass a Network for the others"
        )
    made: Rule = backend("torch").rule(learner.module, learning, reader)  # type: ignore[attr-defined]
    return made


def _generators(learner: Learner, data: Any, rule: Rule) -> dict[str, Any]:
    """Return the generators that belong to the module, to the rule or to a DataLoader, by name."""
    import torch

    found = {f"module/{k}": g for k, g in getattr(learner.module, "generators", {}).items()}
    if hasattr(rule, "watcher"):
        found["rule"] = rule.watcher.generator
    if isinstance(own := getattr(data, "generator", None), torch.Generator):
        found["data"] = own
    return found


def _identity(learner: Learner, feed: Feed, held: Feed | None, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what decides every bit of the result."""
    import torch

    return {
        "network": learner.identity(),
        "data": feed.identity(),
        "validation": held.identity() if held is not None else "",
        "settings": settled(config),
        "spikesim": spikesim.__version__,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }
