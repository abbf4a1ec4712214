"""The numbers of each parameter's state: the step's count, and what NAdam and ASGD keep beside it.

They are written by a launch of their own, since all blocks of a tensor read them; the stream keeps the two in
order. Counts rise, and NAdam's product grows, before the step, which finds its own number there. What ASGD
leaves for the next step is written behind the step, which needs what the one before has left.
"""

from __future__ import annotations

from devtensor_cupy.compile.multi_tensor import TABLE
from devtensor_cupy.compile.prelude import PRELUDE
from devtensor_cupy.compile.registry import ELEMENTS, source
from devtensor_cupy.compile.steps.adam_like import MU
from devtensor_cupy.compile.steps.given import SKIPPED

PARAMETERS = "const long long* table, int list, const double* lr_at, double lr, const float* found"
"""What all of them are given: `list` is the first list of counts."""

ADVANCES = f"""
extern "C" __global__ void steps_advance({PARAMETERS}) {{
    if (skipped(found)) return;
    for (long long i = global_thread(); i < table[0]; i += all_threads()) {{
        *tensor_at<float>(table, list, i) += 1.0f;
    }}
}}

extern "C" __global__ void nadam_advance({PARAMETERS}, double beta1, double momentum_decay) {{
    if (skipped(found)) return;
    for (long long i = global_thread(); i < table[0]; i += all_threads()) {{
        float* step = tensor_at<float>(table, list, i);
        *step += 1.0f;
        *tensor_at<float>(table, list + 1, i) *= mu_of(*step, beta1, momentum_decay);
    }}
}}

extern "C" __global__ void asgd_advance({PARAMETERS}, double lambd, double alpha, double t0) {{
    if (skipped(found)) return;
    double rate = lr_at ? *lr_at : lr;
    for (long long i = global_thread(); i < table[0]; i += all_threads()) {{
        float* step = tensor_at<float>(table, list, i);
        *step += 1.0f;
        *tensor_at<float>(table, list + 1, i) = rate / pow(1 + *step * rate * lambd, alpha);
        *tensor_at<float>(table, list + 2, i) = *step - t0 > 1 ? 1 / (*step - t0) : 1;
    }}
}}
"""

COUNTS = source(
    "counts",
    PRELUDE + TABLE + SKIPPED + MU + ADVANCES,
    dict.fromkeys(("steps_", "nadam_", "asgd_"), ELEMENTS),
)
