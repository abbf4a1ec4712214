"""PyTorch's path to the tuples that functions with several results give."""

# ruff: noqa: F401, F403 - the tuples are listed where they are made

from devtensor.functions.results import *
from devtensor.linalg.results import (
    geqrf,
    linalg_cholesky_ex,
    linalg_eig,
    linalg_eigh,
    linalg_inv_ex,
    linalg_lstsq,
    linalg_lu,
    linalg_lu_factor,
    linalg_lu_factor_ex,
    linalg_qr,
    linalg_slogdet,
    linalg_solve_ex,
    linalg_svd,
    lu_unpack,
    qr,
    slogdet,
    svd,
    triangular_solve,
)
