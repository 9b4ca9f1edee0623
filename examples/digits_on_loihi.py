"""Train on real digits, bring the network to Loihi's integers, run it there, export it, and price it.

python examples/digits_on_loihi.py [folder for the exported files]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from spikesim import data
from spikesim.convert import write_nir
from spikesim.models.networks import digits_mlp
from spikesim.profile import profile
from spikesim.profile.text import energy_text, rests_on, span
from spikesim.quantise import quantise
from spikesim.train import evaluate, train


def main(folder: Path) -> None:
    """Do it all and print what came out."""
    digits = data.load("digits").scaled().flat()
    coding = {"encode": "regular", "steps": 8}
    trained = train(digits_mlp(hidden=(64,)), digits, epochs=10, learning_rate=1e-2, **coding)  # type: ignore[arg-type]
    print(trained)
    chip = quantise(trained.network)
    for label, net, engine in (("float", trained.network, "numba"), ("fixed point", chip.network, "loihi")):
        found = evaluate(net, digits.x_test, digits.y_test, backend=engine, **coding)  # type: ignore[arg-type]
        print(f"{label}: {found.accuracy:.1%} right, {found.recording.counts.spikes} spikes")
    for bill in profile(found.recording, chip.network, ["loihi1", "loihi1_nahuku", "truenorth"]).bills.values():
        print(f"{bill.title}: {energy_text(bill)} ({span(bill.total) if bill.total else ''}; {rests_on(bill)})")
    trained.network.save(folder / "digits.h5")
    print(write_nir(trained.network, folder / "digits.nir"))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else scratch))
