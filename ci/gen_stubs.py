"""Writes devtensor/core/_methods.pyi: what type checkers and editors know of Tensor's methods.

Methods are attached to Tensor from the ops' declarations and from devtensor.functions, where no checker sees
them.
`--check` changes nothing and fails if the file is stale.
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any

import devtensor.methods  # noqa: F401 - attaches what is listed here
from devtensor.core import tensor
from devtensor.core.op import Op
from devtensor.core.tensor import Tensor

TARGET = Path(__file__).parent.parent / "devtensor" / "core" / "_methods.pyi"
HEAD = '''"""Written by ci/gen_stubs.py from the ops' declarations and devtensor.functions; do not edit."""

from typing import Any

from devtensor.core.tensor import Tensor

class TensorMethods:
'''
# Annotations that mean the same outside the module they stand in; others become Any.
KNOWN = {"bool", "int", "float", "str", "None", "Tensor", "Any", "int | None", "bool | None", "Tensor | None"}


def attached() -> dict[str, Any]:
    """Everything that `devtensor.methods` gave Tensor, by name."""
    special = {"__repr__", "__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__format__"}
    own = set(vars(object)) - special
    # Tensor says it is devtensor's own, so its source is to be found by its file.
    written = inspect.getsource(tensor).split("\nclass Tensor(")[1].split("\n\n\n")[0]
    return {
        name: value
        for name, value in sorted(vars(Tensor).items())
        if f"def {name}(" not in written
        and not inspect.ismemberdescriptor(value)
        and (callable(value) or isinstance(value, property))
        and name not in own
        and name not in ("dtype", "device", "__dict__", "__weakref__")
    }


def annotation(text: Any) -> str:
    """An annotation as the stub can say it."""
    return text if isinstance(text, str) and text in KNOWN else "Any"


def parameter(item: inspect.Parameter) -> str:
    """One parameter of a method."""
    stars = {item.VAR_POSITIONAL: "*", item.VAR_KEYWORD: "**"}.get(item.kind, "")
    default = "" if item.default is item.empty else " = ..."
    return f"{stars}{item.name}: {annotation(item.annotation)}{default}"


def arguments(function: Any) -> str:
    """The parameter list, the first of them `self`."""
    texts, keyword_only = [], False
    for place, item in enumerate(inspect.signature(function).parameters.values()):
        if item.kind is item.KEYWORD_ONLY and not keyword_only:
            keyword_only = True
            if not any(text.startswith("*") for text in texts):
                texts.append("*")
        if item.kind is item.VAR_POSITIONAL:
            keyword_only = True
        texts.append("self" if place == 0 else parameter(item))
    return ", ".join(texts)


def stub(name: str, value: Any) -> list[str]:
    """The lines of one method or property."""
    if isinstance(value, property):
        lines = ["    @property", f"    def {name}(self) -> Any: ..."]
        if value.fset is not None:
            lines += [f"    @{name}.setter", f"    def {name}(self, value: Any) -> None: ..."]
        return lines
    op = getattr(value, "op", None)
    if isinstance(op, Op):
        result = "Any" if isinstance(op.dtype_rule, tuple) else "Tensor"
    else:
        result = annotation(inspect.signature(value).return_annotation)
    ignore = "  # type: ignore[override]" if name in ("__eq__", "__ne__") else ""
    return [f"    def {name}({arguments(value)}) -> {result}: ...{ignore}"]


def text() -> str:
    """The whole stub."""
    lines = [line for name, value in attached().items() for line in stub(name, value)]
    return HEAD + "\n".join(lines) + "\n"


def main() -> int:
    found = text()
    if "--check" in sys.argv:
        if TARGET.read_text(encoding="utf-8") == found:
            return 0
        print(f"{TARGET.name} is stale; run: python ci/gen_stubs.py")
        return 1
    TARGET.write_text(found, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
