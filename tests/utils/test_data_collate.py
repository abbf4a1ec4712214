"""default_collate and default_convert."""

from __future__ import annotations

import collections
import types

import numpy
import pytest

import devtensor
from devtensor.utils.data import default_collate, default_convert
from devtensor.utils.data.collate import collate, default_collate_fn_map

Point = collections.namedtuple("Point", "x y")


class Readings(list):
    pass


@pytest.mark.parametrize(
    ("samples", "dtype", "values"),
    [
        ([1, 2, 2**40], "int64", [1, 2, 2**40]),
        ([1.0, 2.0], "float64", [1.0, 2.0]),
        ([1.5, 2], "float64", [1.5, 2.0]),
        ([1, 2.5], "float32", [1.0, 2.5]),
        ([True, False], "bool", [True, False]),
        ([numpy.float32(1), numpy.float32(2)], "float32", [1.0, 2.0]),
        ([numpy.int16(1), numpy.int16(2)], "int16", [1, 2]),
        ([numpy.bool_(True), numpy.bool_(False)], "bool", [True, False]),
        ([numpy.ones(2, "f4"), numpy.zeros(2, "f4")], "float32", [[1.0, 1.0], [0.0, 0.0]]),
        ([numpy.array(1.0), numpy.array(2.0)], "float64", [1.0, 2.0]),
    ],
)
def test_numbers_and_arrays_become_tensors(samples, dtype, values):
    batch = default_collate(samples)
    assert isinstance(batch, devtensor.Tensor)
    assert batch.dtype == getattr(devtensor, dtype) and batch.tolist() == values


def test_tensors_are_stacked():
    batch = default_collate([devtensor.tensor([1, 2]), devtensor.tensor([3, 4])])
    assert batch.tolist() == [[1, 2], [3, 4]]
    with pytest.raises(RuntimeError):
        default_collate([devtensor.tensor([1]), devtensor.tensor([1, 2])])


def test_strings_are_left_alone():
    assert default_collate(["a", "b"]) == ["a", "b"]
    assert default_collate([b"a", b"b"]) == [b"a", b"b"]
    numbers, names = default_collate([(1, "a"), (2, "b")])
    assert numbers.tolist() == [1, 2] and names == ("a", "b")


def test_containers_are_merged_field_by_field():
    merged = default_collate([(1, [2.0, 3]), (4, [5.0, 6])])
    assert type(merged) is list and merged[0].tolist() == [1, 4]
    assert type(merged[1]) is list and merged[1][0].tolist() == [2.0, 5.0]
    point = default_collate([Point(1, 2), Point(3, 4)])
    assert type(point) is Point and point.y.tolist() == [2, 4]
    readings = default_collate([Readings([1]), Readings([2])])
    assert type(readings) is Readings and readings[0].tolist() == [1, 2]
    assert default_collate([[], []]) == []


@pytest.mark.parametrize(
    "make", [dict, collections.OrderedDict, collections.Counter, lambda m: types.MappingProxyType(m)]
)
def test_mappings_keep_their_type(make):
    samples = [make({"a": 1, "b": 2}), make({"a": 3, "b": 4})]
    merged = default_collate(samples)
    assert type(merged) is type(samples[0])
    assert {key: value.tolist() for key, value in merged.items()} == {"a": [1, 3], "b": [2, 4]}
    assert samples[0]["a"] == 1


def test_a_defaultdict_keeps_its_factory():
    merged = default_collate([collections.defaultdict(list, a=1)] * 2)
    assert merged["a"].tolist() == [1, 1] and merged["missing"] == []


def test_refusals():
    for sample in (None, object(), {1}, 1j):
        with pytest.raises(TypeError, match="must contain tensors"):
            default_collate([sample, sample])
    for array in (numpy.array(["a"]), numpy.array([None])):
        with pytest.raises(TypeError, match="must contain tensors"):
            default_collate([array])
    with pytest.raises(RuntimeError, match="equal size"):
        default_collate([[1], [1, 2]])
    with pytest.raises(KeyError):
        default_collate([{"a": 1}, {"b": 1}])
    with pytest.raises(IndexError, match="empty batch"):
        default_collate([])


def test_a_rule_for_another_type():
    def keep(batch, *, collate_fn_map=None):
        return tuple(batch)

    table = {**default_collate_fn_map, complex: keep}
    merged = collate([{"z": 1j, "n": 1}, {"z": 2j, "n": 2}], collate_fn_map=table)
    assert merged["z"] == (1j, 2j) and merged["n"].tolist() == [1, 2]


def test_convert_changes_arrays_only():
    data = {"array": numpy.ones(2), "rest": (1, "text", Point(numpy.float32(2), None), [b"x"])}
    made = default_convert(data)
    assert isinstance(made["array"], devtensor.Tensor) and made["array"].dtype == devtensor.float64
    number, text, point, bytes_ = made["rest"]
    assert (number, text, bytes_) == (1, "text", [b"x"])
    assert type(point) is Point and point.x.item() == 2.0 and point.y is None
    words = numpy.array(["a"])
    assert default_convert(words) is words
