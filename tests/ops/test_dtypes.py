"""The dtype rule, the result and the kernel's array agree, and what the rule refuses is refused."""

from __future__ import annotations

from devtensor.testing.checks import check_dtypes


def test_dtypes(op, device):
    check_dtypes(op, device)
