"""Softmax along a dim that is not the last: a thread per row, beside which other threads' rows lie."""

from __future__ import annotations

from devtensor_cupy.compile.registry import ELEMENTS, family
from devtensor_cupy.compile.softmaxes import FORMS

ALONG = r"""
// Rows of numbers that lie `inner` apart: row i begins at first(i).
__device__ long long first(long long i, long long columns, long long inner) {
    return i / inner * columns * inner + i % inner;
}
template <Form form, class T>
__device__ void softmax_along(const T* input, T* out, long long rows, long long columns, long long inner) {
    typedef WIDE(T) W;
    for (long long i = global_thread(); i < rows; i += all_threads()) {
        long long begin = first(i, columns, inner), end = begin + columns * inner;
        W peak = lowest<W>(), sum = 0;
        for (long long k = begin; k < end; k += inner) peak = larger(peak, (W)widen(input[k]));
        peak = peak_of<form>(peak);
        for (long long k = begin; k < end; k += inner) sum += exp((W)widen(input[k]) - peak);
        sum = total_of<form>(sum);
        for (long long k = begin; k < end; k += inner) {
            out[k] = rounded<T>(formed<form>((W)widen(input[k]), peak, sum));
        }
    }
}
template <class T>
__device__ void softmax_backward_along(const T* out, const T* gradient, T* result, long long rows,
                                       long long columns, long long inner, double scale) {
    typedef WIDE(T) W;
    for (long long i = global_thread(); i < rows; i += all_threads()) {
        long long begin = first(i, columns, inner), end = begin + columns * inner;
        W sum = 0;
        for (long long k = begin; k < end; k += inner) sum += (W)widen(out[k]) * (W)widen(gradient[k]);
        for (long long k = begin; k < end; k += inner) {
            result[k] = rounded<T>((W)widen(out[k]) * ((W)widen(gradient[k]) - sum) * (W)scale);
        }
    }
}
template <class T>
__device__ void log_softmax_backward_along(const T* out, const T* gradient, T* result, long long rows,
                                           long long columns, long long inner) {
    typedef WIDE(T) W;
    for (long long i = global_thread(); i < rows; i += all_threads()) {
        long long begin = first(i, columns, inner), end = begin + columns * inner;
        W sum = 0;
        for (long long k = begin; k < end; k += inner) sum += (W)widen(gradient[k]);
        for (long long k = begin; k < end; k += inner) {
            result[k] = rounded<T>((W)widen(gradient[k]) - exp((W)widen(out[k])) * sum);
        }
    }
}
"""

ALONG_ENTRIES = r"""
extern "C" __global__ void along_softmax_@dtype(
    const @T* input, @T* out, long long rows, long long columns, long long inner) {
    softmax_along<SHARES>(input, out, rows, columns, inner);
}
extern "C" __global__ void along_safe_softmax_@dtype(
    const @T* input, @T* out, long long rows, long long columns, long long inner) {
    softmax_along<SAFE_SHARES>(input, out, rows, columns, inner);
}
extern "C" __global__ void along_log_softmax_@dtype(
    const @T* input, @T* out, long long rows, long long columns, long long inner) {
    softmax_along<LOGARITHMS>(input, out, rows, columns, inner);
}
extern "C" __global__ void along_softmax_backward_@dtype(
    const @T* out, const @T* gradient, @T* result, long long rows, long long columns, long long inner,
    double scale) {
    softmax_backward_along(out, gradient, result, rows, columns, inner, scale);
}
extern "C" __global__ void along_log_softmax_backward_@dtype(
    const @T* out, const @T* gradient, @T* result, long long rows, long long columns, long long inner) {
    log_softmax_backward_along(out, gradient, result, rows, columns, inner);
}
"""

ALONG_KERNELS = family("along_rows", FORMS + ALONG, ALONG_ENTRIES, {"along_": ELEMENTS})
