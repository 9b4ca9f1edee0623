"""Run a network before and after a conversion and count the spikes that differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from spikesim.convert.report import Verification
from spikesim.engine import run
from spikesim.network import Network
from spikesim.rng import Stream
from spikesim.stimulus import Input

STEPS = 200
DENSITY = 0.1  # spikes per input element and step


def random_inputs(network: Network, steps: int = STEPS, samples: int = 1, density: float = DENSITY) -> dict[str, Any]:
    """Return random data for every input of a network, a function of the network's seed.

    Parameters
    ----------
    network
        Whose inputs to fill.
    steps, samples
        Length of the data.
    density
        Probability of a spike; graded inputs get uniform values from 0 to 1.

    Returns
    -------
    dict
        Arrays ``[steps, samples, n]`` by input.
    """
    data = {}
    for source in network.stimuli:
        if isinstance(source, Input):
            values = Stream(network.seed, f"{source.name}/verify").uniform(steps * samples * source.n)
            values = values.reshape(steps, samples, source.n)
            data[source.name] = values if source.graded else (values < density).astype(np.uint8)
    return data


def compare_spikes(
    before: Network,
    after: Network,
    inputs: Mapping[str, Any] | None = None,
    steps: int = STEPS,
    backend: str = "numba",
    data: str = "",
) -> Verification:
    """Run two networks on the same input and count the spikes that differ.

    Parameters
    ----------
    before, after
        The networks; populations are matched by name.
    inputs
        Data as for :func:`spikesim.run`; random spikes if left out.
    steps
        Length of the run where ``inputs`` do not give one.
    backend
        Which engine runs both.
    data
        What the inputs are, for the report.

    Returns
    -------
    Verification
    """
    data = data or ("random spikes" if inputs is None else "the given input")
    given = dict(inputs) if inputs is not None else random_inputs(before, steps)
    length = None if given else steps
    first = run(before, steps=length, inputs=given, backend=backend)
    second = run(after, steps=length, inputs=given, backend=backend)
    events = [
        {
            (n, *e)
            for n, s in r.spikes.items()
            for e in zip(s.sample.tolist(), s.step.tolist(), s.neuron.tolist(), strict=True)
        }
        for r in (first, second)
    ]
    differing = events[0] ^ events[1]
    parts = dict(Counter(name for name, *_ in sorted(differing)))
    return Verification(
        first.steps, first.samples, len(events[0]), len(events[1]), len(differing), parts, data if given else "its own"
    )
