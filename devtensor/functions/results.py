"""Named tuples for functions with several results, as `torch.return_types` has them."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

from devtensor.core.naming import spoken


def _printed(self: Any) -> str:
    fields = ",\n".join(f"{name}={value!r}" for name, value in zip(self._fields, self, strict=True))
    return spoken(f"return_types.{type(self).__name__}(\n{fields})")


def declare(name: str, fields: str = "values indices") -> Any:
    made = namedtuple(name, fields, module=__name__)
    made.__repr__ = _printed
    return made


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
