"""``spikesim show``: look inside a neuron model, a plasticity rule or a network."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from spikesim.cli.common import (
    BackendName,
    Represent,
    Settings,
    Threads,
    find_network,
    parse_pairs,
    parse_settings,
    print_table,
)
from spikesim.errors import InvalidValueError, UnknownNameError

SOURCES = ("equations", "latex", "jacobian", "numba", "triton", "backward")


def command(
    name: Annotated[
        str, typer.Argument(help="A neuron, synapse or network (`spikesim list neurons`), or a network file.")
    ],
    source: Annotated[str, typer.Option(help=f"For a neuron: {', '.join(SOURCES)}.")] = "equations",
    surrogate: Annotated[str, typer.Option(help="Derivative of the spike in the backward source.")] = "arctan",
    dtype: Annotated[str, typer.Option(help="float64 or float32, for printed source.")] = "float64",
    plan: Annotated[bool, typer.Option("--plan", help="For a network: how the engine stores each projection.")] = False,
    backend: BackendName = "numba",
    threads: Threads = 0,
    represent: Represent = None,
    settings: Settings = None,
) -> None:
    """Show a neuron's equations or kernels, a synapse, or a network: `spikesim show lif_soft --source numba`."""
    from spikesim.models.networks import NETWORKS
    from spikesim.models.neurons import NEURONS
    from spikesim.models.synapses import SYNAPSES

    if plan and (name in NEURONS or name in SYNAPSES):
        raise InvalidValueError(
            f"--plan shows how the projections of a network are stored, but {name!r} is a "
            f"{'neuron' if name in NEURONS else 'synapse'}; leave --plan out, or name a network"
        )
    if name in NEURONS:
        print(show_neuron(name, source, surrogate, dtype, settings))
    elif name in SYNAPSES:
        print(show_synapse(name, settings))
    elif name in NETWORKS or name.endswith((".h5", ".hdf5")):
        network = find_network(name, parse_settings(settings))
        if plan:
            print_plan(network, backend, threads, parse_pairs(represent, "--represent"))
        else:
            print(network)
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


def print_plan(network: Any, backend: str, threads: int, representations: dict[str, str]) -> None:
    """Print how an engine stores each projection of a network."""
    from spikesim.engine import Options
    from spikesim.engine import backend as find_backend
    from spikesim.lowering import lower

    graph = lower(network)
    explain = getattr(find_backend(backend), "explain", None)
    rows = explain(graph, Options(threads=threads, representations=representations)) if explain else []
    if not rows:
        print(f"backend {backend!r} stores all projections of {graph.name!r} in one way")
        return
    title = f"{graph.name} on {backend}: {graph.neurons} neurons, {graph.synapses} synapses"
    print_table(title, list(rows[0]), [list(row.values()) for row in rows])


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
        from spikesim.equations.numba_source import KernelForm, PortForm, print_advance

        form = KernelForm(model, frozenset(), tuple(PortForm(sums=True) for _ in model.inputs))
        return print_advance(form, dtype, "")
    if source == "triton":
        from spikesim.equations.scan_source import Layout, Surrogate
        from spikesim.equations.triton_source import backward_triton, forward_triton

        layout = Layout(model, dtype, tuple(model.inputs), ())
        return f"{forward_triton(layout, ())}\n\n{backward_triton(layout, (), (), Surrogate(surrogate_name))}"
    raise UnknownNameError("source", source, list(SOURCES))
