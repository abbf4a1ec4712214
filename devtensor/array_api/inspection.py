"""What the namespace says of itself: devices, dtypes, abilities."""

from __future__ import annotations

from typing import Any

import devtensor.backend
from devtensor.array_api.dtypes import isdtype
from devtensor.core.device import Device, default_device, resolve
from devtensor.core.dtype import DTYPES, DType, default_dtype, int64

STANDARD = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64",
    "complex64", "complex128",
)  # fmt: skip
# NumPy's own limit; other libraries have as many or fewer.
MOST_DIMS = 64


class Info:
    """The standard's inspection object."""

    def capabilities(self) -> dict[str, Any]:
        """What arrays can do beyond what every library's can."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": MOST_DIMS}

    def default_device(self) -> Device:
        """Where arrays are made."""
        return default_device()

    def default_dtypes(self, *, device: Any = None) -> dict[str, DType]:
        """The dtypes of arrays made without one."""
        real = default_dtype()
        return {
            "real floating": real,
            "complex floating": real.to_complex(),
            "integral": int64,
            "indexing": int64,
        }

    def dtypes(self, *, device: Any = None, kind: Any = None) -> dict[str, DType]:
        """The standard's dtypes that the device holds, of the given kind if any."""
        held = resolve(device).backend.dtypes
        return {
            name: DTYPES[name]
            for name in STANDARD
            if name in held and (kind is None or isdtype(DTYPES[name], kind))
        }

    def devices(self) -> list[Device]:
        """All devices on which arrays with numbers can be made now."""
        return [
            resolve(f"{entry.name}:{index}" if entry.name != "cpu" else "cpu")
            for entry in devtensor.backend.status()
            if entry.state == "available" and entry.name != "meta"
            for index in range(devtensor.backend.get(entry.name).device_count())
        ]


def __array_namespace_info__() -> Info:
    """The inspection object."""
    return Info()
