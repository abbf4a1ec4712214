"""Who may import whom: the table in pyproject.toml, held against every import statement."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
TABLE = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["devtensor"]["layers"]


@dataclass(frozen=True)
class Import:
    """One import statement: `importer` names `imported` in `line`; `lazy` if it stands inside a function."""

    importer: str
    imported: str
    line: int
    lazy: bool

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.imported}"


def module_files(root: Path) -> dict[str, Path]:
    """Module name -> file, for devtensor and the backends."""
    found = {}
    for base, pattern in [(root, "devtensor/**/*.py"), (root / "backends", "devtensor_*/**/*.py")]:
        for path in base.glob(pattern):
            parts = path.relative_to(base).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_of(module: str, path: Path, modules: set[str]) -> Iterator[Import]:
    """Every import in a file, TYPE_CHECKING blocks left out: those never run."""

    def visit(node: ast.AST, lazy: bool) -> Iterator[Import]:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            children: list[ast.AST] = [*node.orelse]
        else:
            children = [*ast.iter_child_nodes(node)]
        lazy = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for name in imported_names(node):
            yield Import(module, name, getattr(node, "lineno", 0), lazy)
        for child in children:
            yield from visit(child, lazy)

    def imported_names(node: ast.AST) -> Iterator[str]:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = node.module or ""
            if node.level:
                package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
                package = package[: len(package) - node.level + 1]
                source = ".".join([*package, *filter(None, [node.module])])
            for alias in node.names:
                full = f"{source}.{alias.name}"
                yield full if full in modules else source

    yield from visit(ast.parse(path.read_text(encoding="utf-8")), False)


def within(module: str, names: Iterable[str]) -> list[str]:
    """Those of `names` that are `module` or a package it is in."""
    return [name for name in names if f"{module}.".startswith(f"{name}.")]


class Contract:
    """The table, ready to judge one import at a time."""

    def __init__(self, table: dict[str, Any]) -> None:
        self.level = {name: number for number, row in enumerate(table["order"]) for name in row}
        self.lazy: list[tuple[str, str]] = [tuple(pair) for pair in table["lazy"]]
        self.alone = {*table["alone"]}
        self.packages: dict[str, list[str]] = table["packages"]
        self.backends: dict[str, list[str]] = table["backends"]

    def entry(self, module: str) -> str | None:
        """The entry of the table under which `module` stands."""
        found = [name for name in within(module, self.level) if name == module or name not in self.alone]
        return max(found, key=len, default=None)

    def complaint(self, found: Import) -> str | None:
        """What is wrong with an import, or None."""
        importer, imported = found.importer.split(".")[0], found.imported.split(".")[0]
        if imported not in ("devtensor", *self.backends):
            return self.complain_of_package(found, imported)
        if importer == imported == "devtensor":
            return self.complain_of_order(found)
        if importer == imported:
            return None
        if imported in self.backends:
            return f"{found}: backends are reached through the door only"
        if not within(found.imported, self.backends[importer]):
            return f"{found}: a backend may import {', '.join(self.backends[importer])} only"
        return None

    def complain_of_package(self, found: Import, package: str) -> str | None:
        importers = self.packages.get(package, [])
        if package in sys.stdlib_module_names or within(found.importer, importers):
            return None
        return f"{found}: {package} may be imported by {', '.join(importers) or 'nobody'}"

    def complain_of_place(self, module: str) -> str | None:
        if module.split(".")[0] in self.backends or self.entry(module) is not None:
            return None
        return f"{module} has no place in [tool.devtensor.layers]"

    def complain_of_order(self, found: Import) -> str | None:
        upper, lower = self.entry(found.importer), self.entry(found.imported)
        if upper is None or lower is None:
            return self.complain_of_place(found.imported)
        if upper == lower or self.level[upper] < self.level[lower]:
            return None
        if found.lazy and (upper, lower) in self.lazy:
            return None
        return f"{found}: {lower} is not below {upper}"


def complaints(root: Path) -> list[str]:
    """Every breach of the table in the tree at `root`."""
    contract = Contract(TABLE)
    files = module_files(root)
    found = [each for name, path in files.items() for each in imports_of(name, path, set(files))]
    texts = [contract.complaint(each) for each in found]
    texts += [contract.complain_of_place(name) for name in files]
    return sorted({text for text in texts if text})


def test_the_tree_keeps_the_contract():
    assert len(module_files(ROOT)) > 10
    assert complaints(ROOT) == []


PLANTED = [
    ("devtensor/ops/planted.py", "from devtensor.nn import Linear", "devtensor.nn is not below"),
    ("devtensor/ops/planted.py", "from devtensor import Tensor", "devtensor is not below"),
    ("devtensor/ops/planted.py", "from ..core import errors\nfrom .. import methods", "planted:2 imports"),
    ("devtensor/core/dtype.py", "def f():\n    import devtensor.ops", "dtype:2 imports devtensor.ops"),
    ("devtensor/core/planted.py", "", "devtensor.core.planted has no place"),
    ("devtensor/random.py", "import devtensor.methods", "devtensor.methods is not below"),
    ("devtensor/ops/planted.py", "import numpy as np", "numpy may be imported by"),
    ("devtensor/ops/planted.py", "def f():\n    from cupy.cuda import Device", "cupy may be imported by"),
    ("devtensor/ops/planted.py", "import pandas", "pandas may be imported by nobody"),
    ("devtensor/testing/planted.py", "import devtensor_numpy", "through the door only"),
    ("backends/devtensor_numpy/planted.py", "import devtensor_cupy", "through the door only"),
    ("backends/devtensor_numpy/planted.py", "from devtensor.core.dtype import DType", "a backend may import"),
    ("backends/devtensor_numpy/planted.py", "import devtensor", "a backend may import"),
]


@pytest.mark.parametrize(("path", "source", "expected"), PLANTED)
def test_a_planted_breach_is_found(tmp_path, path, source, expected):
    planted = tmp_path / path
    planted.parent.mkdir(parents=True)
    planted.write_text(source)
    assert [text for text in complaints(tmp_path) if expected in text], complaints(tmp_path)


ALLOWED = [
    ("devtensor/ops/planted.py", "import math\nfrom devtensor.core.op import composite"),
    ("devtensor/ops/planted.py", "if TYPE_CHECKING:\n    from devtensor import nn"),
    ("devtensor/testing/planted.py", "import numpy as np\nimport devtensor\nimport devtensor.nn"),
    ("devtensor/backend/planted.py", "from devtensor.core.errors import DeviceError"),
    ("devtensor/nn/planted.py", "from . import init\nfrom devtensor.ops.cast import cast"),
    ("backends/devtensor_numpy/planted.py", "import numpy\nfrom devtensor.backend.arraylib import kernels"),
]


@pytest.mark.parametrize(("path", "source"), ALLOWED)
def test_what_the_table_allows_passes(tmp_path, path, source):
    planted = tmp_path / path
    planted.parent.mkdir(parents=True)
    planted.write_text(source)
    assert complaints(tmp_path) == []
