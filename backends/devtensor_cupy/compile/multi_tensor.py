"""Kernels over many tensors in one launch: unscaling with the inf check, clipping by a norm and by value.

The tensors come as a table in device memory (`pack_table`): where each lies and how long it is, and which
chunk of which tensor each block takes.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain

from devtensor_cupy.compile.registry import CHUNKS, family

CHUNK = 8192
"""Elements of a block: few enough that tensors of a million busy a whole device."""

TABLE = r"""
// tensors, lists, blocks, chunk; addresses[lists][tensors]; sizes[tensors]; (tensor, begin)[blocks]
struct Piece { long long tensor, begin, end; };
__device__ Piece piece_of(const long long* table) {
    const long long* sizes = table + 4 + table[0] * table[1];
    const long long* mine = sizes + table[0] + 2 * (long long)blockIdx.x;
    long long size = sizes[mine[0]], end = mine[1] + table[3];
    Piece piece = {mine[0], mine[1], end < size ? end : size};
    return piece;
}
template <class T> __device__ T* tensor_at(const long long* table, int list, long long tensor) {
    return (T*)table[4 + list * table[0] + tensor];
}
"""

SCALING = r"""
// Elements of a thread that are on their way at a time: one alone would leave memory idle.
const int AHEAD = 4;

// Every element of the block's piece becomes what `value` makes of it.
template <class T, class Value> __device__ void changed(const long long* table, Value value) {
    Piece piece = piece_of(table);
    T* values = tensor_at<T>(table, 0, piece.tensor);
    for (long long first = piece.begin + threadIdx.x; first < piece.end; first += AHEAD * blockDim.x) {
        T now[AHEAD] = {};
        #pragma unroll
        for (int k = 0; k < AHEAD; ++k) {
            long long i = first + k * blockDim.x;
            if (i < piece.end) now[k] = values[i];
        }
        #pragma unroll
        for (int k = 0; k < AHEAD; ++k) {
            long long i = first + k * blockDim.x;
            if (i < piece.end) values[i] = value(widen(now[k]));
        }
    }
}

template <class T> __device__ void unscale(const long long* table, const float* inverse, float* found) {
    typedef WIDE(T) W;
    W factor = *inverse;
    bool good = true;
    changed<T>(table, [&](W gradient) -> T {
        T result = rounded<T>(gradient * factor);
        good = good && is_finite(widen(result));
        return result;
    });
    if (!good) atomicExch(found, 1.0f);
}

template <class T>
__device__ void clip(const long long* table, const float* norm, const double* wide_norm, double largest) {
    typedef WIDE(T) W;
    double ratio = largest / ((norm ? (double)*norm : *wide_norm) + 1e-6);
    W factor = ratio > 1.0 ? 1.0 : ratio;
    changed<T>(table, [=](W gradient) -> T { return rounded<T>(gradient * factor); });
}

// NaN stays; all others become a limit that is below 0.
template <class T> __device__ void clamp(const long long* table, double limit) {
    typedef WIDE(T) W;
    W low = -limit, high = limit;
    changed<T>(table, [=](W gradient) -> T {
        W raised = gradient < low ? low : gradient;
        return rounded<T>(raised > high ? high : raised);
    });
}
"""

SCALING_ENTRIES = r"""
extern "C" __global__ void multi_unscale_@dtype(const long long* table, const float* inverse, float* found) {
    unscale<@T>(table, inverse, found);
}
extern "C" __global__ void multi_clip_@dtype(
    const long long* table, const float* norm, const double* wide_norm, double largest) {
    clip<@T>(table, norm, wide_norm, largest);
}
extern "C" __global__ void multi_clamp_@dtype(const long long* table, double limit) {
    clamp<@T>(table, limit);
}
"""

MULTI_TENSOR = family("multi_tensor", TABLE + SCALING, SCALING_ENTRIES, {"multi_": CHUNKS})


def pack_table(lists: Sequence[Sequence[int]], sizes: Sequence[int], chunk: int = CHUNK) -> tuple[bytes, int]:
    """The table of tensors of `sizes` elements at the addresses in `lists`, and the blocks it wants.

    A list without addresses stands as null pointers.
    """
    rest, blocks = pieces_of(tuple(sizes), chunk)
    table = array("q", [len(sizes), len(lists), blocks, chunk])
    for addresses in lists:
        table.extend(addresses or [0] * len(sizes))
    return table.tobytes() + rest, blocks


@lru_cache(maxsize=64)
def pieces_of(sizes: tuple[int, ...], chunk: int) -> tuple[bytes, int]:
    """The part of a table that sizes alone decide, and its blocks."""
    pieces = [(k, begin) for k, size in enumerate(sizes) for begin in range(0, size, chunk)]
    return array("q", [*sizes, *chain.from_iterable(pieces)]).tobytes(), len(pieces)
