"""Derivatives of functions as functions: vjp, jvp, vhp, hvp, jacobian, hessian.

Each takes a function of tensors and the tensors, one or a tuple of them, and gives results of the same form.
With `strict` an output that does not depend on an input is an error; else its derivative is zeros. With
`create_graph` the results can be differentiated again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.autograd.evaluated import Evaluated
from devtensor.batching.levels import in_turn, mapped
from devtensor.core.errors import ArgumentError, AutogradError, Unsupported
from devtensor.core.state import enable_grad
from devtensor.core.tensor import Tensor, describe
from devtensor.ops.reduce import sum

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]


def vjp(
    func: Callable, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple:
    """The outputs of `func`, and the product of `v` with its Jacobian.

    Shapes: v like the outputs (may be left out for one output of one element) -> like inputs
    Errors: AutogradError under strict if an output does not depend on an input.
    """
    with enable_grad():
        evaluated = Evaluated("vjp", func, inputs, create_graph, strict)
        weights = evaluated.weights(v, evaluated.outputs, "outputs")
        found = evaluated.gradients(evaluated.outputs, weights)
        found = evaluated.filled(found, evaluated.inputs)
    return evaluated.handed_out(evaluated.outputs, evaluated.one_output), evaluated.handed_out(
        found, evaluated.one_input
    )


def jvp(
    func: Callable, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple:
    """The outputs of `func`, and the product of its Jacobian with `v`.

    It is the derivative, by u, of u times the Jacobian, which is linear in u.

    Shapes: v like the inputs (may be left out for one input of one element) -> like outputs
    Errors: AutogradError under strict if an output does not depend on an input.
    Source: Townsend 2017, "A new trick for calculating Jacobian vector products".
    """
    with enable_grad():
        evaluated = Evaluated("jvp", func, inputs, create_graph, strict)
        along = evaluated.weights(v, evaluated.inputs, "inputs")
        found = evaluated.along(along)
    return evaluated.handed_out(evaluated.outputs, evaluated.one_output), evaluated.handed_out(
        found, evaluated.one_output
    )


def vhp(
    func: Callable, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple:
    """The scalar output of `func`, and the product of `v` with its Hessian.

    Shapes: v like the inputs -> like inputs
    Errors: AutogradError if the output is no scalar.
    """
    with enable_grad():
        evaluated = Evaluated("vhp", func, inputs, create_graph, strict)
        return _slope_times(evaluated, v, evaluated.gradients)


def hvp(
    func: Callable, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple:
    """The scalar output of `func`, and the product of its Hessian with `v`; `vhp` costs less and is the same
    for functions with continuous second derivatives.

    Shapes: v like the inputs -> like inputs
    Errors: AutogradError if the output is no scalar.
    """
    with enable_grad():
        evaluated = Evaluated("hvp", func, inputs, create_graph, strict)
        return _slope_times(evaluated, v, evaluated.transposed)


def _slope_times(evaluated: Evaluated, v: Any, product: Callable) -> tuple:
    """The output, and a product of the slope's derivatives with `v`."""
    slope = evaluated.slope()
    along = evaluated.weights(v, evaluated.inputs, "inputs")
    found = evaluated.filled(product(slope, along), evaluated.inputs, second=True)
    return evaluated.handed_out(evaluated.outputs, True), evaluated.handed_out(found, evaluated.one_input)


def jacobian(
    func: Callable,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The derivatives of every output by every input; a tuple by outputs of tuples by inputs where there are
    several.

    `strategy` chooses whether a pass is made for every element of the outputs ("reverse-mode") or of the
    inputs ("forward-mode"); with `vectorize` all of them are made at once.

    Shapes: output (*O), input (*I) -> (*O, *I)
    Errors: AutogradError under strict if an output does not depend on an input.
    """
    if strategy not in ("reverse-mode", "forward-mode"):
        raise ArgumentError(
            f'[jacobian] Expected strategy to be either "forward-mode" or "reverse-mode", got {strategy!r}'
        )
    if strategy == "forward-mode" and (create_graph or strict or not vectorize):
        raise Unsupported(
            "[jacobian] strategy forward-mode needs vectorize=True, create_graph=False and strict=False"
        )
    with enable_grad():
        evaluated = Evaluated("jacobian", func, inputs, create_graph, strict)
        by = evaluated.by_inputs if strategy == "forward-mode" else evaluated.by_outputs
        rows = by(mapped if vectorize else in_turn)
    rows = tuple(evaluated.handed_out(row, evaluated.one_input) for row in rows)
    return rows[0] if evaluated.one_output else rows


def hessian(
    func: Callable,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The second derivatives of a scalar function by every pair of inputs.

    Shapes: inputs (*I), (*J) -> (*I, *J), in a tuple of tuples where there are several inputs
    Errors: AutogradError if the output is no scalar.
    """
    one = isinstance(inputs, Tensor)

    def first(*values: Tensor) -> Any:
        return jacobian(_scalar(func), values if not one else values[0], create_graph=True, strict=strict)

    return jacobian(first, inputs, create_graph, strict, vectorize, outer_jacobian_strategy)


def _scalar(func: Callable) -> Callable:
    """The function, refused if what it gives is no single number."""

    def checked(*values: Tensor) -> Tensor:
        out = func(*values)
        if not isinstance(out, Tensor):
            raise AutogradError(
                "[hessian] The function given to hessian should return a single Tensor, got "
                f"{type(out).__name__}"
            )
        if out.shape.numel() != 1:
            raise AutogradError(
                "[hessian] The Tensor returned by the function given to hessian should contain a single "
                f"element, got {describe(out)}"
            )
        return sum(out)

    return checked
