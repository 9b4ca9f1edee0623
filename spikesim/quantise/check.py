"""Do the integers fit the chip, and stay in its registers while running? Lava checks neither."""

from __future__ import annotations

from typing import Any

from spikesim.engine import compile
from spikesim.errors import DeviceLimitError, UnsupportedError
from spikesim.fixedpoint.lower import problems
from spikesim.inputs import input_arrays, total_steps
from spikesim.lowering import lower
from spikesim.network import Network
from spikesim.quantise.calibrate import given
from spikesim.recording import Recording
from spikesim.session import Session

REMEDIES = {
    "delay": "shorten it, use longer steps (dt), or put a relay population in between",
    "weights": "scale them down, or leave max_exponent at 7",
    "weight_exp": "scale the weights down",
    "vth": "scale weights and threshold down together",
    "du": "use longer steps (dt) or a shorter time constant",
    "dv": "use longer steps (dt) or a shorter time constant",
    "bias_mant": "scale biases, weights and threshold down together",
    "bias_exp": "scale biases, weights and threshold down together",
    "quantum": "let a spike subtract less",
    "u0": "begin with smaller initial states",
    "v0": "begin with smaller initial states",
    "refractory": "shorten the refractory time, or use longer steps (dt)",
    "reset_interval": "reset more often, or not at all",
}


def check_integers(network: Network) -> None:
    """Raise for everything that keeps an integer network from the chip.

    Raises
    ------
    DeviceLimitError
        If values do not fit into their registers; all are listed, each with a remedy.
    UnsupportedError
        If something else is in the way, such as a loop that is quicker than the chip.
    """
    graph = lower(network)
    found = problems(graph)
    if not found:
        return
    heading = f"network {graph.name!r} does not fit Loihi's fixed point:"
    if all("; allowed is" in p for p in found):
        raise DeviceLimitError([_with_remedy(p) for p in found], heading)
    raise UnsupportedError([_with_remedy(p) for p in found], heading)


def _with_remedy(problem: str) -> str:
    """Say what to do about a register that is too small."""
    for name, remedy in REMEDIES.items():
        if f": {name} is " in problem:
            return f"{problem}; {remedy}"
    return problem


def run_integers(
    network: Network, inputs: Any = None, steps: int | None = None
) -> tuple[Recording, dict[str, tuple[int, int]]]:
    """Run an integer network in the emulator.

    Returns
    -------
    recording : Recording
    overflows : dict
        By population: how often a current wrapped, how often a voltage was clipped.
    """
    graph = lower(network)
    data, samples, length = input_arrays(graph, given(graph, inputs))
    total = total_steps(graph, None, steps, length)
    program: Any = compile(graph, "loihi")
    meta = {"backend": "loihi", "seed": graph.seed, "network": graph.name}
    with Session(program, samples, total, data, meta, None, False) as session:
        recording = session.run()
    return recording, dict(program.overflows)


def overflows(network: Network, inputs: Any = None, steps: int | None = None) -> dict[str, tuple[int, int]]:
    """Return by population how often a current wrapped and a voltage was clipped on sample input."""
    return run_integers(network.with_(probes=()), inputs, steps)[1]
