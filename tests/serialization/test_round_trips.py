"""What `save` wrote comes back as it was, in the zip format and in the old one."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections import Counter, OrderedDict, defaultdict

import numpy as np
import pytest

import devtensor
from devtensor import nn
from devtensor.core.dtype import DTYPES
from devtensor.core.errors import CheckpointError
from devtensor.serialization import saving, zip_writing
from devtensor.serialization.legacy import MAGIC_NUMBER, PROTOCOL_VERSION, SYSTEM
from devtensor.serialization.storing import StorageTable
from pt_archives import FORMATS, again, rewritten


@pytest.mark.parametrize("zipped", FORMATS)
@pytest.mark.parametrize("name", DTYPES)
def test_every_dtype(name, zipped):
    dtype = DTYPES[name]
    values = devtensor.tensor([0, 1, 1, 0, 1]).to(dtype)
    found = again(values, zipped)
    assert found.dtype is dtype and found.tolist() == values.tolist()


@pytest.mark.parametrize("zipped", FORMATS)
def test_memory_that_is_shared_stays_shared(zipped):
    base = devtensor.arange(12.0).reshape(3, 4)
    state = [base, base.t(), base[1:, ::2], base.view(-1)[5], base]
    found = again(state, zipped)
    for ours, theirs in zip(state, found, strict=True):
        assert theirs.tolist() == ours.tolist() and theirs.stride() == ours.stride()
    assert found[4] is found[0]
    found[0].fill_(3)
    assert found[1].tolist() == [[3.0] * 3] * 4 and found[3] == 3
    assert len({value.untyped_storage().data_ptr() for value in found}) == 1


def test_memory_that_is_not_shared_does_not_become_so():
    a = devtensor.zeros(3)
    first, second = again([a, a.clone()])
    first += 1
    assert second.tolist() == [0, 0, 0]


def test_the_whole_storage_is_saved_for_a_view():
    found = again(devtensor.arange(10)[2:4])
    assert found.untyped_storage().nbytes() == 80 and found.storage_offset() == 2


LAYOUTS = {
    "transposed": np.arange(12.0).reshape(3, 4).T,
    "gaps": np.arange(12.0)[::3],
    "inner gaps": np.arange(24.0).reshape(2, 3, 4)[:, 1],
}


@pytest.mark.parametrize("array", LAYOUTS.values(), ids=LAYOUTS)
def test_arrays_of_any_layout(array):
    lent = devtensor.from_numpy(array)
    found = again([lent, lent[1:], lent])
    assert found[0].tolist() == array.tolist() and found[1].tolist() == array[1:].tolist()
    assert found[2] is found[0]


def test_tensors_of_every_form():
    for value in (
        devtensor.tensor(3.5),
        devtensor.empty(0),
        devtensor.empty(2, 0, 3),
        devtensor.ones(1).expand(4),
    ):
        found = again(value)
        assert found.shape == value.shape and found.tolist() == value.tolist()


def test_gradients_wanted_and_parameters():
    weight = nn.Parameter(devtensor.ones(2))
    weight.tag = ["hung", "on"]
    hooked = devtensor.ones(2, requires_grad=True)
    hooked.register_hook(lambda gradient: gradient)
    found = again({"weight": weight, "tied": weight, "hooked": hooked, "inside": hooked * 2})
    assert type(found["weight"]) is nn.Parameter and found["tied"] is found["weight"]
    assert found["weight"].tag == ["hung", "on"]
    assert found["hooked"].requires_grad and found["inside"].is_leaf and found["inside"].requires_grad
    found["weight"].sum().backward()
    assert found["weight"].grad.tolist() == [1, 1]


@pytest.mark.parametrize("zipped", FORMATS)
def test_containers(zipped):
    state = {
        "numbers": [0, -1, 255, 65536, 2**40, -(2**70), 0.1, float("inf")],
        "texts": ["", "\u00e9\U0001f600", "a" * 300],
        "bytes": [b"\x00\xff", bytearray(b"ab")],
        "sets": [{1, 2}, frozenset({3}), set()],
        "tuples": ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)),
        "complex": 1 - 2j,
        "none": None,
        (1, "key"): True,
    }
    assert again(state, zipped) == state


def test_containers_of_their_own_kinds():
    state = OrderedDict(b=Counter("aab"), a=defaultdict(list, {"k": [1]}))
    state._metadata = {"": {"version": 1}}
    found = again(state)
    assert (
        type(found) is OrderedDict and list(found) == ["b", "a"] and found._metadata == {"": {"version": 1}}
    )
    assert type(found["b"]) is Counter and found["a"].default_factory is list


def test_words_of_ours():
    state = [devtensor.Size([1, 2]), devtensor.float16, devtensor.device("cuda:1"), devtensor.strided]
    found = again(state)
    assert found == state and type(found[0]) is devtensor.Size


def test_a_list_that_holds_itself():
    state: list = [1]
    state.append(state)
    found = again(state)
    assert found[1] is found


def test_storages():
    values = devtensor.arange(3.0)
    tensor, typed = again([values, values.storage()])
    assert typed.tolist() == [0, 1, 2] and typed.dtype is devtensor.float32
    tensor[0] = 7
    assert typed[0] == 7
    assert again(values.untyped_storage()).tolist() == values.untyped_storage().tolist()


def test_one_memory_of_two_dtypes_is_refused():
    values = devtensor.ones(2)
    with pytest.raises(RuntimeError, match="view the same data as different types"):
        again([values, values.view(devtensor.int32)])


def test_numpy_scalars_once_they_are_safe():
    state = {"loss": np.float64(0.5)}
    with pytest.raises(pickle.UnpicklingError, match="scalar was not an allowed global"):
        again(state)
    scalar = np.float64(1).__reduce__()[0]
    with devtensor.serialization.safe_globals([scalar, np.dtype, type(np.dtype(np.float64))]):
        assert again(state) == state


def test_models_and_optimizers_go_on():
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
    optimizer = devtensor.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(devtensor.randn(4, 2)).sum().backward()
    optimizer.step()
    found = again({"model": model.state_dict(), "optimizer": optimizer.state_dict()})
    assert str(model.load_state_dict(found["model"])) == "<All keys matched successfully>"
    optimizer.load_state_dict(found["optimizer"])
    with devtensor.serialization.safe_globals([nn.Sequential, nn.Linear, nn.BatchNorm1d]):
        whole = again(model)
    assert str(whole) == str(model)
    assert [p.tolist() for p in whole.parameters()] == [p.tolist() for p in model.parameters()]


def test_the_records_stand_as_pytorch_lays_them():
    buffer = io.BytesIO()
    devtensor.save([devtensor.ones(3), devtensor.ones(5), devtensor.empty(0)], buffer)
    with zipfile.ZipFile(buffer) as archive:
        assert archive.testzip() is None
        names = [entry.filename.partition("/")[2] for entry in archive.infolist()]
        assert names == [
            "data.pkl", ".format_version", ".storage_alignment", "byteorder", "data/0", "data/1", "data/2",
            "version", ".data/serialization_id",
        ]  # fmt: skip
        content = buffer.getvalue()
        for entry in archive.infolist():
            name_size, extra_size = np.frombuffer(content, "<u2", 2, entry.header_offset + 26).tolist()
            assert (entry.header_offset + 30 + name_size + extra_size) % 64 == 0
        assert archive.read("archive/version") == b"3\n" and archive.read("archive/byteorder") == b"little"
        assert len(archive.read("archive/.data/serialization_id")) == 40


def test_files_larger_than_32_bits_can_tell(monkeypatch):
    """The limit is lowered, so that small records are written, and read, as huge ones are."""
    monkeypatch.setattr(zip_writing, "WIDE", 16)
    buffer = io.BytesIO()
    writer = zip_writing.ZipWriter(buffer.write, "archive")
    writer.write("small", b"1")
    writer.write("large", b"x" * 40)
    monkeypatch.undo()
    entries = [zip_writing._directory_entry(record) for record in writer.records]
    assert [len(entry) for entry in entries] == [46 + 13] * 2
    monkeypatch.setattr(zip_writing, "WIDE", 16)
    assert [len(zip_writing._directory_entry(r)) - 46 - 13 for r in writer.records] == [0, 28]


def test_big_endian_files():
    found = io.BytesIO()
    devtensor.save(
        {"x": devtensor.arange(4.0), "y": devtensor.tensor([1 + 2j]), "z": devtensor.tensor([True])}, found
    )
    swapped = rewritten(found.getvalue(), {
        "byteorder": b"big",
        "data/0": np.arange(4, dtype=">f4").tobytes(),
        "data/1": np.array([1 + 2j], ">c8").tobytes(),
    })  # fmt: skip
    state = devtensor.load(io.BytesIO(swapped))
    assert state["x"].tolist() == [0, 1, 2, 3] and state["y"].tolist() == [1 + 2j]
    assert state["z"].tolist() == [True]


def test_the_default_byte_order_is_for_files_that_name_none():
    buffer = io.BytesIO()
    devtensor.save(devtensor.arange(3.0), buffer)
    content = rewritten(buffer.getvalue(), {"byteorder": None, "data/0": np.arange(3, dtype=">f4").tobytes()})
    serialization = devtensor.serialization
    serialization.set_default_load_endianness(serialization.LoadEndianness.BIG)
    try:
        assert devtensor.load(io.BytesIO(content)).tolist() == [0, 1, 2]
    finally:
        serialization.set_default_load_endianness(None)
    with pytest.raises(TypeError):
        serialization.set_default_load_endianness("big")


def test_skipped_data_leave_room():
    values = devtensor.ones(100)
    whole, empty = io.BytesIO(), io.BytesIO()
    devtensor.save(values, whole)
    with devtensor.serialization.skip_data():
        devtensor.save(values, empty)
        whole.seek(0)
        assert devtensor.load(whole).sum() == 0
    assert len(empty.getvalue()) == len(whole.getvalue())
    empty.seek(0)
    with devtensor.serialization.skip_data():
        assert devtensor.load(empty).shape == (100,)
    empty.seek(0)
    assert devtensor.load(empty).tolist() == [0.0] * 100


def test_safetensors_files_load_by_their_name(tmp_path):
    from devtensor.utils import safetensors

    safetensors.save(tmp_path / "m.safetensors", {"w": devtensor.ones(2)})
    assert devtensor.load(tmp_path / "m.safetensors")["w"].tolist() == [1, 1]


def test_arguments_that_pytorch_takes():
    assert again([1], weights_only=True) == again([1], weights_only=False) == [1]
    assert again([1], pickle_module=pickle) == [1]
    with pytest.raises(RuntimeError, match="explicit pickle_module"):
        again([1], pickle_module=pickle, weights_only=True)
    with pytest.warns(UserWarning, match="pickle_load_args"):
        again([1], encoding="latin1")
    buffer = io.BytesIO()
    devtensor.save([1], buffer, pickle, 4)
    with pytest.raises(CheckpointError):
        devtensor.load(io.BytesIO(buffer.getvalue()[:-5]))


def test_parts_of_storages_in_the_old_format():
    """Files of PyTorch 0.1 name stretches of storages; no PyTorch of today writes them."""
    table = StorageTable()
    whole, part = devtensor.arange(6.0), devtensor.arange(6.0)[:3]
    content = [saving._pickled(header, table) for header in (MAGIC_NUMBER, PROTOCOL_VERSION, SYSTEM)]
    content.append(saving._pickled(part, table, trailing=(("part", 2, 3),)))
    content.append(saving._pickled(["0"], table))
    content += [struct.pack("<q", 6), bytes(whole.numpy().tobytes())]
    assert devtensor.load(io.BytesIO(b"".join(content))).tolist() == [2, 3, 4]
    content[3] = saving._pickled(part, StorageTable(), trailing=(("part", 4, 3),))
    with pytest.raises(CheckpointError, match="reaches beyond it"):
        devtensor.load(io.BytesIO(b"".join(content)))
