"""What the documents show works, and what they list is what there is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import devtensor as torch
from devtensor.backend.protocol import Backend
from devtensor.core import rules
from devtensor.core.op import OPS, composite
from devtensor.ops.elementwise import square
from devtensor.ops.examples import singles

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.md")])


def snippet(document: str) -> str:
    """The first block of Python in a document."""
    found = re.search(r"```python\n(.*?)```", (ROOT / document).read_text(encoding="utf-8"), re.DOTALL)
    assert found, f"{document} shows no Python"
    return found[1]


def test_the_twenty_lines_learn(tmp_path):
    script = tmp_path / "twenty_lines.py"
    script.write_text(snippet("README.md"))
    paths = os.pathsep.join([str(ROOT), str(ROOT / "backends")])
    done = subprocess.run(
        [sys.executable, str(script)],
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    loss, replays = done.stdout.split()
    assert float(loss) < 0.15
    assert int(replays) == 197


def test_the_op_that_is_shown_is_an_op():
    scope = {
        "composite": composite,
        "floating": rules.floating,
        "broadcast": rules.broadcast,
        "square": square,
        "singles": singles,
    }
    before = set(OPS)
    try:
        exec(snippet("docs/adding-an-op.md"), scope)
        (name,) = set(OPS) - before
        x = torch.linspace(-3, 3, 7, dtype=torch.float64, requires_grad=True)
        assert scope[name](x).tolist() == pytest.approx([1 / (1 + i * i) for i in range(-3, 4)])
        assert torch.autograd.gradcheck(scope[name], (x,))
        assert list(OPS[name].cases[0](lambda *shape, **facts: shape))
    finally:
        for name in set(OPS) - before:
            del OPS[name]


@pytest.mark.parametrize(("group", "last"), [("dtype", "given"), ("shape", "sized")])
def test_the_rules_that_are_listed_exist(group, last):
    text = (ROOT / "docs/adding-an-op.md").read_text(encoding="utf-8")
    found = re.search(rf"{group} `([a-z0-9_,\s]+)`", text)
    assert found and last in found[1]
    names = re.split(r",\s+", found[1])
    assert [name for name in names if not callable(getattr(rules, name, None))] == []


def test_the_backend_that_is_shown_has_every_member():
    shown = set(
        re.findall(r"^    (?:def )?(\w+)(?: =|\()", snippet("docs/adding-a-backend.md"), re.MULTILINE)
    )
    members = {name for name in vars(Backend) if not name.startswith("_")} | set(Backend.__annotations__)
    assert shown == members
    assert len(members) == 12, "docs/adding-a-backend.md says twelve"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_and_paths_lead_somewhere(document):
    text = document.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    assert [link for link in links if not (document.parent / link).exists()] == []
    quoted = re.findall(r"`((?:devtensor|docs|tests|examples|benchmarks|ci|backends)/[\w./-]+)`", text)
    assert [path for path in quoted if not (ROOT / path).exists()] == []
