"""Kernels for the half types: computed in float32, as NumPy's own half loops are far slower."""

from __future__ import annotations

from typing import Any

from numpy import ndarray

from devtensor.backend.arraylib.elementwise import BINARY, DIVISIONS, ROUNDINGS, UNARY
from devtensor.backend.arraylib.halves import MOVING
from devtensor.backend.protocol import Kernel
from devtensor_numpy import combining
from devtensor_numpy.half_bits import BY_BITS, TRUTHS, by_bits, into
from devtensor_numpy.half_blocks import HalfBlocks
from devtensor_numpy.halves import HALVES, down, raised
from devtensor_numpy.ordering import ORDERING, by_keys, maximum

ELEMENTWISE = frozenset(
    {*UNARY, *BINARY, *DIVISIONS, *ROUNDINGS}
    | {"clamp", "digamma", "erf", "erfc", "erfinv", "gelu", "gelu_gradient", "lgamma", "pow", "rsqrt"}
    | {"sigmoid", "sign"}
    | combining.FUNCTIONS.keys()
)
"""Kernels whose result at a place depends on the inputs at that place alone."""
OWN = frozenset({"batch_norm", "batch_norm_gradient"})
"""Kernels that know the half types themselves."""
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
    if name in MOVING or name in OWN:
        return kernel
    half = HALVES[dtype]
    wide = in_float32(kernel, half)
    if name in ELEMENTWISE:
        wide = HalfBlocks(fast or kernel, wide, half, fast is not None)
    if inputs:
        wide = unary(wide) if inputs == 1 else binary(wide)
    if name == "maximum":
        return maximum(wide, dtype)
    return by_keys(kernel, wide, dtype) if name in ORDERING else wide


def in_float32(kernel: Kernel, half: Any) -> Kernel:
    """The kernel for inputs of dtype `half`: they go up to float32, floating results come down again."""

    def wide(*arguments: Any) -> Any:
        result = kernel(
            *[
                raised(x, f"input {place}") if isinstance(x, ndarray) and x.dtype == half else x
                for place, x in enumerate(arguments)
            ]
        )
        return tuple(map(lowered, result)) if isinstance(result, tuple) else lowered(result)

    def lowered(result: ndarray) -> ndarray:
        if result.dtype.kind == "f":
            return down(result, half)
        # What is a view may be one of scratch memory.
        return result if result.base is None else result.copy()

    return wide


def unary(computed: Kernel) -> Kernel:
    def kernel(x: ndarray, out: ndarray | None = None) -> ndarray:
        return into(computed(x), out)

    return kernel


def binary(computed: Kernel) -> Kernel:
    def kernel(x: ndarray, y: ndarray, out: ndarray | None = None) -> ndarray:
        return into(computed(x, y), out)

    return kernel
