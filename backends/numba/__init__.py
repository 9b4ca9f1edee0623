"""Compiled CPU kernels: event-driven synapses, delays, threads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spikesim.engine import Availability, Options, Program
from spikesim.errors import InvalidValueError
from spikesim.graph import Graph
from spikesim.learning import grid_problems


class NumbaBackend:
    """The default engine: any model, any connectivity, any delay, on the CPU."""

    name = "numba"

    def availability(self) -> Availability:
        """Say yes: numba belongs to the base install."""
        return Availability(True)

    def capabilities(self) -> Mapping[str, str]:
        """Say what the engine can do."""
        return {
            "neurons": "any model, also the user's own",
            "synapses": "event-driven; sparse, dense and convolutional; any delay; plastic, any rule",
            "precision": "float64 or float32 state, exact sums",
            "threads": "over samples, or over the targets of one sample; the same spikes for any number",
        }

    def check(self, graph: Graph) -> list[str]:
        """Return what the engine cannot do."""
        ports = [
            f"neuron {n.model.name!r} has {len(n.model.inputs)} input ports, at most 16 are possible"
            for n in graph.nodes
            if len(n.model.inputs) > 16
        ]
        return ports + grid_problems(graph)

    def explain(self, graph: Graph, options: Options) -> Sequence[Mapping[str, Any]]:
        """Return the representation of each projection, its memory and what a spike costs."""
        from spikesim.backends.numba.plan import KINDS, plan, threads_for

        made = plan(graph, threads_for(options.threads), options.representations)
        return [
            {
                "projection": edge.name,
                "synapses": edge.synapses,
                "stored as": made.choices[edge.name].kind,
                "bytes per synapse": made.choices[edge.name].bytes_per_synapse,
                "ns per spike": made.choices[edge.name].ns_per_spike,
                "meaning": KINDS[made.choices[edge.name].kind],
            }
            for edge in graph.edges
        ]

    def compile(self, graph: Graph, options: Options) -> Program:
        """Print, compile (or find in the cache) and load the kernels of a network."""
        from spikesim.backends.numba.program import NumbaProgram

        if options.device != "cpu":
            raise InvalidValueError(
                f"backend 'numba' runs on the cpu, found device {options.device!r}; use backend 'torch'"
            )
        if options.ranks is not None:
            from spikesim.backends.numba.ranks import RankProgram

            return RankProgram(graph, options, options.ranks)
        return NumbaProgram(graph, options)
