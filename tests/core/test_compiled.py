"""Functions made from text: they take what the function they stand for takes."""

from __future__ import annotations

import functools
import inspect

import pytest

import devtensor
from devtensor.core.compiled import compiled, parameters_of, wrapping


def plain(a, b=2): ...
def positional_only(a, /, b, c=3): ...
def keyword_only(a, *, b, c=(1, 2)): ...
def variadic(*a, b=None): ...
def anything(a, b=1, /, c=2, *rest, d, e=5, **keywords): ...
def nothing(): ...


FUNCTIONS = [plain, positional_only, keyword_only, variadic, anything, nothing]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_parameters_agree_with_inspect(function):
    wanted = inspect.signature(function).parameters
    found = parameters_of(function)
    assert found.names == tuple(wanted)
    assert found.defaults == {n: p.default for n, p in wanted.items() if p.default is not p.empty}


def test_a_wrapper_has_the_parameters_of_what_it_wraps():
    @functools.wraps(anything)
    def around(*args, **kwargs): ...

    assert parameters_of(around) == parameters_of(anything)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_the_made_function_has_the_signature_and_one_parameter_more(function):
    parameters = parameters_of(function)
    made = compiled(function.__name__, parameters.with_keyword("out"), ["return {out}"], {})
    wanted = [str(p) for p in inspect.signature(function).parameters.values()]
    at = len(wanted) - (parameters.keywords is not None)
    found = [str(p) for p in inspect.signature(wrapping(function, made)).parameters.values()]
    assert found == [*wanted[:at], "out=None", *wanted[at:]]
    assert made.__qualname__ == function.__qualname__


def test_arguments_are_handed_on():
    def asked(a, /, b, c=3, *rest, d, e=5, **keywords):
        return a, b, c, rest, d, e, keywords

    parameters = parameters_of(asked)
    line = f"return asked({parameters.passed_on()})"
    made = compiled("made", parameters, [line], {"asked": asked})
    assert made(1, 2, d=4) == asked(1, 2, d=4)
    assert made(1, 2, 7, 8, 9, d=4, e=6, f=10) == asked(1, 2, 7, 8, 9, d=4, e=6, f=10)
    with pytest.raises(TypeError, match=r"made\(\) missing 1 required keyword-only argument: 'd'"):
        made(1, 2)


def test_functions_that_share_code_keep_their_names_and_defaults():
    def first(x=1): ...
    def second(y=2): ...

    made = [
        compiled(f.__name__, parameters_of(f), [f"return {{{n}}}, word, locals()"], {"word": f.__name__})
        for f, n in ((first, "x"), (second, "y"))
    ]
    assert made[0].__code__.co_code == made[1].__code__.co_code
    assert [f() for f in made] == [(1, "first", {"x": 1}), (2, "second", {"y": 2})]
    assert made[1](y=5) == (5, "second", {"y": 5})
    assert [f.__code__.co_name for f in made] == ["first", "second"]


def test_a_debugger_finds_the_lines_of_an_entry():
    assert inspect.getsource(devtensor.hypot.__wrapped__).splitlines() == [
        "def hypot(input, other, *, out=None):",
        "    try:",
        "     if out is None: return function(input, other)",
        "     with dtypes_kept(): made = function(input, other)",
        "     return into(out, made, (input, other, ))",
        "    except Exception:",
        "     misfit(function, locals())",
        "     raise",
    ]


def test_an_inplace_form_takes_what_its_op_takes():
    signature = inspect.signature(devtensor.Tensor.lerp_)
    assert next(iter(signature.parameters)) == "self"
    x = devtensor.zeros(2)
    assert x.lerp_(end=devtensor.ones(2), weight=0.5) is x
    assert x.tolist() == [0.5, 0.5]
