"""Files that PyTorch wrote, read without PyTorch; tests/data/make_pt.py says what they hold."""

from __future__ import annotations

import importlib.util
import io
import pickle
import sys
from collections import Counter, OrderedDict
from pathlib import Path

import numpy as np
import pytest

import devtensor
from devtensor import nn
from devtensor.core.errors import CheckpointError

FILES = Path(__file__).parents[1] / "data" / "pt"


def counted(*shape):
    return devtensor.arange(float(np.prod(shape))).reshape(*shape)


def same(a, b):
    return a.dtype is b.dtype and a.shape == b.shape and a.tolist() == b.tolist()


def check_views(found):
    base = counted(3, 4)
    assert same(found["base"], base)
    assert same(found["transposed"], base.t()) and found["transposed"].stride() == (1, 4)
    assert same(found["part"], base[1:, 1:3]) and found["part"].storage_offset() == 5
    assert same(found["strided"], base.reshape(-1)[1::5]) and found["strided"].stride() == (5,)
    assert same(found["expanded"], devtensor.ones(2, 3) * 7) and found["expanded"].stride() == (0, 0)
    assert same(found["number"], devtensor.tensor(5))
    assert same(found["empty"], devtensor.empty(0, 3))
    assert found["channels_last"].stride() == (8, 1, 4, 2)
    assert same(found["channels_last"], counted(1, 2, 2, 2))
    found["transposed"][0, 0] = 50
    assert found["base"][0, 0] == 50
    found["strided"][1] = 60
    assert found["base"][1, 2] == 60 and found["part"][0, 1] == 60


def test_every_dtype():
    found = devtensor.load(FILES / "dtypes.pt")
    assert len(found) == 17
    for name, value in found.items():
        assert value.dtype is getattr(devtensor, name)
        assert value.tolist() == [0, 1, 1, 0, 1]


def test_views_share_their_storage():
    check_views(devtensor.load(FILES / "views.pt"))


def test_views_share_their_storage_when_mapped(tmp_path):
    path = tmp_path / "views.pt"
    path.write_bytes((FILES / "views.pt").read_bytes())
    check_views(devtensor.load(path, mmap=True))
    assert path.read_bytes() == (FILES / "views.pt").read_bytes()


def test_the_old_format():
    found = devtensor.load(FILES / "legacy.pt")
    check_views(found)
    assert isinstance(found["parameter"], nn.Parameter)
    assert same(found["half"], devtensor.ones(2).half())


def test_containers_and_words():
    found = devtensor.load(FILES / "containers.pt")
    assert found["list"] == [1, -2, 3.5, 10**30, None, True, "text \u00e9"]
    assert found["tuple"] == (1, (2, (3,)))
    assert found["bytes"] == b"\x00\xff" and found["bytearray"] == bytearray(b"ab")
    assert found["set"] == {1, 2} and found["complex"] == 1 - 2j
    assert found["counter"] == Counter("aab") and type(found["counter"]) is Counter
    assert found["ordered"] == OrderedDict([("b", 1), ("a", 2)])
    assert found["size"] == devtensor.Size([2, 3]) and type(found["size"]) is devtensor.Size
    assert found["dtype"] is devtensor.bfloat16 and found["layout"] is devtensor.strided
    assert found["device"] == devtensor.device("cuda", 1) and found["cpu"] == devtensor.device("cpu")
    assert found["tagged"].tag == "hung on" and found["tagged"].tolist() == [0, 1]
    assert found["conjugated"].tolist() == [1 - 2j]
    meta = found["meta"]
    assert meta.device.type == "meta" and meta.shape == (2, 3) and meta.dtype is devtensor.float16


def test_parameters():
    found = devtensor.load(FILES / "parameters.pt")
    assert type(found["weight"]) is nn.Parameter and found["weight"].requires_grad
    assert found["tied"] is found["weight"]
    assert not found["named"].requires_grad and found["named"]._is_initialized is True
    assert found["leaf"].requires_grad and found["leaf"].is_leaf
    assert found["inside"].requires_grad and found["inside"].is_leaf
    (found["weight"] ** 2).sum().backward()
    assert same(found["weight"].grad, 2 * found["weight"].detach())


def test_a_model_and_its_optimizer_go_on():
    found = devtensor.load(FILES / "training.pt")
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 1))
    assert found["model"]._metadata["1"] == {"version": 2}
    assert str(model.load_state_dict(found["model"])) == "<All keys matched successfully>"
    model.eval()
    np.testing.assert_allclose(model(found["inputs"]).detach(), found["outputs"], rtol=1e-5, atol=1e-6)
    optimizer = devtensor.optim.Adam(model.parameters(), lr=0.5)
    optimizer.load_state_dict(found["optimizer"])
    assert optimizer.param_groups[0]["lr"] == 0.01
    before = model[0].weight.detach().clone()
    model(found["inputs"]).square().mean().backward()
    optimizer.step()
    assert not same(before, model[0].weight.detach())


def test_a_whole_module_loads_once_its_classes_are_safe():
    with pytest.raises(
        pickle.UnpicklingError, match=r"torch\.nn\.modules\.container\.Sequential was not an allowed"
    ):
        devtensor.load(FILES / "module.pt", weights_only=False)
    named = devtensor.serialization.get_unsafe_globals_in_checkpoint(FILES / "module.pt")
    assert [name.rpartition(".")[2] for name in named] == ["Sequential", "Linear", "ReLU"]
    with devtensor.serialization.safe_globals([nn.Sequential, nn.Linear, nn.ReLU]):
        found = devtensor.load(FILES / "module.pt")
    assert devtensor.serialization.get_safe_globals() == []
    assert found(devtensor.ones(5, 2)).shape == (5, 3)


def test_a_whole_module_of_the_old_format():
    with pytest.raises(pickle.UnpicklingError, match="Sequential was not an allowed"):
        devtensor.load(FILES / "legacy_module.pt")
    with devtensor.serialization.safe_globals([nn.Sequential, nn.Linear, nn.ReLU]):
        found = devtensor.load(FILES / "legacy_module.pt")
        twin = devtensor.load(FILES / "module.pt")
    assert found(devtensor.ones(2)).tolist() == twin(devtensor.ones(2)).tolist()


def test_without_cuda_the_error_says_what_to_do():
    if not devtensor.cuda.is_available():
        with pytest.raises(RuntimeError, match=r"CUDA device but .*is_available\(\) is False.*map_location"):
            devtensor.load(FILES / "cuda.pt")
    for place in ("cpu", devtensor.device("cpu"), {"cuda:0": "cpu"}, lambda storage, tag: storage):
        assert same(devtensor.load(FILES / "cuda.pt", map_location=place)["x"], counted(3))


@pytest.mark.cuda
def test_on_cuda_it_goes_back_to_where_it_was():
    assert devtensor.load(FILES / "cuda.pt")["x"].device == devtensor.device("cuda:0")


def test_what_has_no_counterpart_is_named():
    with pytest.raises(pickle.UnpicklingError, match="sparse tensors"):
        devtensor.load(FILES / "sparse.pt")
    with pytest.raises(RuntimeError, match="TorchScript archive"):
        devtensor.load(FILES / "script.pt")
    with pytest.raises(ValueError, match="torchscript"):
        devtensor.serialization.get_unsafe_globals_in_checkpoint(FILES / "script.pt")


def test_a_file_without_checksums():
    assert same(devtensor.load(FILES / "unchecked.pt"), counted(2, 2))


def test_loading_imports_no_torch():
    if importlib.util.find_spec("torch") is None or "torch" not in sys.modules:
        devtensor.load(FILES / "views.pt")
        assert "torch" not in sys.modules


def test_the_format_ends_where_it_ends():
    data = (FILES / "legacy.pt").read_bytes()
    stream = io.BytesIO(data + data)
    assert same(devtensor.load(stream)["base"], counted(3, 4))
    assert stream.tell() == len(data)
    assert same(devtensor.load(stream)["base"], counted(3, 4))
    assert stream.tell() == 2 * len(data)


def test_mapping_needs_a_path_and_the_zip_format():
    with pytest.raises(ValueError, match="f must be a file path in order to use the mmap argument"):
        devtensor.load(io.BytesIO((FILES / "views.pt").read_bytes()), mmap=True)
    with pytest.raises(CheckpointError, match="mmap can only be used with files saved with"):
        devtensor.load(FILES / "legacy.pt", mmap=True)
