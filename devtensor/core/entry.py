"""The function that users call for an op, compiled from the signature that the op was declared with."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from devtensor.core.compiled import compiled

if TYPE_CHECKING:
    from devtensor.core.op import Op

# How each kind of parameter, by its marker's name, is brought to its strict form; {n} the parameter, {x} the
# first input, both as `compiled` knows them.
NORMALISERS = {
    "Dim": "{n} = one_dim(op.name, {x}, {n})",
    "Dims": "{n} = many_dims(op.name, {x}, {n})",
    "Type": "{n} = one_dtype({n})",
    "Place": "{n} = one_device({n})",
}


@cache
def _below() -> dict[str, Any]:
    """What entries call."""
    from devtensor.core import arguments, dispatch, misfits

    return {
        "misfit": misfits.misfit,
        **{name: getattr(dispatch, name) for name in ("call", "call1", "call2", "call_one", "call_view")},
        **{name: getattr(arguments, name) for name in ("one_dim", "many_dims", "one_dtype", "one_device")},
    }


def entry_of(op: Op) -> Any:
    """Compile the function that users call: the declared signature, then one call into dispatch."""
    lines = []
    first = f"{{{op.inputs[0]}}}" if op.inputs else ""
    if first and op.inputs[0] == op.variadic:
        first += "[0]"
    for name in op.parameters:
        marker = op.markers.get(name)
        if marker is not None and marker.name in NORMALISERS:
            lines.append(NORMALISERS[marker.name].format(n=f"{{{name}}}", x=first))
    lines.append("return " + _call_text(op))
    if op.inputs and not op.variadic:
        lines = telling(lines, "op")
    entry = compiled(op.name, op.declared, lines, {**_below(), "op": op})
    entry.__doc__ = op.function.__doc__
    entry.__module__ = op.body.__module__ if op.body else "devtensor"
    return entry


def telling(lines: list[str], of: str) -> list[str]:
    """The lines of a function that tells its failures by the argument that was of a wrong kind.

    Nothing of it costs anything while all is well.
    """
    body = [f" {line}" for line in lines]
    return ["try:", *body, "except Exception:", f" misfit({of}, locals())", " raise"]


def _call_text(op: Op) -> str:
    """The call into dispatch, for `compiled`."""
    names = [f"*{{{n}}}" if n == op.variadic else f"{{{n}}}" for n in op.inputs]
    inputs = "".join([f"{name}, " for name in names])
    parameters = "".join([f"{{{name}}}, " for name in op.parameters])
    if not op.parameters and not op.variadic and not op.view and len(names) in (1, 2):
        return f"call{len(names)}(op, {', '.join(names)})"
    if op.view and not op.variadic:
        return f"call_view(op, {names[0]}, ({parameters}))"
    if len(names) == 1 and not op.variadic and not op.type_places:
        return f"call_one(op, {names[0]}, ({parameters}))"
    return f"call(op, ({inputs}), ({parameters}))"
