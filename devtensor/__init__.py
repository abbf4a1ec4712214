"""devtensor: PyTorch's habits on the arrays you have."""

# ruff: noqa: F401, F403 - names to be offered, not used; each module of functions lists its own

from importlib import import_module as _import_module
from math import e, inf, nan, pi
from typing import Any as _Any

from devtensor import methods as _methods
from devtensor import random
from devtensor.core.device import Device as device
from devtensor.core.device import set_default_device
from devtensor.core.dtype import DType as dtype
from devtensor.core.dtype import (
    bfloat16,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    set_default_dtype,
    uint8,
)
from devtensor.core.dtype import bool_ as bool
from devtensor.core.dtype import float16 as half
from devtensor.core.dtype import float32 as float
from devtensor.core.dtype import float64 as double
from devtensor.core.dtype import int16 as short
from devtensor.core.dtype import int32 as int
from devtensor.core.dtype import int64 as long
from devtensor.core.errors import OutOfMemoryError
from devtensor.core.state import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from devtensor.core.tensor import Size, Tensor
from devtensor.functions import results as return_types
from devtensor.functions.activations import *
from devtensor.functions.aliases import *
from devtensor.functions.arithmetic import *
from devtensor.functions.attributes import *
from devtensor.functions.comparing import *
from devtensor.functions.counting import *
from devtensor.functions.creation import *
from devtensor.functions.diagonals import *
from devtensor.functions.distinct import *
from devtensor.functions.einsum import *
from devtensor.functions.grids import *
from devtensor.functions.joining import *
from devtensor.functions.legacy import *
from devtensor.functions.masking import *
from devtensor.functions.ordering import *
from devtensor.functions.products import *
from devtensor.functions.rearranging import *
from devtensor.functions.reducing import *
from devtensor.functions.sampling import *
from devtensor.functions.selecting import *
from devtensor.functions.settings import *
from devtensor.functions.shaping import *
from devtensor.functions.tensors import *
from devtensor.functions.windows import *
from devtensor.interop import *
from devtensor.ops.combine import (
    abs,
    lerp,
    maximum,
    minimum,
)
from devtensor.ops.compare import (
    bitwise_and,
    bitwise_left_shift,
    bitwise_not,
    bitwise_or,
    bitwise_right_shift,
    bitwise_xor,
    eq,
    ge,
    gt,
    isfinite,
    isinf,
    isnan,
    le,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    lt,
    ne,
)
from devtensor.ops.elementwise import (
    atan2,
    ceil,
    floor,
    floor_divide,
    fmod,
    hypot,
    log,
    neg,
    relu,
    remainder,
    sign,
    square,
    trunc,
)
from devtensor.ops.functions import (
    acos,
    acosh,
    asin,
    asinh,
    atan,
    atanh,
    cos,
    cosh,
    erf,
    erfc,
    erfinv,
    exp,
    exp2,
    expm1,
    log1p,
    log2,
    log10,
    reciprocal,
    rsqrt,
    sigmoid,
    sin,
    sinh,
    sqrt,
    tan,
    tanh,
)
from devtensor.ops.index import (
    embedding,
)
from devtensor.printing import *
from devtensor.random import Generator, get_rng_state, initial_seed, manual_seed, seed, set_rng_state
from devtensor.version import __version__

newaxis = None

# Submodules that are loaded when first asked for.
_SUBMODULES = frozenset((
    "amp", "array_api", "autograd", "backend", "backends", "cuda", "distributions", "fft", "func", "graph",
    "linalg", "nn", "optim", "profiler", "serialization", "special", "testing", "utils",
))  # fmt: skip
# Names that live in submodules which are loaded when first asked for.
_ELSEWHERE = {
    "autocast": "amp",
    "get_autocast_dtype": "amp",
    "is_autocast_enabled": "amp",
    "set_autocast_dtype": "amp",
}


def __getattr__(name: str) -> _Any:
    if name in _SUBMODULES:
        try:
            return _import_module(f"devtensor.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"devtensor.{name}":
                raise
            raise AttributeError(f"devtensor has no module {name!r} in this version") from None
    if name in _ELSEWHERE:
        return getattr(_import_module(f"devtensor.{_ELSEWHERE[name]}"), name)
    if name == "default_generator":
        return random.default_generator
    raise AttributeError(f"module 'devtensor' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBMODULES, *_ELSEWHERE, "default_generator"})
