"""Every name that public code uses is there with PyTorch's parameters and defaults, or says why not."""

from __future__ import annotations

import ast
import importlib
import inspect
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import devtensor

NAMES = tomllib.loads((Path(__file__).parent / "data" / "names.toml").read_text())
ENTRIES = [(area, name) for area, names in NAMES.items() for name in names]


def found(area: str, name: str) -> Any:
    """What devtensor offers under PyTorch's path."""
    path = name.split(".") if area == "torch" else [*area.split("."), *name.split(".")]
    value: Any = devtensor
    for place, part in enumerate(path):
        if not hasattr(value, part):
            importlib.import_module(".".join(["devtensor", *path[: place + 1]]))
        value = getattr(value, part)
    return value


def parameters_of(text: str) -> Iterator[tuple[str, bool, Any]]:
    """Name, whether it has a default, and the default if it is a literal, of a signature's parameters."""
    tree = ast.parse(f"def f({text}): ...").body[0].args
    plain = [*tree.posonlyargs, *tree.args]
    defaults = [None] * (len(plain) - len(tree.defaults)) + list(tree.defaults)
    parameters, values = [*plain, *tree.kwonlyargs], [*defaults, *tree.kw_defaults]
    for parameter, default in zip(parameters, values, strict=True):
        yield parameter.arg, default is not None, default


def literal(node: Any) -> Any:
    """A default's value; NotImplemented where it is no literal."""
    try:
        return ast.literal_eval(node)
    except ValueError:
        return NotImplemented


@pytest.mark.parametrize(("area", "name"), ENTRIES, ids=[f"{a}.{n}" for a, n in ENTRIES])
def test_name(area, name):
    entry = NAMES[area][name]
    if "refused" in entry:
        with pytest.raises((NotImplementedError, RuntimeError), match=r"\[\w+\] .*;"):
            found(area, name)(devtensor.ones(2), 0)
        return
    value = found(area, name)
    for signature in entry.get("signatures", ()):
        check_signature(value, signature, area == "Tensor")


def check_signature(value: Any, text: str, method: bool) -> None:
    """The callable takes every parameter by PyTorch's name, and has PyTorch's defaults."""
    ours = dict(inspect.signature(value).parameters)
    if method:
        ours.pop(next(iter(ours)))
    takes_any = any(p.kind is p.VAR_KEYWORD for p in ours.values())
    for name, has_default, default in parameters_of(text):
        if name not in ours:
            assert takes_any, f"({text}) has {name!r}; ours takes ({', '.join(map(str, ours.values()))})"
            continue
        mine = ours[name]
        assert mine.kind is not mine.POSITIONAL_ONLY, f"{name!r} cannot be given by name"
        wanted = literal(default) if has_default else NotImplemented
        if has_default:
            assert mine.default is not mine.empty or mine.kind is mine.VAR_POSITIONAL, (
                f"{name!r} has no default"
            )
        if wanted is not NotImplemented and mine.default is not mine.empty:
            assert mine.default == wanted or mine.default is None, (
                f"{name}={mine.default!r} instead of {wanted!r}"
            )


def test_few_names_are_refused():
    """At most forty, none that five repositories use, each with its reason."""
    refused = [(a, n) for a, n in ENTRIES if "refused" in NAMES[a][n]]
    assert len(refused) <= 40
    for area, name in refused:
        assert NAMES[area][name]["repositories"] < 5, f"{area}.{name}"
        assert len(NAMES[area][name]["refused"]) > 20, f"{area}.{name}"
