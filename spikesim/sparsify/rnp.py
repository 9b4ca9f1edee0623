"""Reconstructive neuron pruning (RNP): find the filters that carry a backdoor with a few clean samples, and prune them.

::

    unlearn:  theta' = argmax  L(f(x; theta), y)               clean samples, all weights, until accuracy is near chance
    recover:  m = argmin over [0, 1]  alpha L(f(x; m theta'), y)        one mask per filter, theta' frozen
    prune:    in the original theta, filters with m <= threshold

What clean samples cannot reach survives the first stage; filters that carry it stand in the way in the second.

Reference: Li et al., "Reconstructive Neuron Pruning for Backdoor Defense", ICML 2023, arXiv 2305.14876. In contrast to
the authors' code gradients are clipped after the backward pass, batch norms keep their statistics in the second stage,
accuracies are of all classes, and the threshold is chosen from clean samples (docs/methods/rnp.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import InvalidValueError
from spikesim.network import Network
from spikesim.sparsify.filters import below, filters, lowest, switched_off
from spikesim.train.losses import loss as loss_by_name
from spikesim.train.readout import predict
from spikesim.train.samples import samples_of


@dataclass(frozen=True)
class MaskReport:
    """What the defence found out.

    Parameters
    ----------
    masks
        By projection, one mask per filter, 0 to 1.
    unlearned
        The network after ascent: a diagnosis, its predictions tell what survives.
    accuracy_unlearned, accuracy_recovered
        On the clean samples of the defence, after ascent and with the masks on.
    predicted
        How often the unlearned network answers each class on clean samples, ``int64`` ``[classes]``. A network that
        says one class for everything has a low accuracy and a high attack success without any backdoor.
    unlearning, recovery
        Accuracy after every step of ascent, and after every epoch of the masks.
    """

    masks: Mapping[str, NDArray[np.float64]]
    unlearned: Network
    accuracy_unlearned: float
    accuracy_recovered: float
    predicted: NDArray[np.int64]
    unlearning: tuple[float, ...]
    recovery: tuple[float, ...]

    def count(self, threshold: float) -> int:
        """Return how many filters a threshold prunes."""
        return sum(int(off.sum()) for off in below(self.masks, threshold).values())


@dataclass(frozen=True)
class RNP:
    """The defence with its settings; the defaults are the source's where it has one.

    Parameters
    ----------
    unlearn_rate, unlearn_epochs, stop, clip
        Ascent: learning rate (SGD, momentum 0.9, weight decay 5e-4), most epochs, the accuracy at which it ends, and
        the largest norm of the gradient.
    mask_rate, mask_epochs, alpha, recover_to
        Masks: learning rate (SGD, momentum 0.9), most epochs, factor of the loss, and the accuracy at which learning
        ends; None for none.
    batch_size, seed
        Of both stages.
    projections
        Convolutions with masks; all by default.
    presented
        How samples are shown and judged, as :func:`spikesim.train.train` takes it: ``steps``, ``encode``, ``loss``,
        ``surrogate``, ... A wide surrogate lets silent filters learn.
    """

    unlearn_rate: float = 0.01
    unlearn_epochs: int = 20
    stop: float = 0.2
    clip: float = 20.0
    mask_rate: float = 0.2
    mask_epochs: int = 20
    alpha: float = 0.2
    recover_to: float | None = None
    batch_size: int = 128
    seed: int = 0
    projections: Sequence[str] | None = None
    presented: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        problems = [
            f"rnp: {name} is {value!r}; allowed is a number above 0"
            for name in ("unlearn_rate", "unlearn_epochs", "clip", "mask_rate", "mask_epochs", "alpha", "batch_size")
            if not (value := getattr(self, name)) > 0
        ]
        problems += [
            f"rnp: {name} is {value!r}; allowed is an accuracy from 0 to 1"
            for name in ("stop", "recover_to")
            if (value := getattr(self, name)) is not None and not 0.0 <= value <= 1.0
        ]
        if problems:
            raise InvalidValueError("\n".join(problems))

    def fit(self, network: Network, data: Any) -> MaskReport:
        """Unlearn and recover.

        Parameters
        ----------
        network
            The suspect, with its batch norms (``train(..., fold=False)``).
        data
            A few hundred clean samples ``(x, y)``, none of which the attacker changed.

        Raises
        ------
        NetworkError
            If the network has no convolution.
        InvalidValueError
            If there are fewer samples than classes, or ascent does not reach the accuracy ``stop``.
        """
        filters(network, self.projections)
        x, y = _pair(data)
        if len(y) < (classes := network.populations[-1].n):
            raise InvalidValueError(
                f"rnp: found {len(y)} clean samples for {classes} classes; allowed is one of each at least, some "
                "hundred are usual"
            )
        unlearned, way = self.unlearn(network, (x, y))
        masks, back = self.recover(unlearned, (x, y))
        predicted = np.bincount(self.predictions(unlearned, x), minlength=classes)
        return MaskReport(masks, unlearned, way[-1], back[-1], predicted, tuple(way), tuple(back))

    def unlearn(self, network: Network, data: Any) -> tuple[Network, list[float]]:
        """Raise the loss until the accuracy is at most ``stop``; return the network and the accuracy of each step."""
        from spikesim.sparsify.rnp_rules import Ascent

        rule = Ascent(*_pair(data), self.stop)
        trained = self._train(
            network, data, rule, self.unlearn_epochs, optimiser="sgd", learning_rate=self.unlearn_rate,
            weight_decay=5e-4, clip=self.clip,
        )  # fmt: skip
        if not rule.done:
            raise InvalidValueError(
                f"unlearning: accuracy is {rule.accuracy[-1]:.2f} after {self.unlearn_epochs} epochs, wanted is at "
                f"most {self.stop}; raise unlearn_rate (now {self.unlearn_rate:g}) or unlearn_epochs"
            )
        return trained, rule.accuracy

    def recover(self, network: Network, data: Any) -> tuple[dict[str, NDArray[np.float64]], list[float]]:
        """Learn masks that bring an unlearned network back; return them and the accuracy of each epoch."""
        from spikesim.sparsify.rnp_rules import Masks

        names = list(filters(network, self.projections))
        rule = Masks(names, *_pair(data), self.mask_rate, self.alpha, self.recover_to, self.batch_size)
        self._train(network, data, rule, self.mask_epochs, weights=names)
        return rule.result(), rule.accuracy

    def _train(self, network: Network, data: Any, rule: Any, epochs: int, **settings: Any) -> Network:
        from spikesim.train import train

        result: Network = train(
            network, _pair(data), rule=rule, epochs=epochs, schedule="constant", validation_fraction=0.0, fold=False,
            batch_size=self.batch_size, seed=self.seed, **self.presented, **settings,
        ).network  # fmt: skip
        return result

    def predictions(self, network: Network, x: Any) -> NDArray[np.int64]:
        """Return the class of each sample, ``[samples]``."""
        return predictions(network, x, **self.presented)

    def threshold(
        self,
        network: Network,
        report: MaskReport,
        data: Any,
        *,
        drop: float = 0.02,
        allowed: Sequence[float] | None = None,
    ) -> float:
        """Choose the largest threshold that costs at most ``drop`` of the accuracy, from clean samples alone.

        Parameters
        ----------
        network, report
            The original network, and what :meth:`fit` said of it.
        data
            Clean samples ``(x, y)`` that the defence did not learn from.
        drop
            Accuracy that may be lost.
        allowed
            Thresholds to choose from; by default the masks' own values, 2.5 % of the filters apart.

        Returns
        -------
        float
            -1, which prunes nothing, if every threshold costs more.
        """
        x, y = _pair(data)
        if allowed is None:
            masks = np.concatenate(list(report.masks.values()))
            allowed = np.unique(np.quantile(masks, np.arange(0.0, 1.0, 0.025), method="lower")).tolist()
        whole = float(np.mean(self.predictions(network, x) == y))

        def costs(threshold: float) -> float:
            return whole - float(np.mean(self.predictions(self.prune(network, report, threshold), x) == y))

        return largest(allowed, lambda threshold: costs(threshold) <= drop + 1e-12)

    @staticmethod
    def prune(network: Network, report: MaskReport, threshold: float, *, keep_shift: bool = False) -> Network:
        """Return the original network without the filters whose masks are at most ``threshold``."""
        return switched_off(network, below(report.masks, threshold), keep_shift=keep_shift)


def largest(allowed: Sequence[float], holds: Callable[[float], bool]) -> float:
    """Return the largest number up to which a condition holds for all before it, -1 if it does not for the first."""
    found = -1.0
    for threshold in sorted(allowed):
        if not holds(threshold):
            break
        found = threshold
    return found


def predictions(network: Network, x: Any, *, batch_size: int = 256, **presented: Any) -> NDArray[np.int64]:
    """Return the class of each sample, by the network's torch module and with its norms.

    Parameters
    ----------
    network
        The network.
    x
        Samples ``[samples, ...]``.
    batch_size
        Samples at a time.
    **presented
        As :attr:`RNP.presented`.
    """
    from spikesim.train import evaluate
    from spikesim.train.reading import Reading

    chosen = loss_by_name(presented.get("loss", "rate_cross_entropy"))
    readout = presented.get("readout") or chosen.readout
    module = Reading(network, readout, presented.get("dtype", "float32"))
    how = {k: presented[k] for k in ("steps", "encode") if k in presented}
    found = evaluate(module, x, np.zeros(len(x), np.int64), readout=readout, batch_size=batch_size, **how)
    return predict(found.scores)


def trade_off(
    network: Network,
    scores: Mapping[str, NDArray[np.float64]],
    counts: Sequence[int],
    figures: Callable[[Network], Any],
) -> list[tuple[int, Any]]:
    """Prune the filters with the lowest scores, more and more; return ``(count, figures(network))`` of each.

    Parameters
    ----------
    network
        The original network.
    scores
        Masks, or those of :mod:`spikesim.sparsify.filters`, for comparison.
    counts
        How many filters.
    figures
        What to measure.
    """
    return [(n, figures(switched_off(network, lowest(scores, n)))) for n in counts]


def _pair(data: Any) -> tuple[NDArray[np.float64], NDArray[Any]]:
    samples = samples_of(data)
    if not samples.classes:
        raise InvalidValueError("rnp needs samples with class numbers, found targets of a regression")
    return samples.scaled(slice(None)), samples.y


__all__ = ["RNP", "MaskReport", "largest", "predictions", "trade_off"]
