"""What functions with several results return: tuples whose places have names, made as PyTorch's are."""

from __future__ import annotations

import copy
import pickle

import pytest

import devtensor
from devtensor import return_types


def test_places_have_names():
    found = devtensor.tensor([3.0, 1.0]).sort(0)
    assert type(found) is return_types.sort
    assert (found.values.tolist(), found.indices.tolist()) == ([1.0, 3.0], [1, 0])
    assert found[0] is found.values
    assert (found.n_fields, found.n_sequence_fields, found.n_unnamed_fields) == (2, 2, 0)


def test_they_are_made_of_one_sequence_or_of_the_results():
    assert return_types.max((1, 2)) == return_types.max(1, 2) == (1, 2)
    assert return_types.max([1, 2]).indices == 2
    with pytest.raises(TypeError, match=r"\[max\] got a sequence of 3; it takes a 2-sequence"):
        return_types.max((1, 2, 3))
    with pytest.raises(TypeError, match=r"\[linalg_lu\] got 2 results; it holds 3"):
        return_types.linalg_lu(1, 2)


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_and_pickles_are_of_the_same_class(again):
    found = again(return_types.linalg_svd((1, 2, 3)))
    assert type(found) is return_types.linalg_svd
    assert found.Vh == 3


def test_nothing_can_be_set():
    found = return_types.max((1, 2))
    for name in ("values", "other"):
        with pytest.raises(AttributeError):
            setattr(found, name, 3)
