"""Pointer tables: which are kept, and what counts as arrays that overlap."""

from __future__ import annotations

import pytest

import devtensor as torch
from devtensor_cupy import tables
from devtensor_cupy.tables import Tables


@pytest.fixture
def made() -> Tables:
    return Tables(torch.device("cuda:0").backend.pinned)


def arrays(count: int) -> list[list]:
    return [[torch.ones(4, device="cuda").array] for _ in range(count)]


def test_the_tables_used_last_are_kept(made, monkeypatch):
    monkeypatch.setattr(tables, "KEPT", 2)
    first, second, third = ([a] for a in arrays(3))
    found = made.of(first)
    made.of(second)
    assert made.of(first) is found and made.uploads == 2 == len(made.kept)
    made.of(third)
    assert len(made.kept) == 2 and made.of(first) is found and made.uploads == 3
    made.of(second)
    assert made.uploads == 4


def test_wider_elements_at_the_same_places_are_looked_at_anew(made):
    x = torch.ones(8, dtype=torch.float16, device="cuda")
    halves = [[x[:2].array, x[2:4].array]]
    wide = [[x.view(torch.float32)[:2].array, x.view(torch.float32)[1:3].array]]
    assert [a.data.ptr for a in halves[0]] == [a.data.ptr for a in wide[0]]
    assert made.of(halves) is not None and made.of(wide) is None


SPANS = {
    "apart": (lambda x: [x[:2], x[6:]], False),
    "side by side": (lambda x: [x[:4], x[4:]], False),
    "the same": (lambda x: [x, x], True),
    "the last of one": (lambda x: [x[:5], x[4:]], True),
    "nothing inside": (lambda x: [x, x[4:4]], False),
    "one inside, named later": (lambda x: [x, x[2:3]], True),
    "one inside, named first": (lambda x: [x[2:3], x], True),
}


@pytest.mark.parametrize("name", SPANS)
@pytest.mark.parametrize("lists", [1, 2])
def test_arrays_that_share_memory_have_no_table_to_write_by(name, lists, made):
    draw, shares = SPANS[name]
    parts = [t.array for t in draw(torch.ones(8, device="cuda"))]
    given = [parts] if lists == 1 else [[part] for part in parts]
    assert (made.of(given) is None) is shares
    assert made.of(given, writes=False) is not None
