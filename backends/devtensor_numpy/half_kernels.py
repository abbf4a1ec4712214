"""Kernels for the half types: computed in float32, as NumPy's own half loops are far slower."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray

from devtensor.backend.arraylib.elementwise import BINARY, DIVISIONS, ROUNDINGS, UNARY
from devtensor.backend.arraylib.halves import MOVING
from devtensor.backend.protocol import Kernel
from devtensor_numpy import combining
from devtensor_numpy.half_bits import AS_INTEGERS, BY_BITS, TRUTHS, by_bits, into
from devtensor_numpy.half_blocks import HalfBlocks
from devtensor_numpy.half_loops import FEW, LOOPED, HalfLoop
from devtensor_numpy.halves import HALVES, down, raised
from devtensor_numpy.ordering import ORDERING, maximum, ordering

INTEGRAL = frozenset({name for name in (*UNARY, *BINARY) if name.startswith("bitwise")} | {"gcd"})
"""Kernels that take no half types."""
ELEMENTWISE = frozenset(
    ({*UNARY, *BINARY, *DIVISIONS, *ROUNDINGS} - INTEGRAL)
    | {"clamp", "digamma", "erf", "erfc", "erfinv", "gelu", "gelu_gradient", "lgamma", "pow", "rsqrt"}
    | {"sigmoid", "sign"}
    | combining.FUNCTIONS.keys()
)
"""Kernels whose result at a place depends on the inputs at that place alone."""
OWN = frozenset((
    "batch_norm", "batch_norm_gradient", "batch_norm_gradients", "group_norm_gradient", "layer_norm_gradient",
    "moments_gradient", "nll_loss", "running_average",
))  # fmt: skip
"""Kernels that know the half types themselves."""
WIDE_BODIES = frozenset((
    "adaptive_avg_pool", "binary_cross_entropy", "binary_cross_entropy_with_logits", "binary_entropy",
    "elu", "elu_gradient", "entr", "glu", "hardsigmoid", "hardswish", "hardswish_gradient",
    "huber_loss", "i0", "i1", "kl_div", "l1_loss", "log_ndtr", "logaddexp",
    "logaddexp2", "logit", "logsigmoid", "logsumexp", "mish", "mish_gradient", "modified_bessel_k0",
    "modified_bessel_k1", "mse_loss", "mvlgamma", "ndtr", "polygamma", "sigmoid_gradient",
    "silu_gradient", "sinc", "smooth_l1_loss", "soft_cross_entropy", "softplus", "softplus_gradient",
    "softsign", "spherical_bessel_j0", "tanh_gradient", "tanhshrink", "xlog1py", "xlogy",
))  # fmt: skip
"""Composites of one result without a kernel: their bodies run in float32, as PyTorch's kernels do."""
PLACES = tuple(f"input {place}" for place in range(16))
"""Names of the scratch memory that a kernel's inputs go to."""
WIDE_NUMBERS = dict.fromkeys(("mul", "div", "div_floor", "div_trunc", "floor_divide"), (1,)) | {
    "lerp": (2,), "addcmul": (3,), "addcdiv": (3,),
}  # fmt: skip
"""Ops that take a number in float32 beside halves, and where: those for which PyTorch's CPU does so."""


def half_kernel(name: str, kernel: Kernel, dtype: str, fast: Kernel | None = None, inputs: int = 0) -> Kernel:
    """The kernel for inputs of a half type.

    `fast` is a ufunc that computes the same for arrays of float32 with dimensions; `inputs` says how many
    there are where the kernel takes an array to write into, behind them.
    """
    if name in BY_BITS or name in TRUTHS:
        return by_bits(name, kernel, dtype)
    half = HALVES[dtype]
    if name in AS_INTEGERS:
        return AS_INTEGERS[name](kernel, half)
    if name in MOVING or name in OWN or name in INTEGRAL:
        return kernel
    wide = in_float32(kernel, half)
    if name in ELEMENTWISE:
        loop = HalfLoop(name, half) if name in LOOPED else None
        wide = HalfBlocks(fast or kernel, wide, half, fast is not None, loop)
        if inputs and fast is not None:
            wide = (unary if inputs == 1 else binary)(wide, fast, half)
    if name == "maximum":
        return maximum(wide, dtype)
    return ordering(name, kernel, wide, dtype) if name in ORDERING else wide


def in_float32(kernel: Kernel, half: Any) -> Kernel:
    """The kernel for inputs of dtype `half`: they go up to float32, floating results come down again."""

    def wide(*arguments: Any) -> Any:
        result = kernel(
            *[
                raised(x, place) if isinstance(x, ndarray) and x.dtype == half else x
                for x, place in zip(arguments, PLACES, strict=False)
            ]
        )
        return tuple(map(lowered, result)) if isinstance(result, tuple) else lowered(result)

    def lowered(result: ndarray) -> ndarray:
        if result.dtype.kind == "f":
            return down(result, half)
        # What is a view may be one of scratch memory.
        return result if result.base is None else result.copy()

    return wide


def unary(computed: HalfBlocks, function: Kernel, half: Any) -> Kernel:
    """The kernel of a ufunc, few elements at once."""

    def kernel(x: ndarray, out: ndarray | None = None) -> ndarray:
        if x.size <= FEW and x.flags.c_contiguous:
            return stored(function(x.astype(np.float32)), half, out)
        return into(computed(x, out=out), out)

    return kernel


def binary(computed: HalfBlocks, function: Kernel, half: Any) -> Kernel:
    """The same for two inputs."""

    def kernel(x: ndarray, y: ndarray, out: ndarray | None = None) -> ndarray:
        if x.size <= FEW and y.size <= FEW and x.flags.c_contiguous and y.flags.c_contiguous:
            return stored(function(x.astype(np.float32), y.astype(np.float32)), half, out)
        return into(computed(x, y, out=out), out)

    return kernel


def stored(result: Any, half: Any, out: ndarray | None) -> ndarray:
    """What a ufunc gave, rounded, as an array; in `out` if there is one, where nothing can raise any more."""
    return into(np.asarray(result.astype(half) if result.dtype.char == "f" else result), out)
