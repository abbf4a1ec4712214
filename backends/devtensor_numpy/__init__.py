"""The device type "cpu": NumPy behind devtensor's backend protocol."""

from __future__ import annotations

from devtensor_numpy.devices import NumpyBackend

__all__ = ["backend"]

backend = NumpyBackend()
