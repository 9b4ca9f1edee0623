"""The traces that a three-factor rule expects from the target's neurons, and the modulator as y2.

Lava leaves them to the neuron, and none of its neurons sends any. Here they are a process between the neurons and the
learning connection, so every kind of neuron can have them. All messages of a step are sent and received within it.
"""

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

TRACE_HIGH = 127


class ThirdFactor(AbstractProcess):  # type: ignore[misc]
    """Keep y1 and y3 as traces of spikes with stochastic rounding, and y2 as the sum of the modulator over an epoch.

    Parameters
    ----------
    n
        Number of neurons.
    keep, whole, part
        For y1, y2, y3: the factor of a step, the whole part of an impulse, its fraction in 256ths; unused for y2.
    epoch
        Steps of a learning epoch.
    draws
        float64, shape (steps, 2): random numbers in [0, 1) for the decay and the impulse of each step.
    """

    def __init__(self, *, n: int, keep: Any, whole: Any, part: Any, epoch: int, draws: Any) -> None:
        super().__init__(n=n, keep=keep, whole=whole, part=part, epoch=epoch, draws=draws)
        self.s_in, self.a_in = InPort(shape=(n,)), InPort(shape=(n,))
        self.y1, self.y2, self.y3 = (OutPort(shape=(n,)) for _ in range(3))


@implements(proc=ThirdFactor, protocol=LoihiProtocol)
@requires(CPU)
@tag("bit_approximate_loihi", "fixed_pt")
class PyThirdFactor(PyLoihiProcessModel):  # type: ignore[misc]
    """The only model of `ThirdFactor`."""

    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, bool, precision=1)
    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=24)
    y1: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=7)
    y2: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=7)
    y3: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=7)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.keep, self.whole, self.part = (proc_params[name] for name in ("keep", "whole", "part"))
        self.epoch, self.draws = proc_params["epoch"], proc_params["draws"]
        self.traces = np.zeros((3, proc_params["n"]))

    def run_spk(self) -> None:
        """Take spikes and the modulator of this step, and send the traces."""
        spikes, modulator = self.s_in.recv().astype(bool), self.a_in.recv()
        decay, impulse = self.draws[self.time_step - 1]
        for k in (0, 2):
            value = self.keep[k] * self.traces[k]
            low = np.floor(value)
            value = low + (decay < value - low)
            raised = value + self.whole[k] + (np.floor(impulse * 128) < self.part[k])
            self.traces[k] = np.where(spikes, np.clip(raised, 0, TRACE_HIGH), value)
        self.traces[1] += modulator
        for port, trace in zip((self.y1, self.y2, self.y3), self.traces, strict=True):
            port.send(trace.astype(np.int32))
        if self.time_step % self.epoch == 0:
            self.traces[1] = 0
