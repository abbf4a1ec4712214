"""What scripts set before they start: kept, checked, given back."""

from __future__ import annotations

import pytest

import devtensor as torch
from devtensor.nn.attention import SDPBackend, sdpa_kernel

CUDNN = {
    "benchmark": True,
    "deterministic": True,
    "enabled": False,
    "allow_tf32": False,
    "benchmark_limit": 3,
}


@pytest.fixture(autouse=True)
def unchanged():
    """Settings as they were, after each test."""
    cudnn = torch.backends.cudnn
    before = {name: getattr(cudnn, name) for name in CUDNN}
    yield
    for name, value in before.items():
        setattr(cudnn, name, value)
    torch.set_float32_matmul_precision("highest")
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize(("name", "value"), CUDNN.items())
def test_cudnns_settings_are_kept_and_checked(name, value):
    setattr(torch.backends.cudnn, name, value)
    assert getattr(torch.backends.cudnn, name) == value
    with pytest.raises(RuntimeError, match=name):
        setattr(torch.backends.cudnn, name, "yes")
    assert getattr(torch.backends.cudnn, name) == value


def test_flags_hold_for_a_block():
    cudnn = torch.backends.cudnn
    with pytest.raises(KeyError), cudnn.flags(enabled=False, deterministic=True):
        assert not cudnn.enabled and cudnn.deterministic
        raise KeyError
    assert cudnn.enabled and not cudnn.deterministic
    assert cudnn.set_flags(_benchmark=True) == (True, False, 10, False, True, "none", "auto")
    assert cudnn.benchmark and not cudnn.is_available() and cudnn.version() is None
    miopen = torch.backends.miopen
    with miopen.flags(immediate=True):
        assert miopen.set_flags() == (True,)
    assert miopen.set_flags(True) == (False,) and miopen.immediate


def test_one_precision_of_products_by_two_names():
    matmul = torch.backends.cuda.matmul
    assert not matmul.allow_tf32
    torch.set_float32_matmul_precision("high")
    assert matmul.allow_tf32
    matmul.allow_tf32 = False
    assert torch.get_float32_matmul_precision() == "highest"
    with pytest.raises(RuntimeError):
        matmul.allow_tf32 = 3
    with pytest.raises(AttributeError):
        matmul.no_such_setting = 1
    with pytest.warns(UserWarning, match="no effect"):
        torch.set_float32_matmul_precision("low")
    assert torch.get_float32_matmul_precision() == "highest"


def test_kernels_of_attention():
    with sdpa_kernel([SDPBackend.MATH, SDPBackend.CUDNN_ATTENTION]):
        assert torch.backends.cuda.math_sdp_enabled() and not torch.backends.cuda.flash_sdp_enabled()
    with torch.backends.cuda.sdp_kernel(enable_math=False):
        assert not torch.backends.cuda.math_sdp_enabled()
    assert torch.backends.cuda.flash_sdp_enabled() and torch.backends.cuda.math_sdp_enabled()
    with pytest.raises(TypeError), sdpa_kernel("math"):
        pass


def test_other_libraries_are_not_used():
    for name in ("cusparselt", "kleidiai", "mkl", "mkldnn", "mps", "nnpack", "openmp", "opt_einsum"):
        assert not getattr(torch.backends, name).is_available()


def test_determinism():
    torch.use_deterministic_algorithms(True, warn_only=True)
    assert torch.are_deterministic_algorithms_enabled()
    assert torch.is_deterministic_algorithms_warn_only_enabled() and torch.get_deterministic_debug_mode() == 1
    torch.set_deterministic_debug_mode("error")
    assert torch.get_deterministic_debug_mode() == 2
    assert not torch.is_deterministic_algorithms_warn_only_enabled()
    with pytest.raises(TypeError):
        torch.use_deterministic_algorithms(1)
    for wrong in ("loud", 5):
        with pytest.raises(RuntimeError):
            torch.set_deterministic_debug_mode(wrong)
    with pytest.raises(TypeError):
        torch.set_deterministic_debug_mode(None)


def test_threads(monkeypatch):
    for name in torch.functions.settings.THREAD_VARIABLES:
        monkeypatch.setenv(name, "1")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    assert torch.get_num_threads() == 1
    for wrong in (0, -1, 1.5, "2", True):
        with pytest.raises(RuntimeError):
            torch.set_num_threads(wrong)
    torch.set_num_threads(before)
    with pytest.raises(RuntimeError):
        torch.set_num_interop_threads(0)


def test_a_device_as_a_block_is_where_new_tensors_lie():
    with torch.device("meta"):
        assert torch.ones(2).device.type == torch.Tensor(2).device.type == "meta"
        with torch.device("cpu"):
            assert torch.nn.Linear(2, 2).weight.device.type == "cpu"
        assert torch.get_default_device() == torch.device("meta")

    @torch.device("meta")
    def made():
        return torch.zeros(3)

    assert made().device.type == "meta" and torch.ones(2).device.type == "cpu"
    torch.set_default_device("meta")
    assert torch.ones(2).device.type == "meta"
    torch.set_default_device(None)
    assert torch.ones(2).device.type == "cpu"


def test_versions():
    assert torch.__version__ == torch.version.__version__
    assert torch.version.hip is None and not torch.version.debug
    assert torch.cuda.is_available() or torch.version.cuda is None
    version = torch.torch_version.TorchVersion("2.13.0+local")
    assert (
        version > "2.9"
        and version >= (2, 13)
        and version < "3"
        and version != "2.12"
        and version > "2.13.0rc1"
    )
    assert version.split("+")[0] == "2.13.0"
    assert "cpu: available" in torch.__config__.show() and "threads" in torch.__config__.parallel_info()


def test_names_of_types():
    assert torch.typename(torch.ones(2)) == "devtensor.FloatTensor"
    assert torch.typename(torch.nn.Linear) == "devtensor.nn.modules.linear.Linear"
    assert [torch.typename(value) for value in (3, "a", None, [1])] == ["int", "str", "NoneType", "list"]


def test_what_a_device_is_made_from():
    device = torch.device
    assert device("cuda:1") is device("cuda", 1) is device(type="cuda", index=1) is device(device("cuda:1"))
    assert device("cuda").index is None and str(device("cuda:3")) == "cuda:3"
    for wrong in ("", "cuda:", "cuda:-1", "cuda:01", "cuda:a", "no_such_type"):
        with pytest.raises(RuntimeError):
            device(wrong)
    for wrong in ((3.5,), (None,), ("cuda", "1")):
        with pytest.raises(TypeError):
            device(*wrong)
