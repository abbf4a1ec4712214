"""`out=`: results written into a tensor that is there, for every function that PyTorch gives it."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

from devtensor.core.callers import warn
from devtensor.core.compiled import compiled, parameters_of, wrapping
from devtensor.core.entry import telling
from devtensor.core.errors import ArgumentTypeError, AutogradError, DeviceError, DTypeError, ShapeError
from devtensor.core.inplace import write
from devtensor.core.layout import is_dense
from devtensor.core.misfits import FLAGS, flag, misfit_of_function
from devtensor.core.overlap import refuse_overlap, refuse_partial, refuse_shared
from devtensor.core.precision import dtypes_kept
from devtensor.core.spec import contiguous_strides
from devtensor.core.state import current, no_grad
from devtensor.core.tensor import Tensor, describe, strides_of
from devtensor.functions.resizing import see
from devtensor.ops.create import cast

__all__: list[str] = []

# Functions that PyTorch gives `out=`, of `devtensor` and of its submodules.
NAMES_TEXT = """
abs absolute acos acosh add addbmm addcdiv addcmul addmm addmv addr all amax amin aminmax angle any
arange arccos arccosh arcsin arcsinh arctan arctan2 arctanh argmax argmin argsort asin asinh atan atan2
atanh baddbmm bernoulli bitwise_and bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift
bitwise_xor bmm bucketize cat ceil cholesky cholesky_inverse cholesky_solve clamp clamp_max clamp_min
clip column_stack complex concat concatenate conj_physical copysign cos cosh cross cummax cummin cumprod
cumsum deg2rad diag diff digamma div divide dot dstack empty eq erf erfc erfinv exp exp2 expm1 eye fix
float_power floor floor_divide fmax fmin fmod frac frexp frobenius_norm full gather gcd ge geqrf ger
greater greater_equal gt heaviside histc histogram hstack hypot i0 igamma igammac index_add index_copy
index_reduce index_select inner inverse isin isneginf isposinf kron kthvalue lcm ldexp le lerp less
less_equal lgamma linspace log log10 log1p log2 log_softmax logaddexp logaddexp2 logcumsumexp logical_and
logical_not logical_or logical_xor logit logspace logsumexp lt lu_solve lu_unpack masked_select matmul
matrix_power max maximum mean median min minimum mm mode msort multinomial multiply mv mvlgamma
nan_to_num nanmean nanmedian nanquantile nansum ne neg negative nextafter nonzero norm normal not_equal
ones ormqr outer polar polygamma pow prod qr quantile rad2deg rand randint randn randperm range
reciprocal remainder renorm round row_stack rsqrt scatter scatter_add scatter_reduce searchsorted sgn
sigmoid sign signbit sin sinc sinh slice_scatter slogdet softmax sort sqrt square stack std sub subtract
sum svd take take_along_dim tan tanh tensordot topk triangular_solve tril triu true_divide trunc var vdot
vstack where xlogy zeros
"""
LINALG_TEXT = """
cholesky cholesky_ex cond cross det eig eigh eigvals eigvalsh householder_product inv inv_ex ldl_factor
ldl_factor_ex ldl_solve lstsq lu lu_factor lu_factor_ex lu_solve matmul matrix_norm matrix_power
matrix_rank multi_dot norm pinv qr slogdet solve solve_ex solve_triangular svd svdvals tensorinv
tensorsolve vecdot vector_norm
"""
SPECIAL_TEXT = """
airy_ai bessel_j0 bessel_j1 bessel_y0 bessel_y1 digamma entr erf erfc erfcx erfinv exp2 expit expm1
gammainc gammaincc gammaln i0 i0e i1 i1e log1p log_ndtr logit logsumexp modified_bessel_i0
modified_bessel_i1 modified_bessel_k0 modified_bessel_k1 multigammaln ndtr ndtri polygamma psi round
scaled_modified_bessel_k0 scaled_modified_bessel_k1 sinc spherical_bessel_j0 xlog1py xlogy zeta
"""
FFT_TEXT = """
fft fft2 fftfreq fftn hfft hfft2 hfftn ifft ifft2 ifftn ihfft ihfft2 ihfftn irfft irfft2 irfftn rfft rfft2
rfftfreq rfftn
"""
NN_TEXT = """
avg_pool2d avg_pool3d gelu hardshrink linear logsigmoid softplus softshrink
"""
NAMES = frozenset(NAMES_TEXT.split())
LINALG = frozenset(LINALG_TEXT.split())
SPECIAL = frozenset(SPECIAL_TEXT.split())
FFT = frozenset(FFT_TEXT.split())
NN = frozenset(NN_TEXT.split())
EXACT_TEXT = """
abs absolute addbmm addmm addmv aminmax argmax argmin baddbmm bmm bucketize ceil clamp_max clamp_min
conj_physical cross cummax cummin diag dot fix float_power floor frac frobenius_norm gather heaviside
histc histogram index_add index_copy index_reduce index_select inner inverse isin isneginf isposinf
kthvalue log_softmax logcumsumexp masked_select matmul median mm mode msort multinomial mv nan_to_num
nanmedian nanquantile neg negative nonzero norm qr quantile round scatter scatter_add scatter_reduce
searchsorted sgn sign signbit slice_scatter slogdet softmax sort svd take take_along_dim tensordot topk
triangular_solve tril triu trunc vdot cholesky_ex det eigh eigvalsh inv inv_ex lu lu_factor lu_factor_ex
matrix_norm multi_dot solve solve_ex svdvals vecdot vector_norm
"""
# Functions that PyTorch lets write into its own dtype alone, and those that take no input as `out`.
EXACT = frozenset(EXACT_TEXT.split())
ALONE_TEXT = """
aminmax cross gather index_add index_copy index_reduce index_select masked_select multinomial scatter
scatter_add scatter_reduce take take_along_dim
"""
ALONE = frozenset(ALONE_TEXT.split())
# Functions that nobody goes backward through: what requires grad may be read and be written into.
UNTRACKED_TEXT = "eq ne lt le gt ge logical_and logical_not logical_or logical_xor"
UNTRACKED = frozenset(UNTRACKED_TEXT.split())
JOINED = frozenset({"column_stack", "concat", "concatenate", "dstack", "hstack", "row_stack", "vstack"})


def into(out: Any, made: Any, inputs: tuple = ()) -> Any:
    """The result, or `out` with the result written into it; tuples part by part.

    Errors: AutogradError if a gradient is wanted, DTypeError if `out` cannot hold the result's dtype,
    DeviceError if it lies elsewhere, ShapeError if its memory overlaps itself or, in part, an input.
    """
    if out is None:
        return made
    if isinstance(made, tuple):
        if not _is_several(out) or len(out) != len(made):
            raise ArgumentTypeError(f"[out] got {describe(out)}; this function gives {len(made)} tensors")
        found = [into(o, m, inputs) for o, m in zip(out, made, strict=True)]
        return type(made)(*found) if hasattr(made, "_fields") else tuple(found)
    if not isinstance(out, Tensor):
        raise ArgumentTypeError(f"[out] out must be a Tensor, not {type(out).__name__}")
    check_out(out, made)
    refuse_overlap("out", out)
    if out.array.shape != made.array.shape:
        if any(value is out for value in inputs):
            raise ShapeError(
                f"[out] output with shape {list(out.array.shape)} doesn't match the broadcast shape "
                f"{list(made.array.shape)}, and is an input too"
            )
        _reshape(out, made)
    for value in inputs:
        refuse_partial("out", out, value)
    write(out, made if made.kind is out.kind else cast(made, out.dtype))
    return out


def into_exactly(out: Any, made: Any, inputs: tuple = ()) -> Any:
    """`into` of the functions that take an `out` of the result's own dtype alone."""
    if out is None:
        return made
    pairs = zip(out, made, strict=False) if isinstance(made, tuple) and _is_several(out) else ((out, made),)
    for given, result in pairs:
        if isinstance(given, Tensor) and isinstance(result, Tensor) and given.dtype is not result.dtype:
            raise DTypeError(f"[out] expected out to have dtype {result.dtype.name}, got {given.dtype.name}")
    return into(out, made, inputs)


def _is_several(out: Any) -> bool:
    return isinstance(out, (tuple, list))


def into_another(out: Any, made: Any, inputs: tuple) -> Any:
    """`into` of the functions that take no input as `out`."""
    _refuse_inputs(out, inputs)
    return into(out, made, inputs)


@no_grad()
def into_untracked(out: Any, made: Any, inputs: tuple) -> Any:
    """`into` of the functions whose result has no gradient, whoever asks for one."""
    return into(out, made, inputs)


def into_exactly_another(out: Any, made: Any, inputs: tuple) -> Any:
    """`into_exactly` of the functions that take no input as `out`."""
    _refuse_inputs(out, inputs)
    return into_exactly(out, made, inputs)


def into_joined(out: Any, made: Any, inputs: tuple) -> Any:
    """`into_another` of the functions that put tensors beside each other.

    Errors: ArgumentTypeError for a dtype that does not hold the result's.
    """
    if isinstance(out, Tensor) and made.dtype.category > out.dtype.category:
        raise ArgumentTypeError(
            f"[out] {made.dtype.name} can't be cast to the desired output type {out.dtype.name}"
        )
    return into_another(out, made, inputs)


def _refuse_inputs(out: Any, inputs: tuple) -> None:
    if not isinstance(out, Tensor):
        return
    for value in inputs:
        several = isinstance(value, (list, tuple))
        refuse_shared("out", out, *([v for v in value if v.numel()] if several else (value,)))


def _writer(name: str) -> Callable:
    """How the function of this name writes into `out`."""
    if name in UNTRACKED:
        return into_untracked
    if name in JOINED:
        return into_joined
    if name in ALONE:
        return into_exactly_another
    return into_exactly if name in EXACT else into


def check_out(out: Tensor, made: Tensor) -> None:
    """Refuse what cannot take the result."""
    if current().grad and (made.requires_grad or out.requires_grad):
        raise AutogradError(
            "[out] functions with out=... arguments don't support automatic differentiation, but one of the "
            "arguments requires grad; use no_grad(), or no out="
        )
    if made.kind.device is not out.kind.device:
        raise DeviceError(
            f"[out] the result is on {made.device} and out on {out.device}; both must be on one"
        )
    if made.dtype.category > out.dtype.category:
        raise DTypeError(
            f"[out] result type {made.dtype.name} can't be cast to the desired output type {out.dtype.name}"
        )


def _reshape(out: Tensor, made: Tensor) -> None:
    """Give `out` the shape of the result, and its layout."""
    shape, strides = tuple(made.array.shape), strides_of(made)
    if out.shape.numel():
        warn(
            f"An output with one or more elements was resized since it had shape {list(out.array.shape)}, "
            f"which does not match the required output shape {list(shape)}. Resize it to zero elements "
            "first, with t.resize_(0), to say that this is meant."
        )
    see(out, shape, strides if is_dense(shape, strides) else contiguous_strides(shape))


def accepting(function: Callable) -> Callable:
    """The function, with `out=` behind its arguments."""
    parameters = parameters_of(function)
    inputs = "".join([f"*{{{n}}}, " if n == parameters.rest else f"{{{n}}}, " for n in parameters.names])
    lines = [
        *[f"if {{{n}}}.__class__ is not bool: flag({n!r}, {{{n}}})" for n in parameters.names if n in FLAGS],
        f"if {{out}} is None: return function({parameters.passed_on()})",
        f"with dtypes_kept(): made = function({parameters.passed_on()})",
        f"return into({{out}}, made, ({inputs}))",
    ]
    if parameters.rest is None and parameters.names:
        lines = telling(lines, "function")
    scope = {
        "function": function, "into": _writer(function.__name__),
        "misfit": misfit_of_function, "flag": flag, "dtypes_kept": dtypes_kept,
    }  # fmt: skip
    made = compiled(function.__name__, parameters.with_keyword("out"), lines, scope)
    return wrapping(function, made)


def takes_out(function: Callable) -> bool:
    """Whether a function has a parameter `out` of its own."""
    return "out" in parameters_of(function).names


def attach(namespace: dict[str, Any], names: frozenset[str] = NAMES) -> None:
    """Give `out=` to the functions of a namespace that PyTorch gives it, where they have none."""
    for name in names & namespace.keys():
        function = namespace[name]
        if isinstance(function, FunctionType) and not takes_out(function):
            namespace[name] = accepting(function)
