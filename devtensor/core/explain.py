"""When a kernel raised: run it again if only floating-point traps fired, else say what was wrong."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from devtensor.core import rules
from devtensor.core.errors import (
    ArgumentError,
    ArgumentTypeError,
    DevtensorError,
    IndexingError,
    OutOfMemoryError,
    ShapeError,
)
from devtensor.core.op import Op
from devtensor.core.plan import Plan
from devtensor.core.spec import Spec
from devtensor.core.tensor import Tensor, describe, spec_of

# Set in the environment, errors show the library's own exception beneath.
DEBUG = bool(os.environ.get("DEVTENSOR_DEBUG"))

# Where a Python number is: nowhere.
UNKNOWN: Any = None

# What libraries raise on 1/0 or overflow when the user asked them to; PyTorch is silent there, and so are we.
FLOATING_POINT_EVENTS = (FloatingPointError, RuntimeWarning)


def recover(error: Exception, op: Op, plan: Plan, inputs: tuple, arrays: tuple, params: tuple) -> Any:
    """What to do when a kernel raised: run it again if only the user's floating-point traps fired, else
    explain."""
    if isinstance(error, FLOATING_POINT_EVENTS):
        rerun = getattr(plan.out[0].device.backend, "rerun", None)
        if rerun is not None:
            return rerun(plan.kernel, (*arrays, *params))
    explained = explain(error, op, inputs, params)
    if explained is error:
        raise error
    raise explained from (error if DEBUG else None)


# What a library's exception means when the shape rule finds nothing wrong.
MEANINGS: tuple[tuple[type[Exception], type[DevtensorError]], ...] = (
    (IndexError, IndexingError),
    (MemoryError, OutOfMemoryError),
    (ZeroDivisionError, ArgumentError),
    (OverflowError, ArgumentError),
    (TypeError, ArgumentTypeError),
    (ValueError, ShapeError),
)


def explain(error: Exception, op: Op, inputs: tuple, params: tuple) -> Exception:
    """The exception that tells the user what was wrong: the shape rule's if it finds a fault."""
    if isinstance(error, DevtensorError) and not op.composite:
        return error
    try:
        op.shape_rule(op.name, specs_of(inputs), params)
    except DevtensorError as found:
        return found
    given = ", ".join(describe(i) for i in inputs)
    if isinstance(error, DevtensorError):
        # A bad index shows only inside; the op that the user called is named first.
        about_data = type(error) is IndexingError
        return IndexingError(f"[{op.name}] inputs {given}: {error}") if about_data else error
    named = ", ".join(f"{n}={p}" for n, p in zip(op.parameters, params, strict=False))
    for kind, meaning in MEANINGS:
        if isinstance(error, kind):
            return meaning(f"[{op.name}] inputs {given}{'; ' if named else ''}{named}: {error}")
    return error


def specs_of(inputs: Sequence) -> list[Spec]:
    """What shape rules see: a Spec for each tensor, a 0-d one for each number, None for an absent input."""
    found: list = []
    for value in inputs:
        if isinstance(value, Tensor):
            found.append(spec_of(value))
        else:
            found.append(
                None if value is None else Spec((), rules.literal_operand(type(value)).dtype, UNKNOWN, ())
            )  # type: ignore[arg-type]
    return found
