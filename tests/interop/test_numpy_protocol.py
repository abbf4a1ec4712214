"""NumPy's functions and operators on tensors, and tensors' on NumPy's arrays and scalars: as PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest

import devtensor as torch
from devtensor.core.errors import ArgumentError, ArgumentTypeError, AutogradError, TraceError
from devtensor.graph import trace

TENSORS = {
    "function": (lambda: np.sin(torch.zeros(2)), torch.float32, [0, 0]),
    "function of a 0-d tensor": (lambda: np.exp(torch.tensor(0.0)), torch.float32, 1),
    "function of two": (lambda: np.add(torch.ones(2), np.ones(2)), torch.float64, [2, 2]),
    "truths": (lambda: np.isfinite(torch.ones(2)), torch.uint8, [1, 1]),
    "method of the same name": (lambda: np.reshape(torch.arange(4), (2, 2)), torch.int64, [[0, 1], [2, 3]]),
    "tensor, array": (lambda: torch.ones(2) + np.ones(2), torch.float64, [2, 2]),
    "tensor, 0-d array": (lambda: torch.ones(2) * np.array(3), torch.float64, [3, 3]),
    "array over tensor": (lambda: np.ones(2) / torch.full((2,), 2.0), torch.float64, [0.5, 0.5]),
    "tensor at array": (lambda: torch.ones(2) @ np.ones(2), torch.float64, 2),
    "equal": (lambda: torch.ones(2) == np.array([1, 2]), torch.bool, [True, False]),
    "equal, array first": (lambda: np.array([1, 2]) == torch.ones(2), torch.bool, [True, False]),
    "tensor, scalar": (lambda: torch.ones(2) + np.float64(1), torch.float32, [2, 2]),
    "scalar, tensor": (lambda: np.float64(2) * torch.ones(2), torch.float32, [2, 2]),
    "scalar less tensor": (lambda: np.float32(2) - torch.ones(2), torch.float32, [1, 1]),
    "narrow scalar": (lambda: torch.tensor([1], dtype=torch.int8) + np.int64(1), torch.int8, [2]),
    "scalar of another kind": (lambda: torch.tensor([1]) + np.float32(0.5), torch.float32, [1.5]),
    "scalar argument": (lambda: torch.add(torch.ones(2), np.float32(2)), torch.float32, [3, 3]),
    "scalar limits": (lambda: torch.arange(3.0).clamp(np.float32(1), np.int64(1)), torch.float32, [1, 1, 1]),
    "scalar sizes": (lambda: torch.zeros(np.int64(1), np.int32(2)), torch.float32, [[0, 0]]),
    "scalar dim": (lambda: torch.ones(2, 3).sum(np.int64(1)), torch.float32, [3, 3]),
    "scalar index": (lambda: torch.arange(6).reshape(2, 3)[np.int64(1)], torch.int64, [3, 4, 5]),
    "array of indices": (lambda: torch.arange(3)[np.array([2, 0])], torch.int64, [2, 0]),
    "mask": (lambda: torch.arange(3)[np.array([True, False, True])], torch.int64, [0, 2]),
}


@pytest.mark.parametrize("name", TENSORS)
def test_results_are_tensors(name):
    make, dtype, numbers = TENSORS[name]
    made = make()
    assert isinstance(made, torch.Tensor)
    assert made.dtype is dtype
    assert made.tolist() == numbers


ARRAYS = {
    "asarray": (lambda: np.asarray(torch.ones(2)), np.float32, [1, 1]),
    "another dtype": (lambda: np.asarray(torch.ones(2), dtype=np.int8), np.int8, [1, 1]),
    "list of tensors": (lambda: np.array([torch.tensor(1), torch.tensor(2)]), np.int64, [1, 2]),
    "concatenate": (lambda: np.concatenate([torch.ones(1), torch.zeros(1)]), np.float32, [1, 0]),
    "stack": (lambda: np.stack([torch.ones(1), torch.zeros(1)]), np.float32, [[1], [0]]),
    "where": (lambda: np.where(torch.tensor([True, False]), 1, 2), np.int64, [1, 2]),
    "index": (lambda: np.arange(4)[torch.tensor([1, 2])], np.int64, [1, 2]),
    "in place": (lambda: np.add(np.zeros(2), torch.ones(2), out=np.zeros(2)), np.float64, [1, 1]),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_results_are_arrays(name):
    make, dtype, numbers = ARRAYS[name]
    made = make()
    assert type(made) is np.ndarray
    assert made.dtype == dtype
    assert made.tolist() == numbers


def test_copies_are_made_as_asked():
    x = torch.zeros(2)
    np.asarray(x)[0] = 1
    np.array(x, copy=False)[1] = 2
    np.array(x)[0] = 9
    np.array(x, copy=True)[0] = 9
    assert x.tolist() == [1, 2]
    with pytest.raises(ArgumentError, match="copy=False"):
        np.array(x, dtype=np.float64, copy=False)


def test_gradients_are_not_lost_in_silence():
    x = torch.ones(2, requires_grad=True)
    for call in (lambda: np.asarray(x), lambda: np.sin(x), lambda: x * np.ones(2), lambda: np.array([x])):
        with pytest.raises(AutogradError, match="detach"):
            call()
    assert (x * np.float64(2)).requires_grad
    with torch.no_grad():
        assert np.asarray(x).tolist() == [1, 1]


def test_what_is_refused():
    for call in (
        lambda: np.ones(2) * torch.ones(2),
        lambda: torch.ones(2) < np.ones(2),
        lambda: torch.add(torch.ones(2), np.ones(2)),
        lambda: torch.ones(2).add_(np.ones(2)),
        lambda: torch.ones(2).copy_(np.ones(2)),
        lambda: torch.ones(2) + None,
        lambda: torch.ones(2) - [1, 2],
    ):
        with pytest.raises(TypeError):
            call()


def test_augmented_assignment_of_an_array_makes_a_new_tensor():
    x = kept = torch.zeros(2)
    x += np.ones(2)
    assert kept.tolist() == [0, 0]
    assert x.dtype is torch.float64
    y = kept
    y += np.float64(1)
    assert kept.tolist() == [1, 1]


def test_numbers_elsewhere_are_not_brought_in_silence(device):
    if device != "cpu":
        with pytest.raises(ArgumentTypeError, match=r"use Tensor\.cpu"):
            np.sin(torch.ones(2, device=device))


def test_numpy_functions_are_heard_while_a_graph_is_recorded():
    with pytest.raises(TraceError, match="numpy"):
        trace(lambda x: np.sin(x), torch.zeros(2))


def test_read_only_arrays_are_told_of():
    frozen = np.arange(3)
    frozen.flags.writeable = False
    with pytest.warns(UserWarning, match="not writable"):
        x = torch.from_numpy(frozen)
    assert (x + 1).tolist() == [1, 2, 3]
    with pytest.raises((ValueError, RuntimeError), match="read-only"):
        x += 1
    assert frozen.tolist() == [0, 1, 2]


def test_only_cuda_tensors_have_cudas_interface(device):
    x = torch.ones(2, device=device)
    assert hasattr(x, "__cuda_array_interface__") == (device == "cuda")
    if device == "cuda":
        assert x.__cuda_array_interface__["shape"] == (2,)
        with pytest.raises(AutogradError, match="detach"):
            _ = x.requires_grad_().__cuda_array_interface__
