"""What a network is, in a form that people read: text for ``print``, a small table for notebooks."""

from __future__ import annotations

import html
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple

import numpy as np

from spikesim import connect
from spikesim.distributions import Distribution, Normal, Uniform
from spikesim.errors import InvalidValueError
from spikesim.fixedpoint.learning import LoihiRule
from spikesim.network import Network, Population, Projection
from spikesim.neuron import Neuron
from spikesim.stimulus import Current, Drive, Rate, Source, SpikeTrains, Stimulus
from spikesim.synapse import Plasticity

MOST_ROWS = 40  # of a section
COUNTABLE = 2**24  # pairs up to which pooling or a chain is laid out to count its synapses
PREFIXES = {-5: "f", -4: "p", -3: "n", -2: "µ", -1: "m", 0: "", 1: "k", 2: "M", 3: "G", 4: "T"}
PREFIXED = {"s", "V", "A", "F", "S", "Hz", "Ohm", "W", "J", "C"}


class Section(NamedTuple):
    """A heading and rows of cells."""

    title: str
    rows: list[tuple[str, ...]]


def quantity(value: float, unit: str = "", digits: int = 4) -> str:
    """Return a number with its unit, with the SI prefix that makes it easy to read.

    Parameters
    ----------
    value
        In the SI unit.
    unit
        ``"s"``, ``"V"``, ...; units without prefixes (``""``, ``"mol/l"``) are left as they are.
    digits
        Significant digits.

    Examples
    --------
    >>> quantity(0.02, "s"), quantity(-0.0705, "V"), quantity(2e-10, "F"), quantity(0.9), quantity(0.0, "s")
    ('20 ms', '-70.5 mV', '200 pF', '0.9', '0 s')
    """
    value = float(value)
    if unit not in PREFIXED or value == 0 or not np.isfinite(value):
        return f"{value:.{digits}g} {unit}".strip()
    rounded = float(f"{value:.{digits}g}")  # 0.9999999 s is 1 s, not 1000 ms
    power = int(np.clip(np.floor(np.log10(abs(rounded)) / 3 + 1e-12), min(PREFIXES), max(PREFIXES)))
    return f"{rounded / 1000.0**power:.{digits}g} {PREFIXES[power]}{unit}"


def count(number: float) -> str:
    """Return a large number in few characters.

    >>> count(950), count(15_625_000), count(1_000_000_000)
    ('950', '15.6 M', '1 G')
    """
    if number < 10_000:
        return f"{number:.0f}"
    power = int(np.log10(number) // 3)
    return f"{number / 1000.0**power:.3g} {PREFIXES[power]}"


def amount(value: Any, unit: str = "") -> str:
    """Return a number, an array, a distribution or a rate as a short text."""
    if isinstance(value, Rate):
        return f"{amount(value.values, unit)} over {quantity(value.times[-1], 's')}"
    if isinstance(value, (Normal, Uniform)):
        given = {f.name: getattr(value, f.name) for f in fields(value) if getattr(value, f.name) is not None}
        ends = {"low": "from ", "high": "up to "} if isinstance(value, Normal) else {}
        numbers = [f"{ends.get(name, '')}{quantity(v, unit)}" for name, v in given.items()]
        return f"{type(value).__name__}({', '.join(numbers)})"
    if isinstance(value, Distribution):
        return f"{type(value).__name__}({', '.join(f'{getattr(value, f.name):.4g}' for f in fields(value))})"
    array = np.asarray(value, np.float64)
    if array.size == 0:
        return "no values"
    if array.size == 1 or array.min() == array.max():
        return quantity(float(array.flat[0]), unit)
    return f"{quantity(array.min(), unit)} .. {quantity(array.max(), unit)}"


def parameters(neuron: Neuron) -> str:
    """Return the parameters and initial states that differ from the model's defaults."""
    model = neuron.model
    parts = [
        f"{name} {amount(value, model.params[name].unit)}"
        for name, value in neuron.params.items()
        if not _is_default(value, model.params[name].default)
    ]
    parts += [
        f"{name}(0) {amount(value, model.states[name].unit)}"
        for name, value in neuron.init.items()
        if not _is_default(value, model.states[name].init)
    ]
    return ", ".join(parts)


def _is_default(value: Any, default: float) -> bool:
    return not isinstance(value, Distribution) and np.ndim(value) == 0 and float(value) == default


def synapses(projection: Projection, network: Network) -> float | None:
    """Return how many synapses a projection has or is expected to have; None where only building it would tell."""
    senders = {p.name: p.n for p in (*network.populations, *network.stimuli) if isinstance(p, (Population, Source))}
    n_pre, n_post = senders[projection.pre], senders[projection.post]
    match projection.rule:
        case connect.AllToAll(autapses=autapses):
            return n_pre * n_post - (0 if autapses else n_pre)
        case connect.FixedProbability(p=p, autapses=autapses):
            return p * (n_pre * n_post - (0 if autapses else n_pre))
        case connect.OneToOne():
            return n_pre
        case connect.FixedIndegree(k=k):
            return k * n_post
        case connect.FixedOutdegree(k=k) | connect.SmallWorld(k=k):
            return k * n_pre
        case connect.FixedTotalNumber(n=n):
            return n
        case connect.Dense(weights=weights):
            return weights.size
        case connect.Sparse(weights=weights):
            return int(weights.nnz)
        case connect.Weighted() as layered:
            shapes = (network[projection.pre].shape, network[projection.post].shape)  # type: ignore[union-attr]
            try:
                if layered.fits(*shapes):
                    return layered.count(*shapes)
                return int(layered.matrix(*shapes).nnz) if n_pre * n_post <= COUNTABLE else None
            except InvalidValueError:  # shapes that do not fit: lowering says so
                return None
    return None


def rule(value: connect.Connection) -> str:
    """Return a connection rule without what it shares with every rule of its kind."""
    if isinstance(value, connect.Chain):
        return " then ".join(rule(r) for r in value.rules)
    parts = []
    for field in fields(value) if is_dataclass(value) else ():
        item = getattr(value, field.name)
        if hasattr(item, "shape"):
            parts.append(" x ".join(map(str, item.shape)))
        elif item != field.default:
            parts.append(f"{field.name}={item:g}" if isinstance(item, float) else f"{field.name}={item}")
    return type(value).__name__ + (f"({', '.join(parts)})" if parts else "")


def plasticity(value: Plasticity | LoihiRule) -> str:
    """Return a plasticity rule with the options and parameters that differ from the model's defaults."""
    if isinstance(value, LoihiRule):
        given = {f.name: getattr(value, f.name) for f in fields(value) if getattr(value, f.name) != f.default}
        return f"LoihiRule({', '.join(f'{name}={item}' for name, item in given.items())})"
    model = value.model
    parts = [*model.options.values()]
    parts += [f"{n} {amount(v, model.params[n].unit)}" for n, v in value.params.items() if v != model.params[n].default]
    parts += [f"modulator {value.modulator}"] if value.modulator else []
    return model.name + (f"({', '.join(parts)})" if parts else "")


def _shape(part: Population | Source) -> str:
    return " x ".join(map(str, part.shape))


def _population(population: Population) -> tuple[str, ...]:
    return population.name, _shape(population), population.model.name, parameters(population.neuron)


def _projection(projection: Projection, network: Network) -> tuple[str, ...]:
    number = synapses(projection, network)
    arrow = f"{projection.pre} -> {projection.post}" + (f":{projection.port}" if projection.port else "")
    own = projection.name.replace("->", " -> ")
    weights = getattr(projection.rule, "weights", None) if projection.weight is None else projection.weight
    weights = getattr(weights, "data", weights) if not isinstance(weights, np.ndarray) else weights
    return (
        arrow if own == arrow else f"{projection.name}: {arrow}",
        rule(projection.rule),
        f"{count(number)} synapses" if number is not None else "",
        f"weight {amount(weights)}" if weights is not None else "",
        "" if _is_default(projection.delay, 0.0) else f"delay {amount(projection.delay, 's')}",
        plasticity(projection.plasticity) if projection.plasticity is not None else "",
        repr(projection.norm) if projection.norm is not None else "",
        f"dropout {projection.dropout:g}" if projection.dropout else "",
    )


def _stimulus(stimulus: Stimulus) -> tuple[str, ...]:
    target = (
        f"-> {stimulus.target}" + (f":{stimulus.port}" if stimulus.port else "") if isinstance(stimulus, Drive) else ""
    )
    kind = type(stimulus).__name__
    if isinstance(stimulus, SpikeTrains):
        says = f"{count(len(stimulus.times))} spikes"
    elif isinstance(stimulus, Current):
        says = f"{amount(stimulus.values)} at {len(stimulus.times)} times"
    else:
        units = {"rate": "Hz", "tau": "s"}
        own = [f for f in fields(stimulus) if f.name not in ("name", "shape", "target", "port")]
        values = {f.name: getattr(stimulus, f.name) for f in own}
        says = ", ".join(
            k if v is True else f"{k} {amount(v, units.get(k, ''))}" for k, v in values.items() if v is not False
        )
    return stimulus.name, _shape(stimulus) if isinstance(stimulus, Source) else target, kind, says


def _sections(network: Network) -> list[Section]:
    probes: list[tuple[str, ...]] = [
        (
            p.target,
            ", ".join(p.variables),
            "each step" if p.every == 1 else f"every {p.every} steps",
            "all neurons" if p.neurons is None else f"{len(p.neurons)} neurons",
        )
        for p in network.probes
    ]
    found = [
        Section("Populations", [_population(p) for p in network.populations]),
        Section("Stimuli", [_stimulus(s) for s in network.stimuli]),
        Section("Projections", [_projection(p, network) for p in network.projections]),
        Section("Probes", probes),
    ]
    return [_short(s) for s in found if s.rows]


def _short(section: Section) -> Section:
    more = len(section.rows) - MOST_ROWS
    return section if more <= 0 else Section(section.title, [*section.rows[:MOST_ROWS], (f"... and {more} more",)])


def _summary(network: Network) -> str:
    numbers = [synapses(p, network) for p in network.projections]
    total = f"{count(sum(n or 0 for n in numbers))} synapses{' or more' if None in numbers else ''}"
    neurons = f"{count(sum(p.n for p in network.populations))} neurons"
    return f"{neurons}, {total}, dt {quantity(network.dt, 's')}, seed {network.seed}"


def describe(network: Network) -> str:
    """Return an overview of a network as text.

    Parameters
    ----------
    network
        Any network; nothing random is drawn, so counts of synapses may be expectations.

    Examples
    --------
    >>> from spikesim import Network, PoissonDrive, Population, ms
    >>> from spikesim.models.neurons import lif
    >>> print(Network([Population("a", 10, lif(tau_m=15 * ms))], stimuli=[PoissonDrive("noise", "a", rate=900.0)]))
    Network 'network': 10 neurons, 0 synapses, dt 1 ms, seed 0
    Populations
      a  10  lif  tau_m 15 ms
    Stimuli
      noise  -> a  PoissonDrive  rate 900 Hz, weight 1
    """
    lines = [f"Network {network.name!r}: {_summary(network)}"]
    for section in _sections(network):
        lines += [section.title, *_aligned(section.rows)]
    return "\n".join(lines)


def _aligned(rows: Iterable[tuple[str, ...]]) -> Iterable[str]:
    rows = list(rows)
    columns = max(len(row) for row in rows)
    widths = [max((len(row[k]) for row in rows if len(row) > max(k, 1)), default=0) for k in range(columns)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False) if width]
        yield ("  " + "  ".join(cells)).rstrip()


def describe_html(network: Network) -> str:
    """Return an overview of a network as HTML for notebooks: escaped, no scripts."""
    cell = '<td style="text-align:left">'
    columns = max((len(row) for s in _sections(network) for row in s.rows), default=1)
    lines = [f"<p><b>{html.escape(network.name)}</b>: {html.escape(_summary(network))}</p>", "<table>"]
    for section in _sections(network):
        lines.append(f'<tr><th colspan="{columns}" style="text-align:left">{section.title}</th></tr>')
        for row in section.rows:
            cells = [*row, *[""] * (columns - len(row))]
            lines.append("<tr>" + "".join(f"{cell}{html.escape(text)}</td>" for text in cells) + "</tr>")
    return "\n".join([*lines, "</table>"])
