"""Fix how many of the first filters are low-pass, and see what that does to corrupted digits.

python examples/filter_frequency.py
"""

from __future__ import annotations

import spikesim as sp
from spikesim import data
from spikesim.analyse.filter_frequency import frequency_proportion
from spikesim.data.corruptions import corrupt
from spikesim.layers import batch_norm, conv2d, dense, pool
from spikesim.models.neurons import li, lif_soft
from spikesim.sparsify.rnp import predictions
from spikesim.train.filter_frequency import train_filters

PRESENTED = {"steps": 2, "loss": "membrane_cross_entropy"}


def main() -> None:
    """Train with three proportions and without any."""
    digits = data.load("digits").scaled()
    x, x_test = digits.x_train[:, None], digits.x_test[:, None]
    net = sp.sequential(
        sp.Input("image", (1, 8, 8), graded=True),
        conv2d(16, 3, padding=1), batch_norm(gain=0.5), lif_soft(), pool(2), dense(10), li(beta=0.0),
    )  # fmt: skip
    for q in (None, 0.0, 0.5, 1.0):
        how = {"proportion": q, "epochs": 4, "learning_rate": 1e-2}
        trained = train_filters(net, (x, digits.y_train), **how, **PRESENTED).network  # type: ignore[arg-type]
        found = {name: corrupt(x_test, name, 3) for name in ("noise", "blur", "contrast")}
        right = {
            name: f"{(predictions(trained, images, **PRESENTED) == digits.y_test).mean():.1%}"
            for name, images in {"clean": x_test, **found}.items()
        }
        share = frequency_proportion(trained, n=8).share
        print(f"q = {q}: low share {share:.2f}, right {right}")


if __name__ == "__main__":
    main()
