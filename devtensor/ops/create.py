"""Tensors from nothing or from the host, copies, casts and moves."""

from __future__ import annotations

from typing import Any

from devtensor.core.device import Kind
from devtensor.core.dispatch import call
from devtensor.core.history import replay
from devtensor.core.op import MOVED, Place, Plain, Raw, Type, composite, primitive
from devtensor.core.rules import broadcast, given, same, same_shape, sized
from devtensor.core.transfer import HostData, move, upload
from devtensor.ops.examples import case, fails, singles


@primitive(dtype=given, shape=sized, complex=MOVED)
def full(shape: Plain, value: Plain, dtype: Type, device: Place = None):
    """A tensor of one number.

    Shapes: -> shape
    """


full.vjp(None)


def full_of(shape: tuple[int, ...], value: Any, kind: Kind) -> Any:
    """A tensor of one number, of this dtype on this device."""
    return call(full.op, (), (tuple(shape), value, kind.dtype, kind.device))


@full.examples
def _(make):
    for shape in ((), (3,), (2, 3), (2, 0)):
        yield case(shape=shape, value=1.5, dtype="float32")
    yield case(shape=(2,), value=True, dtype="bool")
    yield case(shape=(2,), value=-7, dtype="int64")


def _counted(op, inputs, params):
    return (params[2],)


@primitive(dtype=given, shape=_counted, complex=MOVED)
def arange(start: Plain, step: Plain, count: Plain, dtype: Type, device: Place = None):
    """`count` numbers from `start`, `step` apart.

    Shapes: -> (count,)
    """


arange.vjp(None)


@arange.examples
def _(make):
    yield case(start=0, step=1, count=5, dtype="int64")
    yield case(start=-1.5, step=0.25, count=7, dtype="float32")
    yield case(start=3, step=-2, count=0, dtype="int32")


def _host_shape(op, inputs, params):
    return params[0].shape


@composite(dtype=given, shape=_host_shape, complex=MOVED)
def constant(data: Plain, dtype: Type, device: Place = None):
    """Numbers that the host holds, as a tensor.

    Shapes: -> data.shape
    """
    return upload(data, dtype, device)


constant.vjp(None)


@constant.examples
def _(make):
    yield case(data=HostData(bytes(range(6)), (2, 3)), dtype="uint8")


@primitive(dtype=given, shape=broadcast, complex=MOVED)
def cast(input, dtype: Type):
    """`input` converted to `dtype`; floating point to integers drops the fraction.

    Shapes: input (*S) -> (*S)
    """


cast.vjp(input=lambda g, like: cast(g, like.input.dtype))


@cast.examples
def _(make):
    for dtype in ("bool", "uint8", "int32", "int64", "float16", "bfloat16", "float32", "float64"):
        yield case(make(3, 4, low=0, high=9), dtype=dtype)
    yield case(make(), dtype="float64")
    yield case(make(0, 3), dtype="int32")
    yield case(make(3, 4, layout="transposed"), dtype="float64")


@primitive(dtype=same, shape=same_shape, complex=MOVED)
def copy(input):
    """A fresh, contiguous copy.

    Shapes: input (*S) -> (*S)
    """


copy.vjp(input=lambda g: g)
copy.examples(singles())


@primitive(dtype=same, shape=same_shape, complex=MOVED)
def lay_out(source, strides: Plain):
    """A copy in fresh memory with the strides given, in elements.

    Shapes: source (*S) -> (*S)
    """


lay_out.vjp(source=lambda g: g)


@lay_out.examples
def _(make):
    yield case(make(3, 4), strides=(1, 3))
    yield case(make(2, 3, 4, layout="transposed"), strides=(12, 1, 3))
    yield case(make(3, 0), strides=(1, 3))
    yield case(make(), strides=())


@composite(dtype=same, shape=same_shape, complex=MOVED)
def to_device(input, device: Place):
    """A copy of `input` on another device.

    Shapes: input (*S) -> (*S)
    """
    return move(input, device)


to_device.vjp(input=lambda g, like: to_device(g, like.input.device))


@to_device.examples
def _(make):
    yield case(make(2, 3), device="cpu")
    yield fails(make(2, 3), device="nowhere", error="nowhere")


@primitive(dtype=same, shape=same_shape, complex=MOVED)
def overwrite(root, src: Raw, chain: Plain):
    """A copy of `root` in which the region that the view ops of `chain` reach holds `src`, in the dtype that
    they see.

    Shapes: root (*S), src: the shape that the chain gives -> (*S)
    """


overwrite.vjp(
    # Without a chain all of the root is lost; a gradient of zeros flows to it, as in PyTorch.
    root=lambda g, like, chain: overwrite(g, zeros_like_spec(like.src), chain),
    src=lambda g, chain: replay(g, chain),
)


def zeros_like_spec(spec):
    """Zeros of the spec's shape, dtype and device."""
    return full(spec.shape, 0, spec.dtype, spec.device)


@overwrite.examples
def _(make):
    yield case(make(3, 4), make(4), chain=(("getitem", ((1,),)),))
    yield case(
        make(3, 4), make(2, 3), chain=(("permute", ((1, 0),)), ("getitem", ((slice(0, 2), slice(None)),)))
    )
    yield case(make(6), make(2, 3), chain=(("reshape", ((2, 3),)),))
