"""BlockMask: which blocks of attention's scores a mask function leaves anything of."""

from __future__ import annotations

import itertools
from math import prod
from typing import Any, Self

from devtensor.core.errors import ArgumentError, DevtensorError, OptionError, ShapeError, Unsupported
from devtensor.core.tensor import Tensor
from devtensor.functions.ranges import arange
from devtensor.nn.attention.mask_mods import ModFunction, create_mask, noop_mask, takes_scores
from devtensor.nn.functional.padding import pad
from devtensor.ops.compare import where
from devtensor.ops.create import full

DEFAULT_SIZE = 128
# One block that covers everything.
LARGE_SIZE = 1 << 30
TENSORS = (
    "kv_num_blocks", "kv_indices", "full_kv_num_blocks", "full_kv_indices", "q_num_blocks", "q_indices",
    "full_q_num_blocks", "full_q_indices", "dq_write_order", "dq_write_order_full", "dq_kv_order",
)  # fmt: skip


class BlockError(DevtensorError, AssertionError):
    """Parts of a BlockMask that do not go together."""


class SlicedMaskError(OptionError):
    """The mask function of a part of a BlockMask, which nobody has given."""


def _sliced_mask_mod_error(batch: Any, head: Any, token_q: Any, token_kv: Any) -> Tensor:
    """Stands for the mask function of a part of a BlockMask, whose places count from elsewhere."""
    raise SlicedMaskError(
        "[BlockMask] Cannot use mask_mod from a sliced BlockMask: its places count from elsewhere. Assign "
        "one made from the whole BlockMask's mask_mod"
    )


def ordered_to_dense(counts: Any, indices: Any, columns: int) -> Any:
    """Ones at the first `counts` places of each row's `indices`.

    Shapes: counts (*B, R), indices (*B, R, M) -> (*B, R, columns)
    """
    valid = arange(indices.shape[-1], device=indices.device) < counts.unsqueeze(-1)
    # What does not count is written to a column behind the last.
    places = where(valid, indices, columns).long()
    zeros: Any = full((*indices.shape[:-1], columns + 1), 0, "int32", indices.kind.device)
    return zeros.scatter(-1, places, 1)[..., :columns].contiguous()


def dense_to_ordered(dense: Any) -> tuple[Any, Any]:
    """How many blocks each row has, and their places in front, in order.

    Shapes: dense (*B, R, C) -> (*B, R), (*B, R, C)
    """
    counts = dense.int().sum(-1).int()
    return counts, dense.int().argsort(dim=-1, descending=True, stable=True).int().contiguous()


def _transposed(counts: Any, indices: Any) -> tuple[Any, Any]:
    if counts is None:
        return None, None
    return dense_to_ordered(ordered_to_dense(counts, indices, indices.shape[-1]).transpose(-2, -1))


def _cropped(counts: Any, indices: Any, rows: int, columns: int) -> tuple[Any, Any]:
    """The upper left corner."""
    if counts is None:
        return None, None
    return dense_to_ordered(ordered_to_dense(counts, indices, indices.shape[-1])[..., :rows, :columns])


class BlockMask:
    """A mask of attention as blocks: for each row of blocks, how many are there and where.

    `kv_num_blocks` and `kv_indices` list blocks that are masked in part, `full_kv_*` those that are not
    masked; `q_*` list the same by columns. `mask_mod` decides within a block.

    Shapes: kv_num_blocks (B, H, rows), kv_indices (B, H, rows, columns)
    Errors: ShapeError for indices of less than 2 dims; BlockError (AssertionError) for one of a pair without
    the other.
    """

    def __init__(
        self,
        seq_lengths: tuple[int, int],
        kv_num_blocks: Tensor,
        kv_indices: Tensor,
        full_kv_num_blocks: Tensor | None,
        full_kv_indices: Tensor | None,
        q_num_blocks: Tensor | None,
        q_indices: Tensor | None,
        full_q_num_blocks: Tensor | None,
        full_q_indices: Tensor | None,
        BLOCK_SIZE: tuple[int, int] = (DEFAULT_SIZE, DEFAULT_SIZE),
        mask_mod: ModFunction = noop_mask,
        *,
        dq_write_order: Tensor | None = None,
        dq_write_order_full: Tensor | None = None,
        dq_kv_order: Tensor | None = None,
        dq_kv_order_spt: bool | None = None,
    ) -> None:
        _check(kv_indices, full_kv_num_blocks, full_kv_indices, "kv")
        _check(kv_indices, full_q_num_blocks, full_q_indices, "q")
        if dq_write_order_full is not None and dq_write_order is None:
            raise ArgumentError("[BlockMask] dq_write_order_full requires dq_write_order")
        self.seq_lengths = seq_lengths
        self.kv_num_blocks: Any = kv_num_blocks
        self.kv_indices: Any = kv_indices
        self.full_kv_num_blocks: Any = full_kv_num_blocks
        self.full_kv_indices: Any = full_kv_indices
        self.q_num_blocks = q_num_blocks
        self.q_indices = q_indices
        self.full_q_num_blocks = full_q_num_blocks
        self.full_q_indices = full_q_indices
        self.dq_write_order = dq_write_order
        self.dq_write_order_full = dq_write_order_full
        self.dq_kv_order = dq_kv_order
        self.dq_kv_order_spt = dq_kv_order_spt
        self.BLOCK_SIZE = BLOCK_SIZE
        self.mask_mod = mask_mod

    @classmethod
    def from_kv_blocks(
        cls,
        kv_num_blocks: Tensor,
        kv_indices: Tensor,
        full_kv_num_blocks: Tensor | None = None,
        full_kv_indices: Tensor | None = None,
        BLOCK_SIZE: int | tuple[int, int] = DEFAULT_SIZE,
        mask_mod: ModFunction | None = None,
        seq_lengths: tuple[int, int] | None = None,
        compute_q_blocks: bool = True,
        *,
        dq_write_order: Tensor | None = None,
        dq_write_order_full: Tensor | None = None,
        dq_kv_order: Tensor | bool | None = None,
    ) -> Self:
        """A BlockMask from its rows; the columns are worked out unless that is not wanted.

        Errors: as for the constructor.
        """
        _check(kv_indices, full_kv_num_blocks, full_kv_indices, "kv")
        size = (BLOCK_SIZE, BLOCK_SIZE) if isinstance(BLOCK_SIZE, int) else BLOCK_SIZE
        columns = full_columns = (None, None)
        if compute_q_blocks:
            columns = _transposed(kv_num_blocks, kv_indices)
            full_columns = _transposed(full_kv_num_blocks, full_kv_indices)
        if seq_lengths is None:
            seq_lengths = (kv_indices.shape[-2] * size[0], kv_indices.shape[-1] * size[1])
        return cls(
            seq_lengths,
            kv_num_blocks,
            kv_indices,
            full_kv_num_blocks,
            full_kv_indices,
            *columns,
            *full_columns,
            size,
            noop_mask if mask_mod is None else mask_mod,
            dq_write_order=dq_write_order,
            dq_write_order_full=dq_write_order_full,
            dq_kv_order=dq_kv_order if isinstance(dq_kv_order, Tensor) else None,
            dq_kv_order_spt=dq_kv_order if isinstance(dq_kv_order, bool) else None,
        )

    def as_tuple(self, flatten: bool = True) -> tuple[Any, ...]:
        """All parts, with both lengths and both sizes of blocks as numbers of their own, or as pairs."""
        lengths = self.seq_lengths if flatten else (self.seq_lengths,)
        sizes = self.BLOCK_SIZE if flatten else (self.BLOCK_SIZE,)
        parts = (getattr(self, name) for name in TENSORS)
        return (*lengths, *parts, self.dq_kv_order_spt, *sizes, self.mask_mod)

    @property
    def shape(self) -> tuple[int, ...]:
        """(B, H, queries, keys)."""
        return (*self.kv_indices.shape[:-2], *self.seq_lengths)

    def numel(self) -> int:
        """How many scores there are, seen or not."""
        return prod(self.shape)

    def sparsity(self) -> float:
        """Percentage of the scores in blocks of which nothing is seen."""
        seen = self.kv_num_blocks.sum().item()
        if self.full_kv_num_blocks is not None:
            seen += self.full_kv_num_blocks.sum().item()
        return 100 * (1 - seen * self.BLOCK_SIZE[0] * self.BLOCK_SIZE[1] / self.numel())

    def to_dense(self) -> Tensor:
        """1 for each block of which something is seen.

        Shapes: -> (B, H, rows, columns)
        """
        columns = self.kv_indices.shape[-1]
        partial = ordered_to_dense(self.kv_num_blocks, self.kv_indices, columns)
        if self.full_kv_num_blocks is None:
            return partial
        return partial | ordered_to_dense(self.full_kv_num_blocks, self.full_kv_indices, columns)

    def to(self, device: Any) -> BlockMask:
        """The same on another device."""
        parts = {name: getattr(self, name) for name in TENSORS}
        moved: dict[str, Any] = {k: None if part is None else part.to(device) for k, part in parts.items()}
        return BlockMask(
            self.seq_lengths,
            **moved,
            BLOCK_SIZE=self.BLOCK_SIZE,
            mask_mod=self.mask_mod,
            dq_kv_order_spt=self.dq_kv_order_spt,
        )

    def __getitem__(self, index: Any) -> BlockMask:
        """Some batches, heads and rows of blocks; numbers keep their dim. `mask_mod` is to be given."""
        given = index if isinstance(index, tuple) else (index,)
        sizes = self.kv_num_blocks.shape
        picked = tuple(
            slice(i % n, i % n + 1) if isinstance(i, int) and -n <= i < n else i
            for i, n in zip(given, sizes, strict=False)
        )
        parts = [getattr(self, name) for name in TENSORS[:4]]
        return BlockMask.from_kv_blocks(
            *(None if part is None else part[picked] for part in parts),  # type: ignore[arg-type]
            BLOCK_SIZE=self.BLOCK_SIZE,
            mask_mod=_sliced_mask_mod_error,
            seq_lengths=self.seq_lengths,
            compute_q_blocks=self.q_indices is not None,
        )

    def _adjust(self, new_q_len: int, new_kv_len: int) -> BlockMask:
        """The upper left corner, for shorter sequences."""
        rows, columns = -(-new_q_len // self.BLOCK_SIZE[0]), -(-new_kv_len // self.BLOCK_SIZE[1])
        counts, indices = _cropped(self.kv_num_blocks, self.kv_indices, rows, columns)
        full_counts, full_indices = _cropped(self.full_kv_num_blocks, self.full_kv_indices, rows, columns)
        return BlockMask.from_kv_blocks(
            counts,
            indices,
            full_counts,
            full_indices,
            BLOCK_SIZE=self.BLOCK_SIZE,
            mask_mod=self.mask_mod,
            seq_lengths=(new_q_len, new_kv_len),
            compute_q_blocks=self.q_indices is not None,
        )

    def __str__(self) -> str:
        picture = self.to_string().strip()
        return f"BlockMask(shape={self.shape}, sparsity={self.sparsity():.2f}%, \n{picture}\n)"

    def __repr__(self) -> str:
        parts = {name: getattr(self, name) for name in TENSORS[:8]}
        facts = {name: None if part is None else part.shape for name, part in parts.items()}
        facts |= {"BLOCK_SIZE": self.BLOCK_SIZE, "shape": self.shape, "sparsity": f"{self.sparsity():.2f}%"}
        facts["mask_mod"] = getattr(self.mask_mod, "__name__", self.mask_mod)
        listed = "".join(f"    {name}={value},\n" for name, value in facts.items()).removesuffix(",\n")
        return f"BlockMask(\n{listed}\n)"

    def to_string(self, grid_size: int | tuple[int, int] = (20, 20), limit: int = 4) -> str:
        """A picture of the blocks of up to `limit` batches and heads, in a grid of at most `grid_size`."""
        dense = self.to_dense()
        rows, columns = (grid_size, grid_size) if isinstance(grid_size, int) else grid_size
        pictures = []
        for number, place in enumerate(itertools.product(*map(range, dense.shape[:-2]))):
            if number == limit:
                pictures += [
                    "...",
                    "To print out more, set BlockMask.to_string(limit=N)",
                    "You can also index (BlockMask[batch, head]) to choose a specific batch or head",
                ]
                break
            pictures.append(f"{place}\n{_picture(dense[place], rows, columns)}")
        return "\n".join(pictures)


def _check(kv_indices: Any, counts: Any, indices: Any, side: str) -> None:
    if kv_indices.dim() < 2:
        raise ShapeError(
            f"[BlockMask] BlockMask must have at least 2 dimensions; kv_indices has {kv_indices.dim()}"
        )
    if (counts is None) != (indices is None):
        raise BlockError(
            f"[BlockMask] full_{side}_num_blocks and full_{side}_indices must be both provided or omitted"
        )


def _picture(dense: Any, rows: int, columns: int) -> str:
    """Full, partly full and empty cells, two characters each; -1 is a cell for each block."""
    height = max(1, -(-dense.shape[0] // rows))
    width = max(1, -(-dense.shape[1] // columns))
    shades = {0.0: " ", 1.0: "█"}
    lines = []
    for r in range(0, dense.shape[0], height):
        cells = (dense[r : r + height, c : c + width] for c in range(0, dense.shape[1], width))
        lines.append("".join(shades.get(cell.float().mean().item(), "░") * 2 for cell in cells) + "\n")
    return "".join(lines)


def create_block_mask(
    mask_mod: ModFunction,
    B: int | None,
    H: int | None,
    Q_LEN: int,
    KV_LEN: int,
    device: Any = None,
    BLOCK_SIZE: int | tuple[int, int] = DEFAULT_SIZE,
    _compile: bool = False,
    separate_full_blocks: bool = True,
    compute_dq_write_order: bool = False,
    dq_kv_order: bool = True,
) -> BlockMask:
    """The BlockMask of a mask function.

    Shapes: -> stands for (B, H, Q_LEN, KV_LEN)
    Errors: BlockError (AssertionError) for a score function; Unsupported for `compute_dq_write_order`.
    """
    if takes_scores(mask_mod):
        raise BlockError(f"[create_block_mask] requires a mask_mod function! Got {mask_mod}")
    if not isinstance(dq_kv_order, bool):
        raise ArgumentError("[create_block_mask] dq_kv_order must be a bool")
    if compute_dq_write_order:
        raise Unsupported(
            "[create_block_mask] compute_dq_write_order is for a kernel that certain GPUs alone have"
        )
    rows, columns = (BLOCK_SIZE, BLOCK_SIZE) if isinstance(BLOCK_SIZE, int) else BLOCK_SIZE
    mask: Any = create_mask(mask_mod, B, H, Q_LEN, KV_LEN, device)
    counted = _counted(mask, rows, columns)
    partial, full_blocks = counted > 0, None
    if separate_full_blocks:
        full_blocks = counted == rows * columns
        partial = partial & ~full_blocks
    return BlockMask.from_kv_blocks(
        *dense_to_ordered(partial),
        *((None, None) if full_blocks is None else dense_to_ordered(full_blocks)),
        BLOCK_SIZE=(rows, columns),
        mask_mod=mask_mod,
        seq_lengths=(Q_LEN, KV_LEN),
    )


def _counted(mask: Any, rows: int, columns: int) -> Any:
    """How many places are seen in each block.

    Shapes: mask (B, H, Q, KV) -> (B, H, ceil(Q / rows), ceil(KV / columns))
    """
    padded: Any = pad(mask, (0, -mask.shape[-1] % columns, 0, -mask.shape[-2] % rows))
    batch, heads, queries, keys = padded.shape
    blocks = padded.reshape(batch, heads, queries // rows, rows, keys // columns, columns)
    return blocks.sum((-3, -1))
