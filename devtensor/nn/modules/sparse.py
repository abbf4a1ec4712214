"""Tables of vectors."""

from __future__ import annotations

from typing import Any, Self

from devtensor.core.state import no_grad
from devtensor.core.tensor import Tensor
from devtensor.nn import functional, init
from devtensor.nn.functional.tables import TableError
from devtensor.nn.modules.fresh import parameter
from devtensor.nn.modules.module import Module
from devtensor.nn.parameter import Parameter


def place_of_padding(name: str, padding_idx: int | None, count: int) -> int | None:
    """The row for padding, counted from the front.

    Errors: TableError if there is no such row.
    """
    if padding_idx is None:
        return None
    if not -count <= padding_idx < count:
        raise TableError(f"[{name}] Padding_idx {padding_idx} must be within num_embeddings, {count}")
    return padding_idx % count


def check_table(name: str, weight: Tensor, rows: int, columns: int) -> None:
    """Refuse a table of another shape.

    Errors: TableError that names both shapes.
    """
    if tuple(weight.array.shape) != (rows, columns):
        raise TableError(
            f"[{name}] Shape of weight {weight.shape} does not match num_embeddings {rows} and "
            f"embedding_dim {columns}"
        )


def sizes_of_table(name: str, table: Tensor) -> tuple[int, int]:
    """Rows and columns of a table.

    Errors: TableError unless it has 2 dims.
    """
    if table.array.ndim != 2:
        raise TableError(f"[{name}] Embeddings parameter is expected to be 2-dimensional, got {table.shape}")
    rows, columns = table.array.shape
    return rows, columns


class _Table(Module):
    """What layers with a table of vectors share."""

    weight: Any
    padding_idx: int | None

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx].fill_(0)


class Embedding(_Table):
    """The rows of a table that indices name; the row `padding_idx` is zero and stays so.

    Shapes: input (*I) -> (*I, embedding_dim)
    Source: rows start as standard normal numbers, as in PyTorch.
    Errors: IndexingError if an index is not in [0, num_embeddings).
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = place_of_padding("Embedding", padding_idx, num_embeddings)
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.sparse = sparse
        if _weight is None:
            self.weight = parameter(num_embeddings, embedding_dim, device=device, dtype=dtype)
            self.weight.requires_grad = not _freeze
            self.reset_parameters()
            return
        check_table("Embedding", _weight, num_embeddings, embedding_dim)
        self.weight = Parameter(_weight, requires_grad=not _freeze)

    def forward(self, input: Tensor) -> Tensor:
        return functional.embedding(
            input,
            self.weight,
            self.padding_idx,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.sparse,
        )

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        text += f", padding_idx={self.padding_idx}" if self.padding_idx is not None else ""
        text += f", max_norm={self.max_norm}" if self.max_norm is not None else ""
        text += f", norm_type={self.norm_type}" if self.norm_type != 2 else ""
        text += f", scale_grad_by_freq={self.scale_grad_by_freq}" if self.scale_grad_by_freq else ""
        return text + (", sparse=True" if self.sparse else "")

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Self:
        """An Embedding on a given table, which is not trained unless `freeze` is false.

        Errors: TableError unless the table has 2 dims.
        """
        rows, columns = sizes_of_table("Embedding", embeddings)
        return cls(
            rows, columns, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse, embeddings, freeze
        )


class EmbeddingBag(_Table):
    """Sums, means or maxima of the rows of a table that bags of indices name.

    Shapes: input (B, L), or (M,) with offsets (B,) -> (B, embedding_dim)
    Source: rows start as standard normal numbers, as in PyTorch.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Tensor | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.padding_idx = place_of_padding("EmbeddingBag", padding_idx, num_embeddings)
        if _weight is None:
            self.weight = parameter(num_embeddings, embedding_dim, device=device, dtype=dtype)
            self.reset_parameters()
        else:
            check_table("EmbeddingBag", _weight, num_embeddings, embedding_dim)
            self.weight = Parameter(_weight)
        self.mode = mode
        self.sparse = sparse
        self.include_last_offset = include_last_offset

    def forward(
        self, input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None
    ) -> Tensor:
        return functional.embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            self.sparse,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        text += f", max_norm={self.max_norm}" if self.max_norm is not None else ""
        text += f", norm_type={self.norm_type}" if self.norm_type != 2 else ""
        text += f", scale_grad_by_freq={self.scale_grad_by_freq}" if self.scale_grad_by_freq else ""
        text += f", mode={self.mode!r}"
        return text + (f", padding_idx={self.padding_idx}" if self.padding_idx is not None else "")

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
    ) -> Self:
        """An EmbeddingBag on a given table, which is not trained unless `freeze` is false.

        Errors: TableError unless the table has 2 dims.
        """
        rows, columns = sizes_of_table("EmbeddingBag", embeddings)
        made = cls(
            rows, columns, max_norm, norm_type, scale_grad_by_freq, mode, sparse, embeddings,
            include_last_offset, padding_idx,
        )  # fmt: skip
        made.weight.requires_grad = not freeze
        return made
