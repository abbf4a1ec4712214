"""One call drawn by chance, run by both libraries: results, gradients, refusals, what it did to arguments."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import devtensor
from opinfo import carrying
from opinfo.carrying import NotComparable, carried, flat
from opinfo.comparing import check_comparable, difference, layout_difference
from opinfo.fuzz.kinds import STRANGERS
from opinfo.fuzz.layers import Arguments

CALLS = Path(__file__).with_name("calls.txt")
INPLACE = re.compile(r"[a-z0-9]_$|__i(add|sub|mul|truediv)__$|__setitem__$")
# Which of equal values an index names PyTorch does not say.
TIES = frozenset({"argsort", "kthvalue", "median", "mode", "sort", "topk"})
# PyTorch refuses on the CPU, or in one build, what others take.
NARROWER = ("not implemented for", "not supported", "does not support", "only supports", "MKL FFT error")


class Parameter(NamedTuple):
    """How one argument is given: `name` is empty for those that stand by their place alone."""

    name: str
    kind: str
    optional: bool
    named_only: bool
    spread: bool


def lines() -> Iterator[tuple[str, list[Parameter]]]:
    """The lines of calls.txt, one name at a time."""
    for line in CALLS.read_text().splitlines():
        if line and not line.startswith("#"):
            names, _, rest = line.partition(": ")
            for name in names.split():
                yield name, parameters(rest)


def parameters(text: str) -> list[Parameter]:
    """The arguments that a line tells of."""
    found, named_only = [], False
    for word in text.split():
        if word == "*":
            named_only = True
            continue
        name, _, kind = word.rpartition("=")
        optional, spread = kind.endswith("?"), kind.startswith("*")
        found.append(Parameter(name, kind.strip("?*"), optional, named_only, spread))
    return found


class Call(NamedTuple):
    """A function of PyTorch's by name, how it is called, and with what.

    `copied` says that the first argument is a product of what is given: a leaf could not be written to.
    """

    name: str
    mode: str
    args: list
    kwargs: dict
    copied: bool

    def run(self, root: Any) -> Any:
        path = self.name.split(".")
        args = [self.args[0] * 1, *self.args[1:]] if self.copied else self.args
        if path[0] != "Tensor" and self.mode == "function":
            return named(root, path)(*args, **self.kwargs)
        method = path[-1] + ("_" if self.mode == "in place" else "")
        found = getattr(args[0], method)(*args[1:], **self.kwargs)
        return args[0] if method == "__setitem__" else found

    def __str__(self) -> str:
        words = [*map(described, self.args), *(f"{k}={described(v)}" for k, v in self.kwargs.items())]
        return f"{self.name} ({self.mode}) {', '.join(words)}"


def named(root: Any, path: list[str]) -> Any:
    for part in path:
        root = getattr(root, part)
    return root


def described(value: Any) -> str:
    if isinstance(value, carrying.torch.Tensor):
        numbers = f" {value.tolist()}" if value.numel() < 7 else ""
        wanted = " with gradient" if value.requires_grad else ""
        return f"{value.dtype}{list(value.shape)} strides {value.stride()}{wanted}{numbers}"[6:]
    return repr(value)


def drawn_call(name: str, wanted: list[Parameter], seed: str) -> Call:
    """The call that this seed draws."""
    source, args, kwargs = Arguments(seed), [], {}
    for place, (word, kind, optional, named_only, spread) in enumerate(wanted):
        by_name = named_only or bool(kwargs)
        if optional and source.chance(0.5):
            named_only = True
            wanted = [p._replace(named_only=True) for p in wanted]
            continue
        value = source.draw(kind)
        if place and source.chance(0.012):
            value = source.choice(STRANGERS)
        if spread and isinstance(value, (tuple, list)):
            args.extend(value)
        elif word and (by_name or len(args) < place or source.chance(0.5)):
            kwargs[word] = value
        else:
            args.append(value)
    mode = "function"
    if "." not in name and isinstance(args[0], carrying.torch.Tensor):
        ways = [way for way, end in (("method", ""), ("in place", "_")) if hasattr(type(args[0]), name + end)]
        mode = source.choice(["function", "function", *ways])
    changes = mode == "in place" or INPLACE.search(name)
    copied = bool(changes and args[0].requires_grad and source.chance(0.9))
    return Call(name, mode, args, kwargs, copied)


class Trials:
    """All trials of one name, what was compared, and what differed."""

    def __init__(self, name: str, wanted: list[list[Parameter]], count: int) -> None:
        self.counts: Counter[str] = Counter()
        self.differences: list[str] = []
        for line, each in enumerate(wanted):
            for number in range(count):
                self.one(name, each, f"{name} {line} {number}")

    def one(self, name: str, wanted: list[Parameter], seed: str) -> None:
        """One call by both."""
        theirs = drawn_call(name, wanted, seed)
        text, memo = str(theirs), {}
        leaves = [leaf for leaf in flat([theirs.args, theirs.kwargs]) if wants_gradient(leaf)]
        try:
            ours = theirs._replace(args=carried(theirs.args, memo), kwargs=carried(theirs.kwargs, memo))
        except NotComparable:
            return
        pairs = [(leaf, memo[id(leaf)]) for leaf in leaves]
        result, error = outcome(theirs, carrying.torch)
        found, own = outcome(ours, devtensor)
        told = refusals(error, own)
        if error is None and own is None:
            told = self.results(theirs, ours, result, found, pairs)
        elif told is None:
            self.counts["refusals"] += 1
        if told:
            self.differences.append(f"{text}: {told}")

    def results(self, theirs: Call, ours: Call, wanted: Any, found: Any, pairs: list) -> str | None:
        """What differs between two results."""
        try:
            check_comparable(wanted)
        except NotComparable:
            return None
        if theirs.name in TIES:
            wanted, found = flat(wanted)[:1], flat(found)[:1]
        self.counts["results"] += 1
        told = difference(wanted, found, "result", theirs.name == "argsort")
        told = told or layout_difference(wanted, found) or flags(wanted, found)
        told = told or difference(theirs.args, ours.args, "argument after the call")
        return told or self.gradients(wanted, found, pairs)

    def gradients(self, wanted: Any, found: Any, pairs: list) -> str | None:
        """What differs between the gradients of two results."""
        torch = carrying.torch
        left = [leaf for leaf in flat(wanted) if wants_gradient(leaf) and not leaf.is_complex()]
        right = [leaf for leaf in flat(found) if wants_gradient(leaf) and not leaf.is_complex()]
        if (
            not left
            or not pairs
            or any(leaf.grad_fn is None or not leaf.is_floating_point() for leaf in left)
        ):
            return None
        self.counts["gradients"] += 1
        given = [torch.randn(leaf.shape, dtype=leaf.dtype) for leaf in left]
        error = own = theirs = ours = None
        try:
            theirs = torch.autograd.grad(left, [leaf for leaf, _ in pairs], given, allow_unused=True)
        except RuntimeError as raised:
            error = raised
        try:
            ours = devtensor.autograd.grad(
                right, [leaf for _, leaf in pairs], carried(given, {}), allow_unused=True
            )
        except RuntimeError as raised:
            own = raised
        if error or own:
            return None if error and own else f"gradient: {error!r}, ours {own!r}"[:300]
        return difference(theirs, ours, "gradient")


def wants_gradient(value: Any) -> bool:
    return isinstance(value, (carrying.torch.Tensor, devtensor.Tensor)) and value.requires_grad


def outcome(call: Call, root: Any) -> tuple[Any, Exception | None]:
    try:
        return call.run(root), None
    except Exception as error:
        return None, error


def refusals(theirs: Exception | None, ours: Exception | None) -> str | None:
    """What differs between two errors: only one was raised, or ours is of another kind."""
    if theirs is None:
        return None if ours is None else f"ours raised {type(ours).__name__}: {str(ours)[:200]}"
    narrower = isinstance(theirs, NotImplementedError) or any(words in str(theirs) for words in NARROWER)
    if narrower or isinstance(ours, type(theirs)):
        return None
    own = "ours none" if ours is None else f"ours {type(ours).__name__}: {str(ours)[:120]}"
    return f"{type(theirs).__name__}: {str(theirs)[:120]!r}, {own}"


def flags(wanted: Any, found: Any) -> str | None:
    """Whether both want gradients, and are or are not leaves."""
    for left, right in zip(flat(wanted), flat(found), strict=True):
        if isinstance(left, carrying.torch.Tensor):
            told = [(each.requires_grad, each.is_leaf) for each in (left, right)]
            if told[0] != told[1]:
                return f"(requires_grad, is_leaf) {told[0]}, ours {told[1]}"
    return None
