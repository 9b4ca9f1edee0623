"""The kernel of a network: printed for its models and representations, compiled once, kept on disk."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numba

import spikesim
from spikesim.backends.numba import deliveries, kernels, loop, steps
from spikesim.backends.numba.deliveries import IMPORTS, print_deliver
from spikesim.backends.numba.forms import Group
from spikesim.backends.numba.kernels import bitmap, collect, conv, dense, exchange, inputs, poisson, rows, team, vector
from spikesim.backends.numba.plastic import rows as plastic_rows
from spikesim.equations import elementary, elementary_numba, random_kernels, scoped, vectors
from spikesim.equations.numba_source import print_models
from spikesim.equations.source import import_source

_MARK = "# --- copied into the printed module from here on ---\n"
_CALLED = (
    elementary, elementary_numba, random_kernels, scoped, vectors, kernels, bitmap, collect, conv, dense, exchange,
    inputs, poisson, rows, team, vector, deliveries, plastic_rows, steps,
)  # fmt: skip


def kernel_source(groups: Sequence[Group], branches: set[str], dtype: str) -> str:
    """Return the module printed for a set of models and representations."""
    text = inspect.getsource(loop)
    imports = "".join(line + "\n" for line in text.splitlines() if line.startswith("from spikesim."))
    models = print_models([g.form for g in groups], dtype, imports + IMPORTS)
    return "\n\n".join([models, print_deliver(branches), text.split(_MARK)[1]])


_INPUTS = """\"""Printed by spikesim: lists of inputs and events, compiled once for all networks.\"""

from numba import njit
from spikesim.backends.numba.kernels.inputs import count_inputs, list_inputs


@njit(error_model="numpy", nogil=True, _nrt=False, cache=True)
def count(raster, starts):
    count_inputs(raster, starts)


@njit(error_model="numpy", nogil=True, _nrt=False, cache=True)
def make_lists(raster, starts, ids, values):
    list_inputs(raster, starts, ids, values)


@njit(error_model="numpy", nogil=True, _nrt=False, cache=True)
def emitted(ids, starts, first, totals):
    for b in range(totals.shape[0]):
        for k in range(starts[b, first], starts[b, starts.shape[1] - 1]):
            totals[b, ids[k]] += 1


@njit(error_model="numpy", nogil=True, _nrt=False, cache=True)
def split(events, event_step, event_id, population, first, at, sample, step, neuron):
    for b in range(len(events)):
        for k in range(events[b]):
            p = population[event_id[b, k]]
            sample[at[p]], step[at[p]] = b, event_step[b, k]
            neuron[at[p]] = event_id[b, k] - first[p]
            at[p] += 1
"""


def _versions() -> str:
    """Return what compiled code depends on besides its own text: the source of all that it calls, and the versions."""
    called = "".join(inspect.getsource(m) for m in _CALLED)
    return f"{spikesim.__version__} numba {numba.__version__}\n{called}"


def compiled_loop(groups: Sequence[Group], branches: set[str], dtype: str) -> Any:
    """Return the compiled simulation loop for a set of models and representations."""
    return import_source(kernel_source(groups, branches, dtype), "loop", _versions()).simulate


def compiled_inputs() -> ModuleType:
    """Return the module with the loops that list what sources emit and sort events."""
    return import_source(_INPUTS, "inputs", _versions())
