"""Casts between float32 and the half types, to nearest with ties to even."""

from __future__ import annotations

from itertools import permutations

from devtensor_cupy.compile.prelude import C_TYPES, PRELUDE
from devtensor_cupy.compile.registry import ELEMENTS, source

CAST_ENTRY = r"""
extern "C" __global__ void cast_@from_to_@to(const @A* from, @B* to, long long count) {
    for (long long i = global_thread(); i < count; i += all_threads()) to[i] = rounded<@B>(widen(from[i]));
}
"""


def cast_entry(given: str, wanted: str) -> str:
    """The kernel that casts one dtype to another."""
    named = CAST_ENTRY.replace("@from", given).replace("@to", wanted)
    return named.replace("@A", C_TYPES[given]).replace("@B", C_TYPES[wanted])


CASTS = source(
    "casts",
    PRELUDE + "".join(cast_entry(*pair) for pair in permutations(("float32", "float16", "bfloat16"), 2)),
    {"cast_": ELEMENTS},
)
