"""Kernels over many tensors in one launch: unscaling with the inf check, the norm of all, and clipping by it.

The tensors come as a table in device memory (`pack_table`): where each lies and how long it is, and which
chunk of which tensor each block takes.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain

from devtensor_cupy.compile.prelude import PRELUDE
from devtensor_cupy.compile.registry import CHUNKS, ONE_BLOCK, family, source

CHUNK = 65536

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
template <class T> __device__ void unscale(const long long* table, const float* inverse, float* found) {
    Piece piece = piece_of(table);
    T* gradient = tensor_at<T>(table, 0, piece.tensor);
    WIDE(T) factor = *inverse;
    bool good = true;
    for (long long i = piece.begin + threadIdx.x; i < piece.end; i += blockDim.x) {
        T result = rounded<T>(widen(gradient[i]) * factor);
        gradient[i] = result;
        good = good && is_finite(widen(result));
    }
    if (!good) atomicExch(found, 1.0f);
}

template <class T> __device__ void square_sums(const long long* table, double* sums) {
    Piece piece = piece_of(table);
    const T* values = tensor_at<T>(table, 0, piece.tensor);
    WIDE(T) sum = 0;
    for (long long i = piece.begin + threadIdx.x; i < piece.end; i += blockDim.x) {
        WIDE(T) value = widen(values[i]);
        sum += value * value;
    }
    double total = block_sum((double)sum);
    if (threadIdx.x == 0) sums[blockIdx.x] = total;
}

template <class T>
__device__ void clip(const long long* table, const float* norm, const double* wide_norm, double largest) {
    Piece piece = piece_of(table);
    T* gradient = tensor_at<T>(table, 0, piece.tensor);
    double ratio = largest / ((norm ? (double)*norm : *wide_norm) + 1e-6);
    WIDE(T) factor = ratio > 1.0 ? 1.0 : ratio;
    for (long long i = piece.begin + threadIdx.x; i < piece.end; i += blockDim.x) {
        gradient[i] = rounded<T>(widen(gradient[i]) * factor);
    }
}

"""

NORM_OF_SUMS = r"""
// The norm from all blocks' sums, in a fixed order: the same bits each time. One of the two takes it.
extern "C" __global__ void norm_of_sums(const double* sums, long long count, float* norm, double* wide_norm) {
    double sum = 0;
    for (long long i = threadIdx.x; i < count; i += blockDim.x) sum += sums[i];
    double total = block_sum(sum);
    if (threadIdx.x) return;
    if (norm) *norm = sqrt(total);
    if (wide_norm) *wide_norm = sqrt(total);
}
"""

SCALING_ENTRIES = r"""
extern "C" __global__ void multi_unscale_@dtype(const long long* table, const float* inverse, float* found) {
    unscale<@T>(table, inverse, found);
}
extern "C" __global__ void multi_square_sums_@dtype(const long long* table, double* sums) {
    square_sums<@T>(table, sums);
}
extern "C" __global__ void multi_clip_@dtype(
    const long long* table, const float* norm, const double* wide_norm, double largest) {
    clip<@T>(table, norm, wide_norm, largest);
}
"""

MULTI_TENSOR = family("multi_tensor", TABLE + SCALING, SCALING_ENTRIES, {"multi_": CHUNKS})
NORM = source("norm", PRELUDE + NORM_OF_SUMS, {"norm_of_sums": ONE_BLOCK})


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
