"""Continual learning: scenarios, learners, metrics and costs.

See the guide on continual learning.
"""

from spikesim.continual.afec import Afec
from spikesim.continual.changes import CONDITIONS, Corrupted, Rotated
from spikesim.continual.clnp import CapacityExhausted, Clnp
from spikesim.continual.costs import Costs, costs
from spikesim.continual.counters import Counters
from spikesim.continual.ewc import Ewc
from spikesim.continual.gpm import Gpm
from spikesim.continual.hlop import Hlop
from spikesim.continual.labels import Relabelled
from spikesim.continual.learners import FineTune, Learner
from spikesim.continual.mas import Mas
from spikesim.continual.metaplastic import Metaplastic, suggest_m
from spikesim.continual.metrics import figures
from spikesim.continual.named import SCENARIOS, Named, named
from spikesim.continual.patterns import spike_patterns
from spikesim.continual.plans import Plan
from spikesim.continual.registry import METHODS, method, methods
from spikesim.continual.rehearsal import Joint, Replay
from spikesim.continual.replay import Reservoir
from spikesim.continual.results import Study
from spikesim.continual.runs import Result, run
from spikesim.continual.scenarios import Experience, Permuted, Scenario, Split, Task
from spikesim.continual.sets import DataSets
from spikesim.continual.si import SynapticIntelligence
from spikesim.continual.single import SingleTask
from spikesim.continual.streams import ClassesAndConditions, Stream
from spikesim.continual.studies import load_study, study
from spikesim.continual.subspace import Subspace

__all__ = [
    "CONDITIONS",
    "METHODS",
    "SCENARIOS",
    "Afec",
    "CapacityExhausted",
    "ClassesAndConditions",
    "Clnp",
    "Corrupted",
    "Costs",
    "Counters",
    "DataSets",
    "Ewc",
    "Experience",
    "FineTune",
    "Gpm",
    "Hlop",
    "Joint",
    "Learner",
    "Mas",
    "Metaplastic",
    "Named",
    "Permuted",
    "Plan",
    "Relabelled",
    "Replay",
    "Reservoir",
    "Result",
    "Rotated",
    "Scenario",
    "SingleTask",
    "Split",
    "Stream",
    "Study",
    "Subspace",
    "SynapticIntelligence",
    "Task",
    "costs",
    "figures",
    "load_study",
    "method",
    "methods",
    "named",
    "run",
    "spike_patterns",
    "study",
    "suggest_m",
]
