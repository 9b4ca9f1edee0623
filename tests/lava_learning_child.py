"""Run Lava's learning engine on given spike trains: ``python lava_learning_child.py JOBS.json RESULT.npz``.

For the tests; not collected by pytest. Each job is a dictionary with `rule` (fields of ``LoihiRule``), `tag`,
`weights`, `pre`, `post` (rasters) and `seed`, and a Lava run of its own.
"""

import json
import sys

import numpy as np

from spikesim.backends.lava.shims import import_lava
from spikesim.fixedpoint import LoihiRule
from spikesim.fixedpoint.rule_text import TRACES

import_lava()

from lava.magma.core.learning.learning_rule import Loihi2FLearningRule  # noqa: E402
from lava.magma.core.run_conditions import RunSteps  # noqa: E402
from lava.magma.core.run_configs import Loihi2SimCfg  # noqa: E402
from lava.proc.dense.process import LearningDense  # noqa: E402
from lava.proc.io.sink import RingBuffer as Sink  # noqa: E402
from lava.proc.io.source import RingBuffer as Source  # noqa: E402
from lava.utils.weightutils import SignMode  # noqa: E402


def build(job, number):
    rule = LoihiRule(**job["rule"])
    values = {f"{t}_{part}": getattr(rule, f"{t}_{part}") for t in TRACES for part in ("impulse", "tau")}
    theirs = Loihi2FLearningRule(**rule.texts, **values, t_epoch=rule.t_epoch, rng_seed=job["seed"])
    weights = np.array(job["weights"])
    mode = SignMode[rule.sign_mode.upper()] if rule.sign_mode != "auto" else SignMode.MIXED
    line = LearningDense(weights=weights, learning_rule=theirs, sign_mode=mode, name=f"line{number}")
    kind = int if job["tag"] == "fixed_pt" else float
    Source(data=np.array(job["pre"], kind)).s_out.connect(line.s_in)
    Source(data=np.array(job["post"], kind)).s_out.connect(line.s_in_bap)
    sink = Sink(shape=(weights.shape[0],), buffer=np.shape(job["pre"])[1])
    line.a_out.connect(sink.a_in)
    return line


def main(path, result):
    with open(path) as file:
        jobs = json.load(file)
    found = {}
    for k, job in enumerate(jobs):
        line = build(job, k)
        line.run(condition=RunSteps(num_steps=np.shape(job["pre"])[1]), run_cfg=Loihi2SimCfg(select_tag=job["tag"]))
        for name in ("weights", "tag_2", "tag_1"):
            found[f"{k}/{name}"] = np.array(getattr(line, name).get())
        line.stop()
    np.savez(result, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
