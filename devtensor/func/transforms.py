"""grad, vjp, jvp and their like as transforms of functions."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from devtensor.autograd import engine
from devtensor.autograd.evaluated import filled, pushed
from devtensor.core.errors import AutogradError
from devtensor.core.state import enable_grad
from devtensor.core.tensor import Tensor, describe
from devtensor.func.nests import Level, Nested, chosen_arguments, split_aux


def grad_and_value(func: Callable, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Callable:
    """A function that gives the gradient of `func` and its value.

    `func` gives a 0-d tensor, or with `has_aux` a pair of it and anything else. The gradient has the form of
    the argument that `argnums` names, which may be nested, or is a tuple of such for a tuple.

    Errors: AutogradError if the value is no 0-d tensor.
    """

    @functools.wraps(func)
    def transformed(*args: Any, **kwargs: Any) -> tuple:
        level = Level()
        places = chosen_arguments("grad", args, argnums)
        with enable_grad():
            given, nested = _watched(level, args, places)
            value, aux = split_aux("grad", func(*given, **kwargs), has_aux)
            _check_scalar(value)
            leaves = [leaf for one in nested for leaf in one.leaves]
            found = iter(_gradients([value], leaves, None))
            grads = tuple(one.like([next(found) for _ in one.leaves]) for one in nested)
        made = level.release(grads if isinstance(argnums, tuple) else grads[0])
        value = level.release(value)
        return (made, (value, level.release(aux))) if has_aux else (made, value)

    return transformed


def grad(func: Callable, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Callable:
    """A function that gives the gradient of `func`; with `has_aux`, a pair of it and what `func` gave beside.

    Example: `grad(grad(devtensor.sin))(x)` is -sin(x).
    """
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def transformed(*args: Any, **kwargs: Any) -> Any:
        found, value = both(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return transformed


def _watched(level: Level, args: tuple, places: list[int]) -> tuple[list, list[Nested]]:
    """The arguments, those in `places` with their tensors watched, and these alone."""
    given, nested = list(args), []
    for place in places:
        one = Nested(args[place])
        one.leaves = [level.watch(leaf) for leaf in one.tensors("func", "differentiated arguments")]
        given[place] = one.like(one.leaves)
        nested.append(one)
    return given, nested


def _check_scalar(value: Any) -> None:
    if not isinstance(value, Tensor):
        raise AutogradError(f"[grad] Expected the function to return a tensor, got {type(value).__name__}")
    if value.array.ndim:
        raise AutogradError(
            f"[grad] Expected the output of the function to be a scalar tensor, got {describe(value)}; vjp "
            "takes "
            "others"
        )


def _gradients(outs: list[Tensor], leaves: list[Tensor], weights: list[Tensor] | None) -> tuple:
    """The gradients of the outputs for the leaves; zeros where there are none."""
    pairs = [(o, None if weights is None else weights[k]) for k, o in enumerate(outs) if o.requires_grad]
    if not pairs:
        return tuple(filled(leaf, 0) for leaf in leaves)
    roots, gs = zip(*pairs, strict=True)
    return engine.grad(roots, leaves, gs, retain_graph=True, create_graph=True, materialize_grads=True)


def vjp(func: Callable, *primals: Any, has_aux: bool = False) -> tuple:
    """The outputs of `func`, and a function from gradients of them to gradients of the arguments.

    Shapes: the function takes what has the form of the outputs and gives a tuple, one for each argument.
    Errors: AutogradError if what it is given has another form.
    """
    level = Level()
    with enable_grad():
        given, nested = _watched(level, primals, list(range(len(primals))))
        out, aux = split_aux("vjp", func(*given), has_aux)
        outs = Nested(out)
        roots = outs.tensors("vjp", "outputs")

    def backward(*cotangents: Any, retain_graph: bool = True, create_graph: bool | None = None) -> tuple:
        value = cotangents[0] if len(cotangents) == 1 else cotangents
        weights = Nested(value)
        if len(weights.leaves) != len(roots):
            raise AutogradError(
                f"[vjp] Expected pytree structure of cotangents to be the same as that of the outputs: "
                f"{len(roots)} tensors, got {len(weights.leaves)}"
            )
        leaves = [leaf for one in nested for leaf in one.leaves]
        with enable_grad():
            found = iter(_gradients(roots, leaves, weights.tensors("vjp", "cotangents")))
            grads = tuple(one.like([next(found) for _ in one.leaves]) for one in nested)
        return level.release(grads)

    result = level.release(out), backward
    return (*result, level.release(aux)) if has_aux else result


def jvp(
    func: Callable, primals: tuple, tangents: tuple, *, strict: bool = False, has_aux: bool = False
) -> tuple:
    """The outputs of `func` at `primals`, and their derivative as these move along `tangents`.

    With `strict` an output that does not depend on the arguments is an error; else its derivative is zeros.

    Shapes: tangents like primals -> derivatives like outputs
    Errors: AutogradError if tangents have another form than primals.
    """
    if not isinstance(primals, tuple) or not isinstance(tangents, tuple) or len(primals) != len(tangents):
        raise AutogradError("[jvp] primals and tangents must be tuples of one length")
    level = Level()
    with enable_grad():
        given, nested = _watched(level, primals, list(range(len(primals))))
        out, aux = split_aux("jvp", func(*given), has_aux)
        outs = Nested(out)
        leaves = [leaf for one in nested for leaf in one.leaves]
        along = _checked_tangents(leaves, tangents)
        roots = outs.tensors("jvp", "outputs")
        if strict and not all(root.requires_grad for root in roots):
            raise AutogradError("[jvp] an output is independent of the inputs; strict does not allow that")
        found = outs.like(pushed(roots, leaves, along, True))
    result = level.release(out), level.release(found)
    return (*result, level.release(aux)) if has_aux else result


def _checked_tangents(leaves: list[Tensor], tangents: tuple) -> list[Tensor]:
    along = Nested(tangents).tensors("jvp", "tangents")
    if len(along) != len(leaves):
        raise AutogradError(f"[jvp] primals hold {len(leaves)} tensors and tangents {len(along)}")
    for value, tangent in zip(leaves, along, strict=True):
        if value.shape != tangent.shape:
            raise AutogradError(
                f"[jvp] tangent {describe(tangent)} for primal {describe(value)}; shapes must be equal"
            )
    return along


def linearize(func: Callable, *primals: Any) -> tuple[Any, Callable]:
    """The outputs of `func`, and the linear function from tangents to their derivatives, `func` run once."""
    level = Level()
    with enable_grad():
        given, nested = _watched(level, primals, list(range(len(primals))))
        out = func(*given)
        outs = Nested(out)
        roots = outs.tensors("linearize", "outputs")
    leaves = [leaf for one in nested for leaf in one.leaves]

    def forward(*tangents: Any) -> Any:
        with enable_grad():
            found = outs.like(pushed(roots, leaves, _checked_tangents(leaves, tangents), True))
        return level.release(found)

    return level.release(out), forward
