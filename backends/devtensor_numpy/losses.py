"""Losses of classification in one kernel each."""

from __future__ import annotations

import math

import numpy as np
from numpy import asarray, ndarray

from devtensor.backend.protocol import Kernel
from devtensor_numpy.halves import wide
from devtensor_numpy.index import refuse_outside
from devtensor_numpy.softmax import log_softmax


def nll_loss(
    logs: ndarray, target: ndarray, weight: ndarray | None, reduction: str, ignore_index: int
) -> ndarray:
    found = weighed(logs, target, weight, reduction, ignore_index, 0.0)
    return found.astype(logs.dtype, copy=False)


def cross_entropy(
    x: ndarray,
    target: ndarray,
    weight: ndarray | None,
    reduction: str,
    ignore_index: int,
    label_smoothing: float,
) -> ndarray:
    return weighed(log_softmax(x, 1), target, weight, reduction, ignore_index, label_smoothing)


def weighed(
    logs: ndarray,
    target: ndarray,
    weight: ndarray | None,
    reduction: str,
    ignore_index: int,
    smoothing: float,
) -> ndarray:
    """Minus the logarithms at the targets, times the weights of their classes, each or reduced."""
    classes = logs.shape[1]
    valid = target != ignore_index
    counted = np.count_nonzero(valid)
    places = target if counted == valid.size else np.where(valid, target, 0)
    refuse_outside(places, 1, classes)
    losses, weight = asarray(-wide(chosen(logs, places))), wide(weight)
    dtype = losses.dtype
    if places is not target:
        losses[~valid] = 0
    shares = dtype.type(counted)
    if weight is not None:
        weights = asarray(weight[places] * valid)
        losses, shares = losses * weights, np.add.reduce(weights, None)
    if smoothing:
        spread = logs if weight is None else logs * weight.reshape(-1, *(1,) * (logs.ndim - 2))
        evenly = np.where(valid, np.add.reduce(spread, 1), dtype.type(0))
        losses = losses * dtype.type(1 - smoothing) - evenly * dtype.type(smoothing / classes)
    if reduction == "none":
        return asarray(losses, order="C")
    found = np.add.reduce(losses, None)
    return asarray(found / shares if reduction == "mean" else found)


def chosen(logs: ndarray, places: ndarray) -> ndarray:
    """The element of each line along dim 1 that `places` names: (N, C, *K), (N, *K) -> (N, *K)."""
    samples = logs.shape[0]
    if logs.ndim == 2:
        return logs[np.arange(samples), places]
    inner = math.prod(logs.shape[2:])
    flat = logs.reshape(samples, logs.shape[1], inner)
    found = flat[np.arange(samples)[:, None], places.reshape(samples, inner), np.arange(inner)]
    return found.reshape(places.shape)


FUNCTIONS: dict[str, Kernel] = {"nll_loss": nll_loss, "cross_entropy": cross_entropy}
