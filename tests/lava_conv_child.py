"""Real Lava ``Conv`` processes, for test_lava_conv.py: ``python lava_conv_child.py CASES.npz FOUND.npz``.

A process of its own, since Lava starts others by fork and may hang. Arrays come in torch's order (channel, y, x) and
leave in it; Lava's is (x, y, channel), and its kernel is flipped.
"""

import sys

import numpy as np


def simulate(weight: np.ndarray, spikes: np.ndarray, options: np.ndarray, cell: np.ndarray) -> dict[str, np.ndarray]:
    """Run one convolution into a LIF layer: ``spikes`` [steps, C, H, W], ``options`` stride, padding."""
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg
    from lava.proc.conv.process import Conv
    from lava.proc.io.sink import RingBuffer as Sink
    from lava.proc.io.source import RingBuffer as Source
    from lava.proc.lif.process import LIF
    from lava.proc.monitor.process import Monitor

    steps = len(spikes)
    stride, padding = (int(x) for x in options)
    source = Source(data=spikes.transpose(3, 2, 1, 0).astype(np.int32))
    conv = Conv(
        weight=np.flip(weight, (2, 3)).transpose(0, 3, 2, 1).astype(np.int32), input_shape=source.s_out.shape,
        stride=stride, padding=padding,
    )  # fmt: skip
    du, dv, vth = (int(x) for x in cell)
    lif = LIF(shape=conv.output_shape, du=du, dv=dv, vth=vth)
    sink = Sink(shape=conv.output_shape, buffer=steps)
    source.s_out.connect(conv.s_in)
    conv.a_out.connect(lif.a_in)
    lif.s_out.connect(sink.a_in)
    monitors = {"u": Monitor(), "v": Monitor()}
    for name, monitor in monitors.items():
        monitor.probe(getattr(lif, name), steps)
    try:
        lif.run(condition=RunSteps(num_steps=steps), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
        found = {"s": sink.data.get().transpose(3, 2, 1, 0)}
        for name, monitor in monitors.items():
            (traces,) = monitor.get_data().values()
            found[name] = np.asarray(traces[name]).reshape(steps, *conv.output_shape).transpose(0, 3, 2, 1)
    finally:
        lif.stop()
    return {key: values.reshape(steps, -1).astype(np.int64) for key, values in found.items()}


def main(asked: str, answer: str) -> None:
    """Run all cases of a file."""
    from spikesim.backends.lava.shims import import_lava

    import_lava()
    with np.load(asked) as file:
        cases = {key: file[key] for key in file.files}
    found = {}
    for name in sorted({key.split("/")[0] for key in cases}):
        result = simulate(*(cases[f"{name}/{part}"] for part in ("weight", "spikes", "options", "cell")))
        found.update({f"{name}/{key}": values for key, values in result.items()})
    np.savez(answer, **found)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
