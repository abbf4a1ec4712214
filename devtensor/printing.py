"""How tensors print: as PyTorch prints them, without any array library."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from devtensor.core.device import default_device
from devtensor.core.dtype import FLOAT, bool_, default_dtype, int64
from devtensor.core.errors import ArgumentError
from devtensor.core.host import host_read, nest
from devtensor.core.state import current, no_grad, replace
from devtensor.core.tensor import Tensor, share
from devtensor.ops.join import cat
from devtensor.ops.shape import getitem

__all__ = ["get_printoptions", "printoptions", "set_printoptions"]


class Options(NamedTuple):
    """How many digits; above how many elements only edges are shown, and how wide these are; how long a line
    may be."""

    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


PROFILES = {
    "default": Options(),
    "short": Options(precision=2, edgeitems=2),
    "full": Options(threshold=math.inf),
}
_options = [Options()]


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Change how tensors print; a profile, "default", "short" or "full", sets all that is not given.

    Errors: ArgumentError for an unknown profile.
    """
    if profile is not None and profile.lower() not in PROFILES:
        raise ArgumentError(
            f"[set_printoptions] profile is {profile!r}; it needs one of {', '.join(PROFILES)}"
        )
    base = _options[0] if profile is None else PROFILES[profile.lower()]
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    _options[0] = base._replace(sci_mode=sci_mode, **{k: v for k, v in given.items() if v is not None})


def get_printoptions() -> dict[str, Any]:
    """How tensors print now, as `set_printoptions` takes it."""
    return _options[0]._asdict()


@contextmanager
def printoptions(**changes: Any) -> Iterator[None]:
    """Within it tensors print as `set_printoptions(**changes)` says."""
    before = _options[0]
    set_printoptions(**changes)
    try:
        yield
    finally:
        _options[0] = before


class Format:
    """How the numbers of one tensor are written, all equally wide."""

    def __init__(self, numbers: list, floating: bool, options: Options) -> None:
        self.floating, self.precision = floating, options.precision
        self.whole, self.scientific = True, False
        told = numbers
        if floating:
            told = [n for n in numbers if n and math.isfinite(n)]
            self.whole = all(n == math.trunc(n) for n in told)
            if told:
                large, small = max(map(abs, told)), min(map(abs, told))
                far = large / small > 1000.0 or large > 1e8 or small < 1e-4
                self.scientific = far if options.sci_mode is None else options.sci_mode
        self.width = max([1, *(len(self.text(n)) for n in told)])

    def text(self, number: Any) -> str:
        """The number without padding."""
        if not self.floating:
            return str(number)
        if self.scientific:
            return f"{number:.{self.precision}e}"
        if self.whole:
            return f"{number:.0f}" + ("." if math.isfinite(number) else "")
        return f"{number:.{self.precision}f}"

    def padded(self, number: Any) -> str:
        """The number at its full width."""
        return self.text(number).rjust(self.width)


def nested_text(
    data: Any, ndim: int, indent: int, form: Format, options: Options, cut: tuple[bool, ...]
) -> str:
    """Nested lists as text; where `cut` says so, dots stand in the middle of a dim."""
    if ndim == 0:
        return form.padded(data)
    if ndim == 1:
        return _row(data, indent, form, options, cut[0])
    edge = options.edgeitems
    parts = [nested_text(part, ndim - 1, indent + 1, form, options, cut[1:]) for part in data]
    if cut[0]:
        parts[edge:edge] = ["..."]
    return "[" + (",\n" + "\n" * (ndim - 2) + " " * (indent + 1)).join(parts) + "]"


def _row(numbers: list, indent: int, form: Format, options: Options, cut: bool) -> str:
    per_line = max(1, (options.linewidth - indent) // (form.width + 2))
    texts = [form.padded(number) for number in numbers]
    if cut:
        texts[options.edgeitems : options.edgeitems] = [" ..."]
    lines = [", ".join(texts[start : start + per_line]) for start in range(0, len(texts), per_line)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def edges(tensor: Tensor, edge: int) -> tuple[Tensor, tuple[bool, ...]]:
    """The corners of a tensor that are shown, and which dims lost their middle."""
    cut = tuple(size > 2 * edge for size in tensor.array.shape)
    for dim, cuts in enumerate(cut):
        if cuts:
            lead = (slice(None),) * dim
            size = tensor.array.shape[dim]
            ends = [getitem(tensor, (*lead, part)) for part in (slice(0, edge), slice(size - edge, size))]
            tensor = cat(*ends, dim=dim)
    return tensor, cut


def numbers_text(tensor: Tensor, indent: int, options: Options) -> str:
    """The tensor's numbers in brackets."""
    shown, cut = share(tensor), (False,) * tensor.array.ndim
    if tensor.shape.numel() > options.threshold:
        before = replace(layers=())
        try:
            with no_grad():
                shown, cut = edges(shown, options.edgeitems)
        finally:
            replace(layers=before.layers)
    numbers = host_read(shown, "repr").numbers()
    form = Format(numbers, tensor.dtype.category == FLOAT, options)
    return nested_text(nest(numbers, tuple(shown.array.shape)), tensor.array.ndim, indent, form, options, cut)


def unreadable(tensor: Tensor) -> bool:
    """Whether there are no numbers to print: on the meta device, and while a graph is captured."""
    return tensor.device.type == "meta" or any(hasattr(layer, "host_read") for layer in current().layers)


def suffixes(tensor: Tensor, hidden: bool) -> list[str]:
    """What is told of a tensor beside its numbers."""
    told = []
    if tensor.device is not default_device():
        told.append(f"device='{tensor.device}'")
    empty = not tensor.shape.numel()
    if hidden or (empty and tensor.array.ndim != 1):
        told.append(f"size={tuple(tensor.array.shape)}")
    usual = (default_dtype(),) if empty or hidden else (default_dtype(), int64, bool_)
    if tensor.dtype not in usual:
        told.append(f"dtype={tensor.dtype}")
    if tensor.node is not None:
        told.append(f"grad_fn=<{tensor.node.node.name()}>")
    elif tensor.requires_grad:
        told.append("requires_grad=True")
    return told


def text(tensor: Tensor) -> str:
    """What `repr(tensor)` gives.

    Example: `tensor([1., 2.], requires_grad=True)`
    """
    options, head = _options[0], "tensor("
    hidden = unreadable(tensor)
    if hidden:
        body = "..."
    elif not tensor.shape.numel():
        body = "[]"
    else:
        body = numbers_text(tensor, len(head), options)
    written = head + body
    length = len(written) - written.rfind("\n") + 1
    for suffix in suffixes(tensor, hidden):
        if length + len(suffix) + 2 > options.linewidth:
            written += ",\n" + " " * len(head) + suffix
            length = len(head) + len(suffix)
        else:
            written += ", " + suffix
            length += len(suffix) + 2
    return written + ")"


def formatted(self: Tensor, spec: str) -> str:
    """What an f-string makes of a tensor: one number as that number, else its text."""
    if spec and not self.array.ndim and not unreadable(self):
        return format(host_read(self, "format").numbers()[0], spec)
    if not self.array.ndim and not unreadable(self) and type(self) is Tensor:
        return str(host_read(self, "format").numbers()[0])
    return object.__format__(self, spec)


METHODS: dict[str, Callable] = {"__repr__": text, "__str__": text, "__format__": formatted}
