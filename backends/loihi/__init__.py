"""Bit-accurate emulator of Loihi's fixed-point neuron."""

from __future__ import annotations

from collections.abc import Mapping

from spikesim.engine import Availability, Options, Program
from spikesim.fixedpoint.lower import problems
from spikesim.graph import Graph


class LoihiBackend:
    """Runs networks of ``loihi_lif`` neurons with integer kernels, as the chip and Lava's ``fixed_pt`` models do."""

    name = "loihi"

    def availability(self) -> Availability:
        """Say yes: it needs numba only."""
        return Availability(True)

    def capabilities(self) -> Mapping[str, str]:
        """Say what the engine can do."""
        return {
            "neurons": "loihi_lif; spikesim.quantise brings there what matches the chip",
            "synapses": "8-bit weights, delays up to 62 steps on the chip, recurrent; graded inputs of whole numbers",
            "learning": "sums of products (LoihiRule); chip_rule brings rules of the library there",
            "precision": "the chip's integers, equal to Lava's fixed_pt",
        }

    def check(self, graph: Graph) -> list[str]:
        """Return everything that the fixed-point arithmetic cannot hold."""
        return problems(graph)

    def compile(self, graph: Graph, options: Options) -> Program:
        """Prepare the emulator."""
        from spikesim.backends.loihi.emulator import Emulator
        from spikesim.fixedpoint import IntNetwork, IntRun, IntSample, IntState
        from spikesim.fixedpoint.program import Engine, FixedProgram, check_options

        check_options(self.name, options)

        def make(network: IntNetwork) -> Engine:
            emulator = Emulator(network)

            def engine(steps: int, samples: list[IntSample], wanted: list[str], state: IntState | None) -> IntRun:
                return emulator.run(
                    steps, samples, record_u=wanted, record_v=wanted, state=state, threads=options.threads or None
                )

            return engine

        return FixedProgram(graph, make, whole_run=False)
