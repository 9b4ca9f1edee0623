"""What is trained, behind one small interface: a network, or a user's own ``torch.nn.Module``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, NamedTuple, Protocol

import torch
from torch import nn

from spikesim.errors import InvalidValueError
from spikesim.files.storage import fingerprint
from spikesim.network import Network
from spikesim.stimulus import Input
from spikesim.train.learned import with_learned
from spikesim.train.readout import Readout
from spikesim.train.upkeep import Matrix


class Outputs(NamedTuple):
    """What came out of one pass.

    ``values`` are spikes or membranes of the last population, ``[steps, samples, n]``; ``rasters`` the spikes of the
    populations before it, by name, for regularisers.
    """

    values: torch.Tensor
    rasters: Mapping[str, torch.Tensor]


class Learner(Protocol):
    """A module as the training loop sees it."""

    module: nn.Module
    """Parameters, ``state_dict``, and ``train()`` or ``eval()``."""
    dtype: torch.dtype
    device: torch.device
    n: int
    """Classes or outputs; 0 if only a pass can tell."""
    hidden: Mapping[str, int]
    """Neurons of each spiking population before the last one, by name, as far as populations are known."""

    def __call__(self, given: torch.Tensor) -> Outputs:
        """Run samples over time, ``[steps, samples, ...]``, from the initial state."""

    def named(self) -> Mapping[str, nn.Parameter]:
        """Return what is learned, by name."""

    def groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """Return the parameters in groups for an optimiser."""

    def matrices(self) -> tuple[Matrix, ...]:
        """Return the learned matrices of weights."""

    def constrain_(self) -> None:
        """Bring parameters back into their range, after an optimiser's step."""

    def anneal_(self, done: float) -> None:
        """Take note of what share of training is done, 0 to 1."""

    def identity(self) -> str:
        """Return what tells this from others, before training."""

    def products(self) -> dict[str, dict[str, Any]]:
        """Return how products were computed, see :class:`spikesim.train.Trained`."""

    def result(self) -> Any:
        """Return what was learned."""


class NetworkLearner:
    """A network as a module of the torch backend.

    Parameters
    ----------
    network
        The network that the module was made from.
    module
        A :class:`spikesim.backends.torch.module.SpikingModule`.
    entry
        The input that samples go to.
    reader
        Names the last population and what is read from it.
    fold
        Whether batch norms are folded in the end.
    """

    def __init__(self, network: Network, module: Any, entry: Input, reader: Readout, fold: bool = True) -> None:
        self.network, self.module, self.entry, self.reader, self.fold = network, module, entry, reader, fold
        self.dtype, self.device, self.n = module.dtype, module.device, reader.n
        nodes = [n for n in module.graph.nodes if n.model.spiking and n.name != reader.population]
        self.hidden: Mapping[str, int] = {n.name: n.n for n in nodes}

    def __call__(self, given: torch.Tensor) -> Outputs:
        """Run the network."""
        outputs = self.module({self.entry.name: given}, record=self.reader.record)
        hidden = [n.name for n in self.module.graph.nodes if n.name != self.reader.population]
        return Outputs(outputs[self.reader.output], {name: outputs[name] for name in hidden})

    def named(self) -> Mapping[str, nn.Parameter]:
        """Return weights by projection, and neuron parameters by population."""
        found: Mapping[str, nn.Parameter] = self.module.named()
        return found

    def groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """Return weights, which decay, and everything else, which does not."""
        decayed = self.module.decayed()
        chosen = {id(p) for p in decayed}
        groups = [
            {"params": decayed, "weight_decay": weight_decay},
            {"params": [p for p in self.module.parameters() if id(p) not in chosen], "weight_decay": 0.0},
        ]
        return [g for g in groups if g["params"]]

    def matrices(self) -> tuple[Matrix, ...]:
        """Return the weights of projections."""
        edges, found = {e.name: e for e in self.module.graph.edges}, []
        for name, weight in self.module.matrices().items():
            edge = edges[name.partition("/")[0]]
            dims = tuple(weight.shape) if weight.ndim > 1 else (edge.n_pre, edge.n_post)
            found.append(Matrix(name, weight, dims, edge.post == self.reader.population))
        return tuple(found)

    def constrain_(self) -> None:
        """Bring neuron parameters and delays back into their range."""
        self.module.constrain_()

    def anneal_(self, done: float) -> None:
        """Make learned delays sharper."""
        self.module.anneal_(done)

    def identity(self) -> str:
        """Return a hash of the network."""
        return fingerprint(self.network)

    def products(self) -> dict[str, dict[str, Any]]:
        """Return density, crossover and path of each projection with a matrix."""
        return {name: asdict(seen) for name, seen in self.module.products().items()}

    def result(self) -> Network:
        """Return the network with what was learned."""
        return with_learned(self.network, self.module, fold=self.fold)


class ModuleLearner:
    """A user's module that takes ``[steps, samples, ...]`` and returns spikes or membranes ``[steps, samples, n]``.

    Parameters
    ----------
    module
        The module; it is trained in place.
    dtype, device
        What it is converted to.
    """

    n = 0

    def __init__(self, module: nn.Module, dtype: torch.dtype, device: torch.device) -> None:
        self.module, self.dtype, self.device = module.to(device, dtype), dtype, device
        self.hidden: Mapping[str, int] = {}

    def __call__(self, given: torch.Tensor) -> Outputs:
        """Run the module."""
        values = self.module(given.to(self.device))
        if not isinstance(values, torch.Tensor) or values.ndim != 3 or values.shape[:2] != given.shape[:2]:
            found = list(values.shape) if isinstance(values, torch.Tensor) else type(values).__name__
            raise InvalidValueError(
                f"the module must return [steps, samples, n] for samples {list(given.shape)}, found {found}"
            )
        return Outputs(values, {})

    def named(self) -> Mapping[str, nn.Parameter]:
        """Return the parameters that are learned, by the names that the module has for them."""
        return {name: p for name, p in self.module.named_parameters() if p.requires_grad}

    def groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """Return all parameters."""
        parameters = [p for p in self.module.parameters() if p.requires_grad]
        return [{"params": parameters, "weight_decay": weight_decay}] if parameters else []

    def matrices(self) -> tuple[Matrix, ...]:
        """Return parameters of two or four dimensions; the last one counts as the read-out."""
        named = [(n, p) for n, p in self.module.named_parameters() if p.requires_grad and p.ndim in (2, 4)]
        return tuple(Matrix(n, p, tuple(p.shape), k == len(named) - 1) for k, (n, p) in enumerate(named))

    def constrain_(self) -> None:
        """Let the spiking layers inside bring their parameters back into range."""
        for part in self.module.modules():
            if part is not self.module and hasattr(part, "constrain_"):
                part.constrain_()

    def anneal_(self, done: float) -> None:
        """Do nothing: what a user's module does over training is its own matter."""

    def identity(self) -> str:
        """Return a hash of the module's parameters and buffers."""
        return fingerprint({k: v.detach().cpu().numpy() for k, v in self.module.state_dict().items()})

    def products(self) -> dict[str, dict[str, Any]]:
        """Return nothing: a user's module computes its products itself."""
        return {}

    def result(self) -> nn.Module:
        """Return the module."""
        return self.module
