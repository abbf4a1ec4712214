"""The shape rule, the result and the meta device agree; views say their strides, and share memory."""

from __future__ import annotations

from devtensor.testing.checks import check_contract, check_shapes


def test_shapes(op, device):
    check_shapes(op, device)


def test_memory(op, device):
    check_contract(op, device)
