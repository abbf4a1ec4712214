"""Named tuples for functions with several results, as `torch.return_types` has them."""

from __future__ import annotations

from collections import namedtuple
from typing import Any


def _printed(self: Any) -> str:
    fields = ",\n".join(f"{name}={value!r}" for name, value in zip(self._fields, self, strict=True))
    return f"devtensor.return_types.{type(self).__name__}(\n{fields})"


def _declare(name: str, fields: str = "values indices") -> Any:
    made = namedtuple(name, fields, module=__name__)
    made.__repr__ = _printed
    return made


aminmax = _declare("aminmax", "min max")
cummax = _declare("cummax")
cummin = _declare("cummin")
kthvalue = _declare("kthvalue")
max = _declare("max")
median = _declare("median")
min = _declare("min")
mode = _declare("mode")
nanmedian = _declare("nanmedian")
sort = _declare("sort")
topk = _declare("topk")
