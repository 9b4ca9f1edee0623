"""Continual learning: scenarios, learners, metrics and costs.

See the guide on continual learning.
"""

from spikesim.continual.afec import Afec
from spikesim.continual.clnp import CapacityExhausted, Clnp
from spikesim.continual.costs import Costs, costs
from spikesim.continual.counters import Counters
from spikesim.continual.ewc import Ewc
from spikesim.continual.gpm import Gpm
from spikesim.continual.hlop import Hlop, Subspace
from spikesim.continual.learners import FineTune, Learner
from spikesim.continual.mas import Mas
from spikesim.continual.metaplastic import Metaplastic, suggest_m
from spikesim.continual.metrics import figures
from spikesim.continual.registry import METHODS, method, methods
from spikesim.continual.rehearsal import Joint, Replay
from spikesim.continual.replay import Reservoir
from spikesim.continual.runs import Result, run
from spikesim.continual.scenarios import Experience, Permuted, Scenario, Split, Task
from spikesim.continual.si import SynapticIntelligence
from spikesim.continual.single import SingleTask

__all__ = [
    "METHODS",
    "Afec",
    "CapacityExhausted",
    "Clnp",
    "Costs",
    "Counters",
    "Ewc",
    "Experience",
    "FineTune",
    "Gpm",
    "Hlop",
    "Joint",
    "Learner",
    "Mas",
    "Metaplastic",
    "Permuted",
    "Replay",
    "Reservoir",
    "Result",
    "Scenario",
    "SingleTask",
    "Split",
    "Subspace",
    "SynapticIntelligence",
    "Task",
    "costs",
    "figures",
    "method",
    "methods",
    "run",
    "suggest_m",
]
