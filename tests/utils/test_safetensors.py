"""save and load of nested state: what comes back, what is refused, and files that survive a kill."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import devtensor as dt
from devtensor import optim
from devtensor.core.errors import CheckpointError
from devtensor.utils import safetensors

DTYPES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64"]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.safetensors"


def again(path, state):
    safetensors.save(path, state)
    return safetensors.load(path)


def header(path):
    content = path.read_bytes()
    return json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0, 2)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_comes_back_bit_for_bit(path, dtype, shape):
    values = np.random.default_rng(0).normal(size=shape) * 9
    given = dt.tensor(np.abs(values), dtype=dt.float32).to(getattr(dt, dtype))
    found = again(path, {"x": given})["x"]
    assert (found.dtype, tuple(found.shape)) == (given.dtype, shape)
    assert found.numpy().tobytes() == given.numpy().tobytes()
    entry = header(path)["x"]
    start, end = entry["data_offsets"]
    content = path.read_bytes()
    assert content[len(content) - (end - start) :] == given.numpy().tobytes()


STATES = [
    None,
    3,
    "text",
    [],
    {},
    (),
    {"a": {"b": [1, 2.5, None, True, "x", (1, (2,))]}},
    {1: "int", "1": "text"},
    {0: {"x": 1}, None: 2, 2.5: 3, (1, "a"): 4},
    {"a.b": 1, "a": {"b": 2}, "": 3, ".": 4},
    {"$tensor": "no tensor", "$": [1]},
    {"big": 10**40, "small": 5e-324, "inf": math.inf, "less": -math.inf},
    {"ключ": "значение", "line\n": "\u2028"},
]


@pytest.mark.parametrize("state", STATES, ids=[str(n) for n in range(len(STATES))])
def test_values_come_back_as_they_were(path, state):
    found = again(path, state)
    assert found == state
    assert repr(found) == repr(state)


def test_special_values(path):
    found = again(
        path, {"nan": math.nan, "dtype": dt.bfloat16, "device": dt.device("cuda:1"), "np": np.float64(0.5)}
    )
    assert math.isnan(found["nan"])
    assert found["dtype"] is dt.bfloat16
    assert found["device"] is dt.device("cuda:1")
    assert type(found["np"]) is float


def test_tensors_have_dotted_names(path):
    x, y, z = dt.tensor([1.0]), dt.tensor([2.0]), dt.tensor([3.0])
    state = {"model": {"fc.weight": x}, "slots": {0: {"step": y}}, "list": [z, (dt.tensor(4),)]}
    safetensors.save(path, state)
    names = set(header(path)) - {"__metadata__"}
    assert names == {"model.fc.weight", "slots.0.step", "list.0", "list.1.0"}
    found = safetensors.load(path)
    assert found["list"][1][0].item() == 4
    assert found["slots"][0]["step"].tolist() == [2.0]


def test_equal_names_of_different_paths(path):
    state = {"a.b": dt.tensor(1), "a": {"b": dt.tensor(2)}, 0: dt.tensor(3), "0": dt.tensor(4)}
    found = again(path, state | {"__metadata__": dt.tensor(5), "": dt.tensor(6)})
    assert found["a.b"].item() == 1
    assert found["a"]["b"].item() == 2
    assert [found[key].item() for key in (0, "0", "__metadata__", "")] == [3, 4, 5, 6]


def test_shared_memory_is_stored_once_and_views_each(path):
    x = dt.arange(6, dtype=dt.float32)
    tied = dt.tensor([1.0], requires_grad=True)
    found = again(path, {"a": tied, "b": tied.detach(), "x": x, "row": x.reshape(2, 3)[1], "copy": x.clone()})
    assert found["a"] is found["b"]
    assert not found["a"].requires_grad
    assert found["row"].tolist() == [3.0, 4.0, 5.0]
    found["x"].zero_()
    assert found["row"].tolist() == [3.0, 4.0, 5.0]
    assert found["copy"].tolist() == x.tolist()
    assert set(header(path)) == {"__metadata__", "a", "x", "row", "copy"}


def test_layouts_do_not_matter(path):
    x = dt.arange(12, dtype=dt.float32).reshape(3, 4)
    state = {"transposed": x.mT, "sliced": x[::2, 1:], "expanded": x[:1].expand(3, 4)}
    found = again(path, state)
    assert {key: value.tolist() for key, value in found.items()} == {k: v.tolist() for k, v in state.items()}


def test_devices(path, device):
    x = dt.tensor([1.5, 2.5], device=device)
    safetensors.save(path, {"x": x})
    assert safetensors.load(path)["x"].device.type == "cpu"
    found = safetensors.load(path, device=device)["x"]
    assert found.device is x.device
    assert found.cpu().tolist() == [1.5, 2.5]


@pytest.mark.parametrize("kind", ["SGD", "Adam", "AdamW"])
def test_optimizers_resume(path, kind):
    def step(p, optimizer, value):
        p.grad = dt.tensor([value, -value])
        optimizer.step()

    p = dt.tensor([1.0, 2.0], requires_grad=True)
    values = {"momentum": 0.9} if kind == "SGD" else {}
    optimizer = getattr(optim, kind)([p], lr=0.1, **values)
    step(p, optimizer, 0.5)
    found = again(path, {"model": {"p": p}, "optimizer": optimizer.state_dict()})
    q = found["model"]["p"].requires_grad_()
    other = getattr(optim, kind)([q])
    other.load_state_dict(found["optimizer"])
    for tensor, stepped in ((p, optimizer), (q, other)):
        step(tensor, stepped, 0.25)
    assert p.tolist() == q.tolist()
    assert other.state_dict()["param_groups"] == optimizer.state_dict()["param_groups"]


def test_read_by_the_formats_own_library(path):
    from safetensors import safe_open

    safetensors.save(path, {"w": dt.tensor([[1.0, 2.0]]), "n": dt.tensor(3), "note": "x"})
    with safe_open(str(path), framework="np") as file:
        assert set(file.keys()) == {"w", "n"}
        assert file.get_tensor("w").tolist() == [[1.0, 2.0]]
    assert all(entry["data_offsets"][0] % 4 == 0 for name, entry in header(path).items() if name == "w")


def write_raw(path, header, data=b""):
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def test_foreign_file_comes_as_a_flat_dict(path):
    write_raw(path, {"a.b": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}}, b"\x80\x3f")
    found = safetensors.load(path)
    assert list(found) == ["a.b"]
    assert (found["a.b"].dtype, found["a.b"].tolist()) == (dt.bfloat16, [1.0])


def test_unsupported_dtype_is_named(path):
    write_raw(path, {"w": {"dtype": "F8_E8M0", "shape": [2], "data_offsets": [0, 2]}}, b"\0\0")
    with pytest.raises(CheckpointError, match="w has dtype F8_E8M0; supported are BOOL"):
        safetensors.load(path)


def test_every_truncation_is_told(path):
    safetensors.save(path, {"w": dt.arange(5, dtype=dt.float32), "n": [1, 2]})
    content = path.read_bytes()
    for length in (0, 1, 7, 8, 9, 40, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match=rf"\({length} bytes\) is no complete safetensors file"):
            safetensors.load(path)


@pytest.mark.parametrize(
    "content", [b"PK\x03\x04" + b"\0" * 99, b"\x89HDF\r\n\x1a\n" + b"x" * 99, b"{}" * 50]
)
def test_other_formats_are_told(path, content):
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="another format"):
        safetensors.load(path)


@pytest.mark.parametrize("text", ["{", '{"x":{"$tensor":"lost"}}', '{"$new":1}', '{"$dict":3}'])
def test_damaged_description_is_told(path, text):
    write_raw(path, {"__metadata__": {"devtensor": text}})
    with pytest.raises(CheckpointError, match="damaged description"):
        safetensors.load(path)


def test_missing_file(path):
    with pytest.raises(FileNotFoundError):
        safetensors.load(path)


@pytest.mark.parametrize(
    ("state", "text"),
    [
        ({"a": {"b": [1, object()]}}, "a.b.1 is of type object"),
        ({"f": {"g": print}}, "f.g is of type builtin_function_or_method"),
        ({"n": np.int64(3)}, "n is of type int64"),
        ({"s": {1, 2}}, "s is of type set"),
        (b"raw", "the state is of type bytes"),
        ({"a": {frozenset(): 1}}, "of type frozenset"),
    ],
)
def test_unsupported_values_are_named_and_the_old_file_stays(path, state, text):
    safetensors.save(path, {"old": 1})
    with pytest.raises(TypeError, match=text):
        safetensors.save(path, state)
    assert safetensors.load(path) == {"old": 1}
    assert os.listdir(path.parent) == [path.name]


def test_failure_in_mid_write_leaves_the_old_file(path, monkeypatch):
    safetensors.save(path, {"old": 1})

    def full(descriptor):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        safetensors.save(path, {"new": dt.ones(1000)})
    monkeypatch.undo()
    assert safetensors.load(path) == {"old": 1}
    assert os.listdir(path.parent) == [path.name]


KILLED = """
    import os, signal, sys
    import devtensor as dt
    from devtensor.utils import safetensors

    written = []
    host_read = safetensors.host_read

    def dying(tensor, asked):
        written.append(tensor)
        if len(written) == 2:
            for name in os.listdir(os.path.dirname(sys.argv[1])):
                print(name, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        return host_read(tensor, asked)

    safetensors.host_read = dying
    safetensors.save(sys.argv[1], {"a": dt.ones(200000), "b": dt.ones(200000)})
"""


def test_kill_in_mid_write_leaves_the_old_file(path):
    safetensors.save(path, {"old": dt.tensor([1.0])})
    before = path.read_bytes()
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(path)],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len(done.stdout.split()) == 2, "the kill came before or after the write"
    assert path.read_bytes() == before
    assert safetensors.load(path)["old"].tolist() == [1.0]
    safetensors.save(path, {"new": 1})
    assert safetensors.load(path) == {"new": 1}


def test_symlink_stays_and_its_target_is_replaced(tmp_path):
    target, link = tmp_path / "target.safetensors", tmp_path / "link.safetensors"
    safetensors.save(target, {"old": 1})
    link.symlink_to(target)
    safetensors.save(link, {"new": 1})
    assert link.is_symlink()
    assert safetensors.load(target) == {"new": 1}
