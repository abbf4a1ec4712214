"""The optimizers' rules in float64 NumPy, in the form that their papers give them.

Each gives the parameter's new value; `g` comes with weight decay, `p` with the decoupled one, and `slots` are
replaced by what they become.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from devtensor_cupy.compile.steps import AMSGRAD, CENTERED, NESTEROV

Array = np.ndarray
Numbers = dict[str, Any]


def sgd(p: Array, g: Array, slots: list[Array], h: Numbers) -> Array:
    if not h["momentum"]:
        return p - h["rate"] * g
    weight = 1 if h["step"] == 1 else 1 - h["dampening"]
    slots[0] = h["momentum"] * slots[0] + weight * g
    way = g + h["momentum"] * slots[0] if h["flags"] & NESTEROV else slots[0]
    return p - h["rate"] * way


def asgd(p: Array, g: Array, slots: list[Array], h: Numbers) -> Array:
    # A state's numbers are float32, of whatever dtype the parameters are.
    eta = float(np.float32(h["rate"])) if h["step"] == 0 else h["eta"]
    after = (1 - h["lambd"] * eta) * p - eta * g
    slots[0] = slots[0] + h["mu"] * (after - slots[0])
    return after


def rprop(p: Array, g: Array, slots: list[Array], h: Numbers) -> Array:
    before, size = slots
    agree = np.sign(g * before)
    factor = np.choose(agree.astype(int) + 1, [h["low"], 1.0, h["high"]])
    size = np.clip((size + (h["rate"] if h["step"] == 1 else 0)) * factor, h["smallest"], h["largest"])
    kept = np.where(agree < 0, 0.0, g)
    slots[:] = kept, size
    return p - np.sign(kept) * size


def means(g: Array, slots: list[Array], h: Numbers) -> tuple[Array, Array]:
    """The running means of the gradient and of its square, brought up to date."""
    slots[0] = h["beta1"] * slots[0] + (1 - h["beta1"]) * g
    slots[1] = h["beta2"] * slots[1] + (1 - h["beta2"]) * g**2
    return slots[0], slots[1]


def adam(p: Array, g: Array, slots: list[Array], h: Numbers) -> Array:
    mean, square = means(g, slots, h)
    if h["flags"] & AMSGRAD:
        slots[2] = square = np.maximum(square, slots[2])
    root = np.sqrt(square / (1 - h["beta2"] ** h["step"])) + h["eps"]
    return p - h["rate"] * mean / (1 - h["beta1"] ** h["step"]) / root


def adamax(p: Array, g: Array, slots: list[Array], h: Numbers) -> Array:
    slots[0] = h["beta1"] * slots[0] + (1 - h["beta1"]) * g
    slots[1] = np.maximum(h["beta2"] * slots[1], np.abs(g) + h["eps"])
    return p - h["rate"] / (1 - h["beta1"] ** h["step"]) * slots[0] / slots[1]


def nadam(p: Array, g: Array, slots: list[Array], h: Numbers) -> Array:
    mean, square = means(g, slots, h)
    mu, following = (mu_of(h["step"] + k, h) for k in (0, 1))
    product = h["mu_product"]
    way = mean * following / (1 - product * following) + g * (1 - mu) / (1 - product)
    return p - h["rate"] * way / (np.sqrt(square / (1 - h["beta2"] ** h["step"])) + h["eps"])


def mu_of(step: float, h: Numbers) -> float:
    return h["beta1"] * (1 - 0.5 * 0.96 ** (step * h["momentum_decay"]))


def radam(p: Array, g: Array, slots: list[Array], h: Numbers) -> Array:
    mean, square = means(g, slots, h)
    unbiased = mean / (1 - h["beta1"] ** h["step"])
    power = h["beta2"] ** h["step"]
    last = 2 / (1 - h["beta2"]) - 1
    rho = last - 2 * h["step"] * power / (1 - power)
    if rho <= 5:
        return p - h["rate"] * unbiased
    rectified = math.sqrt((rho - 4) * (rho - 2) * last / ((last - 4) * (last - 2) * rho))
    return p - h["rate"] * rectified * unbiased * math.sqrt(1 - power) / (np.sqrt(square) + h["eps"])


def adagrad(p: Array, g: Array, slots: list[Array], h: Numbers) -> Array:
    slots[0] = slots[0] + g**2
    length = h["rate"] / (1 + (h["step"] - 1) * h["lr_decay"])
    return p - length * g / (np.sqrt(slots[0]) + h["eps"])


def rmsprop(p: Array, g: Array, slots: list[Array], h: Numbers) -> Array:
    slots[0] = root = h["alpha"] * slots[0] + (1 - h["alpha"]) * g**2
    if h["flags"] & CENTERED:
        slots[2] = h["alpha"] * slots[2] + (1 - h["alpha"]) * g
        root = root - slots[2] ** 2
    way = g / (np.sqrt(root) + h["eps"])
    if h["momentum"]:
        slots[1] = way = h["momentum"] * slots[1] + way
    return p - h["rate"] * way


def adadelta(p: Array, g: Array, slots: list[Array], h: Numbers) -> Array:
    slots[0] = h["rho"] * slots[0] + (1 - h["rho"]) * g**2
    way = np.sqrt(slots[1] + h["eps"]) / np.sqrt(slots[0] + h["eps"]) * g
    slots[1] = h["rho"] * slots[1] + (1 - h["rho"]) * way**2
    return p - h["rate"] * way
