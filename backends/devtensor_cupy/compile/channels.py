"""Batch norm and what is summed up channel by channel: a block per channel, always in the same order."""

from __future__ import annotations

from devtensor_cupy.compile.registry import ELEMENTS, Launch, family

CHANNELS_EACH = Launch(threads=512, per_block=1)
"""A block per channel, striding."""

CHANNELS = r"""
// Numbers (batch, channels, inner): the block's threads see all places of a channel, and of which sample.
template <class Visit>
__device__ void each_place(long long channel, long long batch, long long channels, long long inner,
                           Visit visit) {
    long long count = batch * inner;
    for (long long i = threadIdx.x; i < count; i += blockDim.x) {
        // Dividing 32 bits takes a part of the time.
        long long sample = count < 0x7fffffff ? (unsigned int)i / (unsigned int)inner : i / inner;
        visit((sample * channels + channel) * inner + i - sample * inner, sample);
    }
}

template <class T>
__device__ void channel_moments(const T* input, WIDE(T)* means, WIDE(T)* variances, long long batch,
                                long long channels, long long inner) {
    typedef WIDE(T) W;
    for (long long channel = blockIdx.x; channel < channels; channel += gridDim.x) {
        W count = (W)(batch * inner), sum = 0, squares = 0;
        each_place(channel, batch, channels, inner, [&](long long i, long long) {
            sum += (W)widen(input[i]);
        });
        W mean = block_sum(sum) / count;
        each_place(channel, batch, channels, inner, [&](long long i, long long) {
            squares += ((W)widen(input[i]) - mean) * ((W)widen(input[i]) - mean);
        });
        squares = block_sum(squares);
        if (threadIdx.x == 0) {
            means[channel] = mean;
            variances[channel] = squares / count;
        }
    }
}

// `weight` and `bias` may be null.
template <class T>
__device__ void batch_norm(const T* input, const WIDE(T)* means, const WIDE(T)* variances,
                           const WIDE(T)* weight, const WIDE(T)* bias, T* out, long long count,
                           long long channels, long long inner, double eps) {
    typedef WIDE(T) W;
    for (long long i = global_thread(); i < count; i += all_threads()) {
        long long channel = i / inner % channels;
        W value = ((W)widen(input[i]) - means[channel]) / sqrt(variances[channel] + (W)eps);
        if (weight) value *= weight[channel];
        if (bias) value += bias[channel];
        out[i] = rounded<T>(value);
    }
}

// Of `channel_moments`, whose two results have the gradients `by_mean` and `by_variance`.
template <class T>
__device__ void moments_backward(const T* input, const WIDE(T)* means, const WIDE(T)* by_mean,
                                 const WIDE(T)* by_variance, T* result, long long batch, long long channels,
                                 long long inner) {
    typedef WIDE(T) W;
    W each = (W)(batch * inner);
    for (long long i = global_thread(); i < batch * channels * inner; i += all_threads()) {
        long long channel = i / inner % channels;
        W apart = (W)widen(input[i]) - means[channel];
        result[i] = rounded<T>((apart * 2 * by_variance[channel] + by_mean[channel]) / each);
    }
}

template <class T>
__device__ void running_average(const T* running, const WIDE(T)* found, T* out, long long count,
                                double momentum, double factor) {
    typedef WIDE(T) W;
    for (long long i = global_thread(); i < count; i += all_threads()) {
        W kept = (W)widen(running[i]) * (W)(1 - momentum);
        out[i] = rounded<T>(kept + found[i] * (W)(momentum * factor));
    }
}

// The gradients of the input, and, a row of `slopes` each, of mean, variance, weight and bias.
template <class T>
__device__ void batch_norm_backward(const T* gradient, const T* input, const WIDE(T)* means,
                                    const WIDE(T)* variances, const WIDE(T)* weight, T* result,
                                    WIDE(T)* slopes, long long batch, long long channels, long long inner,
                                    double eps) {
    typedef WIDE(T) W;
    for (long long channel = blockIdx.x; channel < channels; channel += gridDim.x) {
        W mean = means[channel], inverse = 1 / sqrt(variances[channel] + (W)eps), total = 0, product = 0;
        W scale = weight ? inverse * weight[channel] : inverse;
        each_place(channel, batch, channels, inner, [&](long long i, long long) {
            W g = (W)widen(gradient[i]);
            total += g;
            product += g * ((W)widen(input[i]) - mean);
            result[i] = rounded<T>(g * scale);
        });
        total = block_sum(total);
        product = block_sum(product);
        if (threadIdx.x == 0) {
            slopes[channel] = -scale * total;
            slopes[channels + channel] = -scale * inverse * inverse * product / 2;
            slopes[2 * channels + channel] = inverse * product;
            slopes[3 * channels + channel] = total;
        }
    }
}

// Of samples whose channels were standardised in groups: the sums of the gradient, and of what it is times
// the standardised input.
template <class T>
__device__ void group_sums(const T* gradient, const T* input, const double* means, const double* scales,
                           WIDE(T)* totals, WIDE(T)* products, long long batch, long long channels,
                           long long inner, long long groups) {
    typedef WIDE(T) W;
    for (long long channel = blockIdx.x; channel < channels; channel += gridDim.x) {
        W total = 0, product = 0;
        long long group = channel / (channels / groups);
        each_place(channel, batch, channels, inner, [&](long long i, long long sample) {
            W g = (W)widen(gradient[i]);
            long long row = sample * groups + group;
            total += g;
            product += g * ((W)widen(input[i]) - (W)means[row]) * (W)scales[row];
        });
        total = block_sum(total);
        product = block_sum(product);
        if (threadIdx.x == 0) {
            totals[channel] = total;
            products[channel] = product;
        }
    }
}
"""

CHANNEL_ENTRIES = r"""
extern "C" __global__ void channel_moments_@dtype(
    const @T* input, WideOf<@T>::type* means, WideOf<@T>::type* variances, long long batch,
    long long channels, long long inner) {
    channel_moments(input, means, variances, batch, channels, inner);
}
extern "C" __global__ void batch_norm_@dtype(
    const @T* input, const WideOf<@T>::type* means, const WideOf<@T>::type* variances,
    const WideOf<@T>::type* weight, const WideOf<@T>::type* bias, @T* out, long long count,
    long long channels, long long inner, double eps) {
    batch_norm(input, means, variances, weight, bias, out, count, channels, inner, eps);
}
extern "C" __global__ void channel_batch_norm_backward_@dtype(
    const @T* gradient, const @T* input, const WideOf<@T>::type* means, const WideOf<@T>::type* variances,
    const WideOf<@T>::type* weight, @T* result, WideOf<@T>::type* slopes, long long batch,
    long long channels, long long inner, double eps) {
    batch_norm_backward(gradient, input, means, variances, weight, result, slopes, batch, channels, inner,
                        eps);
}
extern "C" __global__ void running_average_@dtype(
    const @T* running, const WideOf<@T>::type* found, @T* out, long long count, double momentum,
    double factor) {
    running_average(running, found, out, count, momentum, factor);
}
extern "C" __global__ void moments_backward_@dtype(
    const @T* input, const WideOf<@T>::type* means, const WideOf<@T>::type* by_mean,
    const WideOf<@T>::type* by_variance, @T* result, long long batch, long long channels, long long inner) {
    moments_backward(input, means, by_mean, by_variance, result, batch, channels, inner);
}
extern "C" __global__ void channel_group_sums_@dtype(
    const @T* gradient, const @T* input, const double* means, const double* scales,
    WideOf<@T>::type* totals, WideOf<@T>::type* products, long long batch, long long channels,
    long long inner, long long groups) {
    group_sums(gradient, input, means, scales, totals, products, batch, channels, inner, groups);
}
"""

CHANNEL_KERNELS = family(
    "channels",
    CHANNELS,
    CHANNEL_ENTRIES,
    {
        "channel_": CHANNELS_EACH,
        "batch_norm_": ELEMENTS,
        "moments_": ELEMENTS,
        "running_average_": ELEMENTS,
    },
)
