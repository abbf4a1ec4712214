"""Every example, in every dtype its op takes, against an independent reference in float64."""

from __future__ import annotations

import numpy as np
import pytest

from devtensor.core.op import OPS, Op
from devtensor.testing.cases import cases_of, samples_of
from devtensor.testing.checks import check_results
from devtensor.testing.nearness import assert_near
from op_values import reference, special_sample
from oracles import ORACLES


def check_values(op: Op, device: str = "cpu") -> None:
    for drawn in samples_of(op, device):
        results = drawn.run()
        check_results(drawn, results, reference(drawn, results))


def test_values(op, device):
    check_values(op, device)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_special_numbers(op, device, dtype):
    drawn = special_sample(op, dtype, device)
    if drawn is not None:
        results = drawn.run()
        for out, wanted in zip(results, reference(drawn, results), strict=True):
            with np.errstate(all="ignore"):
                assert_near(out, wanted, out.dtype, max(16, op.rounding), 0.0, str(drawn))


def test_every_op_has_an_oracle_and_examples():
    assert sorted(ORACLES) == sorted(OPS)
    assert [name for name, op in OPS.items() if not cases_of(op)] == []
