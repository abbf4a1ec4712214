"""What an op's results should be: the oracles' word on drawn examples, and examples of special numbers."""

from __future__ import annotations

import math

import numpy as np

from devtensor.core.op import Op
from devtensor.ops.examples import Draw
from devtensor.testing.cases import Sample, accepts, cases_of, sample, to_tensor
from devtensor.testing.checks import is_tight
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
        numbers = special_numbers(3e38 if is_tight(op, device) else 80.0)
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
