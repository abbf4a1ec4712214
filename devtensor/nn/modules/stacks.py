"""What stacks of Transformer layers need: copies of one, masks that are causal, places that are padding."""

from __future__ import annotations

import copy
import math
import warnings
from typing import Any

from devtensor.amp.layer import is_any_autocast_enabled
from devtensor.backends import mha
from devtensor.core.device import resolve
from devtensor.core.dtype import as_dtype, default_dtype
from devtensor.core.state import current
from devtensor.core.tensor import Tensor
from devtensor.nn.modules.container import ModuleList
from devtensor.nn.modules.fast_path import unfit
from devtensor.nn.modules.module import Module
from devtensor.nn.modules.transformer_layers import TransformerEncoderLayer
from devtensor.ops.compare import where
from devtensor.ops.create import full
from devtensor.ops.triangles import triu


def _get_clones(module: Module, N: int) -> ModuleList:
    """A list of `N` copies of a module."""
    return ModuleList([copy.deepcopy(module) for _ in range(N)])


def _generate_square_subsequent_mask(sz: int, device: Any = None, dtype: Any = None) -> Tensor:
    """0 on the diagonal and below it, minus infinity above.

    Shapes: -> (sz, sz)
    """
    found = default_dtype() if dtype is None else as_dtype(dtype)
    return triu(full((sz, sz), -math.inf, found, resolve(device)), 1)


def _get_seq_len(src: Tensor, batch_first: bool) -> int:
    """The length of sequences: (S, E), (N, S, E) if `batch_first`, else (S, N, E)."""
    return src.shape[1 if src.dim() == 3 and batch_first else 0]


def _detect_is_causal_mask(mask: Any, is_causal: bool | None = None, size: int | None = None) -> bool:
    """Whether a mask lets each place see itself and those before, unless `is_causal` says so.

    That is asked of the host, to choose among ways of computing the same; so not where something listens to
    the ops, such as a capture, and may not let them be read.
    """
    if is_causal is not None or mask is None or current().layers:
        return is_causal is True
    length = mask.shape[-2] if size is None else size
    if tuple(mask.shape) != (length, length):
        return False
    wanted = _generate_square_subsequent_mask(length, mask.device, mask.dtype)
    return bool((mask == wanted).all())


def _unpackable(layer: Any) -> str:
    """Why PyTorch would not pack sequences without their padding for this layer; nothing if it would."""
    if not isinstance(layer, TransformerEncoderLayer):
        return "encoder_layer was not TransformerEncoderLayer"
    reason = ".norm_first was True" if layer.norm_first else unfit(layer)
    return f"encoder_layer{reason}" if reason else ""


def warn_unless_packable(layer: Any) -> bool:
    """Whether PyTorch would pack sequences for this layer; a warning says why not."""
    reason = _unpackable(layer)
    if reason:
        warnings.warn(
            f"enable_nested_tensor is True, but self.use_nested_tensor is False because {reason}",
            stacklevel=3,
        )
    return not reason


def padded_places(encoder: Any, src: Tensor, mask: Any, padding: Any) -> Tensor | None:
    """Where the output is to be 0: PyTorch packs sequences here without their padding and unpacks zeros.

    Shapes: src (N, S, E), padding (N, S) -> (N, S)
    """
    packs = mha.get_fastpath_enabled() and getattr(encoder, "use_nested_tensor", False)
    first = encoder.layers[0]
    if not packs or first.training or src.dim() != 3 or padding is None or mask is not None:
        return None
    wants_gradient = current().grad and any(t.requires_grad for t in (src, *first.parameters()))
    if wants_gradient or is_any_autocast_enabled():
        return None
    seen = padding == 0
    if not getattr(encoder, "mask_check", True):
        return ~seen
    at_the_ends = (seen[:, :-1] | ~seen[:, 1:]).all()
    return ~seen & at_the_ends


def zero_at(places: Tensor | None, output: Tensor) -> Tensor:
    """`output` with zeros at (N, S) places."""
    return output if places is None else where(places.unsqueeze(-1), 0.0, output)
