"""Optimizer steps over many tensors in one launch; learning rate, step counts and scale lie on the device.

A step whose `found` is not zero changes nothing, bit for bit. `steps_advance` counts first, the step reads.

Source: the update rules of `devtensor.optim.SGD` and `Adam`; the counts are one float per tensor.
"""

from __future__ import annotations

from devtensor_cupy.compile.multi_tensor import TABLE
from devtensor_cupy.compile.prelude import PRELUDE
from devtensor_cupy.compile.registry import CHUNKS, ELEMENTS, family, source

MAXIMIZE, NESTEROV, DECOUPLED, AMSGRAD = 1, 2, 4, 8
"""Bits of the argument `flags`."""

SKIPPED = r"""
// Null pointers stand for "nothing to skip" and "not scaled".
__device__ bool skipped(const float* found) { return found && *found != 0.0f; }
"""

ADVANCE = r"""
extern "C" __global__ void steps_advance(const long long* steps, long long count, const float* found) {
    if (skipped(found)) return;
    for (long long i = global_thread(); i < count; i += all_threads()) *(float*)steps[i] += 1.0f;
}
"""

STEPS = rf"""
const int MAXIMIZE = {MAXIMIZE}, NESTEROV = {NESTEROV}, DECOUPLED = {DECOUPLED}, AMSGRAD = {AMSGRAD};
""" + (
    r"""
template <class W> __device__ W ascended(W gradient, const float* inverse, int flags) {
    if (inverse) gradient *= (W)*inverse;
    return flags & MAXIMIZE ? -gradient : gradient;
}

// Lists: parameters, gradients, with momentum velocities, with dampening step counts.
template <class T>
__device__ void sgd(const long long* table, const double* lr, const float* found, const float* inverse,
                    double momentum, double dampening, double decay, int flags) {
    typedef WIDE(T) W;
    if (skipped(found)) return;
    Piece piece = piece_of(table);
    T* values = tensor_at<T>(table, 0, piece.tensor);
    const T* gradients = tensor_at<T>(table, 1, piece.tensor);
    T* velocities = momentum != 0 ? tensor_at<T>(table, 2, piece.tensor) : 0;
    bool first = velocities && dampening != 0 && *tensor_at<float>(table, 3, piece.tensor) <= 1.0f;
    W weight = first ? 1 : 1 - dampening, length = *lr;
    for (long long i = piece.begin + threadIdx.x; i < piece.end; i += blockDim.x) {
        W value = widen(values[i]);
        W gradient = ascended((W)widen(gradients[i]), inverse, flags) + value * (W)decay;
        if (velocities) {
            W velocity = (W)widen(velocities[i]) * (W)momentum + gradient * weight;
            velocities[i] = rounded<T>(velocity);
            gradient = flags & NESTEROV ? gradient + velocity * (W)momentum : velocity;
        }
        values[i] = rounded<T>(value - gradient * length);
    }
}

// Lists: parameters, gradients, running means, running squares, step counts, with AMSGRAD largest squares.
template <class T>
__device__ void adam(const long long* table, const double* lr, const float* found, const float* inverse,
                     double beta1, double beta2, double eps, double decay, int flags) {
    typedef WIDE(T) W;
    __shared__ double factors[2];
    if (skipped(found)) return;
    Piece piece = piece_of(table);
    if (threadIdx.x == 0) {
        double step = *tensor_at<float>(table, 4, piece.tensor);
        double scale = sqrt(1 - pow(beta2, step));
        factors[0] = scale / (1 - pow(beta1, step)) * *lr;
        factors[1] = scale * eps;
    }
    __syncthreads();
    W length = factors[0], floor = factors[1];
    W shrink = flags & DECOUPLED ? 1 - *lr * decay : 1, pull = flags & DECOUPLED ? 0 : decay;
    T* values = tensor_at<T>(table, 0, piece.tensor);
    const T* gradients = tensor_at<T>(table, 1, piece.tensor);
    T* means = tensor_at<T>(table, 2, piece.tensor);
    T* squares = tensor_at<T>(table, 3, piece.tensor);
    T* peaks = flags & AMSGRAD ? tensor_at<T>(table, 5, piece.tensor) : 0;
    for (long long i = piece.begin + threadIdx.x; i < piece.end; i += blockDim.x) {
        W value = widen(values[i]);
        W gradient = ascended((W)widen(gradients[i]), inverse, flags) + value * pull;
        W mean = widen(means[i]), square = widen(squares[i]);
        mean += (gradient - mean) * (W)(1 - beta1);
        square = square * (W)beta2 + gradient * gradient * (W)(1 - beta2);
        means[i] = rounded<T>(mean);
        squares[i] = rounded<T>(square);
        if (peaks) {
            square = larger(square, (W)widen(peaks[i]));
            peaks[i] = rounded<T>(square);
        }
        values[i] = rounded<T>(value * shrink - mean / (sqrt(square) + floor) * length);
    }
}
"""
)

STEP_ENTRIES = r"""
extern "C" __global__ void multi_sgd_@dtype(
    const long long* table, const double* lr, const float* found, const float* inverse,
    double momentum, double dampening, double decay, int flags) {
    sgd<@T>(table, lr, found, inverse, momentum, dampening, decay, flags);
}
extern "C" __global__ void multi_adam_@dtype(
    const long long* table, const double* lr, const float* found, const float* inverse,
    double beta1, double beta2, double eps, double decay, int flags) {
    adam<@T>(table, lr, found, inverse, beta1, beta2, eps, decay, flags);
}
"""

MULTI_STEPS = family("multi_steps", TABLE + SKIPPED + STEPS, STEP_ENTRIES, {"multi_": CHUNKS})
COUNTS = source("counts", PRELUDE + SKIPPED + ADVANCE, {"steps_advance": ELEMENTS})
