"""Functions over lists of tensors, `_foreach_add_` and its kin: averages of weights are written with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from devtensor.core.errors import OptionError
from devtensor.core.naming import named
from devtensor.core.tensor import Tensor

# One tensor each; with others beside them; and those that only write.
UNARY = """abs acos asin atan ceil cos cosh erf erfc exp expm1 floor frac lgamma log log10 log1p log2 max neg
    norm reciprocal round rsqrt sigmoid sign sin sinh sqrt tan tanh trunc"""
WITH_OTHERS = "add addcdiv addcmul clamp_max clamp_min div lerp maximum minimum mul pow sub"
WRITING = ("copy_", "zero_")
# Without an in-place form, as their results have other shapes.
ONLY_PURE = ("max", "norm")
# Those whose method takes no number where the list form does.
METHODS = {"maximum": "clamp_min", "minimum": "clamp_max"}
# Those whose last positional argument is the method's keyword.
FACTORS = {"addcdiv": "value", "addcmul": "value"}


def declare(name: str) -> Callable:
    """`_foreach_name`: the method `name` of each tensor in a list; a name that ends with _ writes and gives
    None."""
    plain = name.removesuffix("_")
    method = METHODS.get(plain, plain) + name[len(plain) :]

    def foreach(self: Sequence[Tensor], *args: Any, **options: Any) -> list[Tensor] | None:
        if plain in FACTORS and len(args) > 2:
            options, args = {FACTORS[plain]: args[2]}, args[:2]
        rows = zip(*(_column(name, value, len(self)) for value in args), strict=True) if args else None
        chosen = {key: _column(name, value, len(self)) for key, value in options.items()}
        made = [
            getattr(tensor, method)(*row, **{key: column[place] for key, column in chosen.items()})
            for place, (tensor, row) in enumerate(zip(self, rows or [()] * len(self), strict=True))
        ]
        return None if method.endswith("_") else made

    doc = f"`{method}` of each tensor of a list, with a value for all or each."
    return named(foreach, f"_foreach_{name}", doc)


def _column(name: str, value: Any, count: int) -> Sequence[Any]:
    """The value for each tensor.

    Errors: OptionError for a list of another length.
    """
    if not isinstance(value, (list, tuple)):
        return [value] * count
    if len(value) != count:
        raise OptionError(
            f"[_foreach_{name}] Tensor lists must have the same number of tensors, got {count} and "
            f"{len(value)}"
        )
    return value


_names = [name for plain in (*UNARY.split(), *WITH_OTHERS.split()) for name in (plain, f"{plain}_")]
FUNCTIONS = {
    f"_foreach_{name}": declare(name)
    for name in (*_names, *WRITING)
    if name.removesuffix("_") not in ONLY_PURE or not name.endswith("_")
}
