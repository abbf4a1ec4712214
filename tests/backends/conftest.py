"""The fixture that runs a kernel on every backend of NumPy arrays."""

from __future__ import annotations

from functools import partial

import pytest

from kernel_runs import LIBRARIES, run_on


@pytest.fixture(params=LIBRARIES.values(), ids=LIBRARIES)
def run(request):
    """`run(name, *arguments)`: a kernel with NumPy arrays in and out."""
    return partial(run_on, request.param)
