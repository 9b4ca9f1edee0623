"""A neuron's step with its spikes given: what a rule that looks at membranes between spikes needs to know.

With every spike held at a number, the next states of a leaky neuron are affine in its states and inputs. What one unit
of input adds to the tested membrane, now and later, is then the impulse response of a linear system: the presynaptic
trace of online training follows it, and so does the weighted rate of a representation.
"""

from __future__ import annotations

from collections.abc import Mapping

from spikesim.equations.derivative import vector_jacobian
from spikesim.equations.expression import Expressions, Symbol, Tape
from spikesim.errors import UnsupportedError


def firing_test(step: Expressions) -> int | None:
    """Return the spike operation that the neuron's spike is made of; None if it never fires.

    Raises
    ------
    UnsupportedError
        If there are several.
    """
    todo, found = [step.outputs["spike"]], set()
    while todo:
        index = todo.pop()
        node = step.nodes[index]
        if node.op == "spike":
            found.add(index)
        else:
            todo.extend(node.args)
    if len(found) > 1:
        raise UnsupportedError([f"its spike is made of {len(found)} tests, where one threshold is expected"])
    return found.pop() if found else None


def held(step: Expressions, emitted: float, earlier: float, reads: str = "spike") -> Expressions:
    """Return the step with its spikes replaced by numbers.

    Parameters
    ----------
    step
        The step.
    emitted
        Value of the spike that the neuron emits.
    earlier
        Value of a spike that the step derives again from a stored membrane (a reset in the next step).
    reads
        What the output ``"spike"`` becomes: ``"spike"`` for what the threshold is compared with (of a neuron that
        never fires, its first state), or the name of a state.

    Returns
    -------
    Expressions
        Outputs ``"spike"`` and the next states.
    """
    now = firing_test(step)
    tape, index = Tape(), list[int]()
    for k, node in enumerate(step.nodes):
        if node.op == "spike":
            index.append(tape.const(emitted if k == now else earlier))
        else:
            index.append(tape.add(node.op, [index[a] for a in node.args], node.value))
    states = {name: index[k] for name, k in step.outputs.items() if name != "spike"}
    if reads != "spike" or now is None:
        read = states[reads if reads != "spike" else next(iter(states))]
    else:
        read = index[step.nodes[now].args[0]]
    return tape.finish({"spike": read, **states})


def slopes(step: Expressions, wrt: Mapping[str, list[str]]) -> Expressions:
    """Return the vector-Jacobian product of a step without spikes, with numbers only.

    Parameters
    ----------
    step
        From :func:`held`.
    wrt
        Kind of leaf (``"state"``, ``"input"``) to the names to differentiate for.

    Returns
    -------
    Expressions
        Outputs ``"d_<kind>_<name>"``; leaves are step constants and ``("cotangent", output)``.

    Raises
    ------
    UnsupportedError
        If a slope depends on a state or an input, so that the step is not linear between spikes.
    """
    leaves = [(kind, name) for kind, names in wrt.items() for name in names]
    derived = vector_jacobian(step, leaves, _none)
    changing = [*derived.leaves("state"), *derived.leaves("input")]
    if changing:
        raise UnsupportedError([f"between spikes its step is not linear: a slope depends on {changing[0]!r}"])
    return derived


def _none(x: Symbol) -> Symbol:
    raise UnsupportedError(["a step with given spikes has none left"])
