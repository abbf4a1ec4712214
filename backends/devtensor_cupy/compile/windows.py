"""Convolution's own kernels: windows as columns for a matrix product, back again, and depthwise directly.

Arrays are (batch, channels, height, width). `columns_to_image` gathers, so it needs no atomics and gives the
same bits each time.
"""

from __future__ import annotations

from devtensor_cupy.compile.registry import BLOCK_ROWS, ELEMENTS, family

SIZES = (
    "long long batch, long long channels, long long height, long long width, "
    "long long window_height, long long window_width, long long stride_height, long long stride_width, "
    "long long padding_height, long long padding_width, long long dilation_height, long long dilation_width, "
    "long long out_height, long long out_width"
)
NAMES = ", ".join(part.split()[-1] for part in SIZES.split(", "))

WINDOWS = r"""
template <class T> __device__ void image_to_columns(const T* image, T* columns, @SIZES) {
    long long spots = out_height * out_width, window = window_height * window_width;
    long long count = batch * channels * window * spots;
    for (long long i = global_thread(); i < count; i += all_threads()) {
        long long spot = i % spots, place = i / spots % window, plane = i / spots / window;
        long long top = spot / out_width * stride_height - padding_height;
        long long left = spot % out_width * stride_width - padding_width;
        long long y = top + place / window_width * dilation_height;
        long long x = left + place % window_width * dilation_width;
        bool inside = y >= 0 && y < height && x >= 0 && x < width;
        columns[i] = inside ? image[(plane * height + y) * width + x] : rounded<T>(0);
    }
}

// Where the window's row or column `place` would have to stand to see a pixel: an output index, or -1.
__device__ long long seen_from(long long pixel, long long place, long long stride, long long padding,
                               long long dilation, long long size) {
    long long start = pixel + padding - place * dilation;
    return start < 0 || start % stride || start / stride >= size ? -1 : start / stride;
}

// Where the window must stand to see the pixel (x, y) in its own `place`: a spot of the output, or -1.
__device__ long long spot_over(long long x, long long y, long long place, @SIZES) {
    long long row = seen_from(y, place / window_width, stride_height, padding_height,
                              dilation_height, out_height);
    long long column = seen_from(x, place % window_width, stride_width, padding_width,
                                 dilation_width, out_width);
    return row < 0 || column < 0 ? -1 : row * out_width + column;
}

template <class T> __device__ void columns_to_image(const T* columns, T* image, @SIZES) {
    long long spots = out_height * out_width, window = window_height * window_width;
    long long count = batch * channels * height * width;
    for (long long i = global_thread(); i < count; i += all_threads()) {
        long long x = i % width, y = i / width % height, plane = i / width / height;
        WIDE(T) sum = 0;
        for (long long place = 0; place < window; ++place) {
            long long spot = spot_over(x, y, place, @NAMES);
            if (spot < 0) continue;
            sum += (WIDE(T))widen(columns[(plane * window + place) * spots + spot]);
        }
        image[i] = rounded<T>(sum);
    }
}

// `multiplier` filters for each channel; `bias` may be null.
template <class T>
__device__ void depthwise(const T* image, const T* weight, const T* bias, T* out, long long multiplier,
                          @SIZES) {
    long long filters = channels * multiplier, count = batch * filters * out_height * out_width;
    for (long long i = global_thread(); i < count; i += all_threads()) {
        long long column = i % out_width, row = i / out_width % out_height;
        long long plane = i / out_width / out_height, filter = plane % filters, example = plane / filters;
        const T* seen = image + (example * channels + filter / multiplier) * height * width;
        const T* taps = weight + filter * window_height * window_width;
        WIDE(T) sum = bias ? (WIDE(T))widen(bias[filter]) : (WIDE(T))0;
        for (long long down = 0; down < window_height; ++down) {
            long long y = row * stride_height - padding_height + down * dilation_height;
            if (y < 0 || y >= height) continue;
            for (long long right = 0; right < window_width; ++right) {
                long long x = column * stride_width - padding_width + right * dilation_width;
                if (x < 0 || x >= width) continue;
                WIDE(T) tap = widen(taps[down * window_width + right]);
                sum += (WIDE(T))widen(seen[y * width + x]) * tap;
            }
        }
        out[i] = rounded<T>(sum);
    }
}

// The gradient of the image, from that of what `depthwise` gives.
template <class T>
__device__ void depthwise_image(const T* gradient, const T* weight, T* image, long long multiplier, @SIZES) {
    long long count = batch * channels * height * width, window = window_height * window_width;
    for (long long i = global_thread(); i < count; i += all_threads()) {
        long long x = i % width, y = i / width % height, plane = i / width / height;
        long long first = plane % channels * multiplier, example = plane / channels;
        const T* given = gradient + (example * channels * multiplier + first) * out_height * out_width;
        WIDE(T) sum = 0;
        for (long long place = 0; place < window; ++place) {
            long long spot = spot_over(x, y, place, @NAMES);
            if (spot < 0) continue;
            for (long long filter = 0; filter < multiplier; ++filter) {
                WIDE(T) tap = widen(weight[(first + filter) * window + place]);
                sum += (WIDE(T))widen(given[filter * out_height * out_width + spot]) * tap;
            }
        }
        image[i] = rounded<T>(sum);
    }
}

// The gradient of the weight: a block for each tap of each filter.
template <class T>
__device__ void depthwise_taps(const T* gradient, const T* image, T* weight, long long multiplier, @SIZES) {
    long long filters = channels * multiplier, window = window_height * window_width;
    long long spots = out_height * out_width;
    for (long long tap = blockIdx.x; tap < filters * window; tap += gridDim.x) {
        long long place = tap % window, filter = tap / window;
        long long down = place / window_width * dilation_height - padding_height;
        long long right = place % window_width * dilation_width - padding_width;
        WIDE(T) sum = 0;
        for (long long i = threadIdx.x; i < batch * spots; i += blockDim.x) {
            long long spot = i % spots, example = i / spots;
            long long y = spot / out_width * stride_height + down;
            long long x = spot % out_width * stride_width + right;
            if (y < 0 || y >= height || x < 0 || x >= width) continue;
            long long plane = example * channels + filter / multiplier;
            WIDE(T) seen = widen(image[(plane * height + y) * width + x]);
            sum += seen * (WIDE(T))widen(gradient[(example * filters + filter) * spots + spot]);
        }
        sum = block_sum(sum);
        if (threadIdx.x == 0) weight[tap] = rounded<T>(sum);
    }
}
""".replace("@SIZES", SIZES).replace("@NAMES", NAMES)

WINDOW_ENTRIES = r"""
extern "C" __global__ void image_to_columns_@dtype(const @T* image, @T* columns, @SIZES) {
    image_to_columns(image, columns, @NAMES);
}
extern "C" __global__ void columns_to_image_@dtype(const @T* columns, @T* image, @SIZES) {
    columns_to_image(columns, image, @NAMES);
}
extern "C" __global__ void depthwise_@dtype(
    const @T* image, const @T* weight, const @T* bias, @T* out, long long multiplier, @SIZES) {
    depthwise(image, weight, bias, out, multiplier, @NAMES);
}
extern "C" __global__ void gradient_depthwise_image_@dtype(
    const @T* gradient, const @T* weight, @T* image, long long multiplier, @SIZES) {
    depthwise_image(gradient, weight, image, multiplier, @NAMES);
}
extern "C" __global__ void gradient_depthwise_taps_@dtype(
    const @T* gradient, const @T* image, @T* weight, long long multiplier, @SIZES) {
    depthwise_taps(gradient, image, weight, multiplier, @NAMES);
}
""".replace("@SIZES", SIZES).replace("@NAMES", NAMES)

WINDOW_KERNELS = family(
    "windows",
    WINDOWS,
    WINDOW_ENTRIES,
    {
        "image_to_columns": ELEMENTS,
        "columns_to_image": ELEMENTS,
        "depthwise": ELEMENTS,
        "gradient_depthwise_image": ELEMENTS,
        "gradient_depthwise_taps": BLOCK_ROWS,
    },
)
