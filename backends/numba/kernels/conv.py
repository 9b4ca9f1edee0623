"""Two-dimensional convolution from event to event: an active input adds its patch of the kernel to all channels.

The sums lie with the channels innermost, ``[height, width, channels]``, and the weights so that the outputs which one
input reaches in a row of the image are one run of memory: ``[input channel, kernel row, kernel column, channel]`` with
the columns sorted by (column % stride, falling column). Channels are padded with zeros to a multiple of eight.
:func:`add_image` brings the sums into the order of the neurons, ``[channel, height, width]``, once a step.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from spikesim.backends.numba.kernels.dense import as_floats, item_type
from spikesim.equations.vectors import F64, I32, I64, data, load, splat, store, vector_array

LANES = 8


def padded_channels(channels: int) -> int:
    """Channels of the sums: the next multiple of eight."""
    return -(-channels // LANES) * LANES


def conv_weights(weights: NDArray[Any], stride: int) -> NDArray[Any]:
    """Lay weights out for :func:`add_conv`.

    Parameters
    ----------
    weights
        int32 (grid units) or float64 ``[output channels, input channels, kernel height, kernel width]``.
    stride
        Stride of the convolution.

    Returns
    -------
    array of the same type, one-dimensional
    """
    channels, width = weights.shape[0], weights.shape[3]
    columns = sorted(range(width), key=lambda x: (x % stride, -x))
    out = np.zeros((*weights.shape[1:], padded_channels(channels)), weights.dtype)
    out[..., :channels] = weights.transpose(1, 2, 3, 0)[:, :, columns]
    return out.reshape(-1)


@intrinsic
def _add_run(typingctx, sums, at, weights, start, length, value):
    """``sums[at + j] += weights[start + j] * value`` for j below `length`, a multiple of eight."""
    vector_array(sums, types.float64, "sums")
    item = item_type(weights)

    def codegen(context, builder, signature, args):
        target = builder.gep(data(context, builder, sums, args[0]), [args[1]])
        source = builder.gep(data(context, builder, weights, args[2]), [args[3]])
        factor = splat(builder, args[5], LANES)
        head, body, done = (builder.append_basic_block(name) for name in ("head", "run", "done"))
        before = builder.block
        builder.branch(head)
        builder.position_at_end(head)
        j = builder.phi(I64)
        j.add_incoming(I64(0), before)
        builder.cbranch(builder.icmp_signed("<", j, args[4]), body, done)
        builder.position_at_end(body)
        own = as_floats(builder, load(builder, builder.gep(source, [j]), LANES, item))
        place = builder.gep(target, [j])
        store(builder, builder.fadd(load(builder, place, LANES, F64), builder.fmul(own, factor)), place)
        j.add_incoming(builder.add(j, I64(LANES)), body)
        builder.branch(head)
        builder.position_at_end(done)
        return context.get_dummy_value()

    return types.void(sums, types.int64, weights, types.int64, types.int64, types.float64), codegen


@njit(error_model="numpy", nogil=True, _nrt=False)
def add_conv(image, weights, shape, ids, values, n):
    """Add the patches of `n` inputs.

    Parameters
    ----------
    image
        float64[height * width * channels], the sums, channels innermost and padded to a multiple of eight.
    weights
        From :func:`conv_weights`.
    shape
        int64[9]: input height and width, kernel height and width, stride, padding, output height and width, channels
        (padded).
    ids
        int32, the first `n` entries are inputs, ``(channel * height + row) * width + column``.
    values
        float64, the first `n` entries are the values of the inputs; empty if they are spikes.
    n
        Number of inputs.
    """
    height, width, kernel_height, kernel_width = shape[0], shape[1], shape[2], shape[3]
    stride, padding, out_height, out_width, channels = shape[4], shape[5], shape[6], shape[7], shape[8]
    for i in range(n):
        value = values[i] if len(values) > 0 else 1.0
        pixel = ids[i] % (height * width)
        source = ids[i] // (height * width) * kernel_height
        row, column = pixel // width + padding, pixel % width + padding
        # output column = last - m for kernel column = phase + stride * m
        last, phase = column // stride, column % stride
        smaller, larger = kernel_width // stride, kernel_width % stride
        count = smaller + (phase < larger)
        before = phase * smaller + min(phase, larger)  # kernel columns of the phases below
        low, high = max(0, last - count + 1), min(last + 1, out_width)
        if low < high:
            skip = before + low - (last - count + 1)
            for y in range(row % stride, kernel_height, stride):
                out_row = (row - y) // stride
                if 0 <= out_row < out_height:
                    start = ((source + y) * kernel_width + skip) * channels
                    at = (out_row * out_width + low) * channels
                    _add_run(image, at, weights, start, (high - low) * channels, value)


def _transposed(builder, rows):
    """Transpose eight vectors of eight: exchange one bit of the row and the column after the other."""
    for bit in (1, 2, 4):
        rows, before = list(rows), rows
        for r in range(LANES):
            pair = (before[r & ~bit], before[r | bit])
            picks = [(j & ~bit | r & bit) + (LANES if j & bit else 0) for j in range(LANES)]
            rows[r] = builder.shuffle_vector(*pair, ir.Constant(ir.VectorType(I32, LANES), picks))
    return rows


@intrinsic
def _add_square(typingctx, sums, at, pixels, image, start, channels):
    """``sums[at + c * pixels + p] += image[start + p * channels + c]`` for c and p below eight."""
    vector_array(sums, types.float64, "sums")
    vector_array(image, types.float64, "image")

    def codegen(context, builder, signature, args):
        def rows(array, first, stride):
            base = builder.gep(data(context, builder, signature.args[array], args[array]), [first])
            return [builder.gep(base, [builder.mul(I64(r), stride)]) for r in range(LANES)]

        found = [load(builder, row, LANES, F64) for row in rows(3, args[4], args[5])]
        for row, own in zip(rows(0, args[1], args[2]), _transposed(builder, found), strict=True):
            store(builder, builder.fadd(load(builder, row, LANES, F64), own), row)
        return context.get_dummy_value()

    return types.void(sums, types.int64, types.int64, image, types.int64, types.int64), codegen


@njit(error_model="numpy", nogil=True, _nrt=False)
def add_image(sums, image, channels):
    """Add the sums of :func:`add_conv` in the order of the neurons, and clear them.

    Parameters
    ----------
    sums
        float64[output channels * pixels], channels outermost.
    image
        float64[pixels * channels], set to 0.
    channels
        Channels of `image`, padded to a multiple of eight.
    """
    pixels = len(image) // channels
    own = len(sums) // pixels
    for c in range(0, own, LANES):
        for p in range(0, pixels, LANES):
            if p + LANES <= pixels and c + LANES <= own:
                _add_square(sums, c * pixels + p, pixels, image, p * channels + c, channels)
            else:
                for q in range(p, min(p + LANES, pixels)):
                    for d in range(c, min(c + LANES, own)):
                        sums[d * pixels + q] += image[q * channels + d]
    image[:] = 0.0
