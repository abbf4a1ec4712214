"""Constraints made of others: with more dims of their own, and joined along a dim."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from devtensor.core.errors import ArgumentError
from devtensor.distributions.constraint import Constraint, needs_constraint, require
from devtensor.functions.joining import cat, stack


class _OfOther(Constraint):
    """Another constraint, for values that have more dims, or fewer."""

    def __init__(self, base_constraint: Constraint) -> None:
        needs_constraint("base_constraint", base_constraint)
        self.base_constraint = base_constraint
        super().__init__()

    @property
    def is_discrete(self) -> Any:
        return self.base_constraint.is_discrete


class _IndependentConstraint(_OfOther):
    """Another constraint, with some of its batch's last dims counted as its own."""

    def __init__(self, base_constraint: Constraint, reinterpreted_batch_ndims: int) -> None:
        super().__init__(base_constraint)
        require(
            isinstance(reinterpreted_batch_ndims, int) and reinterpreted_batch_ndims >= 0,
            f"reinterpreted_batch_ndims must be an int >= 0, got {reinterpreted_batch_ndims!r}",
        )
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims

    @property
    def event_dim(self) -> Any:
        return self.base_constraint.event_dim + self.reinterpreted_batch_ndims

    def check(self, value: Any) -> Any:
        held = self.base_constraint.check(value)
        if held.dim() < self.reinterpreted_batch_ndims:
            raise ArgumentError(f"[check] Expected value.dim() >= {self.event_dim} but got {value.dim()}")
        kept = held.shape[: held.dim() - self.reinterpreted_batch_ndims]
        return held.reshape((*kept, -1)).all(-1)

    def __repr__(self) -> str:
        return f"{type(self).__name__[1:]}({self.base_constraint!r}, {self.reinterpreted_batch_ndims})"


class MixtureSameFamilyConstraint(_OfOther):
    """The constraint of a mixture's components, checked on values without the components' dim."""

    @property
    def event_dim(self) -> Any:
        return self.base_constraint.event_dim

    def check(self, value: Any) -> Any:
        if value.dim() < self.event_dim:
            raise ArgumentError(f"[check] Expected value.dim() >= {self.event_dim} but got {value.dim()}")
        held = self.base_constraint.check(value.unsqueeze(-1 - self.event_dim))
        return held.reshape((*held.shape[: value.dim() - self.event_dim], -1)).all(-1)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_constraint!r})"


class _Joined(Constraint):
    """Several constraints, each for its part of the values along one dim."""

    def __init__(self, cseq: Sequence[Constraint], dim: int) -> None:
        for constraint in cseq:
            needs_constraint("every element of cseq", constraint)
        self.cseq = list(cseq)
        self.dim = dim
        super().__init__()

    @property
    def is_discrete(self) -> Any:
        return any(constraint.is_discrete for constraint in self.cseq)

    def _check_dim(self, value: Any) -> None:
        require(
            -value.dim() <= self.dim < value.dim(),
            f"dim {self.dim} out of range for value with {value.dim()} dimensions",
        )


class _Cat(_Joined):
    """Constraints for values joined as by `devtensor.cat`, each of its length along `dim`."""

    def __init__(
        self, cseq: Sequence[Constraint], dim: int = 0, lengths: Sequence[int] | None = None
    ) -> None:
        super().__init__(cseq, dim)
        self.lengths = [1] * len(self.cseq) if lengths is None else list(lengths)
        require(
            len(self.lengths) == len(self.cseq),
            f"lengths ({len(self.lengths)}) must match cseq ({len(self.cseq)})",
        )

    @property
    def event_dim(self) -> Any:
        return max(constraint.event_dim for constraint in self.cseq)

    def check(self, value: Any) -> Any:
        self._check_dim(value)
        held, start = [], 0
        for constraint, length in zip(self.cseq, self.lengths, strict=True):
            held.append(constraint.check(value.narrow(self.dim, start, length)))
            start += length
        return cat(held, self.dim)


class _Stack(_Joined):
    """Constraints for values stacked as by `devtensor.stack` along `dim`."""

    def __init__(self, cseq: Sequence[Constraint], dim: int = 0) -> None:
        super().__init__(cseq, dim)

    @property
    def event_dim(self) -> Any:
        dims = max(constraint.event_dim for constraint in self.cseq)
        return dims + 1 if self.dim + dims < 0 else dims

    def check(self, value: Any) -> Any:
        self._check_dim(value)
        parts = value.unbind(self.dim)
        held = [constraint.check(part) for constraint, part in zip(self.cseq, parts, strict=False)]
        return stack(held, self.dim)
