"""The norm of many tensors together, of any order, in two launches: a part by each block, then their sum.

Parts are float64, and summed in a fixed order: the same bits each time.
"""

from __future__ import annotations

from devtensor_cupy.compile.multi_tensor import TABLE
from devtensor_cupy.compile.prelude import PRELUDE
from devtensor_cupy.compile.registry import CHUNKS, ONE_BLOCK, family, source

SHARES = r"""
__device__ bool endless(double order) { return order - order != 0; }

// What an element of this size gives to its block's part. Of infinite orders the largest stands, or minus the
// least.
template <class W> __device__ W share(W size, double order) {
    if (order == 2) return size * size;
    if (order == 1) return size;
    if (order == 0) return size != 0;
    if (endless(order)) return order > 0 ? size : -size;
    return pow(size, (W)order);
}
"""

PARTS = r"""
template <class T> __device__ void norm_parts(const long long* table, double order, double* parts) {
    typedef WIDE(T) W;
    Piece piece = piece_of(table);
    const T* values = tensor_at<T>(table, 0, piece.tensor);
    bool one_stands = endless(order);
    W part = one_stands ? lowest<W>() : 0;
    for (long long i = piece.begin + threadIdx.x; i < piece.end; i += blockDim.x) {
        W found = share((W)fabs(widen(values[i])), order);
        part = one_stands ? larger(part, found) : part + found;
    }
    double whole = one_stands ? block_largest((double)part) : block_sum((double)part);
    if (threadIdx.x == 0) parts[blockIdx.x] = whole;
}
"""

WHOLE = r"""
// Of order 0, which counts tensors that are not zero, only the first such part of a tensor counts.
__device__ bool counts(const long long* table, const double* parts, long long k) {
    const long long* pieces = table + 4 + table[0] * (table[1] + 1);
    if (parts[k] == 0) return false;
    while (pieces[2 * k + 1] && parts[k - 1] == 0) k--;
    return pieces[2 * k + 1] == 0;
}

// The norm of all parts. One of the two takes it.
extern "C" __global__ void norm_of_parts(
    const long long* table, const double* parts, double order, float* norm, double* wide_norm) {
    bool one_stands = endless(order);
    double part = one_stands ? lowest<double>() : 0;
    for (long long k = threadIdx.x; k < table[2]; k += blockDim.x) {
        double found = order == 0 ? counts(table, parts, k) : parts[k];
        part = one_stands ? larger(part, found) : part + found;
    }
    double whole = one_stands ? block_largest(part) : block_sum(part);
    if (threadIdx.x) return;
    if (one_stands) whole = order > 0 ? whole : -whole;
    else if (order == 2) whole = sqrt(whole);
    else if (order != 0) whole = pow(whole, 1 / order);
    if (norm) *norm = whole;
    if (wide_norm) *wide_norm = whole;
}
"""

ENTRIES = r"""
extern "C" __global__ void multi_norm_parts_@dtype(const long long* table, double order, double* parts) {
    norm_parts<@T>(table, order, parts);
}
"""

MULTI_NORMS = family("multi_norms", TABLE + SHARES + PARTS, ENTRIES, {"multi_": CHUNKS})
NORM = source("norm", PRELUDE + TABLE + SHARES + WHOLE, {"norm_of_parts": ONE_BLOCK})
