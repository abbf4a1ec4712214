"""Tensors print as PyTorch prints them."""

from __future__ import annotations

import pytest

import devtensor as torch
from devtensor.core.errors import ArgumentError
from devtensor.graph import trace

nan, inf = float("nan"), float("inf")

PRINTED = {
    "tensor([[1., 2.],\n        [3., 4.]])": lambda: torch.tensor([[1.0, 2], [3, 4]]),
    "tensor(3)": lambda: torch.tensor(3),
    "tensor(2.5000)": lambda: torch.tensor(2.5),
    "tensor([1.0000e-05, 1.0000e+00])": lambda: torch.tensor([1e-5, 1.0]),
    "tensor([1.0000e+06, 1.0000e+00])": lambda: torch.tensor([1e6, 1.0]),
    "tensor([nan, 1.])": lambda: torch.tensor([nan, 1.0]),
    "tensor([   inf, 1.5000])": lambda: torch.tensor([inf, 1.5]),
    "tensor([-1.5000,  2.0000])": lambda: torch.tensor([-1.5, 2]),
    "tensor([ True, False])": lambda: torch.tensor([True, False]),
    "tensor([])": lambda: torch.tensor([]),
    "tensor([], size=(0, 3))": lambda: torch.zeros(0, 3),
    "tensor([], dtype=devtensor.int64)": lambda: torch.zeros(0, dtype=torch.int64),
    "tensor([0., 0.], dtype=devtensor.float64)": lambda: torch.zeros(2, dtype=torch.float64),
    "tensor([1.5000, 2.2500], dtype=devtensor.bfloat16)": lambda: torch.tensor(
        [1.5, 2.25], dtype=torch.bfloat16
    ),
    "tensor([1., 2.], requires_grad=True)": lambda: torch.tensor([1.0, 2], requires_grad=True),
    "tensor([2., 4.], grad_fn=<MulBackward0>)": lambda: torch.tensor([1.0, 2], requires_grad=True) * 2,
    "tensor([1.+2.j, 3.-4.j])": lambda: torch.tensor([1 + 2j, 3 - 4j]),
    "tensor([ 0.5000+2.j, -1.5000-0.j])": lambda: torch.tensor([0.5 + 2j, complex(-1.5, -0.0)]),
    "tensor(inf+nanj)": lambda: torch.tensor(complex(inf, nan)),
    "tensor([1.+1.j], dtype=devtensor.complex128)": lambda: torch.tensor([1 + 1j], dtype=torch.complex128),
    "tensor([-0., 0., 3.])": lambda: torch.tensor([-0.0, 0, 3]),
    "tensor([nan, inf, -inf])": lambda: torch.tensor([nan, inf, -inf]),
    "tensor([0., -inf])": lambda: torch.tensor([0, -inf]),
    "tensor([1.0000e+09, 2.0000e+00])": lambda: torch.tensor([1e9, 2]),
    "tensor([1., 2.], dtype=devtensor.float8_e5m2)": lambda: torch.tensor([1, 2], dtype=torch.float8_e5m2),
    "tensor([18446744073709551615], dtype=devtensor.uint64)": lambda: torch.tensor(
        [2**64 - 1], dtype=torch.uint64
    ),
    "tensor([], size=(2, 0), dtype=devtensor.bool)": lambda: torch.zeros(2, 0, dtype=torch.bool),
    "tensor([   0,    1,    2,  ..., 1997, 1998, 1999])": lambda: torch.arange(2000),
    "tensor(..., device='meta', size=(2, 3))": lambda: torch.zeros(2, 3, device="meta"),
    "tensor([[[ 0.,  1.],\n         [ 2.,  3.]],\n\n        [[ 4.,  5.],\n         [ 6., -7.]]])": lambda: (
        torch.tensor([[[0.0, 1], [2, 3]], [[4, 5], [6, -7]]])
    ),
}


@pytest.mark.parametrize("expected", PRINTED)
def test_repr(expected):
    made = PRINTED[expected]()
    assert repr(made) == expected
    assert str(made) == expected


def test_long_rows_are_broken():
    text = repr(torch.arange(30))
    assert text.splitlines()[1] == "        18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29])"


def test_the_middle_of_large_tensors_is_left_out():
    text = repr(torch.arange(10000).reshape(100, 100))
    lines = text.splitlines()
    assert lines[0] == "tensor([[   0,    1,    2,  ...,   97,   98,   99],"
    assert lines[3] == "        ...,"
    assert len(lines) == 7


def test_suffixes_move_to_a_new_line_when_the_line_is_full():
    text = repr(torch.zeros(20, 20, dtype=torch.float64, requires_grad=True))
    assert text.splitlines()[-1] == "       dtype=devtensor.float64, requires_grad=True)"


def test_options():
    x = torch.tensor([1 / 3, 2 / 3])
    with torch.printoptions(precision=2):
        assert repr(x) == "tensor([0.33, 0.67])"
    with torch.printoptions(sci_mode=True):
        assert repr(x) == "tensor([3.3333e-01, 6.6667e-01])"
    with torch.printoptions(threshold=3, edgeitems=1):
        assert repr(torch.arange(9)) == "tensor([0,  ..., 8])"
    with torch.printoptions(profile="full"):
        assert "..." not in repr(torch.arange(2000))
    assert repr(x) == "tensor([0.3333, 0.6667])"
    with pytest.raises(ArgumentError, match="profile"):
        torch.set_printoptions(profile="loud")


def test_no_edges_leave_the_size():
    with torch.printoptions(threshold=3, edgeitems=0):
        assert repr(torch.arange(9)) == "tensor([...], size=(9,))"


def test_parameters_and_subclasses():
    parameter = torch.nn.Parameter(torch.tensor(2.0))
    assert str(parameter) == "Parameter containing:\ntensor(2., requires_grad=True)"
    assert f"{parameter}" == str(parameter)
    with pytest.raises(TypeError, match="unsupported format string"):
        format(parameter, ".2f")


def test_format():
    assert f"{torch.tensor(3):04d}" == "0003"
    assert f"{torch.tensor(1 + 2j)}" == "(1+2j)"
    with pytest.raises(TypeError, match="unsupported format string"):
        format(torch.tensor([2.5]), ".3f")
    assert f"{torch.tensor(2.5):.3f}" == "2.500"
    assert f"{torch.tensor(2.5)}" == "2.5"
    assert f"{torch.tensor([1, 2])}" == "tensor([1, 2])"


def test_numbers_are_not_read_while_a_graph_is_captured():
    texts = []

    def step(x):
        texts.append(repr(x * 2))
        return x * 2

    trace(step, torch.zeros(2, 3))
    assert texts
    assert all("..." in text and "size=(2, 3)" in text for text in texts)


def test_return_types_print_their_fields():
    text = repr(torch.tensor([1, 2]).max(0))
    assert text == "devtensor.return_types.max(\nvalues=tensor(2),\nindices=tensor(1))"


def test_every_device_prints(device):
    x = torch.tensor([1.0, 2.0], device=device)
    assert repr(x).startswith("tensor([1., 2.]")
    assert ("device" in repr(x)) == (device != "cpu")
