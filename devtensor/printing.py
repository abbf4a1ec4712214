"""How tensors print: as PyTorch prints them, without any array library."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from devtensor.core.device import Device, current_index, legacy_device
from devtensor.core.dtype import DType, bool_, default_dtype, int64
from devtensor.core.errors import ArgumentError, AutogradError
from devtensor.core.host import host_read, nest
from devtensor.core.state import current, switched
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
    """How real numbers of one tensor are written, all equally wide."""

    def __init__(self, numbers: list, floating: bool, options: Options) -> None:
        self.floating, self.precision = floating, options.precision
        self.whole, self.scientific = True, False
        # Zeros, infinities and NaN have no say in form and width.
        telling = [n for n in numbers if n and math.isfinite(n)] if floating else numbers
        if floating and telling:
            self.whole = all(n == math.trunc(n) for n in telling)
            self.scientific = far_apart(telling) if options.sci_mode is None else options.sci_mode
        self.width = max([1, *(len(self.text(n)) for n in telling)])

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


def far_apart(numbers: list[float]) -> bool:
    """Whether finite numbers, none of them zero, are too large, small or unlike for fixed digits."""
    sizes = [abs(n) for n in numbers]
    large, small = max(sizes), min(sizes)
    return large / small > 1000.0 or large > 1e8 or small < 1e-4


class ComplexFormat:
    """How complex numbers are written: real parts equally wide, imaginary ones close behind them."""

    def __init__(self, numbers: list[complex], options: Options) -> None:
        self.real = Format([n.real for n in numbers], True, options)
        self.imaginary = Format([n.imag for n in numbers], True, options)
        self.width = self.real.width + self.imaginary.width + 1

    def padded(self, number: complex) -> str:
        """The number, its real part at full width."""
        imaginary = self.imaginary.text(number.imag)
        sign = "" if imaginary[0] in "+-" else "+"
        return f"{self.real.padded(number.real)}{sign}{imaginary}j"


def format_of(numbers: list, dtype: DType, options: Options) -> Format | ComplexFormat:
    """What writes the numbers of a tensor of `dtype`."""
    if dtype.is_complex:
        return ComplexFormat(numbers, options)
    return Format(numbers, dtype.is_floating_point, options)


class Layout(NamedTuple):
    """All that the text of nested numbers depends on; `cut` says in which dims the middle is left out."""

    form: Format | ComplexFormat
    options: Options
    cut: tuple[bool, ...]


def nested_text(data: Any, dim: int, indent: int, layout: Layout) -> str:
    """Nested lists as text; where a dim was cut, dots stand in its middle."""
    below = len(layout.cut) - dim
    if below == 0:
        return layout.form.padded(data)
    if below == 1:
        return _row(data, indent, layout)
    parts = [nested_text(part, dim + 1, indent + 1, layout) for part in data]
    if layout.cut[dim]:
        edge = layout.options.edgeitems
        parts[edge:edge] = ["..."]
    return "[" + ("," + "\n" * (below - 1) + " " * (indent + 1)).join(parts) + "]"


def _row(numbers: list, indent: int, layout: Layout) -> str:
    form, edge = layout.form, layout.options.edgeitems
    per_line = max(1, (layout.options.linewidth - indent) // (form.width + 2))
    texts = [form.padded(number) for number in numbers]
    if layout.cut[-1]:
        texts[edge:edge] = [" ..." if edge else "..."]
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
        with switched(grad=False, layers=()):
            shown, cut = edges(shown, options.edgeitems)
    numbers = host_read(shown, "repr").numbers()
    layout = Layout(format_of(numbers, tensor.dtype, options), options, cut)
    return nested_text(nest(numbers, tuple(shown.array.shape)), 0, indent, layout)


def unreadable(tensor: Tensor) -> bool:
    """Whether there are no numbers to print: on the meta device, and while a graph is captured."""
    return tensor.device.type == "meta" or any(hasattr(layer, "host_read") for layer in current().layers)


def suffixes(tensor: Tensor, hidden: bool) -> list[str]:
    """What is told of a tensor beside its numbers."""
    told = []
    if is_elsewhere(tensor.device):
        told.append(f"device='{tensor.device}'")
    empty = not tensor.shape.numel()
    if hidden or (empty and tensor.array.ndim != 1) or not (empty or _options[0].edgeitems):
        told.append(f"size={tuple(tensor.array.shape)}")
    default = default_dtype()
    usual = (default,) if empty or hidden else (default, default.to_complex(), int64, bool_)
    if tensor.dtype not in usual:
        told.append(f"dtype={tensor.dtype}")
    history = _history(tensor)
    if history:
        told.append(history)
    elif tensor.requires_grad:
        told.append("requires_grad=True")
    return told


def is_elsewhere(device: Device) -> bool:
    """Whether it is not where tensors of the default legacy type are, as the text must tell then.

    As in PyTorch the device follows `set_default_tensor_type`, not `set_default_device`.
    """
    if device.type != legacy_device():
        return True
    return device.index is not None and device.index != current_index(device.type)


def _history(tensor: Tensor) -> str:
    """What is told of the op that made the tensor; views may have lost it by a write."""
    try:
        return "" if tensor.is_leaf else f"grad_fn=<{tensor.node.node.name()}>"
    except AutogradError:
        return "grad_fn=<Invalid>"


def text(tensor: Tensor) -> str:
    """What `repr(tensor)` gives.

    Example: `tensor([1., 2.], requires_grad=True)`
    """
    # Parameter derives from Tensor in a module of its own, and is called a tensor all the same.
    plain = type(tensor) is Tensor or type(tensor).__module__.startswith("devtensor.")
    options, head = _options[0], "tensor(" if plain else f"{type(tensor).__name__}("
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
    if not self.array.ndim and type(self) is Tensor and not unreadable(self):
        return format(host_read(self, "format").numbers()[0], spec)
    return object.__format__(self, spec)


METHODS: dict[str, Callable] = {"__repr__": text, "__format__": formatted}
