// CUDA C++ on the host, for tests: what kernels see of it. shim.cpp runs them.
#pragma once

#include <cmath>
#include <cstring>
#include <utility>

using std::erfc;
using std::exp;
using std::expm1;
using std::fabs;
using std::log;
using std::log1p;
using std::pow;
using std::sqrt;
using std::tanh;

#define __global__
#define __device__ static
#define METHOD  // `static` means something else there.
// What is local to a thread of the host lies in one piece, with nothing else in it: so it can be poisoned.
#define __shared__ static thread_local __attribute__((used))
#define __syncthreads() shim::block_barrier(__LINE__)
#define __syncwarp() shim::warp_barrier(0xffffffffu, __LINE__)
#define __shfl_sync(mask, value, lane) shim::shuffled(mask, value, lane, __LINE__)
#define __shfl_xor_sync(mask, value, bits) shim::shuffled(mask, value, shim::lane() ^ (bits), __LINE__)
#define __shfl_down_sync(mask, value, step) shim::shuffled(mask, value, shim::lane_below(step), __LINE__)
#define PTX(instruction, to, result, from, value) shim::ptx(instruction, result, value)

namespace shim {

struct Place { unsigned int x = 0, y = 0, z = 0; };
struct Shape { int blocks, threads, order, seed; };

void set_atomic(bool on);
int lane();
int lane_below(int step);
void block_barrier(int line);
void warp_barrier(unsigned int mask, int line);
unsigned long long swapped(unsigned int mask, unsigned long long bits, int from, int line);
void ptx(const char* instruction, unsigned short& result, float value);
void ptx(const char* instruction, float& result, unsigned short bits);
const char* launch(const Shape& shape, void (*kernel)(void**), void** values);

template <class T> static T shuffled(unsigned int mask, T value, int from, int line) {
    static_assert(sizeof(T) <= 8, "a shuffle moves at most 64 bits");
    unsigned long long bits = 0;
    memcpy(&bits, &value, sizeof(T));
    bits = swapped(mask, bits, from, line);
    memcpy(&value, &bits, sizeof(T));
    return value;
}

// Pointers to the arguments, as cuLaunchKernel takes them.
template <class... P, size_t... K>
static void call(void (*kernel)(P...), void** values, std::index_sequence<K...>) {
    kernel(*(P*)values[K]...);
}
template <auto kernel, class... P> static void called(void (*)(P...), void** values) {
    call<P...>(kernel, values, std::index_sequence_for<P...>());
}
template <auto kernel> static void unpacked(void** values) { called<kernel>(kernel, values); }

template <class... P> static int sizes_of(void (*)(P...), int* sizes) {
    int all[] = {(int)sizeof(P)..., 0};
    memcpy(sizes, all, sizeof(all) - sizeof(int));
    return sizeof...(P);
}

}  // namespace shim

extern shim::Place threadIdx, blockIdx, blockDim, gridDim;

template <class To, class From> static To same_bits(From from) {
    static_assert(sizeof(To) == sizeof(From), "bits of equal number");
    To to;
    memcpy(&to, &from, sizeof(To));
    return to;
}
static float __uint_as_float(unsigned int bits) { return same_bits<float>(bits); }
static unsigned int __float_as_uint(float value) { return same_bits<unsigned int>(value); }
static unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned long long)((unsigned __int128)a * b >> 64);
}
template <class T> static T atomicExch(T* target, T value) {
    shim::set_atomic(true);
    T old = *target;
    *target = value;
    shim::set_atomic(false);
    return old;
}
template <class T> static T atomicAdd(T* target, T value) {
    shim::set_atomic(true);
    T old = *target;
    *target = old + value;
    shim::set_atomic(false);
    return old;
}
