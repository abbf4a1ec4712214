"""Gradients of gradients: a critic with a penalty, meta-learning, a Function of the user's, per sample."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import autograd
from torch.func import functional_call, grad, jacrev, vmap

torch.manual_seed(0)


class Swish(autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * torch.sigmoid(x)

    @staticmethod
    def backward(ctx, grad_output):
        (x,) = ctx.saved_tensors
        s = torch.sigmoid(x)
        return grad_output * (s * (1 + x * (1 - s)))


class Critic(nn.Module):
    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(nn.Conv2d(1, 8, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(8, 1, 4))

    def forward(self, x):
        return self.main(x).view(-1)


def gradient_penalty(critic, real, fake):
    alpha = torch.rand(real.size(0), 1, 1, 1).expand_as(real)
    between = (alpha * real + (1 - alpha) * fake).requires_grad_(True)
    scores = critic(between)
    gradients = autograd.grad(
        outputs=scores, inputs=between, grad_outputs=torch.ones_like(scores), create_graph=True,
        retain_graph=True, only_inputs=True,
    )[0]  # fmt: skip
    return ((gradients.flatten(1).norm(2, dim=1) - 1) ** 2).mean()


def train_critic():
    critic = Critic()
    optimizer = torch.optim.Adam(critic.parameters(), lr=1e-2, betas=(0.5, 0.9))
    real, fake = torch.randn(16, 1, 8, 8) + 1, torch.randn(16, 1, 8, 8)
    penalties = []
    for _ in range(40):
        critic.zero_grad(set_to_none=True)
        penalty = gradient_penalty(critic, real, fake)
        (critic(fake).mean() - critic(real).mean() + 10 * penalty).backward()
        optimizer.step()
        penalties.append(penalty.item())
    print(f"penalty: {penalties[0]:.3f} -> {penalties[-1]:.3f}")
    assert penalties[-1] < penalties[0] and critic(real).mean() > critic(fake).mean()


def loss_of(params, x, y):
    return F.mse_loss(functional_call(net, params, (x,)), y)


net = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 1))


def meta_learn():
    meta = torch.optim.Adam(net.parameters(), lr=1e-2)
    x = torch.linspace(-3, 3, 20)[:, None]
    history = []
    for _ in range(30):
        outer = 0.0
        for phase in (0.0, 1.0, 2.0):
            y = torch.sin(x + phase)
            params = dict(net.named_parameters())
            steps = autograd.grad(loss_of(params, x[::2], y[::2]), list(params.values()), create_graph=True)
            adapted = {k: v - 0.1 * g for (k, v), g in zip(params.items(), steps, strict=True)}
            outer = outer + loss_of(adapted, x[1::2], y[1::2])
        meta.zero_grad()
        outer.backward()
        meta.step()
        history.append(outer.item())
    print(f"after adaptation: {history[0]:.3f} -> {history[-1]:.3f}")
    assert history[-1] < history[0]

    params = {k: v.detach() for k, v in net.named_parameters()}
    each = vmap(grad(loss_of), in_dims=(None, 0, 0))(params, x, torch.sin(x))
    whole = grad(loss_of)(params, x, torch.sin(x))
    assert all(torch.allclose(each[k].mean(0), whole[k], atol=1e-5) for k in params)


def main():
    x = torch.randn(5, dtype=torch.double, requires_grad=True)
    assert torch.allclose(Swish.apply(x), F.silu(x))
    assert autograd.gradcheck(Swish.apply, (x,)) and autograd.gradgradcheck(Swish.apply, (x,))
    jacobian = jacrev(lambda v: v.cumsum(0) ** 2)(x.detach())
    assert torch.equal(jacobian, jacobian.tril())
    train_critic()
    meta_learn()
    print("finished")


if __name__ == "__main__":
    main()
