"""An integer network as the layers of a netx file."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.connect import Conv2d
from spikesim.convert.report import ExportReport
from spikesim.errors import DeviceLimitError, UnsupportedError
from spikesim.fixedpoint import IntInput, IntNetwork, IntPopulation, IntProjection, optimize_weight_bits
from spikesim.network import Network

BIAS_EXP = 6  # netx shifts a bias left by 6, whatever it is
MANTISSA = (-4096, 4095)


@dataclass
class Layer:
    """Datasets of one layer by name; a string is the text of a type."""

    fields: dict[str, Any] = field(default_factory=dict)


def find_chain(network: IntNetwork) -> list[str]:
    """Return the input and the populations in the order of the signal.

    Raises
    ------
    UnsupportedError
        If the network is not one chain; everything in the way is named.
    """
    problems = []
    if len(network.inputs) != 1:
        names = ", ".join(repr(i.name) for i in network.inputs) or "none"
        problems.append(
            f"netx has one input; this network has {len(network.inputs)} ({names}); --to lava holds several"
        )
    forward = [p for p in network.projections if p.pre != p.post]
    groups: list[IntInput | IntPopulation] = [*network.inputs, *network.populations]
    for group in groups:
        sends = [p.name for p in forward if p.pre == group.name]
        gets = [p.name for p in forward if p.post == group.name]
        if len(sends) > 1:
            problems.append(f"{group.name!r} branches to {_list(sends)}; netx holds one chain of layers, --to lava any")
        if len(gets) > 1:
            problems.append(
                f"population {group.name!r} is reached by {_list(gets)}; netx holds one chain of layers, --to lava any"
            )
        if isinstance(group, IntPopulation) and not gets:
            problems.append(f"population {group.name!r} is reached by no projection")
    if problems:
        raise UnsupportedError(problems, "this network is not the chain of layers that netx holds:")
    following = {p.pre: p.post for p in forward}
    chain = [network.inputs[0].name]
    while chain[-1] in following and following[chain[-1]] not in chain:
        chain.append(following[chain[-1]])
    if len(chain) <= len(network.populations) or chain[-1] in following:
        raise UnsupportedError(["the populations form a loop; netx holds one chain of layers from its input on"])
    return chain


def _list(names: list[str]) -> str:
    return ", ".join(repr(n) for n in names)


def layers_of(network: Network, integers: IntNetwork, chain: list[str], report: ExportReport) -> list[Layer]:
    """Return the layers of a chain; the report gets a row for each.

    Raises
    ------
    UnsupportedError
        If a layer holds what netx does not; all reasons are listed.
    """
    shapes = {p.name: tuple(p.shape) for p in network.populations}
    source: Any = network[chain[0]]
    shapes[chain[0]] = tuple(source.shape)
    problems: list[str] = []
    layers: list[Layer] = []
    convolved = {post: _conv_of(network, pre, post) for pre, post in pairwise(chain)}
    shaped = convolved[chain[1]] is not None if len(chain) > 1 else False
    here = shapes[chain[0]] if shaped else (int(np.prod(shapes[chain[0]])),)
    layers.append(Layer({"type": "input", "shape": np.array(here)}))
    report.add(chain[0], "input")
    for pre, post in pairwise(chain):
        population = integers.population(post)
        problems += _neuron_problems(population)
        projection = next(p for p in integers.projections if (p.pre, p.post) == (pre, post))
        loops = [p for p in integers.projections if p.pre == p.post == post]
        conv = convolved[post] if len(here) == 3 else None
        if conv is not None and not loops and not np.any(projection.delay):
            layer, here = _conv(population, conv, shapes[post], report, problems), shapes[post]
        else:
            if len(here) > 1:
                layers.append(Layer({"type": "flatten", "shape": np.array([int(np.prod(here))])}))
            layer, here = _dense(population, projection, loops, integers, report, problems), (population.n,)
        layers.append(layer)
        report.add(post, layer.fields["type"])
    if problems:
        raise UnsupportedError(problems, f"network {network.name!r} cannot be written as netx:")
    return layers


def _conv_of(network: Network, pre: str, post: str) -> Conv2d | None:
    rule = next(p.rule for p in network.projections if (p.pre, p.post) == (pre, post))
    shape: Any = network[post]
    return rule if isinstance(rule, Conv2d) and len(shape.shape) == 3 else None


def _neuron_problems(p: IntPopulation) -> list[str]:
    found = [
        f"population {p.name!r}: {name} differs between its neurons; netx has one value for a layer, so give them one"
        for name in ("du", "dv", "vth")
        if np.unique(getattr(p, name)).size > 1
    ]
    if np.any(p.u0) or np.any(p.v0):
        found.append(f"population {p.name!r}: initial states; netx starts at 0, --to lava holds them")
    return found


def _neuron(p: IntPopulation) -> dict[str, Any]:
    values = {n: int(np.asarray(getattr(p, n)).reshape(-1)[0]) for n in ("du", "dv", "vth")}
    fields = {"iDecay": values["du"] + 1, "vDecay": values["dv"], "vThMant": values["vth"], "refDelay": 1}
    return {"neuron/type": "CUBA", **{f"neuron/{k}": v for k, v in fields.items()}, "neuron/gradedSpike": False}


def _bias(p: IntPopulation, report: ExportReport, problems: list[str]) -> NDArray[np.int64]:
    """Return the bias in units of 64; a remainder is rounded and reported."""
    effective = p.bias.astype(np.int64)
    mantissa = np.rint(effective / 2**BIAS_EXP).astype(np.int64)
    if mantissa.size and not MANTISSA[0] <= mantissa.min() <= mantissa.max() <= MANTISSA[1]:
        found = f"{mantissa.min()} .. {mantissa.max()}"
        problems.append(
            f"population {p.name!r}: its bias needs mantissas {found}, netx has {MANTISSA[0]} .. {MANTISSA[1]}"
        )
    off = int(np.abs(effective - (mantissa << BIAS_EXP)).max(initial=0))
    if off:
        threshold = int(np.max(p.threshold))
        share = f"{off / max(threshold, 1):.2%} of the threshold"
        report.add(p.name, "bias", "approximated", f"netx has biases in steps of 64; rounded by up to {off}, {share}")
    return np.asarray(mantissa)


def _matrix(projection: IntProjection, n_pre: int, n_post: int, problems: list[str]) -> NDArray[np.int32]:
    """Return the weights ``[targets, sources]`` as the chip keeps them."""
    matrix = np.zeros((n_post, n_pre), np.int64)
    if projection.weight_exp > 0:
        problems.append(f"projection {projection.name!r}: weight exponent {projection.weight_exp}; netx finds its own")
    kept = projection.effective_weights.astype(np.int64) >> max(-projection.weight_exp, 0)
    np.add.at(matrix, (projection.indices, projection.sources), kept)
    if not matrix.any():
        problems.append(f"projection {projection.name!r}: all weights are 0, on which netx fails (division by zero)")
    return matrix.astype(np.int32)


def _check_bits(name: str, matrix: NDArray[np.int32], problems: list[str]) -> None:
    try:
        optimize_weight_bits(matrix)
    except DeviceLimitError as error:
        problems.append(f"projection {name!r}: {error}")


def _dense(
    p: IntPopulation, projection: IntProjection, loops: list[IntProjection], integers: IntNetwork,
    report: ExportReport, problems: list[str],
) -> Layer:  # fmt: skip
    n_pre = integers.size(projection.pre)
    weight = _matrix(projection, n_pre, p.n, problems)
    fields: dict[str, Any] = {"shape": np.array([p.n]), "inFeatures": n_pre, "outFeatures": p.n, "weight": weight}
    together = weight
    if loops:  # netx has one recurrent matrix
        recurrent = fields["weight_rec"] = np.sum([_matrix(loop, p.n, p.n, problems) for loop in loops], axis=0)
        together = np.hstack([weight, recurrent])
        for part in (projection, *loops):
            if np.any(part.delay):
                problems.append(
                    f"projection {part.name!r}: a delay beyond the chip's own step; "
                    "netx loses the weights' exponent in a recurrent layer with delays"
                )
    elif np.any(projection.delay):
        fields["delay"] = _delays(projection, n_pre, p.n, problems)
    _check_bits(projection.name, together, problems)
    if np.any(p.bias):
        fields["bias"] = _bias(p, report, problems)
    return Layer({"type": "dense_rec" if loops else "dense", **fields, **_neuron(p)})


def _delays(projection: IntProjection, n_pre: int, n_post: int, problems: list[str]) -> NDArray[np.int32]:
    delays = np.zeros((n_post, n_pre), np.int32)
    delays[projection.indices, projection.sources] = projection.delay
    pairs = projection.sources.astype(np.int64) * n_post + projection.indices
    if len(np.unique(pairs)) < len(pairs) and np.ndim(projection.delay):
        problems.append(
            f"projection {projection.name!r}: several synapses between the same neurons, each with its delay"
        )
    return delays


def _conv(p: IntPopulation, conv: Conv2d, shape: tuple[int, ...], report: ExportReport, problems: list[str]) -> Layer:
    weight = conv.weights.astype(np.int32)
    _check_bits(p.name, weight.reshape(len(weight), -1), problems)
    if not weight.any():
        problems.append(f"the convolution that leads to {p.name!r}: all weights are 0, on which netx fails")
    fields: dict[str, Any] = {
        "shape": np.array(shape), "inChannels": weight.shape[1], "outChannels": weight.shape[0],
        "kernelSize": np.array(weight.shape[2:]), "weight": weight, "stride": conv.stride, "padding": conv.padding,
        "dilation": 1, "groups": 1,
    }  # fmt: skip
    if np.any(p.bias):
        by_channel = _bias(p, report, problems).reshape(len(weight), -1)
        if (by_channel != by_channel[:, :1]).any():
            problems.append(
                f"population {p.name!r}: its bias differs within a channel; netx has one value for a channel"
            )
        fields["bias"] = by_channel[:, 0]
    return Layer({"type": "conv", **fields, **_neuron(p)})
