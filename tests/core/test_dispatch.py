"""The one path that every op takes: plans, devices, layers, and errors that explain."""

from __future__ import annotations

import math
import threading
import traceback
import warnings

import numpy as np
import pytest

import devtensor
import devtensor.backend
from devtensor.core.errors import (
    ArgumentTypeError,
    DeviceError,
    DTypeError,
    IndexingError,
    KernelMissing,
    ShapeError,
)
from devtensor.core.op import OPS, composite, primitive
from devtensor.core.rules import broadcast, promoted
from devtensor.core.state import Layer, current
from devtensor.ops import activation, elementwise, index, linalg
from devtensor.ops.elementwise import add, mul
from devtensor.testing import strict, to_numpy


def test_plans_are_made_once_and_agree_with_the_short_path():
    x, y = devtensor.ones(3, 4), devtensor.ones(3, 4)
    first = x * y
    known = set(OPS["mul"].plans)
    for _ in range(3):
        assert (x * y).tolist() == first.tolist()
    assert set(OPS["mul"].plans) == known and x.kind in OPS["mul"].fast
    with Layer():
        assert (x * y).tolist() == first.tolist()


def test_a_zero_dimensional_result_stays_an_array():
    x = devtensor.tensor(2.0)
    for _ in range(3):
        out = x * x
        assert out.shape == () and out.ndim == 0 and isinstance(out.array, np.ndarray)


def test_strangers_leave_the_choice_to_the_other_operand():
    class Other:
        def __radd__(self, left):
            return "reflected"

    assert devtensor.ones(2) + Other() == "reflected"
    with pytest.raises(TypeError):
        devtensor.ones(2) + "text"
    with pytest.raises(
        ArgumentTypeError, match=r"^\[add\] other is 'text' of type str; it needs a Tensor or a Python number"
    ):
        add(devtensor.ones(2), "text")


def test_numpy_scalars_act_as_numbers():
    x = devtensor.ones(2)
    assert (x * np.float64(2)).dtype is devtensor.float32
    assert (np.float64(2) * x).tolist() == [2.0, 2.0]


STRANGE = "strict"


def test_tensors_of_two_devices_do_not_meet():
    x, y = devtensor.ones(2), devtensor.ones(2, device=STRANGE)
    with pytest.raises(
        DeviceError,
        match=r"^\[add\] Expected all tensors to be on the same device, but .* cpu and strict:0: .*\.to\(",
    ):
        x + y


def test_cpu_tensors_without_dimensions_and_cpu_indices_may_join():
    y = devtensor.ones(3, device=STRANGE)
    out = y * devtensor.tensor(2.0)
    assert str(out.device) == "strict:0" and out.tolist() == [2.0] * 3
    picked = y[devtensor.tensor([0, 2])]
    assert str(picked.device) == "strict:0" and picked.shape == (2,)
    with pytest.raises(DeviceError):
        index.index_select(y, devtensor.tensor([0, 2]), 0)
    with pytest.raises(DeviceError):
        devtensor.tensor([2.0]) * y


def test_an_index_must_hold_integers():
    with pytest.raises(DTypeError, match=r"\[index_select\] index is \(1,\) float32 on cpu; it needs int64"):
        index.index_select(devtensor.ones(3), devtensor.ones(1), 0)


def test_shape_errors_name_the_sizes():
    with pytest.raises(
        ShapeError,
        match=r"^\[matmul\] mat1 and mat2 shapes cannot be multiplied: "
        r"input \(3, 4\) @ other \(5, 6\): K=4 and K=5 must be equal$",
    ):
        linalg.matmul(devtensor.ones(3, 4), devtensor.ones(5, 6))


def test_the_librarys_exception_is_kept_out_of_the_message():
    with pytest.raises(ShapeError) as caught:
        devtensor.ones(3) + devtensor.ones(4)
    assert caught.value.__cause__ is None and caught.value.__suppress_context__


def test_indices_out_of_bounds_are_an_error_of_the_op():
    with pytest.raises(IndexingError, match=r"\[embedding\]"):
        index.embedding(devtensor.ones(3, 2), devtensor.tensor([5]))


def test_floating_point_events_are_silent_whatever_the_user_set():
    x = devtensor.tensor([1.0, -1.0, 0.0])
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        assert to_numpy(x / 0.0).tolist()[:2] == [math.inf, -math.inf]
        assert np.isnan(to_numpy(x.log())[1])
        assert to_numpy((x * 1e38).exp())[0] == math.inf
    with warnings.catch_warnings(), np.errstate(all="warn"):
        warnings.simplefilter("error")
        assert to_numpy(x.sqrt())[0] == 1.0 and np.isnan(to_numpy(x.sqrt())[1])
        y = devtensor.tensor([3e38], requires_grad=True)
        (y * y).sum().backward()
        assert to_numpy(y.grad)[0] == math.inf


class Note(Layer):
    """Writes down what goes by."""

    def __init__(self, log: list, rank: int = 0, name: str = "") -> None:
        self.log, self.rank, self.name = log, rank, name

    def call(self, op, inputs, params, below):
        self.log.append((self.name, op.name))
        return below(op, inputs, params)

    def write(self, dst, src, below):
        self.log.append((self.name, "write"))
        below(dst, src)


def test_layers_hear_ops_in_order_of_rank_and_go_only_by_themselves():
    log: list = []
    low, high = Note(log, 20, "low"), Note(log, 0, "high")
    with low, high:
        assert current().layers == (high, low)
        devtensor.ones(2).exp()
        high.__exit__()
        assert current().layers == (low,)
        devtensor.ones(2).log()
    assert current().layers == ()
    assert [entry for entry in log if entry[1] in ("exp", "log")] == [
        ("high", "exp"),
        ("low", "exp"),
        ("low", "log"),
    ]


def test_a_layer_hears_writes_casts_and_the_inside_of_composites():
    log: list = []
    x = devtensor.ones(2, dtype="int64")
    with Note(log):
        x.add_(1)
        x + 1.5
        activation.mish(devtensor.ones(2))
    heard = [name for _, name in log]
    assert "write" in heard and "cast" in heard and heard.count("tanh") == 1


def test_a_layer_may_change_what_runs():
    class Doubling(Layer):
        def call(self, op, inputs, params, below):
            if op is OPS["add"]:
                return below(OPS["mul"], inputs, params)
            return below(op, inputs, params)

    x = devtensor.tensor([3.0])
    with Doubling():
        assert (x + x).tolist() == [9.0]
    assert (x + x).tolist() == [6.0]


def test_modes_belong_to_a_thread():
    seen = []
    with devtensor.no_grad(), Layer():
        worker = threading.Thread(target=lambda: seen.append((current().grad, current().layers)))
        worker.start()
        worker.join()
    assert seen == [(True, ())]


@pytest.fixture
def declared():
    """Declares ops whose names are taken back after the test."""
    before = set(OPS)
    yield
    for name in set(OPS) - before:
        del OPS[name]


def test_a_composite_with_a_formula_is_one_node_and_without_is_transparent(declared):
    @composite(dtype=promoted, shape=broadcast)
    def opaque_square(input):
        return input * input

    opaque_square.vjp(input=lambda g, input: g * 2 * input)

    @composite(dtype=promoted, shape=broadcast)
    def clear_square(input):
        return input * input

    x = devtensor.tensor([3.0], requires_grad=True)
    one, other = opaque_square(x), clear_square(x)
    assert one.grad_fn.name() == "OpaqueSquareBackward0" and other.grad_fn.name() == "MulBackward0"
    for out in (one, other):
        (g,) = devtensor.autograd.grad(out, x)
        assert g.tolist() == [6.0]


def test_a_kernel_takes_the_place_of_a_body(declared):
    @composite(dtype=promoted, shape=broadcast)
    def tripled(input):
        return input + input + input

    class WithKernel(strict.StrictBackend):
        name = "kernelled"

        def __init__(self):
            super().__init__()
            self.kernels = self.kernels | {"tripled": lambda x: strict.StrictArray(x.held * 3 + 0.5)}

    devtensor.backend.register(WithKernel())
    try:
        assert tripled(devtensor.ones(1)).tolist() == [3.0]
        assert tripled(devtensor.ones(1, device="kernelled")).tolist() == [3.5]
    finally:
        devtensor.backend.unregister("kernelled")


def test_a_primitive_without_kernel_says_how_to_add_it(declared):
    @primitive(dtype=promoted, shape=broadcast)
    def unheard(input):
        """Nothing."""

    with pytest.raises(
        KernelMissing, match=r'\[unheard\] device cpu has no kernel.*add "unheard" to the kernels'
    ):
        unheard(devtensor.ones(1))


def test_plans_are_forgotten_when_a_backend_changes():
    class Other(strict.StrictBackend):
        name = "changing"

        def __init__(self, factor):
            super().__init__()
            self.kernels = self.kernels | {"exp": lambda x: strict.StrictArray(x.held * factor)}

    try:
        for factor in (2.0, 5.0):
            devtensor.backend.register(Other(np.float32(factor)), replace=True)
            assert devtensor.ones(2, device="changing").exp().tolist() == [factor] * 2
    finally:
        devtensor.backend.unregister("changing")


def test_declaring_twice_or_asking_for_the_unknown_is_an_error(declared):
    @composite(dtype=promoted, shape=broadcast)
    def declared_once(input):
        return input

    with pytest.raises(ValueError, match=r"\[declared_once\] is declared twice"):
        composite(dtype=promoted, shape=broadcast)(_again())
    with pytest.raises(ValueError, match=r"formula asks for \['nonsense'\]; it may ask for"):
        declared_once.vjp(input=lambda g, nonsense: g)
    with pytest.raises(ValueError, match=r"no input 'other'"):
        declared_once.vjp(other=lambda g: g)


def _again():
    def declared_once(input):
        return input

    return declared_once


def test_an_entry_takes_names_and_shows_its_line():
    assert add(input=devtensor.ones(1), other=2).tolist() == [3.0]
    with pytest.raises(TypeError, match="other"):
        add(devtensor.ones(1))
    try:
        linalg.matmul(devtensor.ones(2), devtensor.ones(3))
    except ShapeError as error:
        lines = [frame.line for frame in traceback.extract_tb(error.__traceback__)]
    assert any("return call" in (line or "") for line in lines)


def test_recording_follows_the_mode_and_the_inputs():
    x, y = devtensor.ones(2, requires_grad=True), devtensor.ones(2)
    assert mul(x, y).requires_grad and mul(y, x).requires_grad and not mul(y, y).requires_grad
    assert elementwise.neg(x).requires_grad
    with devtensor.no_grad():
        assert not mul(x, y).requires_grad and not elementwise.neg(x).requires_grad
        with devtensor.enable_grad():
            assert mul(x, y).requires_grad
    assert not (x > y).requires_grad
