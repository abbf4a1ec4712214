"""Failing examples fail with the text they say; strangers among the inputs are refused by the op's name."""

from __future__ import annotations

import devtensor.backend
from devtensor.testing.checks import check_errors, check_mixed_devices


def test_errors(op, device):
    check_errors(op, device)


def test_mixed_devices(op, device):
    for other in devtensor.backend.names():
        if other not in (device, "meta") and devtensor.backend.available(other):
            check_mixed_devices(op, device, other)
