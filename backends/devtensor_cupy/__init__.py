"""The device type "cuda": CuPy behind the backend protocol, imported when it is first needed."""

from __future__ import annotations

from devtensor_cupy.devices import CupyBackend

__all__ = ["backend"]

backend = CupyBackend()
