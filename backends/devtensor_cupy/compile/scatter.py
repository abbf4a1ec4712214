"""Rows added at indices by atomics: the gradient of an embedding, whatever the gradient's dtype.

Sums are kept in float32 (float64 for float64), to be cast once at the end; the order of additions, and so
the last bits, change from run to run.
"""

from __future__ import annotations

from devtensor_cupy.compile.registry import ELEMENTS, family

SCATTER = r"""
// Rows of index `skipped` are left out, and those that no row of the sums answers to.
template <class T>
__device__ void add_rows(const T* rows, const long long* index, WIDE(T)* sums, long long count,
                         long long columns, long long size, long long skipped) {
    for (long long i = global_thread(); i < count * columns; i += all_threads()) {
        long long target = index[i / columns];
        if (target == skipped || target < 0 || target >= size) continue;
        atomicAdd(sums + target * columns + i % columns, (WIDE(T))widen(rows[i]));
    }
}
"""

SCATTER_ENTRIES = r"""
extern "C" __global__ void add_rows_@dtype(
    const @T* rows, const long long* index, WideOf<@T>::type* sums, long long count, long long columns,
    long long size, long long skipped) {
    add_rows<@T>(rows, index, sums, count, columns, size, skipped);
}
"""

SCATTER_KERNELS = family("scatter", SCATTER, SCATTER_ENTRIES, {"add_rows": ELEMENTS})
