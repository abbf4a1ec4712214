"""The ways to choose what is pruned."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

from devtensor.core.errors import ArgumentError, ArgumentTypeError, DimensionError
from devtensor.core.tensor import Tensor
from devtensor.functions.creation import zeros_like
from devtensor.functions.ordering import topk
from devtensor.functions.sampling import rand, rand_like
from devtensor.linalg.norms import norm
from devtensor.nn.modules.module import Module
from devtensor.nn.utils.pruning import BasePruningMethod, PruningError


class Identity(BasePruningMethod):
    """Prunes nothing: a mask of ones."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        return default_mask

    @classmethod
    def apply(cls, module: Module, name: str) -> BasePruningMethod:  # type: ignore[override]
        return super().apply(module, name)


class _Amount(BasePruningMethod):
    """A method that prunes a share (a float) or a number (an int) of what there is."""

    def __init__(self, amount: Any) -> None:
        _validate_pruning_amount_init(amount)
        self.amount = amount

    def _count(self, among: int) -> int:
        count = _compute_nparams_toprune(self.amount, among)
        _validate_pruning_amount(count, among)
        return count


class _Numbers(_Amount):
    """A method that prunes the numbers whose scores are the lowest."""

    PRUNING_TYPE = "unstructured"

    def _ranks(self, t: Any) -> Any:
        raise NotImplementedError

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        count = self._count(t.nelement())
        mask = default_mask.clone().contiguous()
        if count:
            places = topk(self._ranks(t).reshape(-1), count, largest=False).indices
            mask.view(-1)[places] = 0
        return mask


class RandomUnstructured(_Numbers):
    """Prunes numbers chosen at random."""

    def _ranks(self, t: Any) -> Any:
        return rand_like(t)

    @classmethod
    def apply(cls, module: Module, name: str, amount: Any) -> BasePruningMethod:  # type: ignore[override]
        return super().apply(module, name, amount=amount)


class L1Unstructured(_Numbers):
    """Prunes the numbers nearest to zero."""

    def _ranks(self, t: Any) -> Any:
        return t.abs()

    @classmethod
    def apply(  # type: ignore[override]
        cls, module: Module, name: str, amount: Any, importance_scores: Any = None
    ) -> BasePruningMethod:
        return super().apply(module, name, amount=amount, importance_scores=importance_scores)


class _Slices(_Amount):
    """A method that prunes the slices along `dim` whose scores are the lowest."""

    PRUNING_TYPE = "structured"

    def __init__(self, amount: Any, dim: int = -1) -> None:
        super().__init__(amount)
        self.dim = dim

    def _ranks(self, t: Any) -> Any:
        raise NotImplementedError

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        _validate_structured_pruning(t)
        _validate_pruning_dim(t, self.dim)
        channels = t.shape[self.dim]
        count = self._count(channels)
        if not count:
            return default_mask
        kept = topk(self._ranks(t), channels - count, largest=True).indices
        mask: Any = zeros_like(t)
        place = self.dim % t.dim()
        mask[(slice(None),) * place + (kept,)] = 1
        return mask * default_mask.to(dtype=mask.dtype)


class RandomStructured(_Slices):
    """Prunes slices along `dim` chosen at random."""

    def _ranks(self, t: Any) -> Any:
        return rand(t.shape[self.dim], device=t.device)

    @classmethod
    def apply(  # type: ignore[override]
        cls, module: Module, name: str, amount: Any, dim: int = -1
    ) -> BasePruningMethod:
        return super().apply(module, name, amount=amount, dim=dim)


class LnStructured(_Slices):
    """Prunes the slices along `dim` whose norm of order `n` is the lowest."""

    def __init__(self, amount: Any, n: Any, dim: int = -1) -> None:
        super().__init__(amount, dim)
        self.n = n

    def _ranks(self, t: Any) -> Any:
        return _compute_norm(t, self.n, self.dim)

    @classmethod
    def apply(  # type: ignore[override]
        cls, module: Module, name: str, amount: Any, n: Any, dim: int, importance_scores: Any = None
    ) -> BasePruningMethod:
        return super().apply(module, name, amount=amount, n=n, dim=dim, importance_scores=importance_scores)


class CustomFromMask(BasePruningMethod):
    """Prunes where a given mask is zero."""

    PRUNING_TYPE = "global"

    def __init__(self, mask: Any) -> None:
        self.mask = mask

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        if default_mask.shape != self.mask.shape:
            raise PruningError(
                f"[prune] default_mask shape {default_mask.shape} must match self.mask shape "
                f"{self.mask.shape}"
            )
        return default_mask * self.mask.to(dtype=default_mask.dtype)

    @classmethod
    def apply(cls, module: Module, name: str, mask: Any) -> BasePruningMethod:  # type: ignore[override]
        return super().apply(module, name, mask=mask)


def _validate_pruning_amount_init(amount: Any) -> None:
    if not isinstance(amount, Real):
        raise ArgumentTypeError(f"[prune] Invalid type for amount: {amount}. Must be int or float.")
    number = float(amount)
    if number < 0 or (number > 1 and not isinstance(amount, Integral)):
        raise ArgumentError(
            f"[prune] amount={amount} should either be a float in the range [0, 1] or a non-negative integer"
        )


def _validate_pruning_amount(amount: Any, tensor_size: int) -> None:
    if isinstance(amount, Integral) and int(amount) > tensor_size:
        raise ArgumentError(
            f"[prune] amount={amount} should be smaller than the number of parameters to prune={tensor_size}"
        )


def _validate_structured_pruning(t: Tensor) -> None:
    if t.array.ndim <= 1:
        raise ArgumentError(
            "[prune] Structured pruning can only be applied to multidimensional tensors. Found tensor of "
            f"shape {t.shape} with {t.array.ndim} dims"
        )


def _validate_pruning_dim(t: Tensor, dim: int) -> None:
    if dim >= t.array.ndim:
        raise DimensionError(f"[prune] Invalid index {dim} for tensor of size {t.shape}")


def _compute_nparams_toprune(amount: Any, tensor_size: int) -> int:
    """How many are pruned."""
    return amount if isinstance(amount, Integral) else round(amount * tensor_size)  # type: ignore[return-value]


def _compute_norm(t: Any, n: Any, dim: int) -> Any:
    """The norms of the slices along `dim`."""
    kept = dim % t.dim()
    return norm(t, p=n, dim=[d for d in range(t.dim()) if d != kept])
