"""PyTorch's own list of modules and samples against ours: an optional run (--oracle torch)."""

from __future__ import annotations

import tomllib
import warnings
from pathlib import Path
from typing import Any

import pytest

from opinfo import carrying
from opinfo.modules import ModuleComparison

DIFFERENT = tomllib.loads((Path(__file__).parent / "different.toml").read_text())["modules"]


def pytest_generate_tests(metafunc: Any) -> None:
    if "entry" not in metafunc.fixturenames:
        return
    entries: list[Any] = []
    if metafunc.config.getoption("--oracle") == "torch":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from torch.testing._internal.common_modules import module_db as entries
    metafunc.parametrize("entry", entries, ids=[entry.module_cls.__name__ for entry in entries])


@pytest.mark.filterwarnings("ignore")
def test_module(entry, torch, tally):
    """No difference, or one that different.toml names; a name there that agrees again is taken out."""
    carrying.use(torch)
    torch.set_num_threads(1)
    found = ModuleComparison(entry).run()
    tally(found)
    name = entry.module_cls.__name__
    if name in DIFFERENT:
        assert found.differences, f"{name} agrees: take it out of different.toml ({DIFFERENT[name]})"
    else:
        assert not found.differences, "\n".join(found.differences[:10])
