"""Random numbers from a state of two words: seed and offset.

The same state gives the same numbers on every device: element i of a draw depends on (seed, offset + i)
alone.
"""

from __future__ import annotations

from devtensor.core.errors import ArgumentError
from devtensor.core.op import Plain, Raw, Type, primitive
from devtensor.core.rules import given, index64, sized
from devtensor.ops.examples import case, fails
from devtensor.ops.examples import make as draw

STATE = draw(2, low=1, high=1000, dtype="int64")


@primitive(dtype=given, shape=sized)
def random_uniform(state: Raw, shape: Plain, dtype: Type):
    """Numbers spread evenly over [0, 1).

    Shapes: state (2,) -> shape
    Source: J. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011: Philox 4x64-10; the top
    bits of one word per element.
    """


@primitive(dtype=given, shape=sized)
def random_normal(state: Raw, shape: Plain, dtype: Type):
    """Numbers of the standard normal distribution.

    Shapes: state (2,) -> shape
    Source: G. Box and M. Muller, "A note on the generation of random normal deviates", 1958, one word per
    element.
    """


def _ranged(op, inputs, params):
    low, high = params[1], params[2]
    if high <= low:
        raise ArgumentError(
            f"[{op}] low={low}, high={high}: the range [low, high) is empty; needs low < high"
        )
    if high - low > 2**63:
        raise ArgumentError(f"[{op}] low={low}, high={high}: the range is wider than 2**63; narrow it")
    return tuple(params[0])


@primitive(dtype=index64, shape=_ranged, eager=True)
def random_integers(state: Raw, shape: Plain, low: Plain, high: Plain):
    """Integers spread evenly over [low, high), with a bias below (high - low) / 2**64.

    Shapes: state (2,) -> shape
    Errors: ArgumentError for an empty range.
    """


for _op in (random_uniform, random_normal, random_integers):
    _op.vjp(None)


def _shapes(make):
    for shape in ((), (7,), (3, 4), (2, 0)):
        yield case(STATE, shape=shape, dtype="float32")
    for dtype in ("float16", "bfloat16", "float64"):
        yield case(STATE, shape=(5, 5), dtype=dtype)


random_uniform.examples(_shapes)
random_normal.examples(_shapes)


@random_integers.examples
def _(make):
    yield case(STATE, shape=(3, 4), low=0, high=10)
    yield case(STATE, shape=(), low=-5, high=-4)
    yield case(STATE, shape=(9,), low=0, high=2**63)
    yield case(STATE, shape=(0,), low=0, high=2)
    yield fails(STATE, shape=(2,), low=3, high=3, error="needs low < high")
