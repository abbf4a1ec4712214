"""Every composite by its body: on a backend whose kernels are those of the primitives alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import devtensor.backend
from devtensor.core.op import OPS, Op
from devtensor.core.plan import forget
from devtensor.testing.cases import samples_of
from devtensor.testing.checks import check_results
from devtensor.testing.conformance import required_kernels
from devtensor.testing.nearness import assert_near
from devtensor_numpy.devices import NumpyBackend
from op_values import reference, special_sample

BARE = "bare"
COMPOSITES = [pytest.param(op, id=name) for name, op in sorted(OPS.items()) if op.composite]


class BareBackend(NumpyBackend):
    """NumPy without any kernel that it could do without."""

    name = BARE

    def __init__(self) -> None:
        super().__init__()
        self.kernels = {name: self.kernels[name] for name in required_kernels()}


@pytest.fixture(autouse=True, scope="module")
def bare() -> Iterator[None]:
    """The backend, there only while this file runs: the fixture `device` does not go through it."""
    devtensor.backend.register(BareBackend())
    yield
    devtensor.backend.unregister(BARE)
    forget(BARE)


@pytest.mark.parametrize("composite", COMPOSITES)
def test_values(composite: Op) -> None:
    for drawn in samples_of(composite, BARE):
        results = drawn.run()
        check_results(drawn, results, reference(drawn, results))


@pytest.mark.parametrize("composite", [p for p in COMPOSITES if p.values[0].tight])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_special_numbers(composite: Op, dtype: str) -> None:
    drawn = special_sample(composite, dtype, BARE)
    if drawn is not None:
        results = drawn.run()
        for out, wanted in zip(results, reference(drawn, results), strict=True):
            with np.errstate(all="ignore"):
                assert_near(out, wanted, out.dtype, max(24, composite.rounding), 0.0, str(drawn))


def test_few_kernels_are_required() -> None:
    """What an author of a backend must write."""
    required = required_kernels()
    assert "matmul" in required and "softmax" not in required
    assert len(required) <= 100, required
