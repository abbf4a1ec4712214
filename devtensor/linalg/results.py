"""What functions with several results return, and how results are checked and handed over."""

from __future__ import annotations

from typing import Any

from devtensor.batching.levels import all_examples
from devtensor.core.errors import LinAlgError
from devtensor.core.host import host_read
from devtensor.core.tensor import Tensor
from devtensor.functions.out import into_exactly
from devtensor.functions.results import declare

linalg_cholesky_ex = declare("linalg_cholesky_ex", "L info")
linalg_eig = declare("linalg_eig", "eigenvalues eigenvectors")
linalg_eigh = declare("linalg_eigh", "eigenvalues eigenvectors")
linalg_inv_ex = declare("linalg_inv_ex", "inverse info")
linalg_lstsq = declare("linalg_lstsq", "solution residuals rank singular_values")
linalg_lu = declare("linalg_lu", "P L U")
linalg_lu_factor = declare("linalg_lu_factor", "LU pivots")
linalg_lu_factor_ex = declare("linalg_lu_factor_ex", "LU pivots info")
linalg_qr = declare("linalg_qr", "Q R")
linalg_slogdet = declare("linalg_slogdet", "sign logabsdet")
linalg_solve_ex = declare("linalg_solve_ex", "result info")
linalg_svd = declare("linalg_svd", "U S Vh")
geqrf = declare("geqrf", "a tau")
lu_unpack = declare("lu_unpack", "P L U")
qr = declare("qr", "Q R")
slogdet = declare("slogdet", "sign logabsdet")
svd = declare("svd", "U S V")
triangular_solve = declare("triangular_solve", "solution cloned_coefficient")


def all_into(out: Any, made: tuple, kind: Any) -> Any:
    """Several results as their named tuple, or `out`, one tensor for each, with the results written in."""
    return into_exactly(out, kind(*made))


def require_solved(op: str, info: Tensor, message: str) -> None:
    """Wait for what a decomposition says of itself, 0 or the place where it failed.

    Errors: LinAlgError that names the first matrix that failed.
    """
    for batch, place in enumerate(host_read(all_examples(info), op).numbers()):
        if place:
            which = f"(Batch element {batch}): " if all_examples(info).array.ndim else ""
            raise LinAlgError(f"[{op}] {which}{message.format(place)}")


NOT_POSITIVE = (
    "The factorization could not be completed because the input is not positive-definite (the leading minor "
    "of order {} is not positive-definite); add a multiple of the identity"
)
SINGULAR = "The solver failed because the input matrix is singular: pivot {} is zero; use lstsq() or pinv()"
NO_INVERSE = "The diagonal element {} is zero, the inversion could not be completed; use pinv()"
ZERO_PIVOT = "U[{0},{0}] is zero and using it on lu_solve would result in a division by zero; use lstsq()"
