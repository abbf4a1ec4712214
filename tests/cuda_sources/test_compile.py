"""Every CUDA source compiles for every architecture without a device; cubins are kept, once each."""

from __future__ import annotations

import os
import re
import struct

import pytest

from cudashim.build import need
from devtensor_cupy.compile import SOURCES, cubins, nvrtc
from devtensor_cupy.compile.arguments import packed
from devtensor_cupy.compile.multi_tensor import pack_table
from devtensor_cupy.compile.registry import (
    BLOCK_ROWS,
    CHUNKS,
    ELEMENTS,
    ENOUGH_BLOCKS,
    ONE_BLOCK,
    Launch,
    source,
)

ARCHITECTURES = 75, 80, 90, 100
TINY = source("tiny", 'extern "C" __global__ void set(float* out, int k) { *out = k; }', {"set": ELEMENTS})


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("name", SOURCES.by_name)
def test_it_compiles_without_headers(name, arch):
    need("NVRTC", nvrtc.missing())
    home = SOURCES[name]
    assert "#include" not in home.text
    cubin = nvrtc.compile_cubin(home.text, name, arch)
    assert cubin.startswith(b"\x7fELF")
    assert all(entry.encode() in cubin for entry in home.entries)


def test_what_does_not_compile_is_told():
    need("NVRTC", nvrtc.missing())
    with pytest.raises(
        nvrtc.CompileError, match=r"(?s)tiny does not compile for sm_80:.*tiny\.cu\(1\).*nothing"
    ):
        nvrtc.compile_cubin(TINY.text.replace("k;", "nothing;"), "tiny", 80)


def test_a_device_gets_the_newest_that_it_runs(monkeypatch):
    monkeypatch.setattr(nvrtc, "architectures", lambda: (75, 80, 86, 90, 100))
    monkeypatch.setattr(nvrtc, "version", lambda: (12, 9))
    assert [nvrtc.architecture_for(device) for device in (75, 80, 87, 89, 90, 103)] == [
        75,
        80,
        86,
        86,
        90,
        100,
    ]
    for device in (70, 120):
        with pytest.raises(nvrtc.CompileError, match=f"knows sm_75, .* the device needs sm_{device}; pip"):
            nvrtc.architecture_for(device)


def test_nvrtc_tells_what_it_knows():
    need("NVRTC", nvrtc.missing())
    assert set(ARCHITECTURES) <= set(nvrtc.architectures())
    assert nvrtc.version() >= (12, 0)


def test_a_missing_compiler_is_told(monkeypatch):
    nvrtc.library.cache_clear()
    monkeypatch.setattr(nvrtc, "candidates", lambda: iter(["no-such-library.so"]))
    assert "pip install nvidia-cuda-nvrtc-cu12" in str(nvrtc.missing())
    nvrtc.library.cache_clear()


def test_ci_does_not_pass_over_what_is_missing(monkeypatch):
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="CI needs NVRTC: gone"):
        need("NVRTC", "gone")
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match="needs NVRTC: gone"):
        need("NVRTC", "gone")
    need("NVRTC", None)


class Counted:
    """A compiler that counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int, tuple[str, ...]]] = []

    def __call__(self, text: str, name: str, arch: int, options: tuple[str, ...]) -> bytes:
        self.asked.append((text, arch, options))
        return f"{len(self.asked)}".encode()


def test_cubins_are_kept_by_all_that_they_depend_on(monkeypatch, tmp_path):
    monkeypatch.setenv(cubins.FOLDER, str(tmp_path / "deep" / "folder"))
    compiler, other = Counted(), source("tiny", TINY.text + "\n", {"set": ELEMENTS})

    def get(home=TINY, arch=80, options=(), version=(12, 9)) -> bytes:
        return cubins.cubin(home, arch, options, compiler, lambda: version)

    assert [get(), get()] == [b"1", b"1"]
    assert [get(home=other), get(arch=90), get(options=("--fmad=false",)), get(version=(13, 0))] == [
        b"2", b"3", b"4", b"5",
    ]  # fmt: skip
    assert get(home=other) == b"2"
    assert len([*tmp_path.rglob("*.cubin")]) == 5 == len([p for p in tmp_path.rglob("*") if p.is_file()])


def test_a_folder_that_cannot_be_written_only_costs_time(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    for folder in (str(tmp_path / "file" / "below"), ""):
        monkeypatch.setenv(cubins.FOLDER, folder)
        compiler = Counted()
        asked = [cubins.cubin(TINY, 80, (), compiler, lambda: (12, 9)) for _ in range(2)]
        assert asked == [b"1", b"2"]


def test_a_place_that_cannot_be_read_only_costs_time_and_leaves_no_drafts(monkeypatch, tmp_path):
    monkeypatch.setenv(cubins.FOLDER, str(tmp_path))
    place = tmp_path / cubins.key_of(TINY, 80, (), (12, 9))
    (place / "taken").mkdir(parents=True)
    compiler = Counted()
    assert [cubins.cubin(TINY, 80, (), compiler, lambda: (12, 9)) for _ in range(2)] == [b"1", b"2"]
    assert [*tmp_path.iterdir()] == [place]


def test_a_user_without_a_home_keeps_nothing(monkeypatch):
    for variable in (cubins.FOLDER, "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert cubins.cache_folder() is None


def test_the_folder_follows_the_users_settings(monkeypatch, tmp_path):
    monkeypatch.delenv(cubins.FOLDER, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cubins.cache_folder() == tmp_path / "devtensor" / "cubins"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert str(cubins.cache_folder()).startswith(os.path.expanduser("~"))


def test_grids_fit_the_work():
    assert [ELEMENTS.blocks(n) for n in (0, 1, 256, 257, 2**40)] == [1, 1, 1, 2, ENOUGH_BLOCKS]
    assert [BLOCK_ROWS.blocks(n) for n in (3, 2**20)] == [3, ENOUGH_BLOCKS]
    assert ONE_BLOCK.blocks(10**9) == 1
    assert CHUNKS.blocks(10**6) == 10**6
    with pytest.raises(ValueError, match="2147483647"):
        CHUNKS.blocks(2**31)


def test_entries_are_read_from_the_text():
    assert TINY.entries["set"].arguments == ("pointer", "int32")
    with pytest.raises(ValueError, match="0 launch shapes are given for set of tiny"):
        source("tiny", TINY.text, {"get": Launch()})
    with pytest.raises(KeyError, match="no source has a kernel set"):
        SOURCES.of("set")
    with pytest.raises(TypeError, match=re.escape("[set] 1 arguments are given; needs 2: pointer, int32")):
        packed(TINY.entries["set"], [0])
    for wrong in (1.5, 2**31):
        with pytest.raises(struct.error):
            packed(TINY.entries["set"], [0, wrong])


def test_a_table_names_every_chunk():
    content, blocks = pack_table([[100, 200, 300], [400, 500, 600]], [5, 0, 2], chunk=2)
    assert blocks == 4
    assert [*memoryview(content).cast("q")] == [
        3, 2, 4, 2,
        100, 200, 300, 400, 500, 600,
        5, 0, 2,
        0, 0, 0, 2, 0, 4, 2, 0,
    ]  # fmt: skip
