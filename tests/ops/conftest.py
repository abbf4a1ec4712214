"""Every op in turn: a test that asks for `op` runs for each, with `inplace_op` for each that has `op_`."""

from __future__ import annotations

import pytest

import devtensor.testing.cases  # noqa: F401 - declares every op
from devtensor.core.op import OPS


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "op" in metafunc.fixturenames:
        metafunc.parametrize("op", [pytest.param(op, id=name) for name, op in sorted(OPS.items())])
    if "inplace_op" in metafunc.fixturenames:
        chosen = [pytest.param(op, id=name) for name, op in sorted(OPS.items()) if op.inplace]
        metafunc.parametrize("inplace_op", chosen)
