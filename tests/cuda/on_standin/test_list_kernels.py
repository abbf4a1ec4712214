"""List ops by one launch over all tensors: kernels against bodies, their tables, and what is declined."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import devtensor as dt
from devtensor import nn, optim
from devtensor.core.lists import LIST_OPS
from devtensor.optim.list_steps import StepOp
from devtensor.testing import list_ops
from list_runs import give_gradients, kernels_of, parameters

pytestmark = pytest.mark.usefixtures("compiler")


@pytest.fixture
def backend():
    return dt.device("cuda").backend


def test_every_list_op_has_a_kernel(backend):
    assert set(backend.list_kernels) == set(LIST_OPS)


def test_a_step_s_kernel_takes_what_the_op_gives():
    from devtensor_cupy.compile.steps import OWN
    from devtensor_cupy.steps import STEPS

    assert {op.rule.__name__.lower() for op in LIST_OPS.values() if isinstance(op, StepOp)} == {*STEPS, *OWN}
    for rule, step in STEPS.items():
        op = LIST_OPS[f"{rule}_step"]
        assert op.told == tuple(step.hyperparameters.split())
        assert op.lists[step.counts] == "step" and op.counts == {*op.lists[step.counts :]}


@pytest.mark.parametrize("name", sorted(LIST_OPS))
def test_a_kernel_means_what_the_body_says(name):
    assert list_ops.check_list_op(LIST_OPS[name], "cuda") == len(list_ops.FLOATS)


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
