"""The same network as Lava processes, run in a child process with a time limit."""

from __future__ import annotations

from collections.abc import Mapping

from spikesim.engine import Availability, Options, Program
from spikesim.fixedpoint.lower import problems
from spikesim.graph import Graph


class LavaBackend:
    """Runs networks of ``loihi_lif`` neurons in Lava's own ``fixed_pt`` simulation."""

    name = "lava"

    def availability(self) -> Availability:
        """Tell whether lava-nc is installed, without importing it."""
        from spikesim.backends.lava.availability import availability

        return Availability(*availability())

    def capabilities(self) -> Mapping[str, str]:
        """Say what the engine can do."""
        return {
            "neurons": "loihi_lif with scalar parameters; soft reset by a custom process (simulation only)",
            "synapses": "Dense, DelayDense, Sparse; recurrent",
            "precision": "Lava fixed_pt (bit_accurate_loihi)",
        }

    def check(self, graph: Graph) -> list[str]:
        """Return everything that Lava cannot hold."""
        found = problems(graph)
        if not found:
            from spikesim.backends.lava.job import find_unsupported
            from spikesim.fixedpoint.lower import lower_to_integers

            found = find_unsupported(lower_to_integers(graph).network)
        return found

    def compile(self, graph: Graph, options: Options) -> Program:
        """Prepare the child process; it starts when the program runs."""
        from spikesim.backends.lava.runner import engine
        from spikesim.fixedpoint.program import FixedProgram, check_options

        check_options(self.name, options)
        return FixedProgram(graph, engine(options.timeout), whole_run=True)
