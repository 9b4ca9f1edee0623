"""Spiking layers for a user's own ``torch.nn.Module``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spikesim.engine import backend
from spikesim.errors import MissingPackageError
from spikesim.neuron import Neuron, NeuronModel


def spiking(
    neuron: Neuron | NeuronModel,
    shape: int | Sequence[int] | None = None,
    *,
    dt: float = 1e-3,
    learn: Sequence[str] | Mapping[str, str] = (),
    surrogate: str = "arctan",
    surrogate_settings: Mapping[str, float] | None = None,
    detach_reset: bool = False,
    output: str = "spike",
    seed: int = 0,
) -> Any:
    """Return neurons as a ``torch.nn.Module`` from currents ``[steps, samples, *shape]`` to spikes.

    Parameters
    ----------
    neuron
        Any neuron, the user's own too; its gradients are derived from its equations.
    shape
        Of the population, channels first. Needed where parameters have one value per channel or neuron.
    dt
        Time step in seconds.
    learn
        Parameters to learn: names, or name to ``"shared"``, ``"channel"`` or ``"neuron"``.
    surrogate, surrogate_settings, detach_reset
        Derivative of the spike: a name in :data:`spikesim.equations.surrogates.SURROGATES`, its settings, and whether
        gradients are kept from flowing through the reset.
    output
        ``"spike"``, or the name of a state that is returned in its place.
    seed
        Of parameters that are distributions.

    Returns
    -------
    torch.nn.Module
        See :class:`spikesim.backends.torch.layer.SpikingLayer`.

    Raises
    ------
    MissingPackageError
        If torch is not installed.
    UnknownNameError, InvalidValueError
        If names or values do not fit.
    """
    return _engine().layer(
        neuron,
        shape,
        dt=dt,
        learn=learn,
        surrogate=surrogate,
        settings=surrogate_settings,
        detach_reset=detach_reset,
        output=output,
        seed=seed,
    )


def over_time(module: Any) -> Any:
    """Return a module that applies one without time, such as ``torch.nn.Conv2d``, to ``[steps, samples, ...]``.

    Parameters
    ----------
    module
        A ``torch.nn.Module`` of ``[samples, ...]``. ``torch.nn.Linear`` needs no wrapper.
    """
    return _engine().over_time(module)


def _engine() -> Any:
    engine = backend("torch")
    available = engine.availability()
    if not available.ok:
        raise MissingPackageError(available.reason, "training", available.remedy)
    return engine


__all__ = ["over_time", "spiking"]
