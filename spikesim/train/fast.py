"""Networks with fast weights for :func:`spikesim.train.train`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spikesim.engine import backend
from spikesim.errors import InvalidValueError, MissingPackageError
from spikesim.lowering import lower
from spikesim.models.synapses import FastWeights
from spikesim.network import Network
from spikesim.train.learned import with_learned


def fast_weights(
    network: Network,
    rule: FastWeights | str = "hebbian",
    *,
    outputs: int,
    rate: bool = False,
    gate: int | None = None,
    surrogate: str = "fast_sigmoid",
    surrogate_settings: Mapping[str, float] | None = None,
    seed: int = 0,
    dtype: str = "float32",
) -> Any:
    """Return a recurrent network whose synapses also have fast weights, as a ``torch.nn.Module`` of episodes.

    Parameters
    ----------
    network
        One input, dense projections of delay 0 or one step, a loop, and a read-out that never fires at the end, such as
        :func:`spikesim.models.networks.plastic_rnn`.
    rule
        A :class:`spikesim.models.synapses.FastWeights`, or the name of its rule.
    outputs
        How many neurons of the last population are answers; its last neuron modulates plasticity.
    rate
        Replace spiking neurons by rectified linear units.
    gate
        Number of the input value that is 1 where an answer counts; answers are 0 elsewhere. None: all count.
    surrogate, surrogate_settings
        Derivative of the spike, with ``slope=4`` by default.
    seed
        Of the rates ``alpha``.
    dtype
        ``"float32"`` or ``"float64"``.

    Returns
    -------
    torch.nn.Module
        From episodes ``[trial steps, samples, inputs]`` to answers ``[trial steps, samples, outputs]``; train it with
        ``encode="sequence"``. See :class:`spikesim.backends.torch.fast.FastModule`.

    Raises
    ------
    MissingPackageError
        If torch is not installed.
    UnsupportedError
        If the network cannot have fast weights: all reasons.
    """
    if not isinstance(network, Network):
        raise InvalidValueError(f"fast_weights takes a Network, found {type(network).__name__}")
    engine = backend("torch")
    available = engine.availability()
    if not available.ok:
        raise MissingPackageError(available.reason, "fast weights", available.remedy)
    chosen = FastWeights(rule) if isinstance(rule, str) else rule
    if not isinstance(chosen, FastWeights):
        raise InvalidValueError(f"rule must be a FastWeights or the name of one, found {rule!r}")
    return engine.fast(  # type: ignore[attr-defined]
        lower(network),
        chosen,
        outputs=outputs,
        rate=rate,
        gate=gate,
        surrogate=surrogate,
        settings=surrogate_settings,
        seed=seed,
        dtype=dtype,
    )


def slow_network(network: Network, module: Any) -> Network:
    """Return a network with the slow weights and biases that a module with fast weights has learned.

    Parameters
    ----------
    network
        What the module was made from.
    module
        From :func:`fast_weights`.
    """
    return with_learned(network, module.slow)


__all__ = ["fast_weights", "slow_network"]
