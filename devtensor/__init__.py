"""devtensor: PyTorch's habits on the arrays you have."""

# ruff: noqa: F401 - names to be offered, not used

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
from devtensor.functions.activations import (
    log_softmax,
    softmax,
)
from devtensor.functions.aliases import (
    absolute,
    arccos,
    arccosh,
    arcsin,
    arcsinh,
    arctan,
    arctan2,
    arctanh,
    fix,
    greater,
    greater_equal,
    less,
    less_equal,
    multiply,
    negative,
    not_equal,
    positive,
    sgn,
)
from devtensor.functions.arithmetic import (
    add,
    addcdiv,
    addcmul,
    clamp,
    clamp_max,
    clamp_min,
    clip,
    deg2rad,
    div,
    divide,
    float_power,
    frac,
    heaviside,
    isneginf,
    isposinf,
    logaddexp,
    logit,
    mul,
    nan_to_num,
    pow,
    rad2deg,
    round,
    rsub,
    signbit,
    sub,
    subtract,
    true_divide,
)
from devtensor.functions.attributes import (
    is_complex,
    is_conj,
    is_inference,
    is_nonzero,
    is_same_size,
    is_storage,
)
from devtensor.functions.comparing import (
    allclose,
    broadcast_shapes,
    broadcast_tensors,
    can_cast,
    equal,
    isclose,
    promote_types,
    result_type,
)
from devtensor.functions.counting import (
    bincount,
    cummax,
    cummin,
    diff,
    histc,
    mode,
    multinomial,
    poisson,
    trapezoid,
    trapz,
)
from devtensor.functions.creation import (
    arange,
    empty,
    empty_like,
    empty_strided,
    eye,
    full,
    full_like,
    linspace,
    logspace,
    ones,
    ones_like,
    range,
    scalar_tensor,
    tril_indices,
    triu_indices,
    zeros,
    zeros_like,
)
from devtensor.functions.diagonals import (
    diag,
    diag_embed,
    diagflat,
    diagonal_scatter,
)
from devtensor.functions.distinct import (
    unique,
    unique_consecutive,
)
from devtensor.functions.einsum import (
    einsum,
)
from devtensor.functions.grids import (
    block_diag,
    cartesian_prod,
    combinations,
    meshgrid,
)
from devtensor.functions.joining import (
    atleast_1d,
    atleast_2d,
    atleast_3d,
    cat,
    chunk,
    column_stack,
    concat,
    concatenate,
    dstack,
    hsplit,
    hstack,
    repeat_interleave,
    row_stack,
    split,
    split_with_sizes,
    stack,
    tensor_split,
    unbind,
    vsplit,
    vstack,
)
from devtensor.functions.legacy import (
    BFloat16Tensor,
    BoolTensor,
    ByteTensor,
    CharTensor,
    DoubleTensor,
    FloatTensor,
    HalfTensor,
    IntTensor,
    LongTensor,
    ShortTensor,
    channels_last,
    channels_last_3d,
    contiguous_format,
    layout,
    memory_format,
    preserve_format,
    set_default_tensor_type,
    strided,
)
from devtensor.functions.masking import (
    masked_fill,
    masked_scatter,
    masked_select,
    where,
)
from devtensor.functions.ordering import (
    argsort,
    bucketize,
    isin,
    kthvalue,
    median,
    msort,
    nanmedian,
    nanquantile,
    quantile,
    searchsorted,
    sort,
    topk,
)
from devtensor.functions.products import (
    addbmm,
    addmm,
    addmv,
    addr,
    baddbmm,
    bmm,
    cdist,
    chain_matmul,
    cross,
    dist,
    dot,
    ger,
    inner,
    kron,
    matmul,
    mm,
    mv,
    norm,
    outer,
    tensordot,
    trace,
    vdot,
)
from devtensor.functions.rearranging import (
    flip,
    fliplr,
    flipud,
    roll,
    rot90,
    tile,
)
from devtensor.functions.reducing import (
    all,
    amax,
    amin,
    aminmax,
    any,
    argmax,
    argmin,
    count_nonzero,
    cumprod,
    cumsum,
    logcumsumexp,
    logsumexp,
    max,
    mean,
    min,
    nanmean,
    nansum,
    prod,
    std,
    std_mean,
    sum,
    var,
    var_mean,
)
from devtensor.functions.sampling import (
    bernoulli,
    normal,
    rand,
    rand_like,
    randint,
    randint_like,
    randn,
    randn_like,
    randperm,
)
from devtensor.functions.selecting import (
    argwhere,
    gather,
    index_add,
    index_copy,
    index_fill,
    index_put,
    index_select,
    nonzero,
    put,
    scatter,
    scatter_add,
    take,
    take_along_dim,
    tril,
    triu,
)
from devtensor.functions.settings import (
    are_deterministic_algorithms_enabled,
    finfo,
    get_default_device,
    get_default_dtype,
    get_float32_matmul_precision,
    get_num_interop_threads,
    get_num_threads,
    iinfo,
    is_deterministic_algorithms_warn_only_enabled,
    set_float32_matmul_precision,
    set_num_interop_threads,
    set_num_threads,
    typename,
    use_deterministic_algorithms,
)
from devtensor.functions.shaping import (
    adjoint,
    broadcast_to,
    diagonal,
    flatten,
    moveaxis,
    movedim,
    narrow,
    permute,
    ravel,
    reshape,
    select,
    squeeze,
    swapaxes,
    swapdims,
    t,
    transpose,
    unflatten,
    unsqueeze,
)
from devtensor.functions.tensors import (
    clone,
    detach,
    is_floating_point,
    is_tensor,
    numel,
)
from devtensor.functions.windows import (
    bartlett_window,
    blackman_window,
    hamming_window,
    hann_window,
)
from devtensor.interop import (
    as_tensor,
    asarray,
    from_dlpack,
    from_numpy,
    frombuffer,
    tensor,
)
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
from devtensor.printing import (
    get_printoptions,
    printoptions,
    set_printoptions,
)
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
