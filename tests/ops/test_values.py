"""Every example, in every dtype its op takes, against an independent reference in float64."""

from __future__ import annotations

import numpy as np
import pytest
from oracles import ORACLES

from devtensor.core.op import OPS, Op
from devtensor.testing.cases import Sample, cases_of, samples_of
from devtensor.testing.checks import check_results


def reference(drawn: Sample, results: tuple) -> tuple:
    """What the oracle says, from the numbers drawn: floats as float64, integers as int64, bools as bool."""
    floating = all(out.dtype.is_floating_point for out in results[:1])

    def widened(place: int, value):
        if not isinstance(value, np.ndarray) or (value.dtype == bool and not drawn.op.takes_part(place)):
            return value
        if value.dtype.kind in "fV" or (floating and drawn.op.takes_part(place)):
            return value.astype(np.float64)
        return value if value.dtype == bool else value.astype(np.int64)

    arrays = [widened(place, value) for place, value in enumerate(drawn.arrays)]
    named = {name: value for name, value in drawn.params.items() if value is not drawn.device}
    with np.errstate(all="ignore"):
        expected = ORACLES[drawn.op.name](*arrays, **named)
    return expected if isinstance(expected, tuple) else (expected,)


def check_values(op: Op, device: str = "cpu") -> None:
    for drawn in samples_of(op, device):
        results = drawn.run()
        check_results(drawn, results, reference(drawn, results))


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
def test_values(op, device):
    check_values(op, device)


def test_every_op_has_an_oracle_and_examples():
    assert sorted(ORACLES) == sorted(OPS)
    assert [name for name, op in OPS.items() if not cases_of(op)] == []
