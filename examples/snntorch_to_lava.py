"""Train in snnTorch; simulate, quantise, profile and export to Lava in five lines.

python examples/snntorch_to_lava.py [folder for the exported file]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import snntorch
import snntorch.utils
import torch

from spikesim import data, encode, run
from spikesim.convert import from_snntorch, write_netx
from spikesim.engine import backend
from spikesim.profile import profile
from spikesim.profile.text import energy_text, rests_on
from spikesim.quantise import quantise
from spikesim.recording import differing_spikes
from spikesim.train import evaluate

STEPS = 8
CODING = {"encode": "regular", "steps": STEPS}


def trained_in_snntorch(digits: data.Dataset, epochs: int = 5) -> torch.nn.Module:
    """Train as one does in snnTorch; its hard reset is the one that Loihi has."""
    torch.manual_seed(0)
    cell = {"beta": 0.9, "reset_mechanism": "zero", "init_hidden": True}
    net = torch.nn.Sequential(
        torch.nn.Linear(64, 96), snntorch.Leaky(**cell),
        torch.nn.Linear(96, 10), snntorch.Leaky(**cell),
    )  # fmt: skip
    optimiser = torch.optim.Adam(net.parameters(), lr=5e-3)
    x, y = spikes(digits.x_train), torch.as_tensor(digits.y_train)
    for _ in range(epochs):
        for batch in torch.randperm(len(y)).split(64):
            snntorch.utils.reset(net)
            counts = sum(net(step) for step in x[:, batch])
            loss = torch.nn.functional.cross_entropy(counts, y[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return net


def spikes(images: object) -> torch.Tensor:
    """Return ``[steps, samples, pixels]``."""
    return torch.as_tensor(encode.regular(images, STEPS)).float()


def main(folder: Path) -> None:
    """Do it all and print what came out."""
    digits = data.load("digits").scaled().flat()
    module, test = trained_in_snntorch(digits), (digits.x_test, digits.y_test)

    network, report = from_snntorch(module, spikes(digits.x_test), per_step=True, verify=True)
    chip = quantise(network)
    pairs = ((network, "numba"), (chip.network, "loihi"))
    simulated, emulated = (evaluate(net, *test, backend=engine, **CODING) for net, engine in pairs)
    energy = profile(emulated.recording, chip.network, ["loihi1", "loihi2"])
    exported = write_netx(chip, folder / "digits.net", steps=STEPS)

    print(report, exported, sep="\n\n", end="\n\n")
    print(f"floating point: {simulated.accuracy:.1%} right; on the chip: {emulated.accuracy:.1%} right")
    for bill in energy.bills.values():
        print(f"{bill.title}: {energy_text(bill)} ({rests_on(bill)})")
    if backend("lava").availability().ok:
        few = {"input": encode.regular(digits.x_test[:2], STEPS)}
        lava, ours = (run(chip.network, inputs=few, backend=e) for e in ("lava", "loihi"))
        print(f"Lava itself: {lava.counts.spikes} spikes, {differing_spikes(lava, ours)} differ from the emulator")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else scratch))
