"""Elementwise ops that are several functions of a library: one launch each, rounded once."""

from __future__ import annotations

from devtensor_cupy.compile.registry import ELEMENTS, Source, family
from devtensor_cupy.compile.walks import WALK

MAPPED = r"""
// Half types may stand beside numbers in float32: the bits of `in_float32` tell which arrays are such.
template <class T> __device__ WIDE(T) loaded(const T* from, long long place, int in_float32) {
    return in_float32 ? (WIDE(T))((const float*)from)[place] : (WIDE(T))widen(from[place]);
}

// So many elements of a thread are on their way at a time: one alone would leave memory idle.
const int AHEAD = 4;

template <int inputs, class T, class Value>
__device__ void mapped(T* out, const T* a, const T* b, const T* c, const T* d, const Walk& walk,
                       long long count, int in_float32, Value value) {
    typedef WIDE(T) W;
    long long apart = all_threads();
    for (long long first = global_thread(); first < count; first += AHEAD * apart) {
        W x[AHEAD] = {}, y[AHEAD] = {}, z[AHEAD] = {}, w[AHEAD] = {};
        long long to[AHEAD];
        #pragma unroll
        for (int k = 0; k < AHEAD; ++k) {
            to[k] = -1;
            if (first + k * apart >= count) continue;
            Places<inputs + 1> at = places<inputs + 1>(walk, first + k * apart);
            to[k] = at.at[0];
            x[k] = loaded(a, at.at[1], in_float32 & 1);
            if constexpr (inputs > 1) y[k] = loaded(b, at.at[2], in_float32 & 2);
            if constexpr (inputs > 2) z[k] = loaded(c, at.at[3], in_float32 & 4);
            if constexpr (inputs > 3) w[k] = loaded(d, at.at[4], in_float32 & 8);
        }
        #pragma unroll
        for (int k = 0; k < AHEAD; ++k) {
            if (to[k] >= 0) out[to[k]] = rounded<T>(value(x[k], y[k], z[k], w[k]));
        }
    }
}

template <class W> __device__ W smaller(W a, W b) { return a < b || a != a ? a : b; }
"""

CURVES = r"""
template <class W> __device__ W gate(W x) { return 1 / (1 + exp(-x)); }
// log(1 + exp(x)) without overflow.
template <class W> __device__ W smooth_step(W x) { return larger(x, (W)0) + log1p(exp(-fabs(x))); }

// The probability that a standard normal lies below x, its density, and an approximation of the first: half
// of 1 + tanh(u), which is the gate of 2 u.
template <class W> __device__ W below(W x) { return (W)0.5 * erfc(x * (W)-0.70710678118654752440); }
template <class W> __device__ W density(W x) {
    return exp(x * x * (W)-0.5) * (W)0.39894228040143267794;
}
template <class W> __device__ W twice_bent(W x) {
    return (x + x * x * x * (W)0.044715) * (W)1.59576912160573071176;
}
template <class W> __device__ W bent_slope(W x) {
    W twice = twice_bent(x), rise = (x * x * (W)0.134145 + 1) * (W)1.59576912160573071176;
    return gate(twice) * (1 + x * gate(-twice) * rise);
}
template <class W> __device__ W mish_slope(W x) {
    W inner = tanh(smooth_step(x));
    return inner + x * gate(x) * (1 - inner * inner);
}
"""

ENTRY = r"""
extern "C" __global__ void @name_@dtype(
    @T* out, const @T* a, const @T* b, const @T* c, const @T* d, Walk walk, long long count, int in_float32,
    double first, double second, double third) {
    typedef WideOf<@T>::type W;
    W p = (W)first, q = (W)second, r = (W)third;
    mapped<@inputs>(out, a, b, c, d, walk, count, in_float32, [=](W x, W y, W z, W w) -> W {
        return @formula;
    });
}
"""

FORMULAS = {
    "gelu": {
        "gelu": (1, "x * below(x)"),
        "gelu_tanh": (1, "x * gate(twice_bent(x))"),
        "gelu_gradient": (2, "x * (below(y) + y * density(y))"),
        "gelu_tanh_gradient": (2, "x * bent_slope(y)"),
    },
    "gates": {
        "sigmoid": (1, "gate(x)"),
        "sigmoid_gradient": (2, "x * (y * (1 - y))"),
        "silu": (1, "x * gate(x)"),
        "silu_gradient": (2, "x * gate(y) * (1 + y * gate(-y))"),
        "tanh_gradient": (2, "x * ((1 - y) * (1 + y))"),
    },
    "smooth": {
        "mish": (1, "x * tanh(smooth_step(x))"),
        "mish_gradient": (2, "x * mish_slope(y)"),
        "softplus": (1, "x * p > q ? x : smooth_step(x * p) / p"),
        "softplus_gradient": (2, "y * p > q ? x : x * gate(y * p)"),
        "logsigmoid": (1, "-smooth_step(-x)"),
        "elu": (1, "x <= 0 ? expm1(x * r) * (q * p) : x * q"),
        "elu_gradient": (2, "y <= 0 ? x * exp(y * r) * (q * p * r) : x * q"),
    },
    "straight": {
        "relu_gradient": (2, "y <= 0 ? (W)0 : x"),
        "leaky_relu": (1, "x > 0 ? x : x * p"),
        "leaky_relu_gradient": (2, "y > 0 ? x : x * p"),
        "hardtanh": (1, "larger(smaller(x, q), p)"),
        "hardtanh_gradient": (2, "y <= p || y >= q ? (W)0 : x"),
        "hardsigmoid": (1, "larger(smaller(x + 3, (W)6), (W)0) / 6"),
        "hardswish": (1, "x * (larger(smaller(x + 3, (W)6), (W)0) / 6)"),
        "hardswish_gradient": (2, "y <= -3 ? (W)0 : y < 3 ? x * (y / 3 + (W)0.5) : x"),
    },
    "terms": {
        "add_scaled": (3, "x + y * z"),
        "sub_scaled": (3, "x - y * z"),
        "addcmul": (4, "x + y * w * z"),
        "addcdiv": (4, "x + y * w / z"),
        "lerp": (3, "fabs(z) < (W)0.5 ? x + (y - x) * z : y - (y - x) * (1 - z)"),
        "clamp": (3, "smaller(larger(x, y), z)"),
    },
}
"""By source and kernel: how many arrays it takes, and its formula of their elements x, y, z, w and of the
numbers p, q, r."""


def elementwise_family(name: str, formulas: dict[str, tuple[int, str]]) -> list[Source]:
    """A source of formulas for each dtype."""
    entries = [
        ENTRY.replace("@name", each).replace("@inputs", str(inputs)).replace("@formula", formula)
        for each, (inputs, formula) in formulas.items()
    ]
    return family(name, WALK + MAPPED + CURVES, "".join(entries), {"": ELEMENTS})


ELEMENTWISE_KERNELS = [
    source for name, formulas in FORMULAS.items() for source in elementwise_family(name, formulas)
]
ARRAYS = {name: count for formulas in FORMULAS.values() for name, (count, _) in formulas.items()}
"""How many arrays each kernel takes."""
