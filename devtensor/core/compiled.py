"""Functions made from text, and what a function's own signature says, without the price of `inspect`.

Importing `inspect` and asking it for hundreds of signatures costs more than all declarations together.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable, Mapping
from functools import partial
from types import CodeType, FunctionType
from typing import Any, NamedTuple

VARIADIC, KEYWORDS = 4, 8


class Parameters(NamedTuple):
    """The parameters of a function, by name; `rest` and `keywords` are those that stand behind * and **."""

    positional: tuple[str, ...]
    positional_only: int
    rest: str | None
    keyword_only: tuple[str, ...]
    keywords: str | None
    defaults: dict[str, Any]

    @property
    def names(self) -> tuple[str, ...]:
        """All names, in the order of the signature."""
        rest = () if self.rest is None else (self.rest,)
        keywords = () if self.keywords is None else (self.keywords,)
        return (*self.positional, *rest, *self.keyword_only, *keywords)

    def declared(self, shown: Mapping[str, str]) -> str:
        """The text between the brackets of `def`, each parameter as `shown` writes it."""
        parts = [shown[name] for name in self.positional]
        if self.positional_only:
            parts.insert(self.positional_only, "/")
        if self.rest is not None:
            parts.append(f"*{shown[self.rest]}")
        elif self.keyword_only:
            parts.append("*")
        parts += [shown[name] for name in self.keyword_only]
        if self.keywords is not None:
            parts.append(f"**{shown[self.keywords]}")
        return ", ".join(parts)

    def passed_on(self) -> str:
        """The text between the brackets of a call that hands every argument on, for `compiled`."""
        parts = [f"{{{name}}}" for name in self.positional]
        if self.rest is not None:
            parts.append(f"*{{{self.rest}}}")
        parts += [f"{name}={{{name}}}" for name in self.keyword_only]
        if self.keywords is not None:
            parts.append(f"**{{{self.keywords}}}")
        return ", ".join(parts)

    def with_keyword(self, name: str) -> Parameters:
        """The same and one keyword-only parameter more, None unless given."""
        return self._replace(keyword_only=(*self.keyword_only, name), defaults={**self.defaults, name: None})

    def variables(self) -> tuple[str, ...]:
        """All names, in the order in which a function's code holds them."""
        rest = () if self.rest is None else (self.rest,)
        keywords = () if self.keywords is None else (self.keywords,)
        return (*self.positional, *self.keyword_only, *rest, *keywords)


def parameters_of(function: Any) -> Parameters:
    """The parameters of a function written in Python; of one that wraps another, those of the other."""
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    code = function.__code__
    names, count, only = code.co_varnames, code.co_argcount, code.co_kwonlyargcount
    extra = iter(names[count + only :])
    positional = names[:count]
    given = function.__defaults__ or ()
    defaults = dict(zip(positional[count - len(given) :], given, strict=True))
    return Parameters(
        positional,
        code.co_posonlyargcount,
        next(extra) if code.co_flags & VARIADIC else None,
        names[count : count + only],
        next(extra) if code.co_flags & KEYWORDS else None,
        defaults | (function.__kwdefaults__ or {}),
    )


# Functions that differ in names alone share their code: that of the function whose parameters have these.
PLACES = tuple([f"p{place}" for place in range(64)])
_codes: dict[str, CodeType] = {}


def compiled(name: str, parameters: Parameters, lines: list[str], scope: dict[str, Any]) -> Any:
    """The function `name` with these lines as its body, which look up what they name in `scope`.

    In `lines` a parameter stands between braces: `return {input} + {other}`.
    """
    body = "".join([f"    {line}\n" for line in lines])
    names, count = parameters.variables(), len(parameters.positional)
    places = dict(zip(names, PLACES, strict=False))
    text = f"({parameters.declared(places)}):\n{body.format_map(places)}"
    code = _codes.get(text)
    if code is None:
        module = compile(f"def function{text}", "<entry>", "exec")
        code = _codes[text] = next(part for part in module.co_consts if isinstance(part, CodeType))
    file = f"<entry> {name}"
    variables = (*names, *code.co_varnames[len(names) :])
    code = code.replace(co_name=name, co_qualname=name, co_filename=file, co_varnames=variables)
    defaults = parameters.defaults
    made = FunctionType(code, scope, name, tuple([defaults[n] for n in names[:count] if n in defaults]))
    if parameters.keyword_only:
        made.__kwdefaults__ = {n: defaults[n] for n in parameters.keyword_only if n in defaults}
    # For tracebacks: the text is made when one asks for it.
    linecache.cache[file] = (partial(_source, name, parameters, body),)  # type: ignore[assignment]
    return made


def _source(name: str, parameters: Parameters, body: str) -> str:
    names, defaults = parameters.names, parameters.defaults
    declared = parameters.declared({n: f"{n}=None" if n in defaults else n for n in names})
    return f"def {name}({declared}):\n{body.format_map({n: n for n in names})}"


def wrapping(function: Callable, made: Any) -> Any:
    """Give a made function the name, place, words and notes of the one it stands for."""
    for name in ("__module__", "__qualname__", "__doc__", "__annotations__"):
        setattr(made, name, getattr(function, name))
    made.__dict__.update(vars(function))
    # Its signature is its own, and says `out`.
    made.__dict__.pop("__wrapped__", None)
    return made
