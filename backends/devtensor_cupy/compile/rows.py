"""What kernels over rows share: a warp per short row, a block per long one; 128 bits a load."""

from __future__ import annotations

from devtensor_cupy.compile.registry import BLOCK_ROWS, WARP_ROWS, Source, family

LONGEST_WARP_ROW = 1024
"""Columns up to which a warp takes a row; longer rows want a block each."""

ROWS = r"""
template <bool block, class W> __device__ W row_sum(W value) {
    return block ? block_sum(value) : warp_sum(value);
}
template <bool block, class W> __device__ W row_largest(W value) {
    return block ? block_largest(value) : warp_largest(value);
}
template <bool block> __device__ int width() { return block ? blockDim.x : LANES; }
template <bool block> __device__ int lane() { return threadIdx.x % width<block>(); }
template <bool block> __device__ long long first_row() {
    return (long long)blockIdx.x * (blockDim.x / width<block>()) + threadIdx.x / width<block>();
}
template <bool block> __device__ long long row_stride() {
    return (long long)gridDim.x * (blockDim.x / width<block>());
}

// What one load of 128 bits brings; rows that do not begin at such a place are read one by one.
template <class T> struct alignas(16) Packet { T part[16 / sizeof(T)]; };
template <class T> __device__ long long packets(const T* a, const T* b, const T* c, long long columns) {
    unsigned long long places = (unsigned long long)a | (unsigned long long)b | (unsigned long long)c;
    return places % sizeof(Packet<T>) ? 0 : columns * sizeof(T) / sizeof(Packet<T>);
}

// The row's threads see all columns of two rows: `visit(column, a's number, b's number)`.
template <bool block, class T, class Visit>
__device__ void each(const T* a, const T* b, long long columns, Visit visit) {
    typedef WIDE(T) W;
    const int length = sizeof(Packet<T>) / sizeof(T);
    long long whole = packets(a, b, a, columns);
    for (long long p = lane<block>(); p < whole; p += width<block>()) {
        Packet<T> left = ((const Packet<T>*)a)[p], right = ((const Packet<T>*)b)[p];
        for (int i = 0; i < length; ++i) {
            visit(p * length + i, (W)widen(left.part[i]), (W)widen(right.part[i]));
        }
    }
    for (long long k = whole * length + lane<block>(); k < columns; k += width<block>()) {
        visit(k, (W)widen(a[k]), (W)widen(b[k]));
    }
}

// The same, and what `value` gives is written.
template <bool block, class T, class Value>
__device__ void written(const T* a, const T* b, T* to, long long columns, Value value) {
    typedef WIDE(T) W;
    const int length = sizeof(Packet<T>) / sizeof(T);
    long long whole = packets<T>(a, b, to, columns);
    for (long long p = lane<block>(); p < whole; p += width<block>()) {
        Packet<T> left = ((const Packet<T>*)a)[p], right = ((const Packet<T>*)b)[p], made;
        for (int i = 0; i < length; ++i) {
            made.part[i] = rounded<T>(value(p * length + i, (W)widen(left.part[i]), (W)widen(right.part[i])));
        }
        ((Packet<T>*)to)[p] = made;
    }
    for (long long k = whole * length + lane<block>(); k < columns; k += width<block>()) {
        to[k] = rounded<T>(value(k, (W)widen(a[k]), (W)widen(b[k])));
    }
}
"""


def row_families(name: str, text: str, template: str) -> list[Source]:
    """The sources of kernels by warp and by block, of a template with `@name` and `@block`."""
    warp = template.replace("@name", "warp").replace("@block", "false")
    block = template.replace("@name", "block").replace("@block", "true")
    return [
        *family(f"warp_{name}", ROWS + text, warp, {"warp_": WARP_ROWS}),
        *family(f"block_{name}", ROWS + text, block, {"block_": BLOCK_ROWS}),
    ]
