"""Kernels for products with events. Columns or rows are independent, so threads may each take a range of them."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"

from numba import njit

BLOCK = 256  # columns at a time, so that a block of the weights stays in the second-level cache


@njit(cache=True, nogil=True, error_model="numpy")
def find(first, last, x, words, index, count):
    """Write the columns of the non-zeros of some rows; ``count`` above the room of ``index`` marks a row too full.

    ``words`` is ``x`` seen as 64-bit words: most are zero and are passed over whole.
    """
    room, each = index.shape[1], x.shape[1] // words.shape[1]
    for m in range(first, last):
        row, word, out = x[m], words[m], index[m]
        n = 0
        for p in range(len(word)):
            if word[p] != 0:
                for j in range(p * each, (p + 1) * each):
                    if row[j] != 0:
                        if n < room:
                            out[n] = j
                        n += 1
        count[m] = n


@njit(cache=True, nogil=True, error_model="numpy")
def values(first, last, x, index, count, value, ones):
    """Copy the values of the events of some rows, and note if one of them is not 1."""
    all_ones = True
    for m in range(first, last):
        for k in range(count[m]):
            value[m, k] = x[m, index[m, k]]
            all_ones = all_ones and value[m, k] == 1
    if not all_ones:
        ones[0] = False


@njit(cache=True, nogil=True, error_model="numpy")
def gather(first, last, index, count, value, w, out):
    """Sum the rows of ``w`` that the events name, in the columns ``first .. last - 1``; all values are 1."""
    for low in range(first, last, BLOCK):
        high = min(low + BLOCK, last)
        for m in range(len(out)):
            y, events, n = out[m, low:high], index[m], count[m]
            y[:] = 0
            for k in range(0, n - 3, 4):
                a, b = w[events[k], low:high], w[events[k + 1], low:high]
                c, d = w[events[k + 2], low:high], w[events[k + 3], low:high]
                for j in range(high - low):
                    y[j] += (a[j] + b[j]) + (c[j] + d[j])
            for k in range(n - n % 4, n):
                a = w[events[k], low:high]
                for j in range(high - low):
                    y[j] += a[j]


@njit(cache=True, nogil=True, error_model="numpy")
def gather_values(first, last, index, count, value, w, out):
    """Sum the rows of ``w`` that the events name times the values of the events."""
    for low in range(first, last, BLOCK):
        high = min(low + BLOCK, last)
        for m in range(len(out)):
            y = out[m, low:high]
            y[:] = 0
            for k in range(count[m]):
                a, x = w[index[m, k], low:high], value[m, k]
                for j in range(high - low):
                    y[j] += x * a[j]


@njit(cache=True, nogil=True, error_model="numpy")
def scatter(first, last, index, count, value, g, out):
    """Add each row of ``g`` to the rows of ``out`` that its events name; all values are 1."""
    for low in range(first, last, BLOCK):
        high = min(low + BLOCK, last)
        for m in range(len(g)):
            a = g[m, low:high]
            for k in range(count[m]):
                y = out[index[m, k], low:high]
                for j in range(high - low):
                    y[j] += a[j]


@njit(cache=True, nogil=True, error_model="numpy")
def scatter_values(first, last, index, count, value, g, out):
    """Add each row of ``g`` times the value of the event."""
    for low in range(first, last, BLOCK):
        high = min(low + BLOCK, last)
        for m in range(len(g)):
            a = g[m, low:high]
            for k in range(count[m]):
                y, x = out[index[m, k], low:high], value[m, k]
                for j in range(high - low):
                    y[j] += x * a[j]
