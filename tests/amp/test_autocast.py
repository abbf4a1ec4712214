"""The autocast layer: regions, weight casts, gradients, and what it leaves alone."""

from __future__ import annotations

import asyncio
import threading
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest

import devtensor as dt
from devtensor import get_autocast_dtype, is_autocast_enabled, set_autocast_dtype
from devtensor.amp import autocast, is_autocast_available
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
        # Without a device type it is CUDA that is asked about.
        assert not is_autocast_enabled()
    assert dtype_of_product(x) == "float32"
    assert not is_autocast_enabled("cpu")
    assert state.current().layers == ()


def test_region_ends_with_an_exception():
    with pytest.raises(KeyError), autocast("cpu"):
        raise KeyError
    assert state.current().layers == ()


def test_decorator_serves_recursive_functions_and_lets_generators_go():
    @autocast("cpu", dtype=dt.float16)
    def falling(depth):
        return [dtype_of_product(matrix())] + (falling(depth - 1) if depth else [])

    @autocast("cpu", dtype=dt.float16)
    def products():
        yield dtype_of_product(matrix())
        yield dtype_of_product(matrix())

    assert falling(2) == ["float16"] * 3

    async def later():
        return dtype_of_product(matrix())

    # What a call hands out to run later runs outside the region, as in PyTorch.
    assert list(products()) == ["float32"] * 2
    assert asyncio.run(autocast("cpu")(later)()) == "float32"
    assert state.current().layers == ()
    with pytest.raises(TypeError, match="requires a callable, but got int"):
        autocast("cpu")(3)


def test_decorated_function_that_fails_ends_its_region():
    @autocast("cpu")
    def fails():
        raise KeyError

    for _ in range(2):
        with pytest.raises(KeyError):
            fails()
        assert not is_autocast_enabled("cpu") and dtype_of_product(matrix()) == "float32"
    assert state.current().layers == ()


def test_one_object_may_be_entered_twice():
    region = autocast("cpu")
    with region, region:
        assert dtype_of_product(matrix()) == "bfloat16"
    assert state.current().layers == ()


def test_layer_is_off_inside_ops_that_were_cast_or_are_one_node_and_on_inside_others():
    x = matrix().half()
    with autocast("cpu"), Heard() as heard:
        loss = dt.nn.functional.huber_loss(x, x)
    assert loss.dtype is dt.float32
    inside = heard.names.index("huber_loss")
    assert len(heard.names) > inside + 1
    assert not any(heard.autocast[inside:])
    with autocast("cpu"), Heard() as heard:
        dt.sinc(x)
    assert heard.names[0] == "sinc"
    assert len(heard.names) > 1
    assert not any(heard.autocast[1:])
    with autocast("cpu"), Heard() as heard:
        dt.nn.functional.tanhshrink(x)
    assert heard.names[0] == "tanhshrink"
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
    with pytest.warns(UserWarning, match="not available") if not dt.cuda.is_available() else nullcontext():
        region = autocast("cuda")
    with region, autocast("xpu"):
        assert dtype_of_product(matrix()) == "float32"
        assert is_autocast_enabled("xpu")


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
    assert get_autocast_dtype("cpu") is dt.bfloat16
    try:
        set_autocast_dtype("cpu", dt.float16)
        with autocast("cpu"):
            assert dtype_of_product(matrix()) == "float16"
            set_autocast_dtype("cpu", dt.bfloat16)
            assert dtype_of_product(matrix()) == "bfloat16"
        # The region's end brings back what was before it.
        assert get_autocast_dtype("cpu") is dt.float16
    finally:
        set_autocast_dtype("cpu", dt.bfloat16)
    with autocast("cpu", dtype=dt.float16, enabled=False):
        assert get_autocast_dtype("cpu") is dt.float16
    with pytest.raises(TypeError, match="dtype must be a dtype, got int"):
        set_autocast_dtype("cpu", 3)


def test_bad_arguments():
    with pytest.raises(RuntimeError, match=r"unsupported autocast device_type 'nowhere'; there are .*cuda"):
        autocast("nowhere")
    with pytest.raises(RuntimeError, match="unsupported autocast device_type 'meta'"):
        autocast("meta", dtype=dt.float16)
    with pytest.raises(ValueError, match="Expected `device_type` of type `str`, got <class 'int'>"):
        autocast(3)
    for dtype in (dt.float32, dt.float64, dt.int64):
        with pytest.warns(UserWarning, match="In CPU autocast the target dtype is not supported"):
            region = autocast("cpu", dtype=dtype)
        with region:
            assert dtype_of_product(matrix()) == "float32"
    assert is_autocast_available("cpu")
    assert is_autocast_available("cuda")
    assert not is_autocast_available("meta")
    with pytest.raises(RuntimeError, match="unsupported autocast device_type 'nowhere'"):
        is_autocast_available("nowhere")


def test_switches_of_this_thread():
    dt.set_autocast_enabled("cpu", True)
    try:
        assert dtype_of_product(matrix()) == "bfloat16"
        assert not dt.is_autocast_enabled()
        with autocast("cpu", enabled=False):
            assert dtype_of_product(matrix()) == "float32"
        found = []
        thread = threading.Thread(target=lambda: found.append(dtype_of_product(matrix())))
        thread.start()
        thread.join()
        assert found == ["float32"]
    finally:
        dt.set_autocast_enabled("cpu", False)
    assert state.current().layers == ()
    dt.set_autocast_enabled(True)
    assert dt.is_autocast_enabled() and not dt.is_autocast_enabled("cpu")
    dt.set_autocast_enabled(False)
    with pytest.raises(TypeError, match="enabled must be a bool"):
        dt.set_autocast_enabled("cpu", 1)


def test_kept_casts_may_be_cleared_or_not_kept():
    weight, x = matrix(requires_grad=True), matrix()
    with Heard() as heard, autocast("cpu"):
        x @ weight
        with autocast("cpu", enabled=False):
            pass
        x @ weight
        assert heard.names.count("cast") == 3
        dt.clear_autocast_cache()
        x @ weight
        assert heard.names.count("cast") == 5
        dt.set_autocast_cache_enabled(False)
        x @ weight
        assert heard.names.count("cast") == 7
    assert dt.is_autocast_cache_enabled()
    with pytest.raises(TypeError, match=r"enabled must be a bool \(got int\)"):
        dt.set_autocast_cache_enabled(1)


def test_only_whole_leaves_that_need_a_gradient_are_kept():
    x = matrix()
    others = matrix(), matrix(requires_grad=True) * 2, matrix(requires_grad=True)[:], matrix().double()
    for other in others:
        with Heard() as heard, autocast("cpu"):
            for _ in range(2):
                x.to(other.dtype) @ other
        casts = 0 if other.dtype is dt.float64 else 4
        assert heard.names.count("cast") - heard.names.count("to_device") >= casts


def test_gradients_sum_through_a_kept_cast():
    weight = dt.ones(2, 2, requires_grad=True)
    with autocast("cpu"):
        out = weight @ weight + weight @ dt.ones(2, 2)
    out.sum().backward()
    assert weight.grad.dtype is dt.float32
    assert weight.grad.tolist() == [[6.0, 6.0], [6.0, 6.0]]


def test_in_place_forms_and_out_keep_the_dtypes_they_get():
    x = matrix()
    with autocast("cpu"):
        for found in (dt.mm(x, x, out=dt.empty(4, 4)), dt.matmul(x, x, out=dt.empty(4, 4))):
            assert found.dtype is dt.float32
            np.testing.assert_array_equal(found.numpy(), x.numpy() @ x.numpy())
        made = dt.zeros(4, 4).addmm_(x, x)
        np.testing.assert_array_equal(made.numpy(), x.numpy() @ x.numpy())
        with pytest.raises(RuntimeError, match="dtype"):
            dt.zeros(4, 4).addmm_(x.bfloat16(), x)


def test_a_function_of_several_ops_is_one():
    x, y = matrix().bfloat16(), matrix()
    with autocast("cpu"), Heard() as heard:
        assert dt.cdist(x, y).dtype is dt.float32
        # Its inputs are cast, then all of it runs without.
        assert heard.autocast == [True] + [False] * (len(heard.names) - 1)
        assert dt.nn.functional.pad(x, (1, 1), "replicate").dtype is dt.float32
        assert dt.nn.functional.pad(x, (1, 1)).dtype is dt.bfloat16
        assert dt.trace(x.double()).dtype is dt.float64
    assert dt.nn.functional.pad(x, (1, 1), "replicate").dtype is dt.bfloat16


def test_a_function_of_several_ops_keeps_a_dtype_that_is_asked_for(device):
    half, single = matrix(device=device).bfloat16(), matrix(device=device)
    as_cuda = getattr(dt.device(device).backend, "amp_policy", "cuda") == "cuda"
    for norm in (dt.linalg.norm, dt.linalg.vector_norm, dt.linalg.matrix_norm, dt.norm):
        with autocast(device):
            assert norm(half).dtype is (dt.float32 if as_cuda else dt.bfloat16)
            for dtype in (dt.bfloat16, dt.float32, dt.float64):
                assert norm(half, dtype=dtype).dtype is dtype
            for narrower in (dt.float16, dt.bfloat16):
                with pytest.raises(RuntimeError, match="no narrower"):
                    norm(single, dtype=narrower)
            with pytest.raises(RuntimeError, match="no narrower"):
                norm(half, dtype=dt.float16)


def test_older_names_say_what_to_write():
    names = {
        "get_autocast_cpu_dtype": (), "get_autocast_gpu_dtype": (), "is_autocast_cpu_enabled": (),
        "set_autocast_cpu_dtype": (dt.bfloat16,), "set_autocast_gpu_dtype": (dt.float16,),
        "set_autocast_cpu_enabled": (False,),
    }  # fmt: skip
    for name, arguments in names.items():
        with pytest.warns(DeprecationWarning, match=f"{name}.* is deprecated; write"):
            getattr(dt, name)(*arguments)
    older = {
        "cpu.amp.autocast": lambda: dt.cpu.amp.autocast(),
        "cpu.amp.GradScaler": lambda: dt.cpu.amp.GradScaler(),
        "cuda.amp.autocast": lambda: dt.cuda.amp.autocast(enabled=False),
        "cuda.amp.GradScaler": lambda: dt.cuda.amp.GradScaler(enabled=False),
        "cuda.amp.custom_fwd": lambda: dt.cuda.amp.custom_fwd(abs),
        "cuda.amp.custom_bwd": lambda: dt.cuda.amp.custom_bwd(abs),
    }
    for name, use in older.items():
        with pytest.warns(FutureWarning, match=rf"\[{name}\] is deprecated; write amp"):
            use()


@pytest.mark.parametrize("reentrant", [False, True])
def test_a_checkpoint_is_run_again_in_its_region(reentrant):
    weight, x, seen = matrix(requires_grad=True), matrix(), []

    def product(given):
        seen.append((is_autocast_enabled("cpu"), get_autocast_dtype("cpu").name))
        return given @ weight

    with autocast("cpu", dtype=dt.float16):
        out = dt.utils.checkpoint.checkpoint(product, x.requires_grad_(), use_reentrant=reentrant)
    out.float().sum().backward()
    assert seen == [(True, "float16")] * 2
    assert weight.grad.dtype is dt.float32


def test_custom_functions_run_backward_as_forward():
    states = []

    class Doubles(dt.autograd.Function):
        @staticmethod
        @dt.amp.custom_fwd(device_type="cpu")
        def forward(ctx, x):
            return x * 2

        @staticmethod
        @dt.amp.custom_bwd(device_type="cpu")
        def backward(ctx, g):
            states.append((is_autocast_enabled("cpu"), get_autocast_dtype("cpu").name))
            return g * 2

    x = matrix(requires_grad=True)
    with autocast("cpu", dtype=dt.float16):
        inside = Doubles.apply(x)
    (inside.sum() + Doubles.apply(x).sum()).backward()
    assert sorted(states) == [(False, "bfloat16"), (True, "float16")]
    with pytest.raises(ValueError, match="Expected `device_type` of type `str`"):
        dt.amp.custom_fwd(abs, device_type=3)


def test_a_device_s_index_makes_no_difference():
    with autocast("cpu:0", dtype=dt.float16) as region:
        assert region.device == "cpu:0"
        assert dtype_of_product(matrix()) == "float16"
        assert is_autocast_enabled("cpu") and is_autocast_enabled("cpu:0")
        assert get_autocast_dtype("cpu:3") is dt.float16
        set_autocast_dtype("cpu:0", dt.bfloat16)
        assert dtype_of_product(matrix()) == "bfloat16"
    assert not is_autocast_enabled("cpu")
    for wrong in ("cpu:", "cpu:x", "nowhere:0", ":0"):
        with pytest.raises(RuntimeError, match="unsupported autocast device_type"):
            autocast(wrong)


def test_the_switch_is_a_bool_and_leaving_hides_no_error():
    for switch in (1, 0, "on", None):
        with pytest.raises(TypeError, match="enabled must be a bool"), autocast("cpu", enabled=switch):
            raise AssertionError
        assert state.current().layers == ()
        assert get_autocast_dtype("cpu") is dt.bfloat16
    region = autocast("cpu")
    assert region.__enter__() is region
    assert region.__exit__(None, None, None) is False


def test_users_code_in_backward_sees_the_region_that_backward_runs_in():
    """Formulas keep the dtypes of forward; Functions and hooks are in the region, as in PyTorch."""
    seen = []

    class Doubles(dt.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            seen.append(("backward", dtype_of_product(g)))
            return g * 2

    x = matrix(requires_grad=True)
    x.register_hook(lambda g: seen.append(("leaf", dtype_of_product(g))))
    x.register_post_accumulate_grad_hook(lambda leaf: seen.append(("sum", dtype_of_product(leaf.grad))))
    with Heard() as heard, autocast("cpu"):
        y = Doubles.apply(x)
        y.register_hook(lambda g: seen.append(("hook", dtype_of_product(g))))
        y.grad_fn.register_hook(lambda made, gs: seen.append(("after", dtype_of_product(made[0]))))
        y.grad_fn.register_prehook(lambda gs: seen.append(("before", dtype_of_product(gs[0]))))
        loss = (y * y).sum()
        loss.backward(retain_graph=True)
    names = ["hook", "before", "backward", "after", "leaf", "sum"]
    assert seen == [(name, "bfloat16") for name in names]
    assert heard.autocast[heard.names.index("sum") + 1] is False
    seen.clear()
    loss.backward()
    assert seen == [(name, "float32") for name in names]
    assert x.grad.dtype is dt.float32


@pytest.mark.parametrize("wanted", ["float32", "float16", "bfloat16"])
def test_custom_fwd_casts_inputs_and_leaves_the_region(wanted):
    seen = []

    class Product(dt.autograd.Function):
        @staticmethod
        @dt.amp.custom_fwd(device_type="cpu", cast_inputs=getattr(dt, wanted))
        def forward(ctx, x, others, *, wide):
            seen.extend([x.dtype.name, others[0].dtype.name, wide.dtype.name, is_autocast_enabled("cpu")])
            return x @ others[0]

        @staticmethod
        @dt.amp.custom_bwd(device_type="cpu")
        def backward(ctx, g):
            seen.append(is_autocast_enabled("cpu"))
            return g, None

    x = matrix().half()
    forward = Product.forward
    with autocast("cpu"):
        found = forward(SimpleNamespace(), x, [matrix().bfloat16()], wide=matrix().double())
    assert seen == [wanted, wanted, "float64", False]
    assert found.dtype.name == wanted
    # Outside of a region nothing is cast.
    forward(SimpleNamespace(), x, [matrix().half()], wide=matrix())
    assert seen[4:] == ["float16", "float16", "float32", False]
    leaf = matrix(requires_grad=True)
    with autocast("cpu"):
        Product.forward(context := SimpleNamespace(), leaf, [matrix()], wide=matrix())
    Product.backward(context, matrix())
    assert seen[-1] is False
