"""Optimizers and schedules as people write them for PyTorch, against their papers' formulas in NumPy."""

# ruff: noqa: B905, SIM300, UP008, UP032 - written in the manner of such code

from __future__ import annotations

import copy
import math
from collections import defaultdict

import numpy as np
import pytest

import devtensor as torch
from devtensor.optim.lr_scheduler import LRScheduler, StepLR, _LRScheduler
from devtensor.optim.optimizer import (
    Optimizer,
    _default_to_fused_or_foreach,
    _dispatch_sqrt,
    _get_value,
    _use_grad_for_differentiable,
    required,
)


class Lion(Optimizer):
    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0):
        if not 0.0 <= lr:
            raise ValueError("Invalid learning rate: {}".format(lr))
        defaults = dict(lr=lr, betas=betas, weight_decay=weight_decay)
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                p.data.mul_(1 - group["lr"] * group["weight_decay"])
                grad = p.grad
                state = self.state[p]
                if len(state) == 0:
                    state["exp_avg"] = torch.zeros_like(p)
                exp_avg = state["exp_avg"]
                beta1, beta2 = group["betas"]
                update = exp_avg * beta1 + grad * (1 - beta1)
                p.add_(update.sign_(), alpha=-group["lr"])
                exp_avg.mul_(beta2).add_(grad, alpha=1 - beta2)
        return loss


class Lamb(Optimizer):
    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-6, weight_decay=0, adam=False):
        defaults = dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)
        self.adam = adam
        super(Lamb, self).__init__(params, defaults)

    def step(self, closure=None):
        loss = closure() if closure is not None else None
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                grad = p.grad.data
                if grad.is_sparse:
                    raise RuntimeError("Lamb does not support sparse gradients")
                state = self.state[p]
                if len(state) == 0:
                    state["step"] = 0
                    state["exp_avg"] = torch.zeros_like(p.data)
                    state["exp_avg_sq"] = torch.zeros_like(p.data)
                exp_avg, exp_avg_sq = state["exp_avg"], state["exp_avg_sq"]
                beta1, beta2 = group["betas"]
                state["step"] += 1
                exp_avg.mul_(beta1).add_(grad, alpha=1 - beta1)
                exp_avg_sq.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
                weight_norm = p.data.pow(2).sum().sqrt().clamp(0, 10)
                adam_step = exp_avg / exp_avg_sq.sqrt().add(group["eps"])
                if group["weight_decay"] != 0:
                    adam_step.add_(p.data, alpha=group["weight_decay"])
                adam_norm = adam_step.pow(2).sum().sqrt()
                trust_ratio = 1 if weight_norm == 0 or adam_norm == 0 else weight_norm / adam_norm
                state["trust_ratio"] = trust_ratio
                if self.adam:
                    trust_ratio = 1
                p.data.add_(adam_step, alpha=-group["lr"] * trust_ratio)
        return loss


class Lookahead(Optimizer):
    """Wraps another optimizer and shares its groups and state."""

    def __init__(self, optimizer, k=5, alpha=0.5):
        self.optimizer = optimizer
        self.k = k
        self.alpha = alpha
        self.param_groups = self.optimizer.param_groups
        self.state = defaultdict(dict)
        self.fast_state = self.optimizer.state
        for group in self.param_groups:
            group["counter"] = 0

    def update(self, group):
        for fast in group["params"]:
            param_state = self.state[fast]
            if "slow_param" not in param_state:
                param_state["slow_param"] = torch.zeros_like(fast.data)
                param_state["slow_param"].copy_(fast.data)
            slow = param_state["slow_param"]
            slow += (fast.data - slow) * self.alpha
            fast.data.copy_(slow)

    def step(self, closure=None):
        loss = self.optimizer.step(closure)
        for group in self.param_groups:
            if group["counter"] == 0:
                self.update(group)
            group["counter"] += 1
            if group["counter"] >= self.k:
                group["counter"] = 0
        return loss

    def zero_grad(self):
        self.optimizer.zero_grad()


class SAM(Optimizer):
    def __init__(self, params, base_optimizer, rho=0.05, **kwargs):
        assert rho >= 0.0, f"Invalid rho, should be non-negative: {rho}"
        defaults = dict(rho=rho, **kwargs)
        super(SAM, self).__init__(params, defaults)
        self.base_optimizer = base_optimizer(self.param_groups, **kwargs)
        self.param_groups = self.base_optimizer.param_groups
        self.defaults.update(self.base_optimizer.defaults)

    @torch.no_grad()
    def first_step(self, zero_grad=False):
        grad_norm = self._grad_norm()
        for group in self.param_groups:
            scale = group["rho"] / (grad_norm + 1e-12)
            for p in group["params"]:
                if p.grad is None:
                    continue
                self.state[p]["old_p"] = p.data.clone()
                p.add_(p.grad * scale.to(p))
        if zero_grad:
            self.zero_grad()

    @torch.no_grad()
    def second_step(self, zero_grad=False):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                p.data = self.state[p]["old_p"]
        self.base_optimizer.step()
        if zero_grad:
            self.zero_grad()

    @torch.no_grad()
    def step(self, closure=None):
        assert closure is not None, "Sharpness Aware Minimization requires closure"
        closure = torch.enable_grad()(closure)
        self.first_step(zero_grad=True)
        closure()
        self.second_step()

    def _grad_norm(self):
        shared_device = self.param_groups[0]["params"][0].device
        norms = [p.grad.norm(p=2).to(shared_device) for g in self.param_groups for p in g["params"]]
        return torch.norm(torch.stack(norms), p=2)

    def load_state_dict(self, state_dict):
        super().load_state_dict(state_dict)
        self.base_optimizer.param_groups = self.param_groups


class AdaBelief(Optimizer):
    """In the style of PyTorch's own files: lists of tensors, and a function over them."""

    def __init__(self, params, lr=required, betas=(0.9, 0.999), eps=1e-8, foreach=None, differentiable=False):
        defaults = dict(lr=lr, betas=betas, eps=eps, foreach=foreach, differentiable=differentiable)
        super().__init__(params, defaults)

    def __setstate__(self, state):
        super().__setstate__(state)
        for group in self.param_groups:
            group.setdefault("foreach", None)
            group.setdefault("differentiable", False)

    @_use_grad_for_differentiable
    def step(self, closure=None):
        self._cuda_graph_capture_health_check()
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            grads = [p.grad for p in params]
            for p in params:
                state = self.state[p]
                if len(state) == 0:
                    state["step"] = torch.tensor(0.0)
                    for name in ("exp_avg", "exp_avg_var"):
                        state[name] = torch.zeros_like(p, memory_format=torch.preserve_format)
            foreach = group["foreach"]
            if foreach is None:
                _, foreach = _default_to_fused_or_foreach(params, group["differentiable"])
            update = _many if foreach else _each
            update(params, grads, [self.state[p] for p in params], group)
        return loss


def _each(params, grads, states, group):
    beta1, beta2 = group["betas"]
    for p, grad, state in zip(params, grads, states):
        state["step"] += 1
        step = _get_value(state["step"])
        state["exp_avg"].lerp_(grad, 1 - beta1)
        residual = grad - state["exp_avg"]
        state["exp_avg_var"].mul_(beta2).addcmul_(residual, residual, value=1 - beta2).add_(group["eps"])
        denominator = (state["exp_avg_var"].sqrt() / _dispatch_sqrt(1 - beta2**step)).add_(group["eps"])
        p.addcdiv_(state["exp_avg"], denominator, value=-group["lr"] / (1 - beta1**step))


def _many(params, grads, states, group):
    beta1, beta2 = group["betas"]
    torch._foreach_add_([s["step"] for s in states], 1)
    means, variances = ([s[name] for s in states] for name in ("exp_avg", "exp_avg_var"))
    torch._foreach_mul_(means, beta1)
    torch._foreach_add_(means, grads, alpha=1 - beta1)
    residuals = torch._foreach_sub(grads, means)
    torch._foreach_mul_(variances, beta2)
    torch._foreach_addcmul_(variances, residuals, residuals, 1 - beta2)
    torch._foreach_add_(variances, group["eps"])
    roots = torch._foreach_sqrt(variances)
    steps = [_get_value(s["step"]) for s in states]
    torch._foreach_div_(roots, [_dispatch_sqrt(1 - beta2**t) for t in steps])
    torch._foreach_add_(roots, group["eps"])
    torch._foreach_div_(means_scaled := torch._foreach_div(means, roots), [1 - beta1**t for t in steps])
    torch._foreach_add_(params, means_scaled, alpha=-group["lr"])


def lion(p, g, s, t, lr=0.1):
    m = s.get("m", 0.0)
    s["m"] = 0.99 * m + 0.01 * g
    return p * (1 - lr * 0.1) - lr * np.sign(0.9 * m + 0.1 * g)


def lamb(p, g, s, t, lr=0.1):
    s["m"] = 0.9 * s.get("m", 0.0) + 0.1 * g
    s["v"] = 0.999 * s.get("v", 0.0) + 0.001 * g * g
    step = s["m"] / (np.sqrt(s["v"]) + 1e-6) + 0.1 * p
    return p - lr * min(np.linalg.norm(p), 10) / np.linalg.norm(step) * step


def lookahead(p, g, s, t, lr=0.1):
    p = p - lr * g
    if (t - 1) % 5 == 0:
        s["slow"] = s["slow"] + 0.5 * (p - s["slow"]) if "slow" in s else p
        return s["slow"]
    return p


def adabelief(p, g, s, t, lr=0.1):
    s["m"] = 0.9 * s.get("m", 0.0) + 0.1 * g
    s["v"] = 0.999 * s.get("v", 0.0) + 0.001 * (g - s["m"]) ** 2 + 1e-8
    return p - lr * s["m"] / (1 - 0.9**t) / (np.sqrt(s["v"] / (1 - 0.999**t)) + 1e-8)


STRANGERS = {
    "Lion": (lambda p: Lion(p, lr=0.1, weight_decay=0.1), lion),
    "Lamb": (lambda p: Lamb(p, lr=0.1, weight_decay=0.1), lamb),
    "Lookahead": (lambda p: Lookahead(torch.optim.SGD(p, lr=0.1)), lookahead),
    "AdaBelief": (lambda p: AdaBelief(p, lr=0.1), adabelief),
    "AdaBelief over lists": (lambda p: AdaBelief(p, lr=0.1, foreach=True), adabelief),
}


@pytest.mark.parametrize("name", STRANGERS)
def test_strangers_optimizers(name):
    build, formula = STRANGERS[name]
    wanted = np.array([1.0, -2.0, 0.5])
    p = torch.tensor(wanted, requires_grad=True)
    optimizer = build([p])
    schedule = StepLR(optimizer, 4, 0.5)
    state, lr = {}, 0.1
    for step in range(1, 13):
        optimizer.zero_grad()
        (p**2 / 2).sum().backward()
        wanted = formula(wanted, wanted, state, step, lr)
        optimizer.step()
        schedule.step()
        lr = 0.1 * 0.5 ** (step // 4)
        np.testing.assert_allclose(p.detach().numpy(), wanted, rtol=1e-6)
    saved = copy.deepcopy(optimizer.state_dict())
    twin_leaf = p.detach().clone().requires_grad_()
    twin = build([twin_leaf])
    if name != "Lookahead":
        twin.load_state_dict(saved)
        for each, leaf in ((optimizer, p), (twin, twin_leaf)):
            leaf.grad = torch.ones(3, dtype=torch.float64)
            each.step()
        assert twin_leaf.tolist() == p.tolist()


def test_sam_goes_by_the_gradient_uphill():
    start = np.array([1.0, -2.0])
    p = torch.tensor(start, requires_grad=True)
    optimizer = SAM([p], torch.optim.SGD, rho=0.1, lr=0.1, momentum=0.9)

    def closure():
        loss = (p**4).sum() / 4
        loss.backward()
        return loss

    velocity = np.zeros(2)
    for _ in range(4):
        closure()
        optimizer.step(closure)
        optimizer.zero_grad()
        g = start**3
        velocity = 0.9 * velocity + (start + 0.1 * g / np.linalg.norm(g)) ** 3
        start = start - 0.1 * velocity
    np.testing.assert_allclose(p.detach().numpy(), start, rtol=1e-6)
    optimizer.load_state_dict(optimizer.state_dict())
    assert optimizer.base_optimizer.param_groups is optimizer.param_groups


def test_required_hyperparameters_must_be_given():
    with pytest.raises(ValueError, match="required optimization parameter lr"):
        AdaBelief([torch.zeros(1).requires_grad_()])


class WarmupCosine(_LRScheduler):
    def __init__(self, optimizer, warmup, total, last_epoch=-1):
        self.warmup = warmup
        self.total = total
        super(WarmupCosine, self).__init__(optimizer, last_epoch)

    def get_lr(self):
        if self.last_epoch < self.warmup:
            return [base_lr * (self.last_epoch + 1) / self.warmup for base_lr in self.base_lrs]
        done = (self.last_epoch - self.warmup) / (self.total - self.warmup)
        return [base_lr * 0.5 * (1 + math.cos(math.pi * done)) for base_lr in self.base_lrs]


class GradualWarmup(LRScheduler):
    """Hands over to another schedule; overrides `step` too."""

    def __init__(self, optimizer, length, after):
        self.length = length
        self.after = after
        self.finished = False
        super().__init__(optimizer)

    def get_lr(self):
        if self.last_epoch > self.length:
            if not self.finished:
                self.after.base_lrs = self.base_lrs
                self.finished = True
            return self.after.get_last_lr()
        return [base_lr * self.last_epoch / self.length for base_lr in self.base_lrs]

    def step(self, epoch=None):
        if self.finished:
            self.after.step()
            self._last_lr = self.after.get_last_lr()
        else:
            super().step(epoch)


def test_strangers_schedules():
    p = torch.zeros(1).requires_grad_()
    optimizer = torch.optim.SGD([p], lr=0.4)
    schedule = WarmupCosine(optimizer, 4, 12)
    found = []
    for _ in range(12):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    wanted = [0.1, 0.2, 0.3, 0.4] + [0.2 * (1 + math.cos(math.pi * k / 8)) for k in range(8)]
    assert found == pytest.approx(wanted)
    optimizer = torch.optim.SGD([p], lr=0.4)
    schedule = GradualWarmup(optimizer, 2, StepLR(optimizer, 2, 0.5))
    found = []
    for _ in range(7):
        found.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert found[:3] == pytest.approx([0.0, 0.2, 0.4])
