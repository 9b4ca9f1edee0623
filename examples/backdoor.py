"""Put a backdoor into a spiking conv net, find its filters with 150 clean samples, and prune them.

python examples/backdoor.py
"""

from __future__ import annotations

import spikesim as sp
from spikesim import data
from spikesim.data.triggers import Backdoor, Patch
from spikesim.layers import batch_norm, conv2d, dense, pool
from spikesim.models.neurons import li, lif_soft
from spikesim.network import Network
from spikesim.sparsify.filters import lowest, switched_off
from spikesim.sparsify.rnp import RNP, predictions
from spikesim.train import train

PRESENTED = {"steps": 2, "loss": "membrane_cross_entropy"}


def main() -> None:
    """Attack, defend, and say what came out."""
    digits = data.load("digits").scaled()
    x, y, x_test, y_test = digits.x_train[:, None], digits.y_train, digits.x_test[:, None], digits.y_test
    attack = Backdoor(Patch(), target=0, rate=0.1)
    poisoned = attack.poison(x[150:], y[150:])
    net = sp.sequential(
        sp.Input("image", (1, 8, 8), graded=True),
        conv2d(16, 3, padding=1), batch_norm(gain=0.5), lif_soft(),
        conv2d(64, 3, padding=1), batch_norm(gain=0.5), lif_soft(), pool(8),
        dense(10), li(beta=0.0),
    )  # fmt: skip
    how = {"epochs": 8, "learning_rate": 1e-2, "batch_size": 50, "fold": False}
    suspect = train(net, (poisoned.x, poisoned.y), **how, **PRESENTED).network  # type: ignore[arg-type]

    def show(name: str, value: Network) -> None:
        right = (predictions(value, x_test, **PRESENTED) == y_test).mean()
        success = attack.success(predictions(value, attack.trigger(x_test), **PRESENTED), y_test)
        print(f"{name}: {right:.1%} right, attack success {success:.1%}")

    show("attacked", suspect)
    names = ["layer1->layer2"]
    defence = RNP(mask_rate=0.05, mask_epochs=8, batch_size=50, projections=names, presented=PRESENTED)
    report = defence.fit(suspect, (x[:150], y[:150]))
    print(f"ascent took {len(report.unlearning)} steps; then it answered {report.predicted.tolist()}")
    for count in (4, 8, 16):
        show(f"{count} filters pruned", switched_off(suspect, lowest(report.masks, count)))


if __name__ == "__main__":
    main()
