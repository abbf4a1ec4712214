"""The one place where ops and functions become Tensor methods and operators."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from devtensor import functions, interop, printing
from devtensor.core import misfits
from devtensor.core.arguments import is_scalar
from devtensor.core.compiled import compiled
from devtensor.core.dispatch import call2
from devtensor.core.entry import telling
from devtensor.core.errors import ArgumentTypeError
from devtensor.core.inplace import apply_inplace
from devtensor.core.misfits import misfit
from devtensor.core.naming import named
from devtensor.core.op import Op
from devtensor.core.tensor import Tensor
from devtensor.fft import spectrograms
from devtensor.functions import operands
from devtensor.functions.arithmetic import check_power
from devtensor.functions.formats import in_order
from devtensor.linalg import norms, reflections, spellings
from devtensor.ops import FAMILIES

# Python's operator -> (special method, the same with operands exchanged).
BINARY = {
    "+": ("__add__", "__radd__"),
    "-": ("__sub__", "__rsub__"),
    "*": ("__mul__", "__rmul__"),
    "/": ("__truediv__", "__rtruediv__"),
    "//": ("__floordiv__", "__rfloordiv__"),
    "%": ("__mod__", "__rmod__"),
    "**": ("__pow__", "__rpow__"),
    "@": ("__matmul__", "__rmatmul__"),
    "&": ("__and__", "__rand__"),
    "|": ("__or__", "__ror__"),
    "^": ("__xor__", "__rxor__"),
    "<<": ("__lshift__", "__rlshift__"),
    ">>": ("__rshift__", "__rrshift__"),
    "==": ("__eq__", None),
    "!=": ("__ne__", None),
    "<": ("__lt__", None),
    "<=": ("__le__", None),
    ">": ("__gt__", None),
    ">=": ("__ge__", None),
}
UNARY = {"-u": "__neg__", "abs": "__abs__", "~": "__invert__"}

# Methods so frequent that they say themselves what they cannot take.
FREQUENT = frozenset(
    "__getitem__ __setitem__ permute reshape size stride sum transpose view".split()  # noqa: SIM905
)

# What an operator may meet; with anything else Python goes on to ask the other operand.
OPERANDS = (Tensor, bool, int, float, complex)


def _operands(op: Op) -> tuple[type, ...]:
    """What this operator may meet: numbers have no product of matrices."""
    return (Tensor,) if op.operator == "@" else OPERANDS


def _entries() -> dict[str, Callable]:
    """Op entries by name, as the families hold them."""
    return {
        name: value
        for family in FAMILIES
        for name, value in vars(family).items()
        if isinstance(getattr(value, "op", None), Op) and value.op.name == name
    }


def _operator(entry: Any) -> Callable:
    """What stands behind `a + b`: the entry, a frame shorter: straight into dispatch."""
    op = entry.op
    operands = _operands(op)

    def forward(self: Tensor, other: Any) -> Any:
        if isinstance(other, operands):
            return call2(op, self, other)
        return _foreign(entry, self, other, False)

    return forward


def _power(entry: Any) -> Callable:
    """What stands behind `a ** b`."""
    power = _operator(entry)

    def forward(self: Tensor, exponent: Any) -> Any:
        check_power(self, exponent)
        return power(self, exponent)

    return forward


# Both orders give the same numbers: the tensor first, in whose layout the result is.
COMMUTATIVE = frozenset("+*&|^")


def _reflected(entry: Callable) -> Callable:
    swaps = entry.op.operator not in COMMUTATIVE
    operands = _operands(entry.op)

    def backward(self: Tensor, other: Any) -> Any:
        if not isinstance(self, Tensor):
            raise ArgumentTypeError(
                f"[{entry.__name__}] the method is a Tensor's, not a {type(self).__name__}'s"
            )
        if isinstance(other, operands):
            return entry(other, self) if swaps else entry(self, other)
        return _foreign(entry, self, other, True)

    return backward


def _divided(entry: Callable) -> Callable:
    """What stands behind `number / tensor`: a product, as in PyTorch, which rounds twice."""
    reflected = _reflected(entry)

    def backward(self: Tensor, other: Any) -> Any:
        if isinstance(other, OPERANDS):
            return self.reciprocal() * other
        return reflected(self, other)

    return backward


def _raised(entry: Callable) -> Callable:
    """What stands behind `number ** tensor`, whose result lies in rows."""
    reflected = _reflected(entry)

    def backward(self: Tensor, other: Any) -> Any:
        made = reflected(self, other)
        return made if isinstance(other, Tensor) or made is NotImplemented else in_order(made)

    return backward


# Operators that do with operands exchanged what their entry does not.
EXCHANGED = {"/": _divided, "**": _raised}


def _foreign(entry: Callable, self: Tensor, other: Any, exchanged: bool) -> Any:
    """NumPy's scalars act as the Python numbers they stand for; its arrays can be compared and divided."""
    if is_scalar(other):
        if entry.op.operator == "@":
            return NotImplemented
        return entry(other.item(), self) if exchanged else entry(self, other.item())
    if not hasattr(other, "__array_interface__") or other.dtype.kind in "USO":
        return NotImplemented
    # As in PyTorch; what is left to NumPy here comes back by __array_wrap__.
    if entry.op.operator in ("==", "!="):
        return entry(self, interop.as_tensor(other))
    if entry.op.operator == "/" and exchanged:
        return entry(interop.as_tensor(other), self)
    return NotImplemented


def inplace_form(op: Op) -> Callable:
    """The method `name_` of an op: the result goes into the tensor itself."""

    others = "".join([f"{{{name}}}, " for name in op.inputs[1:]])
    params = "".join([f"{{{name}}}, " for name in op.parameters])
    call = f"return apply_inplace(op, {{self}}, ({others}), ({params}))"
    declared = op.declared._replace(positional=("self", *op.declared.positional[1:]))
    scope = {"op": op, "apply_inplace": apply_inplace, "misfit": misfit}
    lines = telling([call], "op")
    inplace = compiled(f"{op.name}_", declared, lines, scope)
    inplace.__module__ = __name__
    inplace.__annotations__ = {"return": "Tensor"}
    inplace.__doc__ = f"In-place form of `{op.name}`."
    return inplace


def _binary_inplace(op: Op) -> Callable:
    """The same for two inputs and no parameters."""

    def inplace(self: Tensor, other: Any) -> Any:
        if not isinstance(other, OPERANDS):
            if not is_scalar(other):
                raise ArgumentTypeError(
                    f"[{op.name}_] other is a {type(other).__name__}; it needs a Tensor or a number"
                )
            other = other.item()
        return apply_inplace(op, self, (other,), ())

    return named(inplace, f"{op.name}_", f"In-place form of `{op.name}`.")


def _augmented(inplace: Callable) -> Callable:
    """What `+=` calls: the in-place form, or with anything but a tensor or a number what `+` gives."""

    def augmented(self: Tensor, other: Any) -> Any:
        if isinstance(other, OPERANDS) or is_scalar(other):
            return inplace(self, other)
        return NotImplemented

    return augmented


def _inverted(entry: Callable) -> Callable:
    def invert(self: Tensor) -> Tensor:
        if self.kind.dtype.differentiable:
            raise ArgumentTypeError(
                f"[bitwise_not] ~ (operator.invert) is only implemented on integer and Boolean-type tensors, "
                f"got {self.kind.dtype.name}; convert it with .long() or .bool()"
            )
        return entry(self)

    return invert


def _attach_operators(op: Op, entry: Callable) -> None:
    if op.operator in UNARY:
        setattr(Tensor, UNARY[op.operator], _inverted(entry) if op.operator == "~" else entry)
    elif op.operator in BINARY:
        forward, reflected = BINARY[op.operator]
        setattr(Tensor, forward, _power(entry) if op.operator == "**" else _operator(entry))
        if reflected:
            setattr(Tensor, reflected, EXCHANGED.get(op.operator, _reflected)(entry))  # type: ignore[arg-type]
        if op.inplace:
            setattr(Tensor, forward.replace("__", "__i", 1), _augmented(_binary_inplace(op)))


def attach() -> None:
    """Give Tensor its operators and methods; what `functions.METHODS` names wins over an op's own entry."""
    for name, entry in _entries().items():
        op: Op = entry.op  # type: ignore[attr-defined]
        if op.inputs and op.inputs[0] == "input":
            setattr(Tensor, name, entry)
        if op.inplace:
            binary = len(op.inputs) == 2 and not op.parameters
            setattr(Tensor, f"{name}_", _binary_inplace(op) if binary else inplace_form(op))
        _attach_operators(op, entry)
    for module in (*functions.MODULES, norms, reflections, spellings, spectrograms, interop, printing):
        _attach_functions(module)
    for name in ("div", "rdiv", "idiv"):
        setattr(Tensor, f"__{name}__", getattr(Tensor, f"__{name.replace('div', 'truediv')}__"))
    for alias, name in functions.aliases.INPLACE_NAMES.items():
        if hasattr(Tensor, name) and not hasattr(Tensor, alias):
            setattr(Tensor, alias, getattr(Tensor, name))
    operands.attach_methods()


def _attach_functions(module: ModuleType) -> None:
    methods = dict(getattr(module, "METHODS", {}))
    misfits.attach(methods, methods.keys() - FREQUENT, 2)
    for name, function in methods.items():
        setattr(Tensor, name, function)
    for name, getter in getattr(module, "PROPERTIES", {}).items():
        setattr(Tensor, name, getter)


attach()

__all__ = ["attach", "inplace_form"]
