"""Integer networks in the arithmetic of Loihi: what an emulator, Lava and a file exporter have in common.

An :class:`IntNetwork` holds integers only: mantissas and exponents as the chip stores them. It comes out of a
quantiser and goes into ``backends/loihi`` (the emulator), ``backends/lava`` (Lava's own CPU simulation) or a netx file.
Both engines answer with the same :class:`IntRun`. This package imports neither of them.

Time is counted in *columns*: column ``k`` is Lava's ``time_step`` ``k + 1``. An input spike in column ``k`` reaches the
neurons behind a connection of delay 0 in column ``k + 1``, behind delay ``d`` in column ``k + 1 + d``; a current that
is fed in directly acts in its own column.
"""

from spikesim.fixedpoint.learning import IntLearning, LoihiRule
from spikesim.fixedpoint.limits import check_network, find_violations
from spikesim.fixedpoint.network import IntInput, IntNetwork, IntPopulation, IntProjection
from spikesim.fixedpoint.run import IntCounts, IntRun, IntSample, IntState, raster_to_events, synaptic_events
from spikesim.fixedpoint.weights import OptimizedWeights, optimize_weight_bits, sign_mode_of, truncate_weights

__all__ = [
    "IntCounts",
    "IntInput",
    "IntLearning",
    "IntNetwork",
    "IntPopulation",
    "IntProjection",
    "IntRun",
    "IntSample",
    "IntState",
    "LoihiRule",
    "OptimizedWeights",
    "check_network",
    "find_violations",
    "optimize_weight_bits",
    "raster_to_events",
    "sign_mode_of",
    "synaptic_events",
    "truncate_weights",
]
