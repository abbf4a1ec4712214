"""What PyTorch calls the nodes of its graph, by the op that made them."""

from __future__ import annotations

from typing import Any

# Ops whose node has another name than the op itself, CapitalisedLikeThis.
NAMES = {
    "add_scaled": "Add",
    "adaptive_avg_pool": "AdaptiveAvgPool2D",
    "avg_pool": "AvgPool2D",
    "batch_norm": "NativeBatchNorm",
    "cast": "ToCopy",
    "convolution": "Convolution",
    "copy": "Clone",
    "cross_entropy": "NllLoss",
    "group_norm": "NativeGroupNorm",
    "index_get": "Index",
    "l1_loss": "L1Loss",
    "layer_norm": "NativeLayerNorm",
    "linalg_solve_ex": "LinalgSolveEx",
    "logsigmoid": "LogSigmoid",
    "matmul": "Mm",
    "max_pool": "MaxPool2DWithIndices",
    "overwrite": "CopySlices",
    "pad": "ConstantPadNd",
    "reshape": "View",
    "smooth_l1_loss": "SmoothL1Loss",
    "square": "Pow",
    "sub_scaled": "Sub",
    "to_device": "ToCopy",
    "vector_norm": "LinalgVectorNorm",
}


def node_name(op: str, params: tuple = ()) -> str:
    """The name of an op's node: `MulBackward0`."""
    if op == "getitem":
        return _of_index(params[0]) + "Backward0"
    name = NAMES.get(op) or "".join(part.capitalize() for part in op.split("_"))
    return name if op == "overwrite" else f"{name}Backward0"


def _of_index(index: Any) -> str:
    """The last of the views that an index is made of."""
    steps = [step for step in index if step is not Ellipsis and step != slice(None)]
    if not steps:
        return "View"
    last = steps[-1]
    return "Unsqueeze" if last is None else "Slice" if isinstance(last, slice) else "Select"
