"""The door: entry points, lazy loading, failures that cost one device, and registration by hand."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import nullcontext
from pathlib import Path
from types import MappingProxyType

import pytest

from devtensor.backend.claims import checkout_claims
from devtensor.backend.protocol import MemoryStats
from devtensor.backend.registry import Door, required_members
from devtensor.core.errors import DeviceError

ROOT = Path(__file__).resolve().parents[2]


class FakeBackend:
    """Just enough to pass the door."""

    name = "fake"
    kernels = MappingProxyType({})
    dtypes = frozenset({"float32"})
    count = 2

    def device_count(self):
        return self.count

    def on(self, index):
        return nullcontext()

    def upload(self, host, shape, dtype, index): ...
    def download(self, array): ...
    def adopt(self, array): ...
    def dtype_of(self, array): ...
    def strides_of(self, array): ...
    def synchronize(self, index): ...

    def memory(self, index):
        return MemoryStats(0, 0, 0)


FAKE_MODULE = """
print("fake_device imported")

class Backend:
    name = "fake"
    kernels = {}
    dtypes = frozenset({"float32"})
    def device_count(self): return 2
    on = upload = download = adopt = dtype_of = strides_of = synchronize = memory = None

def backend(): return Backend()
"""


@pytest.fixture
def door(tmp_path, monkeypatch):
    """A door of its own, with `tmp_path` first on the path and no checkout beside the package."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("devtensor.backend.claims.CHECKOUT", str(tmp_path / "nowhere"))
    monkeypatch.delenv("DEVTENSOR_BACKENDS", raising=False)
    return Door()


def install(folder: Path, distribution: str, claims: str, version: str = "1.5") -> None:
    """Lay down the metadata that pip would for a distribution with these entry points."""
    info = folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(f"[devtensor.backends]\n{claims}\n")


def run_python(code: str, *path: Path | str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter with the checkout and `path` importable."""
    folders = [str(folder) for folder in (*path, ROOT, ROOT / "backends")]
    kept = {name: value for name, value in os.environ.items() if name != "DEVTENSOR_BACKENDS"}
    environment = kept | {"PYTHONPATH": os.pathsep.join(folders)} | environment
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


def test_a_strangers_plugin_is_found_and_loaded_on_first_use(tmp_path):
    (tmp_path / "fake_device.py").write_text(FAKE_MODULE)
    install(tmp_path, "fake-device", "fake = fake_device:backend")
    code = "import devtensor.backend as b; print(b.names(), b.status(load=False)); print(b.get('fake').name)"
    done = run_python(code, tmp_path)
    assert done.returncode == 0, done.stderr
    before, after = done.stdout.split("fake_device imported")
    assert "'fake'" in before
    assert "not loaded  0      fake-device 1.5" in before
    assert after.strip() == "fake"


def test_reading_the_names_imports_no_library():
    code = "import devtensor.backend as b, sys; b.names(); print(sorted({'numpy', 'cupy'} & {*sys.modules}))"
    done = run_python(code)
    assert done.stdout.strip() == "[]", done.stderr


def test_a_broken_plugin_costs_its_own_device_and_keeps_its_reason(tmp_path):
    (tmp_path / "broken_device.py").write_text("raise OSError('libfoo.so.3 is missing')")
    install(tmp_path, "broken-device", "broken = broken_device:backend")
    code = "import devtensor.backend as b; print(b.status()); b.get('cpu'); b.get('broken')"
    done = run_python(code, tmp_path)
    rows = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert "broken-device 1.5" in rows["broken"]
    assert "OSError: libfoo.so.3 is missing" in rows["broken"]
    assert rows["cpu"].split()[1] == "available"
    last = done.stderr.strip().splitlines()[-1]
    assert 'DeviceMissing: [device] "broken" cannot be used; known devices are cpu, ' in last
    assert "OSError: libfoo.so.3 is missing" in last
    assert "broken_device.py" in done.stderr, "the traceback of the cause must be shown"


@pytest.mark.parametrize(
    ("module", "source", "reason"),
    [
        ("exits", "raise SystemExit(3)", "SystemExit: 3"),
        ("offers_nothing", "x = 1", "has no attribute 'backend'"),
        ("raises", "def backend(): raise ValueError('no such board')", "ValueError: no such board"),
        ("is_no_backend", "backend = object()", "object lacks adopt, device_count"),
    ],
)
def test_each_way_to_break_is_told(tmp_path, door, module, source, reason):
    (tmp_path / f"{module}.py").write_text(source)
    install(tmp_path, "broken", f"broken = {module}:backend")
    with pytest.raises(DeviceError, match=reason):
        door.get("broken")
    (status,) = (status for status in door.status() if status.name == "broken")
    assert status.state == "broken"
    assert reason in status.reason
    assert not door.available("broken")


def test_a_plugin_is_loaded_once_even_from_many_threads(tmp_path, door):
    source = FAKE_MODULE.replace("def backend(): return", "made = []\ndef backend(): made.append(1); return")
    (tmp_path / "counted_device.py").write_text(source)
    install(tmp_path, "counted", "counted = counted_device:backend")
    found = []
    threads = [threading.Thread(target=lambda: found.append(door.get("counted"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(backend) for backend in found}) == 1
    assert len(found) == 8
    assert len(sys.modules["counted_device"].made) == 1


def test_two_claims_on_one_name_name_both_distributions(tmp_path, door):
    install(tmp_path, "first-fake", "fake = first_fake:backend\nother = fake_device:backend")
    install(tmp_path, "second-fake", "fake = second_fake:backend", version="2.0")
    (tmp_path / "fake_device.py").write_text(FAKE_MODULE)
    with pytest.raises(DeviceError, match=r"claimed by .* and .*: uninstall all but one") as caught:
        door.get("fake")
    assert "first-fake 1.5 (first_fake:backend)" in str(caught.value)
    assert "second-fake 2.0 (second_fake:backend)" in str(caught.value)
    states = {status.name: status.state for status in door.status()}
    assert states["fake"] == "broken"
    assert states["other"] == "available"


def test_one_distribution_found_twice_is_no_double_claim(tmp_path, door, monkeypatch):
    second = tmp_path / "second"
    second.mkdir()
    install(tmp_path, "fake-device", "fake = fake_device:backend")
    install(second, "Fake_Device", "fake = old_device:backend", version="0.9")
    monkeypatch.syspath_prepend(second)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "fake_device.py").write_text(FAKE_MODULE)
    assert door.get("fake").name == "fake"


@pytest.mark.parametrize("installed", ["devtensor", "renamed"])
def test_a_claim_in_metadata_and_checkout_counts_once(tmp_path, door, monkeypatch, installed):
    group = '[project.entry-points."devtensor.backends"]\nfake = "fake_device:backend"\n'
    (tmp_path / "pyproject.toml").write_text(f'[project]\nname = "devtensor"\n{group}')
    monkeypatch.setattr("devtensor.backend.claims.CHECKOUT", str(tmp_path))
    install(tmp_path, installed, "fake = fake_device:backend")
    (tmp_path / "fake_device.py").write_text(FAKE_MODULE)
    (status,) = (status for status in door.status() if status.name == "fake")
    assert status.state == "available"
    assert status.source == f"{installed} 1.5"


def test_a_checkout_lists_its_own_plugins_only(tmp_path):
    claims = {claim.name: claim.value for claim in checkout_claims(str(ROOT / "pyproject.toml"))}
    assert claims["cpu"] == "devtensor_numpy:backend"
    other = tmp_path / "pyproject.toml"
    other.write_text((ROOT / "pyproject.toml").read_text().replace('name = "devtensor"', 'name = "app"', 1))
    assert list(checkout_claims(str(other))) == []
    other.write_text("[project")
    with pytest.raises(DeviceError, match="cannot be read"):
        list(checkout_claims(str(other)))


def test_malformed_metadata_of_a_stranger_does_not_close_the_door(tmp_path, door):
    install(tmp_path, "good", "fake = fake_device:backend")
    install(tmp_path, "malformed", "]not an entry point[ no equals sign")
    (tmp_path / "nameless-1.dist-info").mkdir()
    (tmp_path / "fake_device.py").write_text(FAKE_MODULE)
    assert door.get("fake").name == "fake"


def test_the_environment_limits_what_is_offered(tmp_path, door, monkeypatch):
    install(tmp_path, "fake-device", "fake = fake_device:backend\nother = fake_device:backend")
    (tmp_path / "fake_device.py").write_text(FAKE_MODULE)
    monkeypatch.setenv("DEVTENSOR_BACKENDS", "fake, typo")
    assert door.names() == ["fake"]
    with pytest.raises(DeviceError, match="DEVTENSOR_BACKENDS leaves it out"):
        door.get("other")
    rows = {status.name: status for status in door.status()}
    assert rows["other"].state == "excluded"
    assert rows["typo"].reason == "no plug-in offers it"
    door.register(FakeBackend(), name="mine")
    assert door.names() == ["fake", "mine"]


def test_an_unknown_device_names_the_known_ones(door):
    door.register(FakeBackend())
    with pytest.raises(DeviceError, match=r'^\[device\] no device type "tpu"; known devices are .*fake.*;'):
        door.get("tpu")
    assert not door.available("tpu")


def test_register_and_unregister(door):
    changes = []
    door.listeners.append(changes.append)
    backend = FakeBackend()
    door.register(backend)
    assert door.get("fake") is backend
    (status,) = (status for status in door.status() if status.name == "fake")
    assert (status.state, status.count, status.source) == ("available", 2, "register()")
    door.register(FakeBackend, name="made")
    assert isinstance(door.get("made"), FakeBackend)
    door.unregister("fake")
    assert "fake" not in door.names()
    assert changes == ["fake", "made", "fake"]
    with pytest.raises(DeviceError, match='"fake" was not registered; registered devices are made'):
        door.unregister("fake")


def test_a_taken_name_needs_replace_and_comes_back(tmp_path, door):
    install(tmp_path, "fake-device", "fake = fake_device:backend")
    (tmp_path / "fake_device.py").write_text(FAKE_MODULE)
    with pytest.raises(DeviceError, match=r'"fake" is offered by fake-device 1.5; pass replace=True'):
        door.register(FakeBackend())
    door.register(FakeBackend(), replace=True)
    assert isinstance(door.get("fake"), FakeBackend)
    door.unregister("fake")
    assert not isinstance(door.get("fake"), FakeBackend)


@pytest.mark.parametrize("name", ["", "Fake", "cuda:0", "1st", "a b"])
def test_a_name_that_no_device_can_have_is_refused(door, name):
    with pytest.raises(DeviceError, match="is no device type"):
        door.register(FakeBackend(), name=name)
    assert name not in door.names()


def test_a_backend_without_a_member_is_refused(door):
    for member in required_members():
        partial = type("Partial", (), {name: None for name in required_members() if name != member})()
        with pytest.raises(DeviceError, match=f"Partial lacks {member};"):
            door.register(partial, name="partial")


def test_a_backend_may_say_why_it_cannot_be_used(door, monkeypatch):
    backend = FakeBackend()
    reason = "driver 12.4 is older than 12.8: update it"
    monkeypatch.setattr(backend, "available", lambda: reason, raising=False)
    door.register(backend)
    with pytest.raises(DeviceError, match=r'"fake" cannot be used; .*unavailable.*driver 12.4 is older'):
        door.get("fake")
    reason = None
    assert door.get("fake") is backend
    backend.count = 0
    (status,) = (status for status in door.status() if status.name == "fake")
    assert (status.state, status.reason) == ("unavailable", "it counts no devices")
    monkeypatch.setattr(backend, "device_count", lambda: 1 // 0)
    (status,) = (status for status in door.status() if status.name == "fake")
    assert (status.state, status.count) == ("broken", 0)
    assert "ZeroDivisionError" in status.reason


def test_the_status_prints_as_a_table(door):
    door.register(FakeBackend())
    lines = str(door.status()).splitlines()
    assert lines[0].split() == ["device", "state", "count", "source", "reason"]
    assert any(line.split() == ["fake", "available", "2", "register()"] for line in lines)
    assert repr(door.status()) == str(door.status())
