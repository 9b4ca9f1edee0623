"""``spikesim show``: look inside a neuron model, a plasticity rule or a network."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from spikesim.cli.common import Settings, find_network, parse_settings
from spikesim.errors import UnknownNameError

SOURCES = ("equations", "latex", "jacobian", "numba", "backward")


def command(
    name: Annotated[
        str, typer.Argument(help="A neuron, synapse or network (`spikesim list neurons`), or a network file.")
    ],
    source: Annotated[str, typer.Option(help=f"For a neuron: {', '.join(SOURCES)}.")] = "equations",
    surrogate: Annotated[str, typer.Option(help="Derivative of the spike in the backward source.")] = "arctan",
    dtype: Annotated[str, typer.Option(help="float64 or float32, for printed source.")] = "float64",
    settings: Settings = None,
) -> None:
    """Show a neuron's equations or kernels, a synapse, or a network: `spikesim show lif_soft --source numba`."""
    from spikesim.models.networks import NETWORKS
    from spikesim.models.neurons import NEURONS
    from spikesim.models.synapses import SYNAPSES

    if name in NEURONS:
        print(show_neuron(name, source, surrogate, dtype, settings))
    elif name in SYNAPSES:
        print(show_synapse(name, settings))
    elif name in NETWORKS or name.endswith((".h5", ".hdf5")):
        print(find_network(name, parse_settings(settings)))
    else:
        raise UnknownNameError("neuron, synapse or network", name, [*NEURONS, *SYNAPSES, *NETWORKS])


def show_synapse(name: str, settings: list[str] | None) -> str:
    """Return a plasticity rule as text."""
    import inspect

    from spikesim.equations.show_synapse import synapse_text
    from spikesim.models.synapses import SYNAPSES

    given: dict[str, Any] = parse_settings(settings)
    if "modulator" in inspect.signature(SYNAPSES[name]).parameters:
        given.setdefault("modulator", "reward")
    return synapse_text(SYNAPSES[name](**given).model)


def show_neuron(name: str, source: str, surrogate_name: str, dtype: str, settings: list[str] | None) -> str:
    """Return one view of a neuron model as text."""
    from spikesim.equations.show import backward_text, equations_latex, equations_text, jacobian_text
    from spikesim.models.neurons import NEURONS

    made = NEURONS[name](**parse_settings(settings))
    model = made.model
    if source == "equations":
        return equations_text(model)
    if source == "latex":
        return equations_latex(model)
    if source == "jacobian":
        return jacobian_text(model)
    if source == "backward":
        return backward_text(model, surrogate_name)
    if source == "numba":
        from spikesim.equations.numba_source import print_loop

        return print_loop([(model, frozenset())], dtype, "")
    raise UnknownNameError("source", source, list(SOURCES))
