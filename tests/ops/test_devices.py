"""Every device gives what the CPU gives; there a kernel for a composite gives what its body does."""

from __future__ import annotations

from devtensor.testing.checks import check_parity


def test_parity(op, device):
    check_parity(op, device)
