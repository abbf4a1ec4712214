"""Faults of the kernels over lists of tensors: unscaling, norms, clipping, steps, the next loss scale."""

from __future__ import annotations

from cuda_sources.planting import Fault

LIST_FAULTS = [
    Fault(
        "a barrier before reading one thread's factors is removed",
        "multi_adam_float32",
        "    __syncthreads();\n    Rule<W> rule",
        "    Rule<W> rule",
    ),
    Fault(
        "a barrier stands where not all threads come",
        "multi_norm_parts_float32",
        ": block_sum((double)part);",
        ": threadIdx.x < 128 ? block_sum((double)part) : 0;",
    ),
    Fault(
        "the inf check sees the value before it is rounded",
        "multi_unscale_float16",
        "good = good && is_finite(widen(result));",
        "good = good && is_finite(gradient * factor);",
    ),
    Fault(
        "the inf check lets NaN pass",
        "multi_unscale_float32",
        "x - x == 0",
        "!(x > 3e38 || x < -3e38)",
    ),
    Fault(
        "the inf check forgets all but a thread's last value",
        "multi_unscale_float64",
        "good = good && is_finite(widen(result));",
        "good = is_finite(widen(result));",
    ),
    Fault(
        "what a thread has begun it scales again",
        "multi_clip_float32",
        "first += AHEAD * blockDim.x",
        "first += blockDim.x",
    ),
    Fault(
        "a thread goes on too far ahead",
        "multi_unscale_float32",
        "first += AHEAD * blockDim.x",
        "first += 2 * AHEAD * blockDim.x",
    ),
    Fault(
        "the last element is left out",
        "multi_clip_float32",
        "end < size ? end : size",
        "end < size ? end : size - 1",
    ),
    Fault(
        "one element too many is written",
        "multi_clip_float32",
        "end < size ? end : size",
        "end < size ? end : size + 1",
    ),
    Fault("a skipped step moves the parameters", "multi_sgd_float32", "found && *found != 0.0f", "false"),
    Fault(
        "a learning rate on the device is not looked at",
        "multi_adam_float32",
        "lr_at ? *lr_at : lr, found",
        "lr, found",
    ),
    Fault("a scale that is not finite is taken", "scale_adapt", "if (is_finite(grown)) ", ""),
    Fault("good steps are counted on for ever", "scale_adapt", "count = 0;\n    }\n    *", "}\n    *"),
    Fault("a gradient is left scaled", "multi_sgd_float32", "*gradient = rounded<T>(found);", ""),
    Fault(
        "a slot is written to a wrong place",
        "multi_adagrad_float32",
        "slots[k][i] = rounded<T>(kept[k])",
        "gradients[i] = rounded<T>(kept[k])",
    ),
    Fault(
        "the gradient is rounded before the momentum sees it",
        "multi_sgd_float16",
        "updated(value * shrink, gradient,",
        "updated(value * shrink, widen(rounded<T>(gradient)),",
    ),
    Fault(
        "weight decay is added to a rounded gradient and rounded",
        "multi_sgd_bfloat16",
        "gradient += value * decay;",
        "gradient = widen(rounded<T>(gradient + value * decay));",
    ),
    Fault("weight decay is forgotten", "multi_radam_float32", "if (decay != 0)", "if (false)"),
    Fault(
        "weight decay is not decoupled", "multi_nadam_float32", "decoupled ? 0 : given.decay", "given.decay"
    ),
    Fault("nobody turns the gradient around", "multi_rprop_float32", "? -found : found", "? found : found"),
    Fault(
        "the mean is not taken from the squares", "multi_rmsprop_float64", "square - mean * mean", "square"
    ),
    Fault(
        "the largest square is not looked at", "multi_adam_float64", "amsgrad ? largest : square", "square"
    ),
    Fault("the smaller gradient stands", "multi_adamax_float32", "larger(largest * keep, ", "larger((W)0, "),
    Fault("the next mu is this one", "multi_nadam_float32", "counts[0] + 1, beta1", "counts[0], beta1"),
    Fault("squares are never trusted", "multi_radam_float16", "rho > 5", "rho > 5e9"),
    Fault("squares are always trusted", "multi_radam_float32", "rho > 5", "rho > 0"),
    Fault("steps are not kept", "multi_adadelta_float32", "+ way * way * fresh", ""),
    Fault("an element does not rest", "multi_rprop_float64", "agree < 0 ? 0 : gradient", "gradient"),
    Fault("steps grow without an end", "multi_rprop_float32", "size > largest ? largest : size", "size"),
    Fault(
        "the average is of the values before", "multi_asgd_float32", "(after - average)", "(value - average)"
    ),
    Fault("the first eta is 0", "multi_asgd_float32", "counts[0] == 0 ?", "counts[0] == 1 ?"),
    Fault("the mu of the step before", "nadam_advance", "mu_of(*step,", "mu_of(*step - 1,"),
    Fault("mu is never below 1", "asgd_advance", "? 1 / (*step - t0) : 1", "? 1 : 1"),
    Fault(
        "NaN is clipped",
        "multi_clamp_float32",
        "gradient < low ? low : gradient",
        "gradient > low ? gradient : low",
    ),
    Fault(
        "only values above are clipped", "multi_clamp_bfloat16", "gradient < low ? low : gradient", "gradient"
    ),
    Fault("the largest forgets NaN", "multi_norm_parts_float32", "a > b || a != a ? a : b", "a > b ? a : b"),
    Fault("the least begins at 0", "multi_norm_parts_float64", "one_stands ? lowest<W>() : 0", "0"),
    Fault(
        "a tensor is counted by each part", "norm_of_parts", "return pieces[2 * k + 1] == 0;", "return true;"
    ),
    Fault("a tensor counts by its first part", "norm_of_parts", "while (pieces[2 * k + 1]", "while (false"),
    Fault("the norm goes to a wrong place", "norm_of_parts", "if (norm) *norm", "if (norm) norm[1]"),
    Fault("the last optimizer's flag is not seen", "scale_adapt", " || skipped(found7)", ""),
    Fault("a skipped step is counted", "steps_advance", "found && *found != 0.0f", "false"),
    Fault(
        "the flag is written without atomics",
        "multi_unscale_float32",
        "atomicExch(found, 1.0f)",
        "*found = 1.0f",
    ),
]
