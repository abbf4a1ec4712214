"""Forms that few scripts use and PyTorch takes: what they give, and what they refuse."""

from __future__ import annotations

import pytest

import devtensor

x = devtensor.arange(6.0).reshape(2, 3)


def test_dim_order_says_where_it_is_ambiguous():
    assert devtensor.ones(2, 3, 4).transpose(0, 2).dim_order(ambiguity_check=True) == (2, 1, 0)
    single = devtensor.ones(1, 2, 3, 4)
    assert single.dim_order() == (0, 1, 2, 3)
    formats = [devtensor.contiguous_format, devtensor.channels_last]
    assert single.dim_order(ambiguity_check=formats) == (0, 1, 2, 3)
    with pytest.raises(RuntimeError, match="does not have unique dim order"):
        single.dim_order(ambiguity_check=True)
    for wrong in ("what", [devtensor.contiguous_format, 3]):
        with pytest.raises(TypeError, match="must be a bool or a list"):
            single.dim_order(ambiguity_check=wrong)


def test_a_dlpack_capsule_is_taken_by_itself():
    source = devtensor.arange(4)
    made = devtensor.from_dlpack(source.__dlpack__())
    made[0] = -9
    assert source.tolist() == [-9, 1, 2, 3]


def test_narrow_copy_counts_a_missing_dim_as_a_wrong_shape():
    assert devtensor.narrow_copy(x, 1, 1, 2).tolist() == [[1.0, 2.0], [4.0, 5.0]]
    with pytest.raises(RuntimeError, match="out of range"):
        x.narrow_copy(5, 0, 1)
    with pytest.raises(IndexError):
        x.narrow_copy(0, 5, 1)


def test_view_needs_an_argument_and_view_copy_no_view():
    with pytest.raises(TypeError, match="sizes or a dtype"):
        x.view()
    assert devtensor.view_copy(x.t(), (6,)).tolist() == [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]


def test_native_batch_norm_writes_into_out():
    ones = devtensor.ones(3)
    wanted = devtensor.native_batch_norm(x, ones, None, None, None, True, 0.1, 1e-5)
    out = tuple(devtensor.empty(0) for _ in range(3))
    found = devtensor.native_batch_norm(x, ones, None, None, None, True, 0.1, 1e-5, out=out)
    assert all(f is o and o.equal(w) for f, o, w in zip(found, out, wanted, strict=True))


def test_class_weights_have_the_dtype_of_the_input():
    weight = devtensor.ones(3, dtype=devtensor.float64)
    for loss in (devtensor.nn.functional.nll_loss, devtensor.nn.functional.cross_entropy):
        with pytest.raises(RuntimeError, match="float64"):
            loss(x, devtensor.tensor([0, 1]), weight)


def test_unflatten_shows_its_sizes_as_they_were_given():
    assert repr(devtensor.nn.Unflatten(1, [2, 3])) == "Unflatten(dim=1, unflattened_size=[2, 3])"
    assert "Size([2, 3])" in repr(devtensor.nn.Unflatten(1, devtensor.Size([2, 3])))
    with pytest.raises(TypeError, match="unflattened_size"):
        devtensor.nn.Unflatten(1, 6)


def test_of_several_rows_of_samples_one_input_takes_the_first():
    pooling, image = devtensor.nn.functional.fractional_max_pool2d, devtensor.rand(2, 8, 8)
    samples = devtensor.rand(3, 2, 2)
    found = pooling(image, 2, output_size=3, _random_samples=samples)
    assert found.equal(pooling(image, 2, output_size=3, _random_samples=samples[:1]))
