"""Random tensors in PyTorch's spellings."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from devtensor.core.device import Device, resolve
from devtensor.core.dtype import FLOAT, INTEGER, DType, as_dtype, default_dtype, float32, float64, int64
from devtensor.core.errors import ArgumentError, ArgumentTypeError, DTypeError
from devtensor.core.naming import named
from devtensor.core.state import current
from devtensor.core.tensor import Tensor
from devtensor.functions.creation import agreed, finish, shape_of
from devtensor.functions.formats import like as in_layout_of
from devtensor.ops.compare import lt
from devtensor.ops.create import cast
from devtensor.ops.parts import view_as_complex
from devtensor.ops.sort import sort
from devtensor.random import Generator, generator_for

__all__ = [
    "bernoulli",
    "normal",
    "rand",
    "rand_like",
    "randint",
    "randint_like",
    "randn",
    "randn_like",
    "randperm",
]


def _floating(op: str, dtype: Any) -> DType:
    found = default_dtype() if dtype is None else as_dtype(dtype)
    if not found.differentiable:
        raise DTypeError(
            f"[{op}] got {found.name}; it needs a floating-point or complex dtype; use randint for integers"
        )
    return found


def both_parts(draw: Callable[..., Tensor], source: Generator, shape: tuple, dtype: DType) -> Tensor:
    """What `draw` gives for a floating dtype; of a complex one, each part drawn by itself."""
    if not dtype.is_complex:
        return draw(source, shape, dtype)
    return view_as_complex(draw(source, (*shape, 2), dtype.to_real()))


def _declared(name: str, draw: Callable[..., Tensor], doc: str) -> tuple[Callable, Callable]:
    """`rand` and `rand_like`, and their kin."""

    def drawn(
        *size: Any, generator: Generator | None = None, dtype: Any = None, device: Any = None,
        requires_grad: bool = False, out: Tensor | None = None, layout: Any = None, pin_memory: bool = False,
        names: Any = None,
    ) -> Tensor:  # fmt: skip
        source = generator_for(resolve(device), generator)
        kind = _floating(name, agreed(name, dtype, out))
        made = both_parts(draw, source, shape_of(size), kind)
        # A complex normal number's variance is 1 altogether, half of it in each part.
        made = made * math.sqrt(0.5) if kind.is_complex and name == "randn" else made
        return finish(made, requires_grad, out, pin_memory)

    def like(
        input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False,
        generator: Generator | None = None, memory_format: Any = None, layout: Any = None,
        pin_memory: bool = False,
    ) -> Tensor:  # fmt: skip
        shape = tuple(input.array.shape)
        made = drawn(shape, generator=generator, **_like(input, dtype, device))
        return finish(in_layout_of(made, input, memory_format), requires_grad, pin_memory=pin_memory)

    return named(drawn, name, f"{doc}."), named(like, f"{name}_like", f"{doc}, in the shape of `input`.")


def _like(input: Tensor, dtype: Any, device: Any) -> dict[str, Any]:
    return {"dtype": dtype or input.dtype, "device": input.device if device is None else device}


rand, rand_like = _declared("rand", Generator.uniform, "Numbers spread evenly over [0, 1)")
randn, randn_like = _declared("randn", Generator.normal, "Numbers of the standard normal distribution")


def randint(
    low: Any = None,
    high: Any = None,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    out: Tensor | None = None,
    layout: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """Integers spread evenly over [low, high); with one limit, over [0, low)."""
    if size is None and isinstance(high, (tuple, list)):
        high, size = None, high
    low, high = _limits("randint", low, high)
    if size is None:
        raise ArgumentTypeError("[randint] got no size; call randint(high, size) or randint(low, high, size)")
    dtype = agreed("randint", dtype, out)
    check_limits("randint", low, high, int64 if dtype is None else as_dtype(dtype))
    made = generator_for(resolve(device), generator).integers(shape_of((tuple(size),)), int(low), int(high))
    made = cast(made, as_dtype(dtype)) if dtype is not None else made
    return finish(made, requires_grad, out, pin_memory)


def randperm(
    n: int,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    out: Tensor | None = None,
    layout: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """The numbers 0 to n-1 in random order: the order of n random words of 63 bits."""
    place, dtype = resolve(device), agreed("randperm", dtype, out)
    words = generator_for(place, generator).integers(shape_of((n,)), 0, 2**63)
    order = sort(words, 0, False)[1]
    return finish(order if dtype is None else cast(order, as_dtype(dtype)), requires_grad, out, pin_memory)


def _limits(name: str, low: Any, high: Any) -> tuple[Any, Any]:
    """Both limits; one that stands alone is the upper.

    Errors: ArgumentTypeError without any.
    """
    if low is None and high is None:
        raise ArgumentTypeError(f"[{name}] got no limit; give high, or low and high")
    return (0, low) if high is None else (0 if low is None else low, high)


def check_limits(op: str, low: int, high: int, dtype: DType) -> None:
    """Refuse integers in [low, high) that the dtype does not hold.

    Errors: ArgumentError that names the limit.
    """
    if dtype.category > INTEGER:
        return
    most = 2 ** (dtype.bits - dtype.is_signed) - 1
    least = -most - 1 if dtype.is_signed else 0
    for name, value in (("from", low), ("to - 1", high - 1)):
        if not least <= value <= most:
            raise ArgumentError(
                f"[{op}] {name} = {value} is out of bounds for {dtype.name}: [{least}, {most}]"
            )


def randint_like(
    input: Tensor,
    low: Any = None,
    high: Any = None,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    generator: Generator | None = None,
    memory_format: Any = None,
    layout: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """Integers spread evenly over [low, high), in the shape and dtype of `input`."""
    low, high = _limits("randint_like", low, high)
    shape = tuple(input.array.shape)
    made = randint(low, high, shape, generator=generator, **_like(input, dtype, device))
    return finish(in_layout_of(made, input, memory_format), requires_grad, pin_memory=pin_memory)


def bernoulli(input: Tensor, p: float | None = None, *, generator: Generator | None = None) -> Tensor:
    """1 with the probability that each element of `input`, or `p`, says, else 0.

    Shapes: input (*S) -> (*S)
    """
    return chances(tuple(input.array.shape), input if p is None else p, input.dtype, input.device, generator)


def _check_chances(p: Any) -> None:
    if isinstance(p, Tensor):
        if p.device.type != "cpu" or current().layers or not p.numel():
            return
        low, high = p.min().item(), p.max().item()
    else:
        low = high = p
    if not 0 <= low <= high <= 1:
        raise ArgumentError(f"[bernoulli] Expected p_in >= 0 && p_in <= 1, got {low} to {high}")


def chances(shape: tuple, p: Any, dtype: DType, device: Device, generator: Generator | None) -> Tensor:
    """1 with probability `p`, a number or a tensor, else 0.

    Errors: ArgumentError for a probability outside [0, 1], where looking does not wait for the device.
    """
    _check_chances(p)
    exact = p.dtype if isinstance(p, Tensor) and p.dtype.category == FLOAT else float64
    drawn = generator_for(device, generator).uniform(shape, float32 if exact.bits < 32 else exact)
    return cast(lt(drawn, p), dtype)


def normal(
    mean: Any, std: Any = 1.0, size: Any = None, *, generator: Generator | None = None, **facts: Any
) -> Tensor:
    """Normal numbers with mean and standard deviation given as numbers or tensors, in the dtype of the first
    tensor among these.

    Shapes: size, or what mean and std broadcast to
    Errors: ArgumentError for a negative std.
    """
    check_std(std)
    given = next((value for value in (mean, std) if isinstance(value, Tensor)), None)
    if size is not None or given is None:
        return randn(() if size is None else size, generator=generator, **facts) * std + mean
    shape = tuple((mean + std).array.shape)
    drawn = randn(shape, generator=generator, dtype=given.dtype, device=given.device) * std + mean
    return drawn if drawn.dtype is given.dtype else cast(drawn, given.dtype)


def check_std(std: Any) -> None:
    """Refuse a standard deviation that is negative."""
    if not isinstance(std, Tensor) and std < 0:
        raise ArgumentError(f"[normal] normal expects std >= 0.0, but found std {std}")


METHODS: dict[str, Callable] = {"bernoulli": bernoulli}
