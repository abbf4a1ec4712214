"""PyTorch's two functions beneath GradScaler, against NumPy, and in a scaler of a stranger's."""

from __future__ import annotations

import numpy as np
import pytest

import devtensor as dt
from devtensor import optim
from devtensor.amp.grad_scaler import GradScaler, OptState, _MultiDeviceReplicator

INF, NAN = float("inf"), float("nan")
unscale = dt._amp_foreach_non_finite_check_and_unscale_
update = dt._amp_update_scale_
DTYPES = ("float32", "float16", "bfloat16", "float64")


def gradients(device, bad=None):
    """One of each dtype, in two shapes; `bad` is written into the third."""
    made = [dt.full((2, 3), 6.0, dtype=getattr(dt, name), device=device) for name in DTYPES]
    made += [dt.ones(0, device=device), dt.ones((), device=device)]
    if bad is not None:
        made[2][1, 1] = bad
    return made


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
@pytest.mark.parametrize("bad", [None, INF, -INF, NAN])
def test_gradients_are_scaled_in_place_and_looked_at(device, bad, shape):
    given, found = gradients(device, bad), dt.zeros(shape, device=device)
    assert unscale(given, found, dt.full(shape, 0.5, device=device)) is None
    for before, after in zip(gradients(device, bad), given, strict=True):
        np.testing.assert_array_equal(after.double().cpu().numpy(), before.double().cpu().numpy() * 0.5)
        assert after.dtype is before.dtype
    assert found.item() == (0.0 if bad is None else 1.0)
    assert found.shape == shape and found._version == 1 + (len({*DTYPES}) - 1)


def test_a_flag_stays_set_and_leaves_may_be_scaled():
    leaf, found = dt.ones(2, requires_grad=True), dt.ones(())
    unscale((leaf,), found, dt.tensor(4.0))
    assert leaf.tolist() == [4.0, 4.0] and leaf.requires_grad and found.item() == 1.0
    assert unscale([], found, dt.tensor(4.0)) is None


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ((dt.ones(2), dt.zeros(()), dt.ones(())), TypeError, "must be a tuple of Tensors"),
        (([None], dt.zeros(()), dt.ones(())), TypeError, "must be a tuple of Tensors"),
        (([dt.ones(2)], 0.0, dt.ones(())), TypeError, "found_inf must be a Tensor"),
        (([dt.ones(2)], dt.zeros(2), dt.ones(())), RuntimeError, "found_inf must be a 1-element tensor"),
        (
            ([dt.ones(2)], dt.zeros(()).double(), dt.ones(())),
            RuntimeError,
            "found_inf must be a float tensor",
        ),
        (([dt.ones(2)], dt.zeros(()), dt.ones(2)), RuntimeError, "inv_scale must be a 1-element tensor"),
        (([dt.ones(2)], dt.zeros(()), dt.ones(()).half()), RuntimeError, "inv_scale must be a float tensor"),
        (([dt.ones(2).long()], dt.zeros(()), dt.ones(())), NotImplementedError, "not implemented for int64"),
        (
            ([dt.ones(2) * 1j], dt.zeros(()), dt.ones(())),
            NotImplementedError,
            "not implemented for complex64",
        ),
    ],
)
def test_what_cannot_be_scaled(arguments, error, text):
    with pytest.raises(error, match=rf"\[_amp_foreach_non_finite_check_and_unscale_\] .*{text}"):
        unscale(*arguments)


@pytest.mark.parametrize("shape", [(), (1,)])
@pytest.mark.parametrize(
    ("scale", "count", "found", "wanted"),
    [
        (8.0, 0, 0.0, (8.0, 1)),
        (8.0, 2, 0.0, (20.0, 0)),
        (8.0, 5, 0.0, (8.0, 6)),
        (8.0, 2, 1.0, (2.0, 0)),
        (8.0, 0, NAN, (2.0, 0)),
        (3e38, 2, 0.0, (3e38, 0)),
    ],
)
def test_the_scale_grows_and_shrinks(device, shape, scale, count, found, wanted):
    s, c, f = (
        dt.full(shape, value, dtype=dtype, device=device)
        for value, dtype in ((scale, dt.float32), (count, dt.int32), (found, dt.float32))
    )
    assert update(s, c, f, 2.5, 0.25, 3) is s
    assert (s.item(), c.item()) == (np.float32(wanted[0]).item(), wanted[1])
    assert s.shape == c.shape == shape


@pytest.mark.parametrize(
    ("changed", "error", "text"),
    [
        ({"growth_tracker": dt.zeros(())}, RuntimeError, "growth_tracker must be an int tensor"),
        ({"growth_tracker": dt.zeros(2).int()}, RuntimeError, "growth_tracker must be a 1-element"),
        ({"input": dt.ones(()).double()}, RuntimeError, "current_scale must be a float tensor"),
        ({"found_inf": dt.zeros(3)}, RuntimeError, "found_inf must be a 1-element tensor"),
        ({"found_inf": None}, TypeError, "found_inf must be a Tensor"),
        ({"scale_growth_factor": None}, TypeError, "scale_growth_factor must be float, not NoneType"),
        ({"growth_interval": 3.0}, TypeError, "growth_interval must be int, not float"),
    ],
)
def test_scales_that_cannot_be_updated(changed, error, text):
    good = dict(input=dt.ones(()), growth_tracker=dt.zeros(()).int(), found_inf=dt.zeros(()))
    good |= dict(scale_growth_factor=2.0, scale_backoff_factor=0.5, growth_interval=3)
    with pytest.raises(error, match=rf"\[_amp_update_scale_\] .*{text}"):
        update(**good | changed)


class Sharded(GradScaler):
    """Written as scalers of strangers are: its own loop over devices, and PyTorch's two functions."""

    def _unscale_grads_(self, optimizer, inv_scale, found_inf, allow_fp16=True):
        inverse, found = _MultiDeviceReplicator(inv_scale), _MultiDeviceReplicator(found_inf)
        groups = {}
        for group in optimizer.param_groups:
            for p in group["params"]:
                groups.setdefault(p.grad.device, []).append(p.grad)
        for device, grads in groups.items():
            dt._amp_foreach_non_finite_check_and_unscale_(grads, found.get(device), inverse.get(device))
        return found._per_device_tensors

    def update(self, new_scale=None):
        found = [f for s in self._per_optimizer_states.values() for f in s["found_inf_per_device"].values()]
        dt._amp_update_scale_(
            self._scale, self._growth_tracker, sum(found), self._growth_factor, self._backoff_factor,
            self._growth_interval,
        )  # fmt: skip
        self._per_optimizer_states.clear()


def test_a_scaler_of_a_stranger_s_goes_the_way_of_ours(device):
    ends = []
    for kind in (GradScaler, Sharded):
        p = dt.ones(3, device=device, requires_grad=True)
        optimizer, scaler = optim.SGD([p], lr=0.5), kind(p.device.type, 8.0, growth_interval=2)
        for bad in (None, INF, None, None, NAN, None):
            optimizer.zero_grad()
            scaler.scale((p * p).sum()).backward()
            if bad is not None:
                p.grad[0] = bad
            scaler.step(optimizer)
            assert scaler._per_optimizer_states[id(optimizer)]["stage"] is OptState.STEPPED
            scaler.update()
        ends.append((p.tolist(), scaler.state_dict()))
    assert ends[0] == ends[1]
    assert ends[0][1]["scale"] == 4.0
