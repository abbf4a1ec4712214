"""The next loss scale, by one thread: the flags of all optimizers are read where they lie."""

from __future__ import annotations

from devtensor_cupy.compile.prelude import PRELUDE
from devtensor_cupy.compile.registry import ELEMENTS, source
from devtensor_cupy.compile.steps.given import SKIPPED

FLAGS = 8
"""As many optimizers' flags are taken by value: a table of them would be one more upload in each step."""

NAMES = [f"found{place}" for place in range(FLAGS)]
ADAPT = """
// The next scale and count of good steps. Flags that are missing are null.
extern "C" __global__ void scale_adapt(
    @parameters, float* scale, int* tracker, double growth, double backoff, int interval) {
    if (global_thread()) return;
    int count = *tracker + 1;
    if (@skips) {
        *scale = *scale * backoff;
        count = 0;
    } else if (count == interval) {
        float grown = *scale * growth;
        if (is_finite(grown)) *scale = grown;
        count = 0;
    }
    *tracker = count;
}
""".replace("@parameters", ", ".join(f"const float* {name}" for name in NAMES)).replace(
    "@skips", " || ".join(f"skipped({name})" for name in NAMES)
)

LOSS_SCALE = source("loss_scale", PRELUDE + SKIPPED + ADAPT, {"scale_adapt": ELEMENTS})
