"""Softmax and layer norm along the last dim: a warp per short row, a block per long one; 128 bits a load."""

from __future__ import annotations

from devtensor_cupy.compile.registry import BLOCK_ROWS, ELEMENTS, WARP_ROWS, family

LONGEST_WARP_ROW = 1024
"""Columns up to which a warp takes a row; longer rows want a block each."""

FORMS = r"""
// What is made of a row: shares; zeros where nothing but minus infinity is to share; logarithms.
enum Form { SHARES, SAFE_SHARES, LOGARITHMS };
template <Form form, class W> __device__ W peak_of(W peak) {
    return form == SAFE_SHARES && peak == lowest<W>() ? (W)0 : peak;
}
template <Form form, class W> __device__ W total_of(W sum) {
    if (form == SAFE_SHARES && sum == 0) return 1;
    return form == LOGARITHMS ? log(sum) : sum;
}
template <Form form, class W> __device__ W formed(W x, W peak, W sum) {
    return form == LOGARITHMS ? x - peak - sum : exp(x - peak) / sum;
}
"""

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

// With `queries`, row r is that of query r % queries, and later keys are masked.
template <bool block, Form form, class T>
__device__ void softmax(const T* input, T* out, long long rows, long long columns, long long queries,
                        double scale) {
    typedef WIDE(T) W;
    for (long long row = first_row<block>(); row < rows; row += row_stride<block>()) {
        const T* from = input + row * columns;
        long long seen = queries && row % queries + 1 < columns ? row % queries + 1 : columns;
        W peak = lowest<W>(), sum = 0;
        each<block>(from, from, seen, [&](long long, W x, W) { peak = larger(peak, x * (W)scale); });
        peak = peak_of<form>(row_largest<block>(peak));
        each<block>(from, from, seen, [&](long long, W x, W) { sum += exp(x * (W)scale - peak); });
        sum = total_of<form>(row_sum<block>(sum));
        written<block>(from, from, out + row * columns, columns, [&](long long k, W x, W) {
            if (k >= seen) return form == LOGARITHMS ? lowest<W>() : (W)0;
            return formed<form>(x * (W)scale, peak, sum);
        });
    }
}

template <bool block, class T>
__device__ void softmax_backward(const T* out, const T* gradient, T* result, long long rows,
                                 long long columns, double scale) {
    typedef WIDE(T) W;
    for (long long row = first_row<block>(); row < rows; row += row_stride<block>()) {
        long long start = row * columns;
        W sum = 0;
        each<block>(out + start, gradient + start, columns, [&](long long, W y, W g) { sum += y * g; });
        sum = row_sum<block>(sum);
        written<block>(out + start, gradient + start, result + start, columns, [&](long long, W y, W g) {
            return y * (g - sum) * (W)scale;
        });
    }
}

// Mean and inverse deviation of a row.
template <bool block, class T>
__device__ void row_moments(const T* from, long long columns, double eps, WIDE(T)& mean, WIDE(T)& scale) {
    typedef WIDE(T) W;
    W sum = 0, squares = 0;
    each<block>(from, from, columns, [&](long long, W x, W) { sum += x; });
    mean = row_sum<block>(sum) / (W)columns;
    each<block>(from, from, columns, [&](long long, W x, W) { squares += (x - mean) * (x - mean); });
    scale = 1 / sqrt(row_sum<block>(squares) / (W)columns + (W)eps);
}

// `weight` and `bias` may be null, `means` and `scales` too; these are given in float64, to lose nothing.
template <bool block, class T>
__device__ void layer_norm(const T* input, const T* weight, const T* bias, T* out, double* means,
                           double* scales, long long rows, long long columns, double eps) {
    typedef WIDE(T) W;
    for (long long row = first_row<block>(); row < rows; row += row_stride<block>()) {
        const T* from = input + row * columns;
        W mean, scale;
        row_moments<block>(from, columns, eps, mean, scale);
        written<block>(from, from, out + row * columns, columns, [&](long long k, W x, W) {
            W value = (x - mean) * scale;
            if (weight) value *= (W)widen(weight[k]);
            if (bias) value += (W)widen(bias[k]);
            return value;
        });
        if (means && lane<block>() == 0) {
            means[row] = mean;
            scales[row] = scale;
        }
    }
}

// The input's gradient; means and inverse deviations are given for the weight's.
template <bool block, class T>
__device__ void layer_norm_backward(const T* gradient, const T* input, const T* weight, T* result,
                                    double* means, double* scales, long long rows, long long columns,
                                    double eps) {
    typedef WIDE(T) W;
    for (long long row = first_row<block>(); row < rows; row += row_stride<block>()) {
        const T *given = gradient + row * columns, *from = input + row * columns;
        W mean, scale, total = 0, along = 0;
        row_moments<block>(from, columns, eps, mean, scale);
        each<block>(given, from, columns, [&](long long k, W g, W x) {
            if (weight) g *= (W)widen(weight[k]);
            total += g;
            along += g * (x - mean) * scale;
        });
        total = row_sum<block>(total) / (W)columns;
        along = row_sum<block>(along) / (W)columns;
        written<block>(given, from, result + row * columns, columns, [&](long long k, W g, W x) {
            if (weight) g *= (W)widen(weight[k]);
            return (g - total - (x - mean) * scale * along) * scale;
        });
        if (lane<block>() == 0) {
            means[row] = mean;
            scales[row] = scale;
        }
    }
}
"""

PARTS = r"""
// The weight's gradient in parts: of `chunk` rows each, in order, so that the same bits come each time.
template <class T>
__device__ void layer_norm_weight_parts(const T* gradient, const T* input, const double* means,
                                        const double* scales, WIDE(T)* parts, long long rows,
                                        long long columns, long long chunk) {
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
template <class T>
__device__ void sum_of_parts(const WIDE(T)* parts, T* out, long long chunks, long long columns) {
    for (long long column = global_thread(); column < columns; column += all_threads()) {
        WIDE(T) sum = 0;
        for (long long part = 0; part < chunks; ++part) sum += parts[part * columns + column];
        out[column] = rounded<T>(sum);
    }
}
"""

ROW_ENTRIES = r"""
extern "C" __global__ void @name_softmax_@dtype(
    const @T* input, @T* out, long long rows, long long columns, long long queries, double scale) {
    softmax<@block, SHARES>(input, out, rows, columns, queries, scale);
}
extern "C" __global__ void @name_safe_softmax_@dtype(
    const @T* input, @T* out, long long rows, long long columns, long long queries, double scale) {
    softmax<@block, SAFE_SHARES>(input, out, rows, columns, queries, scale);
}
extern "C" __global__ void @name_log_softmax_@dtype(
    const @T* input, @T* out, long long rows, long long columns, long long queries, double scale) {
    softmax<@block, LOGARITHMS>(input, out, rows, columns, queries, scale);
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
extern "C" __global__ void @name_layer_norm_backward_@dtype(
    const @T* gradient, const @T* input, const @T* weight, @T* result, double* means, double* scales,
    long long rows, long long columns, double eps) {
    layer_norm_backward<@block>(gradient, input, weight, result, means, scales, rows, columns, eps);
}
"""

PART_ENTRIES = r"""
extern "C" __global__ void layer_norm_weight_parts_@dtype(
    const @T* gradient, const @T* input, const double* means, const double* scales, WideOf<@T>::type* parts,
    long long rows, long long columns, long long chunk) {
    layer_norm_weight_parts(gradient, input, means, scales, parts, rows, columns, chunk);
}
extern "C" __global__ void sum_of_parts_@dtype(
    const WideOf<@T>::type* parts, @T* out, long long chunks, long long columns) {
    sum_of_parts<@T>(parts, out, chunks, columns);
}
"""

BY_WARP = ROW_ENTRIES.replace("@name", "warp").replace("@block", "false")
BY_BLOCK = ROW_ENTRIES.replace("@name", "block").replace("@block", "true")

WARP_KERNELS = family("warp_rows", FORMS + ROWS, BY_WARP, {"warp_": WARP_ROWS})
BLOCK_KERNELS = family("block_rows", FORMS + ROWS, BY_BLOCK, {"block_": BLOCK_ROWS})
PART_KERNELS = family(
    "row_parts", PARTS, PART_ENTRIES, {"layer_norm_weight_parts": ELEMENTS, "sum_of_parts": ELEMENTS}
)
