"""Continual learning: scenarios, learners, metrics; HLOP and the exact projection that it is compared with.

See the guide on continual learning.
"""

from spikesim.continual.changes import CORRUPTIONS, Corrupted, Rotated
from spikesim.continual.gpm import Gpm
from spikesim.continual.hlop import Hlop, Subspace
from spikesim.continual.learners import FineTune, Joint, Learner, Replay
from spikesim.continual.metrics import figures
from spikesim.continual.named import SCENARIOS, Named, named
from spikesim.continual.patterns import spike_patterns
from spikesim.continual.plans import Plan
from spikesim.continual.registry import METHODS, method, methods
from spikesim.continual.replay import Reservoir
from spikesim.continual.results import Study
from spikesim.continual.runs import Result, run
from spikesim.continual.scenarios import Experience, Permuted, Scenario, Split, Task
from spikesim.continual.sets import DataSets
from spikesim.continual.streams import ClassesAndConditions, Stream
from spikesim.continual.studies import load_study, study

__all__ = [
    "CORRUPTIONS",
    "METHODS",
    "SCENARIOS",
    "ClassesAndConditions",
    "Corrupted",
    "DataSets",
    "Experience",
    "FineTune",
    "Gpm",
    "Hlop",
    "Joint",
    "Learner",
    "Named",
    "Permuted",
    "Plan",
    "Replay",
    "Reservoir",
    "Result",
    "Rotated",
    "Scenario",
    "Split",
    "Stream",
    "Study",
    "Subspace",
    "Task",
    "figures",
    "load_study",
    "method",
    "methods",
    "named",
    "run",
    "spike_patterns",
    "study",
]
