"""Random programs of views and writes, run beside PyTorch itself: an optional run (--oracle torch)."""

from __future__ import annotations

import pytest

import devtensor
from view_programs import Program

CHUNKS = 40
PROGRAMS = 50


@pytest.mark.filterwarnings("ignore")  # PyTorch's own
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_programs_do_as_in_pytorch(torch, chunk):
    for seed in range(chunk * PROGRAMS, (chunk + 1) * PROGRAMS):
        Program(seed, torch, devtensor).run(10)
