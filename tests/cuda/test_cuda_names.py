"""Every name of PyTorch's CUDA and accelerator modules is there with its parameters, or says why not."""

from __future__ import annotations

import importlib
import inspect
import tomllib
from pathlib import Path
from typing import Any

import pytest

from devtensor.core.errors import Unsupported

NAMES = tomllib.loads((Path(__file__).parent.parent / "data" / "cuda_names.toml").read_text())
ENTRIES = [(module, name) for module, names in NAMES.items() for name in names]
KINDS = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}


def found(module: str, name: str) -> Any:
    return getattr(importlib.import_module(f"devtensor.{module}"), name)


def written(value: Any) -> list[str]:
    """A callable's parameters as the table writes them, without annotations."""
    parts: list[str] = []
    parameters = list(inspect.signature(value).parameters.values())
    last = [p.name for p in parameters if p.kind is p.POSITIONAL_ONLY][-1:]
    for parameter in parameters:
        if parameter.kind is parameter.KEYWORD_ONLY and not any(p[0] == "*" for p in parts):
            parts.append("*")
        told = "" if parameter.default is parameter.empty else f"={parameter.default!r}"
        parts.append(KINDS.get(parameter.kind, "") + parameter.name + told)
        parts += ["/"] if [parameter.name] == last else []
    return parts


def alike(ours: str, theirs: str) -> bool:
    """Whether two parameters are the same; the names of keywords that are gathered are free."""
    name, _, default = theirs.partition("=")
    if default == "chosen":
        return ours.partition("=")[0] == name
    return ours == theirs or (ours[:2] == theirs[:2] == "**")


@pytest.mark.parametrize(("module", "name"), ENTRIES, ids=[f"{m}.{n}" for m, n in ENTRIES])
def test_the_name_is_there(module, name):
    value, told = found(module, name), NAMES[module][name]
    if told == "refused":
        with pytest.raises(Unsupported, match=rf"\[[\w.]+{name}\] .{{20,}}"):
            value(1)
    elif told:
        theirs = [part for part in told[1:-1].split(", ") if part]
        ours = written(value)
        assert len(ours) == len(theirs) and all(map(alike, ours, theirs)), f"{ours} for {theirs}"


def test_all_names_are_listed():
    for module, names in NAMES.items():
        listed = getattr(importlib.import_module(f"devtensor.{module}"), "__all__", [])
        if module not in ("cuda.sparse", "cuda.jiterator"):
            assert set(names) <= set(listed), module


def test_without_a_device_settings_are_answered():
    import devtensor as torch

    if torch.cuda.is_available():
        return
    assert torch.cuda.memory_stats() == torch.cuda.host_memory_stats() == {}
    assert torch.cuda.memory_snapshot() == [] and torch.cuda.memory._snapshot()["segments"] == []
    assert "CUDA OOMs: 0" in torch.cuda.memory_summary(abbreviated=True)
    for call in (torch.cuda.get_sync_debug_mode, torch.cuda.cudart, torch.cuda.current_blas_handle):
        with pytest.raises(AssertionError, match="cannot be used"):
            call()
    torch.cuda.nvtx.range_end(torch.cuda.nvtx.range_start("part"))
    torch.cuda.check_error(0)
    with pytest.raises(torch.cuda.CudaError, match="error 2"):
        torch.cuda.check_error(2)
