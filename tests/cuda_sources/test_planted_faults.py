"""What the checks are worth: sources with one fault planted must fail, in at least one order of threads."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from cuda_sources.all_cases import cases_by_entry
from cuda_sources.list_faults import LIST_FAULTS
from cuda_sources.planting import Fault
from cuda_sources.running import PLAIN, POISON, check
from cudashim.build import HostBuild, KernelError, compiler_missing, need
from cudashim.hostsim import HostSim
from devtensor_cupy.compile.registry import Launch, Source, source

ORDERS = ["forward", "reverse", "shuffled"]


@pytest.fixture(autouse=True, scope="module")
def compiler() -> Iterator[None]:
    need("g++", compiler_missing())
    yield


FAULTS = [
    Fault(
        "a barrier before reading the warps' parts is removed",
        "block_softmax_float32",
        "parts[warp] = part;\n    __syncthreads();",
        "parts[warp] = part;",
    ),
    Fault(
        "a barrier before writing the warps' parts anew is removed",
        "block_layer_norm_float32",
        "__syncthreads();  // The parts of an earlier call have been read.",
        "",
    ),
    Fault(
        "a row of minus infinity is divided by nothing",
        "warp_safe_softmax_float16",
        "if (form == SAFE_SHARES && sum == 0) return 1;",
        "",
    ),
    Fault(
        "a row of minus infinity keeps its peak",
        "block_safe_softmax_float32",
        "form == SAFE_SHARES && peak == lowest<W>() ? (W)0 : peak",
        "peak",
    ),
    Fault("logarithms are not taken", "block_log_softmax_float64", "? log(sum) : sum", "? sum : sum"),
    Fault("the peak is forgotten", "warp_log_softmax_float32", "? x - peak - sum :", "? x - sum :"),
    Fault(
        "a row's numbers are sought side by side",
        "along_softmax_float32",
        "k < end; k += inner) sum +=",
        "k < begin + columns; ++k) sum +=",
    ),
    Fault(
        "rows beside each other begin at one place",
        "along_log_softmax_bfloat16",
        "* inner + i % inner",
        "* inner",
    ),
    Fault(
        "the dot product with the shares is forgotten",
        "along_softmax_backward_float16",
        "* ((W)widen(gradient[k]) - sum)",
        "* (W)widen(gradient[k])",
    ),
    Fault(
        "a mask is read as if it had one head",
        "warp_masked_softmax_float32",
        "head / heads * by_batch + head % heads * by_head",
        "head / heads * by_batch",
    ),
    Fault(
        "what a mask of bools hides is seen",
        "block_masked_softmax_float16",
        "[place] ? (W)0 : lowest<W>()",
        "[place] ? lowest<W>() : (W)0",
    ),
    Fault(
        "later keys are seen",
        "warp_masked_softmax_float64",
        "causal && query + 1 < columns ? query + 1 : columns",
        "columns",
    ),
    Fault(
        "a query sees up to the one before it",
        "block_masked_softmax_float32",
        "causal && query + 1 < columns ? query + 1 : columns",
        "causal && query < columns ? query : columns",
    ),
    Fault("scores are not scaled", "warp_masked_softmax_bfloat16", "x * (W)scale + of_mask", "x + of_mask"),
    Fault(
        "a masked row that sees nothing is divided by nothing",
        "warp_masked_softmax_float32",
        "if (kind) sum = total_of<SAFE_SHARES>(sum);",
        "",
    ),
    Fault(
        "a gradient is not scaled", "warp_softmax_backward_float32", "* (g - sum) * (W)scale", "* (g - sum)"
    ),
    Fault(
        "a logarithm is taken for a share",
        "block_log_softmax_backward_float32",
        "g - exp(y) * sum",
        "g - y * sum",
    ),
    Fault(
        "a logarithm along another dim is taken for a share",
        "along_log_softmax_backward_float64",
        "- exp((W)widen(out[k])) * sum",
        "- (W)widen(out[k]) * sum",
    ),
    Fault("rows of RMS norm are centred", "warp_rms_norm_float32", "if (norm != RMS)", "if (true)"),
    Fault(
        "the gradient of RMS norm is centred", "block_rms_norm_backward_float64", "norm == RMS ? (W)0 : ", ""
    ),
    Fault(
        "each group has the weights of the first",
        "warp_group_norm_bfloat16",
        "row % by.groups * (columns / by.inner) + channel",
        "channel",
    ),
    Fault(
        "a group's weights are those of its numbers",
        "block_group_norm_backward_float32",
        "(unsigned int)k / (unsigned int)by.inner",
        "(unsigned int)k % (unsigned int)by.inner",
    ),
    Fault(
        "a sample's channels are sought in the first",
        "channel_moments_float32",
        "(sample * channels + channel) * inner",
        "channel * inner",
    ),
    Fault(
        "a barrier before the channel's next sum is removed",
        "channel_moments_float64",
        "__syncthreads();  // The parts of an earlier call have been read.",
        "",
    ),
    Fault(
        "numbers beside each other are channels", "batch_norm_float32", "i / inner % channels", "i % channels"
    ),
    Fault(
        "the variance has the weight's gradient",
        "channel_batch_norm_backward_float16",
        "-scale * inverse * inverse * product / 2",
        "inverse * product",
    ),
    Fault(
        "the variance's share is halved",
        "moments_backward_float32",
        "apart * 2 * by_variance",
        "apart * by_variance",
    ),
    Fault(
        "each sample has the statistics of the first",
        "channel_group_sums_float32",
        "sample * groups + group",
        "group",
    ),
    Fault("a running statistic is added to", "running_average_float64", "(W)(1 - momentum)", "(W)1"),
    Fault(
        "bfloat16 is cut off instead of rounded",
        "cast_float32_to_bfloat16",
        "bits += 0x7fffu + (bits >> 16 & 1u);",
        "",
    ),
    Fault(
        "bfloat16 ties go away from zero",
        "cast_float32_to_bfloat16",
        "0x7fffu + (bits >> 16 & 1u)",
        "0x8000u",
    ),
    Fault("a NaN is rounded to infinity", "cast_float32_to_bfloat16", "> 0x7f800000u)", "> 0xffffffffu)"),
    Fault(
        "float16 is cut off instead of rounded", "cast_float32_to_float16", "cvt.rn.f16.f32", "cvt.rz.f16.f32"
    ),
    Fault(
        "a column too many is read",
        "warp_masked_softmax_float32",
        ": columns;\n        auto score",
        ": columns + 1;\n        auto score",
    ),
    Fault(
        "a packet too many is read and written",
        "block_layer_norm_float32",
        "columns * sizeof(T) / sizeof(Packet<T>)",
        "columns * sizeof(T) / sizeof(Packet<T>) + 1",
    ),
    Fault(
        "columns behind the last packet are forgotten",
        "block_softmax_backward_float32",
        "long long k = whole * length + lane<block>()",
        "long long k = whole * length + columns + lane<block>()",
    ),
    Fault(
        "a packet is stored in another's place",
        "block_layer_norm_backward_float16",
        "((Packet<T>*)to)[p] = made;",
        "((Packet<T>*)to)[p ? p - 1 : 0] = made;",
    ),
    Fault(
        "the gradient's mean is not taken away",
        "warp_layer_norm_backward_float32",
        "(g - total - ",
        "(g - ",
    ),
    Fault(
        "the last chunk of rows reads on behind the last row",
        "norm_weight_parts_float32",
        "begin + chunk < rows ? begin + chunk : rows",
        "begin + chunk",
    ),
    Fault("a part is left out", "sum_of_parts_float32", "part = 0; part < chunks", "part = 1; part < chunks"),
    Fault(
        "the gradient of padding is added", "gradient_depthwise_taps_float32", "y < 0 || y >= height || ", ""
    ),
    Fault(
        "filters of a channel are confused",
        "gradient_depthwise_image_float32",
        "weight[(first + filter) * window + place]",
        "weight[first * window + place]",
    ),
    Fault(
        "half of a butterfly is left out", "warp_layer_norm_float32", "step = LANES / 2", "step = LANES / 4"
    ),
    Fault("the offset's lane is forgotten", "philox_words", "(long long)(offset & 3)", "0"),
    Fault("one bit too many is taken", "philox_uniform_bfloat16", "word >> (64 - 8)", "word >> (64 - 9)"),
    Fault("padding is read", "image_to_columns_float32", "y >= 0 && y < height && ", ""),
    Fault(
        "a place that is not there is written to",
        "add_elements_float32",
        "index < 0 || index >= axes.sizes[k]",
        "index < 0",
    ),
    Fault(
        "a place before the first is written to",
        "add_elements_float64",
        "index < 0 || index >= axes.sizes[k]",
        "index >= axes.sizes[k]",
    ),
    Fault(
        "indices do not count from the end",
        "find_targets",
        "if (index < 0) index += axes.sizes[k];",
        "",
    ),
    Fault("a number beside halves is read as one", "add_scaled_float16", "in_float32 ? ", "false ? "),
    Fault("the fourth array is left out", "addcdiv_bfloat16", "if constexpr (inputs > 3)", "if (false)"),
    Fault("NaN passes as a limit", "clamp_float32", "a > b || a != a ? a : b", "a > b ? a : b"),
    Fault("a gelu's slope lacks its density", "gelu_gradient_float32", "+ y * density(y)", ""),
    Fault("a thread goes on too far ahead", "silu_float32", "first += AHEAD * apart", "first += 8 * apart"),
    Fault("one element too many is written", "lerp_float16", "apart >= count", "apart > count"),
    Fault("the wrong side is bent", "leaky_relu_gradient_float16", "y > 0 ? x :", "y < 0 ? x :"),
    Fault(
        "values are added without atomics",
        "add_elements_float32",
        "atomicAdd(sums + target, (WIDE(T))widen(values[at.at[1]]));",
        "sums[target] += (WIDE(T))widen(values[at.at[1]]);",
    ),
    Fault("the last index is forgotten", "add_elements_int64", "k < 6 && indices.of[k]", "k < 1"),
    Fault("all dims but the last are forgotten", "add_elements_bfloat16", ".at[k] += step", ".at[k] = step"),
    Fault(
        "every value of a place adds up all of them",
        "add_sorted_float32",
        "|| (i && targets[i - 1] == target)",
        "",
    ),
    Fault(
        "the last value is left out",
        "add_sorted_float16",
        "k < count && targets",
        "k + 1 < count && targets",
    ),
]


def shows(planted: Source, entry: str, order: str, guard: int) -> bool:
    """Whether a case of the kernel fails with the fault planted."""
    for case in cases_by_entry()[entry]:
        try:
            check(case, HostSim(threads=order), planted, guard=guard)
        except AssertionError:
            return True
    return False


@pytest.mark.parametrize("fault", [*FAULTS, *LIST_FAULTS], ids=lambda fault: fault.name.replace(" ", "-"))
def test_a_planted_fault_is_found(fault):
    planted = fault.planted()
    assert any(shows(planted, fault.entry, order, guard) for order in ORDERS for guard in (POISON, PLAIN))


def run(body: str, threads: int = 64, order: str = "forward", blocks: int = 1) -> np.ndarray:
    """What a kernel of the given body makes of ten zeros."""
    text = f'extern "C" __global__ void kernel(float* out) {{ {body} }}'
    made, out = source("shim", text, {"kernel": Launch(threads=threads)}), np.zeros(10, np.float32)
    HostBuild(made).launch(made.entries["kernel"], blocks, [out.ctypes.data], order)
    return out


def test_shared_memory_is_poisoned_before_each_block():
    body = "__shared__ float kept; if (threadIdx.x == 0) { out[blockIdx.x] = kept; kept = 1; }"
    assert np.isnan(run(body, blocks=10)).all()


def test_shuffles_go_where_they_should():
    number = "float lane = threadIdx.x; "
    write = "if (threadIdx.x == 36) out[0] = got;"
    for shuffle, wanted in [
        ("__shfl_sync(0xffffffffu, lane, 3)", 35),
        ("__shfl_xor_sync(0xffffffffu, lane, 5)", 33),
        ("__shfl_down_sync(0xffffffffu, lane, 8)", 44),
        ("__shfl_down_sync(0xffffffffu, lane, 28)", 36),
    ]:
        for order in ORDERS:
            assert run(f"{number} float got = {shuffle}; {write}", order=order)[0] == wanted


RACES = {
    "read by another warp": "__shared__ volatile int a[64]; a[threadIdx.x] = 1; int b = a[threadIdx.x ^ 32];",
    "read by another lane": "__shared__ volatile int a[64]; a[threadIdx.x] = 1; int b = a[threadIdx.x ^ 1];",
    "written by another warp": (
        "__shared__ volatile int a[2]; if (threadIdx.x == 0) a[1] = 1; __syncwarp(); "
        "if (threadIdx.x == 32) a[1] = 2;"
    ),
    "written after it is read by all": (
        "__shared__ volatile int a[1]; if (threadIdx.x == 5) a[0] = 0; __syncthreads(); int b = a[0]; "
        "if (threadIdx.x == 63) a[0] = b + 1;"
    ),
    "added to and read": "atomicAdd(out, 1.0f); if (threadIdx.x == 40) out[1] = out[0];",
}
NO_RACES = {
    "a barrier between": (
        "__shared__ volatile int a[64]; a[threadIdx.x] = 1; __syncthreads(); int b = a[threadIdx.x ^ 32];"
    ),
    "a warp's barrier between": (
        "__shared__ volatile int a[64]; a[threadIdx.x] = 1; __syncwarp(); int b = a[threadIdx.x ^ 1];"
    ),
    "atomics": "atomicAdd(out, 1.0f);",
    "each its own": "if (threadIdx.x < 10) out[threadIdx.x] = 1;",
    "all read the same": "volatile float own = out[3];",
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", RACES)
def test_a_race_is_found_in_any_order(name, order):
    with pytest.raises(KernelError, match=r"race: .* of block 0 and thread .* of block 0"):
        run(RACES[name], order=order)


@pytest.mark.parametrize("name", NO_RACES)
def test_what_is_in_order_is_no_race(name):
    run(NO_RACES[name])


def test_blocks_that_write_the_same_are_a_race():
    with pytest.raises(KernelError, match="race: thread 0 of block 0 and thread 0 of block 1 write"):
        run("if (threadIdx.x == 0) out[0] = 1;", blocks=2)
    run("if (threadIdx.x == 0) out[blockIdx.x] = 1;", blocks=2)
    run("__shared__ float own; if (threadIdx.x == 0) own = 1;", blocks=2)


DEADLOCKS = {
    "deadlock: 32 threads wait at __syncthreads, 32 threads have ended": (
        "if (threadIdx.x < 32) __syncthreads();"
    ),
    "deadlock: 64 threads wait at __syncthreads in different lines": (
        "if (threadIdx.x & 1) {\n__syncthreads();\n} else {\n__syncthreads();\n}"
    ),
    "wait for their warp": "if (threadIdx.x % 32 < 5) __shfl_xor_sync(0xffffffffu, 1.0f, 1);",
    "a lane that is not in the mask": "__shfl_sync(0x1u, 1.0f, 0);",
    "a lane outside the mask is read": "if (threadIdx.x < 2) __shfl_sync(0x3u, 1.0f, 7);",
    "unknown PTX: cvt.rp.f16.f32": 'unsigned short bits; PTX("cvt.rp.f16.f32", "h", bits, "f", 1.0f);',
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("told", [*DEADLOCKS])
def test_what_would_hang_a_device_is_refused(told, order):
    with pytest.raises(KernelError, match=told):
        run(DEADLOCKS[told], order=order)


def test_a_block_that_waits_in_two_ways_is_refused():
    with pytest.raises(KernelError, match="deadlock: 56 threads wait at __syncthreads in different lines, 8"):
        run(
            "if (threadIdx.x < 32) __syncthreads();\n"
            "else if (threadIdx.x < 40) __syncwarp();\n"
            "else __syncthreads();"
        )


def test_a_mask_with_lanes_that_the_block_lacks_is_refused():
    with pytest.raises(KernelError, match="lanes that the block does not have"):
        run("__shfl_xor_sync(0xffffffffu, 1.0f, 1);", threads=16)
