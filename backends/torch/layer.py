"""A population as a ``torch.nn.Module`` of its own, to stand between layers of a user's own model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from spikesim.backends.torch.ops import step_constants
from spikesim.backends.torch.scan import Scan
from spikesim.backends.torch.sharing import clamp_, named, shared, spread
from spikesim.equations.scan_source import Surrogate
from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.lowering import values
from spikesim.neuron import Neuron, NeuronModel
from spikesim.rng import Stream

FLOATS = (torch.float32, torch.float64)


class SpikingLayer(nn.Module):  # type: ignore[misc]
    """Neurons that turn currents ``[steps, samples, *shape]`` into spikes of the same shape.

    Parameters
    ----------
    neuron
        Model and parameters.
    shape
        Of the population, channels first. Needed where parameters have one value per channel or neuron.
    dt
        Time step in seconds.
    learn
        Parameters to learn: names, or name to ``"shared"``, ``"channel"`` or ``"neuron"``. They are held relative to
        the size of their initial value.
    surrogate, settings, detach_reset
        Derivative of the spike, see :class:`spikesim.backends.torch.module.SpikingModule`.
    output
        ``"spike"``, or the name of a state that is returned in its place (the membrane of a read-out).
    seed
        Of parameters that are distributions.
    fused
        Use the printed kernels on the CPU.
    """

    def __init__(
        self,
        neuron: Neuron | NeuronModel,
        shape: int | Sequence[int] | None = None,
        *,
        dt: float = 1e-3,
        learn: Sequence[str] | Mapping[str, str] = (),
        surrogate: str = "arctan",
        settings: Mapping[str, float] | None = None,
        detach_reset: bool = False,
        output: str = "spike",
        seed: int = 0,
        fused: bool = True,
    ) -> None:
        super().__init__()
        self.neuron = neuron if isinstance(neuron, Neuron) else Neuron(neuron)
        self.shape = None if shape is None else tuple(np.atleast_1d(shape).tolist())
        self.dt, self.output, self.seed = dt, output, seed
        chosen = Surrogate(surrogate, tuple(sorted((settings or {}).items())), detach_reset)
        chosen.function()  # an unknown name is reported here
        model = self.neuron.model
        self.scan = Scan(model, chosen, fused)
        if output not in ("spike", *model.states):
            raise UnknownNameError(f"output of neuron {model.name!r}:", output, ["spike", *model.states])
        if not model.inputs:
            raise InvalidValueError(f"neuron {model.name!r} has no input port, so it cannot be a layer")
        self.given = {name: self._drawn("param", name, self.neuron.value(name)) for name in model.params}
        start = {name: self.neuron.init.get(name, state.init) for name, state in model.states.items()}
        self.start = {name: self._drawn("init", name, value) for name, value in start.items()}
        self.learned = nn.ParameterDict()
        self.scales: dict[str, float] = {}
        for name, per in named(learn).items():
            self._learn(name, per)

    def _drawn(self, kind: str, name: str, value: Any) -> Any:
        """Return a number, or one per neuron."""
        plain = not hasattr(value, "sample") and np.size(value) == 1
        if self.shape is None and not plain:
            raise InvalidValueError(f"{kind} {name!r} has a value per neuron; pass the shape of the layer")
        n = 1 if self.shape is None else int(np.prod(self.shape))
        if not hasattr(value, "sample") and np.size(value) not in (1, n):
            raise InvalidValueError(f"{kind} {name!r} has {np.size(value)} values for a layer of {n} neurons")
        return values(value, n, Stream(self.seed, f"layer/{kind}/{name}"))

    def _learn(self, name: str, per: str | None) -> None:
        if name not in self.given:
            raise UnknownNameError(f"parameter of neuron {self.neuron.model.name!r}:", name, list(self.given))
        if self.shape is None and per in ("channel", "neuron"):
            raise InvalidValueError(f"to learn {name!r} per {per}, pass the shape of the layer")
        initial = shared(f"parameter {name!r}", self.given[name], self.shape or (1,), per)
        self.scales[name] = float(np.abs(initial).max()) or 1.0
        self.learned[name] = nn.Parameter(torch.tensor(initial / self.scales[name], dtype=torch.get_default_dtype()))

    def forward(self, x: torch.Tensor | Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Run from the initial state.

        Parameters
        ----------
        x
            Currents ``[steps, samples, *shape]`` into the first port, or by port.
        """
        ports = self.neuron.model.inputs
        inputs = dict(x) if isinstance(x, Mapping) else {ports[0]: x}
        for port in inputs:
            if port not in ports:
                raise UnknownNameError(f"port of neuron {self.neuron.model.name!r}:", port, ports)
        first = next(iter(inputs.values()))
        whole = first.shape
        if len(whole) < 3 or (self.shape is not None and tuple(whole[2:]) != self.shape):
            wanted = "*shape" if self.shape is None else ", ".join(map(str, self.shape))
            raise InvalidValueError(f"a layer of neurons takes [steps, samples, {wanted}], found {list(whole)}")
        dtype = first.dtype if first.dtype in FLOATS else torch.float32
        flat = {port: value.to(dtype).flatten(2) for port, value in inputs.items()}
        size = (whole[0], whole[1], int(np.prod(whole[2:])))
        init = {name: torch.as_tensor(value, device=first.device).to(dtype) for name, value in self.start.items()}
        spikes, traces = self.scan(flat, init, self._constants(size[2], dtype, first.device), size)
        result = spikes if self.output == "spike" else traces[self.output][1:]
        return result.reshape(whole)

    def _constants(self, n: int, dtype: torch.dtype, device: torch.device) -> dict[str, torch.Tensor]:
        params = dict(self.given)
        for name, tensor in self.learned.items():
            params[name] = spread(tensor.double() * self.scales[name], n)
        constants = step_constants(self.neuron.model, params, self.dt, device)
        return {name: value.to(dtype) for name, value in constants.items()}

    def value(self) -> Neuron:
        """Return the neuron with the learned parameters, one value per neuron where they are not shared."""
        n = 1 if self.shape is None else int(np.prod(self.shape))
        found = {}
        for name, tensor in self.learned.items():
            found[name] = spread(tensor.detach().cpu().double() * self.scales[name], n).numpy()[()]
        return self.neuron(**found)

    def constrain_(self) -> None:
        """Bring learned parameters back into the range that their model allows; call it after an optimiser's step."""
        for name, tensor in self.learned.items():
            clamp_(tensor, self.neuron.model.params[name], self.scales[name])

    def extra_repr(self) -> str:
        """Say what ``print`` shows of the layer."""
        learned = f", learn={list(self.learned)}" if len(self.learned) else ""
        return f"{self.neuron.model.name}, shape={self.shape}, output={self.output!r}{learned}"


class OverTime(nn.Module):  # type: ignore[misc]
    """A layer without time applied to all steps at once: ``[steps, samples, ...]`` as ``[steps * samples, ...]``.

    Batch normalisation inside therefore goes over time too. Dropout inside would draw another mask for every step.

    Parameters
    ----------
    module
        Any module of ``[samples, ...]``.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the module; what is the same at every step (stride 0) is computed once where nothing is drawn."""
        once = x.stride(0) == 0 and not self.training
        rows = x[:1] if once else x
        result: torch.Tensor = self.module(rows.flatten(0, 1))
        return result.view(*rows.shape[:2], *result.shape[1:]).expand(*x.shape[:2], *result.shape[1:])
