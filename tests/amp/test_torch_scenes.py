"""Scenes with autocast and GradScaler, played by both libraries on the CPU (--oracle torch)."""

from __future__ import annotations

import copy
import pickle
import threading
import warnings
from collections.abc import Callable
from typing import Any

import pytest

import devtensor
from amp_scenes import agree, asked, drawn, state, under

INF, NAN = float("inf"), float("nan")
SCENES: dict[str, Callable[[Any], Any]] = {}


def scene(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    SCENES[function.__name__.replace("_", " ").strip()] = function
    return function


@scene
def nested_regions(T):
    a, b, seen = drawn(T, 3, 4), drawn(T, 4, 5), []
    with T.autocast("cpu"):
        seen += [a @ b, *state(T)]
        with T.autocast("cpu", dtype=T.float16, cache_enabled=False):
            seen += [a @ b, *state(T)]
            with T.autocast("cpu", enabled=False):
                seen += [a @ b, *state(T)]
                with T.autocast("cpu"):
                    seen += [a @ b, *state(T)]
        seen += [a @ b, *state(T)]
    return [*seen, a @ b, *state(T)]


@scene
def one_instance_many_times(T):
    region, seen = T.autocast("cpu", dtype=T.float16), []
    for _ in range(3):
        with region:
            seen += state(T)
        seen += state(T)
    return seen


@scene
def decorated(T):
    @T.autocast("cpu", dtype=T.float16)
    def function():
        """Told."""
        return state(T)

    class Module(T.nn.Module):
        @T.autocast("cpu")
        def forward(self, x):
            return x @ x.T, state(T)

    @T.autocast("cpu")
    def generator():
        yield state(T)

    return [function(), function.__name__, function.__doc__, Module()(drawn(T, 3, 4)), *generator(), state(T)]


@scene
def errors_leave_the_region(T):
    def failing():
        with T.autocast("cpu", dtype=T.float16, cache_enabled=False), T.autocast("cpu", enabled=False):
            raise KeyError

    return [asked(failing), asked(T.autocast("cpu")(failing)), state(T)]


@scene
def switches_that_are_no_bools(T):
    return [asked(under, T, lambda: state(T), enabled=e) for e in (1, 0, "on", None)] + [
        asked(under, T, lambda: state(T), cache_enabled=e) for e in (None, False)
    ]


@scene
def devices_with_an_index(T):
    with T.autocast("cpu:0", dtype=T.float16):
        return [*state(T), T.is_autocast_enabled("cpu:0"), T.get_autocast_dtype("cpu:0")]


@scene
def dtypes_by_default(T):
    names = ("cpu", "cuda", "xpu", "mps", "hpu", "xla", "mtia", "maia", "ipu")
    return [[T.get_autocast_dtype(name), T.amp.is_autocast_available(name)] for name in names]


@scene
def switched_by_hand(T):
    a, seen = drawn(T, 3, 3), []
    T.set_autocast_enabled("cpu", True)
    T.set_autocast_dtype("cpu", T.float16)
    seen += [a @ a, *state(T)]
    T.set_autocast_enabled("cpu", False)
    seen += [a @ a, *state(T)]
    with T.autocast("cpu"):
        T.set_autocast_dtype("cpu", T.bfloat16)
        seen += [a @ a, *state(T)]
    seen += state(T)
    T.set_autocast_dtype("cpu", T.bfloat16)
    return seen


@scene
def threads_have_their_own(T):
    seen = []
    with T.autocast("cpu", dtype=T.float16):
        other = threading.Thread(target=lambda: seen.append(state(T)))
        other.start()
        other.join()
    return seen


@scene
def leaving_tells_nothing(T):
    region = T.autocast("cpu")
    return [region.__enter__() is region, region.__exit__(None, None, None)]


@scene
def written_in_place_and_into_out(T):
    a, b, wide, low = drawn(T, 3, 4), drawn(T, 4, 5), T.zeros(3, 5), T.zeros(3, 5, dtype=T.bfloat16)
    with T.autocast("cpu"):
        return [
            drawn(T, 3, 5).addmm_(a, b), asked(drawn(T, 3, 5).addmm_, a.bfloat16(), b.bfloat16()),
            T.mm(a, b, out=wide), wide, T.mm(a.bfloat16(), b.bfloat16(), out=low),
            asked(T.mm, a.bfloat16(), b, out=wide), T.cat([a, a], out=T.zeros(6, 4)),
            asked(lambda: low.add_(wide)),
        ]  # fmt: skip


@scene
def several_dtypes_meet(T):
    x = drawn(T, 4)
    dtypes = (T.float32, T.bfloat16, T.float16, T.float64, T.int64)
    pairs = [(first, second) for first in dtypes for second in dtypes]
    functions = (T.cat, T.stack, T.hstack)
    return [
        [asked(under, T, lambda f=f, p=p: f([x.to(d) for d in p]), dtype=region) for p in pairs]
        for f in functions
        for region in (T.bfloat16, T.float16)
    ]


@scene
def a_number_s_tensor_widens(T):
    at, x = T.tensor(1), drawn(T, 3).bfloat16()
    return under(T, lambda: [x.index_copy(0, at, T.tensor(2.0)), x * T.tensor(2.0), x * 2.5])


@scene
def halves_of_the_other_kind_elsewhere(T):
    x = drawn(T, 1, 2, 4, 4, 4).half()
    pad = T.nn.functional.pad
    return under(T, lambda: [pad(x, (1,) * 6, mode="reflect"), pad(x, (1,) * 6, mode="circular"), x + 1])


@scene
def products_summed_wide(T):
    x, y, w = drawn(T, 3, 4), drawn(T, 3, 5), drawn(T, 2, 4, 5)
    return under(T, lambda: T.nn.functional.bilinear(x, y, w))


@scene
def matrices_of_halves(T):
    x = (drawn(T, 3, 3) @ drawn(T, 3, 3).T + 4 * T.eye(3)).bfloat16()
    y = drawn(T, 3, 2).bfloat16()
    with T.autocast("cpu"):
        return [
            *(asked(f, x) for f in (T.linalg.inv, T.linalg.cholesky, T.linalg.eigvalsh, T.linalg.lu_factor)),
            *(asked(f, x) for f in (T.linalg.det, T.slogdet, T.logdet, T.linalg.matrix_rank)),
            *(asked(f, x, y) for f in (T.linalg.solve, T.linalg.solve_ex)),
        ]  # fmt: skip


@scene
def a_weight_first_used_without_gradients(T):
    w, x = drawn(T, 4, 4).requires_grad_(), drawn(T, 3, 4)
    with T.autocast("cpu"):
        with T.no_grad():
            seen = [x @ w]
        seen += [x @ w, x @ w]
    (seen[0] + seen[2]).float().sum().backward()
    return [*seen, w.grad]


@scene
def a_weight_s_gradient_is_the_sum_of_its_uses(T):
    ends = []
    for cached in (True, False):
        w, x = drawn(T, 4, 4).requires_grad_(), drawn(T, 3, 4)
        with T.autocast("cpu", cache_enabled=cached):
            loss = (x @ w @ w @ w.T).float().sum()
            with T.autocast("cpu", enabled=False):
                loss = loss + (x @ w).sum()
        loss.backward()
        ends.append(w.grad)
    return ends


@scene
def backward_twice_in_one_region(T):
    w, x = drawn(T, 4, 4).requires_grad_(), drawn(T, 3, 4)
    with T.autocast("cpu"):
        (x @ w).float().sum().backward()
        again = asked(lambda: (x @ w).float().sum().backward())
    return [again, w.grad]


def function_of(T: Any, seen: list, around_forward: Callable, around_backward: Callable) -> Any:
    class Product(T.autograd.Function):
        @staticmethod
        @around_forward
        def forward(ctx, a, b):
            ctx.save_for_backward(a, b)
            seen.extend([state(T)[0], a.dtype, b.dtype])
            return a @ b

        @staticmethod
        @around_backward
        def backward(ctx, g):
            a, b = ctx.saved_tensors
            seen.extend([*state(T)[:2], g.dtype])
            return g @ b.T, a.T @ g

    return Product


def around_function(T: Any, inside: bool, region: dict, forward: Callable, backward: Callable) -> list:
    """What a Function sees, its result and gradients, where backward runs in the region or after it."""
    seen: list = []
    a, b = drawn(T, 3, 4).requires_grad_(), drawn(T, 4, 5).requires_grad_()
    with T.autocast("cpu", **region):
        y = function_of(T, seen, forward, backward).apply(a, b)
        if inside:
            y.float().sum().backward()
    if not inside:
        y.float().sum().backward()
    return [seen, y, a.grad, b.grad]


@scene
def functions_with_custom_fwd(T):
    ends = []
    for inside in (False, True):
        for region in ({}, {"dtype": T.float16}, {"enabled": False}):
            for cast in (None, T.float32, T.float16):
                forward = T.amp.custom_fwd(device_type="cpu", cast_inputs=cast)
                ends.append(around_function(T, inside, region, forward, T.amp.custom_bwd(device_type="cpu")))
    return ends


@scene
def functions_without_it_in_the_region(T):
    return around_function(T, True, {}, lambda f: f, lambda f: f)


@scene
def hooks_in_and_after_the_region(T):
    seen: list = []
    x = drawn(T, 3).requires_grad_()
    x.register_post_accumulate_grad_hook(lambda leaf: seen.append(["leaf", *state(T)]))
    with T.autocast("cpu", dtype=T.float16):
        y = x * 2
        y.register_hook(lambda g: seen.append(state(T)))
        y.sum().backward(retain_graph=True)
    y.sum().backward()
    return seen


@scene
def checkpoints(T):
    ends = []
    for reentrant in (True, False):
        m, x, seen = T.nn.Linear(4, 4, bias=False), drawn(T, 3, 4).requires_grad_(), []
        with T.no_grad():
            m.weight.copy_(drawn(T, 4, 4, seed=2))

        def part(x, m=m, seen=seen):
            seen.append(state(T))
            return m(x).relu()

        with T.autocast("cpu", dtype=T.float16):
            y = T.utils.checkpoint.checkpoint(part, x, use_reentrant=reentrant)
        y.float().sum().backward()
        ends.append([seen, y, x.grad, m.weight.grad])
    return ends


@scene
def names_that_are_public(T):
    return [sorted(m.__all__) for m in (T.amp, T.amp.autocast_mode, T.amp.grad_scaler, T.cuda.amp)]


@scene
def the_scaler_at_the_top(T):
    return [T.GradScaler is T.amp.GradScaler, T.autocast is T.amp.autocast]


def trained(T: Any, plan: list, scaler: Any, make: Callable | None = None) -> list:
    """Scale, count, weights and what step gave, after each step of a plan: None, or a bad gradient."""
    p = T.nn.Parameter(drawn(T, 3))
    optimizer = T.optim.SGD([p], lr=0.1) if make is None else make([p])
    scaler.scale(T.tensor(1.0))
    told = []
    for bad in plan:
        p.grad = drawn(T, 3, seed=5) * scaler.get_scale()
        if bad is not None:
            p.grad[1] = bad
        given = scaler.step(optimizer)
        scaler.update()
        told.append([scaler.get_scale(), scaler._get_growth_tracker(), p.detach().clone(), given])
    return told


PLANS = {
    "clean": [None] * 40,
    "inf at times": [INF if k % 7 == 6 else None for k in range(40)],
    "nan first": [NAN] * 5 + [None] * 35,
    "every other": [-INF if k % 2 else None for k in range(40)],
    "nothing good": [INF] * 40,
}
SCALERS: dict[str, dict[str, float]] = {
    "grows soon": dict(growth_interval=3, init_scale=8.0),
    "grows always": dict(growth_interval=1, init_scale=2.0),
    "odd": dict(growth_factor=1.7, backoff_factor=0.3, growth_interval=4, init_scale=100.0),
    "never due": dict(growth_interval=0, init_scale=4.0),
    "at the end of float32": dict(init_scale=2.0**126, growth_interval=2),
}
for _plan, _numbers in PLANS.items():
    for _scaler, _given in SCALERS.items():
        SCENES[f"{_plan}, {_scaler}"] = lambda T, n=_numbers, g=_given: trained(
            T, n, T.amp.GradScaler("cpu", **g)
        )


@scene
def setters_between_steps(T):
    scaler = T.amp.GradScaler("cpu", init_scale=8.0, growth_interval=5)
    told = trained(T, [None] * 3, scaler)
    scaler.set_growth_interval(2)
    scaler.set_growth_factor(3.0)
    scaler.set_backoff_factor(0.25)
    return told + trained(T, [None, None, INF, None], scaler)


@scene
def scaled_things(T):
    scaler, x = T.amp.GradScaler("cpu", init_scale=4.0), T.tensor(2.0)
    made = scaler.scale([x, (x, x)])
    lazy = scaler.scale(x for _ in range(2))
    kinds = [type(made).__name__, type(made[1]).__name__, type(lazy).__name__]
    dtypes = (T.bfloat16, T.float16, T.float64, T.int64)
    return [made, kinds, [*lazy], *(scaler.scale(x.to(d)) for d in dtypes), asked(scaler.scale, None)]


@scene
def new_scales(T):
    scaler = T.amp.GradScaler("cpu")
    scaler.scale(T.tensor(1.0))
    values = (3.0, T.tensor(5.0), T.tensor([1.0, 2.0]), T.tensor(7))
    return [[asked(scaler.update, value), scaler.get_scale()] for value in values]


@scene
def several_optimizers(T):
    ps = [T.nn.Parameter(drawn(T, 3, seed=k)) for k in range(3)]
    optimizers = [T.optim.SGD([ps[0]], lr=0.1), T.optim.Adam([ps[1]]), T.optim.RMSprop([ps[2]])]
    scaler, told = T.amp.GradScaler("cpu", init_scale=16.0, growth_interval=2), []
    scaler.scale(T.tensor(1.0))
    for bad in ((), (0,), (1, 2), (), (), (0, 1, 2), ()):
        for k, p in enumerate(ps):
            p.grad = drawn(T, 3, seed=9) * scaler.get_scale()
            if k in bad:
                p.grad[0] = INF
        scaler.unscale_(optimizers[1])
        norm = T.nn.utils.clip_grad_norm_([ps[1]], 0.5)
        for optimizer in optimizers:
            scaler.step(optimizer)
        scaler.update()
        told.append([norm, scaler.get_scale(), *(p.detach().clone() for p in ps)])
    return told


@scene
def states_carried_on(T):
    scaler = T.amp.GradScaler("cpu", init_scale=8.0, growth_interval=3)
    trained(T, [None, INF, None], scaler)
    loaded = T.amp.GradScaler("cpu")
    loaded.load_state_dict(scaler.state_dict())
    others = [loaded, pickle.loads(pickle.dumps(scaler)), copy.deepcopy(scaler)]
    return [[one.state_dict(), trained(T, [None] * 4, one)] for one in others]


@scene
def an_optimizer_of_a_stranger_s(T):
    class Plain(T.optim.Optimizer):
        def __init__(self, ps):
            super().__init__(ps, {})
            self.steps = 0

        def step(self, closure=None):
            self.steps += 1
            for group in self.param_groups:
                for p in group["params"]:
                    p.data.add_(p.grad, alpha=-0.1)
            return self.steps

    return trained(T, [None, INF, None], T.amp.GradScaler("cpu", init_scale=4.0), Plain)


@scene
def an_optimizer_that_scales_itself(T):
    seen: list = []

    class Aware(T.optim.Optimizer):
        def __init__(self, ps):
            super().__init__(ps, {})
            self._step_supports_amp_scaling = True

        def step(self, closure=None):
            seen.append([getattr(self, "grad_scale", None), getattr(self, "found_inf", None)])

    told = trained(T, [None, INF, None], T.amp.GradScaler("cpu", init_scale=4.0), Aware)
    return [told, seen]


@scene
def hooks_of_a_skipped_step(T):
    seen: list = []

    def hooked(ps):
        optimizer = T.optim.SGD(ps, lr=0.1)
        optimizer.register_step_pre_hook(lambda *a: seen.append("before"))
        optimizer.register_step_post_hook(lambda *a: seen.append("after"))
        return optimizer

    return [trained(T, [None, INF, None], T.amp.GradScaler("cpu", init_scale=4.0), hooked), seen]


OPTIMIZERS = {
    "SGD": {"lr": 0.1, "momentum": 0.9, "nesterov": True},
    "Adam": {"amsgrad": True},
    "RMSprop": {"momentum": 0.9, "centered": True},
    "ASGD": {"lr": 0.1},
    **{name: {} for name in ("AdamW", "Adamax", "NAdam", "RAdam", "Adagrad", "Adadelta", "Rprop")},
}
for _name, _given in OPTIMIZERS.items():
    SCENES[f"steps and skips of {_name}"] = lambda T, name=_name, given=_given: trained(
        T, [INF, None, None, NAN, INF, None], T.amp.GradScaler("cpu", init_scale=16.0),
        lambda ps: getattr(T.optim, name)(ps, **given),
    )  # fmt: skip


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.filterwarnings("ignore")
def test_scene(torch, name):
    ends = []
    for library in (torch, devtensor):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ends.append(SCENES[name](library))
        assert not library.is_autocast_enabled("cpu")
    agree(*ends)
