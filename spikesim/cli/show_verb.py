"""``spikesim show``: look inside a neuron model or a network."""

from __future__ import annotations

from typing import Annotated

import typer

from spikesim.cli.common import Settings, find_network, parse_settings
from spikesim.errors import UnknownNameError

SOURCES = ("equations", "latex", "jacobian", "numba", "backward")


def command(
    name: Annotated[str, typer.Argument(help="A neuron (`spikesim list neurons`), a network, or a network file.")],
    source: Annotated[str, typer.Option(help=f"For a neuron: {', '.join(SOURCES)}.")] = "equations",
    surrogate: Annotated[str, typer.Option(help="Derivative of the spike in the backward source.")] = "arctan",
    dtype: Annotated[str, typer.Option(help="float64 or float32, for printed source.")] = "float64",
    settings: Settings = None,
) -> None:
    """Show a neuron's equations or printed kernels, or a network: `spikesim show lif_soft --source numba`."""
    from spikesim.models.networks import NETWORKS
    from spikesim.models.neurons import NEURONS

    if name in NEURONS:
        print(show_neuron(name, source, surrogate, dtype, settings))
    elif name in NETWORKS or name.endswith((".h5", ".hdf5")):
        print(find_network(name, parse_settings(settings)))
    else:
        raise UnknownNameError("neuron or network", name, [*NEURONS, *NETWORKS])


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
