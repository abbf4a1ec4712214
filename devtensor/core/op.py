"""How an op is declared: signature, rules, docstring, derivative and examples, once and together."""

from __future__ import annotations

import inspect
import linecache
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

OPS: dict[str, Op] = {}


class Marker:
    """An annotation in a declaration: what kind of argument this is."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


if TYPE_CHECKING:
    Index = Mask = Raw = Dim = Dims = Type = Place = Plain = Any
else:
    # Inputs that do not take part in promotion: places, truths, and what a rule must not look at.
    Index, Mask, Raw = Marker("Index"), Marker("Mask"), Marker("Raw")
    # Parameters that the entry brings to their strict form; Plain ones it passes on.
    Dim, Dims, Type, Place, Plain = map(Marker, ("Dim", "Dims", "Type", "Place", "Plain"))
PARAMETER_MARKERS: tuple[Any, ...] = (Dim, Dims, Type, Place, Plain)


class Rule(NamedTuple):
    """A derivative formula and what its parameter names ask for."""

    function: Callable
    needs: tuple[str, ...]


# Where a formula's argument comes from.
GRADIENT, GRADIENTS, SAVED, REST, PARAMETER, OUT, OUTS, LIKE = range(8)


class Formula(NamedTuple):
    """One rule ready to run: the function and, for each of its parameters, where its value is found."""

    place: int
    function: Callable
    sources: tuple[tuple[int, int], ...]


class Op:
    """One op: everything that is known of it.

    `inputs` are the names of its tensors, `parameters` of everything else; `body` is None for a primitive.
    The tables `plans`, `fast`, `scalar` and `tapes` memoise what the rules say.
    """

    def __init__(self, function: Callable, **facts: Any) -> None:
        self.name: str = function.__name__
        self.doc = inspect.getdoc(function) or ""
        self.dtype_rule: Callable | tuple = facts["dtype"]
        self.shape_rule: Callable = facts["shape"]
        self.amp: str | None = facts["amp"]
        self.operator: str | None = facts["operator"]
        self.inplace: bool = facts["inplace"]
        self.view: bool = facts["view"]
        self.eager: bool = facts["eager"]
        self.data_dependent: bool = facts["data_dependent"]
        self.body: Callable | None = function if facts["composite"] else None
        self.differentiable: bool | None = None
        self.rules: dict[str, Rule | None] = {}
        self.joint: Rule | None = None
        self.cases: list[Callable[..., Iterable]] = []
        self.plans: dict[Any, Any] = {}
        self.fast: dict[Any, Any] = {}
        self.scalar: dict[Any, Any] = {}
        self.tapes: dict[Any, Any] = {}
        self._read_signature(inspect.signature(function))

    def _read_signature(self, signature: inspect.Signature) -> None:
        self.signature = signature
        self.inputs: list[str] = []
        self.parameters: list[str] = []
        self.defaults: dict[str, Any] = {}
        self.markers: dict[str, Marker] = {}
        self.variadic: str | None = None
        for name, parameter in signature.parameters.items():
            marker: Any = MARKERS.get(parameter.annotation)
            if marker is not None:
                self.markers[name] = marker
            if parameter.kind is parameter.VAR_POSITIONAL:
                self.inputs.append(name)
                self.variadic = name
            elif parameter.default is parameter.empty and marker not in PARAMETER_MARKERS:
                self.inputs.append(name)
            else:
                self.parameters.append(name)
                self.defaults[name] = parameter.default
        self.type_places = tuple(
            i for i, n in enumerate(self.parameters) if self.markers.get(n) in (Type, Place)
        )
        self.free_inputs = frozenset(
            i for i, n in enumerate(self.inputs) if self.markers.get(n) in (Index, Mask, Raw)
        )

    @property
    def composite(self) -> bool:
        return self.body is not None

    def input_name(self, place: int) -> str:
        """The declared name of the input at this place."""
        return self.inputs[min(place, len(self.inputs) - 1)]

    def takes_part(self, place: int) -> bool:
        """Whether the input at this place takes part in promotion."""
        return min(place, len(self.inputs) - 1) not in self.free_inputs

    def __repr__(self) -> str:
        return f"<op {self.name}{self.signature}>"

    def __reduce__(self) -> tuple:
        return OPS.__getitem__, (self.name,)


MARKERS: dict[Any, Any] = {repr(marker): marker for marker in (Index, Mask, Raw, *PARAMETER_MARKERS)}


def _declare(function: Callable, **facts: Any) -> Any:
    op = Op(function, **facts)
    if op.name in OPS:
        raise ValueError(f"[{op.name}] is declared twice; give one of the two another name")
    OPS[op.name] = op
    entry = _entry(op)
    entry.op = op
    entry.vjp = lambda *none, **rules: _vjp(op, none, rules)
    entry.joint_vjp = lambda rule: _joint_vjp(op, rule)
    entry.examples = lambda make: _examples(op, make)
    return entry


def primitive(
    *,
    dtype: Any,
    shape: Callable,
    amp: str | None = None,
    operator: str | None = None,
    inplace: bool = False,
    view: bool = False,
    eager: bool = False,
    data_dependent: bool = False,
) -> Callable[[Callable], Any]:
    """Declare an op whose meaning is a kernel of that name in every backend's table.

    `operator` is the Python operator it serves; `inplace` gives it a form with `_`; `view` says that the
    result shares the first input's memory; `eager` runs the shape rule before every call, for ops where a
    library would accept what must be refused; `data_dependent` that the result's shape depends on the
    numbers, so that no graph can hold the op.
    """
    facts = dict(
        dtype=dtype, shape=shape, amp=amp, operator=operator, inplace=inplace, view=view, eager=eager
    )
    return lambda function: _declare(function, composite=False, data_dependent=data_dependent, **facts)


def composite(
    *,
    dtype: Any,
    shape: Callable,
    amp: str | None = None,
    operator: str | None = None,
    inplace: bool = False,
    eager: bool = False,
) -> Callable[[Callable], Any]:
    """Declare an op whose meaning is the function's body; a backend's kernel of that name may replace it."""
    facts = dict(
        dtype=dtype, shape=shape, amp=amp, operator=operator, inplace=inplace, view=False, eager=eager
    )
    return lambda function: _declare(function, composite=True, data_dependent=False, **facts)


def _vjp(op: Op, none: tuple, rules: dict[str, Callable | None]) -> None:
    """Attach one formula per input, None where nothing flows; parameter names say what a formula needs."""
    op.differentiable = none != (None,)
    for name, function in rules.items():
        if name not in op.inputs:
            raise ValueError(
                f"[{op.name}] has no input {name!r} to differentiate; its inputs are {op.inputs}"
            )
        op.rules[name] = None if function is None else _rule(op, function)


def _joint_vjp(op: Op, function: Callable) -> None:
    """Attach one formula that gives the gradients of all inputs at once, as a tuple."""
    op.differentiable = True
    op.joint = _rule(op, function)


def _rule(op: Op, function: Callable) -> Rule:
    needs = tuple(inspect.signature(function).parameters)
    known = {"g", "gs", "out", "outs", "like", *op.inputs, *op.parameters}
    unknown = set(needs) - known
    if unknown:
        raise ValueError(f"[{op.name}] formula asks for {sorted(unknown)}; it may ask for {sorted(known)}")
    return Rule(function, needs)


def _examples(op: Op, make: Callable[..., Iterable]) -> Callable:
    op.cases.append(make)
    return make


# How each kind of parameter is brought to its strict form; {n} the parameter, {x} the first input.
NORMALISERS: dict[Any, str] = {
    Dim: "{n} = one_dim({op!r}, {x}, {n})",
    Dims: "{n} = many_dims({op!r}, {x}, {n})",
    Type: "{n} = one_dtype({n})",
    Place: "{n} = one_device({n})",
}


def _entry(op: Op) -> Any:
    """Compile the function that users call: the declared signature, then one call into dispatch."""
    from devtensor.core import arguments, dispatch

    scope = {
        "op": op,
        **{name: getattr(dispatch, name) for name in ("call", "call1", "call2")},
        **{name: getattr(arguments, name) for name in ("one_dim", "many_dims", "one_dtype", "one_device")},
        **{f"default_{n}": v for n, v in op.defaults.items() if v is not inspect.Parameter.empty},
    }
    arguments = []
    for name in op.signature.parameters:
        if name == op.variadic:
            arguments.append(f"*{name}")
        elif name in op.defaults and op.defaults[name] is not inspect.Parameter.empty:
            arguments.append(f"{name}=default_{name}")
        else:
            arguments.append(name)
    lines = [f"def {op.name}({', '.join(arguments)}):"]
    first = op.inputs[0] if op.inputs else ""
    if first and first == op.variadic:
        first += "[0]"
    for name in op.parameters:
        pattern = NORMALISERS.get(op.markers.get(name))  # type: ignore[arg-type]
        if pattern:
            lines.append("    " + pattern.format(n=name, x=first, op=op.name))
    lines.append("    return " + _call_text(op))
    source, file = "\n".join(lines) + "\n", f"<entry of {op.name}>"
    exec(compile(source, file, "exec"), scope)
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)
    entry: Any = scope[op.name]
    entry.__doc__, entry.__module__ = op.doc, (op.body or entry).__module__ or "devtensor"
    return entry


def _call_text(op: Op) -> str:
    parameters = "".join(f"{name}, " for name in op.parameters)
    if not op.parameters and not op.variadic and not op.view and len(op.inputs) in (1, 2):
        return f"call{len(op.inputs)}(op, {', '.join(op.inputs)})"
    inputs = "".join(f"*{n}, " if n == op.variadic else f"{n}, " for n in op.inputs)
    return f"call(op, ({inputs}), ({parameters}))"
