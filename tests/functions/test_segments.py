"""segment_reduce against NumPy, segment by segment."""

from __future__ import annotations

import numpy as np
import pytest

import devtensor

REDUCTIONS = {
    "sum": (np.sum, 0.0),
    "mean": (np.mean, np.nan),
    "prod": (np.prod, 1.0),
    "max": (np.max, -np.inf),
    "min": (np.min, np.inf),
}
# Lengths, and the shape of the data: segments stand along the last dim of the lengths.
CASES = [
    ([3, 0, 2], (5,)),
    ([3, 0, 2], (5, 4)),
    ([[1, 2], [0, 3]], (2, 3)),
    ([[1, 2], [0, 3]], (2, 3, 2)),
]


def expected(reduce, data, lengths, initial):
    """Each segment reduced by itself; with `initial` as one more row, which a mean does not count."""
    if lengths.ndim > 1:
        return np.stack([expected(reduce, d, n, initial) for d, n in zip(data, lengths, strict=True)])
    function, nothing = REDUCTIONS[reduce]
    found = []
    for part in np.split(data, np.cumsum(lengths)[:-1]):
        rows = part if initial is None else np.concatenate([np.full((1, *data.shape[1:]), initial), part])
        if reduce == "mean" and initial is not None:
            found.append(rows.sum(0) / max(len(part), 1))
        else:
            found.append(function(rows, 0) if len(rows) else np.full(data.shape[1:], nothing))
    return np.stack(found)


@pytest.mark.parametrize("initial", [None, 1.5, -2.0])
@pytest.mark.parametrize("lengths, shape", CASES)
@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_values_by_lengths_and_by_offsets(reduce, lengths, shape, initial):
    data, lengths = np.random.default_rng(3).standard_normal(shape), np.array(lengths)
    wanted = expected(reduce, data, lengths, initial)
    offsets = np.concatenate([np.zeros((*lengths.shape[:-1], 1), int), np.cumsum(lengths, -1)], -1)
    for named in ({"lengths": lengths}, {"offsets": offsets}):
        given = {name: devtensor.tensor(numbers) for name, numbers in named.items()}
        found = devtensor.segment_reduce(
            devtensor.tensor(data), reduce, **given, axis=lengths.ndim - 1, initial=initial
        )
        np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-12)


@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_gradients(reduce):
    x = devtensor.tensor([[1.0, 7.0], [2.0, -3.0], [4.0, 5.0]], dtype=devtensor.float64, requires_grad=True)
    lengths = devtensor.tensor([1, 2])
    assert devtensor.autograd.gradcheck(lambda x: devtensor.segment_reduce(x, reduce, lengths=lengths), (x,))


@pytest.mark.parametrize(
    "facts, error, text",
    [
        ({"lengths": [1, 2]}, RuntimeError, "sum to data.size"),
        ({"lengths": [-1, 6]}, RuntimeError, "positive"),
        ({}, RuntimeError, "Either lengths or offsets"),
        ({"lengths": [2, 3], "offsets": [0, 2, 5]}, RuntimeError, "give one"),
        ({"lengths": [[5]]}, RuntimeError, "need the dims of data"),
        ({"lengths": [5], "axis": 1}, IndexError, "out of range"),
        ({"lengths": [5.0]}, RuntimeError, "integer"),
        ({"indices": [1]}, RuntimeError, "indices"),
        ({"lengths": [5], "reduce": "median"}, RuntimeError, "median"),
    ],
)
def test_refusals(facts, error, text):
    facts = {k: devtensor.tensor(v) if isinstance(v, list) else v for k, v in facts.items()}
    with pytest.raises(error, match=text):
        devtensor.segment_reduce(devtensor.ones(5), facts.pop("reduce", "sum"), **facts)


def test_lengths_are_not_read_if_unsafe():
    found = devtensor.segment_reduce(devtensor.ones(5), "sum", lengths=devtensor.tensor([1, 2]), unsafe=True)
    assert found.tolist() == [1.0, 2.0]
