"""Parametrizations in common use: orthogonal matrices, weight and spectral normalisation."""

from __future__ import annotations

from typing import Any

from devtensor.core.errors import ArgumentError, DimensionError
from devtensor.core.state import no_grad
from devtensor.core.tensor import Tensor
from devtensor.linalg.norms import _weight_norm, norm_except_dim
from devtensor.nn import functional
from devtensor.nn.modules.module import Module
from devtensor.nn.utils.orthogonal_maps import _OrthMaps, _Orthogonal
from devtensor.nn.utils.parametrize import register_parametrization
from devtensor.nn.utils.spectral_norm import as_matrix, output_dim, random_direction

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]


def _tensor_of(module: Module, name: str) -> Any:
    found = getattr(module, name, None)
    if not isinstance(found, Tensor):
        raise ArgumentError(
            f"[parametrizations] Module '{module}' has no parameter or buffer with name '{name}'"
        )
    return found


def orthogonal(
    module: Module,
    name: str = "weight",
    orthogonal_map: str | None = None,
    *,
    use_trivialization: bool = True,
) -> Module:
    """Keep a matrix, or the matrices of a batch, orthogonal (unitary if complex) whatever is trained.

    Columns are orthonormal where there are at least as many rows, else rows are. `orthogonal_map` is
    "matrix_exp", "cayley" or "householder"; the first for square and complex matrices, else the last. With
    `use_trivialization` the map starts from the matrix as it is, made orthogonal.

    Source: Lezcano-Casado 2019, Trivializations for gradient-based optimization on manifolds.
    Errors: ArgumentError for fewer than 2 dims, or an unknown map.
    """
    weight = _tensor_of(module, name)
    if weight.ndim < 2:
        raise ArgumentError(
            f"[orthogonal] Expected a matrix or batch of matrices. Got a tensor of {weight.ndim} dimensions."
        )
    if orthogonal_map is None:
        square = weight.size(-2) == weight.size(-1)
        orthogonal_map = "matrix_exp" if square or weight.is_complex() else "householder"
    chosen = getattr(_OrthMaps, orthogonal_map, None)
    if chosen is None:
        raise ArgumentError(
            '[orthogonal] orthogonal_map has to be one of "matrix_exp", "cayley", "householder". Got: '
            f"{orthogonal_map}"
        )
    made = _Orthogonal(weight, chosen, use_trivialization=use_trivialization)
    return register_parametrization(module, name, made, unsafe=True)


class _WeightNorm(Module):
    """A direction scaled to a norm."""

    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Any, weight_v: Any) -> Any:
        return _weight_norm(weight_v, weight_g, self.dim)

    def right_inverse(self, weight: Any) -> tuple[Any, Any]:
        """The norm and the direction of a tensor."""
        return norm_except_dim(weight, 2, self.dim), weight


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Train the norm (`original0`) and the direction (`original1`) of a parameter apart.

    The norm is that of each slice along `dim`, or with None that of all. States of the older
    `nn.utils.weight_norm` load.

    Source: Salimans and Kingma 2016.
    """
    register_parametrization(module, name, _WeightNorm(dim), unsafe=True)

    def rename_older_keys(state_dict: Any, prefix: str, *rest: Any) -> None:
        older = [f"{prefix}{name}{suffix}" for suffix in ("_g", "_v")]
        if all(key in state_dict for key in older):
            for place, key in enumerate(older):
                state_dict[f"{prefix}parametrizations.{name}.original{place}"] = state_dict.pop(key)

    module._register_load_state_dict_pre_hook(rename_older_keys)
    return module


class _SpectralNorm(Module):
    """A tensor divided by an estimate of its largest singular value; a vector by its length."""

    def __init__(self, weight: Any, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12) -> None:
        super().__init__()
        ndim = weight.ndim
        if not -ndim <= dim < ndim:
            raise DimensionError(
                f"[spectral_norm] Dimension out of range (expected to be in range of [{-ndim}, {ndim - 1}] "
                f"but got {dim})"
            )
        if n_power_iterations <= 0:
            raise ArgumentError(
                "[spectral_norm] Expected n_power_iterations to be positive, but got "
                f"n_power_iterations={n_power_iterations}"
            )
        self.dim = dim % ndim
        self.eps = eps
        if ndim > 1:
            self.n_power_iterations = n_power_iterations
            matrix = as_matrix(weight, self.dim)
            for name, size in zip(("_u", "_v"), matrix.size(), strict=True):
                self.register_buffer(name, random_direction(matrix, size, eps))
            self._power_method(matrix, 15)

    @no_grad()
    def _power_method(self, matrix: Any, n_power_iterations: int) -> None:
        u: Any = self._u
        v: Any = self._v
        for _ in range(n_power_iterations):
            u.copy_(functional.normalize(matrix.mv(v), dim=0, eps=self.eps))
            v.copy_(functional.normalize(matrix.mH.mv(u), dim=0, eps=self.eps))

    def forward(self, weight: Any) -> Any:
        if weight.ndim == 1:
            return functional.normalize(weight, dim=0, eps=self.eps)
        matrix = as_matrix(weight, self.dim)
        if self.training:
            self._power_method(matrix, self.n_power_iterations)
        # A second forward before backward writes to the buffers, not to what this one keeps.
        u, v = self._u.clone(), self._v.clone()
        return weight / u.vdot(matrix.mv(v))

    def right_inverse(self, value: Any) -> Any:
        """The tensor itself."""
        return value


def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Module:
    """Divide a parameter by its largest singular value, which the power method estimates.

    In training each reading brings the estimate nearer by `n_power_iterations` steps. `dim` is what counts
    the outputs: 0, or 1 for transposed convolutions; all other dims count as one.

    Source: Miyato et al. 2018.
    """
    weight = _tensor_of(module, name)
    made = _SpectralNorm(weight, n_power_iterations, output_dim(module, dim), eps)
    return register_parametrization(module, name, made)
