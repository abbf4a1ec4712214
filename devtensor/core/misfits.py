"""Which argument of a failed call is of a kind that the function cannot take: told only after the failure."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from functools import wraps
from types import FunctionType
from typing import Any

from devtensor.core.compiled import VARIADIC, parameters_of
from devtensor.core.dtype import INTEGER
from devtensor.core.errors import ArgumentTypeError, DevtensorError, NotATensor, NumberTooLarge
from devtensor.core.explain import DEBUG
from devtensor.core.older_orders import in_newer_order
from devtensor.core.op import Op
from devtensor.core.tensor import Tensor

# Failures that an argument of the wrong kind may have caused.
TELLING = (AttributeError, TypeError, DevtensorError)

# Parameters that hold tensors wherever they occur, and never Python numbers.
TENSORS = frozenset(
    """
    A B input self mask index target weight bias mat1 mat2 vec vec1 vec2 batch1 batch2 tensor1 tensor2 tensor
    running_mean running_var source src boundaries sorted_sequence x1 x2 query key grid theta input1 input2
    input3 attn_mask weights
    """.split()  # noqa: SIM905 - a page of names reads better than a column
)
# Functions whose `other` holds a tensor, where most take a number too.
TENSOR_OTHER = frozenset(
    """
    allclose bmm cross dist dot equal expand_as inner is_same_size is_set_to isclose kron linalg_cross matmul
    outer reshape_as type_as vdot vecdot view_as
    """.split()  # noqa: SIM905
)
FLAGS = frozenset(
    """
    keepdim largest sorted descending equal_nan as_tuple unbiased ceil_mode count_include_pad is_causal
    return_counts return_inverse right log_target out_int32 training hermitian upper periodic include_self
    accumulate wrap
    """.split()  # noqa: SIM905
)
OPTIONAL_FLAGS = frozenset({"stable", "align_corners", "return_complex"})
INTEGERS = frozenset(
    """
    dim dims dim0 dim1 dim2 start_dim end_dim diagonal offset chunks groups num_classes minlength axis0 axis1
    length num_groups k n start split_size_or_sections normalized_shape decimals
    """.split()  # noqa: SIM905
)
NUMBERS = frozenset({"value", "fill_value", "nan", "posinf", "neginf", "other", "exponent"})
STRINGS = frozenset({"mode", "padding_mode", "approximate", "rounding_mode", "reduce", "equation"})
LEFT_NUMBERS = ("sub", "div", "pow", "floor_divide", "remainder", "zeta", "xlogy", "xlog1py")
# Where a name means something else than in most functions.
EXCEPTIONS: dict[tuple[str, str], str | None] = {
    ("searchsorted", "sorted"): None,
    **dict.fromkeys([("movedim", "source"), ("moveaxis", "source"), ("arange", "start"), ("range", "start")]),
    **dict.fromkeys([("linspace", "start"), ("logspace", "start")]),
    **dict.fromkeys([(name, "dim") for name in ("max", "min", "std", "var", "std_mean", "var_mean")]),
    ("getitem", "index"): None,
    ("narrow", "start"): None,
    ("backward", "gradient"): None,
    **dict.fromkeys([("set_num_threads", "num"), ("set_num_interop_threads", "num")]),
    **dict.fromkeys([("rrelu", "upper"), ("rrelu_", "upper")], "a number"),
    **dict.fromkeys([("select", "index"), ("select_scatter", "index")], "an int"),
    **dict.fromkeys([("scatter", "src"), ("scatter_", "src"), ("lerp", "weight")], "a number"),
    **dict.fromkeys([("lerp_", "weight"), ("searchsorted", "input"), ("bucketize", "input")], "a number"),
    # A number may stand on the left, as of an operator.
    **dict.fromkeys([(name, "input") for name in LEFT_NUMBERS], "a number"),
    ("contains", "value"): None,
    **dict.fromkeys([(f"bitwise_{side}_shift", "input") for side in ("left", "right")], "a number"),
    **dict.fromkeys([("where", "input"), ("isin", "elements"), ("isin", "test_elements")], "a number"),
}


def is_flag(value: Any) -> bool:
    """Whether a parameter that is true or false takes this: booleans, and no number."""
    return isinstance(value, bool) or type(value).__name__ in ("bool", "bool_")


def is_integers(value: Any) -> bool:
    """Whether a parameter that holds places takes this: whole numbers, one or several, but no boolean."""
    if isinstance(value, (tuple, list)):
        return all(is_integers(item) for item in value)
    if isinstance(value, int):
        return not isinstance(value, bool) and -(2**63) <= value < 2**63
    if isinstance(value, Tensor):
        return value.numel() == 1 and value.dtype.category == INTEGER
    return value is None or hasattr(value, "__index__")


def is_tensor(value: Any) -> bool:
    """Whether a parameter that holds a tensor, or nothing, takes this."""
    return value is None or isinstance(value, Tensor)


def is_optional_flag(value: Any) -> bool:
    """The same where None stands for what the function thinks best."""
    return value is None or is_flag(value)


def is_number(value: Any) -> bool:
    """Whether a parameter that holds a number, or a tensor of one, takes this."""
    return not isinstance(value, (str, list, tuple, dict, type))


def is_word(value: Any) -> bool:
    """Whether a parameter that chooses by a word takes this."""
    return value is None or isinstance(value, str)


# What parameters need, in words -> whether a value is that.
TESTS: dict[str, Callable[[Any], bool]] = {
    "a Tensor": is_tensor,
    "a bool": is_flag,
    "a bool or None": is_optional_flag,
    "an int": is_integers,
    "a number": is_number,
    "a str": is_word,
}
NAMES = (
    (TENSORS, "a Tensor"),
    (FLAGS, "a bool"),
    (OPTIONAL_FLAGS, "a bool or None"),
    (INTEGERS, "an int"),
    (NUMBERS, "a number"),
    (STRINGS, "a str"),
)
WORDS = {name: words for names, words in NAMES for name in names}
# What is looked at before a call, too: anything is true or false.
CHECKED = FLAGS | OPTIONAL_FLAGS
EXCEPTED = frozenset({function for function, _ in EXCEPTIONS})
ANNOTATED = {"Tensor": "a Tensor", "Tensor | None": "a Tensor", "int": "an int"}


def needed(function: str, parameter: str, annotation: str = "") -> str | None:
    """What a parameter needs, in words; None where nothing is known."""
    if (function, parameter) in EXCEPTIONS:
        return EXCEPTIONS[function, parameter]
    if parameter == "out":
        # What writes there tells best what it takes: a tensor, or several.
        return None
    if parameter == "other" and function.removesuffix("_") in TENSOR_OTHER:
        return "a Tensor"
    return WORDS.get(parameter) or ANNOTATED.get(annotation)


def refuse_misfits(
    error: Exception, name: str, arguments: Iterable[tuple[str, Any]], annotations: dict[str, str]
) -> None:
    """Tell a call's failure by the argument that caused it, if one is of a kind that it cannot be.

    Errors: ArgumentTypeError that names the argument; none if every argument could be what it is.
    """
    if isinstance(error, ArgumentTypeError) and str(error).startswith(f"[{name}] "):
        return
    # Only Python's own error names the object that lacks something; a library's has told what it means.
    culprit = error.obj if isinstance(error, AttributeError) else error
    for parameter, value in arguments:
        wanted = needed(name, parameter, annotations.get(parameter, ""))
        if value is culprit and not isinstance(value, Tensor):
            _fail(error, name, parameter, value, wanted or "a Tensor")
        if wanted and not TESTS[wanted](value):
            _fail(error, name, parameter, value, wanted)


def _fail(error: Exception, name: str, parameter: str, value: Any, words: str) -> None:
    if words != "a Tensor" and isinstance(value, int) and abs(value) >= 2**63:
        raise NumberTooLarge(f"[{name}] argument '{parameter}': Overflow when unpacking long long: {value}")
    kind = NotATensor if words == "a Tensor" else ArgumentTypeError
    advice = "; make one with devtensor.tensor(...)" if kind is NotATensor else f": got {value!r:.60}"
    text = f"[{name}] argument '{parameter}' must be {words}, not {type(value).__name__}{advice}"
    raise kind(text) from (error if DEBUG else None)


def misfit(op: Op, found: dict[str, Any]) -> None:
    """What an op's entry does when the op failed; `found` are its local names."""
    _refuse_found(op.name, ("self", *op.inputs, *op.parameters), found, {})


def misfit_of_function(function: Callable, found: dict[str, Any]) -> None:
    """What a function compiled around another does when that failed; a default is never to blame."""
    parameters = parameters_of(function)
    given = {
        name: value
        for name, value in found.items()
        if name not in parameters.defaults or value is not parameters.defaults[name]
    }
    _refuse_found(function.__name__, parameters.names, given, function.__annotations__)


def _refuse_found(name: str, names: Iterable[str], found: dict[str, Any], annotations: dict) -> None:
    error = sys.exc_info()[1]
    if isinstance(error, TELLING):
        refuse_misfits(error, name, [(n, found[n]) for n in names if n in found], annotations)


def flag(name: str, value: Any) -> None:
    """Refuse what is neither true nor false.

    Errors: ArgumentTypeError that names the parameter.
    """
    if not TESTS[WORDS[name]](value):
        raise ArgumentTypeError(f"[{name}] argument '{name}' must be a bool, not {type(value).__name__}")


def inner(function: Callable) -> Any:
    """The function itself, or the one that it stands around."""
    return getattr(function, "__wrapped__", function)


def guarded(function: Callable) -> Callable:
    """The function, which tells a failure by the argument that was of the wrong kind."""
    code = inner(function).__code__
    checked = CHECKED
    if function.__name__ in EXCEPTED:
        checked = frozenset({name for name in CHECKED if (function.__name__, name) not in EXCEPTIONS})
    positional = code.co_varnames[: code.co_argcount]
    looked_at: list[tuple[int, str]] = []
    if not checked.isdisjoint(positional):
        looked_at = [(place, name) for place, name in enumerate(positional) if name in checked]
    first = looked_at[0][0] if looked_at else sys.maxsize

    @wraps(function)
    def guard(*args: Any, **kwargs: Any) -> Any:
        try:
            if kwargs or len(args) > first:
                _look_at_flags(looked_at, checked, args, kwargs)
            return function(*args, **kwargs)
        except TELLING as error:
            newer = in_newer_order(function.__name__, args, kwargs) if type(error) is TypeError else None
            if newer is None:
                _tell(error, function, args, kwargs)
                raise
        return function(*newer[0], **newer[1])

    return guard


def _look_at_flags(
    looked_at: list[tuple[int, str]], checked: frozenset[str], args: tuple, kwargs: dict
) -> None:
    """Refuse an argument that stands for a flag and is neither true nor false."""
    for place, name in looked_at:
        if place < len(args) and args[place].__class__ is not bool:
            flag(name, args[place])
    for name, value in kwargs.items():
        if value.__class__ is not bool and name in checked:
            flag(name, value)


def _tell(error: Exception, function: Callable, args: tuple, kwargs: dict) -> None:
    """Tell the failure of a call by the argument that was of the wrong kind, if one was."""
    parameters = parameters_of(function)
    rest = [parameters.rest] * len(args)
    given = [*zip((*parameters.positional, *rest), args, strict=False), *kwargs.items()]
    refuse_misfits(error, function.__name__, given, function.__annotations__)


def attach(namespace: dict[str, Any], names: Iterable[str], fewest: int = 1) -> None:
    """Guard the functions of a namespace that are written out; what is compiled tells its failures itself.

    `fewest` is how many parameters a function has that is worth it.
    """
    for name in names:
        function = namespace.get(name)
        if isinstance(function, FunctionType) and _is_written(function, fewest):
            namespace[name] = made = guarded(function)
            home = vars(sys.modules[function.__module__])
            if home.get(name) is function:
                # Pickles look for it there, and must find the same.
                home[name] = made


def _is_written(function: FunctionType, fewest: int) -> bool:
    """Whether a function of at least so many parameters stands in a file, unguarded."""
    code = function.__code__
    compiled_or_guarded = code.co_filename.startswith("<entry") or code is _guard_code
    code = inner(function).__code__
    count = code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & VARIADIC)
    return not compiled_or_guarded and count >= fewest


_guard_code = guarded(is_flag).__code__  # type: ignore[attr-defined]
