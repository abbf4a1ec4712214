"""Every example, in every dtype its op takes, against an independent reference in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest

from devtensor.core.op import OPS, Op
from devtensor.ops.examples import Draw
from devtensor.testing.cases import Sample, accepts, cases_of, sample, samples_of, to_tensor
from devtensor.testing.checks import check_results
from devtensor.testing.nearness import assert_near
from oracles import ORACLES


def reference(drawn: Sample, results: tuple) -> tuple:
    """What the oracle says, from the numbers drawn: floats as float64, integers as int64, bools as bool."""
    floating = all(out.dtype.differentiable for out in results[:1])

    def widened(place: int, value):
        if not isinstance(value, np.ndarray) or (value.dtype == bool and not drawn.op.takes_part(place)):
            return value
        if value.dtype.kind == "c":
            return value.astype(np.complex128)
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


def test_values(op, device):
    check_values(op, device)


def special_numbers(large: float) -> np.ndarray:
    return np.array([0.0, -0.0, 1.0, -1.0, 0.5, -2.5, large, -large, 1e-40, math.inf, -math.inf, math.nan])


def special_sample(op: Op, dtype: str, device: str) -> Sample | None:
    """An example of an elementwise op with special numbers for those drawn, in every pair of inputs."""
    for case in cases_of(op):
        free = [d for d in case.inputs if isinstance(d, Draw) and d.dtype is None]
        if (
            op.shape_rule.__name__ != "broadcast"
            or not free
            or not accepts(op, case, dtype)
            or not free[0].shape
        ):
            continue
        drawn = sample(op, case, dtype, device)
        # Between the ops of a body the largest numbers overflow where the whole does not.
        numbers = special_numbers(3e38 if op.body is None else 80.0)
        grids = iter(np.meshgrid(*[numbers] * min(len(free), 2), indexing="ij"))
        arrays, last = [], np.zeros(())
        for value, array in zip(case.inputs, drawn.arrays, strict=True):
            if isinstance(value, Draw):
                last = (
                    next(grids, last) if value.dtype is None else np.arange(last.size).reshape(last.shape) % 2
                )
                array = np.resize(last, (len(numbers),) * min(len(free), 2)).astype(array.dtype)
            arrays.append(array)
        inputs = [to_tensor(a, device) if isinstance(a, np.ndarray) else a for a in arrays]
        return drawn._replace(arrays=tuple(arrays), inputs=tuple(inputs))
    return None


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
