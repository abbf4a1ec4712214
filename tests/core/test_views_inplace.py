"""Views and in-place writes: shared memory, versions, and the derivatives of code without writes."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable

import numpy as np
import pytest

import devtensor
from devtensor.autograd.engine import grad
from devtensor.core.errors import AutogradError, ShapeError, VersionError
from devtensor.core.inplace import write
from devtensor.core.tensor import Tensor, storage_of
from devtensor.testing import assert_close, to_numpy


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def leaf(array: np.ndarray, wanted: bool = True) -> Tensor:
    return devtensor.tensor(np.asarray(array, np.float64), requires_grad=wanted)


def check_derivatives(function: Callable[..., Tensor], *points: np.ndarray) -> None:
    """Gradients of the function's weighted sum, and their gradients, against central differences."""
    rng = np.random.default_rng(3)
    lines = [rng.normal(size=p.shape) for p in points]
    weight = rng.normal(size=function(*map(leaf, points)).shape)

    def first(step: float) -> tuple[list[Tensor], Tensor]:
        leaves = [leaf(p + step * v) for p, v in zip(points, lines, strict=True)]
        return leaves, (function(*leaves) * leaf(weight, False)).sum()

    def slope(step: float, create_graph: bool = False) -> tuple[list[Tensor], Tensor]:
        leaves, total = first(step)
        found = grad(total, leaves, create_graph=True, allow_unused=True)
        return leaves, sum(
            (g * leaf(v, False)).sum() for g, v in zip(found, lines, strict=True) if g is not None
        )

    step = 1e-5
    numeric = (first(step)[1].item() - first(-step)[1].item()) / (2 * step)
    leaves, along = slope(0.0)
    assert along.item() == pytest.approx(numeric, rel=1e-7, abs=1e-7)
    if along.requires_grad:
        curved = grad(along, leaves, allow_unused=True)
        second = sum(
            float((to_numpy(g) * v).sum()) for g, v in zip(curved, lines, strict=True) if g is not None
        )
        numeric = (slope(step)[1].item() - slope(-step)[1].item()) / (2 * step)
        assert second == pytest.approx(numeric, rel=1e-6, abs=1e-6)


VIEWS: dict[str, Callable[[Tensor], Tensor]] = {
    "slice": lambda x: x[1:3],
    "strided": lambda x: x[::2, 1::2],
    "int": lambda x: x[1],
    "element": lambda x: x[2, 3],
    "transpose": lambda x: x.t(),
    "reshape": lambda x: x.view(2, 8),
    "unsqueeze": lambda x: x[None, :, 1:2],
    "diagonal": lambda x: x.diagonal(),
    "expand of one": lambda x: x[0:1].expand(1, 4),
    "slice of transpose": lambda x: x.t()[1:3][:, 0:2],
    "row of reshape": lambda x: x.view(8, 2)[3],
    "transpose of slice": lambda x: x[1:].t()[2],
    "whole": lambda x: x[:],
}


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_shares_memory_and_version(name, rng):
    base = leaf(rng.normal(size=(4, 4)), False)
    view = VIEWS[name](base)
    assert storage_of(view) is storage_of(base)
    marks = np.zeros((4, 4))
    view.fill_(5.0)
    marks[to_numpy(base) == 5.0] = 1
    assert marks.sum() == view.numel() and base._version == view._version == 1
    base.zero_()
    assert not to_numpy(view).any() and view._version == 2


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("op", ["mul_", "add_", "copy_", "sigmoid_", "div_"])
def test_written_through_a_view_derivatives_are_right(name, op, rng):
    shape = VIEWS[name](devtensor.zeros(4, 4)).shape

    def function(x: Tensor, y: Tensor) -> Tensor:
        base = x * x
        view = VIEWS[name](base)
        getattr(view, op)(*(() if op == "sigmoid_" else (y * y + 1.0,)))
        return base * x + (view * view).mean().sin()

    check_derivatives(function, rng.uniform(0.5, 1.5, (4, 4)), rng.uniform(-0.5, 0.5, tuple(shape)))


@pytest.mark.parametrize("name", VIEWS)
def test_a_write_to_the_base_is_seen_by_old_views(name, rng):
    def with_writes(x: Tensor) -> Tensor:
        base = x.sin()
        view = VIEWS[name](base)
        base.mul_(x)
        return (view * view).sum()

    def without(x: Tensor) -> Tensor:
        view = VIEWS[name](x.sin() * x)
        return (view * view).sum()

    point = rng.normal(size=(4, 4))
    a, b = leaf(point), leaf(point)
    assert_close(grad(with_writes(a), a)[0], grad(without(b), b)[0], rtol=1e-13, atol=1e-13)
    check_derivatives(with_writes, point)


# Pairs: code with writes, and the same without.
PAIRS: dict[str, tuple[Callable[..., Tensor], Callable[..., Tensor]]] = {
    "two writes through two views": (
        lambda x, y: _do(x * 1, lambda b: (b[0].mul_(y[0]), b[:, 1].add_(y[:, 1]))),
        lambda x, y: (
            devtensor.cat([(x[0] * y[0])[None], x[1:]])
            + devtensor.stack([x[:, 0] * 0, y[:, 1], *[x[:, 0] * 0] * 2], 1)
        ),
    ),
    "a view of a view": (
        lambda x, y: _do(x * 1, lambda b: b[1:].t()[2].mul_(y[1:, 2])),
        lambda x, y: (
            x
            * devtensor.stack(
                [
                    y[:, 0] * 0 + 1,
                    y[:, 0] * 0 + 1,
                    devtensor.cat([y[:1, 0] * 0 + 1, y[1:, 2]]),
                    y[:, 0] * 0 + 1,
                ],
                1,
            )
        ),
    ),
    "the value read before and after": (
        lambda x, y: _read_twice(x, y),
        lambda x, y: (x * 2).sin() + (x * 2 * y).sin(),
    ),
    "added to itself": (lambda x, y: _do(x * y, lambda b: b.add_(b)), lambda x, y: x * y * 2),
    "its own other part": (
        lambda x, y: _do(x * y, lambda b: b[0].copy_(b[1])),
        lambda x, y: devtensor.cat([(x * y)[1:2], (x * y)[1:]]),
    ),
    "by a number": (lambda x, y: _do(x * y, lambda b: b.pow_(3)), lambda x, y: (x * y) ** 3),
    "zeroed in part": (
        lambda x, y: _do(x * y, lambda b: b[2].zero_()),
        lambda x, y: x * y * devtensor.tensor([1.0, 1.0, 0.0, 1.0], dtype=devtensor.float64)[:, None],
    ),
    "setitem": (
        lambda x, y: _do(x * 1, lambda b: b.__setitem__((slice(0, 2), 1), y[0, :2])),
        lambda x, y: devtensor.cat([x[:, :1], devtensor.cat([y[0, :2], x[2:, 1]])[:, None], x[:, 2:]], 1),
    ),
    "chain of writes": (
        lambda x, y: _do(x * 1, lambda b: b.mul_(y).add_(x).exp_()),
        lambda x, y: (x * y + x).exp(),
    ),
}


def _do(base: Tensor, action: Callable[[Tensor], object]) -> Tensor:
    action(base)
    return base


def _read_twice(x: Tensor, y: Tensor) -> Tensor:
    base = x * 2
    before = base.clone().sin()
    base.mul_(y)
    return before + base.sin()


@pytest.mark.parametrize("name", PAIRS)
def test_code_with_writes_equals_code_without(name, rng):
    written, plain = PAIRS[name]
    points = [rng.normal(size=(4, 4)) * 0.5 for _ in range(2)]
    a, b = [leaf(p) for p in points], [leaf(p) for p in points]
    first, second = written(*a), plain(*b)
    assert_close(first, second, rtol=1e-14, atol=1e-14)
    weight = leaf(rng.normal(size=(4, 4)), False)
    found, wanted = (
        grad(out, leaves, weight, allow_unused=True, materialize_grads=True)
        for out, leaves in ((first, a), (second, b))
    )
    assert_close(list(found), list(wanted), rtol=1e-13, atol=1e-13)
    check_derivatives(written, *points)


def test_the_version_error_names_op_tensor_and_versions():
    a, b = leaf(np.ones((3, 4))), leaf(np.ones((3, 4)))
    other = b * 2
    out = a * other
    other.add_(1)
    with pytest.raises(
        VersionError,
        match=r'\[mul\] .*inplace operation: "other" \(3, 4\) float64.* version 1; expected version 0',
    ):
        out.sum().backward()


def test_the_version_error_comes_for_saved_results_and_through_views():
    x = leaf(np.ones(3))
    out = x.exp()
    out[0:1].mul_(2)
    y = out.exp()
    out[1] = 7.0
    with pytest.raises(
        VersionError, match=r'\[exp\] .*inplace operation: "out" .*; write out of place, or clone'
    ):
        y = x.exp()
        y.detach().zero_()
        y.sum().backward()


def test_a_value_that_overwrites_itself_is_refused_when_it_is_needed():
    y = leaf(np.ones(3)) * 2
    y.mul_(y)
    assert y.tolist() == [4.0] * 3
    with pytest.raises(VersionError, match=r'\[mul\] .*inplace operation: "other" \(3,\)'):
        y.sum().backward()


def test_what_is_not_saved_may_be_overwritten():
    x = leaf(np.arange(3.0))
    y = x * 2
    z = y + 1
    y.zero_()
    z.sum().backward()
    assert x.grad.tolist() == [2.0, 2.0, 2.0]


def test_values_may_be_overwritten_where_their_places_are_kept():
    plane = leaf(np.arange(16.0).reshape(1, 1, 4, 4))
    model = devtensor.nn.Sequential(devtensor.nn.MaxPool2d(2), devtensor.nn.ReLU(inplace=True))
    model(plane).sum().backward()
    rows = np.array([0.0, 1.0, 0.0, 1.0])
    assert plane.grad.tolist() == [[np.outer(rows, rows).tolist()]]
    x = leaf(np.array([3.0, 1.0, 2.0]))
    values, _ = x.sort()
    values.mul_(devtensor.tensor([1.0, 2.0, 3.0], dtype=devtensor.float64))
    values.sum().backward()
    assert x.grad.tolist() == [3.0, 1.0, 2.0]


def prime() -> None:
    """Give in-place ops their memoised plans, so that their short path is what is tested."""
    for _ in range(2):
        target = devtensor.ones(3, 2)
        target.add_(1.0).add_(devtensor.ones(3, 2)).mul_(2.0).exp_()


def test_an_expanded_target_is_refused_and_left_alone():
    prime()
    base = devtensor.tensor([[1.0, 2.0]])
    wide = base.expand(3, 2)
    for action in (
        lambda: wide.add_(1.0),
        lambda: wide.add_(devtensor.ones(3, 2)),
        lambda: wide.copy_(devtensor.ones(3, 2)),
        lambda: wide.exp_(),
        lambda: wide[1:].mul_(2.0),
        lambda: base.unfold(1, 1, 1).expand(1, 2, 2).neg_(),
    ):
        with pytest.raises(ShapeError, match="one element of memory in several places; clone"):
            action()
    assert base.tolist() == [[1.0, 2.0]] and base._version == 0
    wide[0].mul_(2.0)
    assert base.tolist() == [[2.0, 4.0]]


def test_overlapping_windows_are_refused_and_separate_ones_written():
    prime()
    line = devtensor.arange(6.0)
    with pytest.raises(ShapeError, match="several places"):
        line.unfold(0, 3, 1).mul_(2.0)
    line.unfold(0, 3, 3).mul_(2.0)
    assert line.tolist() == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]


def test_leaves_that_require_grad_and_their_views_are_refused():
    x = leaf(np.ones(3))
    for action in (
        lambda: x.mul_(2),
        lambda: x[0:1].mul_(2),
        lambda: x.copy_(leaf(np.zeros(3))),
        lambda: x.zero_(),
    ):
        with pytest.raises(AutogradError, match="leaf"):
            action()
    with devtensor.no_grad():
        x.mul_(2)
        x[0:1].mul_(3)
    assert x.tolist() == [6.0, 2.0, 2.0] and x.is_leaf and x.requires_grad and x._version == 2


def test_detach_shares_memory_version_and_view():
    x = leaf(np.ones(4))
    y = x * 1
    alias = y.detach()
    assert not alias.requires_grad and alias.is_leaf and storage_of(alias) is storage_of(y)
    alias.zero_()
    assert y.tolist() == [0.0] * 4 and y._version == alias._version == 1
    part = y[1:3].detach()
    part.fill_(4)
    assert y.tolist() == [0.0, 4.0, 4.0, 0.0]


def test_a_view_taken_under_no_grad_shares_memory():
    y = leaf(np.ones(4)) * 1
    with devtensor.no_grad():
        view = y[0:2]
    view.detach().zero_()
    assert y.tolist() == [0.0, 0.0, 1.0, 1.0]


def test_write_is_the_primitive_and_records_nothing():
    x = leaf(np.ones(3))
    y = x * 2
    node = y.node
    write(y, leaf(np.zeros(3), False))
    assert y.tolist() == [0.0] * 3 and y.node is node and y._version == 1


def test_dead_views_are_forgotten():
    base = devtensor.zeros(4)
    for _ in range(1000):
        base[0:1]
    assert len(storage_of(base).views) < 64


@pytest.fixture
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_a_graph_is_freed_without_the_collector(no_collector):
    x = leaf(np.ones(3))
    hidden = (x * 2).exp()
    watched = [weakref.ref(hidden), weakref.ref(hidden.node)]
    out = (hidden.sigmoid() * hidden).sum()
    out.backward(retain_graph=True)
    del hidden
    assert watched[1]() is not None
    del out
    assert [ref() for ref in watched] == [None, None]


def test_writes_through_views_leave_no_cycle(no_collector):
    x = leaf(np.ones((3, 3)))
    base = x * 2
    view = base[1]
    view.mul_(x[0])
    base.add_(1)
    out = (view * base).sum()
    watched = [weakref.ref(t) for t in (base, view, out, out.node)]
    out.backward()
    del base, view, out
    assert [ref() for ref in watched] == [None] * 4


def test_double_backward_leaves_no_cycle(no_collector):
    x = leaf(np.ones(3))
    out = (x.exp() * x).sum()
    (g,) = grad(out, x, create_graph=True)
    (h,) = grad(g.sum(), x)
    watched = [weakref.ref(t) for t in (out, g, h, g.node)]
    del out, g, h
    assert [ref() for ref in watched] == [None] * 4


def test_a_view_taken_under_no_grad_is_not_written_while_the_tape_listens():
    x = devtensor.ones(3, requires_grad=True)
    inner, ones = x * 2, devtensor.ones(3)
    for base, text in ((inner, "created in no_grad mode"), (x, "created in no_grad mode")):
        with devtensor.no_grad():
            view = base.view(3)
        for change in (
            lambda v: v.mul_(2),
            lambda v: v.mul_(ones),
            lambda v: v.exp_(),
            lambda v: v.copy_(ones),
        ):
            with pytest.raises(AutogradError, match=text):
                change(view)
        with devtensor.no_grad():
            view.mul_(3)
    assert inner.tolist() == [6.0] * 3 and x.tolist() == [3.0] * 3


def test_a_view_of_what_became_a_leaf_that_requires_grad_is_not_written():
    x = devtensor.ones(3)
    view = x[1:]
    x.requires_grad_()
    with pytest.raises(AutogradError, match="view of a leaf Variable"):
        view.add_(1)
