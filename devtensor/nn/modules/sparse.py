"""Tables of vectors."""

from __future__ import annotations

from typing import Any, Self

from devtensor.core.errors import ArgumentError, ShapeError
from devtensor.core.state import no_grad
from devtensor.core.tensor import Tensor
from devtensor.nn import functional, init
from devtensor.nn.modules.fresh import parameter
from devtensor.nn.modules.module import Module
from devtensor.nn.parameter import Parameter


class Embedding(Module):
    """The rows of a table that indices name; the row `padding_idx` is zero and stays so.

    Shapes: input (*I) -> (*I, embedding_dim)
    Source: rows start as standard normal numbers, as in PyTorch.
    Errors: IndexingError if an index is not in [0, num_embeddings).
    """

    weight: Any

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
        self.padding_idx = self._place(padding_idx)
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.sparse = sparse
        if _weight is None:
            self.weight = parameter(num_embeddings, embedding_dim, device=device, dtype=dtype)
            self.weight.requires_grad = not _freeze
            self.reset_parameters()
            return
        if tuple(_weight.array.shape) != (num_embeddings, embedding_dim):
            raise ShapeError(
                f"[Embedding] Shape of weight {_weight.shape} does not match num_embeddings "
                f"{num_embeddings} and embedding_dim {embedding_dim}"
            )
        self.weight = Parameter(_weight, requires_grad=not _freeze)

    def _place(self, padding_idx: int | None) -> int | None:
        count = self.num_embeddings
        if padding_idx is None:
            return None
        if not -count <= padding_idx < count:
            raise ArgumentError(
                f"[Embedding] Padding_idx {padding_idx} must be within num_embeddings, {count}"
            )
        return padding_idx % count

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx].fill_(0)

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

        Errors: ShapeError unless the table has 2 dims.
        """
        if embeddings.array.ndim != 2:
            raise ShapeError(
                f"[Embedding] Embeddings parameter is expected to be 2-dimensional, got {embeddings.shape}"
            )
        rows, columns = embeddings.array.shape
        return cls(
            rows, columns, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse, embeddings, freeze
        )
