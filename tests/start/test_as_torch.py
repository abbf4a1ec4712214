"""`import torch` as another name for devtensor: in a script, in libraries, for those who ask its version."""

from __future__ import annotations

from pathlib import Path

import pytest

from script_runs import python, succeeded

SCRIPTS = Path(__file__).parent / "scripts"


IMPORTS = """
import devtensor.as_torch
import importlib, importlib.metadata, importlib.util, pickle, sys
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset
from torch.optim.lr_scheduler import StepLR
from torch import optim
import devtensor

assert torch is devtensor and nn is devtensor.nn and F is devtensor.nn.functional
assert sys.modules["torch.nn"] is torch.nn is devtensor.nn
assert torch.nn.__spec__.name == torch.nn.__name__ == "devtensor.nn"
assert DataLoader is devtensor.utils.data.DataLoader and optim is devtensor.optim
assert importlib.import_module("torch.optim.adam") is devtensor.optim.adam
assert importlib.import_module(".init", "torch.nn") is devtensor.nn.init
import torch.nn.modules.linear
assert pickle.loads(b"ctorch.nn.modules.linear\\nLinear\\n.") is nn.Linear
assert type(pickle.loads(pickle.dumps(nn.Linear(2, 2)))) is nn.Linear

assert "torch.distributed" not in sys.modules
assert importlib.util.find_spec("torch") is not None
assert importlib.util.find_spec("torch.distributed").name == "torch.distributed"
assert importlib.metadata.version("torch") == torch.__version__ == devtensor.__version__
assert torch.__version__.startswith("2.13.0+devtensor") and "2.2" < torch.__version__ < (3,)
assert importlib.metadata.distribution("torch").metadata["Name"] == "torch"
x = torch.ones(2)
assert f"{x.dtype} {x.shape} {x.type()}" == "torch.float32 torch.Size([2]) torch.FloatTensor"
assert repr(x.max(0)).startswith("torch.return_types.max(")

try:
    import torch.fx
except ModuleNotFoundError as error:
    assert error.name == "torch.fx" and "devtensor stands in for PyTorch" in str(error)
else:
    raise AssertionError("torch.fx came from nowhere")
try:
    from torch import no_such_name
except ImportError:
    pass

devtensor.as_torch.uninstall()
assert devtensor.__version__ == devtensor.version.__version__ and "torch.nn" not in sys.modules
assert str(x.dtype) == "devtensor.float32"
devtensor.as_torch.install()
import torch.nn
assert torch.nn is nn
"""


def test_every_form_of_import_means_devtensor(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(IMPORTS)
    succeeded(python(script))


LIBRARY = """
import devtensor.as_torch
import sys
import torch
from safetensors import safe_open
from safetensors.torch import load_file, load_model, save_file, save_model

model, path = torch.nn.Linear(3, 2), sys.argv[1]
save_file(model.state_dict() | {"half": torch.ones(2, dtype=torch.bfloat16)}, path)
held = load_file(path)
assert held["weight"].equal(model.weight) and held["half"].dtype is torch.bfloat16
save_model(model, path)
again = torch.nn.Linear(3, 2)
load_model(again, path)
assert again.bias.equal(model.bias)
with safe_open(path, framework="pt", device="cpu") as file:
    assert file.get_slice("weight")[:1].equal(model.weight[:1])
"""


def test_a_library_written_for_pytorch_gets_devtensors_tensors(tmp_path):
    succeeded(python("-c", LIBRARY, tmp_path / "model.safetensors"))


def test_it_refuses_beside_pytorch_itself(tmp_path):
    (tmp_path / "torch.py").write_text("")
    (tmp_path / "script.py").write_text("import torch\nimport devtensor.as_torch")
    done = python(tmp_path / "script.py")
    assert done.returncode == 1
    assert "RealTorchLoaded: [as_torch] PyTorch itself is loaded already" in done.stderr


def test_it_goes_before_pytorch_that_is_installed(tmp_path):
    (tmp_path / "torch.py").write_text("raise AssertionError('the other one')")
    (tmp_path / "script.py").write_text("import torch\nprint(torch.__name__)")
    assert succeeded(python("-m", "devtensor", "run", "script.py", cwd=tmp_path)) == "devtensor\n"


@pytest.mark.parametrize("name", sorted(path.stem for path in SCRIPTS.glob("*.py")))
def test_a_script_for_pytorch_runs_unchanged(name):
    assert succeeded(python("-m", "devtensor", "run", SCRIPTS / f"{name}.py")).endswith("finished\n")


MODULE = """
import sys
from . import other
import torch
print(sys.argv, __name__, __package__, torch.ones(2).sum().item(), other.__name__)
if "fail" in sys.argv:
    sys.exit(7)
"""


def test_a_module_runs_with_its_arguments(tmp_path):
    package = tmp_path / "project"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "other.py").write_text("import torch")
    (package / "train.py").write_text(MODULE)
    (package / "__main__.py").write_text(MODULE)
    printed = succeeded(python("-m", "devtensor", "run", "-m", "project.train", "--lr", "3", cwd=tmp_path))
    assert printed == f"[{str(package / 'train.py')!r}, '--lr', '3'] __main__ project 2.0 project.other\n"
    done = python("-m", "devtensor", "run", "-m", "project", "fail", cwd=tmp_path)
    assert done.returncode == 7 and "__main__.py" in done.stdout


def test_a_script_is_run_as_python_runs_it(tmp_path):
    (tmp_path / "beside.py").write_text("")
    (tmp_path / "script.py").write_text(
        "import sys, beside\n"
        "def f(x: int): pass\n"
        "assert f.__annotations__ == {'x': int} and __name__ == '__main__' and __package__ is None\n"
        "assert sys.modules['__main__'].f is f and __file__.endswith('script.py')\n"
        "print(sys.argv)\n"
    )
    done = python("-m", "devtensor", "run", tmp_path / "script.py", "-m", "--x")
    assert succeeded(done) == f"[{str(tmp_path / 'script.py')!r}, '-m', '--x']\n"


def test_an_error_in_a_script_shows_its_line(tmp_path):
    (tmp_path / "script.py").write_text("import torch\ntorch.ones(2) + torch.ones(3)\n")
    done = python("-m", "devtensor", "run", tmp_path / "script.py")
    assert done.returncode == 1
    assert 'script.py", line 2' in done.stderr and "torch.ones(2) + torch.ones(3)" in done.stderr


def test_what_is_not_understood_gets_the_usage():
    for arguments in (["walk"], ["run"], ["run", "-m"]):
        done = python("-m", "devtensor", *arguments)
        assert done.returncode == 2 and "usage: python -m devtensor" in done.stderr
    missing = python("-m", "devtensor", "run", "-m", "no_such_module")
    assert missing.returncode == 1 and "no module 'no_such_module'" in missing.stderr
