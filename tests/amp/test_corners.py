"""Autocast and GradScaler where there is no device, where they are misused, and their small functions."""

from __future__ import annotations

from collections import namedtuple
from types import MappingProxyType

import numpy as np
import pytest

import devtensor as dt
from devtensor.amp import GradScaler, autocast, custom_bwd, custom_fwd
from devtensor.amp.autocast_mode import _cast, _enter_autocast, _exit_autocast
from devtensor.amp.layer import is_any_autocast_enabled
from devtensor.amp.policies import CPU, policy_in
from devtensor.backend import registry


@pytest.fixture
def no_cuda(monkeypatch):
    available = registry.available
    monkeypatch.setattr(registry, "available", lambda name: name != "cuda" and available(name))


def test_without_cuda_its_regions_change_nothing(no_cuda):
    with pytest.warns(UserWarning, match="CUDA is not available. Disabling autocast") as told:
        region = autocast("cuda")
    assert told[0].filename == __file__
    with region:
        assert not dt.is_autocast_enabled("cuda") and not dt.is_autocast_enabled()


def test_a_region_in_another_dtype_is_told_of_where_it_is_made():
    with pytest.warns(UserWarning, match="target dtype is not supported") as told:
        autocast("cpu", dtype=dt.float64)
    assert told[0].filename == __file__


def test_without_cuda_its_scaler_changes_nothing(no_cuda):
    with pytest.warns(UserWarning, match="CUDA is not available. Disabling") as told:
        scaler = GradScaler("cuda")
    assert told[0].filename == __file__ and not scaler.is_enabled()
    loss = dt.ones(())
    assert scaler.scale(loss) is loss and scaler.get_scale() == 1.0 and scaler.state_dict() == {}


def test_a_scaler_s_count_is_made_with_its_scale():
    scaler = GradScaler("cpu")
    scaler._growth_tracker = dt.zeros((), dtype=dt.int32)
    with pytest.raises(AssertionError, match="_growth_tracker initialized before _scale"):
        scaler.scale(dt.ones(()))


def test_a_scaler_s_factors_may_be_changed():
    scaler = GradScaler("cpu", init_scale=8.0, growth_interval=5)
    scaler.set_growth_factor(4.0), scaler.set_backoff_factor(0.25), scaler.set_growth_interval(1)
    told = scaler.get_growth_factor(), scaler.get_backoff_factor(), scaler.get_growth_interval()
    assert told == (4.0, 0.25, 1) and scaler._get_growth_tracker() == 0
    parameter = dt.nn.Parameter(dt.ones(2))
    optimizer = dt.optim.SGD([parameter], lr=0.5)
    scales = []
    for gradient in (1.0, float("inf"), 1.0):
        scaler.scale(dt.ones(()))
        parameter.grad = dt.full((2,), gradient)
        scaler.step(optimizer)
        scaler.update()
        scales.append(scaler.get_scale())
    assert scales == [32.0, 8.0, 32.0]


class Stranger(dt.optim.SGD):
    """An optimizer whose step takes arguments of its own."""

    def step(self, *given, **named):
        self.heard = given, named
        return super().step()


def test_a_step_s_own_arguments_reach_it():
    parameter = dt.nn.Parameter(dt.ones(2))
    parameter.grad = dt.ones(2)
    optimizer, scaler = Stranger([parameter], lr=0.5), GradScaler("cpu", init_scale=1.0)
    scaler.scale(dt.ones(()))
    scaler.step(optimizer, 3, weights="heavy")
    assert optimizer.heard == ((3,), {"weights": "heavy"}) and parameter.tolist() == [0.5, 0.5]


def test_a_region_may_begin_and_end_without_a_block():
    mode = _enter_autocast("cpu", dt.float16, True, False)
    assert dt.is_autocast_enabled("cpu") and dt.get_autocast_dtype("cpu") is dt.float16
    assert is_any_autocast_enabled() and not dt.is_autocast_cache_enabled()
    _exit_autocast(mode)
    assert not is_any_autocast_enabled() and dt.is_autocast_cache_enabled()


def test_regions_are_counted():
    assert [dt.autocast_increment_nesting(), dt.autocast_increment_nesting()] == [1, 2]
    with autocast("cpu"):
        assert dt.autocast_increment_nesting() == 4 and dt.autocast_decrement_nesting() == 3
    assert [dt.autocast_decrement_nesting(), dt.autocast_decrement_nesting()] == [1, 0]


@pytest.mark.parametrize(
    "function",
    [dt.is_autocast_enabled, dt.get_autocast_dtype, lambda x: dt.set_autocast_enabled(x, True),
     lambda x: dt.set_autocast_dtype(x, dt.float16)],
    ids=["enabled", "dtype", "set enabled", "set dtype"],
)  # fmt: skip
@pytest.mark.parametrize(
    ("given", "error"), [(3, TypeError), ("cuda:x", RuntimeError), ("tpu!", RuntimeError)]
)
def test_a_device_type_is_a_known_text(function, given, error):
    with pytest.raises(error, match="device_type"):
        function(given)


Pair = namedtuple("Pair", "x y")
X = dt.ones(2)
NESTED = {
    "a tensor": (X, "float16"),
    "of 64 bits": (X.double(), "float64"),
    "of integers": (X.long(), "int64"),
    "a list": ([X, 1], ["float16", 1]),
    "a tuple": ((X, "text"), ("float16", "text")),
    "a named tuple": (Pair(X, b"bytes"), Pair("float16", b"bytes")),
    "a mapping": (MappingProxyType({"x": X}), {"x": "float16"}),
    "a number": (2.5, 2.5),
    "nothing": (None, None),
}


def told(value):
    """The value with dtypes in its tensors' places."""
    if isinstance(value, dt.Tensor):
        return value.dtype.name
    if isinstance(value, dict):
        return {key: told(item) for key, item in value.items()}
    if isinstance(value, Pair):
        return Pair(*map(told, value))
    return type(value)(map(told, value)) if isinstance(value, (list, tuple)) else value


@pytest.mark.parametrize("name", NESTED)
def test_inputs_of_custom_functions_are_cast_wherever_they_are(name):
    given, wanted = NESTED[name]
    found = told(_cast(given, "cpu", dt.float16))
    assert found == wanted and type(found) is type(wanted)


def test_arrays_stay_and_other_iterables_stay_lazy():
    array = np.ones(2, np.float32)
    assert _cast(array, "cpu", dt.float16) is array
    made = _cast((x for x in [X, X]), "cpu", dt.float16)
    assert iter(made) is made and [x.dtype.name for x in made] == ["float16"] * 2


@pytest.mark.parametrize("decorate", [custom_fwd, custom_bwd])
@pytest.mark.parametrize("given", [3, None, dt.device("cpu")])
def test_custom_functions_name_a_device_type(decorate, given):
    with pytest.raises(ValueError, match="Expected `device_type` of type `str`"):
        decorate(lambda context: None, device_type=given)


VOLUME, PLANE = dt.ones(1, 1, 2, 2, 2), dt.ones(1, 1, 2, 2)
CHOICES = {
    "values alone": ("max_pool3d", (VOLUME, 2), {}, "float32"),
    "values alone, by place": ("max_pool3d", (VOLUME, 2, None, 0, 1, False, False), {}, "float32"),
    "indices": ("max_pool3d", (VOLUME, 2), {"return_indices": True}, None),
    "indices, by place": ("max_pool3d", (VOLUME, 2, None, 0, 1, False, True), {}, None),
    "volumes": ("avg_pool", (VOLUME,), {}, "float32"),
    "planes": ("avg_pool", (PLANE,), {}, None),
    "constant borders": ("nn_pad", (PLANE, (1, 1)), {}, None),
    "repeated edges, by place": ("nn_pad", (PLANE, (1, 1), "replicate"), {}, "float32"),
    "repeated edges": ("nn_pad", (PLANE,), {"pad": (1,) * 6, "mode": "replicate"}, "float32"),
    "mirrored planes, by place": ("nn_pad", (PLANE, (1,) * 4, "reflect"), {}, "float32"),
    "mirrored planes": ("nn_pad", (PLANE,), {"pad": (1,) * 4, "mode": "reflect"}, "float32"),
    "mirrored volumes, by place and name": ("nn_pad", (VOLUME, (1,) * 6), {"mode": "reflect"}, None),
    "mirrored volumes, by place": ("nn_pad", (VOLUME, (1,) * 6, "reflect"), {}, None),
    "mirrored volumes": ("nn_pad", (VOLUME,), {"pad": (1,) * 6, "mode": "reflect"}, None),
    "borders that go round": ("nn_pad", (PLANE, (1, 1), "circular"), {}, None),
}


@pytest.mark.parametrize("name", CHOICES)
def test_some_policies_look_at_the_arguments(name):
    function, arguments, named, policy = CHOICES[name]
    assert policy_in(CPU, function, arguments, named) == policy
