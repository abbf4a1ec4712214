"""Every layer is differentiable twice, in training and in use, by its inputs and by its parameters."""

from __future__ import annotations

import pytest

import devtensor
from devtensor import nn
from devtensor.autograd import gradcheck
from devtensor.func import functional_call
from devtensor.nn.utils import parameters_to_vector
from layer_table import IN_USE_ALONE, LAYERS, made

MODES = [(name, mode) for name in LAYERS for mode in (True, False) if not (mode and name in IN_USE_ALONE)]


@pytest.mark.parametrize(("name", "training"), MODES)
def test_gradients_of_both_orders(name, training):
    """All inputs and parameters are one vector, so that a direction moves them together."""
    layer, inputs, _ = made(name, "float64")
    layer.train(training)
    places = [place for place, x in enumerate(inputs) if x is not None and x.is_floating_point()]
    names = [key for key, _ in layer.named_parameters()]
    leaves = [*(inputs[place] for place in places), *(p.detach() for p in layer.parameters())]
    point = parameters_to_vector(leaves).requires_grad_()

    def result(point):
        devtensor.manual_seed(0)
        parts = point.split([leaf.numel() for leaf in leaves])
        moved = [part.view(leaf.shape).clone() for part, leaf in zip(parts, leaves, strict=True)]
        replaced = dict(zip(places, moved, strict=False))
        found = [replaced.get(place, x) for place, x in enumerate(inputs)]
        return functional_call(layer, dict(zip(names, moved[len(places) :], strict=True)), tuple(found))

    devtensor.manual_seed(1)
    direction = devtensor.randn_like(point)
    weights = devtensor.randn_like(result(point)).requires_grad_()

    def slope(point, weights):
        """How the weighted result changes along the direction: its gradient holds the second derivatives."""
        (grad,) = devtensor.autograd.grad(result(point), point, weights, create_graph=True)
        return (grad * direction).sum()

    assert gradcheck(result, [point])
    assert gradcheck(slope, [point, weights])


@pytest.mark.parametrize("training", [True, False])
def test_a_gradient_penalty_trains_the_critic(training):
    """WGAN-GP: the slope of the critic at its input is a loss, and has gradients by the critic's weights."""
    devtensor.manual_seed(0)
    critic = nn.Sequential(
        nn.Conv2d(2, 3, 3, stride=2, padding=1),
        nn.BatchNorm2d(3),
        nn.LeakyReLU(0.2),
        nn.Conv2d(3, 2, 2),
        nn.LayerNorm([2, 1, 1]),
        nn.SiLU(),
        nn.Flatten(),
        nn.Linear(2, 1),
    )
    critic = critic.double().train(training)
    picture = devtensor.randn(4, 2, 4, 4, dtype=devtensor.float64)
    names = [key for key, _ in critic.named_parameters()]

    def penalty(*weights):
        mixed = picture.clone().requires_grad_()
        score = functional_call(critic, dict(zip(names, weights, strict=True)), (mixed,))
        (slope,) = devtensor.autograd.grad(score.sum(), mixed, create_graph=True)
        return ((slope.flatten(1).norm(2, dim=1) - 1) ** 2).mean()

    weights = [p.detach().requires_grad_() for p in critic.parameters()]
    assert gradcheck(penalty, weights)
    given = devtensor.autograd.grad(penalty(*weights), weights, allow_unused=True)
    assert sum(g is not None and bool(g.abs().max() > 0) for g in given) >= len(weights) - 2


def test_learning_from_a_step_of_learning():
    """MAML: weights before a step of gradient descent are trained by the loss after it."""
    devtensor.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1),
        nn.BatchNorm2d(3, track_running_stats=False),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(12, 3),
    ).double()
    names = [key for key, _ in net.named_parameters()]
    support, query = devtensor.randn(2, 6, 1, 4, 4, dtype=devtensor.float64)
    labels = devtensor.tensor([0, 1, 2, 0, 1, 2])

    def loss(weights, pictures):
        scores = functional_call(net, dict(zip(names, weights, strict=True)), (pictures,))
        return nn.functional.cross_entropy(scores, labels)

    def after_a_step(*weights):
        slopes = devtensor.autograd.grad(loss(weights, support), weights, create_graph=True)
        return loss([w - 0.4 * g for w, g in zip(weights, slopes, strict=True)], query)

    weights = [p.detach().requires_grad_() for p in net.parameters()]
    assert gradcheck(after_a_step, weights)
