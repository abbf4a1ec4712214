"""PyTorch's list of ops under autocast on CUDA, by its own dispatcher and without a GPU (--oracle torch).

PyTorch runs on fake tensors, which have dtypes and shapes alone; ours on a device that follows CUDA's list.
"""

from __future__ import annotations

import fnmatch
from typing import Any

import pytest

import devtensor
from opinfo import carrying
from opinfo.carrying import carried, counterpart, flat
from opinfo.test_opinfo import full_name, with_entries

SAMPLES = 3
# Names (`*` stands for any rest), and why their dtypes differ.
DIFFERENT = {
    "linalg.*": "widened; PyTorch's fake tensors take halves, its kernels refuse them",
    "cholesky*": "widened; PyTorch's fake tensors take halves, its kernels refuse them",
    "lu*": "widened; PyTorch's fake tensors take halves, its kernels refuse them",
    "qr": "widened; PyTorch's fake tensors take halves, its kernels refuse them",
    "svd": "widened; PyTorch's fake tensors take halves, its kernels refuse them",
    "triangular_solve": "widened; PyTorch's fake tensors take halves, its kernels refuse them",
    "*_lowrank": "PyTorch's fake tensors take products in halves, of which its kernels have no decomposition",
    "matrix_exp": "widened",
    "pinverse": "its last product is lowered; PyTorch's fake tensors make it out of hearing of autocast",
    "trace": "a sum of the diagonal, which PyTorch's kernel widens and its formula for fake tensors does not",
    "sum_to_size": "the sum is taken in the dtype given",
    "native_*_norm": "statistics have the input's dtype",
    "nn.functional.linear_cross_entropy*": "logits are never cut into parts, whose sums are halves",
    "complex": "complex32 does not exist",
    "polar": "complex32 does not exist",
    "view_as_complex": "complex32 does not exist",
    "stft": "complex32 does not exist",
    "fft.*": "complex32 does not exist",
}


def pytest_generate_tests(metafunc: Any) -> None:
    with_entries(metafunc)


def dtypes(value: Any) -> list[str]:
    return [str(leaf.dtype).split(".")[-1] for leaf in flat(value) if hasattr(leaf, "dtype")]


def on_strict(value: Any) -> Any:
    """Our arguments on the device that follows CUDA's list."""
    if isinstance(value, devtensor.Tensor):
        return value.to("strict")
    if type(value) in (list, tuple):
        return type(value)(map(on_strict, value))
    if isinstance(value, dict):
        return {key: on_strict(item) for key, item in value.items()}
    return devtensor.device("strict") if value == "cpu" or isinstance(value, devtensor.device) else value


def by_pytorch(torch: Any, entry: Any, sample: Any) -> list[str] | None:
    """The dtypes of PyTorch's results; None where fake tensors cannot tell."""
    from torch._subclasses import FakeTensorMode
    from torch.utils._pytree import tree_map

    def fake(leaf: Any) -> Any:
        if isinstance(leaf, torch.Tensor):
            return torch.empty_strided(leaf.shape, leaf.stride(), dtype=leaf.dtype, device="cuda")
        return torch.device("cuda") if leaf == "cpu" or isinstance(leaf, torch.device) else leaf

    with FakeTensorMode():
        given = tree_map(fake, (sample.input, sample.args, sample.kwargs))
        torch.set_autocast_dtype("cuda", torch.float16)
        torch.set_autocast_enabled("cuda", True)
        try:
            return dtypes(entry(given[0], *given[1], **given[2]))
        except Exception:
            return None
        finally:
            torch.set_autocast_enabled("cuda", False)
            torch.clear_autocast_cache()


def by_devtensor(ours: Any, sample: Any) -> list[str] | None:
    """The dtypes of our results; None for what is refused."""
    memo: dict[Any, Any] = {}
    try:
        arguments = on_strict(carried((sample.input, *sample.args), memo))
        named = on_strict(carried(dict(sample.kwargs), memo))
    except carrying.NotComparable:
        return None
    try:
        with devtensor.autocast("strict", dtype=devtensor.float16):
            return dtypes(ours(*arguments, **named))
    except (devtensor.core.errors.DevtensorError, TypeError):
        return None


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("given", ["float32", "float16"])
def test_dtypes_on_cuda(torch, entry, given):
    carrying.use(torch)
    if any(fnmatch.fnmatch(full_name(entry), pattern) for pattern in DIFFERENT):
        return
    try:
        ours = counterpart(entry)
        drawn = entry.sample_inputs("cpu", getattr(torch, given), requires_grad=False)
        samples = [sample for sample, _ in zip(drawn, range(SAMPLES), strict=False)]
    except (AttributeError, RuntimeError):
        return
    for sample in samples:
        wanted, found = by_pytorch(torch, entry, sample), by_devtensor(ours, sample)
        if wanted is not None and found is not None:
            assert found == wanted, f"PyTorch: {wanted}; ours: {found}"
