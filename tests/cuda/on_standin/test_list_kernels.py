"""List ops by one launch over all tensors: kernels against bodies, what a step launches, what is declined."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import devtensor as dt
from devtensor import amp, nn, optim
from devtensor.core.lists import LIST_OPS
from devtensor.testing import list_ops

pytestmark = pytest.mark.usefixtures("compiler")

SHAPES = [(3, 4), (5,), (2, 3, 2), (), (0,)]
OPTIMIZERS = {
    "SGD": lambda p: optim.SGD(p, lr=0.1),
    "SGD momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1, nesterov=True),
    "SGD dampening": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.5, maximize=True),
    "Adam": lambda p: optim.Adam(p, lr=0.1, amsgrad=True),
    "Adam fused": lambda p: optim.Adam(p, lr=0.1, fused=True),
    "SGD fused": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, fused=True),
    "Adam tensor lr": lambda p: optim.Adam(p, lr=dt.tensor(0.1, device="cuda"), capturable=True),
    "AdamW": lambda p: optim.AdamW(p, lr=0.1, maximize=True),
    "Adagrad": lambda p: optim.Adagrad(p, lr=0.1, lr_decay=0.1),
    "RMSprop": lambda p: optim.RMSprop(p, lr=0.1, momentum=0.9, centered=True),
}


@pytest.fixture
def backend():
    return dt.device("cuda").backend


def parameters(shapes=SHAPES, dtype=dt.float32):
    rng = np.random.default_rng(1)
    return [nn.Parameter(dt.tensor(rng.normal(size=s), dtype=dtype, device="cuda")) for s in shapes]


def give_gradients(params, seed, planted=None):
    rng = np.random.default_rng(seed)
    for p in params:
        p.grad = dt.tensor(rng.normal(size=p.shape) * 8, dtype=p.dtype, device="cuda")
    if planted is not None:
        params[1].grad[3] = planted


def bits(tensors):
    return [t.detach().cpu().numpy().tobytes() for t in tensors]


def kernels_of(counts):
    return {name.removeprefix("kernel "): n for name, n in counts.items() if name.startswith("kernel ")}


def test_every_list_op_has_a_kernel(backend):
    assert set(backend.list_kernels) == set(LIST_OPS)


@pytest.mark.parametrize("name", sorted(LIST_OPS))
def test_a_kernel_means_what_the_body_says(name):
    assert list_ops.check_list_op(LIST_OPS[name], "cuda") == len(list_ops.FLOATS)


def trained(make, unscales, steps=4):
    """Parameters and state after some steps, one of them skipped."""
    params = parameters()
    optimizer, scaler = make(params), amp.GradScaler("cuda", init_scale=8.0)
    scaler.scale(dt.tensor(1.0, device="cuda"))
    for step in range(steps):
        give_gradients(params, step, float("nan") if step == 2 else None)
        kept = bits([*params, *state_of(optimizer)]) if step == 2 else None
        if unscales:
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(params, 1.0)
        scaler.step(optimizer)
        assert kept is None or bits([*params, *state_of(optimizer)]) == kept
        scaler.update()
    return [*params, *state_of(optimizer), *[p.grad for p in params]], scaler.get_scale()


def state_of(optimizer):
    return [value for state in optimizer.state.values() for value in state.values()]


@pytest.mark.parametrize("unscales", [False, True])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_by_kernels_is_training_by_bodies(name, unscales, backend, monkeypatch, counts):
    by_kernels, scale = trained(OPTIMIZERS[name], unscales)
    assert counts["kernels"]
    monkeypatch.setitem(backend.__dict__, "list_kernels", {})
    counts.clear()
    by_bodies, same_scale = trained(OPTIMIZERS[name], unscales)
    assert not counts["kernels"] and scale == same_scale == 4.0
    for got, wanted in zip(by_kernels, by_bodies, strict=True):
        np.testing.assert_allclose(got.detach().cpu().numpy(), wanted.detach().cpu().numpy(), 1e-5, 1e-6)


def test_a_step_of_many_parameters_is_one_launch_that_nobody_waits_for(counts):
    params = parameters([(3, 4)] * 40)
    optimizer, scaler = optim.AdamW(params, lr=0.1), amp.GradScaler("cuda")
    scaler.scale(dt.tensor(1.0, device="cuda"))
    for step in range(2):
        give_gradients(params, step)
        counts.clear()
        scaler.unscale_(optimizer)
        assert kernels_of(counts) == {"multi_unscale_float32": 1}
        counts.clear()
        nn.utils.clip_grad_norm_(params, 1.0)
        clips = {"multi_square_sums_float32": 1, "norm_of_sums": 1, "multi_clip_float32": 1}
        assert kernels_of(counts) == clips and counts["launches"] <= 5 and not counts["synchronisations"]
        counts.clear()
        scaler.step(optimizer)
        scaler.update()
        assert kernels_of(counts) == {"steps_advance": 1, "multi_adam_float32": 1, "scale_adapt": 1}
        assert not counts["synchronisations"]
    # The first step made the state; a table is made where gradients came to lie elsewhere.
    assert counts["launches"] <= 4


def test_a_step_without_a_scaler_launches_its_kernels_and_nothing_else(counts):
    params = parameters([(3, 4)] * 40)
    optimizer = optim.Adam(params, lr=0.1)
    give_gradients(params, 0)
    optimizer.step()
    counts.clear()
    optimizer.step()
    assert kernels_of(counts) == {"steps_advance": 1, "multi_adam_float32": 1}
    assert counts["launches"] == counts["kernels"] and not counts["synchronisations"]


def test_each_dtype_is_a_launch_of_its_own(counts):
    params = parameters() + parameters(dtype=dt.float64) + parameters(dtype=dt.bfloat16)
    optimizer = optim.SGD(params, lr=0.1)
    give_gradients(params, 0)
    counts.clear()
    optimizer.step()
    assert kernels_of(counts) == {f"multi_sgd_{name}": 1 for name in ("float32", "float64", "bfloat16")}
    norm = nn.utils.clip_grad_norm_(params[:5] + params[5:10], 1.0)
    grads = [p.grad.double() for p in params[:10]]
    assert norm.dtype is dt.float64 and norm.item() > 1.0
    assert sum((g * g).sum() for g in grads).sqrt().item() == pytest.approx(1.0, rel=1e-5)


def test_a_steady_step_uploads_no_table(backend):
    params = parameters()
    optimizer = optim.Adam(params)
    give_gradients(params, 0)
    optimizer.step()
    before = backend.lists.tables.uploads
    for _ in range(3):
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)
    assert backend.lists.tables.uploads == before


def test_more_of_the_same_memory_is_a_table_of_its_own():
    memory, gradients = dt.zeros(8, device="cuda"), dt.ones(8, device="cuda")
    for size in (4, 8):
        p = memory[:size]
        p.grad = gradients[:size]
        optim.SGD([p], lr=1.0).step()
    assert memory.tolist() == [-2.0] * 4 + [-1.0] * 4


def test_each_group_s_numbers_are_taken_anew_at_each_step(counts):
    params = [nn.Parameter(dt.zeros(2, device="cuda")) for _ in range(2)]
    for p in params:
        p.grad = dt.ones_like(p)
    optimizer = optim.SGD([{"params": params[:1], "lr": 0.5}, {"params": params[1:], "lr": 0.25}])
    counts.clear()
    optimizer.step()
    optimizer.param_groups[0]["lr"] = 2.0
    optimizer.param_groups[1]["weight_decay"] = 1.0
    optimizer.step()
    assert kernels_of(counts) == {"multi_sgd_float32": 4}
    assert [p.tolist() for p in params] == [[-2.5] * 2, [-0.4375] * 2]


def test_tables_are_given_back(backend):
    params = parameters()
    give_gradients(params, 0)
    optim.SGD(params).step()
    assert backend.lists.tables.kept
    dt.cuda.empty_cache()
    assert not backend.lists.tables.kept
    for seed in range(80):
        many = parameters([(2,)] * (seed + 1))
        give_gradients(many, 0)
        optim.SGD(many).step()
    assert 0 < len(backend.lists.tables.kept) <= 64


def test_streams_have_tables_of_their_own(backend):
    params = parameters()
    give_gradients(params, 0)
    optimizer = optim.SGD(params)
    optimizer.step()
    before = backend.lists.tables.uploads
    side = dt.cuda.Stream()
    side.wait_stream(dt.cuda.current_stream())
    with dt.cuda.stream(side):
        optimizer.step()
    assert backend.lists.tables.uploads == before + 1


def test_the_second_device_steps_on_its_own():
    params = [nn.Parameter(p.detach().to("cuda:1")) for p in parameters()]
    for p in params:
        p.grad = dt.ones_like(p)
    before = [p.detach().cpu().numpy() for p in params]
    optim.SGD(params, lr=0.5).step()
    for p, start in zip(params, before, strict=True):
        np.testing.assert_allclose(p.detach().cpu().numpy(), start - 0.5)


DECLINED = {
    "overlapping parameters": lambda base: [base[:4], base[2:]],
    "a parameter twice": lambda base: [base, base],
    "steps between elements": lambda base: [base[::2]],
    "complex numbers": lambda base: [dt.view_as_complex(base.view(3, 2))],
}


@pytest.mark.parametrize("name", DECLINED)
def test_what_a_kernel_cannot_take_is_done_by_the_body(name, counts):
    found = DECLINED[name](dt.arange(6.0, device="cuda"))
    wanted = [t.detach().cpu() for t in DECLINED[name](dt.arange(6.0))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for params in (found, wanted):
            for p in params:
                p.grad = dt.ones_like(p)
        counts.clear()
        optim.SGD(found, lr=0.5).step()
    assert not counts["kernels"]
    # One after the other: where parameters overlap, both steps are taken.
    base = dt.arange(6.0)
    for p in DECLINED[name](base):
        p.sub_(dt.ones_like(p) * 0.5)
    for got, right in zip(found, DECLINED[name](base), strict=True):
        assert got.cpu().tolist() == right.tolist()


def test_a_gradient_that_is_named_twice_is_read_by_the_kernel_and_written_by_the_body(counts):
    p = nn.Parameter(dt.zeros(2, device="cuda"))
    p.grad = dt.tensor([3.0, 4.0], device="cuda")
    norm = nn.utils.clip_grad_norm_([p, p], 1.0)
    assert kernels_of(counts) == {"multi_square_sums_float32": 1, "norm_of_sums": 1}
    assert norm.item() == pytest.approx(50**0.5)
    np.testing.assert_allclose(p.grad.cpu().numpy(), [3 / 50, 4 / 50], 1e-5)


def test_channels_last_parameters_are_taken(counts):
    p = nn.Parameter(dt.arange(24.0, device="cuda").reshape(1, 2, 3, 4).to(memory_format=dt.channels_last))
    p.grad = dt.ones_like(p)
    optimizer = optim.Adam([p], lr=0.5)
    counts.clear()
    optimizer.step()
    assert counts["kernels"] == 2
    wanted = dt.arange(24.0).reshape(1, 2, 3, 4) - 0.5
    np.testing.assert_allclose(p.detach().cpu().numpy(), wanted.numpy(), 1e-6, 1e-6)
    q = nn.Parameter(dt.arange(24.0, device="cuda").reshape(1, 2, 3, 4).to(memory_format=dt.channels_last))
    q.grad = dt.arange(24.0, device="cuda").reshape(1, 2, 3, 4)
    counts.clear()
    optim.SGD([q], lr=0.5).step()
    assert not counts["kernels"]
    assert q.tolist() == (dt.arange(24.0) * 0.5).reshape(1, 2, 3, 4).tolist()


def test_a_rule_of_a_subclass_is_stepped_by_itself(counts):
    class Halved(optim.SGD):
        def update(self, p, g, s, h):
            return g * 0.5

    params = parameters([(3,)])
    give_gradients(params, 0)
    wanted = (params[0].detach() - params[0].grad * 0.5).tolist()
    counts.clear()
    Halved(params).step()
    assert not counts["kernels"] and params[0].tolist() == wanted


def test_listeners_hear_the_body(counts):
    params = parameters([(3,)])
    give_gradients(params, 0)
    optimizer = optim.SGD(params, lr=0.5)
    counts.clear()
    with pytest.warns(UserWarning, match="Anomaly"), dt.autograd.detect_anomaly(check_nan=False):
        optimizer.step()
    with dt.profiler.profile():
        optimizer.step()
    assert not counts["kernels"]
    with dt.autocast("cuda"):
        optimizer.step()
    assert counts["kernels"] == 1


def test_a_source_that_does_not_compile_warns_once_and_the_body_works(backend, monkeypatch):
    from devtensor_cupy import launching
    from devtensor_cupy.compile.registry import Source

    spoilt = launching.Launcher()
    monkeypatch.setattr("devtensor_cupy.lists.launcher", spoilt)
    monkeypatch.setattr(launching.SOURCES, "of", lambda entry: Source("broken", "#error nothing here", {}))
    params = parameters([(3,)])
    give_gradients(params, 0)
    wanted = (params[0].detach() - params[0].grad * 0.5).tolist()
    with pytest.warns(RuntimeWarning, match=r"\[broken\] .* op by op: .*does not compile for sm_90") as told:
        optim.SGD(params, lr=0.5).step()
        optim.SGD(params, lr=0.0).step()
    assert len(told) == 1 and params[0].tolist() == wanted


def test_debug_mode_names_the_op_of_a_fault(backend, monkeypatch):
    from cupy._machine import faults

    from devtensor_cupy import kernels

    monkeypatch.setattr(kernels, "DEBUG", True)
    monkeypatch.setitem(backend.__dict__, "list_kernels", kernels.watched_lists(backend.lists.table()))
    params = parameters([(3,)] * 2)
    give_gradients(params, 0)
    faults.pending = "cudaErrorIllegalAddress"
    with pytest.raises(
        dt.core.errors.DeviceError, match=r"\[sgd_step\] .*IllegalAddress.*2 x \(float32\[3\]\)"
    ):
        optim.SGD(params, lr=0.5).step()
