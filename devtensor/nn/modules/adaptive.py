"""Losses of very many classes: rare ones in clusters, and logits never kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any, NamedTuple

from devtensor.core.errors import ArgumentError, ShapeError
from devtensor.core.tensor import Tensor
from devtensor.nn import functional
from devtensor.nn.functional.geometry import may_look
from devtensor.nn.modules.container import ModuleList, Sequential
from devtensor.nn.modules.linear import Linear
from devtensor.nn.modules.loss import _WeightedLoss
from devtensor.nn.modules.module import Module
from devtensor.ops.compare import where
from devtensor.ops.join import cat


class ASMoutput(NamedTuple):
    """What `AdaptiveLogSoftmaxWithLoss` gives: log-probabilities of the targets, and the loss."""

    output: Any
    loss: Any


class AdaptiveLogSoftmaxWithLoss(Module):
    """Log-softmax over many classes, of which rare ones are told apart within clusters.

    Shapes: input (N, in_features) or (in_features,), target (N,) or () -> output as target, loss ()
    Source: Grave et al. 2017.
    Errors: ArgumentError unless cutoffs rise between 1 and n_classes-1; ShapeError if sizes do not fit.
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        ends = list(cutoffs)
        rising = all(a < b for a, b in pairwise(ends)) and all(int(c) == c for c in ends)
        if not ends or not rising or ends[0] <= 0 or ends[-1] > n_classes - 1:
            raise ArgumentError(
                "[AdaptiveLogSoftmaxWithLoss] cutoffs should be a sequence of unique, positive integers "
                "sorted in an increasing order, where each value is between 1 and n_classes-1"
            )
        self.in_features = in_features
        self.n_classes = n_classes
        self.cutoffs = [*ends, n_classes]
        self.div_value = div_value
        self.head_bias = head_bias
        self.shortlist_size = self.cutoffs[0]
        self.n_clusters = len(self.cutoffs) - 1
        self.head_size = self.shortlist_size + self.n_clusters
        place: Any = {"device": device, "dtype": dtype}
        self.head = Linear(in_features, self.head_size, bias=head_bias, **place)
        self.tail = ModuleList()
        for i, (start, stop) in enumerate(pairwise(self.cutoffs)):
            width = int(in_features // (div_value ** (i + 1)))
            self.tail.append(
                Sequential(
                    Linear(in_features, width, bias=False, **place),
                    Linear(width, stop - start, bias=False, **place),
                )
            )

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        self.head.reset_parameters()
        for cluster in self.tail:
            for layer in cluster:  # type: ignore[attr-defined]
                layer.reset_parameters()

    def forward(self, input_: Any, target_: Any) -> ASMoutput:
        ndim = target_.array.ndim
        if ndim > 1 or input_.array.ndim != ndim + 1 or input_.shape[:ndim] != target_.shape:
            raise ShapeError(
                f"[AdaptiveLogSoftmaxWithLoss] input {tuple(input_.shape)}, target {tuple(target_.shape)}; "
                "0D or 1D target tensor expected, and an input with the same batch dimension and one more"
            )
        input, target = (input_, target_) if ndim else (input_.unsqueeze(0), target_.unsqueeze(0))
        self._check_range(target)
        heads = functional.log_softmax(self.head(input), 1)
        first = where(target < self.shortlist_size, target, 0)
        output = heads.gather(1, first.unsqueeze(1)).squeeze(1)
        for i, (start, stop) in enumerate(pairwise(self.cutoffs)):
            here = (target >= start) & (target < stop)
            logs = functional.log_softmax(self.tail[i](input), 1)
            place = where(here, target - start, 0).unsqueeze(1)
            found = logs.gather(1, place).squeeze(1) + heads[:, self.shortlist_size + i]
            output = where(here, found, output)
        return ASMoutput(output if ndim else output.squeeze(0), (-output).mean())

    def _check_range(self, target: Any) -> None:
        if not may_look(target):
            return
        low, high = target.min().item(), target.max().item()
        if low < 0 or high >= self.n_classes:
            raise ShapeError(
                f"[AdaptiveLogSoftmaxWithLoss] Target values should be in [0, {self.n_classes - 1}], but "
                f"values in range [{low}, {high}] were found."
            )

    def log_prob(self, input: Any) -> Any:
        """Log-probabilities of all classes.

        Shapes: input (N, in_features) -> (N, n_classes)
        """
        heads = functional.log_softmax(self.head(input), 1)
        parts = [heads[:, : self.shortlist_size]]
        for i, cluster in enumerate(self.tail):
            chance = heads[:, self.shortlist_size + i].unsqueeze(1)
            parts.append(functional.log_softmax(cluster(input), 1) + chance)
        return cat(*parts, dim=1)

    def predict(self, input: Any) -> Any:
        """The likeliest class of each sample: a rare one only where its cluster is likelier than all others.

        Shapes: input (N, in_features) -> (N,)
        """
        heads = self.head(input).argmax(1)
        return where(heads < self.shortlist_size, heads, self.log_prob(input).argmax(1))


@dataclass
class LinearCrossEntropyOptions:
    """How PyTorch would cut `linear_cross_entropy` into parts; here it changes nothing."""

    allow_retain_graph: bool = False
    batch_chunk_size: int | None = None
    chunking_method: str | None = "auto"
    acc_policy: str = "auto"
    acc_dtype: Any = None


class LinearCrossEntropyLoss(_WeightedLoss):
    """Cross entropy of the logits that a linear layer of its own gives.

    Shapes: input (N, in_features) or (in_features,), target (N, *out_features) or () -> () or as target
    Errors: ShapeError for a weight of another size or label_smoothing outside [0, 1].
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        out_features: tuple[int, ...] = (),
        bias: bool = False,
        device: Any = None,
        dtype: Any = None,
        reduction: str = "mean",
        weight: Tensor | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        options: LinearCrossEntropyOptions | None = None,
    ) -> None:
        if weight is not None and tuple(weight.array.shape) != (num_classes,):
            raise ShapeError(
                f"[LinearCrossEntropyLoss] expected weight shape to be {(num_classes,)}, got {weight.shape}"
            )
        if not 0 <= label_smoothing <= 1:
            raise ShapeError(
                f"[LinearCrossEntropyLoss] expected label_smoothing to be in [0, 1], got {label_smoothing}"
            )
        super().__init__(weight, reduction=reduction)
        self.num_classes = num_classes
        self.out_features = out_features
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing
        rows = num_classes * prod(out_features)
        self.linear = Linear(in_features, rows, bias=bias, device=device, dtype=dtype)
        self.options = options

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        outputs = (self.num_classes, *self.out_features)
        bias: Any = self.linear.bias
        return functional.linear_cross_entropy(
            input,
            self.linear.weight.reshape((*outputs, self.linear.in_features)),
            target,
            linear_bias=None if bias is None else bias.reshape(outputs),
            weight=self.weight,
            reduction=self.reduction,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            options=self.options,
        )

    def extra_repr(self) -> str:
        return (
            f"in_features={self.linear.in_features}, num_classes={self.num_classes}, "
            f"out_features={self.out_features}, bias={self.linear.bias is not None}, "
            f"reduction={self.reduction}, ignore_index={self.ignore_index}, "
            f"label_smoothing={self.label_smoothing}, options={self.options}"
        )
