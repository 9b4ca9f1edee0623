"""The compiled functions of a network: printed or copied into modules of their own, compiled once, kept on disk.

Each is a C function of 64-bit integers, nearly all of them addresses, so any can be called from any other by its
address. What a network needs is compiled, and nothing twice: a new neuron model costs its own ``advance``.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import re
import sys
from types import ModuleType
from typing import Any

import numba

import spikesim
from spikesim.backends.numba import deliveries, loop, steps
from spikesim.equations.numba_source import KernelForm, print_advance
from spikesim.equations.source import import_source

_OPTIONS = "cache=True, error_model='numpy', _nrt=False"
_LOOP = {"simulate": loop, **dict.fromkeys(("wait", "draw", "arrive", "pay", "record"), steps)}
_VIEWS = "from spikesim.backends.numba.kernels.vector import f32_at, f64_at, f64_rows_at, i64_at, i64_rows_at, u8_at"


@functools.cache
def _source(name: str) -> str:
    return inspect.getsource(importlib.import_module(name))


@functools.cache
def _imported(text: str) -> tuple[str, ...]:
    """Return the modules of the library that a text imports."""
    found = []
    for package, names in re.findall(r"^from (spikesim[\w.]*) import (\([^)]*\)|[^\n]*)", text, re.MULTILINE):
        inner = [f"{package}.{name}" for name in re.findall(r"\w+", names)]
        found += [package, *(name for name in inner if name in sys.modules)]
    return tuple(found)


def depends(text: str) -> str:
    """Return what a printed module depends on besides its own text: versions, and the source of all that it calls.

    That is every module which it imports, and what those import in which there is compiled code.
    """
    found: dict[str, str] = {}
    missing = list(_imported(text))
    while missing:
        name = missing.pop()
        if name not in found:
            found[name] = _source(name)
            if re.search(r"^(from|import) numba\b", found[name], re.MULTILINE):
                missing += _imported(found[name])
    called = "".join(found[name] for name in sorted(found))
    return f"{spikesim.__version__} numba {numba.__version__}\n{called}"


def module(text: str, kind: str) -> ModuleType:
    """Return the module with a text, compiled or from the cache folder; ``kind`` is the first part of its name."""
    return import_source(text, kind, depends(text))


def address(name: str) -> int:
    """Return the address of a function of :mod:`~spikesim.backends.numba.deliveries`, the loop or its parts."""
    return int(compiled(name).address)


@functools.cache
def compiled(name: str) -> Any:
    """Return a compiled function of :mod:`~spikesim.backends.numba.deliveries`, the loop or its parts."""
    home = _LOOP.get(name, deliveries)
    kinds = ", ".join(["int64"] * len(inspect.signature(getattr(home, name)).parameters))
    text = f"{inspect.getsource(home)}\n\nfrom numba import cfunc\n\n"
    return getattr(module(f"{text}{name} = cfunc('int64({kinds})', {_OPTIONS})({name})\n", name), name)


@functools.cache
def advance(form: KernelForm, dtype: str) -> int:
    """Return the address of the function that advances neurons of a form by one step."""
    return int(module(print_advance(form, dtype, _VIEWS), "advance").advance.address)


_INPUTS = '''"""Printed by spikesim: lists of inputs and events, compiled once for all networks."""

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
'''


@functools.cache
def compiled_inputs() -> ModuleType:
    """Return the module with the loops that list what sources emit and sort events."""
    return module(_INPUTS, "inputs")
