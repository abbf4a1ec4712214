"""PyTorch's path to the search for the op that made a NaN."""

from __future__ import annotations

from devtensor.autograd.anomaly import detect_anomaly, set_detect_anomaly

__all__ = ["detect_anomaly", "set_detect_anomaly"]
