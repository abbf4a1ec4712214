"""Optimizer steps over many tensors in one launch; counts, scale and the flag that skips lie on the device.

A step whose `found` is not zero changes nothing, bit for bit. `steps_advance` counts first, the step reads.
The learning rate is a number, or, at `lr_at`, one that lies on the device.

Source: the update rules of the optimizers; the counts are one float per tensor.
"""

from __future__ import annotations

from devtensor_cupy.compile.multi_tensor import TABLE
from devtensor_cupy.compile.prelude import PRELUDE
from devtensor_cupy.compile.registry import CHUNKS, ELEMENTS, family, source

MAXIMIZE, NESTEROV, DECOUPLED, CENTERED = 1, 2, 4, 8
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

ADAPT = r"""
// The next loss scale and count of good steps, after one that was skipped or not.
extern "C" __global__ void scale_adapt(
    const float* found, float* scale, int* tracker, double growth, double backoff, int interval) {
    if (global_thread()) return;
    int count = *tracker + 1;
    if (skipped(found)) {
        *scale = *scale * backoff;
        count = 0;
    } else if (count == interval) {
        float grown = *scale * growth;
        if (is_finite(grown)) *scale = grown;
        count = 0;
    }
    *tracker = count;
}
"""

GIVEN = rf"""
const int MAXIMIZE = {MAXIMIZE}, NESTEROV = {NESTEROV}, DECOUPLED = {DECOUPLED}, CENTERED = {CENTERED};
""" + (
    r"""
// What all steps are given; a list that is missing stands as null pointers.
struct Given {
    const long long* table;
    const double* lr_at;
    double lr;
    const float *found, *scale;
    double decay;
    int flags;
};
__device__ double rate_of(const Given& given) { return given.lr_at ? *given.lr_at : given.lr; }

// The gradient that a step uses: divided by the scale, which is kept, turned around, and with weight decay.
template <class T>
__device__ WIDE(T) gradient_of(const Given& given, T* gradient, WIDE(T) value, double decay) {
    WIDE(T) found = widen(*gradient);
    if (given.scale) {
        found /= (WIDE(T))*given.scale;
        *gradient = rounded<T>(found);
    }
    return (given.flags & MAXIMIZE ? -found : found) + value * (WIDE(T))decay;
}
"""
)

SGD = r"""
// Lists: parameters, gradients, with momentum velocities, with dampening step counts.
template <class T> __device__ void sgd(const Given& given, double momentum, double dampening) {
    typedef WIDE(T) W;
    if (skipped(given.found)) return;
    Piece piece = piece_of(given.table);
    T* values = tensor_at<T>(given.table, 0, piece.tensor);
    T* gradients = tensor_at<T>(given.table, 1, piece.tensor);
    T* velocities = momentum != 0 ? tensor_at<T>(given.table, 2, piece.tensor) : 0;
    bool first = velocities && dampening != 0 && *tensor_at<float>(given.table, 3, piece.tensor) <= 1.0f;
    W weight = first ? 1 : 1 - dampening, length = rate_of(given);
    for (long long i = piece.begin + threadIdx.x; i < piece.end; i += blockDim.x) {
        W value = widen(values[i]);
        W gradient = gradient_of<T>(given, gradients + i, value, given.decay);
        if (velocities) {
            W velocity = (W)widen(velocities[i]) * (W)momentum + gradient * weight;
            velocities[i] = rounded<T>(velocity);
            gradient = given.flags & NESTEROV ? gradient + velocity * (W)momentum : velocity;
        }
        values[i] = rounded<T>(value - gradient * length);
    }
}
"""

ADAM = r"""
// Lists: parameters, gradients, running means, running squares, step counts, with AMSGrad largest squares.
template <class T> __device__ void adam(const Given& given, double beta1, double beta2, double eps) {
    typedef WIDE(T) W;
    __shared__ double factors[2];
    if (skipped(given.found)) return;
    Piece piece = piece_of(given.table);
    double rate = rate_of(given);
    if (threadIdx.x == 0) {
        double step = *tensor_at<float>(given.table, 4, piece.tensor);
        double scale = sqrt(1 - pow(beta2, step));
        factors[0] = scale / (1 - pow(beta1, step)) * rate;
        factors[1] = scale * eps;
    }
    __syncthreads();
    W length = factors[0], floor = factors[1];
    bool decoupled = given.flags & DECOUPLED;
    W shrink = decoupled ? 1 - rate * given.decay : 1;
    T* values = tensor_at<T>(given.table, 0, piece.tensor);
    T* gradients = tensor_at<T>(given.table, 1, piece.tensor);
    T* means = tensor_at<T>(given.table, 2, piece.tensor);
    T* squares = tensor_at<T>(given.table, 3, piece.tensor);
    T* peaks = tensor_at<T>(given.table, 5, piece.tensor);
    for (long long i = piece.begin + threadIdx.x; i < piece.end; i += blockDim.x) {
        W value = widen(values[i]);
        W gradient = gradient_of<T>(given, gradients + i, value, decoupled ? 0 : given.decay);
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

ADAGRAD = r"""
// Lists: parameters, gradients, sums of squares, step counts.
template <class T> __device__ void adagrad(const Given& given, double lr_decay, double eps) {
    typedef WIDE(T) W;
    if (skipped(given.found)) return;
    Piece piece = piece_of(given.table);
    double step = *tensor_at<float>(given.table, 3, piece.tensor);
    W length = rate_of(given) / (1 + (step - 1) * lr_decay), floor = eps;
    T* values = tensor_at<T>(given.table, 0, piece.tensor);
    T* gradients = tensor_at<T>(given.table, 1, piece.tensor);
    T* sums = tensor_at<T>(given.table, 2, piece.tensor);
    for (long long i = piece.begin + threadIdx.x; i < piece.end; i += blockDim.x) {
        W value = widen(values[i]);
        W gradient = gradient_of<T>(given, gradients + i, value, given.decay);
        W sum = (W)widen(sums[i]) + gradient * gradient;
        sums[i] = rounded<T>(sum);
        values[i] = rounded<T>(value - gradient / (sqrt(sum) + floor) * length);
    }
}
"""

RMSPROP = r"""
// Lists: parameters, gradients, running squares, with momentum velocities, CENTERED running means.
template <class T> __device__ void rmsprop(const Given& given, double alpha, double eps, double momentum) {
    typedef WIDE(T) W;
    if (skipped(given.found)) return;
    Piece piece = piece_of(given.table);
    W length = rate_of(given), floor = eps, fresh = 1 - alpha;
    T* values = tensor_at<T>(given.table, 0, piece.tensor);
    T* gradients = tensor_at<T>(given.table, 1, piece.tensor);
    T* squares = tensor_at<T>(given.table, 2, piece.tensor);
    T* velocities = momentum != 0 ? tensor_at<T>(given.table, 3, piece.tensor) : 0;
    T* means = given.flags & CENTERED ? tensor_at<T>(given.table, 4, piece.tensor) : 0;
    for (long long i = piece.begin + threadIdx.x; i < piece.end; i += blockDim.x) {
        W value = widen(values[i]);
        W gradient = gradient_of<T>(given, gradients + i, value, given.decay);
        W square = (W)widen(squares[i]) * (W)alpha + gradient * gradient * fresh;
        squares[i] = rounded<T>(square);
        if (means) {
            W mean = widen(means[i]);
            mean += (gradient - mean) * fresh;
            means[i] = rounded<T>(mean);
            square -= mean * mean;
        }
        gradient /= sqrt(square) + floor;
        if (velocities) {
            gradient += (W)widen(velocities[i]) * (W)momentum;
            velocities[i] = rounded<T>(gradient);
        }
        values[i] = rounded<T>(value - gradient * length);
    }
}
"""

GIVEN_PARAMETERS = (
    "const long long* table, const double* lr_at, double lr, const float* found, const float* scale"
)
STEP_ENTRY = f"""
extern "C" __global__ void multi_@rule_@dtype(
    {GIVEN_PARAMETERS}, @parametersdouble decay, int flags) {{
    Given given = {{table, lr_at, lr, found, scale, decay, flags}};
    @rule<@T>(given@values);
}}
"""
RULES = {
    "sgd": ("momentum", "dampening"),
    "adam": ("beta1", "beta2", "eps"),
    "adagrad": ("lr_decay", "eps"),
    "rmsprop": ("alpha", "eps", "momentum"),
}
"""The numbers that each rule has of its own, all of them doubles."""


def step_entry(rule: str) -> str:
    """The template of a rule's entry points."""
    parameters = "".join(f"double {name}, " for name in RULES[rule])
    values = "".join(f", {name}" for name in RULES[rule])
    return STEP_ENTRY.replace("@rule", rule).replace("@parameters", parameters).replace("@values", values)


MULTI_STEPS = family(
    "multi_steps",
    TABLE + SKIPPED + GIVEN + SGD + ADAM + ADAGRAD + RMSPROP,
    "".join(map(step_entry, RULES)),
    {"multi_": CHUNKS},
)
COUNTS = source(
    "counts", PRELUDE + SKIPPED + ADVANCE + ADAPT, {"steps_advance": ELEMENTS, "scale_adapt": ELEMENTS}
)
