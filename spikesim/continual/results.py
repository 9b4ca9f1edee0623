"""What a study found: runs by method and seed, and the table of methods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.continual.plans import Plan
from spikesim.continual.runs import Result
from spikesim.errors import FileFormatError, UnknownNameError
from spikesim.files.continual import ContinualRun

FIGURES = ("ACC", "AIA", "BWT", "FWT", "forgetting", "learning accuracy", "intransigence")
JOINT = "joint"


@dataclass(frozen=True, eq=False)
class StudyRun:
    """One method with one seed.

    Parameters
    ----------
    plan
        What was run.
    result
        What came out.
    about
        Versions of the software; those of this process if left out.
    """

    plan: Plan
    result: Result
    about: Mapping[str, Any] | None = None

    def stored(self) -> ContinualRun:
        """Return the run as a file holds it."""
        result, about = self.result, self.about or self.plan.about()
        arrays = {k: dict(v) if isinstance(v, Mapping) else v for k, v in result.arrays.items()}
        return ContinualRun(result.scenario, result.learner, self.plan.method, result.seed, arrays, about)

    @classmethod
    def read(cls, stored: ContinualRun) -> StudyRun:
        """Return the run that a file holds."""
        about = dict(stored.about)
        try:
            plan = Plan(**{k: v for k, v in about.items() if k != "versions"})
            result = Result(stored.scenario, stored.learner, stored.seed, **stored.arrays)
        except TypeError as error:
            raise FileFormatError(f"a run of another form: {error}; it was written by another version") from None
        return cls(plan, result, about)


@dataclass(frozen=True, eq=False)
class Study:
    """Runs of several methods and seeds.

    Parameters
    ----------
    about
        What they have in common.
    runs
        In the order in which they ended.
    failures
        What went wrong, one line per run.
    interrupted
        Whether Ctrl-C ended it before all was done.
    """

    about: Mapping[str, Any]
    runs: tuple[StudyRun, ...]
    failures: tuple[str, ...] = ()
    interrupted: bool = False

    @property
    def methods(self) -> tuple[str, ...]:
        """Names, in the order of their first runs."""
        return tuple(dict.fromkeys(r.plan.method for r in self.runs))

    def of(self, method: str) -> list[Result]:
        """Return the results of a method, by seed."""
        if method not in self.methods:
            raise UnknownNameError("method in this study:", method, list(self.methods))
        found = [r.result for r in self.runs if r.plan.method == method]
        return sorted(found, key=lambda result: result.seed)

    def matrix(self, method: str) -> NDArray[np.float64]:
        """Return the accuracy matrix of a method, mean over seeds, ``[tasks, tasks]``."""
        return np.asarray(np.mean([result.matrix for result in self.of(method)], axis=0))

    def figures(self, method: str) -> dict[str, NDArray[np.float64]]:
        """Return every figure of a method, one value per seed.

        The names are those of :data:`FIGURES` (fractions, as far as they are defined), ``"memory"`` (bytes kept at the
        end), ``"seconds"`` (of learning), and what the learner counts itself, at the end. Intransigence needs joint
        training with the same seed.
        """
        rows = [self._figures(result) for result in self.of(method)]
        names = list(dict.fromkeys(name for row in rows for name in row))
        return {name: np.array([row.get(name, np.nan) for row in rows]) for name in names}

    def _figures(self, result: Result) -> dict[str, float]:
        joint = [r.result for r in self.runs if r.plan.method == JOINT and r.plan.seed == result.seed]
        found = result.metrics(joint[0] if joint else None)
        ordered = {name: found[name] for name in FIGURES if name in found and not np.isnan(found[name])}
        costs = {name: float(values[-1]) for name, values in result.costs.items()}
        return {**ordered, "memory": float(result.memory[-1]), "seconds": float(result.seconds.sum()), **costs}

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield one row per method: means over its seeds, and standard deviations as ``"... sd"``."""
        for method in self.methods:
            found = self.figures(method)
            row: dict[str, Any] = {"method": method, "seeds": len(self.of(method))}
            for name, values in found.items():
                row[name] = float(values.mean())
                row[f"{name} sd"] = float(values.std(ddof=1)) if len(values) > 1 else float("nan")
            yield row
