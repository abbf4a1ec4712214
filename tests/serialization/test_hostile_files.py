"""Files that lie, are damaged, or want code run: a clear error, no code, no memory beyond the file's size."""

from __future__ import annotations

import io
import pickle
import random
import struct
import tracemalloc
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest

import devtensor
from devtensor.core.errors import CheckpointError, DeviceError
from devtensor.serialization import zip_writing
from pt_archives import rewritten

FILES = Path(__file__).parents[1] / "data" / "pt"
RAN: list[str] = []


def saved(state=None) -> bytes:
    buffer = io.BytesIO()
    devtensor.save([devtensor.arange(6.0)] if state is None else state, buffer)
    return buffer.getvalue()


def load(content: bytes, **arguments):
    return devtensor.load(io.BytesIO(content), **arguments)


def with_pickle(content: bytes, **records: bytes) -> bytes:
    return rewritten(saved(), {"data.pkl": content, **records})


def refused(content: bytes, match: str = r"^\[load\]") -> None:
    with pytest.raises(CheckpointError, match=match):
        load(content)


class Runs:
    """An object whose pickle calls a function."""

    def __init__(self, function, *args) -> None:
        self.call = function, args

    def __reduce__(self):
        return self.call


def note(text: str) -> str:
    RAN.append(text)
    return text


CODE = {
    "a function": (note, "ran"),
    "eval": (eval, "RAN.append('ran')"),
    "exec": (exec, "import os"),
    "getattr": (getattr, "x", "join"),
    "open": (open, "a file"),
    "print": (print, "ran"),
    "import": (__import__, "os"),
    "a class": (Path, "x"),
    "a lot of bytes": (bytearray, 1 << 40),
    "a builtin container of much": (list, range(10)),
}


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("name", CODE)
@pytest.mark.parametrize("weights_only", [None, False])
def test_no_code_runs(name, protocol, weights_only):
    content = pickle.dumps(Runs(*CODE[name]), protocol)
    for file in (with_pickle(content), old_format(content)):
        with pytest.raises(pickle.UnpicklingError):
            load(file, weights_only=weights_only)
    assert not RAN


def old_format(content: bytes) -> bytes:
    from devtensor.serialization.legacy import MAGIC_NUMBER, PROTOCOL_VERSION, SYSTEM

    headers = (pickle.dumps(value, 2) for value in (MAGIC_NUMBER, PROTOCOL_VERSION, SYSTEM))
    return b"".join((*headers, content, pickle.dumps([], 2)))


def test_modules_of_the_system_stay_closed_whatever_is_made_safe():
    import os

    with devtensor.serialization.safe_globals([(os.getcwd, "posix.getcwd"), (os.getcwd, "os.getcwd")]):
        refused(with_pickle(b"\x80\x02cposix\ngetcwd\n)R."), "blocked")
        refused(with_pickle(b"\x80\x02cos\ngetcwd\n)R."), "blocked")


# Pickles that abuse what is allowed.
ABUSES = {
    "calls a dtype": b"\x80\x02ctorch\nfloat32\n)R.",
    "calls a tensor's class": b"\x80\x02ctorch\nTensor\nK\x03\x85R.",
    "makes an object of a tensor's class": b"\x80\x02ctorch\nTensor\n)\x81.",
    "fills a class": b"\x80\x02ctorch\nTensor\n}X\x03\x00\x00\x00addNsb.",
    "fills a class's slots": b"\x80\x02ctorch\nTensor\nN}X\x03\x00\x00\x00addNs\x86b.",
    "fills a list": b"\x80\x02]}b.",
    "hides a method of a dict": b"\x80\x02ccollections\nOrderedDict\n)R}X\x05\x00\x00\x00itemsNsb.",
    "appends to a class": b"\x80\x02ctorch\nTensor\nNa.",
    "sets an item of a class": b"\x80\x02ctorch\nTensor\nNNs.",
    "calls a text": b"\x80\x02X\x01\x00\x00\x00a)R.",
    "calls with a list": b"\x80\x02ccollections\nOrderedDict\n]R.",
    "decodes with another codec": b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x03\x00\x00\x00zip\x86R.",
    "makes many bytes": b"\x80\x02c__builtin__\nbytearray\nJ\xff\xff\xff\x7f\x85R.",
    "makes a set of a text": b"\x80\x02c__builtin__\nset\nX\x01\x00\x00\x00a\x85R.",
    "names a device by a number": b"\x80\x02ctorch\ndevice\nK\x01\x85R.",
    "makes a Size of texts": b"\x80\x02ctorch\nSize\n(X\x01\x00\x00\x00at\x85R.",
    "makes a negative Size": b"\x80\x02ctorch\nSize\n(J\xff\xff\xff\xfft\x85R.",
    "lets a defaultdict call": b"\x80\x02ccollections\ndefaultdict\nctorch\nTensor\n\x85R.",
    "asks for a strange layout": b"\x80\x02ctorch.serialization\n_get_layout\nX\x01\x00\x00\x00x\x85R.",
    "has an id that is no tuple": b"\x80\x02K\x01Q.",
    "has an id of another kind": b"\x80\x02X\x06\x00\x00\x00moduleNNN(tQ.",
    "remembers nothing": b"\x80\x02h\x05.",
    "puts beyond the stack": b"\x80\x02q\x05.",
    "pops an empty stack": b"\x80\x020.",
    "unmarks without a mark": b"\x80\x02t.",
    "ends at once": b"\x80\x02.",
    "never ends": b"\x80\x02N",
    "is empty": b"",
    "is of a protocol of the future": b"\x80\x77N.",
    "has an opcode that does not exist": b"\x80\x02\xff.",
    "uses extension codes": b"\x80\x02\x82\x01.",
    "makes an instance the old way": b"(i__main__\nRuns\n.",
    "has a text longer than the file": b"\x80\x02X\xff\xff\xff\x7fa.",
    "has bytes longer than memory": b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7fa.",
    "has an integer of many digits": b"I" + b"9" * 100_000 + b"\n.",
    "has a text that is none": b"\x80\x02X\x02\x00\x00\x00\xff\xfe.",
    "has a key that cannot be one": b"\x80\x02}]Ns.",
    "has a key nested deep": b"\x80\x02})" + b"\x85" * 200_000 + b"Ns.",
    "has a key nested wide": b"\x80\x02})" + b"2\x86" * 60 + b"Ns.",
    "has a set of keys nested deep": b"\x80\x04\x8f()" + b"\x85" * 200_000 + b"\x90.",
    "has half a pair": b"\x80\x02}(Nu.",
}


@pytest.mark.parametrize("name", ABUSES)
def test_abuse_of_what_is_allowed(name):
    refused(with_pickle(ABUSES[name]))
    with pytest.raises((CheckpointError, EOFError)):
        load(old_format(ABUSES[name]))
    assert devtensor.Tensor.add is not None


def test_nesting_without_end_is_no_crash():
    found = load(with_pickle(b"\x80\x02" + b"]" * 50_000 + b"a" * 49_999 + b"."))
    assert type(found) is list


def rebuilt(
    offset=0,
    size=(6,),
    stride=(1,),
    count=6,
    kind="FloatStorage",
    key="0",
    function="_rebuild_tensor_v2",
    grad=False,
    hooks=None,
    extra=(),
) -> bytes:
    """A pickle of a tensor on the storage of six floats, with some numbers changed."""
    from devtensor.serialization.names import torch_name
    from devtensor.serialization.pickling import TorchPickler
    from devtensor.serialization.storing import StorageTable, Stored

    stored = Stored(key, torch_name(f"torch.{kind}"), "cpu", count, devtensor.float32)
    facts = (stored, offset, size, stride, grad, OrderedDict() if hooks is None else hooks, *extra)

    class Names(Runs):
        def __reduce__(self):
            return torch_name(f"torch._utils.{function}"), facts

    buffer = io.BytesIO()
    named = lambda s: ("storage", s.type, s.key, s.location, s.count)  # noqa: E731
    TorchPickler(buffer, StorageTable(), named).dump([Names(note)])
    return with_pickle(buffer.getvalue())


LIES = {
    "reaches beyond": dict(size=(7,)),
    "starts beyond": dict(offset=6, size=(1,)),
    "starts before": dict(offset=-1),
    "steps beyond": dict(size=(3,), stride=(3,)),
    "steps back": dict(offset=5, stride=(-1,)),
    "has a negative size": dict(size=(-6,)),
    "is enormous": dict(size=(1 << 60,), stride=(0,)),
    "overflows": dict(size=(1 << 40, 1 << 40), stride=(0, 0)),
    "overflows beside nothing": dict(size=(0, 1 << 40, 1 << 40), stride=(0, 0, 0)),
    "has many dims": dict(size=(1,) * 100, stride=(1,) * 100),
    "has too few strides": dict(size=(2, 3), stride=(1,)),
    "has sizes that are no ints": dict(size=(6.0,)),
    "has a size that is true": dict(size=(True,)),
    "has an offset that is no int": dict(offset="0"),
    "has a larger storage than the file": dict(count=1 << 40, size=(1,)),
    "has a smaller storage than the record": dict(count=5, size=(5,)),
    "has a negative storage": dict(count=-6),
    "has a storage of another width": dict(kind="DoubleStorage"),
    "has a storage that is not there": dict(key="7"),
    "walks out of the archive": dict(key="../../data.pkl"),
    "has hooks": dict(hooks={1: "hook"}),
    "wants a gradient by a text": dict(grad="yes"),
    "wants a gradient of integers": dict(kind="IntStorage", grad=True),
    "has metadata of another kind": dict(extra=([1],)),
    "repeats without end and negates": dict(size=(1 << 40,), stride=(0,), extra=({"neg": True},)),
    "has a parameter of nothing": dict(function="_rebuild_parameter"),
}


@pytest.mark.parametrize("name", LIES)
def test_tensors_that_lie(name):
    tracemalloc.start()
    try:
        refused(rebuilt(**LIES[name]))
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_the_same_tensor_that_tells_the_truth():
    assert load(rebuilt())[0].tolist() == list(range(6))
    assert load(rebuilt(size=(1 << 40,), stride=(0,)))[0].shape == (1 << 40,)


def test_attributes_cannot_hide_what_tensors_can():
    class Named(devtensor.Tensor):
        pass

    values = devtensor.ones(2)
    values.__dict__["add"] = "hidden"
    refused(saved(values), "its class's own")
    values = devtensor.nn.Parameter(devtensor.ones(2))
    values.__dict__["backward"] = "hidden"
    refused(saved(values), "its class's own")


def archive(*records: tuple[str, bytes], folder="archive") -> bytes:
    buffer = io.BytesIO()
    writer = zip_writing.ZipWriter(buffer.write, folder)
    for name, data in records:
        writer.write(name, data)
    writer.close()
    return buffer.getvalue()


GOOD = ("data.pkl", pickle.dumps([1], 2))


def test_names_in_the_directory():
    assert load(archive(GOOD)) == [1]
    refused(archive(GOOD, GOOD), "stands twice")
    refused(archive(GOOD, ("../evil", b"")), "no name of a record")
    refused(archive(GOOD, ("data//0", b"")), "no name of a record")
    refused(archive(GOOD, ("data\\0", b"")), "no name of a record")
    refused(archive(GOOD, folder=""), "no name of a record")
    refused(archive(("other.pkl", b"")), "holds no record 'data.pkl'")
    refused(archive(GOOD).replace(b"archive/version", b"another/version"), "folder of its own")
    refused(archive(GOOD, ("byteorder", b"middle")), "Unknown endianness")


def test_versions_from_the_future(monkeypatch):
    for version in (b"99\n", b"three", b""):
        monkeypatch.setattr(zip_writing, "FORMAT", version)
        refused(archive(GOOD), "known are formats up to")


def test_bombs():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("archive/data.pkl", b"\0" * 10_000_000)
    refused(buffer.getvalue(), "compressed")
    content = bytearray(archive(GOOD, ("a", b"x" * 100), ("b", b"y" * 100)))
    first, second = content.find(b"archive/a"), content.rfind(b"archive/b")
    content[second - 4 : second] = struct.pack("<I", first - 30)
    refused(bytes(content), "shares bytes")


def test_damaged_numbers_are_seen():
    content = bytearray(saved([devtensor.ones(100) * 1.5]))
    place = content.find(struct.pack("<f", 1.5) * 4)
    content[place] ^= 1
    refused(bytes(content), "checksum")


def outcome(content: bytes) -> str:
    """`loaded`, or the class of the error; any other error is a failure of the test."""
    try:
        load(content)
    except (CheckpointError, DeviceError) as error:
        return type(error).__name__
    return "loaded"


@pytest.mark.parametrize("name", ["views", "containers", "training", "legacy", "unchecked"])
def test_truncated(name):
    content = (FILES / f"{name}.pt").read_bytes()
    for size in range(0, len(content), max(1, len(content) // 400)):
        assert outcome(content[:size]) != "loaded", size


@pytest.mark.parametrize(
    "name", ["dtypes", "views", "containers", "parameters", "training", "module", "cuda"]
)
def test_flipped_bits(name):
    """A flip is found, or it lies where nothing is read: in padding, or in fields that say nothing."""
    content = (FILES / f"{name}.pt").read_bytes()
    draw, flips = random.Random(name), 400
    outcomes = [outcome(flipped(content, draw)) for _ in range(flips)]
    found = flips - outcomes.count("loaded")
    assert found > flips / 4


def flipped(content: bytes, draw: random.Random) -> bytes:
    changed = bytearray(content)
    changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


@pytest.mark.parametrize("name", ["views", "containers", "parameters", "training"])
def test_pickles_with_flipped_bits(name):
    """With checksums that fit, so that the machine sees the damage: it loads, or says what is wrong."""
    content = (FILES / f"{name}.pt").read_bytes()
    with zipfile.ZipFile(io.BytesIO(content)) as opened:
        folder = opened.namelist()[0].partition("/")[0]
        whole = opened.read(f"{folder}/data.pkl")
    draw = random.Random(name)
    outcomes = [outcome(rewritten(content, {"data.pkl": flipped(whole, draw)})) for _ in range(200)]
    assert outcomes.count("UnpicklingError") > 30


def test_old_files_with_flipped_bits():
    content = (FILES / "legacy.pt").read_bytes()
    draw = random.Random(0)
    outcomes = [outcome(flipped(content, draw)) for _ in range(600)]
    assert outcomes.count("loaded") < 500


def test_noise():
    draw = random.Random(0)
    for size in [0, 1, 2, 3, 4, 5, 10, 100, 1000] * 20:
        noise = draw.randbytes(size)
        for content in (noise, b"PK\x03\x04" + noise, b"\x80\x02" + noise):
            assert outcome(content) != "loaded"
    with pytest.raises(EOFError):
        load(b"")
