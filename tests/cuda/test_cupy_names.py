"""Every name of CuPy that a backend uses, or that the stand-in offers, exists in an installed CuPy 14."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from devtensor.backend.arraylib import elementwise, reduce

ROOT = Path(__file__).parent.parent.parent
SOURCES = [
    *sorted((ROOT / "backends" / "devtensor_cupy").rglob("*.py")),
    *sorted((ROOT / "devtensor" / "backend" / "arraylib").glob("*.py")),
]
ROOTS = ("cupy", "xp")
LOOK = """
import importlib, json, pathlib, sys, warnings
warnings.simplefilter("ignore")
import cupy, cupyx.scipy.special
import cupy_backends.cuda.libs

def has(root, name):
    found = root
    for place, part in enumerate(name.split(".")):
        try:
            found = getattr(found, part)
        except AttributeError:
            return False
        except ImportError:
            # A part of CuPy around a library that this machine lacks: its compiled file names what it has.
            folder = pathlib.Path(cupy_backends.cuda.libs.__file__).parent
            files = list(folder.glob(part + ".*.so"))
            rest = name.split(".")[place + 1 :]
            return bool(files) and all(p.encode() in files[0].read_bytes() for p in rest)
    return True

asked = json.load(sys.stdin)
lacking = [name for name in asked["cupy"] if not has(cupy, name)]
lacking += [name for name in asked["special"] if not has(cupyx.scipy.special, name)]
types = {name: " ".join(getattr(cupy, name).types) for name in asked["loops"]}
print(json.dumps({"version": cupy.__version__, "lacking": lacking, "types": types}))
"""

OFFERED = """
import cupy, cupy.cuda, cupyx.scipy.special as special, json
known = {"annotations", "pinned_pool", "CUDARuntimeError"}
names = [name for name in dir(cupy) if name[0] != "_"] + ["cuda." + name for name in cupy.cuda.__all__]
chosen = [name for name in names if name.split(".")[-1] not in known]
print(json.dumps({"cupy": chosen, "special": list(special.LOOPS["special"])}))
"""


def cupy_python() -> str | None:
    """A Python that has CuPy: this one, or the one that DEVTENSOR_CUPY_PYTHON names."""
    named = os.environ.get("DEVTENSOR_CUPY_PYTHON")
    return named or (sys.executable if importlib.util.find_spec("cupy") else None)


def ask(**names: list[str]) -> dict:
    """What the installed CuPy lacks of the names, and the loops of its functions."""
    python = cupy_python()
    if python is None:
        if os.environ.get("CI"):
            pytest.fail("CuPy is not installed; ci/test.sh brings it")
        pytest.skip("CuPy is not installed here, nor does DEVTENSOR_CUPY_PYTHON name a Python that has it")
    given = json.dumps({"cupy": [], "special": [], "loops": []} | names)
    # Another Python must not see this one's packages.
    paths = os.pathsep.join(filter(None, sys.path)) if python == sys.executable else ""
    environment = os.environ | {"PYTHONPATH": paths}
    done = subprocess.run(
        [python, "-c", LOOK], input=given, capture_output=True, text=True, timeout=300, env=environment
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def chain(node: ast.AST) -> list[str] | None:
    """The names of `a.b.c`, or None for anything else."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute):
        before = chain(node.value)
        return None if before is None else [*before, node.attr]
    return None


def below(names: list[str], aliases: dict[str, list[str]]) -> list[str] | None:
    """The part of a chain behind the library's own name."""
    if names[0] in aliases:
        return [*aliases[names[0]], *names[1:]]
    for place, name in enumerate(names):
        if name in ROOTS:
            return names[place + 1 :]
    return None


def assigned(tree: ast.AST) -> list[tuple[ast.expr, ast.expr]]:
    """Target and value of every assignment, pairs taken apart."""
    pairs = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target, value = node.targets[0], node.value
            if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                pairs += list(zip(target.elts, value.elts, strict=True))
            else:
                pairs.append((target, value))
    return pairs


def names_used(source: str) -> set[str]:
    """Every dotted name of the library in a source, also by local names for parts of it."""
    tree = ast.parse(source)
    aliases: dict[str, list[str]] = {}
    for target, value in assigned(tree):
        names = chain(value)
        found = None if names is None else below(names, {})
        if isinstance(target, ast.Name) and target.id not in ROOTS and found:
            aliases[target.id] = found
    used = set()
    for node in ast.walk(tree):
        names = chain(node) if isinstance(node, ast.Attribute) else None
        found = None if names is None else below(names, aliases)
        if found and not found[-1].startswith("_"):
            used.add(".".join(found))
    return used


def test_names_are_found():
    used = names_used("c, r = self.cupy.cuda, lib.xp.fft\nc.Event().record()\nr.fftn(xp.add.at)\nx.real")
    assert used == {"cuda", "cuda.Event", "fft", "fft.fftn", "add", "add.at"}


def test_every_name_that_a_backend_uses_exists():
    used = set().union(*(names_used(path.read_text()) for path in SOURCES))
    tables = (elementwise.UFUNCS, elementwise.DIVISIONS, elementwise.ROUNDINGS)
    used |= {name for table in tables for name in table.values()}
    used |= {*reduce.ACCUMULATING, *reduce.EXTREMES, *reduce.TRUTHS, *reduce.POSITIONS, *reduce.RUNNING}
    assert len(used) > 120 and "cuda.cublas.gemmStridedBatchedEx" in used
    told = ask(cupy=sorted(used))
    assert told["version"].startswith("14.") and told["lacking"] == []


def test_a_name_that_cupy_lacks_is_noticed():
    lacking = ["cuda.cublas.gemmNowhere", "einsumm", "cuda.Stream.nowhere"]
    assert sorted(ask(cupy=[*lacking, "add"])["lacking"]) == sorted(lacking)


def test_the_stand_in_offers_no_more_than_cupy_has():
    paths = {"PYTHONPATH": str(ROOT / "tests" / "standin")}
    done = subprocess.run(
        [sys.executable, "-c", OFFERED], capture_output=True, text=True, check=True, env=os.environ | paths
    )
    assert ask(**json.loads(done.stdout))["lacking"] == []


def test_the_stand_in_s_loops_are_cupy_s():
    known = json.loads((ROOT / "tests" / "standin" / "loops.json").read_text())["cupy"]
    assert ask(loops=sorted(known))["types"] == known
