"""Run Lava's learning engine on given spike trains: ``python lava_learning_child.py JOBS.json RESULT.npz``.

For the tests; not collected by pytest. Each job is a dictionary with `rule` (fields of ``LoihiRule``), `tag`,
`weights`, `pre`, `post` (rasters) and `seed`. Lava's own process models of ``LearningDense`` are called step by step,
as its runtime does, but without its processes and messages, so hundreds of rules take seconds.
"""

import json
import sys

import numpy as np

from spikesim.backends.lava.shims import import_lava
from spikesim.fixedpoint import LoihiRule
from spikesim.fixedpoint.rule_text import TRACES

import_lava()

from lava.magma.core.learning.constants import GradedSpikeCfg  # noqa: E402
from lava.magma.core.learning.learning_rule import Loihi2FLearningRule  # noqa: E402
from lava.proc.dense.models import PyLearningDenseModelBitApproximate, PyLearningDenseModelFloat  # noqa: E402
from lava.utils.weightutils import SignMode  # noqa: E402


class Port:
    """Hands over what was put into it."""

    def __init__(self):
        self.data = None

    def recv(self):
        return self.data

    def send(self, data):
        self.data = data


def engine(job):
    rule, weights, fixed = LoihiRule(**job["rule"]), np.array(job["weights"]), job["tag"] == "fixed_pt"
    values = {f"{t}_{part}": getattr(rule, f"{t}_{part}") for t in TRACES for part in ("impulse", "tau")}
    theirs = Loihi2FLearningRule(**rule.texts, **values, t_epoch=rule.t_epoch, rng_seed=job["seed"])
    mode = SignMode[rule.sign_mode.upper()] if rule.sign_mode != "auto" else SignMode.MIXED
    kind = PyLearningDenseModelBitApproximate if fixed else PyLearningDenseModelFloat
    model = kind(
        {
            "learning_rule": theirs,
            "shape": weights.shape,
            "graded_spike_cfg": GradedSpikeCfg.USE_REGULAR_IMPULSE,
            "sign_mode": mode,
        }
    )
    number = np.int32 if fixed else float
    model.weights, model.a_buff = weights.astype(number), np.zeros(len(weights), number)
    model.tag_1, model.tag_2 = np.zeros(weights.shape, number), np.zeros(weights.shape, number)
    model.num_message_bits = np.array([0])
    n_post, n_pre = weights.shape
    for side, n, names in (("x", n_pre, ("x1", "x2")), ("y", n_post, ("y1", "y2", "y3"))):
        for name in names:
            setattr(model, name, np.zeros(n, int if fixed else float))
        setattr(model, f"{side}0", np.zeros(n, bool))
        setattr(model, f"t{side}", np.zeros(n, int))
    model.s_in, model.s_in_bap, model.a_out = Port(), Port(), Port()
    return model


def run(job):
    model, pre, post = engine(job), np.array(job["pre"]), np.array(job["post"])
    for k in range(pre.shape[1]):
        model.time_step = k + 1
        model.s_in.send(pre[:, k])
        model.s_in_bap.send(post[:, k])
        model.run_spk()
        if model.lrn_guard():
            model.run_lrn()
    return {name: np.array(getattr(model, name)) for name in ("weights", "tag_2", "tag_1")}


def main(path, result):
    with open(path) as file:
        jobs = json.load(file)
    np.savez(result, **{f"{k}/{name}": array for k, job in enumerate(jobs) for name, array in run(job).items()})


if __name__ == "__main__":
    main(*sys.argv[1:])
