"""Softmax, its logarithm, softmax of masked scores, and their gradients, along the last dim."""

from __future__ import annotations

from devtensor_cupy.compile.rows import row_families

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

SOFTMAXES = r"""
template <bool block, Form form, class T>
__device__ void softmax(const T* input, T* out, long long rows, long long columns) {
    typedef WIDE(T) W;
    for (long long row = first_row<block>(); row < rows; row += row_stride<block>()) {
        const T* from = input + row * columns;
        W peak = lowest<W>(), sum = 0;
        each<block>(from, from, columns, [&](long long, W x, W) { peak = larger(peak, x); });
        peak = peak_of<form>(row_largest<block>(peak));
        each<block>(from, from, columns, [&](long long, W x, W) { sum += exp(x - peak); });
        sum = total_of<form>(row_sum<block>(sum));
        written<block>(from, from, out + row * columns, columns, [&](long long, W x, W) {
            return formed<form>(x, peak, sum);
        });
    }
}

// What lies beside the scores, as `kind` says: nothing, bools of what is seen, or numbers to be added.
enum MaskKind { NO_MASK, BOOLS, HALVES, BFLOATS, FLOATS, DOUBLES };
template <class W> __device__ W of_mask(const void* mask, int kind, long long place) {
    switch (kind) {
        case BOOLS: return ((const unsigned char*)mask)[place] ? (W)0 : lowest<W>();
        case HALVES: return (W)widen(((const half_t*)mask)[place]);
        case BFLOATS: return (W)widen(((const bfloat_t*)mask)[place]);
        case FLOATS: return (W)((const float*)mask)[place];
        case DOUBLES: return (W)((const double*)mask)[place];
    }
    return 0;
}

// Row r is that of query r % queries of a head of a batch, by whose steps the mask is read; 0 repeats it.
// `causal` masks keys later than the query. Only rows beside a mask may be without anything to share.
template <bool block, class T>
__device__ void masked_softmax(const T* scores, const void* mask, T* out, int kind, int causal,
                               long long rows, long long columns, long long heads, long long queries,
                               long long by_batch, long long by_head, long long by_query, long long by_key,
                               double scale) {
    typedef WIDE(T) W;
    for (long long row = first_row<block>(); row < rows; row += row_stride<block>()) {
        const T* from = scores + row * columns;
        long long query = row % queries, head = row / queries;
        long long place = head / heads * by_batch + head % heads * by_head + query * by_query;
        long long seen = causal && query + 1 < columns ? query + 1 : columns;
        auto score = [&](long long k, W x) {
            return x * (W)scale + of_mask<W>(mask, kind, place + k * by_key);
        };
        W peak = lowest<W>(), sum = 0;
        each<block>(from, from, seen, [&](long long k, W x, W) { peak = larger(peak, score(k, x)); });
        peak = row_largest<block>(peak);
        if (kind) peak = peak_of<SAFE_SHARES>(peak);
        each<block>(from, from, seen, [&](long long k, W x, W) { sum += exp(score(k, x) - peak); });
        sum = row_sum<block>(sum);
        if (kind) sum = total_of<SAFE_SHARES>(sum);
        written<block>(from, from, out + row * columns, columns, [&](long long k, W x, W) {
            return k < seen ? exp(score(k, x) - peak) / sum : (W)0;
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

template <bool block, class T>
__device__ void log_softmax_backward(const T* out, const T* gradient, T* result, long long rows,
                                     long long columns) {
    typedef WIDE(T) W;
    for (long long row = first_row<block>(); row < rows; row += row_stride<block>()) {
        long long start = row * columns;
        W sum = 0;
        each<block>(out + start, gradient + start, columns, [&](long long, W, W g) { sum += g; });
        sum = row_sum<block>(sum);
        written<block>(out + start, gradient + start, result + start, columns, [&](long long, W y, W g) {
            return g - exp(y) * sum;
        });
    }
}
"""

SOFTMAX_ENTRIES = r"""
extern "C" __global__ void @name_softmax_@dtype(
    const @T* input, @T* out, long long rows, long long columns) {
    softmax<@block, SHARES>(input, out, rows, columns);
}
extern "C" __global__ void @name_safe_softmax_@dtype(
    const @T* input, @T* out, long long rows, long long columns) {
    softmax<@block, SAFE_SHARES>(input, out, rows, columns);
}
extern "C" __global__ void @name_log_softmax_@dtype(
    const @T* input, @T* out, long long rows, long long columns) {
    softmax<@block, LOGARITHMS>(input, out, rows, columns);
}
extern "C" __global__ void @name_masked_softmax_@dtype(
    const @T* scores, const void* mask, @T* out, int kind, int causal, long long rows, long long columns,
    long long heads, long long queries, long long by_batch, long long by_head, long long by_query,
    long long by_key, double scale) {
    masked_softmax<@block>(scores, mask, out, kind, causal, rows, columns, heads, queries, by_batch, by_head,
                           by_query, by_key, scale);
}
extern "C" __global__ void @name_softmax_backward_@dtype(
    const @T* out, const @T* gradient, @T* result, long long rows, long long columns, double scale) {
    softmax_backward<@block>(out, gradient, result, rows, columns, scale);
}
extern "C" __global__ void @name_log_softmax_backward_@dtype(
    const @T* out, const @T* gradient, @T* result, long long rows, long long columns) {
    log_softmax_backward<@block>(out, gradient, result, rows, columns);
}
"""

SOFTMAX_KERNELS = row_families("softmaxes", FORMS + SOFTMAXES, SOFTMAX_ENTRIES)
