"""Files there and back with an installed PyTorch: run with `--oracle torch`."""

from __future__ import annotations

import io
import zipfile
from collections import Counter, OrderedDict

import numpy as np
import pytest

import devtensor
from devtensor.core.dtype import DTYPES

FORMATS = [True, False]


def ours_to_torch(torch, state, zipped=True):
    buffer = io.BytesIO()
    devtensor.save(state, buffer, _use_new_zipfile_serialization=zipped)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


def torch_to_ours(torch, state, zipped=True):
    buffer = io.BytesIO()
    torch.save(state, buffer, _use_new_zipfile_serialization=zipped)
    buffer.seek(0)
    return devtensor.load(buffer)


def there_and_back(torch, state, zipped=True):
    return torch_to_ours(torch, ours_to_torch(torch, state, zipped), zipped)


# PyTorch's old format has no names for the others.
NAMED = [name for name in DTYPES if not name.startswith(("uint16", "uint32", "uint64", "float8"))]


@pytest.mark.parametrize(("name", "zipped"), [(n, True) for n in DTYPES] + [(n, False) for n in NAMED])
def test_every_dtype(torch, name, zipped):
    values = devtensor.tensor([0, 1, 1]).to(DTYPES[name])
    theirs = ours_to_torch(torch, values, zipped)
    assert theirs.dtype is getattr(torch, name) and theirs.tolist() == [0, 1, 1]
    found = there_and_back(torch, values, zipped)
    assert found.dtype is DTYPES[name] and found.tolist() == [0, 1, 1]


@pytest.mark.parametrize("zipped", FORMATS)
def test_views(torch, zipped):
    base = devtensor.arange(24.0).reshape(2, 3, 4)
    state = [base, base.permute(2, 0, 1), base[:, 1:, ::2], base[1, 2, 3], base[:, :0], base.unfold(2, 2, 1)]
    theirs = ours_to_torch(torch, state, zipped)
    found = there_and_back(torch, state, zipped)
    for a, b, c in zip(state, theirs, found, strict=True):
        assert a.tolist() == b.tolist() == c.tolist() and tuple(a.shape) == tuple(b.shape) == tuple(c.shape)
        if a.numel():
            assert a.stride() == b.stride() == c.stride()
            assert a.storage_offset() == b.storage_offset() == c.storage_offset()
    assert len({value.untyped_storage().data_ptr() for value in theirs}) == 1
    theirs[0].fill_(2)
    assert theirs[3] == 2


@pytest.mark.parametrize("zipped", FORMATS)
def test_states(torch, zipped):
    weight = devtensor.nn.Parameter(devtensor.ones(2))
    weight.tag = "hung on"
    ordered = OrderedDict(b=1, a=2)
    ordered._metadata = {"": {"version": 3}}
    state = {
        "weight": weight,
        "tied": weight,
        "leaf": devtensor.ones(2, requires_grad=True),
        "inside": devtensor.ones(2, requires_grad=True) * 2,
        "words": [devtensor.Size([1, 2]), devtensor.bfloat16, devtensor.device("cuda", 1), devtensor.strided],
        "containers": [ordered, Counter("aab"), {1, 2}, (1, (2,)), b"\x00\xff", 1j, 2**70, None],
        "buffer": devtensor.nn.Buffer(devtensor.ones(2)),
        "meta": devtensor.empty(2, 3, device="meta"),
    }
    theirs = ours_to_torch(torch, state, zipped)
    assert type(theirs["weight"]) is torch.nn.Parameter and theirs["tied"] is theirs["weight"]
    assert theirs["weight"].tag == "hung on" and theirs["leaf"].requires_grad
    assert theirs["words"] == [torch.Size([1, 2]), torch.bfloat16, torch.device("cuda", 1), torch.strided]
    assert theirs["containers"][0]._metadata == ordered._metadata
    assert theirs["containers"] == state["containers"]
    assert theirs["meta"].device.type == "meta"
    found = there_and_back(torch, state, zipped)
    assert type(found["weight"]) is devtensor.nn.Parameter and found["tied"] is found["weight"]
    assert found["words"] == state["words"] and found["containers"] == state["containers"]


def test_models_and_optimizers(torch):
    model = devtensor.nn.Sequential(
        devtensor.nn.Linear(3, 4), devtensor.nn.BatchNorm1d(4), devtensor.nn.Linear(4, 1)
    )
    optimizer = devtensor.optim.Adam(model.parameters(), lr=0.01)
    inputs = devtensor.randn(5, 3)
    model(inputs).square().mean().backward()
    optimizer.step()
    theirs = ours_to_torch(torch, {"model": model.state_dict(), "optimizer": optimizer.state_dict()})
    twin = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1))
    twin.load_state_dict(theirs["model"])
    follower = torch.optim.Adam(twin.parameters())
    follower.load_state_dict(theirs["optimizer"])
    given = torch.tensor(inputs.tolist())
    for _ in range(2):
        for net, steps, batch in ((model, optimizer, inputs), (twin, follower, given)):
            steps.zero_grad()
            net(batch).square().mean().backward()
            steps.step()
    np.testing.assert_allclose(model(inputs).tolist(), twin(given).tolist(), rtol=1e-4, atol=1e-5)
    back = torch_to_ours(torch, {"model": twin.state_dict(), "optimizer": follower.state_dict()})
    model.load_state_dict(back["model"])
    optimizer.load_state_dict(back["optimizer"])


def test_whole_modules(torch):
    model = devtensor.nn.Sequential(devtensor.nn.Linear(2, 3), devtensor.nn.ReLU())
    buffer = io.BytesIO()
    devtensor.save(model, buffer)
    buffer.seek(0)
    twin = torch.load(buffer, weights_only=False)
    assert twin(torch.ones(2)).tolist() == pytest.approx(model(devtensor.ones(2)).tolist())


@pytest.mark.parametrize("name", DTYPES)
def test_mapped_by_pytorch(torch, tmp_path, name):
    path = tmp_path / "m.pt"
    values = [devtensor.tensor([1, 0, 1]).to(DTYPES[name]), devtensor.empty(0), devtensor.arange(9)]
    devtensor.save(values, path)
    found = torch.load(path, mmap=True)
    assert found[0].tolist() == [1, 0, 1] and found[2].tolist() == list(range(9))


def test_the_archives_are_laid_out_alike(torch):
    """Same records at the same places, but for the pickle, whose memo may be numbered otherwise."""
    ours, theirs = io.BytesIO(), io.BytesIO()
    devtensor.save({"a": devtensor.arange(3.0), "b": devtensor.empty(0), "c": devtensor.ones(99)}, ours)
    torch.save({"a": torch.arange(3.0), "b": torch.empty(0), "c": torch.ones(99)}, theirs)
    with zipfile.ZipFile(ours) as a, zipfile.ZipFile(theirs) as b:
        for one, other in zip(a.infolist(), b.infolist(), strict=True):
            assert (one.filename, one.flag_bits, one.file_size) == (
                other.filename,
                other.flag_bits,
                other.file_size,
            )
            assert (one.header_offset, one.compress_type, one.extra) == (
                other.header_offset, other.compress_type, other.extra,
            )  # fmt: skip
            if not one.filename.endswith("serialization_id"):
                assert a.read(one) == b.read(other), one.filename


def test_unsafe_globals_are_told_alike(torch):
    buffer = io.BytesIO()
    torch.save([torch.nn.Linear(1, 1), np.float64(1)], buffer)
    buffer.seek(0)
    theirs = torch.serialization.get_unsafe_globals_in_checkpoint(buffer)
    buffer.seek(0)
    assert sorted(devtensor.serialization.get_unsafe_globals_in_checkpoint(buffer)) == sorted(theirs)


def test_lazy_views(torch):
    values = torch.tensor([1 + 2j, 3 - 1j])
    assert torch_to_ours(torch, values.conj()).tolist() == [1 - 2j, 3 + 1j]
    assert torch_to_ours(torch, values.conj().imag).tolist() == [-2, 1]
