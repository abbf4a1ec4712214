"""What every CUDA source begins with: the half types, their conversions, reductions over warps and blocks.

No header is included, so that a source compiles in milliseconds. Kernels compute in `Wide`: double for
double, else float. Conversions to and from half precision are PTX behind one macro, or bit arithmetic where
the oldest devices lack the instruction; a build for the host redefines the macro.
"""

from __future__ import annotations

C_TYPES = {"float16": "half_t", "bfloat16": "bfloat_t", "float32": "float", "float64": "double"}
"""The floating dtypes and the types that hold them in the sources."""

PRELUDE = r"""
#ifndef PTX
#define PTX(instruction, to, result, from, value) asm(instruction " %0, %1;" : "=" to(result) : from(value))
#endif

struct half_t { unsigned short bits; };
struct bfloat_t { unsigned short bits; };

template <class T> struct WideOf { typedef float type; };
template <> struct WideOf<double> { typedef double type; };
#define WIDE(T) typename WideOf<T>::type

const unsigned int ALL_LANES = 0xffffffffu;
const int LANES = 32;

__device__ double widen(double x) { return x; }
__device__ float widen(float x) { return x; }
__device__ float widen(half_t x) {
    float wide;
    PTX("cvt.f32.f16", "f", wide, "h", x.bits);
    return wide;
}
__device__ float widen(bfloat_t x) { return __uint_as_float((unsigned int)x.bits << 16); }

__device__ void narrow(double x, double& result) { result = x; }
__device__ void narrow(float x, float& result) { result = x; }
__device__ void narrow(float x, half_t& result) { PTX("cvt.rn.f16.f32", "h", result.bits, "f", x); }
__device__ void narrow(float x, bfloat_t& result) {
    unsigned int bits = __float_as_uint(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u) {
        result.bits = (unsigned short)((bits >> 16 & 0x8000u) | 0x7fc0u);
        return;
    }
    // Ties go to the even neighbour; a carry into the exponent gives the next power of two, or infinity.
    bits += 0x7fffu + (bits >> 16 & 1u);
    result.bits = (unsigned short)(bits >> 16);
}
template <class T> __device__ T rounded(WIDE(T) x) {
    T result;
    narrow(x, result);
    return result;
}

template <class W> __device__ bool is_finite(W x) { return x - x == 0; }
template <class W> __device__ W larger(W a, W b) { return a > b || a != a ? a : b; }
template <class W> __device__ W lowest() { return -(W)__uint_as_float(0x7f800000u); }

__device__ long long global_thread() { return (long long)blockIdx.x * blockDim.x + threadIdx.x; }
__device__ long long all_threads() { return (long long)gridDim.x * blockDim.x; }

// Butterflies: every lane ends with the same bits.
template <class W> __device__ W warp_sum(W value) {
    for (int step = LANES / 2; step; step /= 2) value += __shfl_xor_sync(ALL_LANES, value, step);
    return value;
}
template <class W> __device__ W warp_largest(W value) {
    for (int step = LANES / 2; step; step /= 2) {
        value = larger(value, (W)__shfl_xor_sync(ALL_LANES, value, step));
    }
    return value;
}

// Each warp's part, seen by all warps; every thread of the block takes part.
template <class W> __device__ W exchanged(W part, W neutral) {
    __shared__ W parts[LANES];
    int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES, warps = blockDim.x / LANES;
    __syncthreads();  // The parts of an earlier call have been read.
    if (lane == 0) parts[warp] = part;
    __syncthreads();
    return lane < warps ? parts[lane] : neutral;
}
template <class W> __device__ W block_sum(W value) { return warp_sum(exchanged(warp_sum(value), (W)0)); }
template <class W> __device__ W block_largest(W value) {
    return warp_largest(exchanged(warp_largest(value), lowest<W>()));
}
"""


def instance(template: str, dtype: str, types: dict[str, str] = C_TYPES) -> str:
    """A template for one dtype: `@dtype` becomes its name, `@T` the type that holds it."""
    return template.replace("@dtype", dtype).replace("@T", types[dtype])
