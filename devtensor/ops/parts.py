"""Complex numbers and their parts: real and imaginary, size and angle."""

from __future__ import annotations

from functools import partial
from math import pi
from typing import Any

from devtensor.core.errors import ShapeError
from devtensor.core.op import OWN, composite, primitive
from devtensor.core.rules import broadcast, complex_of, floating, numeric, parts_of, promoted, real_of
from devtensor.core.spec import broadcast_shapes
from devtensor.ops.compare import eq, isnan, where
from devtensor.ops.create import cast, copy, full_of
from devtensor.ops.elementwise import sign, square
from devtensor.ops.examples import case, fails, singles
from devtensor.ops.functions import cos, sin
from devtensor.ops.join import cat
from devtensor.ops.plane import atan2, hypot
from devtensor.ops.shape import expand, getitem

function = partial(composite, shape=broadcast, inplace=True, complex=OWN, rounding=4)


def _every_other(op, inputs, params):
    """Numbers of half the size, two steps apart where complex ones lay."""
    (spec,) = inputs
    return spec.shape, tuple(stride * 2 for stride in spec.strides)


part = partial(primitive, dtype=parts_of, shape=_every_other, view=True, complex=OWN)


@function(dtype=promoted)
def conj(input):
    """`input` with the sign of its imaginary part changed; real numbers as they are.

    Shapes: input (*S) -> (*S)
    """
    if not input.kind.dtype.is_complex:
        return copy(input)
    return complex(real(input), -imag(input))


conj.vjp(input=lambda g: conj(g))
conj.examples(singles())


def conjugate(input: Any) -> Any:
    """The conjugate, which of real numbers is the tensor itself."""
    return conj(input) if input.kind.dtype.is_complex else input


@function(dtype=real_of(numeric), operator="abs")
def abs(input):
    """Distance of `input` from zero.

    Shapes: input (*S) -> (*S)
    """
    if input.kind.dtype.is_complex:
        return hypot(real(input), imag(input))
    return where(input > 0, input, 0 - input)


abs.vjp(input=lambda g, input: g * sgn(input))
abs.examples(singles(apart=0.1))


@composite(dtype=promoted, shape=broadcast, inplace=True, complex=OWN)
def sgn(input):
    """`input` divided by its size, 0 for 0: of real numbers the sign, of complex ones the direction.

    Shapes: input (*S) -> (*S)
    """
    if not input.kind.dtype.is_complex:
        return sign(input)
    size = abs(input)
    return where(eq(size, 0), 0.0, input / size)


def _turned(g: Any, input: Any, out: Any) -> Any:
    """What moves a number sideways turns its direction, less the further out it is; 0 at 0."""
    if not input.kind.dtype.is_complex:
        return full_of(g.array.shape, 0, g.kind)
    size = abs(input)
    along = as_real(g * conj(out))
    return where(eq(size, 0), 0.0, (g - out * along) / size)


sgn.vjp(input=_turned)
sgn.examples(singles(apart=0.1))


def as_real(input: Any) -> Any:
    """The real part, which of real numbers is the tensor itself."""
    return real(input) if input.kind.dtype.is_complex else input


@part()
def real(input):
    """The real part, as a view.

    Shapes: input (*S) -> (*S)
    """


@part()
def imag(input):
    """The imaginary part, as a view.

    Shapes: input (*S) -> (*S)
    """


real.vjp(input=lambda g, like: cast(g, like.input.dtype))
imag.vjp(input=lambda g, like: cast(g, like.input.dtype) * 1j)


@real.examples
@imag.examples
def _(make):
    yield case(make(3, 4, dtype="complex128"))
    yield case(make(3, 4, dtype="complex64", layout="transposed"))
    yield case(make(3, 4, dtype="complex128", layout="sliced"))
    yield case(make(dtype="complex128"))
    yield case(make(2, 0, dtype="complex64"))


def _pairs_added(op, inputs, params):
    (spec,) = inputs
    return (*spec.shape, 2), (*(stride * 2 for stride in spec.strides), 1)


@primitive(dtype=parts_of, shape=_pairs_added, view=True, complex=OWN)
def view_as_real(input):
    """Real and imaginary part side by side in one more dimension, as a view.

    Shapes: input (*S) -> (*S, 2)
    Errors: DTypeError for real numbers.
    """


def _pairs_taken(op, inputs, params):
    (spec,) = inputs
    if not spec.shape or spec.shape[-1] != 2:
        raise ShapeError(f"[{op}] got {spec.shape}; Tensor must have a last dimension of size 2")
    *outer, last = spec.strides
    if 0 not in spec.shape and (last != 1 or any(stride % 2 for stride in outer)):
        raise ShapeError(
            f"[{op}] strides {tuple(spec.strides)}: Tensor must have a last dimension with stride 1, and the "
            "others' strides divisible by 2; call contiguous() first"
        )
    return spec.shape[:-1], tuple(stride // 2 for stride in outer)


@primitive(dtype=complex_of, shape=_pairs_taken, view=True, complex=OWN, eager=True)
def view_as_complex(input):
    """Pairs of numbers in the last dimension as real and imaginary parts, as a view.

    Shapes: input (*S, 2) -> (*S)
    Errors: DTypeError unless float32 or float64; ShapeError unless the pairs lie side by side in memory.
    """


view_as_real.vjp(input=lambda g: view_as_complex(_side_by_side(g)))
view_as_complex.vjp(input=lambda g: view_as_real(g))


def _side_by_side(g: Any) -> Any:
    """Pairs that lie together in memory, copied if they do not yet."""
    return g.contiguous()


@view_as_real.examples
def _(make):
    yield case(make(3, 4, dtype="complex128"))
    yield case(make(3, 4, dtype="complex64", layout="transposed"))
    yield case(make(dtype="complex128"))
    yield case(make(2, 0, dtype="complex64"))
    yield fails(make(3, dtype="float32"), error="only for complex")


@view_as_complex.examples
def _(make):
    yield case(make(3, 4, 2, dtype="float64"))
    yield case(make(3, 2, dtype="float32"))
    yield case(make(2, dtype="float64"))
    yield case(make(0, 2, dtype="float32"))
    yield fails(make(3, 3, dtype="float32"), error="last dimension of size 2")
    yield fails(make(3, 2, dtype="float32", layout="transposed"), error="stride 1")


@composite(dtype=complex_of, shape=broadcast)
def complex(real, imag):
    """Complex numbers of their real and imaginary parts.

    Shapes: real (*A), imag (*B) -> broadcast(*A, *B)
    Errors: DTypeError unless both are of one floating dtype.
    """
    shape = broadcast_shapes("complex", [real.array.shape, imag.array.shape])
    # Side by side, not real + imag * 1j: an infinite part must not make the other one NaN.
    both = [getitem(expand(part, shape), (*(slice(None),) * len(shape), None)) for part in (real, imag)]
    return view_as_complex(cat(*both, dim=len(shape)))


complex.vjp(real=lambda g: as_real(g), imag=lambda g: as_real(g * -1j))


@complex.examples
def _(make):
    for dtype in ("float32", "float64"):
        yield case(make(3, 4, dtype=dtype), make(4, dtype=dtype))
    yield case(make(dtype="float64"), make(3, 1, dtype="float64", layout="transposed"))
    yield case(make(2, 0, dtype="float32"), make(1, 0, dtype="float32"))
    yield fails(make(3, dtype="float32"), make(4, dtype="float32"), error="broadcast")
    yield fails(make(3, dtype="float32"), make(3, dtype="float64"), error="one dtype")


@composite(dtype=complex_of, shape=broadcast)
def polar(abs, angle):
    """Complex numbers of their distance from 0 and their angle.

    Shapes: abs (*A), angle (*B) -> broadcast(*A, *B)
    Units: angle in radians.
    """
    return complex(abs * cos(angle), abs * sin(angle))


polar.examples(complex.op.cases[0])


@composite(dtype=real_of(floating), shape=broadcast, complex=OWN)
def angle(input):
    """The angle of `input` as a complex number: of real numbers 0, or pi below 0; NaN of NaN.

    Shapes: input (*S) -> (*S)
    Units: radians.
    """
    if input.kind.dtype.is_complex:
        return atan2(imag(input), real(input))
    return where(input < 0, pi, where(isnan(input), input, 0.0))


def _angle_gradient(g: Any, input: Any) -> Any:
    """Across the direction of the number, less the further out it is; 0 at 0, and for real numbers."""
    if not input.kind.dtype.is_complex:
        return g * 0
    size = square(abs(input))
    return where(eq(size, 0), 0.0, g * (input * 1j) / size)


angle.vjp(input=_angle_gradient)
angle.examples(singles(apart=0.3))
