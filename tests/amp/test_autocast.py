"""The autocast layer: regions, weight casts, gradients, and what it leaves alone."""

from __future__ import annotations

import numpy as np
import pytest

import devtensor as dt
from devtensor.amp import (
    autocast,
    get_autocast_dtype,
    is_autocast_available,
    is_autocast_enabled,
    set_autocast_dtype,
)
from devtensor.core import state
from devtensor.core.state import Layer


def matrix(*shape, **kind):
    return dt.tensor(np.random.default_rng(0).normal(size=shape or (4, 4)), dtype=dt.float32, **kind)


def dtype_of_product(x):
    return (x @ x).dtype.name


class Heard(Layer):
    """Notes every op, and whether autocast is on where it runs."""

    rank = 15

    def __init__(self):
        self.names = []
        self.autocast = []

    def call(self, op, inputs, params, below):
        self.names.append(op.name)
        self.autocast.append(is_autocast_enabled("cpu"))
        return below(op, inputs, params)


class Refuses(Heard):
    """Stands for a capture: refuses host reads."""

    rank = 30

    def host_read(self, tensor, asked):
        raise AssertionError(asked)


def test_regions_nest_and_end():
    x = matrix()
    with autocast("cpu"):
        assert dtype_of_product(x) == "bfloat16"
        with autocast("cpu", enabled=False):
            assert dtype_of_product(x) == "float32"
            assert not is_autocast_enabled("cpu")
            with autocast("cpu", dtype=dt.float16):
                assert dtype_of_product(x) == "float16"
                assert get_autocast_dtype("cpu") is dt.float16
            assert dtype_of_product(x) == "float32"
        with autocast("cpu", dtype=dt.float16):
            assert dtype_of_product(x) == "float16"
        assert dtype_of_product(x) == "bfloat16"
        assert is_autocast_enabled("cpu")
        assert is_autocast_enabled()
    assert dtype_of_product(x) == "float32"
    assert not is_autocast_enabled()
    assert state.current().layers == ()


def test_region_ends_with_an_exception():
    with pytest.raises(KeyError), autocast("cpu"):
        raise KeyError
    assert state.current().layers == ()


def test_decorator_serves_recursive_functions_and_generators():
    @autocast("cpu", dtype=dt.float16)
    def falling(depth):
        return [dtype_of_product(matrix())] + (falling(depth - 1) if depth else [])

    @autocast("cpu", dtype=dt.float16)
    def products():
        yield dtype_of_product(matrix())
        yield dtype_of_product(matrix())

    assert falling(2) == ["float16"] * 3
    assert [(inside, dtype_of_product(matrix())) for inside in products()] == [("float16", "float32")] * 2


def test_one_object_may_be_entered_twice():
    region = autocast("cpu")
    with region, region:
        assert dtype_of_product(matrix()) == "bfloat16"
    assert state.current().layers == ()


def test_layer_is_off_inside_ops_that_were_cast_or_are_one_node_and_on_inside_others():
    x = matrix().half()
    with autocast("cpu"), Heard() as heard:
        loss = dt.nn.functional.cross_entropy(x, dt.tensor([0, 1, 2, 3]))
    assert loss.dtype is dt.float32
    inside = heard.names.index("cross_entropy")
    assert len(heard.names) > inside + 1
    assert not any(heard.autocast[inside:])
    with autocast("cpu"), Heard() as heard:
        x.mean()
    assert heard.names[0] == "mean"
    assert len(heard.names) > 1
    assert not any(heard.autocast[1:])
    with autocast("cpu"), Heard() as heard:
        dt.nn.functional.group_norm(x, 2)
    assert heard.names[0] == "group_norm"
    assert len(heard.names) > 1
    assert heard.autocast[1]


def test_weight_is_cast_once_a_region():
    weight, x = matrix(requires_grad=True), matrix()
    with Heard() as heard, autocast("cpu"):
        first, second = x @ weight, x @ weight
    # Twice the input, once the weight.
    assert heard.names.count("cast") == 3
    with Heard() as heard, autocast("cpu"):
        with autocast("cpu"):
            x @ weight
        x @ weight
    assert heard.names.count("cast") == 3
    with Heard() as heard, autocast("cpu", cache_enabled=False):
        x @ weight, x @ weight
    assert heard.names.count("cast") == 4
    (first.float().sum() + second.float().sum()).backward()
    expected = 2 * x.bfloat16().float().sum(0, keepdim=True).mT.expand(4, 4)
    np.testing.assert_allclose(weight.grad.numpy(), expected.numpy(), rtol=2e-2)


def test_weight_changed_within_a_region_is_cast_anew():
    weight, x = matrix(requires_grad=True), matrix()
    with autocast("cpu"):
        x @ weight
        with dt.no_grad():
            weight.zero_()
        assert (x @ weight).tolist() == [[0.0] * 4] * 4


def test_cast_made_without_gradients_serves_none_that_needs_them():
    weight, x = matrix(requires_grad=True), matrix()
    with autocast("cpu"):
        with dt.no_grad():
            x @ weight
        (x @ weight).sum().backward()
    assert weight.grad is not None


def test_capture_inside_a_region_makes_its_own_casts():
    weight, x = matrix(requires_grad=True), matrix()
    with autocast("cpu"):
        x @ weight
        with Refuses() as heard:
            x @ weight
        assert heard.names.count("cast") == 2
        with Heard() as after:
            x @ weight
        assert after.names.count("cast") == 1


def test_gradients_have_the_leaves_dtype_and_backward_runs_without():
    weight = matrix(requires_grad=True)
    with autocast("cpu"):
        loss = (matrix() @ weight).float().sum()
        loss.backward()
    assert weight.grad.dtype is dt.float32
    with autocast("cpu"):
        loss = (matrix() @ weight).sum()
        with Heard() as heard:
            loss.backward()
    assert "matmul" in heard.names
    assert not any(heard.autocast)


def test_in_place_ops_and_asked_dtypes_are_kept():
    x = matrix()
    array = x.array
    with autocast("cpu"):
        x.mul_(2.0).add_(1.0)
        assert x.array is array
        assert x.dtype is dt.float32
        assert x.sum(dtype=dt.float64).dtype is dt.float64
        assert x.half().sum(dtype=dt.float16).dtype is dt.float16
        assert x.half().prod(dtype=dt.float16).dtype is dt.float16
        assert x.to(dt.float16).dtype is dt.float16


def test_other_device_types_are_left_alone():
    with autocast("meta", dtype=dt.float16):
        assert dtype_of_product(matrix()) == "float32"
        assert dtype_of_product(matrix().to("meta")) == "float16"


def test_cuda_table(device):
    """On devices that follow CUDA's table, softmax and sums of halves come in float32."""
    if getattr(dt.device(device).backend, "amp_policy", "cuda") == "cuda":
        expected = {
            "matmul": "float16",
            "softmax": "float32",
            "sum": "float32",
            "exp": "float32",
            "relu": "float16",
        }
        default = "float16"
    else:
        expected = {
            "matmul": "float16",
            "softmax": "float16",
            "sum": "float16",
            "exp": "float16",
            "relu": "float16",
        }
        default = "bfloat16"
    x = matrix(device=device).half()
    with autocast(device, dtype=dt.float16):
        found = {
            "matmul": (x @ x).dtype.name,
            "softmax": x.softmax(-1).dtype.name,
            "sum": x.sum().dtype.name,
            "exp": x.exp().dtype.name,
            "relu": x.relu().dtype.name,
        }
    assert found == expected
    with autocast(device):
        assert dtype_of_product(matrix(device=device)) == default


def test_default_dtype_may_be_set():
    before = get_autocast_dtype("cpu")
    assert before is dt.bfloat16
    try:
        set_autocast_dtype("cpu", dt.float16)
        with autocast("cpu"):
            assert dtype_of_product(matrix()) == "float16"
    finally:
        set_autocast_dtype("cpu", before)
    with pytest.raises(ValueError, match="got float64; use float16 or bfloat16"):
        set_autocast_dtype("cpu", dt.float64)


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"unsupported autocast device_type 'nowhere'; there are .*cpu"):
        autocast("nowhere")
    with pytest.raises(ValueError, match="device_type is 3"):
        autocast(3)
    with pytest.raises(ValueError, match="dtype is int64"):
        autocast("cpu", dtype=dt.int64)
    with pytest.warns(UserWarning, match="not float32; disabling"):
        region = autocast("cpu", dtype=dt.float32)
    with region:
        assert dtype_of_product(matrix()) == "float32"
    assert is_autocast_available("cpu")
    assert not is_autocast_available("nowhere")
