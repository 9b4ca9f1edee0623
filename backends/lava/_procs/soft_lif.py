"""A LIF neuron with a subtractive reset, which Lava does not have; for its CPU simulation only.

It differs from Lava's own bit-accurate LIF in one line: a spike takes a quantum away from the voltage instead of
setting it to 0. A chip would need microcode for it. With a quantum of 0 the voltage is left alone.
"""

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.ports import PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.lif.models import AbstractPyLifModelFixed
from lava.proc.lif.process import LIF


class SoftLIF(LIF):  # type: ignore[misc]
    """Lava's LIF process with a soft reset.

    Parameters
    ----------
    quantum
        What a spike subtracts, in units of v; None for the effective threshold ``vth << 6``.
    **kwargs
        As for ``LIF``.
    """

    def __init__(self, *, quantum: int | None = None, **kwargs: Any) -> None:
        super().__init__(quantum=quantum, **kwargs)


# A class that @implements one process cannot be the base of another, so this derives from the abstract model.
@implements(proc=SoftLIF, protocol=LoihiProtocol)
@requires(CPU)
@tag("bit_accurate_loihi", "fixed_pt")
class PySoftLifModelFixed(AbstractPyLifModelFixed):  # type: ignore[misc]
    """Lava's fixed-point dynamics; only threshold and reset are added."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=24)
    vth: int = LavaPyType(int, np.int32, precision=17)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.effective_vth = 0
        self.quantum = proc_params["quantum"]

    def scale_threshold(self) -> None:
        """Align the threshold with v, as Lava's LIF does on its first step."""
        self.effective_vth = np.left_shift(self.vth, self.vth_shift)
        if self.quantum is None:
            self.quantum = self.effective_vth
        self.isthrscaled = True

    def spiking_activation(self) -> Any:
        """Spike strictly above the threshold."""
        return self.v > self.effective_vth

    def reset_voltage(self, spike_vector: Any) -> None:
        """Subtract the quantum where a neuron spiked."""
        self.v[spike_vector] -= self.quantum
