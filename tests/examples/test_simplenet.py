"""The tutorial net: a PyTorch script with other imports, which a debugger can enter."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

from devtensor.core.op import OPS

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "examples" / "simplenet.py"
TEXT = SCRIPT.read_text()


def run(*command: str, commands: str = "") -> str:
    """What a Python process prints, given `commands` on its standard input."""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "backends"), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, *command],
        env=os.environ | {"PYTHONPATH": paths, "COLUMNS": "200"},
        input=commands,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def line_of(text: str) -> int:
    """Number of the one line of the script that reads `text`."""
    (number,) = (i for i, line in enumerate(TEXT.splitlines(), 1) if line.strip() == text)
    return number


def shown(output: str, label: str) -> str:
    """What follows `label`, printed by the debugger, up to the next label."""
    found = re.search(rf"<{label}>(.*?)(?=<\w+>|\Z)", output, re.DOTALL)
    assert found, f"{label} was not printed:\n{output}"
    return found[1]


def show(label: str, expression: str) -> str:
    """The debugger's command that prints an expression under a label."""
    return f"print('<{label}>', {expression})\n"


def module(text: str, name: str) -> types.ModuleType:
    """The script `text` as an imported module."""
    made = types.ModuleType(name)
    exec(compile(text, f"{name}.py", "exec"), made.__dict__)
    return made


def test_it_runs_and_learns():
    *epochs, last = run(str(SCRIPT)).splitlines()
    losses = [float(re.fullmatch(r"epoch \d: loss (\d+\.\d{4})", line)[1]) for line in epochs]
    assert len(losses) == 5 and losses[0] > 0.5 > 0.2 > losses[-1]
    assert float(re.fullmatch(r"accuracy on the last 297 digits: (\d+\.\d) %", last)[1]) >= 87.0


def test_only_its_imports_name_devtensor():
    naming = [line for line in TEXT.splitlines() if "devtensor" in line]
    assert naming == [line for line in naming if re.match(r"(import|from) devtensor", line)] != []


def test_it_is_a_pytorch_script_with_the_same_losses(torch, capsys):
    ours = module(TEXT, "simplenet_devtensor")
    theirs = module(
        TEXT.replace("import devtensor as torch", "import torch").replace("devtensor", "torch"),
        "simplenet_torch",
    )
    printed = []
    weights = theirs.SimpleNet().state_dict()
    for script in (theirs, ours):
        images, labels = script.digits_as_mnist()
        model = script.SimpleNet()
        model.load_state_dict({name: script.torch.tensor(value.tolist()) for name, value in weights.items()})
        script.train(
            model, script.DataLoader(script.TensorDataset(images[:1500], labels[:1500]), batch_size=32), 2
        )
        printed.append([float(number) for number in re.findall(r"loss (\S+)", capsys.readouterr().out)])
    assert printed[1] == pytest.approx(printed[0], abs=2e-3)


def test_a_breakpoint_in_forward_shows_every_intermediate():
    output = run(
        *("-m", "pdb", str(SCRIPT)),
        commands=f"break {SCRIPT}:{line_of('x = self.fc1(x)')}\ncontinue\n"
        + show("input", "x")
        + "next\n"
        + show("hidden", "x")
        + show("shape", "tuple(x.shape)")
        + "next\n"
        + show("relu", "x")
        + show("negative", "bool((x < 0).any())")
        + show("weight", "self.fc1.weight")
        + "quit\n",
    )
    assert shown(output, "input").lstrip().startswith("tensor([[")
    assert "grad_fn=" in shown(output, "hidden")
    assert "(32, 128)" in shown(output, "shape")
    assert "grad_fn=" in shown(output, "relu") and "tensor([[" in shown(output, "relu")
    assert "False" in shown(output, "negative")
    assert "requires_grad=True" in shown(output, "weight")


def test_a_breakpoint_in_a_backward_rule_shows_what_it_was_given():
    rule = OPS["linear"].rules["weight"].function.__code__
    output = run(
        *("-m", "pdb", str(SCRIPT)),
        commands=f"break {SCRIPT}:{line_of('loss.backward()')}\ncontinue\n"
        + show("loss", "loss")
        + f"break {rule.co_filename}:{rule.co_firstlineno}\ncontinue\n"
        + show("gradient", "g")
        + show("sizes", "(tuple(g.shape), tuple(input.shape))")
        + show("saved", "input")
        + "quit\n",
    )
    assert "grad_fn=" in shown(output, "loss")
    assert shown(output, "gradient").lstrip().startswith("tensor([[")
    assert "((32, 10), (32, 128))" in shown(output, "sizes")
    assert "tensor([[" in shown(output, "saved")
