"""Which ops autocast runs in which precision, per kind of device.

A policy is "lower" (the region's dtype), "float32", "widest" (inputs of several dtypes meet in the widest) or
None (the op takes what it gets). The op's declaration states CUDA's; the other tables are here whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from devtensor.core.errors import ArgumentError
from devtensor.core.op import Op

LOWER_ON_CPU = """
    matmul linear bilinear convolution convolution_transpose scaled_dot_product_attention prelu
""".split()

FLOAT32_ON_CPU = """
    prod trace cdist quantile nanquantile grid_sample
    cross_entropy nll_loss mse_loss l1_loss smooth_l1_loss huber_loss kl_div
    binary_cross_entropy binary_cross_entropy_with_logits bce bce_with_logits
    poisson_nll_loss soft_margin_loss hinge_embedding_loss margin_ranking_loss triplet_margin_loss
    multi_margin_loss multilabel_margin_loss cosine_embedding_loss ctc_loss
    cholesky inv solve qr svd svdvals eigh eigvalsh lstsq pinv matrix_rank
""".split()


def _table(policy: str, names: Iterable[str]) -> dict[str, str | None]:
    return {name: policy for name in names}


# Source: what PyTorch 2.13 does under `torch.autocast("cpu")`, op by op.
CPU = _table("lower", LOWER_ON_CPU) | _table("float32", FLOAT32_ON_CPU)

TABLES: dict[str, dict[str, str | None] | None] = {"cuda": None, "cpu": CPU}


def table_of(device: Any) -> dict[str, str | None] | None:
    """The table that a device's backend follows; None means the declarations.

    Errors: ArgumentError if the backend names a table that does not exist.
    """
    name = getattr(device.backend, "amp_policy", "cuda")
    if name not in TABLES:
        raise ArgumentError(
            f"[autocast] backend {device.type!r} asks for the table {name!r}; there are {', '.join(TABLES)}"
        )
    return TABLES[name]


def policy_of(op: Op, table: dict[str, str | None] | None) -> str | None:
    """The op's policy in a table."""
    return op.amp if table is None else table.get(op.name)
