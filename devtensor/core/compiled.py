"""Functions made from text, and what a function's own signature says, without the price of `inspect`.

Importing `inspect` and asking it for hundreds of signatures costs more than all declarations together.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable
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

    def declared(self, *more: str) -> str:
        """The text between the brackets of `def`; `more` are keyword-only parameters that None stands for."""
        parts = [f"{name}=None" if name in self.defaults else name for name in self.positional]
        if self.positional_only:
            parts.insert(self.positional_only, "/")
        only = [f"{name}=None" if name in self.defaults else name for name in self.keyword_only]
        only += [f"{name}=None" for name in more]
        if self.rest is not None or only:
            parts.append(f"*{self.rest or ''}")
        parts += only
        if self.keywords is not None:
            parts.append(f"**{self.keywords}")
        return ", ".join(parts)

    def passed_on(self) -> str:
        """The text between the brackets of a call that hands every argument on."""
        parts = [*self.positional]
        if self.rest is not None:
            parts.append(f"*{self.rest}")
        parts += [f"{name}={name}" for name in self.keyword_only]
        if self.keywords is not None:
            parts.append(f"**{self.keywords}")
        return ", ".join(parts)


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


# Functions that differ in their names and in what these stand for share their code.
_codes: dict[str, CodeType] = {}


def compiled(
    name: str, declared: str, lines: list[str], scope: dict[str, Any], defaults: dict[str, Any]
) -> Any:
    """The function `name` with these lines as its body, which look up what they name in `scope`.

    `defaults` holds the defaults by parameter, which `declared` writes as None.
    """
    body = "".join(f"    {line}\n" for line in lines)
    text = f"({declared}):\n{body}"
    code = _codes.get(text)
    if code is None:
        module = compile(f"def function{text}", "<entry>", "exec")
        code = _codes[text] = next(part for part in module.co_consts if isinstance(part, CodeType))
    file, source = f"<entry of {name}>", f"def {name}{text}"
    code = code.replace(co_name=name, co_qualname=name, co_filename=file)
    count, only = code.co_argcount, code.co_kwonlyargcount
    names = code.co_varnames
    made = FunctionType(code, scope, name, tuple([defaults[n] for n in names[:count] if n in defaults]))
    if only:
        made.__kwdefaults__ = {n: defaults[n] for n in names[count : count + only] if n in defaults}
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)
    return made


def wrapping(function: Callable, made: Any) -> Any:
    """Give a made function the name, place, words and notes of the one it stands for."""
    for name in ("__module__", "__qualname__", "__doc__", "__annotations__"):
        setattr(made, name, getattr(function, name))
    made.__dict__.update(vars(function))
    # Its signature is its own, and says `out`.
    made.__dict__.pop("__wrapped__", None)
    return made
