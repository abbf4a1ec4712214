"""What optimizer steps share: what they are given, the gradient that they use, and the loop over elements.

A rule is a struct over `W`, the type that is computed in, with SLOTS tensors of a parameter's size in its
state. `prepare` makes of hyperparameters and counts what elements need, in float64, by one thread of a block;
`updated` gives an element's new value, and changes what is kept of it. The value comes with decoupled weight
decay, the gradient with the other. Everything is rounded once, when it is stored.

Lists: parameters, gradients, slots, counts (the step's, then what other numbers the rule's state has). A list
that is missing stands as null pointers, and is kept as 0.
"""

from __future__ import annotations

MAXIMIZE, NESTEROV, DECOUPLED, CENTERED, AMSGRAD = 1, 2, 4, 8, 16
"""Bits of the argument `flags`."""

SKIPPED = r"""
// Null pointers stand for "nothing to skip" and "not scaled".
__device__ bool skipped(const float* found) { return found && *found != 0.0f; }
"""

FLAGS = f"""
const int MAXIMIZE = {MAXIMIZE}, NESTEROV = {NESTEROV}, DECOUPLED = {DECOUPLED}, CENTERED = {CENTERED};
const int AMSGRAD = {AMSGRAD};
"""

STEPPED = r"""
// Before a struct's functions. A build for the host redefines it, since what is on a device is static there.
#ifndef METHOD
#define METHOD __device__
#endif

const int SLOTS_BEGIN = 2, COUNTS = 3;
struct Given {
    const long long* table;
    double rate;
    const float *found, *scale;
    double decay;
    int flags;
};

// A number of a tensor's state; 0 where the rule's state has none in this list.
__device__ double count_at(const long long* table, int list, long long tensor) {
    const float* count = list < table[1] ? tensor_at<float>(table, list, tensor) : 0;
    return count ? *count : 0;
}

// The gradient that a step uses: divided by the scale, which is kept, and turned around.
template <class T> __device__ WIDE(T) gradient_of(const Given& given, WIDE(T) scale, T* gradient) {
    WIDE(T) found = widen(*gradient);
    if (given.scale) {
        found /= scale;
        *gradient = rounded<T>(found);
    }
    return given.flags & MAXIMIZE ? -found : found;
}

template <class T, template <class> class Rule, class... Own>
__device__ void stepped(const Given& given, Own... own) {
    typedef WIDE(T) W;
    const int SLOTS = Rule<W>::SLOTS;
    __shared__ Rule<W> prepared;
    if (skipped(given.found)) return;
    Piece piece = piece_of(given.table);
    if (threadIdx.x == 0) {
        double counts[COUNTS];
        for (int k = 0; k < COUNTS; k++) {
            counts[k] = count_at(given.table, SLOTS_BEGIN + SLOTS + k, piece.tensor);
        }
        prepared.prepare(given, counts, own...);
    }
    __syncthreads();
    Rule<W> rule = prepared;
    W scale = given.scale ? *given.scale : 1;
    bool decoupled = given.flags & DECOUPLED;
    W shrink = decoupled ? 1 - given.rate * given.decay : 1, decay = decoupled ? 0 : given.decay;
    T *values = tensor_at<T>(given.table, 0, piece.tensor), *slots[SLOTS];
    T* gradients = tensor_at<T>(given.table, 1, piece.tensor);
    #pragma unroll
    for (int k = 0; k < SLOTS; k++) slots[k] = tensor_at<T>(given.table, SLOTS_BEGIN + k, piece.tensor);
    for (long long i = piece.begin + threadIdx.x; i < piece.end; i += blockDim.x) {
        W value = widen(values[i]), gradient = gradient_of<T>(given, scale, gradients + i), kept[SLOTS];
        #pragma unroll
        for (int k = 0; k < SLOTS; k++) kept[k] = slots[k] ? widen(slots[k][i]) : 0;
        if (decay != 0) gradient += value * decay;
        values[i] = rounded<T>(rule.updated(value * shrink, gradient, kept));
        #pragma unroll
        for (int k = 0; k < SLOTS; k++) {
            if (slots[k]) slots[k][i] = rounded<T>(kept[k]);
        }
    }
}
"""

GIVEN = SKIPPED + FLAGS + STEPPED
