"""Values added at places that indices name: by atomics, or sorted by place and always in the same order.

Sums of half types are kept in float32, to be cast once at the end. By atomics the order of additions, and so
the last bits, change from run to run. An index counts from the end if it is negative, and a value whose place
is not there is left out.
"""

from __future__ import annotations

from devtensor_cupy.compile.prelude import C_TYPES, PRELUDE, instance
from devtensor_cupy.compile.registry import ELEMENTS, Source, source
from devtensor_cupy.compile.walks import AXES, WALK

SUM_TYPES = C_TYPES | {"int32": "int", "int64": "unsigned long long"}
"""The dtypes of values that can be added, and the types that hold them; integers wrap around."""

SCATTER = r"""
template <> struct WideOf<int> { typedef int type; };
template <> struct WideOf<unsigned long long> { typedef unsigned long long type; };
__device__ int widen(int x) { return x; }
__device__ unsigned long long widen(unsigned long long x) { return x; }

// Up to six arrays of indices, null behind the last.
struct Indices { const long long* of[6]; };

// Where the value belongs for which the sums, the values and the indices lie at these places; or -1.
__device__ long long target_of(const Places<8>& places, const Axes& axes, const Indices& indices) {
    long long target = places.at[0];
    for (int k = 0; k < 6 && indices.of[k]; ++k) {
        long long index = indices.of[k][places.at[k + 2]];
        if (index < 0) index += axes.sizes[k];
        if (index < 0 || index >= axes.sizes[k]) return -1;
        target += index * axes.steps[k];
    }
    return target;
}

template <class T>
__device__ void add_elements(WIDE(T)* sums, const T* values, const Indices& indices, const Walk& walk,
                             const Axes& axes, long long count) {
    for (long long i = global_thread(); i < count; i += all_threads()) {
        Places<8> at = places<8>(walk, i);
        long long target = target_of(at, axes, indices);
        if (target >= 0) atomicAdd(sums + target, (WIDE(T))widen(values[at.at[1]]));
    }
}

// Values in the order of their places: the first of a place adds up all that go there, as they stand.
template <class T>
__device__ void add_sorted(WIDE(T)* sums, const T* values, const long long* targets, const long long* order,
                           const Walk& walk, long long count) {
    for (long long i = global_thread(); i < count; i += all_threads()) {
        long long target = targets[i];
        if (target < 0 || (i && targets[i - 1] == target)) continue;
        WIDE(T) sum = sums[target];
        for (long long k = i; k < count && targets[k] == target; ++k) {
            sum += (WIDE(T))widen(values[places<2>(walk, order[k]).at[1]]);
        }
        sums[target] = sum;
    }
}
"""

SCATTER_ENTRIES = r"""
extern "C" __global__ void add_elements_@dtype(
    WideOf<@T>::type* sums, const @T* values, const long long* a, const long long* b, const long long* c,
    const long long* d, const long long* e, const long long* f, Walk walk, Axes axes, long long count) {
    add_elements<@T>(sums, values, Indices{{a, b, c, d, e, f}}, walk, axes, count);
}
extern "C" __global__ void add_sorted_@dtype(
    WideOf<@T>::type* sums, const @T* values, const long long* targets, const long long* order, Walk walk,
    long long count) {
    add_sorted<@T>(sums, values, targets, order, walk, count);
}
"""

FIND_ENTRY = r"""
extern "C" __global__ void find_targets(
    long long* targets, const long long* a, const long long* b, const long long* c, const long long* d,
    const long long* e, const long long* f, Walk walk, Axes axes, long long count) {
    for (long long i = global_thread(); i < count; i += all_threads()) {
        targets[i] = target_of(places<8>(walk, i), axes, Indices{{a, b, c, d, e, f}});
    }
}
"""


def scatter_source(dtype: str) -> Source:
    """The kernels that add values of one dtype."""
    text = PRELUDE + WALK + AXES + SCATTER + instance(SCATTER_ENTRIES, dtype, SUM_TYPES)
    return source(f"scatter_{dtype}", text, {"add_": ELEMENTS})


SCATTER_KERNELS = [scatter_source(dtype) for dtype in SUM_TYPES]
FIND_TARGETS = source("scatter_targets", PRELUDE + WALK + AXES + SCATTER + FIND_ENTRY, {"find_": ELEMENTS})
