"""Continual learning: scenarios, learners, metrics; HLOP and the exact projection that it is compared with.

See the guide on continual learning.
"""

from spikesim.continual.gpm import Gpm
from spikesim.continual.hlop import Hlop, Subspace
from spikesim.continual.learners import FineTune, Joint, Learner, Replay
from spikesim.continual.metrics import figures
from spikesim.continual.registry import METHODS, method, methods
from spikesim.continual.replay import Reservoir
from spikesim.continual.runs import Result, run
from spikesim.continual.scenarios import Experience, Permuted, Scenario, Split, Task

__all__ = [
    "METHODS",
    "Experience",
    "FineTune",
    "Gpm",
    "Hlop",
    "Joint",
    "Learner",
    "Permuted",
    "Replay",
    "Reservoir",
    "Result",
    "Scenario",
    "Split",
    "Subspace",
    "Task",
    "figures",
    "method",
    "methods",
    "run",
]
