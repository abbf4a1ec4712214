"""Random programs of views, indexing, writes, arithmetic and gradients, beside PyTorch: an optional run."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest

import devtensor
from opinfo.programs.running import Differs, Program, Stopped, run

# What is told of a difference -> why devtensor differs there; the program ends.
DIFFERENT = tomllib.loads(Path(__file__).with_name("different.toml").read_text())["different"]
CHUNKS = 20
PROGRAMS = 30


class Programs:
    """A chunk of programs, counted as they agree."""

    def __init__(self, torch: object, seeds: range) -> None:
        self.counts: Counter[str] = Counter()
        self.differences: list[str] = []
        for seed in seeds:
            self._run(Program(torch, devtensor), seed)

    def _run(self, program: Program, seed: int) -> None:
        try:
            run(program, seed)
        except Stopped:
            pass
        except Differs as error:
            told = f"{program.done[-1].text} => {error}"
            if not any(re.search(pattern, told) for pattern in DIFFERENT):
                self.differences.append(f"seed {seed}: {error}\n{program}")
        self.counts["programs"] += 1
        self.counts["statements"] += len(program.done)


@pytest.mark.filterwarnings("ignore")  # PyTorch's own
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_programs_do_as_in_pytorch(torch, tally, chunk):
    torch.set_num_threads(1)
    found = Programs(torch, range(chunk * PROGRAMS, (chunk + 1) * PROGRAMS))
    tally(found)
    assert not found.differences, "\n\n".join(found.differences[:3])
