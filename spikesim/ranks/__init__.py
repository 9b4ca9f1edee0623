"""Past one machine: several processes share a network over MPI, with the same spikes as one process.

``spikesim.run(network, ranks=4)`` and ``spikesim run NET --ranks 4`` start the processes on this machine
(:mod:`spikesim.ranks.launch`). On several machines start them by hand, ``mpiexec -n 64 --hosts a,b spikesim run NET``,
or call :func:`run` in a script of your own.
"""

from spikesim.ranks.collective import run
from spikesim.ranks.communicator import Communicator, under_mpiexec

__all__ = ["Communicator", "run", "under_mpiexec"]
