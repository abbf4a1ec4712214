"""Number by number, in PyTorch's spellings: `alpha`, `rounding_mode`, `decimals`, limits and other names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.dtype import BOOL, DType, complex128, float64
from devtensor.core.errors import ArgumentError, ArgumentTypeError, DTypeError
from devtensor.core.holding import ALWAYS, HALVES, REAL, computed_in, held, refuse_unheld
from devtensor.core.inplace import apply_inplace, copy_into
from devtensor.core.naming import named
from devtensor.core.precision import dtypes_kept
from devtensor.core.state import current
from devtensor.core.tensor import Tensor, describe
from devtensor.functions.comparing import common_dtype, result_type
from devtensor.functions.formats import in_order
from devtensor.functions.out import into
from devtensor.ops import combine, elementwise
from devtensor.ops.create import cast, copy

__all__ = [
    "add",
    "addcdiv",
    "addcmul",
    "div",
    "divide",
    "float_power",
    "lerp",
    "mul",
    "pow",
    "rsub",
    "sub",
    "subtract",
    "true_divide",
]


def add(input: Any, other: Any, *, alpha: Any = 1, out: Tensor | None = None) -> Tensor:
    """`input` plus `alpha` times `other`."""
    made = _summed("add", input, other, alpha)
    return made if out is None else into(out, made, (input, other))


def sub(input: Any, other: Any, *, alpha: Any = 1, out: Tensor | None = None) -> Tensor:
    """`input` less `alpha` times `other`."""
    made = _summed("sub", input, other, alpha)
    return made if out is None else into(out, made, (input, other))


# Sums of an operand with another, plain, and with `alpha` times another, rounded once.
SUMS = {"add": (elementwise.add, combine.add_scaled), "sub": (elementwise.sub, combine.sub_scaled)}
SUMS["rsub"] = SUMS["sub"]


def _summed(name: str, input: Any, other: Any, alpha: Any) -> Tensor:
    """`input` plus or less `alpha` times `other`."""
    plain, scaled = SUMS[name]
    if alpha.__class__ is int and alpha == 1:
        return plain(input, other)
    other = number(other)
    dtype, factor = _settled(name, input, other, alpha)
    if dtype.is_floating_point:
        return scaled(input, other, factor)
    return plain(input, _times(other, factor, dtype))


def _sum_written(name: str, target: Tensor, other: Any, alpha: Any) -> Tensor:
    """The same, written into `target`."""
    plain, scaled = SUMS[name]
    other = number(other)
    if alpha.__class__ is int and alpha == 1:
        return apply_inplace(plain.op, target, (other,), ())
    dtype, factor = _settled(f"{name}_", target, other, alpha)
    if dtype.name in HALVES:
        return apply_inplace(scaled.op, target, (other, factor), ())
    return apply_inplace(plain.op, target, (_times(other, factor, dtype),), ())


def _settled(op: str, input: Any, other: Any, alpha: Any) -> tuple[DType, Any]:
    """The dtype of a sum with `alpha` times `other`, and `alpha` as it holds it."""
    if isinstance(alpha, Tensor) and alpha.array.ndim:
        raise ArgumentTypeError(f"[{op}] argument 'alpha' must be a number, not a Tensor: {describe(alpha)}")
    category = max(_category(input), _category(other))
    if _category(alpha) > category or (alpha.__class__ is bool and category > BOOL):
        raise DTypeError(
            f"[{op}] alpha is {alpha!r} for {describe(input)} and {describe(other)}: for integral "
            "input tensors, argument alpha must not be a floating point number, and boolean alpha is only "
            "supported for boolean results; give a number of the result's kind"
        )
    dtype = result_type(input, other)
    return dtype, held(op, alpha, dtype) if isinstance(other, Tensor) else alpha


def _times(other: Any, alpha: Any, dtype: DType) -> Any:
    if isinstance(other, Tensor) and other.dtype is not dtype:
        other = cast(other, dtype)
    return other * alpha


def _category(value: Any) -> int:
    """The category of a tensor's dtype, or of the dtype that a number stands for."""
    if isinstance(value, Tensor):
        return value.dtype.category
    return next((k for k, kind in enumerate((bool, int, float, complex)) if isinstance(value, kind)), BOOL)


def add_(self: Tensor, other: Any, *, alpha: Any = 1) -> Tensor:
    """In-place form of `add`."""
    return _sum_written("add", self, other, alpha)


def sub_(self: Tensor, other: Any, *, alpha: Any = 1) -> Tensor:
    """In-place form of `sub`."""
    return _sum_written("sub", self, other, alpha)


def number(value: Any) -> Any:
    """NumPy's scalars as the Python numbers they stand for; tensors and numbers as they are."""
    if isinstance(value, Tensor) or getattr(value, "ndim", None) != 0:
        return value
    return value.item()


def mul(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """Product of `input` and `other`."""
    made = elementwise.mul(input, other)
    return made if out is None else into(out, made, (input, other))


def check_power(input: Any, exponent: Any) -> None:
    """Refuse integers to a negative integer power."""
    negative = isinstance(exponent, int) and exponent < 0
    if negative and isinstance(input, Tensor) and not input.dtype.differentiable:
        raise ArgumentError(
            "[pow] Integers to negative integer powers are not allowed; convert with .float() first"
        )
    if exponent.__class__ in REAL and not -ALWAYS <= exponent <= ALWAYS and isinstance(input, Tensor):
        dtype = result_type(input, exponent)
        if dtype is input.kind.dtype and dtype.bits < 32:
            held("pow", exponent, dtype)


def pow(input: Any, exponent: Any, *, out: Tensor | None = None) -> Tensor:
    """`input` to the power `exponent`.

    Errors: ArgumentError for integers to a negative integer power.
    """
    check_power(input, exponent)
    made = elementwise.pow(input, exponent)
    return into(out, made if isinstance(input, Tensor) else in_order(made), (input, exponent))


def pow_(self: Tensor, exponent: Any) -> Tensor:
    """In-place form of `pow`."""
    check_power(self, exponent)
    return apply_inplace(elementwise.pow.op, self, (number(exponent),), ())


def div(input: Any, other: Any, *, rounding_mode: str | None = None, out: Tensor | None = None) -> Tensor:
    """Quotient of `input` and `other`, rounded as asked: None, "trunc" (towards zero) or "floor" (down)."""
    if rounding_mode is None:
        return into(out, elementwise.div(input, other), (input, other))
    if rounding_mode == "floor":
        return into(out, elementwise.div_floor(input, other), (input, other))
    if rounding_mode != "trunc":
        raise ArgumentError(
            f"[div] rounding_mode is {rounding_mode!r}; div expected rounding_mode to be one of None, "
            "'trunc', or 'floor'"
        )
    return into(out, elementwise.div_trunc(input, other), (input, other))


def div_(self: Tensor, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """In-place form of `div`."""
    if rounding_mode is None:
        return apply_inplace(elementwise.div.op, self, (number(other),), ())
    return copy_into(self, div(self, other, rounding_mode=rounding_mode))


def addcmul(
    input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Any = 1, out: Tensor | None = None
) -> Tensor:
    """`input` plus `value` times the product of `tensor1` and `tensor2`."""
    factor = _fitting("addcmul", value, input, tensor1, tensor2)
    return into(out, combine.addcmul(input, tensor1, tensor2, factor))


def addcdiv(
    input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Any = 1, out: Tensor | None = None
) -> Tensor:
    """`input` plus `value` times the quotient of `tensor1` and `tensor2`."""
    _only_true_division("addcdiv", tensor1, tensor2)
    factor = _fitting("addcdiv", value, input, tensor1, tensor2)
    return into(out, combine.addcdiv(input, tensor1, tensor2, factor))


def _only_true_division(op: str, tensor1: Tensor, tensor2: Tensor) -> None:
    if not tensor1.dtype.differentiable and not tensor2.dtype.differentiable:
        raise DTypeError(
            f"[{op}] Integer division with {op} is no longer supported; got {describe(tensor1)} and "
            f"{describe(tensor2)}; convert one with .float()"
        )


def _fitting(op: str, value: Any, *tensors: Tensor) -> Any:
    """A factor that does not widen: one that the result holds, without its fraction beside integers."""
    if value.__class__ in REAL and not 0 <= value <= ALWAYS:
        refuse_unheld(op, computed_in(common_dtype(tensors)), value)
    if value.__class__ is float and not any(tensor.dtype.differentiable for tensor in tensors):
        return int(value)
    return value


def addcmul_(self: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Any = 1) -> Tensor:
    """In-place form of `addcmul`."""
    value = _fitting("addcmul_", value, self, tensor1, tensor2)
    return apply_inplace(combine.addcmul.op, self, (tensor1, tensor2, value), ())


def addcdiv_(self: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Any = 1) -> Tensor:
    """In-place form of `addcdiv`."""
    _only_true_division("addcdiv_", tensor1, tensor2)
    value = _fitting("addcdiv_", value, self, tensor1, tensor2)
    return apply_inplace(combine.addcdiv.op, self, (tensor1, tensor2, value), ())


def lerp(input: Tensor, end: Tensor, weight: Any, *, out: Tensor | None = None) -> Tensor:
    """The point `weight` of the way from `input` to `end`; exact at both ends.

    Shapes: input (*A), end (*B), weight (*C) -> broadcast(*A, *B, *C)
    """
    refuse_unheld("lerp", computed_in(input.dtype), weight)
    return into(out, combine.lerp(input, end, weight), (input, end, weight))


def lerp_(self: Tensor, end: Tensor, weight: Any) -> Tensor:
    """In-place form of `lerp`."""
    refuse_unheld("lerp_", computed_in(self.dtype), weight)
    return apply_inplace(combine.lerp.op, self, (end, weight), ())


def float_power(input: Any, exponent: Any) -> Tensor:
    """`input` to the power `exponent`, computed in float64."""
    double = [_doubled(value) for value in (input, exponent)]
    return elementwise.pow(*double)


def _doubled(value: Any) -> Any:
    """A tensor or number in double precision."""
    if not isinstance(value, Tensor):
        return value if isinstance(value, complex) else float(value)
    return cast(value, complex128 if value.dtype.is_complex else float64)


def rsub(input: Any, other: Any, *, alpha: Any = 1) -> Tensor:
    """`other` less `alpha` times `input`."""
    return _summed("rsub", other, input, alpha)


def inplace_form(function: Callable) -> Callable:
    """The form with `_` of a function whose result has the input's shape and dtype."""

    def inplace(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        # Formulas of the function keep what it was before the result is written over it.
        source = copy(self) if current().grad and self.requires_grad else self
        with dtypes_kept():
            made = function(source, *args, **kwargs)
        if made.dtype.category > self.dtype.category:
            raise DTypeError(
                f"[{function.__name__}_] result type {made.dtype.name} can't be cast to the desired output "
                f"type {self.dtype.name}; write out of place"
            )
        return copy_into(self, made)

    return named(inplace, f"{function.__name__}_", f"In-place form of `{function.__name__}`.")


def float_power_(self: Tensor, exponent: Any) -> Tensor:
    """In-place form of `float_power`, of what holds its result."""
    if self.dtype not in (float64, complex128):
        raise DTypeError(
            f"[float_power_] the base given has dtype {self.dtype.name} but the operation's result requires "
            "float64 or complex128; write out of place"
        )
    return inplace_form(float_power)(self, exponent)


divide, true_divide, subtract = div, elementwise.div, sub
METHODS: dict[str, Callable] = {
    f.__name__: f
    for f in (
        add, add_, addcdiv, addcdiv_, addcmul, addcmul_, div, div_, float_power, lerp, lerp_, mul, pow, pow_,
        sub, sub_,
    )
} | {
    "float_power_": float_power_, "divide": div, "divide_": div_, "subtract": sub,
    "subtract_": sub_, "true_divide": elementwise.div, "true_divide_": div_,
}  # fmt: skip
