"""The extra `fast`: machine code that is exact, kept on disk, and never missed where it cannot be had."""

from __future__ import annotations

import ctypes
import json
import os
import stat
import subprocess
import sys

import numpy as np
import pytest

from devtensor_numpy.compile import machine, objects
from devtensor_numpy.compile.casts import TYPE, Casts, casts, check, compiled, text
from devtensor_numpy.compile.machine import Code, Unavailable
from half_runs import HALF_TYPES, borders, every, need_machine_code, specials


@pytest.fixture
def fast():
    need_machine_code()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(objects.FOLDER, str(tmp_path / "objects"))
    return tmp_path / "objects"


def run(function, x, dtype):
    made = np.full(x.size + 2, 0x55, np.uint8).repeat(np.dtype(dtype).itemsize).view(dtype)
    function(x.ctypes.data, made[1:].ctypes.data, x.size)
    edges = made.view(np.uint8)[: made.itemsize], made.view(np.uint8)[-made.itemsize :]
    assert all((edge == 0x55).all() for edge in edges), "written outside"
    return made[1:-1]


def both_ways(functions, name):
    """The casts of a half type on all its numbers, and on all borders of rounding, as NumPy has them."""
    half = HALF_TYPES[name]
    x = every(half)
    assert run(functions[f"{name}_up"], x, np.float32).tobytes() == x.astype(np.float32).tobytes()
    hard = np.concatenate([borders(half), specials()])
    with np.errstate(all="ignore"):
        assert run(functions[f"{name}_down"], hard, half).tobytes() == hard.astype(half).tobytes()


@pytest.mark.parametrize("name", HALF_TYPES)
def test_casts_are_exact(fast, name):
    both_ways(casts.functions(), name)


@pytest.mark.parametrize("name", HALF_TYPES)
def test_casts_are_exact_on_any_processor(fast, name, folder, monkeypatch):
    """The text for a processor without any extension, and that of conversions by their bits on this one."""
    both_ways(compiled(""), name)
    plain = machine.processor()
    plain = machine.Processor(plain.triple, "", "", plain.version)
    monkeypatch.setattr(machine, "processor", lambda: plain)
    both_ways(compiled(""), name)


def test_the_processor_s_own_conversions_are_taken_where_there_are_any():
    assert "fptrunc" in text("+sse2,+f16c,-avx") and "fpext" in text("+f16c")
    for features in ("", "-f16c,+avx", "+f16cx"):
        assert "fptrunc" not in text(features) and "fpext" not in text(features)


@pytest.mark.parametrize("count", [0, 1, 3, 15, 16, 17, 31, 33, 64, 127, 1000])
def test_any_number_of_elements_at_any_address(fast, count):
    for offset in (0, 1, 3):
        x = np.random.default_rng(count).normal(size=count + offset).astype(np.float32)[offset:]
        for name, half in HALF_TYPES.items():
            narrow = run(casts.functions()[f"{name}_down"], x, half)
            assert narrow.tobytes() == x.astype(half).tobytes()
            again = np.concatenate([np.zeros(offset, half), narrow])[offset:]
            assert run(casts.functions()[f"{name}_up"], again, np.float32).tobytes() == (
                narrow.astype(np.float32).tobytes()
            )


def test_casts_that_are_not_exact_are_not_used(fast, monkeypatch):
    made = casts.functions()
    check(made)
    wrong = made | {"float16_down": TYPE(lambda source, target, count: None)}
    with pytest.raises(Unavailable, match="casts of float16 in machine code do not agree"):
        check(wrong)


def test_object_code_is_compiled_once(fast, folder, monkeypatch):
    first = Casts()
    assert first.functions() and first.describe().startswith("llvmlite for")
    (file,) = folder.iterdir()
    written = file.read_bytes()

    def refuse(*arguments):
        raise AssertionError("compiled again")

    monkeypatch.setattr(machine, "object_code", refuse)
    again = Casts()
    assert again.functions(), again.describe()
    both_ways(again.functions(), "float16")
    assert [file] == list(folder.iterdir()) and file.read_bytes() == written


@pytest.mark.parametrize("damage", ["cut", "bit", "empty"])
def test_damaged_object_code_is_made_anew(fast, folder, damage):
    assert Casts().functions()
    (file,) = folder.iterdir()
    content = file.read_bytes()
    broken = {"cut": content[:-7], "empty": b"", "bit": content[:900] + b"\xff" + content[901:]}[damage]
    assert broken != content
    file.write_bytes(broken)
    both_ways(Casts().functions(), "bfloat16")
    assert file.read_bytes() == content


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="the system knows no owners of files")
@pytest.mark.parametrize("which", ["folder", "file"])
def test_object_code_that_others_could_have_written_is_not_run(fast, folder, which):
    assert Casts().functions()
    (file,) = folder.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert objects.kept(file)
    (folder if which == "folder" else file).chmod(0o777)
    assert objects.kept(file) is None
    assert Casts().functions()


def test_a_folder_that_cannot_be_made_costs_only_time(fast, tmp_path, monkeypatch):
    (tmp_path / "taken").write_text("")
    monkeypatch.setenv(objects.FOLDER, str(tmp_path / "taken" / "objects"))
    assert Casts().functions()
    monkeypatch.setenv(objects.FOLDER, "")
    assert objects.path_of("casts", 1) is None and Casts().functions()


def test_the_name_of_object_code_tells_all_that_it_depends_on(folder):
    given = [("a", 1), ("a", 2), ("b", 1), (("a", 1),)]
    assert len({objects.path_of("casts", *parts) for parts in given}) == len(given)
    assert objects.path_of("casts", "a") == objects.path_of("casts", "a")


def test_the_home_cache_is_the_default(monkeypatch, tmp_path):
    monkeypatch.delenv(objects.FOLDER, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert objects.cache_folder() == tmp_path / "devtensor" / "objects"


def test_it_can_be_switched_off(monkeypatch):
    monkeypatch.setenv(machine.SWITCH, "0")
    off = Casts()
    assert off.functions() == {} and off.describe() == "off, as DEVTENSOR_FAST=0 says"


def test_a_missing_llvmlite_is_told(monkeypatch):
    monkeypatch.delenv(machine.SWITCH, raising=False)
    machine._binding.cache_clear()
    monkeypatch.setitem(sys.modules, "llvmlite.binding", None)
    missing = Casts()
    assert missing.functions() == {}
    assert "cannot be imported" in missing.describe() and "devtensor[fast]" in missing.describe()
    machine._binding.cache_clear()


def test_a_failing_llvmlite_is_told(fast, folder, monkeypatch):
    def fail(*arguments):
        raise RuntimeError("no such target")

    monkeypatch.setattr(machine, "object_code", fail)
    failing = Casts()
    assert failing.functions() == {} and failing.describe() == "failed: RuntimeError: no such target"


def test_an_old_llvmlite_is_told(fast, monkeypatch):
    machine._binding.cache_clear()
    monkeypatch.setattr(machine, "version_of", lambda llvm: (15, 0, 7))
    old = Casts()
    assert old.functions() == {} and "LLVM (15, 0, 7) is too old" in old.describe()
    machine._binding.cache_clear()


def test_functions_that_are_not_there_are_refused(fast, folder):
    with pytest.raises(Unavailable, match="no function absent"):
        Code("casts", text("")).functions({"absent": ctypes.CFUNCTYPE(None)})


PROCESS = """
import json, sys
import numpy as np
import devtensor
lazy = not any(name.split(".")[0] == "llvmlite" for name in sys.modules)
x = devtensor.arange(100000, dtype=devtensor.float32).mul(0.01)
still = not any(name.split(".")[0] == "llvmlite" for name in sys.modules)
half = (x.half() * 2).float()
exact = bool(((x.numpy().astype(np.float16).astype(np.float32) * 2).astype(np.float16) == half.numpy()).all())
from devtensor_numpy.compile.casts import casts
print(json.dumps([lazy, still, exact, casts.describe()]))
"""


@pytest.mark.parametrize("setting", ["", "0"])
def test_a_process_loads_it_at_the_first_large_half_array(fast, folder, setting):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    environment |= {machine.SWITCH: setting, objects.FOLDER: str(folder)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROCESS],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
    )
    lazy, still, exact, state = json.loads(done.stdout or done.stderr)
    assert lazy and still and exact
    assert state.startswith("off" if setting == "0" else "llvmlite for")
    assert folder.exists() is (setting != "0")


def test_the_report_tells_of_it(fast):
    from devtensor.__main__ import report

    assert f"machine code  {casts.describe()}" in report()
