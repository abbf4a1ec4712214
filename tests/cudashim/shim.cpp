// CUDA C++ on the host, for tests: a block's threads are fibers that give way at barriers and shuffles only.
//
// Blocks run one after another. Of the threads that can run, the first in a chosen order always does, so that
// one warp runs as far ahead of the others as barriers allow. Shared memory is poisoned before each block. A
// barrier that not all threads reach, a shuffle whose lanes do not all come, and memory that two threads touch
// with no barrier between, one of them writing, are errors.
#include "shim.h"

#include "races.h"

#include <link.h>
#include <ucontext.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

namespace shim {

enum Order { FORWARD, REVERSE, SHUFFLED };
enum State { READY, AT_BLOCK_BARRIER, AT_WARP_BARRIER, DONE };

const size_t STACK = 1 << 16;

struct Fiber {
    ucontext_t context;
    State state;
    int line;
    unsigned int mask;
    bool odd, orders;
    int meetings;  // How often this thread's warp met to order its memory.
    unsigned long long slots[2];
    std::unique_ptr<char[]> stack;
};

}  // namespace shim

shim::Place threadIdx, blockIdx, blockDim, gridDim;

namespace shim {

static std::vector<Fiber> fibers;
static std::vector<int> order;
static ucontext_t scheduler;
static int current;
static unsigned int randomness;
static std::string error;
static long long epoch;
static bool watching;
static Races races;
static bool atomic_now;
static char *shared_begin, *shared_end;
static void (*body)(void**);
static void** arguments;

void set_atomic(bool on) { atomic_now = on; }
int lane() { return threadIdx.x % LANES_OF_WARP; }
int lane_below(int step) { return lane() + step < LANES_OF_WARP ? lane() + step : lane(); }

static unsigned int random_below(unsigned int count) {
    randomness = randomness * 1664525u + 1013904223u;
    return (randomness >> 8) % count;
}

static void give_way(State state, int line) {
    fibers[current].state = state;
    fibers[current].line = line;
    swapcontext(&fibers[current].context, &scheduler);
}

static void fail(const std::string& told) {
    if (error.empty()) error = told;
    give_way(DONE, 0);
}

void block_barrier(int line) { give_way(AT_BLOCK_BARRIER, line); }

static void meet_warp(unsigned int mask, int line, bool orders) {
    if (!(mask >> lane() & 1)) fail("a lane that is not in the mask waits in line " + std::to_string(line));
    fibers[current].mask = mask;
    fibers[current].orders = orders;
    give_way(AT_WARP_BARRIER, line);
}

void warp_barrier(unsigned int mask, int line) { meet_warp(mask, line, true); }

// Two slots in turn: a lane can write the first anew only after all have come to the second, having read.
unsigned long long swapped(unsigned int mask, unsigned long long bits, int from, int line) {
    Fiber& mine = fibers[current];
    bool odd = mine.odd = !mine.odd;
    mine.slots[odd] = bits;
    meet_warp(mask, line, false);
    if (!(mask >> from % LANES_OF_WARP & 1)) fail("a lane outside the mask is read in line " + std::to_string(line));
    return fibers[current - lane() + from % LANES_OF_WARP].slots[odd];
}

static void touched(void* address, size_t size, bool writes) {
    if (!watching) return;
    char *begin = (char*)address, *stack = fibers[current].stack.get();
    if (begin >= stack && begin < stack + STACK) return;
    watching = false;
    bool shared = begin >= shared_begin && begin < shared_end;
    Access now{current, (int)blockIdx.x, fibers[current].meetings, epoch, atomic_now};
    std::string told = races.touched((size_t)begin, size, now, writes, shared);
    if (!told.empty()) fail(told);
    watching = true;
}

static void enter() {
    body(arguments);
    give_way(DONE, 0);
}

static std::string where_all_are() {
    std::string told;
    const char* names[] = {"can run", "wait at __syncthreads", "wait for their warp", "have ended"};
    for (int state = READY; state <= DONE; ++state) {
        int count = 0, line = 0, lines = 0;
        for (const Fiber& fiber : fibers) {
            if (fiber.state != state) continue;
            lines += !count || fiber.line != line;
            line = fiber.line;
            ++count;
        }
        if (!count) continue;
        told += (told.empty() ? "" : ", ") + std::to_string(count) + " threads " + names[state];
        if (lines > 1) told += " in different lines";
    }
    return told;
}

// All lanes of the mask have come, to the same line: they may go on.
static void release_warp(int thread) {
    Fiber& last = fibers[thread];
    int first = thread - thread % LANES_OF_WARP;
    for (int pass = 0; pass < 2; ++pass) {
        for (int k = 0; k < LANES_OF_WARP; ++k) {
            if (!(last.mask >> k & 1)) continue;
            if (first + k >= (int)fibers.size()) {
                error = "the mask names lanes that the block does not have";
                return;
            }
            Fiber& fiber = fibers[first + k];
            if (pass) {
                fiber.state = READY;
                fiber.meetings += last.orders;
            } else if (fiber.state != AT_WARP_BARRIER || fiber.mask != last.mask || fiber.line != last.line) {
                return;
            }
        }
    }
}

static bool release_block() {
    for (const Fiber& fiber : fibers) {
        if (fiber.state != AT_BLOCK_BARRIER || fiber.line != fibers[0].line) return false;
    }
    for (Fiber& fiber : fibers) fiber.state = READY;
    ++epoch;
    return true;
}

static int next_ready(bool shuffle) {
    int count = (int)fibers.size(), start = shuffle ? random_below(count) : 0;
    for (int k = 0; k < count; ++k) {
        int thread = order[(start + k) % count];
        if (fibers[thread].state == READY) return thread;
    }
    return -1;
}

static bool all_done() {
    for (const Fiber& fiber : fibers) {
        if (fiber.state != DONE) return false;
    }
    return true;
}

static std::vector<int> arranged(int count, int how) {
    std::vector<int> result(count);
    for (int k = 0; k < count; ++k) result[k] = how == REVERSE ? count - 1 - k : k;
    if (how == SHUFFLED) {
        for (int k = count - 1; k > 0; --k) std::swap(result[k], result[random_below(k + 1)]);
    }
    return result;
}

static void begin(int thread) {
    Fiber& fiber = fibers[thread];
    if (!fiber.stack) fiber.stack.reset(new char[STACK]);
    fiber.state = READY;
    fiber.odd = false;
    fiber.meetings = 0;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = STACK;
    fiber.context.uc_link = &scheduler;
    makecontext(&fiber.context, enter, 0);
}

// The library's thread-local piece, of the library that this very code lies in.
static int poison_if_mine(struct dl_phdr_info* library, size_t, void* mine) {
    size_t shared = 0;
    bool found = false;
    for (int k = 0; k < library->dlpi_phnum; ++k) {
        const ElfW(Phdr)& part = library->dlpi_phdr[k];
        size_t begin = library->dlpi_addr + part.p_vaddr;
        if (part.p_type == PT_TLS) shared = part.p_memsz;
        if (part.p_type == PT_LOAD) found = found || ((size_t)mine >= begin && (size_t)mine < begin + part.p_memsz);
    }
    if (!found || !shared) return found;
    shared_begin = (char*)library->dlpi_tls_data;
    shared_end = shared_begin + shared;
    memset(shared_begin, 0xff, shared);
    return found;
}

static void poison_shared_memory() {
    // The piece exists only once something in it was touched.
    static thread_local volatile char first;
    first = 1;
    dl_iterate_phdr(poison_if_mine, (void*)&error);
}

static void run_block(const Shape& shape) {
    poison_shared_memory();
    ++epoch;
    for (int thread = 0; thread < shape.threads; ++thread) begin(thread);
    order = arranged(shape.threads, shape.order);
    while (error.empty()) {
        current = next_ready(shape.order == SHUFFLED);
        if (current < 0) {
            if (all_done()) return;
            if (!release_block()) error = "deadlock: " + where_all_are();
            continue;
        }
        threadIdx.x = current;
        watching = true;
        swapcontext(&scheduler, &fibers[current].context);
        watching = false;
        if (fibers[current].state == AT_WARP_BARRIER) release_warp(current);
    }
}

const char* launch(const Shape& shape, void (*kernel)(void**), void** values) {
    error.clear();
    body = kernel;
    arguments = values;
    randomness = shape.seed;
    races.clear();
    atomic_now = false;
    gridDim = Place{(unsigned int)shape.blocks, 1, 1};
    blockDim = Place{(unsigned int)shape.threads, 1, 1};
    fibers = std::vector<Fiber>(shape.threads);
    for (int block : arranged(shape.blocks, shape.order)) {
        blockIdx.x = block;
        run_block(shape);
        if (!error.empty()) return error.c_str();
    }
    return nullptr;
}

// Half precision by arithmetic on doubles, which hold every float and every half exactly.
static unsigned short half_of(float given, bool nearest) {
    double size = std::fabs((double)given);
    unsigned short sign = std::signbit(given) ? 0x8000 : 0;
    if (std::isnan(given)) return 0x7fff;
    if (std::isinf(given) || (nearest && size >= 65520.0)) return sign | 0x7c00;
    if (size >= 65504.0) return sign | 0x7bff;
    int exponent = size > 0 ? std::max(std::ilogb(size), -14) : -14;
    double steps = std::ldexp(size, 10 - exponent);
    steps = nearest ? std::nearbyint(steps) : std::floor(steps);
    return sign | (unsigned short)((exponent + 14) * 1024 + (int)steps);
}

void ptx(const char* instruction, unsigned short& result, float value) {
    bool nearest = !strcmp(instruction, "cvt.rn.f16.f32");
    if (!nearest && strcmp(instruction, "cvt.rz.f16.f32")) fail(std::string("unknown PTX: ") + instruction);
    result = half_of(value, nearest);
}

void ptx(const char* instruction, float& result, unsigned short bits) {
    if (strcmp(instruction, "cvt.f32.f16")) fail(std::string("unknown PTX: ") + instruction);
    int exponent = bits >> 10 & 31, fraction = bits & 1023;
    double size = exponent ? std::ldexp(1024.0 + fraction, exponent - 25) : std::ldexp(fraction, -24);
    if (exponent == 31) size = fraction ? NAN : INFINITY;
    result = (float)(bits & 0x8000 ? -size : size);
}

}  // namespace shim

// What g++ -fsanitize=thread calls at each access of a kernel to memory; its own library is not linked.
extern "C" {
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit(void*) {}
void __tsan_read_range(void* address, size_t size) { shim::touched(address, size, false); }
void __tsan_write_range(void* address, size_t size) { shim::touched(address, size, true); }
#define HOOKS(size) \
    void __tsan_read##size(void* address) { shim::touched(address, size, false); } \
    void __tsan_write##size(void* address) { shim::touched(address, size, true); } \
    void __tsan_unaligned_read##size(void* address) { shim::touched(address, size, false); } \
    void __tsan_unaligned_write##size(void* address) { shim::touched(address, size, true); }
HOOKS(1)
HOOKS(2)
HOOKS(4)
HOOKS(8)
HOOKS(16)
}
