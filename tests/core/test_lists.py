"""Ops over lists of tensors: when a device's kernel is called, with what, and what the body is left."""

from __future__ import annotations

import numpy as np
import pytest

import devtensor as dt
from devtensor import optim
from devtensor.amp.masked_writes import masked_writes
from devtensor.core.device import resolve
from devtensor.core.lists import LIST_OPS, ListOp, grouped
from devtensor.graph import capture
from devtensor.testing import conformance, list_ops


def add_all(targets, others, amount, skip, times=1):
    """targets += amount * others, times over."""
    for place, t in enumerate(targets):
        t.add_((others[place] if others else 1) * amount * times)


@pytest.fixture
def op(monkeypatch):
    """An op with a kernel on the CPU, which notes its calls."""
    made = ListOp(
        "add_all", add_all, ["targets", "others", "amount", "skip", "times"], "targets others",
        numbers="amount skip", writes="targets", writes_with=("skip", "others"), skip="skip",
    )  # fmt: skip
    made.calls = []

    def kernel(targets, others, amount, skip, times):
        made.calls.append((targets, others, amount, skip, times))
        if times == "declined":
            return NotImplemented
        for place, t in enumerate(targets):
            if skip is None or not skip:
                t += (others[place] if others else 1) * amount * times
        return None

    backend = dt.device("cpu").backend
    monkeypatch.setattr(backend, "list_kernels", {"add_all": kernel}, raising=False)
    yield made
    del LIST_OPS["add_all"]


def pair():
    return [dt.tensor([1.0, 2.0]), dt.tensor(3.0)]


def test_a_kernel_gets_arrays_and_versions_rise(op):
    targets, others = pair(), pair()
    assert op(targets, others, 2.0, None, 3) is None
    (arrays, _, amount, skip, times), *more = op.calls
    assert not more and (amount, skip, times) == (2.0, None, 3)
    assert [type(a) for a in arrays] == [np.ndarray, np.ndarray] and arrays[0] is targets[0].array
    assert [t.tolist() for t in targets] == [[7.0, 14.0], 21.0]
    assert [t._version for t in targets] == [1, 1] and [t._version for t in others] == [0, 0]


def test_a_missing_list_is_empty(op):
    targets = pair()
    op(targets, [], 2.0, None, 1)
    assert len(op.calls) == 1 and [t.tolist() for t in targets] == [[3.0, 4.0], 5.0]


def test_what_is_written_with_a_number_counts_only_with_it(op):
    targets, others = pair(), pair()
    op(targets, others, 1.0, dt.tensor(0.0), 1)
    assert [t._version for t in others] == [1, 1] and len(op.calls) == 1


def test_a_layer_that_masks_writes_hands_its_flag_over(op):
    for flag, wanted in ((1.0, [1.0, 2.0]), (0.0, [3.0, 4.0])):
        targets = pair()
        with masked_writes(dt.tensor(flag, dtype=dt.float64)):
            op(targets, [], 2.0, None, 1)
        assert targets[0].tolist() == wanted
        given = op.calls[-1][3]
        assert given.dtype == np.float32 and given == flag
    # Two flags are more than a kernel takes.
    targets, before = pair(), len(op.calls)
    with masked_writes(dt.tensor(1.0)):
        op(targets, [], 2.0, dt.tensor(0.0), 1)
    assert len(op.calls) == before and targets[0].tolist() == [1.0, 2.0]


def test_a_view_s_base_is_told(op):
    base = dt.arange(6.0)
    op([base[:2], base[4:]], [], 10.0, None, 1)
    assert len(op.calls) == 1 and base._version == 2
    assert base.tolist() == [10.0, 11.0, 2.0, 3.0, 14.0, 15.0]


def test_backward_notices_what_a_kernel_wrote(op):
    x = dt.tensor([1.0, 2.0], requires_grad=True)
    weight = dt.tensor([3.0, 4.0])
    loss = (x * weight).sum()
    op([weight], [], 1.0, None, 1)
    assert op.calls
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_inference_tensors_are_refused(op):
    with dt.inference_mode():
        t = dt.tensor([1.0])
    with pytest.raises(RuntimeError, match="Inplace update to inference tensor"):
        op([t], [], 1.0, None, 1)
    assert t.tolist() == [1.0]


def body_alone(op, targets, others, amount=1.0, skip=None, times=1):
    """Whether the body did the work, and did it."""
    before = [t.tolist() for t in targets]
    calls = len(op.calls)
    op(targets, others, amount, skip, times)
    changed = all(a != b.tolist() for a, b in zip(before, targets, strict=True) if b.numel())
    return len(op.calls) == calls and changed


def test_what_does_not_fit_is_left_to_the_body(op):
    assert body_alone(op, pair(), [dt.tensor([1.0, 2.0], dtype=dt.float64), dt.tensor(1.0)])
    assert body_alone(op, [dt.tensor([1.0, 2.0])], [dt.tensor([[1.0]]).reshape(1)])
    assert body_alone(op, [dt.arange(6.0)[::2]], [])
    assert body_alone(op, [dt.ones(2, 3).t()], [dt.ones(3, 2)])
    assert body_alone(op, pair(), [], times=dt.tensor(2.0))
    assert body_alone(op, [dt.ones(3)], [], amount=dt.tensor([2.0]))
    assert not body_alone(op, [dt.ones(2, 3).t()], [dt.ones(2, 3).t()])
    assert not body_alone(op, pair(), [], amount=dt.tensor(2.0))


def test_a_kernel_may_decline(op, monkeypatch):
    monkeypatch.setattr(op, "body", lambda targets, *rest: [t.add_(5.0) for t in targets])
    targets = pair()
    op(targets, [], 1.0, None, "declined")
    assert len(op.calls) == 1 and targets[1].item() == 8.0 and targets[1]._version == 1


def test_autograd_hears_the_body(op):
    x = dt.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    op([y], [x], 3.0, None, 1)
    y.sum().backward()
    assert not op.calls and x.grad.tolist() == [5.0, 5.0]
    with dt.no_grad():
        op([y], [x], 3.0, None, 1)
    assert len(op.calls) == 1


def test_listeners_hear_the_body(op):
    with dt.profiler.profile() as profile:
        op(pair(), [], 1.0, None, 1)
    assert not op.calls and profile.events()
    with dt.autocast("cpu"):
        op(pair(), [], 1.0, None, 1)
    assert len(op.calls) == 1


def test_captured_graphs_hold_the_body(op):
    target = dt.tensor([1.0, 2.0])

    @capture
    def step(x):
        op([target], [], 1.0, None, 1)
        return x + target

    for k in range(4):
        assert step(dt.tensor([0.0, 0.0])).tolist() == [2.0 + k, 3.0 + k]
    assert not op.calls


def test_groups_are_of_one_device_and_dtype():
    a, b, c = dt.ones(1), dt.ones(2, dtype=dt.float64), dt.ones(3)
    found = [(kind.dtype, lists) for kind, lists in grouped([a, b, c], "abc")]
    assert found == [(dt.float32, [[a, c], ["a", "c"]]), (dt.float64, [[b], ["b"]])]


def test_lists_come_first_in_a_signature():
    with pytest.raises(AssertionError, match="lists come first"):
        ListOp("wrong", add_all, ["amount", "targets"], "targets")


def test_optimizers_know_their_kernels():
    params = [dt.tensor([1.0], requires_grad=True)]
    names = "SGD Adam AdamW Adamax NAdam RAdam Adagrad Adadelta RMSprop Rprop ASGD"
    for name in names.split():
        optimizer = getattr(optim, name)(params)
        assert optimizer.list_op.serves(optimizer), name
    assert optim.Adafactor.list_op is None

    class Other(optim.Adam):
        def factors(self, h):
            return super().factors(h)

    assert not Other.list_op.serves(Other(params))


def test_bodies_that_stand_for_kernels_pass_the_checks_and_prove_a_backend(monkeypatch):
    """A plug-in may bring kernels for list ops; `check_backend` then runs them."""
    backend = dt.backend.get("strict")

    def kernel_of(op):
        def kernel(*arrays):
            made = op.body(*map(of_tensors, arrays))
            return None if made is None else made.array

        return kernel

    def wrapped(array):
        kind = resolve("strict").kind(getattr(dt, backend.dtype_of(array)))
        return dt.core.tensor.wrap(array, kind)

    def of_tensors(value):
        if isinstance(value, list):
            return [wrapped(array) for array in value]
        return wrapped(value) if hasattr(value, "shape") else value

    names = "unscale_all", "norm_of_all", "clip_all", "adagrad_step"
    kernels = {name: kernel_of(LIST_OPS[name]) for name in names}
    monkeypatch.setattr(backend, "list_kernels", kernels, raising=False)
    assert sorted(op.name for op in list_ops.offered("strict")) == sorted(names)
    monkeypatch.setattr(conformance, "OPS", {})
    assert conformance.check_backend("strict") == len(names)
    monkeypatch.setitem(kernels, "clip_all", lambda *values: None)
    with pytest.raises(AssertionError, match=r"(?s)clip_all: list kernel: .*gradients"):
        conformance.check_backend("strict")
