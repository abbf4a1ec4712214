"""Softmax and layer norm along the last dim: a warp per short row, a block per long one."""

from __future__ import annotations

from devtensor_cupy.compile.registry import BLOCK_ROWS, WARP_ROWS, family

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

// With `queries`, row r is that of query r % queries, and later keys are masked.
template <bool block, class T>
__device__ void softmax(const T* input, T* out, long long rows, long long columns, long long queries,
                        double scale) {
    typedef WIDE(T) W;
    for (long long row = first_row<block>(); row < rows; row += row_stride<block>()) {
        const T* from = input + row * columns;
        T* to = out + row * columns;
        long long seen = queries && row % queries + 1 < columns ? row % queries + 1 : columns;
        W peak = lowest<W>();
        for (long long k = lane<block>(); k < seen; k += width<block>()) {
            peak = larger(peak, (W)widen(from[k]) * (W)scale);
        }
        peak = row_largest<block>(peak);
        W sum = 0;
        for (long long k = lane<block>(); k < seen; k += width<block>()) {
            sum += exp((W)widen(from[k]) * (W)scale - peak);
        }
        sum = row_sum<block>(sum);
        for (long long k = lane<block>(); k < columns; k += width<block>()) {
            W part = k < seen ? exp((W)widen(from[k]) * (W)scale - peak) / sum : (W)0;
            to[k] = rounded<T>(part);
        }
    }
}

template <bool block, class T>
__device__ void softmax_backward(const T* out, const T* gradient, T* result, long long rows,
                                 long long columns, double scale) {
    typedef WIDE(T) W;
    for (long long row = first_row<block>(); row < rows; row += row_stride<block>()) {
        long long start = row * columns;
        W sum = 0;
        for (long long k = lane<block>(); k < columns; k += width<block>()) {
            sum += (W)widen(out[start + k]) * (W)widen(gradient[start + k]);
        }
        sum = row_sum<block>(sum);
        for (long long k = lane<block>(); k < columns; k += width<block>()) {
            W part = (W)widen(out[start + k]) * ((W)widen(gradient[start + k]) - sum) * (W)scale;
            result[start + k] = rounded<T>(part);
        }
    }
}

// `weight` and `bias` may be null; what backward needs is given in float64, to lose nothing.
template <bool block, class T>
__device__ void layer_norm(const T* input, const T* weight, const T* bias, T* out, double* means,
                           double* scales, long long rows, long long columns, double eps) {
    typedef WIDE(T) W;
    for (long long row = first_row<block>(); row < rows; row += row_stride<block>()) {
        const T* from = input + row * columns;
        W sum = 0;
        for (long long k = lane<block>(); k < columns; k += width<block>()) sum += (W)widen(from[k]);
        W mean = row_sum<block>(sum) / (W)columns;
        W squares = 0;
        for (long long k = lane<block>(); k < columns; k += width<block>()) {
            W apart = (W)widen(from[k]) - mean;
            squares += apart * apart;
        }
        W scale = 1 / sqrt(row_sum<block>(squares) / (W)columns + (W)eps);
        for (long long k = lane<block>(); k < columns; k += width<block>()) {
            W value = ((W)widen(from[k]) - mean) * scale;
            if (weight) value *= (W)widen(weight[k]);
            if (bias) value += (W)widen(bias[k]);
            out[row * columns + k] = rounded<T>(value);
        }
        if (lane<block>() == 0) {
            means[row] = mean;
            scales[row] = scale;
        }
    }
}
"""

ROW_ENTRIES = r"""
extern "C" __global__ void @name_softmax_@dtype(
    const @T* input, @T* out, long long rows, long long columns, long long queries, double scale) {
    softmax<@block>(input, out, rows, columns, queries, scale);
}
extern "C" __global__ void @name_softmax_backward_@dtype(
    const @T* out, const @T* gradient, @T* result, long long rows, long long columns, double scale) {
    softmax_backward<@block>(out, gradient, result, rows, columns, scale);
}
extern "C" __global__ void @name_layer_norm_@dtype(
    const @T* input, const @T* weight, const @T* bias, @T* out, double* means, double* scales,
    long long rows, long long columns, double eps) {
    layer_norm<@block>(input, weight, bias, out, means, scales, rows, columns, eps);
}
"""

BY_WARP = ROW_ENTRIES.replace("@name", "warp").replace("@block", "false")
BY_BLOCK = ROW_ENTRIES.replace("@name", "block").replace("@block", "true")

WARP_KERNELS = family("warp_rows", ROWS, BY_WARP, {"warp_": WARP_ROWS})
BLOCK_KERNELS = family("block_rows", ROWS, BY_BLOCK, {"block_": BLOCK_ROWS})
