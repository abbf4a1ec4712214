"""Every public submodule of PyTorch's is a module at its path, with the names that scripts take there."""

from __future__ import annotations

import importlib
import importlib.util
import tomllib
from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parents[1] / "data"
FACTS = tomllib.loads((DATA / "module_paths.toml").read_text(encoding="utf-8"))
NAMES = tomllib.loads((DATA / "path_names.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", FACTS["paths"])
def test_a_path_of_pytorchs_is_a_module(path):
    assert importlib.import_module(f"devtensor.{path}").__name__ == f"devtensor.{path}"


@pytest.mark.parametrize("path", FACTS["shadowed"])
def test_a_package_shows_the_function_that_a_module_is_named_after(path):
    importlib.import_module(f"devtensor.{path}")
    package, _, name = f"devtensor.{path}".rpartition(".")
    assert callable(getattr(importlib.import_module(package), name))


@pytest.mark.parametrize("path", FACTS["absent"])
def test_an_absent_package_is_not_there(path):
    assert importlib.util.find_spec(f"devtensor.{path}") is None


@pytest.mark.parametrize(("path", "names"), NAMES.items())
def test_names_stand_where_scripts_take_them_from(path, names):
    module = importlib.import_module(f"devtensor.{path}")
    assert [name for name in names if not hasattr(module, name)] == []
