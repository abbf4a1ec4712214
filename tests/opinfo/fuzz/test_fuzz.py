"""Calls drawn by chance, by PyTorch and by us: an optional run (--oracle torch).

calls.txt says what is called and with what; each call has a seed of its own, so all runs make the same ones.
"""

from __future__ import annotations

import tomllib
from collections import defaultdict
from pathlib import Path

import pytest

from opinfo import carrying
from opinfo.fuzz.trials import Trials, lines

HERE = Path(__file__).parent
# Names in which devtensor differs in some of these calls, and how.
DIFFERENT = tomllib.loads((HERE / "different.toml").read_text())["different"]
COUNT = 24
NAMES: dict[str, list] = defaultdict(list)
for _name, _parameters in lines():
    NAMES[_name].append(_parameters)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_calls(name, torch, tally):
    """No difference, or one that different.toml names; a name there that agrees again is taken out."""
    carrying.use(torch)
    torch.set_num_threads(1)
    found = Trials(name, NAMES[name], COUNT)
    tally(found)
    if name in DIFFERENT:
        assert found.differences, f"{name} agrees: take it out of different.toml ({DIFFERENT[name]})"
    else:
        assert not found.differences, "\n".join(found.differences[:10])


def test_every_name_that_differs_is_called():
    assert set(DIFFERENT) <= set(NAMES)


def test_the_page_names_every_difference():
    """docs/conformance.md holds the rows of different.toml, and no others under its heading."""
    page = (HERE.parents[2] / "docs" / "conformance.md").read_text()
    part = page.split("\n## Calls drawn by chance\n")[1].split("\n## ")[0]
    rows = [line for line in part.splitlines() if line.startswith("| `")]
    assert rows == [f"| `{name}` | {text} |" for name, text in sorted(DIFFERENT.items())]
