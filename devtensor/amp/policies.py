"""Which ops autocast runs in which precision, per kind of device.

A policy is "lower" (the region's dtype), "float32", "widest" (inputs of several dtypes meet in the widest) or
None (the op takes what it gets). The op's declaration states CUDA's; other tables are here, whole: whatever
they do not name takes what it gets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.errors import ArgumentError
from devtensor.core.op import Op

Policy = str | None
Table = dict[str, Policy | Callable[[tuple], Policy]]


def _in_three_dims(inputs: tuple) -> Policy:
    """float32 for volumes: input (N, C, D, H, W)."""
    return "float32" if inputs[0].array.ndim == 5 else None


def _named(policy: Policy, names: str) -> Table:
    return dict.fromkeys(names.split(), policy)


# Source: what PyTorch 2.13 does under torch.autocast("cpu"), op by op. The last list is of ops that are wide
# on CUDA and stay as they are on the CPU.
CPU: Table = {
    **_named(
        "lower", "matmul linear convolution convolution_grad_input convolution_grad_weight prelu attention"
    ),
    **_named(
        "float32",
        "prod cross_entropy soft_cross_entropy nll_loss mse_loss l1_loss smooth_l1_loss huber_loss kl_div "
        "binary_cross_entropy binary_cross_entropy_with_logits ctc_loss "
        "linalg_cholesky_ex linalg_lu_factor_ex linalg_qr geqrf linalg_eigh linalg_eig linalg_svd "
        "linalg_solve_ex linalg_solve_triangular cholesky_solve matrix_exp linalg_det linalg_slogdet "
        "pseudoinverse fft_c2c fft_r2c fft_c2r",
    ),
    "avg_pool": _in_three_dims,
    "adaptive_avg_pool": _in_three_dims,
    **_named(
        None,
        "exp expm1 log log1p log2 log10 rsqrt reciprocal tan asin acos sinh cosh erfinv pow sum cumsum "
        "cumprod logsumexp vector_norm resample softmax log_softmax softplus layer_norm rms_norm group_norm "
        "dot mv",
    ),
}

# None: as declared.
TABLES: dict[str, Table | None] = {"cuda": None, "cpu": CPU}


def table_of(device: Any) -> Table | None:
    """The table that a device's backend follows; None means the declarations.

    Errors: ArgumentError if the backend names a table that does not exist.
    """
    name = getattr(device.backend, "amp_policy", "cuda")
    if name not in TABLES:
        raise ArgumentError(
            f"[autocast] backend {device.type!r} asks for the table {name!r}; there are {', '.join(TABLES)}"
        )
    return TABLES[name]


def policy_of(op: Op, inputs: tuple, table: Table | None) -> Policy:
    """The policy for an op on these inputs."""
    if table is None:
        return op.amp
    found = table.get(op.name)
    return found(inputs) if callable(found) else found
