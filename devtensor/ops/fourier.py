"""Discrete Fourier transforms over several dims."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from devtensor.core.dtype import FLOAT
from devtensor.core.errors import DTypeError
from devtensor.core.layout import Strides, packed
from devtensor.core.op import OWN, Plain, composite, primitive
from devtensor.core.placement import Placement
from devtensor.core.rules import Operand, Types
from devtensor.ops.create import cast, copy
from devtensor.ops.examples import case
from devtensor.ops.join import cat
from devtensor.ops.parts import as_real, conj, real
from devtensor.ops.shape import flip, getitem
from devtensor.ops.windows import pad

# A transform's adjoint goes the other way with the same factor, which that way has the opposite name.
OPPOSITE = {"backward": "forward", "forward": "backward", "ortho": "ortho"}


def _spectral(op: str, operands: Sequence[Operand], params: tuple) -> Types:
    """Single or double precision, the result complex."""
    common = operands[0].dtype
    if common.category < FLOAT or common.to_real().bits < 32:
        raise DTypeError(f"[{op}] Unsupported dtype {common.name}; convert it with .float() first")
    return Types(common, common.to_complex())


def _complex_only(op: str, operands: Sequence[Operand], params: tuple) -> Types:
    """Complex, as the result is."""
    types = _spectral(op, operands, params)
    if not types.cast.is_complex:  # type: ignore[union-attr]
        raise DTypeError(f"[{op}] got {types.cast.name}; it takes complex numbers; convert with .cfloat()")  # type: ignore[union-attr]
    return types


def _real_result(op: str, operands: Sequence[Operand], params: tuple) -> Types:
    """Complex input, the result real."""
    types = _complex_only(op, operands, params)
    return Types(types.cast, types.cast.to_real())  # type: ignore[union-attr]


def _real_only(op: str, operands: Sequence[Operand], params: tuple) -> Types:
    """Real input, the result complex."""
    types = _spectral(op, operands, params)
    if types.cast.is_complex:  # type: ignore[union-attr]
        raise DTypeError(
            f"[{op}] expects a floating point input tensor, but got {types.cast.name}; use fft() of it"  # type: ignore[union-attr]
        )
    return types


def _unchanged(op: str, inputs: Any, params: tuple) -> tuple[int, ...]:
    return inputs[0].shape


def _transformed(fixed: int) -> Placement:
    """The dims that are transformed innermost, and the rest around them; both in the input's order, save for
    the last `fixed` of the former."""

    def rule(shapes: Any, operands: Any, params: tuple) -> list[Strides]:
        strides, dims = operands[0][1], params[0]

        def outermost_first(some: Sequence[int]) -> list[int]:
            return sorted(some, key=lambda d: -strides[d])

        cut = len(dims) - fixed
        batch = outermost_first([d for d in range(len(strides)) if d not in dims])
        order = [*batch, *outermost_first(dims[:cut]), *dims[cut:]]
        return [packed(shapes[0], order[::-1])]

    return Placement(rule, always=True)


halving = partial(composite, complex=OWN, amp="float32", placement=_transformed(1), rounding=8)


@primitive(dtype=_complex_only, shape=_unchanged, complex=OWN, amp="float32", placement=_transformed(0))
def fft_c2c(spectrum, dims: Plain, norm: Plain = "backward", forward: Plain = True):
    """The Fourier transform over `dims`, or the inverse one; `norm` says which of the two is divided by the
    number of elements, "ortho" both by its root.

    Shapes: spectrum (*S) -> (*S)
    """


fft_c2c.vjp(spectrum=lambda g, dims, norm, forward: fft_c2c(g, dims, OPPOSITE[norm], not forward))


def halved(size: int) -> int:
    """How many numbers say all of a spectrum of `size` real ones."""
    return size // 2 + 1


def _half_shape(op: str, inputs: Any, params: tuple) -> tuple[int, ...]:
    shape = list(inputs[0].shape)
    shape[params[0][-1]] = halved(shape[params[0][-1]])
    return tuple(shape)


@composite(
    dtype=_real_only, shape=_half_shape, complex=OWN, amp="float32", placement=_transformed(1), rounding=8
)
def fft_r2c(signal, dims: Plain, norm: Plain = "backward"):
    """The Fourier transform of real numbers over `dims`, of the last dim without the half that mirrors.

    Shapes: signal (*S) -> (*S), with S // 2 + 1 of the last of dims
    """
    spectrum = fft_c2c(cast(signal, signal.kind.dtype.to_complex()), dims, norm, True)
    last = dims[-1]
    return copy(getitem(spectrum, (*(slice(None),) * last, slice(0, halved(signal.array.shape[last])))))


def _r2c_gradient(g: Any, like: Any, dims: tuple[int, ...], norm: str) -> Any:
    last = dims[-1]
    missing = like.signal.shape[last] - g.array.shape[last]
    widths = tuple((0, missing if d == last else 0) for d in range(g.array.ndim))
    return as_real(fft_c2c(pad(g, widths), dims, OPPOSITE[norm], False))


fft_r2c.vjp(signal=_r2c_gradient)


def _full_shape(op: str, inputs: Any, params: tuple) -> tuple[int, ...]:
    shape = list(inputs[0].shape)
    shape[params[0][-1]] = params[2]
    return tuple(shape)


@composite(
    dtype=_real_result, shape=_full_shape, complex=OWN, amp="float32", placement=_transformed(1), rounding=8
)
def fft_c2r(spectrum, dims: Plain, norm: Plain, size: Plain):
    """The inverse Fourier transform over `dims` of a spectrum that mirrors: `size` real numbers along the
    last dim.

    Shapes: spectrum (*S), with size // 2 + 1 of the last of dims -> (*S) with size
    """
    *rest, last = dims
    half = fft_c2c(spectrum, tuple(rest), norm, False) if rest else spectrum
    mirrored = getitem(half, (*(slice(None),) * last, slice(1, size - size // 2)))
    whole = cat(half, conj(flip(mirrored, (last,))), dim=last)
    return copy(real(fft_c2c(whole, (last,), norm, False)))


def _c2r_gradient(g: Any, like: Any, dims: tuple[int, ...], norm: str, size: int) -> Any:
    """What mirrors counts twice."""
    found = fft_r2c(g, dims, OPPOSITE[norm])
    last, twice = dims[-1], size - like.spectrum.shape[dims[-1]]
    before = (slice(None),) * last

    def part(start: int, stop: int | None) -> Any:
        return getitem(found, (*before, slice(start, stop)))

    return cat(part(0, 1), part(1, 1 + twice) * 2, part(1 + twice, None), dim=last)


fft_c2r.vjp(spectrum=_c2r_gradient)


@fft_c2c.examples
def _(make):
    for forward in (True, False):
        yield case(make(5, dtype="complex128"), dims=(0,), forward=forward)
        yield case(make(2, 3, 4, dtype="complex64"), dims=(2, 0), norm="ortho", forward=forward)
        yield case(
            make(3, 4, dtype="complex128", layout="transposed"), dims=(1,), norm="forward", forward=forward
        )


@fft_r2c.examples
def _(make):
    for size in (5, 6):
        yield case(make(size), dims=(0,))
        yield case(make(2, size, 3), dims=(0, 1), norm="ortho")
    yield case(make(3, 4, layout="transposed"), dims=(1,), norm="forward")


@fft_c2r.examples
def _(make):
    for size in (5, 4):
        yield case(make(3, dtype="complex128"), dims=(0,), norm="backward", size=size)
        yield case(make(2, 3, 2, dtype="complex64"), dims=(0, 1), norm="ortho", size=size)
    yield case(make(4, 3, dtype="complex128", layout="transposed"), dims=(1,), norm="forward", size=4)
