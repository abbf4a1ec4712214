"""First and second derivatives of every op against finite differences in float64."""

from __future__ import annotations

from devtensor.core.op import OPS
from devtensor.testing.gradients import check_gradients


def test_gradients(op, device):
    check_gradients(op, device)


def test_a_primitive_says_whether_it_is_differentiable():
    assert [name for name, op in OPS.items() if op.body is None and op.differentiable is None] == []
