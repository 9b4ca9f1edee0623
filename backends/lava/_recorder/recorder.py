"""Record spikes and states straight into memory that the process which started Lava can see.

Lava's own sinks and monitors hand their data over one number at a time, about 10 us each: five times as long as the
simulation itself. These write into an array that lies in shared anonymous memory and reaches them by fork.
"""

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyRefPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, RefPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol


class SpikeRecorder(AbstractProcess):  # type: ignore[misc]
    """Write what arrives at `a_in` in time step t into row t - 1.

    Parameters
    ----------
    rows
        Shared array of shape (columns, n).
    """

    def __init__(self, *, rows: Any) -> None:
        super().__init__(rows=rows)
        self.a_in = InPort(shape=rows.shape[1:])


class StateRecorder(AbstractProcess):  # type: ignore[misc]
    """Write the variable that `state` is connected to, after every step whose column in its sample is due.

    Parameters
    ----------
    rows
        Shared array of shape (recorded columns, n).
    steps
        Columns of a sample; samples follow each other.
    stride
        A column is due if this divides it.
    """

    def __init__(self, *, rows: Any, steps: int, stride: int) -> None:
        super().__init__(rows=rows, steps=steps, stride=stride)
        self.state = RefPort(shape=rows.shape[1:])


@implements(proc=SpikeRecorder, protocol=LoihiProtocol)
@requires(CPU)
@tag("bit_accurate_loihi", "fixed_pt")
class PySpikeRecorder(PyLoihiProcessModel):  # type: ignore[misc]
    """The only model of `SpikeRecorder`."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.rows = proc_params["rows"]

    def run_spk(self) -> None:
        """Take the spikes of this step."""
        self.rows[self.time_step - 1] = self.a_in.recv()


@implements(proc=StateRecorder, protocol=LoihiProtocol)
@requires(CPU)
@tag("bit_accurate_loihi", "fixed_pt")
class PyStateRecorder(PyLoihiProcessModel):  # type: ignore[misc]
    """The only model of `StateRecorder`."""

    state: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.rows = proc_params["rows"]
        self.steps, self.stride = proc_params["steps"], proc_params["stride"]
        self.next_row = 0

    def post_guard(self) -> bool:
        """Read only when due; every read is a message to the neuron process and back."""
        return bool((self.time_step - 1) % self.steps % self.stride == 0)

    def run_post_mgmt(self) -> None:
        """Read the variable after spike and reset of this step."""
        self.rows[self.next_row] = self.state.read()
        self.next_row += 1
