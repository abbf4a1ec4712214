"""Layer norm, RMS norm and group norm of rows, their gradients, and the weights' gradients in parts."""

from __future__ import annotations

from devtensor_cupy.compile.registry import ELEMENTS, family
from devtensor_cupy.compile.rows import row_families

NORMS = r"""
// Rows of RMS norm are not centred: their mean counts as 0. Those of group norm have a weight per channel.
enum Norm { LAYER, RMS, GROUP };

// Mean and inverse deviation of a row.
template <bool block, Norm norm, class T>
__device__ void row_moments(const T* from, long long columns, double eps, WIDE(T)& mean, WIDE(T)& scale) {
    typedef WIDE(T) W;
    W sum = 0, squares = 0;
    if (norm != RMS) {
        each<block>(from, from, columns, [&](long long, W x, W) { sum += x; });
        sum = row_sum<block>(sum) / (W)columns;
    }
    mean = sum;
    each<block>(from, from, columns, [&](long long, W x, W) { squares += (x - sum) * (x - sum); });
    scale = 1 / sqrt(row_sum<block>(squares) / (W)columns + (W)eps);
}

// Weight and bias, either of which may be null; of groups, of which each holds channels of `inner` numbers.
template <Norm norm, class T> struct Weights {
    const T *weight, *bias;
    long long groups, inner;
};
// Where the weight of a row's number is.
template <Norm norm, class T>
__device__ long long place(const Weights<norm, T>& by, long long row, long long k, long long columns) {
    if (norm != GROUP) return k;
    // Dividing 32 bits takes a part of the time.
    bool small = columns < 0x7fffffff;
    long long channel = small ? (unsigned int)k / (unsigned int)by.inner : k / by.inner;
    return row % by.groups * (columns / by.inner) + channel;
}

template <bool block, Norm norm, class T>
__device__ void normalised(const T* input, Weights<norm, T> by, T* out, long long rows, long long columns,
                           double eps) {
    typedef WIDE(T) W;
    for (long long row = first_row<block>(); row < rows; row += row_stride<block>()) {
        const T* from = input + row * columns;
        W mean, scale;
        row_moments<block, norm>(from, columns, eps, mean, scale);
        written<block>(from, from, out + row * columns, columns, [&](long long k, W x, W) {
            W value = (x - mean) * scale;
            if (by.weight) value *= (W)widen(by.weight[place(by, row, k, columns)]);
            if (by.bias) value += (W)widen(by.bias[place(by, row, k, columns)]);
            return value;
        });
    }
}

// The input's gradient; means and inverse deviations are given for the weight's, in float64 to lose nothing.
template <bool block, Norm norm, class T>
__device__ void normalised_backward(const T* gradient, const T* input, Weights<norm, T> by, T* result,
                                    double* means, double* scales, long long rows, long long columns,
                                    double eps) {
    typedef WIDE(T) W;
    for (long long row = first_row<block>(); row < rows; row += row_stride<block>()) {
        const T *given = gradient + row * columns, *from = input + row * columns;
        W mean, scale, total = 0, along = 0;
        row_moments<block, norm>(from, columns, eps, mean, scale);
        each<block>(given, from, columns, [&](long long k, W g, W x) {
            if (by.weight) g *= (W)widen(by.weight[place(by, row, k, columns)]);
            total += g;
            along += g * (x - mean) * scale;
        });
        total = norm == RMS ? (W)0 : row_sum<block>(total) / (W)columns;
        along = row_sum<block>(along) / (W)columns;
        written<block>(given, from, result + row * columns, columns, [&](long long k, W g, W x) {
            if (by.weight) g *= (W)widen(by.weight[place(by, row, k, columns)]);
            return (g - total - (x - mean) * scale * along) * scale;
        });
        if (lane<block>() == 0) {
            means[row] = mean;
            scales[row] = scale;
        }
    }
}
"""

NORM_ENTRIES = r"""
extern "C" __global__ void @name_layer_norm_@dtype(
    const @T* input, const @T* weight, const @T* bias, @T* out, long long rows, long long columns,
    double eps) {
    normalised<@block>(input, Weights<LAYER, @T>{weight, bias, 1, 1}, out, rows, columns, eps);
}
extern "C" __global__ void @name_rms_norm_@dtype(
    const @T* input, const @T* weight, @T* out, long long rows, long long columns, double eps) {
    normalised<@block>(input, Weights<RMS, @T>{weight, 0, 1, 1}, out, rows, columns, eps);
}
extern "C" __global__ void @name_group_norm_@dtype(
    const @T* input, const @T* weight, const @T* bias, @T* out, long long rows, long long columns,
    long long groups, long long inner, double eps) {
    normalised<@block>(input, Weights<GROUP, @T>{weight, bias, groups, inner}, out, rows, columns, eps);
}
extern "C" __global__ void @name_layer_norm_backward_@dtype(
    const @T* gradient, const @T* input, const @T* weight, @T* result, double* means, double* scales,
    long long rows, long long columns, double eps) {
    normalised_backward<@block>(gradient, input, Weights<LAYER, @T>{weight, 0, 1, 1}, result, means, scales,
                                rows, columns, eps);
}
extern "C" __global__ void @name_rms_norm_backward_@dtype(
    const @T* gradient, const @T* input, const @T* weight, @T* result, double* means, double* scales,
    long long rows, long long columns, double eps) {
    normalised_backward<@block>(gradient, input, Weights<RMS, @T>{weight, 0, 1, 1}, result, means, scales,
                                rows, columns, eps);
}
extern "C" __global__ void @name_group_norm_backward_@dtype(
    const @T* gradient, const @T* input, const @T* weight, @T* result, double* means, double* scales,
    long long rows, long long columns, long long groups, long long inner, double eps) {
    normalised_backward<@block>(gradient, input, Weights<GROUP, @T>{weight, 0, groups, inner}, result, means,
                                scales, rows, columns, eps);
}
"""

PARTS = r"""
// The weight's gradient in parts: of `chunk` rows each, in order, so that the same bits come each time.
template <class T>
__device__ void norm_weight_parts(const T* gradient, const T* input, const double* means,
                                  const double* scales, WIDE(T)* parts, long long rows, long long columns,
                                  long long chunk) {
    typedef WIDE(T) W;
    long long chunks = (rows + chunk - 1) / chunk;
    for (long long i = global_thread(); i < chunks * columns; i += all_threads()) {
        long long column = i % columns, begin = i / columns * chunk;
        long long end = begin + chunk < rows ? begin + chunk : rows;
        W sum = 0;
        for (long long row = begin; row < end; ++row) {
            long long place = row * columns + column;
            sum += (W)widen(gradient[place]) * ((W)widen(input[place]) - (W)means[row]) * (W)scales[row];
        }
        parts[i] = sum;
    }
}
template <class W>
__device__ void sum_of_parts(const W* parts, W* out, long long chunks, long long columns) {
    for (long long column = global_thread(); column < columns; column += all_threads()) {
        W sum = 0;
        for (long long part = 0; part < chunks; ++part) sum += parts[part * columns + column];
        out[column] = sum;
    }
}
"""

PART_ENTRIES = r"""
extern "C" __global__ void norm_weight_parts_@dtype(
    const @T* gradient, const @T* input, const double* means, const double* scales, WideOf<@T>::type* parts,
    long long rows, long long columns, long long chunk) {
    norm_weight_parts(gradient, input, means, scales, parts, rows, columns, chunk);
}
extern "C" __global__ void sum_of_parts_@dtype(
    const WideOf<@T>::type* parts, WideOf<@T>::type* out, long long chunks, long long columns) {
    sum_of_parts(parts, out, chunks, columns);
}
"""

NORM_KERNELS = row_families("norms", NORMS, NORM_ENTRIES)
PART_KERNELS = family(
    "norm_parts", PARTS, PART_ENTRIES, {"norm_weight_parts": ELEMENTS, "sum_of_parts": ELEMENTS}
)
