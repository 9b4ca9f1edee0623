"""The workloads of ``training.py``, spike for spike and gradient for gradient: derived kernels against a loop in torch.

The loop keeps to the equations, one step after the other, with dense products and torch's autograd. In float64 the
weights stand on the grid on which sums are exact, so every spike must agree. In float32 a product sums in another order
than the loop's, and a membrane within rounding of its threshold may go the other way: the share of such spikes is what
this file measures. Gradients are compared where all spikes agree.
"""

from __future__ import annotations

from typing import Any

import training


def plain(name: str, weights: list[Any], x: Any) -> tuple[Any, dict[str, Any]]:
    """Return scores and the rasters of all layers ``[steps, samples, n]`` of a loop in torch."""
    import torch
    from torch.nn import functional as F

    task = training.TASKS[name]
    cell = training.plain_cell(task.beta)
    states: list[Any] = [None] * 3
    rasters: dict[str, list[Any]] = {}
    outputs = []
    for row in x.unbind(0):
        if name == "recurrent":
            current = F.linear(row, weights[0])
            if rasters:
                current = current + F.linear(rasters["layer1"][-1], weights[1])
            spikes, states[0] = cell(current, states[0])
            out = F.linear(spikes, weights[2])
            states[2] = out if states[2] is None else task.beta * states[2] + out
            found = {"layer1": spikes}
            outputs.append(states[2])
        else:
            found = {}
            for k, w in enumerate(weights):
                if name == "convolution":
                    pooled = row if k == 0 else F.avg_pool2d(row, 2)
                    current = F.conv2d(pooled, w) if k < 2 else F.linear(pooled.flatten(1), w)
                else:
                    current = F.linear(row, w)
                row, states[k] = cell(current, states[k])
                found[f"layer{k + 1}"] = row
            outputs.append(row)
        for layer, spikes in found.items():
            rasters.setdefault(layer, []).append(spikes)
    over_time = torch.stack(outputs)
    scores = over_time.amax(0) if name == "recurrent" else over_time.sum(0)
    return scores, {layer: torch.stack(found).flatten(2) for layer, found in rasters.items()}


def compare(name: str, dtype: str) -> dict[str, Any]:
    """Return spikes, how many differ, and the largest difference of a gradient over the gradient's largest entry."""
    import torch
    from torch.nn import functional as F

    module, record, score = training.ours(name, dtype)
    x, labels = training.TASKS[name].data()
    x = x if dtype == "float32" else _on_grid(x.double())
    outputs = module({"in": x}, record=record)
    F.cross_entropy(score(outputs), labels).backward()
    ours = list(module.parameters())
    weights = [torch.nn.Parameter(p.detach().t().clone() if p.ndim == 2 else p.detach().clone()) for p in ours]
    scores, rasters = plain(name, weights, x)
    F.cross_entropy(scores, labels).backward()
    differing = sum(int((outputs[layer] != raster).sum()) for layer, raster in rasters.items())
    row = {"workload": name, "dtype": dtype, "spikes": sum(int(r.sum()) for r in rasters.values())}
    row["differing"] = differing
    if not differing:
        pairs = [(p.grad.t() if p.ndim == 2 else p.grad, w.grad) for p, w in zip(ours, weights, strict=True)]
        row["gradient"] = max(float((a - b).abs().max() / b.abs().max()) for a, b in pairs)
    return row


def _on_grid(x: Any) -> Any:
    """Round to multiples of 2^-16, as values are in a run."""
    import torch

    return torch.round(x * 2**16) / 2**16


def compare_training() -> list[dict[str, Any]]:
    """Return one row per workload and precision."""
    return [compare(name, dtype) for name in training.TASKS for dtype in ("float64", "float32")]


if __name__ == "__main__":
    for line in compare_training():
        print(line)
