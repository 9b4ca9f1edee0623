"""Write ``tests/golden/neurobench.json``: what NeuroBench itself counts on the networks of ``neurobench_models.py``.

::

    python benchmarks/oracles/neurobench_golden.py     # needs neurobench and snntorch
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from neurobench_models import cases

GOLDEN = Path(__file__).resolve().parents[2] / "tests" / "golden" / "neurobench.json"


def measure(module: Any, data: Any) -> dict[str, Any]:
    """Run NeuroBench's own loop over one batch."""
    import torch
    from neurobench.benchmarks import Benchmark
    from neurobench.metrics.static import ConnectionSparsity, Footprint, ParameterCount
    from neurobench.metrics.workload import ActivationSparsity, MembraneUpdates, SynapticOperations
    from neurobench.models import SNNTorchModel

    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(data, torch.zeros(len(data), dtype=torch.long)), batch_size=len(data)
    )
    static = [Footprint, ConnectionSparsity, ParameterCount]
    workload = [ActivationSparsity, SynapticOperations, MembraneUpdates]
    found: dict[str, Any] = Benchmark(SNNTorchModel(module), loader, [], [], [static, workload]).run(quiet=True)
    return json.loads(json.dumps(found, default=float))  # type: ignore[no-any-return]


def main() -> None:
    """Write the file."""
    packages = ("neurobench", "snntorch", "torch")
    made = {"script": "benchmarks/oracles/neurobench_golden.py"}
    made |= {p: importlib.metadata.version(p).partition("+")[0] for p in packages}
    results = {name: measure(*case) for name, case in cases().items()}
    GOLDEN.write_text(json.dumps({"made": made, "results": results}, indent=1) + "\n")
    print(GOLDEN.read_text())


if __name__ == "__main__":
    main()
