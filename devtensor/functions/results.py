"""What functions with several results return, as `torch.return_types` has it."""

from __future__ import annotations

from operator import itemgetter
from typing import Any

from devtensor.core.naming import spoken


class Results(tuple):
    """What a function with several results returns: a tuple whose places have names.

    It is made of one sequence, as PyTorch's are, or of the results one by one.
    Errors: TypeError for another number of results than it has places.
    """

    __slots__ = ()
    _fields: tuple[str, ...] = ()
    n_fields = n_sequence_fields = n_unnamed_fields = 0

    def __new__(cls, *results: Any) -> Any:
        if len(results) != cls.n_fields:
            if len(results) != 1:
                raise TypeError(f"[{cls.__name__}] got {len(results)} results; it holds {cls.n_fields}")
            results = tuple(results[0])
            if len(results) != cls.n_fields:
                raise TypeError(
                    f"[{cls.__name__}] got a sequence of {len(results)}; it takes a {cls.n_fields}-sequence"
                )
        return tuple.__new__(cls, results)

    def __repr__(self) -> str:
        fields = ",\n".join([f"{name}={value!r}" for name, value in zip(self._fields, self, strict=True)])
        return spoken(f"return_types.{type(self).__name__}(\n{fields})")


def declare(name: str, fields: str = "values indices") -> Any:
    """The class of a function's results, whose places have these names."""
    names = tuple(fields.split())
    facts: dict[str, Any] = {field: property(itemgetter(place)) for place, field in enumerate(names)}
    facts |= {"_fields": names, "__match_args__": names, "n_fields": len(names)}
    facts |= {"n_sequence_fields": len(names), "__slots__": (), "__module__": "devtensor.return_types"}
    return type(name, (Results,), facts)


aminmax = declare("aminmax", "min max")
cummax = declare("cummax")
cummin = declare("cummin")
frexp = declare("frexp", "mantissa exponent")
kthvalue = declare("kthvalue")
max = declare("max")
median = declare("median")
min = declare("min")
mode = declare("mode")
nanmedian = declare("nanmedian")
sort = declare("sort")
topk = declare("topk")
