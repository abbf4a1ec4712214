"""GradScaler: its schedule, skipped steps, messages, and a float16 model that trains with it."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import devtensor as dt
from devtensor import optim
from devtensor.amp import GradScaler, autocast
from devtensor.amp import grad_scaler as module
from devtensor.amp.grad_scaler import OptState
from devtensor.amp.masked_writes import masked_writes
from devtensor.core.state import Layer

KINDS = [
    ("SGD", dict(lr=0.1)),
    ("SGD", dict(lr=0.1, momentum=0.9, dampening=0.5)),
    ("Adam", dict(lr=0.01, amsgrad=True, weight_decay=0.1)),
    ("AdamW", dict(lr=0.01)),
    ("NAdam", dict(lr=0.01)),
    ("RAdam", dict(lr=0.01, betas=(0.8, 0.9))),
    ("Adamax", dict(lr=0.01)),
    ("Adagrad", dict(lr=0.01, lr_decay=0.1, initial_accumulator_value=0.5)),
    ("Adadelta", dict()),
    ("RMSprop", dict(momentum=0.5, centered=True)),
    ("Rprop", dict()),
    ("ASGD", dict(t0=1)),
    ("Adafactor", dict(lr=0.1)),
    ("Muon", dict(lr=0.1)),
]
# What a state holds before the first step where it is not zero.
BORN = {"mu_product": 1.0, "mu": 1.0, "sum": 0.5}


class Refuses(Layer):
    """Stands for a capture: nothing may be read on the host within it."""

    rank = 30

    def host_read(self, tensor, asked):
        raise AssertionError(f"{asked} reads on the host")


@pytest.fixture(params=["read", "masked"])
def way(request, monkeypatch):
    """Both ways to skip: the flag is read, or the writes are masked."""
    if request.param == "masked":
        monkeypatch.setattr(module, "_reads_freely", lambda device: False)
    return request.param


def params_of(device, *shapes):
    draw = np.random.default_rng(0)
    return [
        dt.tensor(draw.normal(size=s), dtype=dt.float32, device=device, requires_grad=True) for s in shapes
    ]


def shapes_for(name):
    """Of parameters that an optimizer takes: Muon takes matrices alone."""
    return ((3, 4), (5, 2)) if name == "Muon" else ((3, 4), (5,))


def give(params, seed, bad=None, place=0):
    """Scaled gradients; with `bad` in one element of one of them."""
    draw = np.random.default_rng(seed)
    for number, p in enumerate(params):
        g = draw.normal(size=tuple(p.shape)).astype(np.float32)
        if bad is not None and number == place:
            g.reshape(-1)[-1] = bad
        p.grad = dt.tensor(g, device=p.device)


def bits(optimizer):
    tensors = [p for group in optimizer.param_groups for p in group["params"]]
    tensors += [t for state in optimizer.state.values() for t in state.values()]
    return [t.detach().cpu().numpy().tobytes() for t in tensors]


def schedule(found, scale, growth, backoff, interval):
    """The reference: the scale after each step."""
    count, scales = 0, []
    for bad in found:
        count = 0 if bad else count + 1
        if bad:
            scale *= backoff
        elif count == interval:
            scale, count = (scale * growth if scale * growth < 2.0**128 else scale), 0
        scales.append(scale)
    return scales, count


@pytest.mark.parametrize("init", [2.0**16, 2.0**125])
def test_scale_follows_the_reference(device, way, init):
    found = [False] * 3 + [True, False, True, True] + [False] * 9
    params = params_of(device, (3,))
    optimizer = optim.SGD(params, lr=0.1)
    scaler = GradScaler(device, init_scale=init, growth_factor=4.0, backoff_factor=0.25, growth_interval=2)
    scales = []
    for step, bad in enumerate(found):
        scaler.scale(dt.zeros((), device=device))
        give(params, step, float("inf") if bad else None)
        scaler.step(optimizer)
        scaler.update()
        scales.append(scaler.get_scale())
    expected, count = schedule(found, init, 4.0, 0.25, 2)
    assert scales == expected
    assert scaler.state_dict()["_growth_tracker"] == count


@pytest.mark.parametrize("bad", [float("inf"), float("-inf"), float("nan")])
@pytest.mark.parametrize(("name", "values"), KINDS)
@pytest.mark.parametrize("first", [False, True])
def test_skipped_step_changes_no_bit(device, way, name, values, bad, first):
    params = params_of(device, *shapes_for(name))
    optimizer = getattr(optim, name)(params, **values)
    scaler = GradScaler(device)
    scaler.scale(dt.zeros((), device=device))
    if not first:
        for seed in range(2):
            give(params, seed)
            optimizer.step()
    before = bits(optimizer)
    known = {id(t) for state in optimizer.state.values() for t in state.values()}
    give(params, 7, bad, place=1)
    scaler.step(optimizer)
    scaler.update()
    assert bits(optimizer)[: len(before)] == before
    made = [(k, t) for s in optimizer.state.values() for k, t in s.items() if id(t) not in known]
    assert all((t == BORN.get(key, 0.0)).all() for key, t in made)
    assert scaler.get_scale() == 2.0**15


@pytest.mark.parametrize(("name", "values"), KINDS)
def test_masked_steps_equal_plain_ones(name, values, monkeypatch):
    """Good steps around a skipped one give the same bits whichever way it was skipped."""
    ends = []
    for reads in (True, False):
        monkeypatch.setattr(module, "_reads_freely", lambda device, reads=reads: reads)
        params = params_of("cpu", *shapes_for(name))
        optimizer = getattr(optim, name)(params, **values)
        scaler = GradScaler("cpu", init_scale=1.0, growth_interval=3)
        for step in range(7):
            scaler.scale(dt.zeros(()))
            give(params, step, float("inf") if step in (0, 4) else None)
            scaler.step(optimizer)
            scaler.update()
        ends.append((bits(optimizer), scaler.state_dict()))
    assert ends[0] == ends[1]


def test_nothing_is_read_while_reads_are_refused():
    params = params_of("cpu", (3, 4))
    optimizer = optim.Adam(params)
    scaler = GradScaler("cpu")
    with Refuses():
        for step in range(3):
            optimizer.zero_grad()
            scaler.scale((params[0] * params[0]).sum()).backward()
            if step == 1:
                params[0].grad.mul_(float("inf"))
            scaler.unscale_(optimizer)
            scaler.step(optimizer)
            scaler.update()
    assert optimizer.state[params[0]]["step"].item() == 2.0
    assert scaler.get_scale() == 2.0**15


def test_masked_writes_keep_what_the_flag_protects():
    a, b = dt.tensor([1.0, 2.0]), dt.tensor([1.0, 2.0])
    with masked_writes(dt.tensor(True)):
        a.add_(float("nan"))
        a[0] = 5.0
    with masked_writes(dt.tensor(False)):
        b.add_(1.0)
    assert a.tolist() == [1.0, 2.0]
    assert b.tolist() == [2.0, 3.0]


def test_unscale_divides_once_and_in_place(device):
    params = params_of(device, (2,))
    optimizer = optim.SGD(params, lr=1.0)
    scaler = GradScaler(device, init_scale=8.0)
    loss = scaler.scale((params[0] * 3.0).sum())
    loss.backward()
    kept = params[0].grad
    assert kept.cpu().tolist() == [24.0, 24.0]
    scaler.unscale_(optimizer)
    assert params[0].grad is kept
    assert kept.cpu().tolist() == [3.0, 3.0]
    start = params[0].detach().cpu().numpy().copy()
    scaler.step(optimizer)
    np.testing.assert_allclose(params[0].detach().cpu().numpy(), start - 3.0, rtol=1e-6)


def test_rounding_to_inf_is_found():
    """A gradient that is finite as float32 may not be when it has been rounded."""
    p = dt.tensor([1.0], dtype=dt.bfloat16, requires_grad=True)
    optimizer = optim.SGD([p], lr=1.0)
    scaler = GradScaler("cpu", init_scale=2.0**-3)
    scaler.scale(dt.zeros(()))
    p.grad = dt.tensor([3e38], dtype=dt.bfloat16)
    scaler.step(optimizer)
    assert scaler._found_inf_per_device(optimizer)[p.device].item() == 1.0
    assert p.item() == 1.0


def test_outputs_may_be_nested():
    scaler = GradScaler("cpu", init_scale=4.0)
    x = dt.tensor(2.0)
    assert scaler.scale(x).item() == 8.0
    assert [y.item() for y in scaler.scale([x, x])] == [8.0, 8.0]
    assert isinstance(scaler.scale((x, [x])), tuple)
    assert [y.item() for y in scaler.scale(t for t in (x, x))] == [8.0, 8.0]
    assert scaler.scale(dt.tensor([2.0], dtype=dt.float16)).dtype is dt.float16
    with pytest.raises(ValueError, match="outputs must be a Tensor or an iterable"):
        scaler.scale(3.0)


def test_several_optimizers_share_the_scale():
    (p,), (q,) = params_of("cpu", (2,)), params_of("cpu", (2,))
    one, two = optim.SGD([p], lr=0.1), optim.SGD([q], lr=0.1)
    scaler = GradScaler("cpu", init_scale=4.0)
    scaler.scale(dt.zeros(()))
    give([p], 0)
    give([q], 0, float("nan"))
    before = q.tolist(), p.tolist()
    scaler.step(one)
    scaler.step(two)
    scaler.update()
    assert q.tolist() == before[0]
    assert p.tolist() != before[1]
    assert scaler.get_scale() == 2.0


def ready():
    (p,) = params_of("cpu", (2,))
    scaler, optimizer = GradScaler("cpu"), optim.SGD([p], lr=0.1)
    scaler.scale(dt.zeros(()))
    give([p], 0)
    return scaler, optimizer, p


def test_misuse_is_told():
    scaler, optimizer, p = ready()
    for name in ("unscale_", "step"):
        with pytest.raises(RuntimeError, match=f"Attempted {name} but _scale is None"):
            getattr(GradScaler("cpu"), name)(optimizer)
    with pytest.raises(RuntimeError, match="Attempted update but _scale is None"):
        GradScaler("cpu").update()
    with pytest.raises(RuntimeError, match="No inf checks were recorded prior to update"):
        scaler.update()
    with pytest.raises(RuntimeError, match="Closure use is not currently supported"):
        scaler.step(optimizer, closure=lambda: 0)
    scaler.unscale_(optimizer)
    with pytest.raises(RuntimeError, match=r"unscale_\(\) has already been called"):
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    with pytest.raises(RuntimeError, match=r"step\(\) has already been called since the last update"):
        scaler.step(optimizer)
    with pytest.raises(RuntimeError, match=r"unscale_\(\) is being called after step"):
        scaler.unscale_(optimizer)
    with pytest.raises(RuntimeError, match="may only be pickled at the beginning"):
        pickle.dumps(scaler)
    scaler.update()
    p.grad = None
    with pytest.raises(RuntimeError, match="No inf checks were recorded for this optimizer"):
        scaler.step(optimizer)


def test_float16_gradients_are_refused_and_nothing_is_unscaled():
    p, q = dt.tensor([1.0], requires_grad=True), dt.tensor([1.0], dtype=dt.float16, requires_grad=True)
    optimizer = optim.SGD([p, q], lr=0.1)
    scaler = GradScaler("cpu")
    scaler.scale(dt.zeros(()))
    p.grad, q.grad = dt.tensor([2.0]), dt.tensor([2.0], dtype=dt.float16)
    with pytest.raises(ValueError, match="Attempting to unscale FP16 gradients"):
        scaler.step(optimizer)
    assert p.grad.item() == 2.0


def test_parameters_are_tensors():
    class Numbers:
        param_groups = ({"params": [3]},)

        def step(self):
            raise AssertionError("no step")

    scaler = GradScaler("cpu")
    scaler.scale(dt.zeros(()))
    with pytest.raises(AssertionError, match="expected parameters to be tensors; got int"):
        scaler.unscale_(Numbers())


def test_bad_arguments():
    with pytest.raises(AssertionError, match="growth factor must be > 1"):
        GradScaler("cpu", growth_factor=1.0)
    with pytest.raises(AssertionError, match="backoff factor must be < 1"):
        GradScaler("cpu", backoff_factor=1.0)
    if not dt.cuda.is_available():
        with pytest.warns(UserWarning, match="CUDA is not available. Disabling"):
            scaler = GradScaler()
        assert not scaler.is_enabled()
    scaler, _, _ = ready()
    for wrong in (dt.ones(2), dt.ones(1, requires_grad=True), dt.ones(1, device="meta")):
        with pytest.raises(AssertionError, match="new_scale should be a float or a 1-element Tensor"):
            scaler.update(wrong)


def test_disabled_scaler_does_nothing():
    scaler, optimizer = GradScaler("cpu", enabled=False), ready()[1]
    x = dt.tensor(2.0)
    assert scaler.scale(x) is x
    start = optimizer.param_groups[0]["params"][0].tolist()
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    assert optimizer.param_groups[0]["params"][0].tolist() != start
    assert (scaler.get_scale(), scaler.state_dict()) == (1.0, {})
    scaler.load_state_dict({})


def test_a_disabled_scaler_has_no_numbers_to_ask_for():
    scaler = GradScaler("cpu", growth_factor=0.5, enabled=False)
    for name in ("get_growth_factor", "get_backoff_factor", "get_growth_interval", "_get_scale_async"):
        with pytest.raises(AttributeError, match="'GradScaler' object has no attribute"):
            getattr(scaler, name)()
    scaler.set_growth_interval(5)
    restored = pickle.loads(pickle.dumps(scaler))
    assert vars(restored) == {"_device": "cpu", "_enabled": False, "_growth_interval": 5}
    assert (restored.get_growth_interval(), restored._get_growth_tracker()) == (5, 0)


def test_state_dict_round_trip():
    scaler, optimizer, _ = ready()
    scaler.set_growth_interval(5)
    scaler.step(optimizer)
    scaler.update()
    saved = scaler.state_dict()
    expected = {"scale": 65536.0, "growth_factor": 2.0, "backoff_factor": 0.5, "growth_interval": 5}
    assert saved == expected | {"_growth_tracker": 1}
    fresh, begun = GradScaler("cpu", init_scale=2.0), ready()[0]
    for other in (fresh, begun, copy.deepcopy(fresh), pickle.loads(pickle.dumps(scaler))):
        other.load_state_dict(saved)
        assert other.state_dict() == saved
        other.scale(dt.zeros(()))
        assert other.state_dict() == saved
    with pytest.raises(RuntimeError, match="source state dict is empty"):
        fresh.load_state_dict({})


def test_scale_may_be_set():
    scaler, _, _ = ready()
    scaler.update(new_scale=16.0)
    assert scaler.get_scale() == 16.0
    scaler.update(dt.tensor([4.0]))
    assert scaler.get_scale() == 4.0
    scaler.set_growth_factor(3.0)
    scaler.set_backoff_factor(0.1)
    assert (scaler.get_growth_factor(), scaler.get_backoff_factor(), scaler.get_growth_interval()) == (
        3.0,
        0.1,
        2000,
    )


def test_schedule_after_a_skipped_first_step_says_so():
    """As in PyTorch: where the flag is read, the optimizer's step was not called."""
    scaler, optimizer, p = ready()
    schedule_ = optim.lr_scheduler.StepLR(optimizer, 1)
    p.grad.mul_(float("nan"))
    scaler.step(optimizer)
    scaler.update()
    with pytest.warns(UserWarning, match=r"before `optimizer.step\(\)`"):
        schedule_.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.01)


def test_small_network_trains_in_float16(device):
    """Two layers learn XOR of two signs; the gradients would vanish without a scale."""
    draw = np.random.default_rng(0)
    inputs = draw.normal(size=(256, 2)).astype(np.float32)
    targets = (inputs[:, :1] * inputs[:, 1:] > 0).astype(np.float32)
    x, y = dt.tensor(inputs, device=device), dt.tensor(targets, device=device)
    w1, b1, w2, b2 = (
        dt.tensor(draw.normal(size=shape) * 0.7, dtype=dt.float32, device=device, requires_grad=True)
        for shape in ((2, 16), (16,), (16, 1), (1,))
    )
    optimizer = optim.Adam([w1, b1, w2, b2], lr=0.02)
    scaler = GradScaler(device, growth_interval=40)
    scales = set()
    for _ in range(200):
        optimizer.zero_grad()
        with autocast(device, dtype=dt.float16):
            hidden = (x @ w1 + b1).tanh()
            logits = hidden @ w2 + b2
            assert (hidden @ w2).dtype is dt.float16
            # Tiny on purpose, as gradients of deep nets are: unscaled, most of them round to 0 in float16.
            loss = dt.nn.functional.binary_cross_entropy_with_logits(logits, y) * 2.0**-12
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        for p in (w1, b1, w2, b2):
            p.grad.mul_(2.0**12)
        scaler.step(optimizer)
        scaler.update()
        scales.add(scaler.get_scale())
    assert loss.item() * 2.0**12 < 0.15
    assert len(scales) > 1
    assert all(p.dtype is dt.float32 for p in (w1, b1, w2, b2))


@pytest.fixture
def reads(monkeypatch):
    """Counts the host's reads from the device whose reads are not free."""
    backend, found = dt.device("strict").backend, []
    assert not getattr(backend, "host_reads_are_free", False)
    download = backend.download
    monkeypatch.setattr(backend, "download", lambda array: found.append(1) or download(array))
    return found


def whole_step(optimizer, scaler, params, bad):
    """Forward in float16, backward, clipping, step and update."""
    optimizer.zero_grad()
    with autocast("strict", dtype=dt.float16):
        loss = sum((p @ p.mT if p.dim() == 2 else p * p).float().mean() for p in params)
    scaler.scale(loss * (float("inf") if bad else 1.0)).backward()
    scaler.unscale_(optimizer)
    dt.nn.utils.clip_grad_norm_(params, 1.0)
    scaler.step(optimizer)
    scaler.update()


@pytest.mark.parametrize(("name", "values"), KINDS)
def test_a_whole_step_reads_nothing_on_the_host(reads, name, values):
    params = params_of("strict", *shapes_for(name))
    optimizer = getattr(optim, name)(params, **values)
    scaler = GradScaler("strict", init_scale=4.0)
    for step in range(4):
        before = None
        if step == 2:
            before = bits(optimizer)
            reads.clear()
        whole_step(optimizer, scaler, params, bad=step == 2)
        if step == 2:
            assert not reads
            assert bits(optimizer) == before
            reads.clear()
        assert not reads
    assert scaler.get_scale() == 2.0
    assert len(reads) == 1


def counting(optimizer_class):
    """A stranger's optimizer: its step does what no masked write undoes."""

    class Stranger(optimizer_class):
        steps = 0

        def step(self, closure=None):
            self.steps += 1
            return super().step(closure)

    return Stranger


@pytest.mark.parametrize("bad", [False, True])
def test_a_step_of_a_strangers_own_costs_one_read(reads, bad):
    params = params_of("strict", (3,))
    optimizer = counting(optim.SGD)(params, lr=0.1)
    scaler = GradScaler("strict", init_scale=4.0)
    whole_step(optimizer, scaler, params, bad)
    assert len(reads) == 1
    assert optimizer.steps == (0 if bad else 1)


@pytest.mark.parametrize("bad", [False, True])
def test_hooks_and_patches_are_not_run_in_a_skipped_step(reads, bad):
    params, called = params_of("strict", (3,)), []
    optimizer = optim.SGD(params, lr=0.1)
    handle = optimizer.register_step_post_hook(lambda *arguments: called.append("hook"))
    scaler = GradScaler("strict", init_scale=4.0)
    whole_step(optimizer, scaler, params, bad)
    assert called == ([] if bad else ["hook"])
    handle.remove()
    step = optimizer.step
    optimizer.step = lambda: called.append("patch") or step()
    whole_step(optimizer, scaler, params, bad)
    assert called == ([] if bad else ["hook", "patch"])
    assert len(reads) == 2


class Divides(optim.SGD):
    """An optimizer that unscales and skips by itself, as fused ones do."""

    _step_supports_amp_scaling = True

    def step(self, closure=None):
        self.seen = None if self.grad_scale is None else self.grad_scale.item(), float(self.found_inf)


class TakesTheScaler(optim.SGD):
    _step_supports_amp_scaling = True

    def step(self, closure=None, grad_scaler=None):
        self.seen = grad_scaler


def test_an_optimizer_that_unscales_by_itself():
    (p,) = params_of("cpu", (2,))
    optimizer, scaler = Divides([p], lr=0.1), GradScaler("cpu", init_scale=8.0)
    scaler.scale(dt.zeros(()))
    give([p], 0, float("inf"))
    given = p.grad.tolist()
    scaler.step(optimizer)
    assert optimizer.seen == (8.0, 1.0)
    assert p.grad.tolist() == given
    assert not hasattr(optimizer, "grad_scale")
    scaler.update()
    assert scaler.get_scale() == 4.0
    give([p], 0)
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    assert optimizer.seen == (None, 0.0)
    older = TakesTheScaler([p], lr=0.1)
    with pytest.warns(FutureWarning, match="argument `grad_scaler`"):
        scaler.step(older)
    assert older.seen is scaler


def test_private_methods_that_scripts_use():
    scaler, optimizer, p = ready()
    assert scaler._check_scale_growth_tracker("step") == (scaler._scale, scaler._growth_tracker)
    assert scaler._get_scale_async() is scaler._scale
    give([p], 0, float("nan"))
    before = p.grad.tolist()
    (flag,) = scaler._check_inf_per_device(optimizer).values()
    assert flag.item() == 1.0
    assert str(p.grad.tolist()) == str(before)
    assert scaler._found_inf_per_device(optimizer)[p.device] is flag
    assert scaler._per_optimizer_states[id(optimizer)]["stage"] is OptState.READY
    give([p], 0)
    one, zero = dt.tensor(0.5), dt.tensor(0.0)
    before = p.grad.tolist()
    assert scaler._unscale_grads_(optimizer, one, zero, False)[p.device].item() == 0.0
    assert p.grad.tolist() == [x / 2 for x in before]
    flags = {"found_inf_per_device": {p.device: dt.tensor(1.0)}}
    assert scaler._maybe_opt_step(optimizer, flags) is None
    scaler._unscale_grads_ = lambda o, inverse, found, allowed: {p.device: found + 1.0}
    scaler.step(optimizer)
    assert scaler._found_inf_per_device(optimizer)[p.device].item() == 1.0


def test_half_gradients_may_be_allowed():
    """As scripts do that train float16 weights: with another answer to whether float16 is allowed."""
    p = dt.ones(2, dtype=dt.float16, requires_grad=True)
    optimizer, scaler = optim.SGD([p], lr=1.0), GradScaler("cpu", init_scale=4.0)
    scaler.scale(dt.zeros(()))
    p.grad = dt.full((2,), 2.0, dtype=dt.float16)
    unscale = scaler._unscale_grads_
    scaler._unscale_grads_ = lambda o, inverse, found, allowed: unscale(o, inverse, found, True)
    scaler.step(optimizer)
    assert p.tolist() == [0.5, 0.5]


def test_losses_in_float64_and_iterables():
    scaler = GradScaler("cpu", init_scale=4.0)
    assert scaler.scale(dt.tensor(2.0, dtype=dt.float64)).dtype is dt.float64
    assert scaler._scale.dtype is dt.float32
    assert isinstance(scaler.scale([dt.tensor(1.0)]), list)
    assert isinstance(scaler.scale({dt.tensor(1.0)}), map)


@pytest.mark.parametrize("first", ["float32", "float64"])
@pytest.mark.parametrize("bad", [None, 0, 1, 2])
def test_gradients_of_several_dtypes_are_all_divided_and_looked_at(first, bad):
    second = {"float32": "float64", "float64": "float32"}[first]
    parameters = [dt.ones(3, dtype=getattr(dt, name), requires_grad=True) for name in (first, second, first)]
    optimizer = dt.optim.SGD(parameters, lr=1.0)
    scaler = dt.amp.GradScaler("cpu", init_scale=8.0)
    scaler.scale(dt.ones(()))
    for place, p in enumerate(parameters):
        p.grad = dt.full((3,), 8.0, dtype=p.dtype)
        if place == bad:
            p.grad[1] = float("inf")
    scaler.step(optimizer)
    assert all(p.grad[0].item() == 1.0 for p in parameters)
    assert all(p.tolist() == [0.0 if bad is None else 1.0] * 3 for p in parameters)
    scaler.update()
    assert scaler.get_scale() == (8.0 if bad is None else 4.0)
