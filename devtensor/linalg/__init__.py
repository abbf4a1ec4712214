"""Linear algebra: decompositions, equations, norms and products of matrices in the last two dims."""

from devtensor.core import misfits as _misfits
from devtensor.core.errors import LinAlgError
from devtensor.core.refusal import refused as _refused
from devtensor.functions import out as _out
from devtensor.linalg.factors import (
    cholesky,
    cholesky_ex,
    eig,
    eigh,
    eigvals,
    eigvalsh,
    householder_product,
    lu,
    lu_factor,
    lu_factor_ex,
    qr,
    svd,
    svdvals,
)
from devtensor.linalg.leastsquares import lstsq, matrix_rank, pinv
from devtensor.linalg.measures import cond, det, matrix_norm, norm, slogdet, vector_norm
from devtensor.linalg.products import (
    cross,
    diagonal,
    matmul,
    matrix_exp,
    matrix_power,
    multi_dot,
    vander,
    vecdot,
)
from devtensor.linalg.solutions import (
    inv,
    inv_ex,
    lu_solve,
    solve,
    solve_ex,
    solve_triangular,
    tensorinv,
    tensorsolve,
)

__all__ = [
    "LinAlgError",
    "cholesky",
    "cholesky_ex",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "householder_product",
    "inv",
    "inv_ex",
    "ldl_factor",
    "ldl_factor_ex",
    "ldl_solve",
    "lstsq",
    "lu",
    "lu_factor",
    "lu_factor_ex",
    "lu_solve",
    "matmul",
    "matrix_exp",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "multi_dot",
    "norm",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_ex",
    "solve_triangular",
    "svd",
    "svdvals",
    "tensorinv",
    "tensorsolve",
    "vander",
    "vecdot",
    "vector_norm",
]


_NO_LDL = "array libraries have no factorization of indefinite matrices; use lu_factor() and lu_solve()"
ldl_factor, ldl_factor_ex, ldl_solve = (
    _refused(f"linalg.{name}", _NO_LDL) for name in ("ldl_factor", "ldl_factor_ex", "ldl_solve")
)

_out.attach(globals(), _out.LINALG)
_misfits.attach(globals(), __all__)
