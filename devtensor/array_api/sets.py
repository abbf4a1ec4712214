"""Distinct elements: every NaN is one of its own."""

from __future__ import annotations

from typing import NamedTuple

import devtensor
from devtensor.core.tensor import Tensor

__all__ = ["unique_all", "unique_counts", "unique_inverse", "unique_values"]


class UniqueAll(NamedTuple):
    """Distinct values, where each is first, which one each element is, and how often each is there."""

    values: Tensor
    indices: Tensor
    inverse_indices: Tensor
    counts: Tensor


class UniqueCounts(NamedTuple):
    """Distinct values and how often each is there."""

    values: Tensor
    counts: Tensor


class UniqueInverse(NamedTuple):
    """Distinct values, and which one each element is."""

    values: Tensor
    inverse_indices: Tensor


def unique_all(x: Tensor, /) -> UniqueAll:
    """All that is known of the distinct values of `x`, in rising order.

    Shapes: x (*S) -> (K,), (K,), (*S), (K,)
    """
    flat = x.reshape(-1)
    order = _order(flat)
    ordered = flat[order]
    new = devtensor.ones_like(ordered, dtype=devtensor.bool)
    new[1:] = ordered[1:] != ordered[:-1]
    (starts,) = devtensor.nonzero(new, as_tuple=True)
    inverse = devtensor.zeros_like(order)
    inverse[order] = new.cumsum(0) - 1
    ends = devtensor.cat([starts[1:], starts.new_full((min(1, len(starts)),), len(flat))])
    return UniqueAll(ordered[starts], order[starts], inverse.reshape(x.shape), ends - starts)


def _order(flat: Tensor) -> Tensor:
    """The places of elements in rising order; complex ones by their real, then their imaginary parts."""
    if not flat.dtype.is_complex:
        return devtensor.argsort(flat, stable=True)
    within = devtensor.argsort(flat.imag, stable=True)
    return within[devtensor.argsort(flat.real[within], stable=True)]


def unique_counts(x: Tensor, /) -> UniqueCounts:
    """Distinct values of `x` and their counts."""
    found = unique_all(x)
    return UniqueCounts(found.values, found.counts)


def unique_inverse(x: Tensor, /) -> UniqueInverse:
    """Distinct values of `x` and the place among them of each element."""
    found = unique_all(x)
    return UniqueInverse(found.values, found.inverse_indices)


def unique_values(x: Tensor, /) -> Tensor:
    """Distinct values of `x`."""
    return unique_all(x).values
