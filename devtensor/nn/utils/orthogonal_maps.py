"""Maps from all matrices to the orthogonal ones."""

from __future__ import annotations

from enum import Enum, auto
from typing import Any

from devtensor.core.dtype import finfo
from devtensor.core.errors import ArgumentError, Unsupported
from devtensor.core.state import no_grad
from devtensor.functions.creation import eye
from devtensor.functions.joining import cat
from devtensor.functions.sampling import randn
from devtensor.linalg.factors import householder_product
from devtensor.linalg.products import matrix_exp
from devtensor.linalg.reflections import geqrf
from devtensor.linalg.solutions import solve
from devtensor.nn.modules.module import Module


class _OrthMaps(Enum):
    """How an orthogonal matrix is computed."""

    matrix_exp = auto()
    cayley = auto()
    householder = auto()


def _is_orthogonal(matrix: Any) -> bool:
    rows, columns = matrix.size(-2), matrix.size(-1)
    slack = 10.0 * rows * finfo.of(matrix.dtype).eps
    identity: Any = eye(columns, dtype=matrix.dtype, device=matrix.device)
    return bool((matrix.mH @ matrix).allclose(identity, atol=slack))


def _made_orthogonal(matrix: Any) -> Any:
    """The factor Q of a tall matrix Q R, where R has a positive diagonal."""
    reflectors, scales = geqrf(matrix)
    signs = reflectors.diagonal(dim1=-2, dim2=-1).sgn()
    return householder_product(reflectors, scales) * signs.unsqueeze(-2)


def _skew_exponential(skew: Any) -> Any:
    return matrix_exp(skew)


def _cayley(skew: Any) -> Any:
    identity: Any = eye(skew.size(-1), dtype=skew.dtype, device=skew.device)
    return solve(identity - skew * 0.5, identity + skew * 0.5)


FROM_SKEW = {_OrthMaps.matrix_exp: _skew_exponential, _OrthMaps.cayley: _cayley}


def _skew(tall: Any) -> Any:
    """The skew-symmetric (skew-Hermitian) square matrix that a tall one's lower triangle gives."""
    rows, columns = tall.size(-2), tall.size(-1)
    lower = tall.tril()
    if rows != columns:
        rest = lower.new_zeros(*lower.shape[:-2], rows, rows - columns)
        lower = cat([lower, rest], dim=-1)
    return lower - lower.mH


def _reflected(tall: Any) -> Any:
    """The product of the reflections below the diagonal, columns turned by the signs on it."""
    vectors = tall.tril(-1)
    scales = 2.0 / (1.0 + (vectors * vectors).sum(dim=-2))
    signs = tall.diagonal(dim1=-2, dim2=-1).int()
    return householder_product(vectors, scales) * signs.unsqueeze(-2)


class _Orthogonal(Module):
    """An orthogonal matrix from any of its shape, times `base` with `use_trivialization`."""

    base: Any

    def __init__(self, weight: Any, orthogonal_map: _OrthMaps, *, use_trivialization: bool = True) -> None:
        super().__init__()
        if weight.is_complex() and orthogonal_map is _OrthMaps.householder:
            raise ArgumentError(
                "[orthogonal] The householder parametrization does not support complex tensors; take "
                "matrix_exp or cayley"
            )
        self.shape = weight.shape
        self.orthogonal_map = orthogonal_map
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, X: Any) -> Any:
        wide = X.size(-2) < X.size(-1)
        tall = X.mT if wide else X
        if self.orthogonal_map is _OrthMaps.householder:
            found = _reflected(tall)
        else:
            found = FROM_SKEW[self.orthogonal_map](_skew(tall))[..., : tall.size(-1)]
        if hasattr(self, "base"):
            found = self.base @ found
        return found.mT if wide else found

    @no_grad()
    def right_inverse(self, Q: Any) -> Any:
        """What the map makes `Q` of, or its nearest by QR if it is not orthogonal.

        Errors: ArgumentError for another shape; NotImplementedError where no inverse is known.
        """
        if Q.shape != self.shape:
            raise ArgumentError(
                f"[orthogonal] Expected a matrix or batch of matrices of shape {self.shape}. Got a tensor of "
                f"shape {Q.shape}."
            )
        wide = Q.size(-2) < Q.size(-1)
        tall = Q.mT if wide else Q
        if not hasattr(self, "base"):
            found = self._reflectors_of(tall)
            return found.mT if wide else found
        self.base = self._completed(tall)
        start = Q.new_zeros(Q.shape)
        start.diagonal(dim1=-2, dim2=-1).fill_(-1.0)
        return start

    def _reflectors_of(self, tall: Any) -> Any:
        if self.orthogonal_map is not _OrthMaps.householder:
            raise Unsupported(
                "[orthogonal] It is not possible to assign to the matrix exponential or the Cayley "
                "parametrizations when use_trivialization=False."
            )
        reflectors, scales = geqrf(tall)
        diagonal = reflectors.diagonal(dim1=-2, dim2=-1)
        # A scale of exactly zero says that no reflection was made, so nothing was turned.
        diagonal.copy_(diagonal.sign() * (1 - 2 * (scales == 0).to(diagonal.dtype)))
        return reflectors

    def _completed(self, tall: Any) -> Any:
        """A square orthogonal matrix whose first columns span those of `tall`."""
        rows, columns = tall.size(-2), tall.size(-1)
        if rows == columns:
            return tall.clone() if _is_orthogonal(tall) else _made_orthogonal(tall)
        more: Any = randn(*tall.shape[:-2], rows, rows - columns, dtype=tall.dtype, device=tall.device)
        return _made_orthogonal(cat([tall, more], dim=-1))
