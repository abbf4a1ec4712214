"""One entry of PyTorch's list of ops against ours: values, gradients to second order, refusals, methods."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import devtensor
import opinfo.carrying as carrying
from opinfo.carrying import DTYPES, NotComparable, carried, counterpart, flat, fresh, rebound
from opinfo.comparing import check_comparable, difference, layout_difference
from opinfo.orders import ORDERS, reordered

VALUE_DTYPES = ["float32", "float64", "int64", "bool", "complex64", "bfloat16", "float16", "uint8", "int32"]
SAMPLES = 40
# Numbers drawn by chance, or memory nobody wrote: only shape and dtype can agree.
RANDOM = frozenset(
    [
        "bernoulli",
        "cauchy",
        "empty",
        "empty_like",
        "empty_permuted",
        "empty_strided",
        "exponential",
        "geometric",
        "log_normal",
        "multinomial",
        "native_dropout_backward",
        "new_empty",
        "new_empty_strided",
        "nn.functional.alpha_dropout",
        "nn.functional.dropout",
        "nn.functional.dropout2d",
        "nn.functional.dropout3d",
        "nn.functional.feature_alpha_dropout",
        "nn.functional.fractional_max_pool2d",
        "nn.functional.fractional_max_pool3d",
        "nn.functional.gumbel_softmax",
        "nn.functional.multi_head_attention_forward",
        "nn.functional.rrelu",
        "nn.functional.scaled_dot_product_attention",
        "normal",
        "pca_lowrank",
        "poisson",
        "rand_like",
        "randint",
        "randint_like",
        "randn",
        "randn_like",
        "resize_",
        "resize_as_",
        "svd_lowrank",
        "uniform",
    ]
)
# Where values are equal PyTorch does not say which index it gives.
TIES = frozenset(["argsort", "kthvalue", "median", "mode", "msort", "nanmedian", "sort", "topk"])


class Comparison:
    """What was compared of one entry, and what differed."""

    def __init__(self, entry: Any) -> None:
        self.entry = entry
        self.counts: Counter[str] = Counter()
        self.differences: list[str] = []

    def run(self) -> Comparison:
        try:
            ours = counterpart(self.entry)
        except AttributeError as error:
            self.differences.append(f"missing: {error}")
            return self
        supported = self.entry.supported_dtypes("cpu")
        for name in VALUE_DTYPES:
            dtype = getattr(carrying.torch, name)
            if dtype in supported:
                self.values(ours, dtype)
        for name in ("float64", "complex128"):
            dtype = getattr(carrying.torch, name)
            differentiable = dtype in supported and dtype in self.entry.supported_backward_dtypes("cpu")
            if self.entry.supports_autograd and differentiable and self.entry.name not in RANDOM:
                self.gradients(ours, dtype)
        self.refusals(ours)
        self.methods()
        self.noncontiguous(ours)
        self.layouts(ours)
        if self.entry.supports_out:
            self.into_out(ours)
        return self

    def samples(self, dtype: Any, requires_grad: bool) -> Iterator[Any]:
        """The entry's samples, drawn from one seed."""
        carrying.torch.manual_seed(7)
        random.seed(7)
        np.random.seed(7)
        drawn = self.entry.sample_inputs("cpu", dtype, requires_grad=requires_grad)
        return (sample for sample, _ in zip(drawn, range(SAMPLES), strict=False))

    def compare(self, what: str, sample: Any, theirs: Callable, ours: Callable) -> None:
        """Run both on one sample; a difference in words, or an error of ours, is noted."""
        memo: dict[int, Any] = {}
        try:
            arguments = carried((sample.input, *sample.args), memo)
            named = carried(dict(sample.kwargs), memo)
            wanted = theirs(sample)
            check_comparable(wanted)
        except NotComparable:
            return
        except (RuntimeError, TypeError, ValueError, IndexError, NotImplementedError):
            return
        if wanted is None:
            return
        self.counts[kind_of(what)] += 1
        try:
            found = ours(arguments, named, memo, wanted)
        except Exception as error:
            found = f"ours raised {type(error).__name__}: {str(error)[:150]}"
        if found:
            self.differences.append(f"{what} {described(sample)}: {found}")

    def values(self, ours: Callable, dtype: Any) -> None:
        """The results of the function."""
        shapes_only = self.entry.name in RANDOM

        def check(arguments: Any, named: Any, memo: dict, wanted: Any) -> str | None:
            found = ours(*arguments, **named)
            process = (
                self.entry.name.startswith(("linalg", "svd")) and type(wanted) is not carrying.torch.Tensor
            )
            if process and self.processing is not None:
                wanted, found = self.processing(wanted), rebound(self.processing)(found)
            if self.entry.name in TIES:
                wanted, found = flat(wanted)[:1], flat(found)[:1]
                if self.entry.name == "argsort":
                    return difference(wanted, found, "value", shapes_only=True)
            return difference(wanted, found, "value", shapes_only)

        for sample in self.samples(dtype, False):
            self.processing = sample.output_process_fn_grad
            self.compare(str(dtype), sample, lambda s: self.entry(s.input, *s.args, **s.kwargs), check)

    def noncontiguous(self, ours: Callable) -> None:
        """The results for inputs with gaps in their memory."""
        dtype = self.usual_dtype()
        for sample in self.samples(dtype, False) if dtype else ():
            sample = sample.noncontiguous()
            self.compare(
                "with gaps",
                sample,
                lambda s: s.output_process_fn_grad(self.entry(s.input, *s.args, **s.kwargs)),
                lambda a, n, m, w, s=sample: difference(
                    w,
                    rebound(s.output_process_fn_grad)(ours(*a, **n)),
                    "value",
                    self.entry.name in RANDOM | TIES,
                ),
            )

    def layouts(self, ours: Callable) -> None:
        """The strides of the results, for inputs in rows, with gaps, and with their dims in other orders."""

        def check(arguments: Any, named: Any, memo: dict, wanted: Any) -> str | None:
            return layout_difference(wanted, ours(*arguments, **named))

        dtype = self.usual_dtype()
        for order in ORDERS if dtype else ():
            for sample in self.samples(dtype, False):
                sample = sample.noncontiguous() if order is None else reordered(sample, order)
                self.compare("layout", sample, lambda s: self.entry(s.input, *s.args, **s.kwargs), check)

    def into_out(self, ours: Callable) -> None:
        """`out=`: the result stands in it, and it is what is returned."""
        torch = carrying.torch

        def theirs(sample: Any) -> Any:
            made = self.entry(sample.input, *sample.args, **sample.kwargs)
            if not all(isinstance(leaf, torch.Tensor) for leaf in flat(made)):
                return None
            # For the error if there is one: not all of PyTorch's functions leave their results in `out`.
            out = like(made, torch.empty_like)
            self.hands_back = self.entry(sample.input, *sample.args, **sample.kwargs, out=out) is not None
            return made

        def check(arguments: Any, named: Any, memo: dict, wanted: Any) -> str | None:
            out = like(wanted, lambda t: devtensor.empty(tuple(t.shape), dtype=DTYPES[t.dtype]))
            found = ours(*arguments, **named, out=out)
            if self.hands_back and any(a is not b for a, b in zip(flat(out), flat(found), strict=True)):
                return "what is returned is not out"
            if self.processing is not None and not isinstance(wanted, torch.Tensor):
                wanted, out = self.processing(wanted), rebound(self.processing)(out)
            return difference(wanted, out, "value", self.entry.name in RANDOM | TIES)

        for sample in self.samples(self.usual_dtype(), False):
            if "out" not in sample.kwargs:
                self.processing = sample.output_process_fn_grad
                self.compare("out=", sample, theirs, check)

    def gradients(self, ours: Callable, dtype: Any) -> None:
        """Gradients, and the gradients of those, for random weights of the results."""
        for sample in self.samples(dtype, True):
            memo: dict[int, Any] = {}
            sample.input, sample.args = fresh(sample.input, memo), fresh(sample.args, memo)
            sample.kwargs = fresh(sample.kwargs, memo)
            gradients = Gradients(
                lambda sample=sample: self.entry(sample.input, *sample.args, **sample.kwargs),
                [t for t in flat([sample.input, list(sample.args), sample.kwargs]) if is_leaf(t)],
                sample.output_process_fn_grad,
                self.entry.supports_gradgrad,
            )
            self.compare(
                f"{dtype} gradient",
                sample,
                lambda _, g=gradients: g.theirs(),
                lambda *a, g=gradients: g.ours(ours, *a),
            )

    def refusals(self, ours: Callable) -> None:
        """What PyTorch refuses, with an error of PyTorch's kind."""
        if self.entry.error_inputs_func is None:
            return
        for case in self.entry.error_inputs("cpu"):
            sample = case.sample_input
            try:
                memo: dict[int, Any] = {}
                arguments, named = carried((sample.input, *sample.args), memo), carried(sample.kwargs, memo)
                self.entry(sample.input, *sample.args, **sample.kwargs)
                continue
            except (NotComparable, NotImplementedError):
                continue
            except Exception as error:
                wanted = RuntimeError if isinstance(error, RuntimeError) else type(error)
            self.counts["refusals"] += 1
            try:
                ours(*arguments, **named)
            except wanted:
                continue
            except Exception as error:
                found = f"ours raises {type(error).__name__}: {str(error)[:90]}"
            else:
                found = "ours accepts"
            self.differences.append(f"refusal {described(sample)}: {wanted.__name__}; {found}")

    def usual_dtype(self) -> Any:
        """float32, or the first dtype that the entry has."""
        supported = self.entry.supported_dtypes("cpu")
        known = [carrying.torch.float32, *DTYPES]
        return next((dtype for dtype in known if dtype in supported), None)

    def methods(self) -> None:
        """The method and in-place forms."""
        torch = carrying.torch
        dtype = self.usual_dtype()
        for form in (self.entry.method_variant, self.entry.inplace_variant) if dtype else ():
            name = getattr(form, "__name__", "<lambda>")
            if not hasattr(torch.Tensor, name):
                continue
            if not hasattr(devtensor.Tensor, name):
                self.differences.append(f"Tensor.{name} is missing")
                continue
            shapes_only = self.entry.name in RANDOM | TIES
            for sample in self.samples(dtype, False):
                if not isinstance(sample.input, torch.Tensor):
                    continue
                if form is self.entry.inplace_variant and sample.broadcasts_input:
                    continue
                self.compare(
                    f"Tensor.{name}",
                    sample,
                    lambda s, form=form: form(s.input, *s.args, **s.kwargs),
                    lambda a, n, m, w, name=name, only=shapes_only: difference(
                        w, getattr(devtensor.Tensor, name)(*a, **n), "value", only
                    ),
                )


def kind_of(what: str) -> str:
    """What a comparison counts as."""
    if what.startswith("Tensor."):
        return "methods"
    if what.endswith("gradient"):
        return "gradients"
    return what if what in ("out=", "with gaps", "layout") else "values"


class Gradients:
    """First and second gradients of one sample, in both libraries for the same weights."""

    def __init__(self, call: Callable[[], Any], leaves: list, process: Callable, second: bool) -> None:
        self.call, self.leaves, self.process, self.with_second = call, leaves, process, second
        self.rng = np.random.default_rng(1)

    def weights(self, outs: list) -> list[np.ndarray]:
        made = [np.asarray(self.rng.standard_normal(tuple(o.shape))) for o in outs]
        return [
            w + 1j * w[..., ::-1] if o.is_complex() and w.ndim else w for w, o in zip(made, outs, strict=True)
        ]

    def theirs(self) -> Any:
        torch = carrying.torch
        outs = self.process(self.call())
        outs = [t for t in flat(outs) if is_leaf(t)]
        if not outs or not self.leaves:
            return None
        self.first = self.weights(outs)
        second = self.with_second
        found = torch.autograd.grad(
            outs, self.leaves, self.tensors(self.first, outs), create_graph=second, allow_unused=True
        )
        self.again = [k for k, g in enumerate(found) if g is not None and g.requires_grad]
        self.second = self.weights([found[k] for k in self.again])
        if not self.again:
            return found, None
        roots = [found[k] for k in self.again]
        return found, torch.autograd.grad(
            roots, self.leaves, self.tensors(self.second, roots), allow_unused=True
        )

    def tensors(self, weights: list, like: list) -> list:
        library = carrying.torch if isinstance(like[0], carrying.torch.Tensor) else devtensor
        return [library.from_numpy(np.array(w)).to(o.dtype) for w, o in zip(weights, like, strict=True)]

    def ours(self, function: Callable, arguments: Any, named: Any, memo: dict, wanted: Any) -> str | None:
        outs = rebound(self.process)(function(*arguments, **named))
        outs = [t for t in flat(outs) if is_leaf(t)]
        if len(outs) != len(self.first):
            return f"{len(self.first)} differentiable results, ours {len(outs)}"
        leaves = [memo[id(t)] for t in self.leaves]
        found = devtensor.autograd.grad(
            outs,
            leaves,
            self.tensors(self.first, outs),
            create_graph=wanted[1] is not None,
            allow_unused=True,
        )
        text = difference(*filled(wanted[0], found), "gradient")
        if text or wanted[1] is None:
            return text
        pairs = [(found[k], w) for k, w in zip(self.again, self.second, strict=True)]
        pairs = [(g, w) for g, w in pairs if g is not None and g.requires_grad]
        again: Any = [None] * len(leaves)
        if pairs:
            roots, weights = [g for g, _ in pairs], [w for _, w in pairs]
            again = devtensor.autograd.grad(roots, leaves, self.tensors(weights, roots), allow_unused=True)
        return difference(*filled(wanted[1], again), "second gradient")


def like(value: Any, make: Callable) -> Any:
    """A tensor for each of one result or several."""
    return tuple(make(item) for item in value) if isinstance(value, (tuple, list)) else make(value)


def filled(wanted: Any, found: Any) -> tuple[list, list]:
    """Gradients side by side; where one library says None, and means zero, zeros stand."""
    left, right = [], []
    back = {ours: theirs for theirs, ours in DTYPES.items()}
    for theirs, ours in zip(wanted, found, strict=True):
        if theirs is None and ours is None:
            continue
        if theirs is None:
            theirs = carrying.torch.zeros(tuple(ours.shape), dtype=back[ours.dtype])
        if ours is None:
            ours = devtensor.zeros(tuple(theirs.shape), dtype=DTYPES[theirs.dtype])
        left.append(theirs)
        right.append(ours)
    return left, right


def is_leaf(value: Any) -> bool:
    """Whether it is a tensor that takes part in differentiation."""
    return isinstance(value, (carrying.torch.Tensor, devtensor.Tensor)) and value.requires_grad


def described(sample: Any) -> str:
    """The sample in a few words."""

    def one(value: Any) -> str:
        if isinstance(value, carrying.torch.Tensor):
            lies = "" if value.is_contiguous() else f" strides {value.stride()}"
            return f"{tuple(value.shape)} {str(value.dtype)[6:]}{lies}"
        if isinstance(value, (list, tuple)):
            return f"[{', '.join(one(item) for item in value)}]"
        return repr(value)[:40]

    named = [f"{key}={one(value)}" for key, value in sample.kwargs.items()]
    return f"({', '.join([one(v) for v in (sample.input, *sample.args)] + named)})"
