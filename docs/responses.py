"""What each neuron is shown with: a stimulus that brings out what it does. Used by the pictures and the model pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.models.neurons import NEURONS
from spikesim.neuron import Neuron


@dataclass(frozen=True)
class Show:
    """A neuron and its stimulus.

    Parameters
    ----------
    call
        Arguments of the model function, as they are printed.
    pulses
        By port: (start, stop, amplitude), in seconds and the unit of the port; held for every step between.
    spikes
        By port: (times, weight): one arrival each.
    unit
        Of the input, as it is printed beside the picture.
    dt, duration
        Seconds.
    panels
        States below the membrane.
    threshold
        Name of the parameter that the membrane is compared with.
    caption
        What to see.
    """

    call: Mapping[str, Any] = field(default_factory=dict)
    pulses: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)
    spikes: Mapping[str, tuple[tuple[float, ...], float]] = field(default_factory=dict)
    unit: str = ""
    dt: float = 1e-3
    duration: float = 0.1
    membrane: str = "v"
    panels: tuple[str, ...] = ()
    threshold: str = "v_th"
    caption: str = ""

    def neuron(self, name: str) -> Neuron:
        """Return the neuron."""
        return NEURONS[name](**self.call)

    def inputs(self) -> dict[str, NDArray[np.float64]]:
        """Return the summed input of each port, step by step."""
        steps = round(self.duration / self.dt)
        arrays = {port: np.zeros(steps) for port in (*self.pulses, *self.spikes)}
        for port, (start, stop, amplitude) in self.pulses.items():
            arrays[port][round(start / self.dt) : round(stop / self.dt)] += amplitude
        for port, (times, weight) in self.spikes.items():
            np.add.at(arrays[port], np.rint(np.array(times) / self.dt).astype(int), weight)
        return arrays


STEP = (0.01, 0.08)
TRAIN = tuple(np.arange(0.01, 0.05, 2.5e-3).tolist())
LATE = (0.062, 0.067, 0.072)

SHOWS: dict[str, Show] = {
    "lif": Show(
        pulses={"i": (*STEP, 0.07)},
        caption="A constant input from 10 to 80 ms: the membrane charges, fires at the threshold and falls to "
        "`v_reset`; then it leaks back to rest.",
    ),
    "leaky": Show(
        pulses={"i": (*STEP, 0.2)},
        caption='The stored membrane is the one before the reset (`timing="next"`): it is seen above the threshold, '
        "and the next step takes the threshold away.",
    ),
    "integrate_and_fire": Show(
        call={"reset": "subtract"},
        pulses={"i": (*STEP, 0.09)},
        caption="Nothing leaks: the membrane rises in a straight line, keeps what a spike leaves over, and stays where "
        "it is when the input ends.",
    ),
    "lif_soft": Show(
        call={"lam": 1.0},
        pulses={"i": (*STEP, 0.13)},
        threshold="th",
        caption="Preset `code`: threshold 1/2, a spike subtracts 1. The membrane goes below zero after a spike, so "
        "that spikes round the input to the nearest count instead of cutting it off.",
    ),
    "li": Show(
        call={"tau_m": 0.02},
        pulses={"i": (*STEP, 0.05)},
        threshold="",
        caption="It never fires: the membrane is a low-pass filter of the input, to be read at the end.",
    ),
    "alif": Show(
        call={"beta": 0.5},
        pulses={"i": (0.01, 0.16, 0.15)},
        duration=0.2,
        panels=("a",),
        caption="Every spike adds 1 to `a`, which raises the threshold by `beta`: the intervals grow.",
    ),
    "cuba_lif": Show(
        pulses={"i": (*STEP, 0.012)},
        panels=("u",),
        caption="The current `u` is a low-pass filter of the input and is not reset; the membrane integrates it.",
    ),
    "synaptic": Show(
        pulses={"i": (*STEP, 0.03)},
        panels=("c",),
        caption="The current `c` is a low-pass filter of the input; the stored membrane is the one before the reset "
        '(`timing="next"`).',
    ),
    "lif_euler": Show(
        call={"current": "exp"},
        pulses={"i": (*STEP, 0.4)},
        panels=("c",),
        caption="The membrane goes a tenth of the way to its target in every step; the current decays by a fifth.",
    ),
    "loihi_lif": Show(
        call={"v_th": 100},
        pulses={"i": (*STEP, 1.0)},
        panels=("u",),
        threshold="",
        caption="The same neuron in whole numbers. The threshold is 64 `v_th` = 6400; note how the current is rounded.",
    ),
    "lif_exp": Show(
        call={"e_l": -0.060},
        spikes={"exc": (TRAIN, 8e-3), "inh": (LATE, -6e-3)},
        unit="mV",
        dt=1e-4,
        panels=("g_exc", "g_inh"),
        caption="Excitatory spikes every 2.5 ms from 10 to 50 ms, three inhibitory ones after 60 ms (at rest -60 mV).",
    ),
    "lif_cond_exp": Show(
        call={"e_l": -0.060},
        spikes={"exc": (TRAIN, 0.2), "inh": (LATE, 0.6)},
        dt=1e-4,
        panels=("g_exc", "g_inh"),
        caption="The same spikes as conductances: their effect shrinks as the membrane nears the reversal potential.",
    ),
    "lif_psc_exp": Show(
        pulses={"dc": (*STEP, 450e-12)},
        spikes={"i": ((0.085, 0.0855, 0.086), 1.5e-9)},
        unit="pA",
        dt=1e-4,
        panels=("i_syn",),
        caption="A current of 450 pA into port `dc` from 10 to 80 ms, then three synaptic spikes.",
    ),
    "lif_alpha": Show(
        spikes={"exc": (TRAIN, 450e-12), "inh": (LATE, -450e-12)},
        unit="pA",
        dt=1e-4,
        panels=("i_exc", "i_inh"),
        caption="Each spike causes a current that rises and falls as `t exp(-t / tau)`; the currents add up.",
    ),
    "adex": Show(
        pulses={"dc": (0.02, 0.3, 0.8e-9)},
        unit="nA",
        dt=1e-4,
        duration=0.4,
        panels=("w",),
        threshold="",
        caption="A current of 0.8 nA: each spike adds `b` to the adaptation current `w`, and the intervals grow.",
    ),
    "izhikevich": Show(
        pulses={"i": (0.02, 0.3, 10.0)},
        dt=1e-4,
        duration=0.4,
        panels=("u",),
        threshold="",
        caption="Preset `RS`, regular spiking, under an input of 10.",
    ),
}
