"""Which ops autocast runs in which precision, per kind of device.

A policy is "lower" (the region's dtype), "float32", "widest" (inputs of several dtypes meet in the widest),
"refused" or None (the op takes what it gets). The op's declaration states CUDA's; other tables are here,
whole: whatever they do not name takes what it gets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.errors import ArgumentError
from devtensor.core.op import Op

Policy = str | None
Table = dict[str, Policy | Callable[[tuple, dict[str, Any]], Policy]]


def _in_three_dims(inputs: tuple, named: dict[str, Any]) -> Policy:
    """float32 for volumes: input (N, C, D, H, W)."""
    return "float32" if inputs[0].array.ndim == 5 else None


def _without_indices(arguments: tuple, named: dict[str, Any]) -> Policy:
    """float32 where the values alone are asked for: PyTorch's list has no entry for the form with indices."""
    indices = named.get("return_indices", arguments[6] if len(arguments) > 6 else False)
    return None if indices else "float32"


def _at_borders(arguments: tuple, named: dict[str, Any]) -> Policy:
    """float32 for borders that repeat the edge, and for mirrored ones of lines and planes."""
    mode = named.get("mode", arguments[2] if len(arguments) > 2 else "constant")
    widths = named.get("pad", arguments[1] if len(arguments) > 1 else ())
    mirrored = mode == "reflect" and len(widths) < 6
    return "float32" if mirrored or mode == "replicate" else None


def _named(policy: Policy, names: str) -> Table:
    return dict.fromkeys(names.split(), policy)


# Source: PyTorch 2.13's list for the CPU, op by op; functions that are one op to autocast are named as there.
# The last list is of ops that are wide on CUDA and stay as they are on the CPU.
CPU: Table = {
    **_named(
        "lower",
        "matmul linear convolution convolution_grad_input convolution_grad_weight prelu attention "
        "conv1d conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d "
        "mm bmm addmm addbmm baddbmm linalg_vecdot linalg_pinv_product",
    ),
    **_named(
        "float32",
        "prod trace cdist distances quantile nanquantile view_as_complex polar stft grid_sampler "
        "binary_cross_entropy cross_entropy soft_cross_entropy nll_loss mse_loss l1_loss smooth_l1_loss "
        "huber_loss kl_div binary_cross_entropy_with_logits ctc_loss poisson_nll_loss cosine_embedding_loss "
        "hinge_embedding_loss margin_ranking_loss soft_margin_loss triplet_margin_loss multi_margin_loss "
        "multilabel_margin_loss adaptive_max_pool3d fractional_max_pool2d fractional_max_pool3d "
        "max_unpool1d max_unpool2d max_unpool3d linalg_cholesky_ex linalg_qr geqrf linalg_eigh linalg_eig "
        "linalg_svd cholesky_solve linalg_solve_triangular linalg_inv linalg_inv_ex "
        "linalg_solve linalg_tensorinv linalg_tensorsolve linalg_cond linalg_matrix_rank linalg_lstsq "
        "linalg_householder_product orgqr ormqr pinverse cholesky_inverse triangular_solve lu lu_solve "
        "fft_c2c fft_r2c fft_c2r fft_fft fft_ifft fft_fft2 fft_ifft2 fft_fftn fft_ifftn fft_rfft fft_irfft "
        "fft_rfft2 fft_irfft2 fft_rfftn fft_irfftn fft_hfft fft_ihfft",
    ),
    **_named("widest", "cat stack index_copy"),
    "avg_pool": _in_three_dims,
    "adaptive_avg_pool": _in_three_dims,
    "max_pool3d": _without_indices,
    "nn_pad": _at_borders,
    **_named(
        None,
        "exp expm1 log log1p log2 log10 square rsqrt reciprocal tan asin acos sinh cosh erfinv pow sum "
        "cumsum cumprod logsumexp vector_norm resample interpolate softmax log_softmax softplus layer_norm "
        "rms_norm group_norm "
        "matrix_exp dot mv addmv addr einsum chain_matmul linalg_multi_dot dist renorm cosine_similarity "
        "pdist norm frobenius_norm nuclear_norm linalg_matrix_norm linalg_vector_norm "
        # Refused for halves, as everywhere.
        "linalg_det linalg_slogdet linalg_lu_factor_ex linalg_solve_ex "
        # Their functions bring states to the dtype of what the inputs give where PyTorch does.
        "lstm_layer lstm_layer_grad gru_layer gru_layer_grad rnn_layer rnn_layer_grad",
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
    return op.amp if table is None else policy_in(table, op.name, inputs, {})


def policy_in(table: Table, name: str, arguments: tuple, named: dict[str, Any]) -> Policy:
    """What a table says of an op, or of a function that is one op, with these arguments."""
    found = table.get(name)
    return found(arguments, named) if callable(found) else found
