"""One run in plain values: what can be written to a file, sent to another process, and made again there."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from spikesim.continual.learners import Learner
from spikesim.continual.named import Named, named
from spikesim.continual.registry import method
from spikesim.continual.runs import Result, run
from spikesim.continual.scenarios import Scenario
from spikesim.distributions import KaimingNormal, KaimingUniform
from spikesim.errors import InvalidValueError
from spikesim.files.storage import fingerprint
from spikesim.files.versions import versions
from spikesim.network import Network

TRAINING = {
    "loss": "membrane_cross_entropy",
    "epochs": 1,
    "batch_size": 64,
    "learning_rate": 0.01,
    "count_writes": True,
}
"""Training where nothing else is said."""


@dataclass(frozen=True)
class Plan:
    """A learner in a scenario, by name.

    Parameters
    ----------
    scenario, scenario_settings
        As :func:`spikesim.continual.named` takes them; its seed is that of the run, unless one is given.
    method, settings
        As :func:`spikesim.continual.method` takes them.
    network
        Sizes of the hidden layers, ``"800-800"`` or ``"800-800,lam=0.95,init=uniform"``, for :func:`layered`; or the
        file of a network.
    training
        Settings of :class:`spikesim.continual.FineTune`, over :data:`TRAINING` and what the scenario asks for.
    seed
        Of the run.

    Examples
    --------
    >>> plan = Plan("permuted-digits", {"tasks": 2}, "fine-tune", {}, "20", {}, 0)
    >>> scenario, learner = plan.make()
    >>> scenario.name, learner.name
    ('permuted digits, 2 tasks, domain-incremental', 'fine-tune')
    """

    scenario: str
    scenario_settings: Mapping[str, Any]
    method: str
    settings: Mapping[str, Any]
    network: str
    training: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0

    @property
    def key(self) -> str:
        """A short name for files: method, seed, and a hash of everything."""
        return f"{self.method}-{self.seed}-{fingerprint(self.described())[:8]}"

    def described(self) -> dict[str, Any]:
        """Return everything as a dictionary of plain values; settings in the order of their names."""
        return {k: dict(sorted(v.items())) if isinstance(v, Mapping) else v for k, v in asdict(self).items()}

    def found(self) -> Named:
        """Return the scenario and what it asks for."""
        return named(self.scenario, **{"seed": self.seed, **self.scenario_settings})

    def make(self) -> tuple[Scenario, Learner]:
        """Return scenario and learner; every mistake in the names comes out here."""
        chosen, found = method(self.method, **self.settings), self.found()
        if chosen.told and not found.scenario.told:
            raise InvalidValueError(
                f"method {self.method!r} needs to be told the task at test time, which {found.scenario.name!r} does "
                "not; set kind=task for the scenario, or leave the method out"
            )
        training = {**TRAINING, **found.training, **self.training}
        return found.scenario, chosen.build(start(self.network, found), **training)

    def run(self, *, checkpoint: str | Path | None = None, progress: Callable[..., None] | None = None) -> Result:
        """Run it; see :func:`spikesim.continual.run`."""
        scenario, learner = self.make()
        return run(scenario, learner, self.seed, progress=progress, checkpoint=checkpoint)

    def about(self) -> dict[str, Any]:
        """Return what is stored beside the figures: everything, and the versions of the software."""
        return {**self.described(), "versions": dict(versions())}


def start(network: str, found: Named) -> Network | Callable[[int], Network]:
    """Return where learning starts.

    Parameters
    ----------
    network
        See :class:`Plan`.
    found
        The scenario that it is for.

    Raises
    ------
    InvalidValueError
        If the text is neither sizes nor a file.
    """
    if LAYERED.fullmatch(network):
        sizes, *settings = network.split(",")
        pairs = (setting.split("=") for setting in settings)
        more: dict[str, Any] = {name: text if name == "init" else float(text) for name, text in pairs}
        layers = tuple(int(n) for n in sizes.split("-"))
        return partial(layered, layers, found.shape, found.graded, found.scenario.outputs, **more)
    if Path(network).exists():
        return Network.load(network)
    raise InvalidValueError(
        "network takes sizes of hidden layers, such as 800-800, with lam, beta and init if wanted "
        f"(800-800,lam=0.95,init=uniform), or the file of a network; found {network!r}"
    )


LAYERED = re.compile(r"\d+(-\d+)*(,(lam|beta)=\d*\.?\d+|,init=[a-z]+)*")
"""How :class:`Plan` writes a network of dense layers."""
INITS = {"he": KaimingNormal(), "uniform": KaimingUniform(1 / 3**0.5)}
"""Initial weights of :func:`layered` by name: within ``1 / sqrt(inputs)``, ``"uniform"`` is as torch's layers begin."""


def layered(
    sizes: tuple[int, ...], shape: tuple[int, ...], graded: bool, outputs: int, seed: int, *, lam: float = 0.5,
    beta: float | None = None, init: str = "he",
) -> Network:  # fmt: skip
    """Return a network of dense layers without biases: leaky neurons with a soft reset, and outputs that do not fire.

    Parameters
    ----------
    sizes
        Of the hidden layers.
    shape, graded
        Of the input.
    outputs
        How many.
    seed
        Of the weights.
    lam
        What a membrane keeps from step to step: half, as in the authors' experiments with HLOP on permuted MNIST. The
        rule ``"dsr"`` wants it nearer to 1.
    beta
        What an output keeps; ``lam`` by default. With 0 its membrane is the input of the step.
    init
        Name of the initial weights in :data:`INITS`.
    """
    from spikesim.layers import dense, sequential
    from spikesim.models.neurons import li, lif_soft
    from spikesim.stimulus import Input

    problems = [] if all(sizes) else [f"network: a layer needs at least 1 neuron, found {sizes}"]
    if not 0 < lam <= 1:
        problems.append(f"network: lam must be above 0 and at most 1, found {lam!r}")
    if beta is not None and not 0 <= beta <= 1:
        problems.append(f"network: beta must be from 0 to 1, found {beta!r}")
    if init not in INITS:
        problems.append(f"network: init must be one of {', '.join(INITS)}, found {init!r}")
    if problems:
        raise InvalidValueError("\n".join(problems))
    weights, image = INITS[init], Input("image", shape, graded=graded)
    hidden = [part for n in sizes for part in (dense(n, weights), lif_soft(lam=lam))]
    return sequential(image, *hidden, dense(outputs, weights), li(beta=lam if beta is None else beta), seed=seed)
