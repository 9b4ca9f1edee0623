"""Training in the chip's arithmetic: the integer network in the forward pass, float weights behind its integers."""

from __future__ import annotations

from typing import Any

from spikesim.engine import backend
from spikesim.errors import InvalidValueError, MissingPackageError
from spikesim.lowering import lower
from spikesim.quantise.calibrate import Peak
from spikesim.quantise.check import check_integers
from spikesim.quantise.loihi import finished
from spikesim.quantise.plan import STATE_SCALE
from spikesim.quantise.report import Quantised
from spikesim.quantise.scale import STATE_HIGH


def fine_tune(
    quantised: Quantised,
    data: Any,
    *,
    epochs: int = 5,
    learning_rate: float = 1e-3,
    weights: Any = None,
    surrogate: str = "arctan",
    **options: Any,
) -> Quantised:
    """Train a quantised network a little more, so that its weights fit the chip's rounding.

    The forward pass is the integer network itself: weights are rounded and cut to the values that their projection can
    hold, states are decayed with the chip's rounding towards zero, currents wrap. Gradients pass every rounding as if
    it were not there (straight-through), and reach float weights, from which the integers follow. Scales, thresholds,
    time constants and biases stay as they are.

    Parameters
    ----------
    quantised
        What :func:`spikesim.quantise.quantise` returned.
    data
        As for :func:`spikesim.train.train`; encoded to spikes as when the network was trained.
    epochs, learning_rate
        As there. Learning starts at the float weights, so few epochs at a small rate are enough.
    weights
        Names of the projections that learn; all by default.
    surrogate
        Derivative of the spike.
    **options
        Of :func:`spikesim.train.train`: ``encode``, ``steps``, ``seed``, ``keep``, ``batch_size``, ``progress``, ...

    Returns
    -------
    Quantised
        Its network has, in the emulator, the spikes of the forward pass, bit for bit; how training ended stands in the
        notes.

    Raises
    ------
    InvalidValueError
        If the options do not fit; ``dtype`` must be left out, because the integers need float64.
    MissingPackageError
        If torch is not installed.
    """
    if quantised.plan is None:
        raise InvalidValueError("this value holds no float network to start from; quantise it anew")
    if "dtype" in options:
        raise InvalidValueError("dtype: the chip's integers need float64; leave it out")
    available = backend("torch").availability()
    if not available.ok:
        raise MissingPackageError(available.reason, "fine-tuning", available.remedy)
    module = chip_module(quantised, weights=weights, surrogate=surrogate)
    from spikesim.train import train

    trained = train(module, data, epochs=epochs, learning_rate=learning_rate, dtype="float64", **options)
    plan = quantised.plan.with_weights(module.weights())
    check_integers(plan.network())
    last = trained.history[-1].figures() if trained.history else "no epoch"
    notes = [*quantised.notes, f"fine-tuned for {len(trained.history)} epochs in the chip's arithmetic: {last}"]
    split_up = dict.fromkeys(quantised.parts.populations, 1)
    return finished(plan, quantised.original, _sample(quantised), notes, split_up)


def chip_module(quantised: Quantised, *, weights: Any = None, surrogate: str = "arctan") -> Any:
    """Return the integer network as a ``torch.nn.Module`` with float weights behind its integers.

    Parameters
    ----------
    quantised
        What :func:`spikesim.quantise.quantise` returned.
    weights
        Names of the projections that learn; all by default.
    surrogate
        Derivative of the spike.

    Returns
    -------
    spikesim.quantise.torch_rounding.ChipModule
        Takes ``[steps, samples, ...]``, returns spikes of the last population.
    """
    from spikesim.quantise.torch_rounding import ChipModule

    plan = quantised.plan
    if plan is None:
        raise InvalidValueError("this value holds no float network to start from; quantise it anew")
    engine: Any = backend("torch")
    module = engine.module(lower(plan.network()), weights=weights, surrogate=surrogate, dtype="float64")
    return ChipModule(module, plan)


def _sample(quantised: Quantised) -> dict[str, Peak] | None:
    """Return the peaks of the calibration input again."""
    found = {}
    for name, p in quantised.populations.items():
        if p.current_use is None or p.voltage_use is None:
            return None
        unit = STATE_HIGH / (p.scale * STATE_SCALE)
        found[name] = Peak(p.current_use * unit, p.voltage_use * unit)
    return found
