"""Lava's LIF with a soft reset: a spike subtracts a quantum. For Lava's CPU simulation; the stock process resets to 0.

Nothing else may stand in this folder: Lava's compiler executes every file beside a process.
"""

# mypy: ignore-errors

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.ports import PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.variable import Var
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.lif.models import AbstractPyLifModelFixed
from lava.proc.lif.process import LIF


class SoftLIF(LIF):
    """LIF whose spikes subtract ``quantum`` (in units of the 24-bit voltage)."""

    def __init__(self, *, quantum: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.quantum = Var(shape=(1,), init=quantum)


@implements(proc=SoftLIF, protocol=LoihiProtocol)
@requires(CPU)
@tag("bit_accurate_loihi", "fixed_pt")
class PySoftLifModelFixed(AbstractPyLifModelFixed):
    """Fixed point: everything but the reset is Lava's own."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=24)
    vth: int = LavaPyType(int, np.int32, precision=17)
    quantum: int = LavaPyType(int, np.int32, precision=24)

    def scale_threshold(self) -> None:
        self.effective_vth = np.left_shift(self.vth, self.vth_shift)
        self.isthrscaled = True

    def spiking_activation(self):
        return self.v > self.effective_vth

    def reset_voltage(self, spike_vector) -> None:
        self.v[spike_vector] -= self.quantum
