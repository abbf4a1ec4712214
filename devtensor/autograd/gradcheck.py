"""gradcheck: derivatives against central differences, along random directions.

Source: HIPS autograd's test_util: one inner product <v, J u> per check instead of the whole Jacobian J; a
wrong entry of J shows with probability one. PyTorch compares whole Jacobians; messages are its own.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from devtensor.autograd import engine
from devtensor.core.device import resolve
from devtensor.core.dtype import complex128, float64, int64
from devtensor.core.errors import ArgumentError, AutogradError
from devtensor.core.state import enable_grad, no_grad
from devtensor.core.tensor import Tensor, describe, share
from devtensor.core.transfer import HostData
from devtensor.ops.create import cast, constant, copy
from devtensor.ops.parts import view_as_complex, view_as_real
from devtensor.ops.random import random_normal
from devtensor.ops.reduce import sum


class GradcheckError(AutogradError):
    """A derivative that differs from the slope of the function."""


def gradcheck(
    func: Callable,
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
    directions: int = 3,
) -> bool:
    """Whether the gradients of `func` at `inputs` agree with its slopes along random directions.

    Inputs that require grad should be float64 or complex128, and the function smooth within `eps` of them.

    What is checked is backward alone: `check_undefined_grad`, `check_grad_dtypes`, the batched and forward
    checks, `fast_mode` and `masked` are taken and change nothing.

    Errors: GradcheckError that names output and input, unless raise_exception is False.
    """
    try:
        _check(func, _as_tuple(inputs), eps, atol, rtol, directions, nondet_tol)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func: Callable,
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
    directions: int = 3,
) -> bool:
    """`gradcheck` of the gradients of `func`, as functions of its inputs and of the gradients of its
    outputs."""
    given = _as_tuple(inputs)
    outs = _outputs(func, given)
    if grad_outputs is None:
        source = Directions(1)
        seeds = tuple(source.like(out).requires_grad_() for out in outs)  # type: ignore[attr-defined]
    else:
        seeds = _as_tuple(grad_outputs)
    return gradcheck(
        _gradients_of(func, len(given)),
        (*given, *seeds),
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
        directions=directions,
    )


def _gradients_of(func: Callable, count: int) -> Callable[..., tuple]:
    """A function of `count` inputs of `func` and of the gradients of its outputs: the inputs' gradients."""

    def first(*both: Any) -> tuple:
        values, gs = both[:count], both[count:]
        wanted = [v for v in values if isinstance(v, Tensor) and v.requires_grad]
        with enable_grad():
            found = engine.grad(_outputs(func, values), wanted, gs, create_graph=True, allow_unused=True)
        return tuple(g for g in found if g is not None and g.requires_grad)

    return first


def _as_tuple(value: Any) -> tuple:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def _outputs(func: Callable, inputs: Sequence) -> list[Tensor]:
    return [out for out in _as_tuple(func(*inputs)) if isinstance(out, Tensor) and out.requires_grad]


class Directions:
    """A stream of random directions of its own, drawn on the CPU so that every device gets the same."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.offset = 0

    def like(self, tensor: Tensor) -> Tensor:
        """Normal numbers in the shape of a tensor."""
        words = self.seed.to_bytes(8, "little") + self.offset.to_bytes(8, "little")
        state = constant(HostData(words, (2,)), int64, resolve("cpu"))
        self.offset += tensor.shape.numel()
        shape = tuple(tensor.array.shape)
        if not tensor.dtype.is_complex:
            return cast(random_normal(state, shape, float64), tensor.dtype).to(tensor.device)
        self.offset += tensor.shape.numel()
        drawn = view_as_complex(random_normal(state, (*shape, 2), float64))
        return cast(drawn, tensor.dtype).to(tensor.device)


def _check(
    func: Callable, inputs: tuple, eps: float, atol: float, rtol: float, directions: int, nondet_tol: float
) -> None:
    wanted = [k for k, value in enumerate(inputs) if isinstance(value, Tensor) and value.requires_grad]
    if not wanted:
        raise ArgumentError(
            "[gradcheck] expects at least one input tensor to require gradient, but none of them do"
        )
    for k in wanted:
        if inputs[k].dtype not in (float64, complex128):
            warnings.warn(
                f"[gradcheck] Input #{k} requires gradient and is not a double precision floating point or "
                f"complex: {describe(inputs[k])}. This check will likely fail if all the inputs are not of "
                "double precision floating point or complex.",
                stacklevel=3,
            )
    source = Directions(0)
    count = len(_outputs(func, inputs))
    for place in range(count):
        for k in wanted:
            for _ in range(directions):
                _check_pair(func, inputs, place, k, source, eps, atol, rtol, nondet_tol)


def _check_pair(
    func: Callable,
    inputs: tuple,
    place: int,
    k: int,
    source: Directions,
    eps: float,
    atol: float,
    rtol: float,
    nondet_tol: float,
) -> None:
    """One output against one input: <v, J u> by backward and by differences."""
    out = _outputs(func, inputs)[place]
    v, u = source.like(out), source.like(inputs[k])
    (g,) = engine.grad([out], [inputs[k]], [v], retain_graph=True, allow_unused=True)
    (again,) = engine.grad([out], [inputs[k]], [v], allow_unused=True)
    analytical, repeated = (0.0 if found is None else _inner(found, u) for found in (g, again))
    if abs(analytical - repeated) > nondet_tol * max(1.0, abs(analytical)):
        raise GradcheckError(
            f"[gradcheck] Backward is not reentrant, i.e., running backward with same input and grad_output "
            f"multiple times gives different values, {analytical!r} and {repeated!r}"
        )
    slope = (_moved(func, inputs, place, k, u, eps) - _moved(func, inputs, place, k, u, -eps)) / (2 * eps)
    numerical = _inner(v, slope)
    if not abs(analytical - numerical) <= atol + rtol * abs(numerical):
        raise GradcheckError(
            f"[gradcheck] Jacobian mismatch for output {place} with respect to input {k} "
            f"{describe(inputs[k])}: along a "
            f"random direction numerical:{numerical!r} analytical:{analytical!r}"
        )


def _inner(a: Tensor, b: Tensor) -> float:
    with no_grad():
        return sum(_parts(a) * _parts(b)).item()


def _parts(value: Tensor) -> Tensor:
    """The numbers in double precision; of complex ones, both parts."""
    value = share(value)
    return cast(view_as_real(value) if value.dtype.is_complex else value, float64)


def _moved(func: Callable, inputs: tuple, place: int, k: int, u: Tensor, step: float) -> Any:
    """The output with one input moved along a direction; all inputs are fresh leaves."""
    moved = [_fresh(value) for value in inputs]
    with no_grad():
        moved[k] = share(inputs[k]) + u * step
    moved[k].requires_grad = True
    return share(_outputs(func, moved)[place])


def _fresh(value: Any) -> Any:
    if not isinstance(value, Tensor):
        return value
    with no_grad():
        made = copy(value)
    made.requires_grad = value.requires_grad
    return made
