"""What optimizers share: groups, checks, state_dict, hooks, closures, PyTorch's protocol for subclasses."""

from __future__ import annotations

import copy
import inspect
import pickle
import warnings

import numpy as np
import pytest

import devtensor as dt
from devtensor import optim
from devtensor.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
    required,
)

# Optimizers, and the names in their state.
KINDS = [
    ("SGD", dict(lr=0.1, momentum=0.9), "momentum_buffer"),
    ("SGD", dict(lr=0.1, momentum=0.9, dampening=0.5), "momentum_buffer"),
    ("Adam", dict(lr=0.01, amsgrad=True), "step exp_avg exp_avg_sq max_exp_avg_sq"),
    ("AdamW", dict(lr=0.01), "step exp_avg exp_avg_sq"),
    ("NAdam", dict(lr=0.01), "step mu_product exp_avg exp_avg_sq"),
    ("RAdam", dict(lr=0.01, betas=(0.8, 0.9)), "step exp_avg exp_avg_sq"),
    ("Adamax", dict(lr=0.01), "step exp_avg exp_inf"),
    ("Adagrad", dict(lr=0.01, lr_decay=0.1), "step sum"),
    ("Adadelta", dict(lr=0.5), "step square_avg acc_delta"),
    ("RMSprop", dict(lr=0.01), "step square_avg"),
    (
        "RMSprop",
        dict(lr=0.01, momentum=0.5, centered=True),
        "step square_avg momentum_buffer grad_avg",
    ),
    ("Rprop", dict(lr=0.01), "step prev step_size"),
    ("ASGD", dict(lr=0.01, t0=2), "step eta mu ax"),
    ("Adafactor", dict(lr=0.1), "step variance"),
]


def leaf(*values, **kind):
    return dt.tensor(list(values) or [1.0, 2.0], requires_grad=True, **kind)


def run(optimizer, steps, seed=0):
    draw = np.random.default_rng(seed)
    for _ in range(steps):
        for group in optimizer.param_groups:
            for p in group["params"]:
                p.grad = dt.tensor(draw.normal(size=tuple(p.shape)), dtype=p.dtype)
        optimizer.step()


def bits(optimizer):
    """Parameters and state, to compare bit for bit."""
    found = [p.detach().numpy().tobytes() for group in optimizer.param_groups for p in group["params"]]
    for state in optimizer.state_dict()["state"].values():
        found += [(key, value.numpy().tobytes()) for key, value in state.items()]
    return found


@pytest.mark.parametrize(("name", "values", "names"), KINDS)
def test_state_dict_resumes_bit_for_bit(name, values, names):
    kind = getattr(optim, name)
    one = kind([leaf(1.0, 2.0), leaf(3.0)], **values)
    run(one, 3)
    saved = copy.deepcopy(one.state_dict())
    twin = kind([p.detach().clone().requires_grad_() for p in one.param_groups[0]["params"]], lr=7.0)
    twin.load_state_dict(saved)
    run(one, 3, seed=5)
    run(twin, 3, seed=5)
    assert bits(one) == bits(twin)
    assert twin.param_groups[0]["lr"] == values["lr"]


@pytest.mark.parametrize(("name", "values", "names"), KINDS)
def test_state_dict_has_pytorchs_layout(name, values, names):
    optimizer = getattr(optim, name)(
        [{"params": [leaf()]}, {"params": [leaf(), leaf()], "lr": 0.5}], **values
    )
    run(optimizer, 2)
    saved = optimizer.state_dict()
    assert set(saved) == {"state", "param_groups"}
    assert [group["params"] for group in saved["param_groups"]] == [[0], [1, 2]]
    assert {k: list(state) for k, state in saved["state"].items()} == {k: names.split() for k in range(3)}
    for state in saved["state"].values():
        if "step" in state:
            assert (state["step"].dtype, tuple(state["step"].shape), state["step"].item()) == (
                dt.float32,
                (),
                2.0,
            )


def test_groups_hold_what_pytorchs_do():
    common = ["maximize", "foreach", "capturable", "differentiable", "fused"]
    adam = ["params", "lr", "betas", "eps", "weight_decay", "amsgrad", *common, "decoupled_weight_decay"]
    sgd = ["params", "lr", "momentum", "dampening", "weight_decay", "nesterov"]
    sgd += [name for name in common if name != "capturable"]
    assert list(optim.Adam([leaf()]).param_groups[0]) == adam
    assert list(optim.AdamW([leaf()]).param_groups[0]) == adam
    assert list(optim.SGD([leaf()]).param_groups[0]) == sgd
    assert optim.AdamW([leaf()]).param_groups[0]["decoupled_weight_decay"] is True
    assert list(inspect.signature(optim.SGD).parameters) == sgd


def test_groups_are_written_in_pytorchs_order():
    wanted = {
        "Adadelta": "lr rho eps weight_decay maximize capturable foreach differentiable",
        "Adafactor": "lr beta2_decay eps d weight_decay foreach maximize",
        "Adagrad": "lr lr_decay eps weight_decay initial_accumulator_value foreach maximize differentiable "
        "fused",
        "Adamax": "lr betas eps weight_decay foreach maximize differentiable capturable",
        "ASGD": "lr lambd alpha t0 weight_decay foreach maximize differentiable capturable",
        "LBFGS": "lr max_iter max_eval tolerance_grad tolerance_change history_size line_search_fn",
        "Muon": "lr weight_decay momentum nesterov ns_coefficients eps ns_steps adjust_lr_fn",
        "NAdam": "lr betas eps weight_decay momentum_decay decoupled_weight_decay maximize foreach "
        "capturable differentiable",
        "RAdam": "lr betas eps weight_decay maximize foreach capturable decoupled_weight_decay "
        "differentiable",
        "RMSprop": "lr momentum alpha eps centered weight_decay capturable foreach maximize differentiable",
        "Rprop": "lr etas step_sizes foreach maximize differentiable capturable",
        "SparseAdam": "lr betas eps maximize",
    }
    for name, names in wanted.items():
        optimizer = getattr(optim, name)([dt.zeros(2, 2).requires_grad_()])
        assert list(optimizer.param_groups[0]) == ["params", *names.split()], name
        assert list(optimizer.state_dict()["param_groups"][0]) == [*names.split(), "params"], name


def test_signatures_are_those_that_hold():
    class Own(optim.Adam):
        def __init__(self, params, pace=3.0):
            super().__init__(params, lr=pace)

    assert list(inspect.signature(Own).parameters) == ["params", "pace"]
    assert list(inspect.signature(optim.LBFGS).parameters)[:3] == ["params", "lr", "max_iter"]
    assert "args" not in inspect.signature(optim.Muon).parameters


@pytest.mark.parametrize(("name", "values", "names"), KINDS)
def test_state_of_older_pytorch_is_taken(name, values, names):
    """Step counts were plain numbers, and groups held fewer values."""
    one = getattr(optim, name)([leaf(1.0, 2.0)], **values)
    run(one, 3)
    saved = copy.deepcopy(one.state_dict())
    for state in saved["state"].values():
        for key in state.keys() & {"step", "mu_product", "eta", "mu"}:
            state[key] = state[key].item()
    for key in ("maximize", "foreach", "differentiable"):
        saved["param_groups"][0].pop(key, None)
    twin = getattr(optim, name)(
        [one.param_groups[0]["params"][0].detach().clone().requires_grad_()], **values
    )
    twin.load_state_dict(saved)
    run(one, 2, seed=9)
    run(twin, 2, seed=9)
    assert bits(one) == bits(twin)
    assert twin.param_groups[0].keys() == one.param_groups[0].keys()


def test_sgd_takes_a_velocity_that_counts_no_steps():
    p = leaf(1.0)
    optimizer = optim.SGD([p], lr=1.0, momentum=0.5, dampening=0.5)
    saved = optimizer.state_dict() | {"state": {0: {"momentum_buffer": dt.tensor([4.0])}}}
    optimizer.load_state_dict(saved)
    p.grad = dt.tensor([1.0])
    optimizer.step()
    assert p.item() == 1.0 - (0.5 * 4.0 + 0.5 * 1.0)
    optimizer.load_state_dict(optimizer.state_dict() | {"state": {0: {"momentum_buffer": None}}})
    p.grad = dt.tensor([1.0])
    optimizer.step()
    assert optimizer.state[p]["momentum_buffer"].item() == 1.0


def test_loaded_state_is_a_copy_in_the_parameters_dtype():
    p = leaf(1.0, dtype=dt.float64)
    optimizer = optim.Adam([p])
    mean = dt.tensor([0.25])
    state = {0: {"step": dt.tensor(3.0), "exp_avg": mean, "exp_avg_sq": dt.tensor([0.5])}}
    optimizer.load_state_dict(optimizer.state_dict() | {"state": state})
    assert optimizer.state[p]["exp_avg"].dtype is dt.float64
    assert optimizer.state[p]["step"].dtype is dt.float32
    p.grad = dt.tensor([1.0], dtype=dt.float64)
    optimizer.step()
    assert mean.item() == 0.25


def test_failed_load_changes_nothing():
    p = leaf()
    optimizer = optim.Adam([p], lr=0.5)
    run(optimizer, 1)
    before = bits(optimizer)
    other = optim.Adam([{"params": [leaf()]}, {"params": [leaf()]}])
    with pytest.raises(ValueError, match="different number of parameter groups"):
        optimizer.load_state_dict(other.state_dict())
    with pytest.raises(ValueError, match="doesn't match the size"):
        optimizer.load_state_dict(optim.Adam([leaf(), leaf()]).state_dict())
    assert bits(optimizer) == before
    assert optimizer.param_groups[0]["lr"] == 0.5


def test_group_may_be_added_later():
    p, q = leaf(1.0), leaf(1.0)
    optimizer = optim.SGD([p], lr=0.5)
    optimizer.add_param_group({"params": q, "lr": 0.25})
    p.grad, q.grad = dt.tensor([1.0]), dt.tensor([1.0])
    optimizer.step()
    assert (p.item(), q.item()) == (0.5, 0.75)
    assert optimizer.param_groups[1]["momentum"] == 0


def test_named_parameters_keep_their_names():
    optimizer = optim.SGD([("w", leaf()), ("b", leaf())], lr=0.1)
    assert optimizer.param_groups[0]["param_names"] == ["w", "b"]
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["w", "b"]
    with pytest.raises(ValueError, match="with/without names"):
        optimizer.add_param_group({"params": [leaf()]})


def test_zero_grad():
    p = leaf()
    optimizer = optim.SGD([p])
    p.grad = dt.tensor([1.0, 2.0])
    kept = p.grad
    optimizer.zero_grad(set_to_none=False)
    assert p.grad is kept
    assert p.grad.tolist() == [0.0, 0.0]
    optimizer.zero_grad()
    assert p.grad is None


def test_closure_runs_with_gradients():
    p = leaf(2.0)
    optimizer = optim.SGD([p], lr=0.25)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with dt.no_grad():
        assert optimizer.step(closure).item() == 4.0
    assert p.item() == 1.0


def test_step_hooks():
    p = leaf(1.0)
    optimizer = optim.SGD([p], lr=0.5)
    heard = []
    before = optimizer.register_step_pre_hook(
        lambda opt, args, kwargs: heard.append(("pre", opt is optimizer, args))
    )
    after = optimizer.register_step_post_hook(lambda opt, args, kwargs: heard.append(("post", p.item())))
    p.grad = dt.tensor([1.0])
    optimizer.step()
    assert heard == [("pre", True, ()), ("post", 0.5)]
    before.remove()
    after.remove()
    optimizer.step()
    assert len(heard) == 2
    optimizer.register_step_pre_hook(lambda opt, args, kwargs: 3)
    with pytest.raises(RuntimeError, match="pre-hook returned int"):
        optimizer.step()


def test_hooks_of_every_optimizer_and_of_states():
    p = leaf(1.0)
    optimizer = optim.SGD([p], lr=0.5)
    heard = []
    handles = [
        register_optimizer_step_pre_hook(lambda *_: heard.append("every, before")),
        register_optimizer_step_post_hook(lambda *_: heard.append("every, after")),
        optimizer.register_step_pre_hook(lambda *_: heard.append("before")),
        optimizer.register_step_post_hook(lambda *_: heard.append("after")),
    ]
    p.grad = dt.tensor([1.0])
    optimizer.step()
    assert heard == ["every, before", "before", "after", "every, after"]
    for handle in handles:
        handle.remove()
    optimizer.step()
    assert len(heard) == 4
    optimizer.register_state_dict_pre_hook(lambda opt: heard.append("packing"))
    optimizer.register_state_dict_pre_hook(lambda opt: heard.append("first"), prepend=True)
    optimizer.register_state_dict_post_hook(lambda opt, packed: {**packed, "extra": 1})
    optimizer.register_load_state_dict_pre_hook(lambda opt, given: heard.append(given["extra"]))
    optimizer.register_load_state_dict_post_hook(lambda opt: heard.append("loaded"))
    optimizer.load_state_dict(optimizer.state_dict())
    assert heard[4:] == ["first", "packing", 1, "loaded"]


def test_group_given_is_the_group_kept():
    group = {"params": [leaf(1.0)], "lr": 0.5}
    optimizer = optim.SGD([group], lr=0.1)
    group["lr"] = 0.25
    assert optimizer.param_groups[0]["lr"] == 0.25


def test_parameters_without_gradient_are_left_out():
    p = leaf(1.0)
    optimizer = optim.Adam([p])
    optimizer.step()
    assert not optimizer.state
    assert p.item() == 1.0


@pytest.mark.parametrize(
    "again", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))], ids=["copy", "pickle"]
)
def test_copies_go_on_alike(again):
    one = optim.Adam([leaf(1.0, 2.0)], lr=0.1)
    run(one, 2)
    two = again(one)
    run(one, 2, seed=3)
    run(two, 2, seed=3)
    assert bits(one) == bits(two)


def test_repr_lists_the_groups():
    lines = repr(optim.SGD([leaf()], lr=0.1)).splitlines()
    assert lines[:4] == ["SGD (", "Parameter Group 0", "    dampening: 0", "    differentiable: False"]
    assert lines[-1] == ")"


class SignedDescent(optim.Optimizer):
    """An optimizer as people write them for PyTorch."""

    def __init__(self, params, lr=required, decay=0.5):
        super().__init__(params, dict(lr=lr, decay=decay))

    @dt.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with dt.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if len(state) == 0:
                    state["step"] = 0
                    state["mean"] = dt.zeros_like(p)
                state["step"] += 1
                state["mean"].mul_(group["decay"]).add_(p.grad, alpha=1 - group["decay"])
                p.add_(state["mean"].sign(), alpha=-group["lr"])
        return loss


class Louder(SignedDescent):
    """A subclass that calls its base's step."""

    def step(self, closure=None):
        return super().step(closure)


@pytest.mark.parametrize("kind", [SignedDescent, Louder])
def test_strangers_optimizer_runs_unchanged(kind):
    p = leaf(1.0, -1.0)
    optimizer = kind([{"params": [p], "lr": 0.25}])
    heard = []
    optimizer.register_step_post_hook(lambda *_: heard.append(1))
    loss = optimizer.step(lambda: _backward((p * p).sum()))
    assert loss.item() == 2.0
    assert p.tolist() == [0.75, -0.75]
    assert heard == [1]
    saved = optimizer.state_dict()
    assert saved["state"][0]["step"] == 1
    optimizer.load_state_dict(saved)
    assert optimizer.state[p]["mean"].tolist() == [1.0, -1.0]
    with pytest.raises(ValueError, match="didn't specify a value of required optimization parameter lr"):
        kind([leaf()])


def _backward(loss):
    loss.backward()
    return loss


def test_steps_write_in_place_and_record_nothing():
    p = leaf(1.0, 2.0)
    array, version = p.array, p._version
    optimizer = optim.Adam([p])
    run(optimizer, 1)
    buffers = {key: value.array for key, value in optimizer.state[p].items()}
    run(optimizer, 1)
    assert p.array is array
    assert p._version > version
    assert p.is_leaf and p.requires_grad
    assert all(optimizer.state[p][key].array is value for key, value in buffers.items())
    assert not any(value.requires_grad for value in optimizer.state[p].values())


def test_no_warning_in_a_usual_loop():
    p = leaf(1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer = optim.Adam([p])
        schedule = optim.lr_scheduler.StepLR(optimizer, 1)
        for _ in range(3):
            optimizer.zero_grad()
            _backward((p * p).sum())
            optimizer.step()
            schedule.step()
