"""PyTorch's own list of ops and samples against ours: an optional run (--oracle torch).

The list is `torch.testing._internal`'s op_db, which needs the package expecttest beside PyTorch.
"""

from __future__ import annotations

import tomllib
import warnings
from pathlib import Path
from typing import Any

import pytest

from opinfo import carrying
from opinfo.checks import Comparison

DIFFERENT = tomllib.loads((Path(__file__).parent / "different.toml").read_text())["different"]
# Ops of other storage kinds, of compilers, and doubles of the same ops: not of the API.
LEFT_OUT = ("_refs", "sparse.", "masked.", "torch.ops", "to_sparse", "jiterator", "torch._scaled", "_chunk_cat")


def pytest_generate_tests(metafunc: Any) -> None:
    if "entry" not in metafunc.fixturenames:
        return
    entries: list[Any] = []
    if metafunc.config.getoption("--oracle") == "torch":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from torch.testing._internal.common_methods_invocations import op_db
        entries = [entry for entry in op_db if not entry.name.startswith(LEFT_OUT)]
    metafunc.parametrize("entry", entries, ids=[full_name(entry) for entry in entries])


def full_name(entry: Any) -> str:
    return f"{entry.name}.{entry.variant_test_name}" if entry.variant_test_name else entry.name


@pytest.mark.filterwarnings("ignore")
def test_entry(entry, torch):
    """No difference, or one that different.toml names; a name there that agrees again is taken out."""
    carrying.use(torch)
    torch.set_num_threads(1)
    found = Comparison(entry).run()
    known = DIFFERENT.get(full_name(entry))
    if known is None:
        assert not found.differences, "\n".join(found.differences[:10])
    else:
        assert found.differences, f"{full_name(entry)} agrees: take it out of different.toml ({known})"
