"""Data given at run time, checked against the inputs of a network, and how long a run is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.graph import Graph
from spikesim.stimulus import Input
from spikesim.units import si


def held(source: Input, value: Any, steps: int, samples: int) -> NDArray[Any]:
    """Bring data for some steps to ``[steps, samples, n]``; one value per element is held."""
    array = np.asarray(value, np.float64)
    shape = (steps, samples, source.n)
    fits = array.ndim == 0 or array.size in (source.n, samples * source.n, steps * samples * source.n)
    if not fits:
        raise InvalidValueError(
            f"input {source.name!r} needs {source.n} values, or the shape [{samples}, {source.n}] or {list(shape)}, "
            f"found {list(array.shape)}"
        )
    if array.size == steps * samples * source.n:
        array = array.reshape(shape)
    elif array.ndim:
        array = array.reshape(1, -1, source.n)
    if not np.isfinite(array).all() or not (source.graded or np.isin(array, (0, 1)).all()):
        raise InvalidValueError(
            f"input {source.name!r} must hold {'finite values' if source.graded else 'spikes, 0 or 1'}"
        )
    return np.broadcast_to(array, shape)


def input_arrays(graph: Graph, inputs: Mapping[str, Any]) -> tuple[dict[str, NDArray[Any]], int, int | None]:
    """Check the data against the graph's inputs and bring it to ``[steps, samples, n]``."""
    wanted = {s.name: s for s in graph.sources if isinstance(s, Input)}
    for name in inputs:
        if name not in wanted:
            raise UnknownNameError("input", name, list(wanted))
    arrays, problems = {}, []
    for name, source in wanted.items():
        if name not in inputs:
            problems.append(
                f"input {name!r} has no data; pass inputs={{{name!r}: array of shape [steps, samples, {source.n}]}}"
            )
            continue
        array = np.asarray(inputs[name])
        if array.shape[1:] in (source.shape, (source.n,)) and array.ndim <= len(source.shape) + 1:
            array = array[:, None]
        if array.ndim < 3 or int(np.prod(array.shape[2:])) != source.n:
            problems.append(
                f"input {name!r} needs the shape [steps, samples, {', '.join(map(str, source.shape))}], found "
                f"{list(array.shape)}"
            )
        elif not np.isfinite(array.astype(np.float64)).all():
            problems.append(f"input {name!r} must be finite, found NaN or infinity")
        elif not source.graded and not np.isin(array, (0, 1)).all():
            problems.append(f"input {name!r} must hold spikes, 0 or 1; for real values declare Input(..., graded=True)")
        else:
            arrays[name] = array.reshape(*array.shape[:2], source.n)
    shapes = {a.shape[:2] for a in arrays.values()}
    if len(shapes) > 1:
        problems.append(f"all inputs must have the same number of steps and samples, found {sorted(shapes)}")
    if problems:
        raise InvalidValueError("\n".join(problems))
    length, samples = next(iter(shapes)) if shapes else (None, 1)
    return arrays, samples, length


def total_steps(graph: Graph, duration: float | None, steps: int | None, length: int | None) -> int:
    """Return how many steps are asked for, at most as many as the inputs hold."""
    if duration is not None and steps is not None:
        raise InvalidValueError(f"give either duration or steps, found duration={duration!r} and steps={steps!r}")
    if duration is not None:
        steps = round(si(duration, "s", "duration") / graph.dt)
    if steps is None:
        steps = length
    if steps is None:
        raise InvalidValueError("how long? pass duration (seconds) or steps")
    if steps < 1:
        raise InvalidValueError(f"a run needs at least one step of {graph.dt:g} s, found {steps} steps")
    if length is not None and steps > length:
        raise InvalidValueError(
            f"the inputs hold {length} steps but {steps} are asked for; pass longer inputs or fewer steps"
        )
    return int(steps)
