"""Draw every picture of the documentation into ``docs/images``: ``python docs/make_pictures.py [name ...]``."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

import spikesim as sp
from spikesim import plot
from spikesim.connect import Dense, FixedProbability
from spikesim.data import load
from spikesim.equations.response import respond
from spikesim.models.networks import brunel, cuba, digits_mlp
from spikesim.models.neurons import NEURONS, izhikevich, lif
from spikesim.plot.style import COLOURS, FAINT, INK, NORMAL, SEQUENTIAL, SMALL, label, legend, new_axes

sys.path.insert(0, str(Path(__file__).parent))
from responses import SHOWS, Show

FOLDER = Path(__file__).parent / "images"
DPI = 160
BLUE, RED, GREEN, PURPLE = COLOURS[:4]
SCALES = {"V": (1e3, "mV"), "A": (1e12, "pA"), "S": (1e9, "nS"), "A/s": (1e9, "nA/s"), "": (1.0, "")}


def figure(rows: int = 1, columns: int = 1, width: float = 6.4, height: float = 3.4, **grid: Any) -> NDArray[Any]:
    """Return an array of axes in the style of the plots."""
    made = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(made)
    axes = made.subplots(rows, columns, squeeze=False, **grid)
    for ax in axes.flat:
        new_axes(ax)
    return axes


def save(ax: Axes, name: str) -> None:
    """Write the figure of some axes as a small PNG: 64 colours are enough for line drawings."""
    path = FOLDER / f"{name}.png"
    drawn = ax.figure
    assert isinstance(drawn, Figure)
    drawn.savefig(path, dpi=DPI, facecolor="white")
    Image.open(path).convert("RGB").quantize(64, dither=Image.Dither.NONE).save(path, optimize=True)


# ------------------------------------------------------------------------------------------------------------- neurons
def neuron(name: str) -> Axes:
    """Draw what one neuron does with its stimulus: membrane and spikes, other states, input."""
    show = SHOWS[name]
    made, inputs = show.neuron(name), show.inputs()
    trace = respond(made, inputs, dt=show.dt)
    t = 1e3 * show.dt * (1 + np.arange(len(trace["spike"])))
    rows = [2.2] + [1.0] * bool(show.panels) + [0.7]
    axes = figure(len(rows), height=1.25 + 0.78 * sum(rows), sharex=True, height_ratios=rows)[:, 0]
    # Volts that are normalised (rest 0, threshold 1) are shown as they are
    physical = made.model.states["v"].unit == "V" and abs(float(made.model.states["v"].init)) > 1e-3
    scale, unit = SCALES["V"] if physical else (1.0, "")
    _membrane(axes[0], t, trace, scale, unit, show, made)
    for colour, state in zip((GREEN, PURPLE), show.panels, strict=False):
        factor, of = SCALES[made.model.states[state].unit] if physical or name == "adex" else (1.0, "")
        axes[1].plot(t, factor * trace[state], color=colour, lw=1.4, label=f"{state} ({of})" if of else state)
    if show.panels:
        legend(axes[1], least=1)
    _input(axes[-1], t, inputs, show)
    axes[-1].set_xlim(0, t[-1])
    label(axes[-1], x="time (ms)")
    return axes[0]


def _membrane(
    ax: Axes, t: NDArray[Any], trace: dict[str, NDArray[Any]], scale: float, unit: str, show: Show, made: Any
) -> None:
    v = scale * trace[show.membrane]
    if "v_peak" in made.model.params:  # the reset hides the peak
        v = np.where(trace["spike"] > 0, scale * float(made.value("v_peak")), v)
    ax.plot(t, v, color=BLUE, lw=1.6)
    if show.threshold and made.model.spiking:
        level = scale * float(made.value(show.threshold))
        if "a" in trace:  # an adaptive threshold
            ax.plot(t, level + float(made.value("beta")) * trace["a"], color=FAINT, lw=1.0, ls=(0, (4, 3)))
        else:
            ax.axhline(level, color=FAINT, lw=1.0, ls=(0, (4, 3)))
    low, high = ax.get_ylim()
    tick = high + 0.06 * (high - low)
    fired = t[trace["spike"] > 0]
    ax.vlines(fired, tick, tick + 0.10 * (high - low), color=RED, lw=1.3)
    ax.set_ylim(low, tick + 0.16 * (high - low))
    label(ax, y=f"v ({unit})" if unit else "v")


def _input(ax: Axes, t: NDArray[Any], inputs: dict[str, NDArray[Any]], show: Show) -> None:
    factor = {"mV": 1e3, "pA": 1e12, "nA": 1e9, "": 1.0}[show.unit]
    for colour, (port, values) in zip((INK, RED), inputs.items(), strict=False):
        name = f"{port} ({show.unit})" if show.unit else port
        if port in show.spikes:
            at = np.flatnonzero(values)
            ax.vlines(t[at], 0, factor * values[at], color=colour, lw=1.4, label=name)
        else:
            ax.fill_between(t, 0, factor * values, step="pre", color=colour, alpha=0.25, lw=0, label=name)
            ax.step(t, factor * values, where="pre", color=colour, lw=1.0)
    ax.margins(y=0.15)
    legend(ax, least=1)


# ------------------------------------------------------------------------------------------------------------- gallery
def brunel_raster() -> Axes:
    """Draw a smaller Brunel network: spikes and the rate of the population."""
    recording = sp.run(brunel(1250), 0.4)
    upper, lower = figure(2, height=4.0, sharex=True, height_ratios=(3, 1))[:, 0]
    plot.raster(recording, start=0.2, stop=0.4, ax=upper)
    plot.psth(recording, bin=1e-3, populations=["exc"], ax=lower)
    upper.set_xlabel("")
    lower.set_xlim(200, 400)
    return upper


def brunel_sweep() -> Axes:
    """Draw the rate of a smaller Brunel network over the strength of inhibition and the external rate."""
    g, eta = np.linspace(3, 6, 9), np.linspace(1, 4, 7)
    with tempfile.TemporaryDirectory() as folder:
        table = sp.sweep(partial(brunel, 1250), {"g": g, "eta": eta}, duration=0.5, out=f"{folder}/s.h5", jobs=1)
    ax = figure(width=5.6, height=3.6)[0, 0]
    rate = table["mean_rate_hz"].reshape(len(g), len(eta))
    drawn = ax.pcolormesh(g, eta, rate.T, norm=LogNorm(), cmap=SEQUENTIAL, shading="nearest")
    ax.grid(False)
    root = ax.get_figure(root=True)
    assert root is not None
    scale = root.colorbar(drawn, ax=ax)
    scale.set_ticks([20, 50, 100, 200], labels=["20", "50", "100", "200"])
    scale.minorticks_off()
    scale.outline.set_visible(False)  # type: ignore[operator]
    scale.ax.tick_params(labelsize=SMALL, length=0)
    scale.set_label("rate (Hz)", fontsize=NORMAL, color=INK)
    label(ax, "g (inhibition over excitation)", "eta (external rate)")
    return ax


def soft_and_hard() -> Axes:
    """Draw what the two resets make of the same input."""
    x = 0.45 + 0.3 * np.sin(2 * np.pi * np.arange(60) / 30)
    upper, lower = figure(2, height=3.6, sharex=True)[:, 0]
    for ax, reset, colour in ((upper, "to", RED), (lower, "subtract", BLUE)):
        trace = respond(lif(reset=reset, tau_m=0.2), x)
        fired = np.flatnonzero(trace["spike"])
        ax.step(np.arange(60), trace["v"], where="post", color=colour, lw=1.4)
        ax.plot(fired, np.full(len(fired), 1.12), "|", color=INK, ms=9, mew=1.3)
        ax.set_ylim(-0.1, 1.3)
        word = "hard reset" if reset == "to" else "soft reset"
        ax.set_title(f"{word}: {len(fired)} spikes for a summed input of {x.sum():.1f} thresholds", loc="left",
                     fontsize=NORMAL, color=INK)  # fmt: skip
        label(ax, y="v")
    lower.set_xlim(0, 59)
    label(lower, x="step")
    return upper


def input_to_rate() -> Axes:
    """Draw the rate of the two resets over the input: the soft one is a straight line."""
    drive = np.linspace(0, 1.0, 201)
    ax = figure(height=3.2)[0, 0]
    for reset, colour, name in (("to", RED, "hard reset"), ("subtract", BLUE, "soft reset")):
        counts = respond(lif(reset=reset, tau_m=1e9), np.broadcast_to(drive, (200, 201)))["spike"].mean(0)
        ax.plot(drive, counts, color=colour, lw=1.8, label=name)
    ax.plot(drive, drive, color=FAINT, lw=1.0, ls=(0, (4, 3)), label="input")
    ax.set_xlim(0, 1)
    label(ax, "input per step (thresholds)", "spikes per step")
    legend(ax)
    return ax


def firing_patterns() -> Axes:
    """Draw the five presets of Izhikevich's neuron."""
    names = ("RS", "IB", "CH", "FS", "LTS")
    titles = ("RS: regular spiking", "IB: intrinsically bursting", "CH: chattering", "FS: fast spiking",
              "LTS: low-threshold spiking")  # fmt: skip
    axes = figure(5, height=4.6, sharex=True)[:, 0]
    current = np.where(np.arange(3000) < 300, 0.0, 10.0)
    for ax, name, title, colour in zip(axes, names, titles, COLOURS, strict=False):
        trace = respond(izhikevich(name), current, dt=1e-4)
        v = np.where(trace["spike"] > 0, 30.0, trace["v"])
        ax.plot(0.1 * np.arange(3000), v, color=colour, lw=1.0)
        ax.set_title(title, loc="left", fontsize=SMALL, color=INK, pad=2)
        ax.set_yticks([-70, 30])
    axes[-1].set_xlim(0, 300)
    label(axes[2], y="v (mV)")
    label(axes[-1], x="time (ms)")
    return axes[0]


def cuba_rates() -> Axes:
    """Draw how rates and intervals of CUBA are distributed."""
    recording = sp.run(cuba(), 2.0)
    left, right = figure(1, 2, width=7.2, height=3.0)[0]
    plot.rates(recording, ax=left)
    plot.isi(recording, ax=right)
    return left


def feedback_loop() -> Axes:
    """Draw excitation and inhibition that answer each other."""
    cell = lif(tau_m=10e-3, t_ref=2e-3)
    net = sp.Network(
        [sp.Population("exc", 200, cell), sp.Population("inh", 50, cell)],
        [
            sp.Projection("exc", "inh", FixedProbability(0.3), weight=0.05, delay=2e-3),
            sp.Projection("inh", "exc", FixedProbability(0.5), weight=-0.12, delay=5e-3),
        ],
        [sp.PoissonDrive("noise", "exc", rate=sp.Rate([0.0, 0.1, 0.2], [1500.0, 3500.0, 1500.0]), weight=0.06)],
        [sp.Probe("exc", "v", neurons=(0, 1, 2))],
    )
    recording = sp.run(net, 0.3)
    upper, lower = figure(2, height=4.2, sharex=True, height_ratios=(3, 2))[:, 0]
    plot.raster(recording, ax=upper)
    plot.traces(recording, "exc", "v", threshold=1.0, ax=lower)
    upper.set_xlabel("")
    return upper


_TRAINED: dict[str, Any] = {}


def trained() -> dict[str, Any]:
    """Return the trained digits network and what the pictures need of it, made once."""
    if not _TRAINED:
        from spikesim.quantise import quantise
        from spikesim.train import evaluate, train

        digits = load("digits").scaled().flat()
        net = train(digits_mlp((64,)), digits, epochs=20, learning_rate=1e-2, encode="regular", steps=8).network
        test = evaluate(net, digits.x_test, digits.y_test, encode="regular", steps=8)
        _TRAINED.update(digits=digits, net=net, test=test, fixed=quantise(net))
    return _TRAINED


def confusion() -> Axes:
    """Draw the confusion matrix of a trained network on the digits."""
    test = trained()["test"]
    ax = plot.confusion(test.labels, test.predicted, ax=figure(width=4.6, height=4.2)[0, 0])
    ax.grid(False)
    return ax


def quantised_weights() -> Axes:
    """Draw the weights before and after rounding to the chip's grid."""
    made = trained()
    floats = made["net"]["image->layer1"].rule.weights
    scale = made["fixed"].populations["layer1"].scale
    from spikesim.lowering import lower

    edge = next(e for e in lower(made["fixed"].network).edges if e.name == "image->layer1")
    integers = np.asarray(edge.weights)
    left, right = figure(1, 2, width=7.2, height=3.0, width_ratios=(3, 2))[0]
    left.hist(integers, bins=np.arange(-257, 257, 8), color=BLUE, alpha=0.85)
    left.set_xlim(-260, 260)
    label(left, "integer weight on the chip", "synapses")
    error = integers - scale * floats.T.reshape(-1)
    right.hist(error, bins=41, range=(-1.5, 1.5), color=RED, alpha=0.85)
    label(right, "rounding error (units)", "synapses")
    return left


def energy_bars() -> Axes:
    """Draw the energy of one digit on the devices that have a price."""
    from spikesim.plot.energy import energy_ranges
    from spikesim.profile import profile

    made = trained()
    bills = [b for b in profile(made["test"].recording, made["net"]).bills.values() if b.total is not None]
    bills.sort(key=lambda b: b.total.nominal_j if b.total else 0.0)
    return energy_ranges(bills, figure(width=9.6, height=4.4)[0, 0])


def twins() -> Axes:
    """Draw how the distance between twin trajectories develops in the network of the guide."""
    from spikesim.analyse import twins

    weights = np.random.default_rng(2).normal(0.0, 0.15, (30, 30))
    net = sp.Network(
        [sp.Population("a", 30, lif(reset="subtract", tau_m=20e-3))],
        [sp.Projection("a", "a", Dense(weights), delay=1e-3)],
        [sp.PoissonDrive("noise", "a", rate=800.0, weight=0.2)],
    )
    return twins(net, [1e-6, 1e-3, 1e-2, 1e-1], steps=40, trials=20).plot()


def chip_learning() -> Axes:
    """Draw the window of a pair rule on the chip, and a weight that waits for its reward."""
    from spikesim.backends.loihi.learning import follow
    from spikesim.fixedpoint import LoihiRule

    left, right = figure(1, 2, width=7.2, height=3.0)[0]
    traces = {"x1_impulse": 32.0, "x1_tau": 10.0, "y1_impulse": 32.0, "y1_tau": 10.0}
    step, pair, distance = np.arange(90), "2^-1*y0*x1 - 2^-1*x0*y1", np.arange(-40, 41)
    post = [[step == 45 + d] for d in distance]
    floats = LoihiRule(dw=pair, **traces, arithmetic="float")
    exact = [follow(floats, [[100]], [step == 45], p).w[0, 0] - 100 for p in post]
    fixed = LoihiRule(dw=pair, **traces)
    for seed in range(5):
        rounded = [follow(fixed, [[100]], [step == 45], p, seed=seed).w[0, 0] - 100 for p in post]
        left.plot(distance, rounded, ".", ms=3, color=RED, alpha=0.6, label="fixed point" if seed == 0 else None)
    left.plot(distance, exact, color=BLUE, label="floats")
    label(left, "target's spike after the source's (steps)", "change of the weight")
    legend(left)
    rewarded = LoihiRule(
        dt="2^-1*y0*x1 - 2^-1*x0*y1 - 2^-4*u0*t", dw="2^1*u0*t*y2", **traces, modulator="reward", modulator_weight=4
    )
    for at, colour in ((20, BLUE), (40, GREEN), (None, INK)):
        late = 16.0 * (step == at)
        grown = follow(rewarded, [[100]], [step == 10], [step == 13], modulator=late, seed=1).weights[:, 0, 0]
        right.plot(step, grown, color=colour, label=f"reward at {at}" if at else "no reward")
    label(right, "step", "weight")
    legend(right)
    return left


PICTURES: dict[str, Callable[[], Axes]] = {
    "brunel_raster": brunel_raster,
    "brunel_sweep": brunel_sweep,
    "soft_and_hard": soft_and_hard,
    "input_to_rate": input_to_rate,
    "firing_patterns": firing_patterns,
    "cuba_rates": cuba_rates,
    "feedback_loop": feedback_loop,
    "confusion": confusion,
    "quantised_weights": quantised_weights,
    "energy_bars": energy_bars,
    "twins": twins,
    "chip_learning": chip_learning,
    **{f"neuron_{name}": (lambda name=name: neuron(name)) for name in NEURONS},
}


def main(names: list[str]) -> None:
    """Draw the named pictures, all by default."""
    FOLDER.mkdir(exist_ok=True)
    for name in names or PICTURES:
        save(PICTURES[name](), name)
        print(name, (FOLDER / f"{name}.png").stat().st_size)


if __name__ == "__main__":
    main(sys.argv[1:])
