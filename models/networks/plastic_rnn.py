"""A recurrent spiking network for fast weights: embedding, recurrent layer, linear read-out.

::

    in -> embed -> hidden -> out        hidden -> hidden, one step later
    out: the answers, ``extra`` free outputs, and one that modulates plasticity

All neurons have a bias. Weights and biases are drawn from ``scale U(-1, 1) / sqrt(targets)``, as in the authors' code.

Reference: Duan et al., ICLR 2023, arXiv 2302.03235 (rate network, ReLU); the neurons are this library's.
"""

from __future__ import annotations

import numpy as np

from spikesim.connect import Dense
from spikesim.errors import InvalidValueError
from spikesim.models.neurons import leaky, li
from spikesim.network import Network, Population, Projection
from spikesim.rng import Stream
from spikesim.stimulus import Input


def plastic_rnn(
    inputs: int = 6,
    outputs: int = 1,
    hidden: int = 24,
    extra: int = 4,
    scale: float = 1.0,
    seed: int = 0,
    dt: float = 1e-3,
) -> Network:
    """Build an untrained recurrent network for fast weights.

    Parameters
    ----------
    inputs, outputs
        Values of a trial step, and of an answer.
    hidden
        Neurons of the embedding, and of the recurrent layer.
    extra
        Outputs that no target is given for; plasticity may use them.
    scale
        What initial weights and biases are multiplied by.
    seed
        Seed of the initial weights.
    dt
        Time step in seconds.

    Examples
    --------
    >>> [(p.name, p.n) for p in plastic_rnn().populations]
    [('embed', 24), ('hidden', 24), ('out', 6)]
    """
    for name, value, low in (
        ("inputs", inputs, 1),
        ("outputs", outputs, 1),
        ("hidden", hidden, 1),
        ("extra", extra, 0),
    ):
        if not (isinstance(value, int) and value >= low):
            raise InvalidValueError(f"plastic_rnn: {name} must be at least {low}, a whole number, found {value!r}")
    last = outputs + extra + 1

    def drawn(name: str, post: int, pre: int = 1) -> np.ndarray:
        values = Stream(seed, f"plastic_rnn/{name}").uniform(post * pre).reshape(post, pre)
        return np.asarray(scale * (2.0 * values - 1.0) / np.sqrt(post))

    def cell(name: str) -> Population:
        bias = drawn(f"{name}/bias", hidden)[:, 0]
        return Population(name, hidden, leaky(beta=0.8, v_th=0.5, q=0.5, timing="same", bias=bias))

    return Network(
        [cell("embed"), cell("hidden"), Population("out", last, li(beta=0.0, bias=drawn("out/bias", last)[:, 0]))],
        [
            Projection("in", "embed", Dense(drawn("in->embed", hidden, inputs)), delay=0.0),
            Projection("embed", "hidden", Dense(drawn("embed->hidden", hidden, hidden)), delay=0.0),
            Projection("hidden", "hidden", Dense(drawn("hidden->hidden", hidden, hidden)), delay=dt),
            Projection("hidden", "out", Dense(drawn("hidden->out", last, hidden)), delay=0.0),
        ],
        [Input("in", inputs, graded=True)],
        dt=dt,
        seed=seed,
        name="plastic_rnn",
    )
