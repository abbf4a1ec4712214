"""The strict backend: it notices every breach of the kernel contract."""

from __future__ import annotations

import ast
import inspect

import numpy as np
import pytest

from devtensor.backend.protocol import Backend
from devtensor.testing import strict
from devtensor.testing.strict import ContractError, StrictArray, checked, xp


def array(*values: float, dtype: str = "float32") -> StrictArray:
    return StrictArray(np.array(values, dtype))


def test_is_a_backend():
    assert isinstance(strict.backend, Backend)
    assert strict.backend.device_count() == 1
    with strict.backend.on(0):
        strict.backend.synchronize(0)
    assert strict.backend.memory(0).allocated == 0


def test_shares_no_code_with_the_cpu():
    tree = ast.parse(inspect.getsource(strict))
    modules = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    modules += [name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names]
    assert modules and not any("devtensor_numpy" in module for module in modules)


@pytest.mark.parametrize("dtype", sorted(strict.backend.dtypes))
@pytest.mark.parametrize("shape", [(), (0, 2), (3, 2)])
def test_upload_and_download(dtype, shape):
    content = np.arange(int(np.prod(shape))).reshape(shape).astype(strict.backend.by_name[dtype])
    held = strict.backend.upload(memoryview(content.tobytes()), shape, dtype, 0)
    assert (held.shape, strict.backend.dtype_of(held)) == (shape, dtype)
    assert bytes(strict.backend.download(held)) == content.tobytes()


def test_strides_are_in_elements():
    held = StrictArray(np.zeros((3, 4), np.float64))
    assert strict.backend.strides_of(strict.backend.kernels["permute"](held, (1, 0))) == (1, 4)


@pytest.mark.parametrize(
    "mix",
    [
        lambda a, b: np.add(a, b),
        lambda a, b: np.asarray(a),
        lambda a, b: a + b,
        lambda a, b: b + a,
        lambda a, b: xp.add(a, b),
        lambda a, b: xp.concatenate([a, b], axis=0),
        lambda a, b: list(a),
        lambda a, b: strict.backend.adopt(b),
        lambda a, b: a.__setitem__(0, b),
    ],
)
def test_refuses_to_mix_with_numpy(mix):
    with pytest.raises(TypeError):
        mix(array(1, 2), np.ones(2, np.float32))


def test_the_namespace_is_small():
    with pytest.raises(AttributeError):
        xp.einsum  # noqa: B018
    with pytest.raises(AttributeError):
        array(1).tolist  # noqa: B018


@pytest.mark.parametrize(
    ("name", "kernel", "message"),
    [
        ("neg", lambda x: x, "shares memory"),
        ("neg", lambda x: x[::-1], "shares memory"),
        ("neg", lambda x: xp.broadcast_to(array(1), (2,)), "cannot be written"),
        ("neg", lambda x: 3.0, "no array"),
        ("neg", lambda x: np.ones(2), "no array"),
        ("neg", lambda x: StrictArray(np.ones(2, np.longdouble)), "longdouble|float128"),
        ("neg", lambda x: x.fill(0) or array(1), "was changed"),
        ("permute", lambda x: x.copy(), "must be a view"),
        ("sort", lambda x: (lambda y: (y, y))(x.copy()), "shares memory"),
    ],
)
def test_a_bad_kernel_is_noticed(name, kernel, message):
    with pytest.raises(ContractError, match=message):
        checked(name, kernel)(array(1, 2))


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("add", (array(1), array(1, dtype="float64")), "must share one"),
        ("where", (array(1), array(1), array(1)), "must be bool"),
        ("gather", (array(1), array(0, dtype="int32"), 0), "must be int64"),
        ("index_put", (array(1), array(1), array(0), (0,), False), "must be int64"),
        ("sum", (array(1), [0], False), "plain"),
        ("sum", (array(1), (np.int64(0),), False), "plain"),
        ("add", (array(1), 2.0, array(1)), "before parameters"),
    ],
)
def test_a_bad_call_is_noticed(name, arguments, message):
    with pytest.raises(ContractError, match=message):
        strict.backend.kernels[name](*arguments)


def test_write_alone_changes_its_first_input():
    target = array(1, 2)
    assert strict.backend.kernels["write"](target, array(3, 4)) is target
    assert target.held.tolist() == [3, 4]


def test_half_types_are_computed_in_float32():
    kernel = strict.backend.specialise("sum", strict.backend.kernels["sum"], "float16")
    ones = StrictArray(np.ones(5000, np.float16))
    assert kernel(ones, (0,), False).held == np.float16(5000)
    assert strict.backend.specialise("sum", kernel, "float32") is kernel
