"""What a graph keeps, and that it goes when its output does: without the cycle collector."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator

import pytest

import devtensor as torch
from devtensor import nn
from devtensor.autograd import Function
from devtensor.autograd.graph import save_on_cpu, saved_tensors_hooks
from devtensor.core.op import OPS, Op
from devtensor.core.tensor import Tensor
from devtensor.testing.cases import samples_of
from devtensor.testing.gradients import is_differentiable
from devtensor.utils.checkpoint import checkpoint


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def leaf() -> Tensor:
    return torch.arange(1.0, 7.0).reshape(2, 3).requires_grad_()


class Saving(Function):
    @staticmethod
    def forward(ctx, x):
        inner, out = x.exp(), x * 2
        ctx.save_for_backward(x, inner, out, None)
        ctx.note = "kept"
        return out, inner

    @staticmethod
    def backward(ctx, g, h):
        x, inner, out, _ = ctx.saved_tensors
        return g * 2 + h * inner + 0 * out * x


class Dirty(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.mark_dirty(x)
        return x.mul_(3)

    @staticmethod
    def backward(ctx, g):
        return g * 3


def in_place(x: Tensor) -> Tensor:
    y = x * 1
    y[0].mul_(2)
    y.add_(x)
    y[:, 1] = 5
    return y.mul_(x)


def hooked(x: Tensor) -> Tensor:
    y = x * 2
    factor = y.detach()
    y.register_hook(lambda g: g * factor)
    y.grad_fn.register_hook(lambda made, given: None)
    y.grad_fn.register_prehook(lambda given: None)
    z = y.sin()
    z.retain_grad()
    return z.mul_(2)


def module_hooks(x: Tensor) -> Tensor:
    layer = nn.Linear(3, 3)
    layer.register_full_backward_hook(lambda *args: None)
    layer.register_forward_hook(lambda *args: None)
    return layer(x)


def double(x: Tensor) -> Tensor:
    (g,) = torch.autograd.grad((x**3).sum(), x, create_graph=True)
    return g * x


def packed(x: Tensor) -> Tensor:
    with saved_tensors_hooks(lambda t: (t.detach(), 1), lambda held: held[0]):
        y = x.exp() * x
    with save_on_cpu():
        return y * y


PROGRAMS: dict[str, Callable[[Tensor], Tensor]] = {
    "plain ops": lambda x: ((x * x).exp() + x.sin()).softmax(1),
    "views": lambda x: x.t().reshape(6)[1:].view(5, 1).expand(5, 2) * 2,
    "in place": in_place,
    "Function": lambda x: Saving.apply(x)[0] * Saving.apply(x * 2)[1],
    "Function in place": lambda x: Dirty.apply(x * 1),
    "hooks and retain_grad": hooked,
    "checkpoint": lambda x: checkpoint(lambda t: (t.exp() * t).tanh(), x * 1, use_reentrant=False),
    "checkpoint, reentrant": lambda x: checkpoint(lambda t: (t.exp() * t).tanh(), x * 1, use_reentrant=True),
    "checkpoint in a checkpoint": lambda x: checkpoint(
        lambda t: checkpoint(lambda u: u.exp() * u, t.sin(), use_reentrant=False) * t, x, use_reentrant=False
    ),
    "several outputs": lambda x: x.sort(1)[0] * x.max(1)[0][:, None] + x.chunk(2)[0],
    "modules": lambda x: nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.GELU(), nn.Dropout(0.1))(x),
    "module hooks": module_hooks,
    "double backward": double,
    "saved-tensor hooks": packed,
    "anomaly mode": lambda x: watched(x),
}


def watched(x: Tensor) -> Tensor:
    with torch.autograd.set_detect_anomaly(True):
        return (x.exp() * x).sum(1)


def nodes_of(out: Tensor) -> list[weakref.ref]:
    """Weak references to all nodes behind a tensor, and to the tensors they keep."""
    found, stack = {}, [out.node.node]
    while stack:
        node = stack.pop()
        if id(node) in found:
            continue
        found[id(node)] = weakref.ref(node)
        for kept in node.saved or ():
            if isinstance(kept, Tensor) and kept.node is not None:
                found[id(kept)] = weakref.ref(kept)
        stack += [edge.node for edge in node.edges if edge is not None and not isinstance(edge, Tensor)]
    return list(found.values())


@pytest.mark.parametrize("used", ["dropped", "used", "used twice"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_graph_goes_with_its_output(name, used):
    x = leaf()
    out = PROGRAMS[name](x)
    refs = [*nodes_of(out), weakref.ref(out)]
    if used != "dropped":
        out.sum().backward(retain_graph=used == "used twice")
    if used == "used twice" and name != "checkpoint, reentrant":
        out.sum().backward()
    del out
    assert [ref() for ref in refs if ref() is not None] == []


def test_a_trained_module_goes_with_its_name():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 1))
    model[0].weight.register_post_accumulate_grad_hook(lambda p: None)
    model[0].weight.register_hook(lambda g: g * 2)
    for _ in range(2):
        model(leaf()).sum().backward()
    refs = [weakref.ref(p) for p in model.parameters()]
    del model
    assert [ref() for ref in refs] == [None] * 6


def kept_by(name: str) -> list[str]:
    op = OPS[name]
    return sorted({need for rule in op.rules.values() if rule for need in rule.needs} & {*op.inputs, "out"})


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("add", []), ("sum", []), ("reshape", []), ("where", ["condition"]), ("mul", ["input", "other"]),
        ("exp", ["out"]), ("relu", ["out"]), ("sigmoid", ["out"]), ("tanh", ["out"]), ("softmax", ["out"]),
        ("sqrt", ["out"]), ("matmul", ["input", "other"]), ("log", ["input"]), ("cast", []),
    ],
)  # fmt: skip
def test_formulas_ask_for_little(name, names):
    assert kept_by(name) == names


def test_a_chain_of_relus_keeps_outputs_and_not_inputs():
    x = leaf()
    first = x * 1
    second = first.relu()
    third = second.relu()
    refs = [weakref.ref(t) for t in (first, second)]
    shared = [t.untyped_storage().data_ptr() for t in (second, third)]
    del first, second
    assert [ref() for ref in refs] == [None, None]
    kept = [node.extra.outs[0] for node in (third.node.edges[0], third.node)]
    assert [t.untyped_storage().data_ptr() for t in kept] == shared


RECORDED = [op for op in OPS.values() if op.differentiable and not op.view]


@pytest.mark.parametrize("op", RECORDED, ids=lambda op: op.name)
def test_a_node_keeps_no_more_than_its_formulas_name(op: Op):
    rules = [op.joint] if op.joint else [rule for rule in op.rules.values() if rule]
    needs = {need for rule in rules for need in rule.needs}
    for drawn in samples_of(op, "cpu", ("float64",)):
        inputs = [
            value.detach().requires_grad_() * 1 if is_differentiable(drawn, place, value) else value
            for place, value in enumerate(drawn.inputs)
        ]
        refs = [(op.input_name(k), weakref.ref(t)) for k, t in enumerate(inputs) if isinstance(t, Tensor)]
        refs = [(name, ref) for name, ref in refs if ref() is not None and ref().node is not None]
        outs = drawn.run(*inputs)
        if not any(out.node is not None and out.node.node.op is op for out in outs):
            continue
        inputs.clear()
        kept = {name for name, ref in refs if ref() is not None}
        assert kept <= needs, f"{drawn}: {sorted(kept - needs)} is kept and nobody asks for it"
        for out in outs:
            if out.node is not None:
                held = out.node.node.with_extra().outs
                assert not held or needs & {"out", "second", "outs"}, (
                    f"{drawn}: keeps its results for nothing"
                )


def test_backward_frees_as_it_goes():
    x = leaf()
    stages = [x * 1]
    for _ in range(4):
        stages.append(stages[-1].exp())
    refs = [weakref.ref(stage.node) for stage in stages]
    alive = []
    for stage in stages:
        stage.node.register_prehook(lambda gs: alive.append(sum(ref().saved is not None for ref in refs)))
    out = stages[-1].sum()
    del stages, stage
    out.backward()
    assert alive == [5, 4, 3, 2, 1]


def test_a_post_accumulate_hook_may_free_each_gradient_before_the_next_is_there():
    layers = [torch.ones(3, 3).requires_grad_() for _ in range(4)]
    refs: list[weakref.ref] = []
    alive = []

    def step(p: Tensor) -> None:
        refs.append(weakref.ref(p.grad))
        alive.append(sum(ref() is not None for ref in refs))
        p.grad = None

    for layer in layers:
        layer.register_post_accumulate_grad_hook(step)
    out = leaf()
    for layer in layers:
        out = out @ layer
    out.sum().backward()
    assert alive == [1, 1, 1, 1]
