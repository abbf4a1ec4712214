"""Batches of a TensorDataset are gathered whole, and are what its single samples would have made."""

from __future__ import annotations

import pytest

import devtensor
from devtensor.utils.data import DataLoader, Subset, TensorDataset, random_split
from devtensor.utils.data.collate import default_collate, default_collate_fn_map
from devtensor.utils.data.rows import take_rows

IMAGES = devtensor.arange(24.0).reshape(6, 2, 2)
LABELS = devtensor.arange(6)


def dataset() -> TensorDataset:
    return TensorDataset(IMAGES.clone(), LABELS.clone())


class Doubled(TensorDataset):
    def __getitem__(self, index):
        images, labels = super().__getitem__(index)
        return images * 2, labels


class Whole(TensorDataset):
    def __getitems__(self, indices):
        return [("whole", index) for index in indices]


@pytest.mark.parametrize("indices", [[0], [3, 1, 3], [-1, 0], list(range(6))])
@pytest.mark.parametrize(
    "make", [dataset, lambda: Subset(Subset(dataset(), [5, 4, 3, 2, 1, 0]), [0, 2, 4, 1, 3, 5])]
)
def test_rows_are_the_collated_samples(make, indices):
    given = make()
    expected = default_collate([given[index] for index in indices])
    gathered = take_rows(given, indices)
    assert [tensor.tolist() for tensor in gathered] == [tensor.tolist() for tensor in expected]
    assert [tensor.dtype for tensor in gathered] == [tensor.dtype for tensor in expected]
    assert all(tensor._base is None for tensor in gathered)


@pytest.mark.parametrize(
    ("given", "indices"),
    [
        (Doubled(IMAGES, LABELS), [0, 1]),
        (Whole(IMAGES, LABELS), [0, 1]),
        (TensorDataset(devtensor.nn.Parameter(devtensor.ones(3))), [0, 1]),
        (dataset(), [devtensor.tensor(0), devtensor.tensor(1)]),
        (dataset(), [True, False]),
        (dataset(), [slice(0, 2)]),
        (dataset(), []),
        (list(range(3)), [0, 1]),
    ],
)
def test_what_is_another_s_is_read_sample_by_sample(given, indices):
    assert take_rows(given, indices) is None


def test_overridden_samples_reach_the_batch():
    ((images, _),) = DataLoader(Doubled(IMAGES, LABELS), batch_size=6)
    assert images.tolist() == (IMAGES * 2).tolist()
    words, numbers = next(iter(DataLoader(Whole(IMAGES, LABELS), batch_size=2)))
    assert words == ("whole", "whole") and numbers.tolist() == [0, 1]


def test_a_rule_for_tensors_is_obeyed(monkeypatch):
    monkeypatch.setitem(default_collate_fn_map, devtensor.Tensor, lambda batch, *, collate_fn_map: len(batch))
    assert next(iter(DataLoader(dataset(), batch_size=4))) == [4, 4]


def test_batches_do_not_share_memory_with_the_dataset():
    given = dataset()
    for images, _ in DataLoader(given, batch_size=3):
        images.zero_()
    assert given.tensors[0].tolist() == IMAGES.tolist()


def test_gradients_reach_the_dataset_s_tensors():
    weights = devtensor.ones(4, requires_grad=True)
    for (rows,) in DataLoader(TensorDataset(weights), batch_size=3):
        rows.square().sum().backward()
    assert weights.grad.tolist() == [2.0] * 4


def test_an_index_beyond_the_data_is_an_index_error():
    with pytest.raises(IndexError, match="6"):
        list(DataLoader(dataset(), batch_sampler=[[0, 6]]))


def test_parts_of_a_random_split_give_every_row_once():
    parts = random_split(dataset(), [0.5, 0.5], devtensor.Generator().manual_seed(0))
    seen = [
        (image[0, 0].item(), label.item())
        for part in parts
        for images, labels in DataLoader(part, batch_size=2)
        for image, label in zip(images, labels, strict=True)
    ]
    assert sorted(seen) == [(4.0 * label, label) for label in range(6)]
