"""The same network as Lava processes, run in a child process with a time limit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikesim.engine import Availability, Options, Program
from spikesim.fixedpoint.lower import problems
from spikesim.graph import Graph

if TYPE_CHECKING:
    from spikesim.backends.lava.standalone.lava_network import LavaNetwork


def build(network: Any, **options: Any) -> LavaNetwork:
    """Return a network as live Lava processes; see :func:`spikesim.backends.lava.live.build`."""
    from spikesim.backends.lava import live

    return live.build(network, **options)


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
            "synapses": "Dense, DelayDense, Sparse; recurrent; exported also as Conv; graded inputs of whole numbers",
            "learning": "LearningDense, all to all, fixed point; three factors by a custom process (simulation only)",
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

    def write_folder(self, folder: Path, prepared: Any, **described: Any) -> None:
        """Write a network as a folder that runs with Lava alone; see :func:`spikesim.convert.lava.write_lava`."""
        from spikesim.backends.lava.folder import write_folder

        write_folder(folder, prepared, **described)
