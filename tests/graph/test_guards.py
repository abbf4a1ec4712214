"""What a graph relied on and no longer holds is learnt anew, or refused; it is never replayed."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import devtensor as torch
from devtensor import nn
from devtensor.core.errors import TraceError
from devtensor.core.feed import depend, feed
from devtensor.graph import TensorSpec, capture, trace


def learnt(function, *args):
    """The function captured and replayed at least once."""
    step = capture(function)
    for _ in range(3):
        step(*args)
    assert step.replays == 1
    return step


def refused(function, *args, text):
    step = capture(function)
    with pytest.raises(TraceError, match=text):
        for _ in range(9):
            step(*args)


def test_python_values_returned_are_part_of_the_graph():
    count = iter(range(99))
    refused(lambda x: (x * 2, next(count)), torch.ones(2), text="return other Python values")


def test_logic_that_alternates_is_refused():
    count = iter(range(99))
    refused(lambda x: x * (2 + next(count) % 2), torch.ones(2), text=r"in a row(.|\n)*test_guards")


def test_buffers_swapped_inside_are_refused():
    held = [torch.zeros(2), torch.ones(2)]

    def step(x):
        held.reverse()
        return held[0].add_(x) * 1

    refused(step, torch.ones(2), text="other memory")


@pytest.mark.parametrize("changes", [[2.0, 5.0], [2, 2.0], [True, 1], [0.0, -0.0]])
def test_what_the_graph_depends_on_is_compared_by_value_and_class(changes):
    held, x = [changes[0]], torch.ones(1, dtype=torch.int64)
    step = learnt(lambda x: x * depend(lambda: held)[0], x)
    held[0] = changes[1]
    result = step(x)
    assert result.dtype is (x * changes[1]).dtype and str(result.tolist()) == str((x * changes[1]).tolist())


@pytest.mark.parametrize("before, after", [(2.0, torch.tensor([4.0])), (torch.tensor(4.0), 2.0)])
def test_a_fed_number_becomes_a_tensor_or_a_tensor_a_number(before, after):
    held, x = [before], torch.ones(1)
    step = learnt(lambda x: x * feed(lambda: held[0]), x)
    held[0] = after
    assert step(x).tolist() == [float(after)]


def test_a_getter_that_fails_lets_the_function_fail():
    held, x = {"rate": 2.0}, torch.ones(1)
    step = learnt(lambda x: x * feed(lambda: held["rate"]), x)
    del held["rate"]
    with pytest.raises(KeyError, match="rate"):
        step(x)
    held["rate"] = 3.0
    assert step(x).tolist() == [3.0]


def test_a_traced_graph_reads_what_is_fed_at_each_run():
    held = [2.0]
    traced = trace(lambda x: x * feed(lambda: held[0]), TensorSpec((1,)))
    assert traced.run(torch.ones(1)).tolist() == [2.0]
    held[0] = 3.0
    assert traced.run(torch.ones(1)).tolist() == [3.0]


def test_the_default_dtype_is_part_of_the_key():
    x = torch.ones(2)
    step = learnt(lambda x: torch.zeros(2) + x, x)
    torch.set_default_dtype(torch.float64)
    try:
        assert step(x).dtype is torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("value", [{1.0}, np.ones(1), bytearray(1)], ids=["set", "array", "bytes"])
def test_arguments_that_change_without_notice_are_refused(value):
    refused(lambda x, y: x, torch.ones(1), value, text="may change without notice")


def test_a_bad_index_is_explained_as_in_eager_code():
    w = torch.ones(3, 2)
    step = learnt(lambda i: nn.functional.embedding(i, w), torch.tensor([0, 1]))
    wrong = torch.tensor([0, 7])
    for _ in range(3):
        step(torch.tensor([0, 1]))
    with pytest.raises(IndexError) as eager:
        nn.functional.embedding(wrong, w)
    with pytest.raises(type(eager.value)) as replayed:
        step(wrong)
    assert str(replayed.value) == str(eager.value)


def test_train_and_eval_in_turn():
    model, twin = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    step = capture(torch.no_grad(model.forward))
    for number in range(12):
        model.train(number % 2 == 0)
        twin.train(number % 2 == 0)
        x = torch.randn(4, 3)
        with torch.no_grad():
            assert step(x).tolist() == twin(x).tolist()
        assert model.running_var.tolist() == twin.running_var.tolist()


def test_a_program_keeps_no_dead_model_alive():
    step = capture(lambda model, x: model(x).detach())
    model = nn.Linear(2, 2)
    alive = weakref.ref(model.weight)
    for _ in range(4):
        step(model, torch.ones(1, 2))
    assert step.replays == 2
    gc.disable()
    try:
        del model
        assert alive() is None
    finally:
        gc.enable()


def test_kinds_of_calls_are_forgotten_in_time():
    step = capture(lambda x, number: x * number)
    for number in range(200):
        step(torch.ones(1), number)
    assert len(step.entries) <= 64


def trained(optimizer, **settings):
    """A layer, an optimizer over it, and a captured step that has been learnt."""
    torch.manual_seed(0)
    layer = nn.Linear(3, 2)
    rule = optimizer(layer.parameters(), **settings)

    def step(x):
        rule.zero_grad()
        loss = layer(x).square().sum()
        loss.backward()
        rule.step()
        return loss

    captured = capture(step)
    for _ in range(4):
        captured(torch.ones(4, 3))
    assert captured.replays >= 1
    return layer, rule, step, captured


def same_as_eager(change):
    """After `change(layer, rule)` the captured step does what the eager one does."""
    results = []
    for way in ("eager", "captured"):
        layer, rule, step, captured = trained(torch.optim.Adam, lr=0.1)
        change(layer, rule)
        for _ in range(3):
            (step if way == "eager" else captured)(torch.ones(4, 3))
        results.append([p.tolist() for p in layer.parameters()])
    assert results[0] == results[1]


def test_a_loaded_optimizer_is_learnt_anew():
    def load_smaller_rate(layer, rule):
        state = rule.state_dict()
        state["param_groups"][0]["lr"] = 1e-4
        rule.load_state_dict(state)

    same_as_eager(load_smaller_rate)
    kept = []
    same_as_eager(lambda layer, rule: (kept.append(rule.state_dict()), rule.load_state_dict(kept[-1])))


def test_a_group_added_is_learnt_anew():
    extra = nn.Parameter(torch.ones(2))

    def add(layer, rule):
        extra.grad = None
        rule.add_param_group({"params": [extra]})

    same_as_eager(add)


@pytest.mark.parametrize(
    "change",
    [
        lambda model: setattr(model[1], "p", 0.0),
        lambda model: setattr(model[2], "eps", 0.5),
        lambda model: setattr(model, "0", nn.Linear(3, 3)),
        lambda model: model[0].register_forward_hook(lambda module, args, out: out * 2),
        lambda model: model.eval(),
    ],
    ids=["dropout's p", "layer norm's eps", "another layer", "a hook", "eval"],
)
def test_a_changed_module_is_learnt_anew(change):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.9), nn.LayerNorm(3))
    step = capture(torch.no_grad(model))
    x = torch.randn(4, 3)
    for _ in range(3):
        step(x)
    assert step.replays == 1
    change(model)
    torch.manual_seed(1)
    found = step(x)
    torch.manual_seed(1)
    with torch.no_grad():
        assert found.tolist() == model(x).tolist()


def test_a_captured_module_can_die():
    model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5), nn.BatchNorm1d(3))
    alive = weakref.ref(model[2])
    step = capture(lambda m, x: m(x).detach())
    for _ in range(3):
        step(model, torch.ones(4, 3))
    del model
    gc.collect()
    assert alive() is None
