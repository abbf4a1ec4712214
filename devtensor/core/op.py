"""How an op is declared: signature, rules, docstring, derivative and examples, once and together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from devtensor.core.compiled import parameters_of
from devtensor.core.entry import entry_of
from devtensor.core.placement import ELEMENTWISE, Placement

if TYPE_CHECKING:
    import inspect

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


# What complex numbers are to an op. MOVED: numbers like any others, carried about and never computed with.
# HOLOMORPHIC: computed with, by a function that has one complex derivative; formulas are then written as for
# real numbers, and backward conjugates what goes in and out of them. OWN: the formulas are written for
# complex numbers as they stand. None: refused.
MOVED, HOLOMORPHIC, OWN = "moved", "holomorphic", "own"


class Rule(NamedTuple):
    """A derivative formula and what its parameter names ask for."""

    function: Callable
    needs: tuple[str, ...]


# Where a formula's argument comes from.
GRADIENT, GRADIENTS, SAVED, REST, PARAMETER, OUT, SECOND, OUTS, LIKE = range(9)


class Formula(NamedTuple):
    """One rule ready to run: the function and, for each of its parameters, where its value is found."""

    place: int
    function: Callable
    sources: tuple[tuple[int, int], ...]


class Op:
    """One op: everything that is known of it.

    `inputs` are the names of its tensors, `parameters` of everything else; `body` is None for a primitive.
    The tables `plans`, `usual`, `fast`, `scalar` and `tapes` memoise what the rules say.
    """

    def __init__(self, function: Callable, **facts: Any) -> None:
        self.name: str = function.__name__
        self.function = function
        self.dtype_rule: Callable | tuple = facts["dtype"]
        self.shape_rule: Callable = facts["shape"]
        self.amp: str | None = facts["amp"]
        self.operator: str | None = facts["operator"]
        self.inplace: bool = facts["inplace"]
        self.view: bool = facts["view"]
        self.eager: bool = facts["eager"]
        self.data_dependent: bool = facts["data_dependent"]
        self.complex: str | None = facts["complex"]
        self.placement: Placement | None = facts["placement"]
        # Whether nothing cancels on the way to a number, so that `rounding` bounds its error.
        self.tight: bool = facts["rounding"] is not None
        self.rounding: float = facts["rounding"] if self.tight else 24
        self.body: Callable | None = function if facts["composite"] else None
        self.differentiable: bool | None = None
        self.refuses: bool = False
        self.rules: dict[str, Rule | None] = {}
        self.joint: Rule | None = None
        self.cases: list[Callable[..., Iterable]] = []
        self.plans: dict[Any, Any] = {}
        self.usual: dict[Any, Any] = {}
        self.fast: dict[Any, Any] = {}
        self.scalar: dict[Any, Any] = {}
        self.tapes: dict[Any, Any] = {}
        self._read_signature()

    def _read_signature(self) -> None:
        self.inputs: list[str] = []
        self.parameters: list[str] = []
        self.declared = parameters_of(self.function)
        self.defaults = self.declared.defaults
        self.markers: dict[str, Marker] = {}
        self.variadic = self.declared.rest
        annotations = self.function.__annotations__
        for name in self.declared.names:
            marker: Any = MARKERS.get(annotations.get(name))
            if marker is not None:
                self.markers[name] = marker
            if name == self.variadic or (name not in self.defaults and marker not in PARAMETER_MARKERS):
                self.inputs.append(name)
            else:
                self.parameters.append(name)
        self.type_places = tuple(
            i for i, n in enumerate(self.parameters) if self.markers.get(n) in (Type, Place)
        )
        self.free_inputs = frozenset(
            i for i, n in enumerate(self.inputs) if self.markers.get(n) in (Index, Mask, Raw)
        )

        if self.placement is None and self.shape_rule.__name__ == "broadcast":
            self.placement = ELEMENTWISE
        # Whether libraries may lay out its results in another way than the rule says: those of elementwise
        # ops of one input and no parameters they do not.
        self.laid_out = self.placement is not None and (
            self.placement is not ELEMENTWISE or len(self.declared.names) > 1
        )

    @cached_property
    def doc(self) -> str:
        """What the declaration says of the op."""
        import inspect

        return inspect.getdoc(self.function) or ""

    @cached_property
    def signature(self) -> inspect.Signature:
        """The declared signature."""
        import inspect

        return inspect.signature(self.function)

    @property
    def composite(self) -> bool:
        return self.body is not None

    def input_name(self, place: int) -> str:
        """The declared name of the input at this place."""
        return self.inputs[min(place, len(self.inputs) - 1)]

    def told(self, params: tuple) -> str:
        """The name that errors give a call: where the op stands in for functions, that of the function."""
        return params[self.parameters.index("function")] if "function" in self.parameters else self.name

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
    entry = entry_of(op)
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
    complex: str | None = None,
    placement: Placement | None = None,
    rounding: float = 4,
) -> Callable[[Callable], Any]:
    """Declare an op whose meaning is a kernel of that name in every backend's table.

    `operator` is the Python operator it serves; `inplace` gives it a form with `_`; `view` says that the
    result shares the first input's memory; `eager` runs the shape rule before every call, for ops where a
    library would accept what must be refused; `data_dependent` that the result's shape depends on the
    numbers, so that no graph can hold the op. `complex` says what complex numbers are to the op: one of
    MOVED, HOLOMORPHIC, OWN, or None where they are refused. `placement` says where the results' elements
    lie, if not as the kernel leaves them. `rounding` is how many rounding errors a number
    of the result may hold.
    """
    facts = dict(
        dtype=dtype, shape=shape, amp=amp, operator=operator, inplace=inplace, view=view, eager=eager,
        data_dependent=data_dependent, complex=complex, placement=placement, rounding=rounding,
    )  # fmt: skip
    return lambda function: _declare(function, composite=False, **facts)


def composite(
    *,
    dtype: Any,
    shape: Callable,
    amp: str | None = None,
    operator: str | None = None,
    inplace: bool = False,
    eager: bool = False,
    complex: str | None = None,
    placement: Placement | None = None,
    rounding: float | None = None,
) -> Callable[[Callable], Any]:
    """Declare an op whose meaning is the function's body; a backend's kernel of that name may replace it.

    `rounding` is how many rounding errors a number of a kernel's result may hold, where nothing cancels.
    """
    facts = dict(
        dtype=dtype, shape=shape, amp=amp, operator=operator, inplace=inplace, view=False, eager=eager,
        data_dependent=False, complex=complex, placement=placement, rounding=rounding,
    )  # fmt: skip
    return lambda function: _declare(function, composite=True, **facts)


def _vjp(op: Op, none: tuple, rules: dict[str, Callable | None]) -> None:
    """Attach one formula per input, None where nothing flows; parameter names say what a formula needs.

    `vjp(None)` says that the op has no derivative, `vjp()` that it has one which backward refuses.
    """
    op.differentiable = none != (None,)
    op.refuses = not none and not rules
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
    needs = parameters_of(function).names
    known = {"g", "gs", "out", "second", "outs", "like", *op.inputs, *op.parameters}
    unknown = set(needs) - known
    if unknown:
        raise ValueError(f"[{op.name}] formula asks for {sorted(unknown)}; it may ask for {sorted(known)}")
    return Rule(function, needs)


def _examples(op: Op, make: Callable[..., Iterable]) -> Callable:
    op.cases.append(make)
    return make
