// Which threads touched which memory, and whether a barrier lay between.
#pragma once

#include <string>
#include <unordered_map>

namespace shim {

const int LANES_OF_WARP = 32;

// Who touches, of which block, after how many of its warp's barriers and of all blocks' barriers.
struct Access {
    int thread = -1, block = 0, meetings = 0;
    long long epoch = 0;
    bool atomic = false;
};

class Races {
  public:
    void clear() { seen.clear(); }

    // What is wrong with an access, or nothing. Memory is looked at by two bytes, the smallest dtype's size.
    std::string touched(size_t begin, size_t size, const Access& now, bool writes, bool shared) {
        for (size_t place = begin / 2; place <= (begin + size - 1) / 2; ++place) {
            std::string told = touch(seen[place], now, writes, shared);
            if (!told.empty()) return told;
        }
        return "";
    }

  private:
    static const int MANY = -2;
    struct Cell { Access written, read; };
    std::unordered_map<size_t, Cell> seen;

    // Whether what was done before is known to be over: by the same thread, or with a barrier between. Blocks
    // know nothing of each other, but each has shared memory of its own.
    static bool ordered(const Access& before, const Access& now, bool shared) {
        if (before.thread == -1 || (before.thread == now.thread && before.block == now.block)) return true;
        if (before.block != now.block) return shared;
        if (before.epoch != now.epoch) return true;
        bool same_warp = before.thread >= 0 && before.thread / LANES_OF_WARP == now.thread / LANES_OF_WARP;
        return same_warp && before.meetings != now.meetings;
    }

    static std::string race(const Access& before, const Access& now, const char* what) {
        std::string other = before.thread == MANY ? "several threads" : "thread " + std::to_string(before.thread);
        return "race: " + other + " of block " + std::to_string(before.block) + " and thread " +
               std::to_string(now.thread) + " of block " + std::to_string(now.block) + " " + what +
               " the same memory with no barrier between";
    }

    static std::string touch(Cell& cell, const Access& now, bool writes, bool shared) {
        bool both_atomic = cell.written.atomic && now.atomic;
        if (!both_atomic && !ordered(cell.written, now, shared)) {
            return race(cell.written, now, "write, and write or read,");
        }
        if (writes) {
            if (!ordered(cell.read, now, shared)) return race(cell.read, now, "read and write");
            cell.written = now;
        } else if (!now.atomic) {
            bool alone = ordered(cell.read, now, shared);
            cell.read = now;
            if (!alone) cell.read.thread = MANY;
        }
        return "";
    }
};

}  // namespace shim
