"""Tensors where Python wants numbers, lengths and items."""

from __future__ import annotations

import math

import pytest

import devtensor as torch
from devtensor.core.errors import ArgumentError, ArgumentTypeError, AutogradError, DTypeError, ShapeError

VALUES = {
    "int": (lambda: int(torch.tensor(3.7)), 3),
    "int of one element": (lambda: int(torch.tensor([[3]])), 3),
    "float": (lambda: float(torch.tensor(3)), 3.0),
    "complex": (lambda: complex(torch.tensor(1 + 2j)), 1 + 2j),
    "complex of a real number": (lambda: complex(torch.tensor(2.0)), 2 + 0j),
    "float of a complex number": (lambda: float(torch.tensor(2 + 0j)), 2.0),
    "index of a list": (lambda: [1, 2, 3][torch.tensor(1)], 2),
    "slice of a list": (lambda: [1, 2, 3][: torch.tensor(2)], [1, 2]),
    "range": (lambda: list(range(torch.tensor(1), torch.tensor(4))), [1, 2, 3]),
    "times a list": (lambda: [0] * torch.tensor(2), [0, 0]),
    "hex": (lambda: hex(torch.tensor(255)), "0xff"),
    "bytes of several": (lambda: bytes(torch.tensor([1, 2])), b"\x01\x02"),
    "math": (lambda: math.sqrt(torch.tensor([4.0])), 2.0),
    "math.floor": (lambda: math.floor(torch.tensor(2.5)), 2),
    "math.gcd": (lambda: math.gcd(torch.tensor(4), 6), 2),
    "math.prod": (lambda: math.prod([torch.tensor(2), torch.tensor(3)]).item(), 6),
    "pow": (lambda: pow(2, torch.tensor(3)).item(), 8),
    "sum": (lambda: sum([torch.tensor(1), torch.tensor(2)]).item(), 3),
    "sorted": (lambda: [t.item() for t in sorted(torch.tensor([2, 1]))], [1, 2]),
    "max": (lambda: max(torch.tensor([1, 3, 2])).item(), 3),
    "reversed": (lambda: reversed(torch.tensor([[1, 2], [3, 4]])).tolist(), [[3, 4], [1, 2]]),
    "reversed without dims": (lambda: reversed(torch.tensor(1)).item(), 1),
    "contains": (lambda: (2 in torch.tensor([1, 2]), 3 in torch.tensor([1, 2])), (True, False)),
    "contains a tensor": (lambda: torch.tensor(1) in torch.tensor([1, 2]), True),
    "in a list": (lambda: torch.tensor(1) in [torch.tensor(1)], True),
    "percent": (lambda: "%.2f" % torch.tensor(2.5), "2.50"),  # noqa: UP031 - the form is what is tested
    "complex list": (lambda: torch.tensor([[1j], [2.0]]).tolist(), [[1j], [2 + 0j]]),
    "unsigned list": (lambda: torch.tensor([2**64 - 1], dtype=torch.uint64).tolist(), [2**64 - 1]),
    "no elements": (lambda: torch.zeros(2, 0).tolist(), [[], []]),
}


@pytest.mark.parametrize("name", VALUES)
def test_values(name):
    make, wanted = VALUES[name]
    found = make()
    assert found == wanted
    assert type(found) is type(wanted)


REFUSED = {
    "item of several": (lambda: torch.ones(2).item(), ShapeError),
    "item of none": (lambda: torch.ones(0).item(), ShapeError),
    "int of several": (lambda: int(torch.ones(2)), ArgumentError),
    "float of several": (lambda: float(torch.ones(2)), ArgumentError),
    "math of several": (lambda: math.sqrt(torch.ones(2)), ArgumentError),
    "imaginary part lost": (lambda: float(torch.tensor(1j)), DTypeError),
    "truth of several": (lambda: bool(torch.ones(2)), ShapeError),
    "truth of none": (lambda: bool(torch.ones(0)), ShapeError),
    "float as index": (lambda: [1, 2][torch.tensor(1.0)], ArgumentTypeError),
    "several as index": (lambda: [1, 2][torch.tensor([0, 1])], ArgumentTypeError),
    "length without dims": (lambda: len(torch.tensor(1)), ArgumentTypeError),
    "loop without dims": (lambda: list(torch.tensor(1)), TypeError),
    "round": (lambda: round(torch.tensor(2.5)), TypeError),
    "divmod": (lambda: divmod(torch.tensor(7), 2), TypeError),
    "contains text": (lambda: "a" in torch.ones(2), ShapeError),
    "contains None": (lambda: None in torch.ones(2), ShapeError),
    "int of NaN": (lambda: int(torch.tensor(math.nan)), ValueError),
    "int of infinity": (lambda: int(torch.tensor(math.inf)), OverflowError),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name):
    call, error = REFUSED[name]
    with pytest.raises(error):
        call()


@pytest.mark.parametrize("name", ["float8_e4m3fn", "float8_e5m2", "bfloat16", "float16"])
def test_narrow_floats_are_read_exactly(name):
    numbers = [0.0, 1.0, -1.75, 0.0625, 448.0, -0.015625]
    narrow = torch.tensor(numbers, dtype=getattr(torch, name))
    assert narrow.tolist() == [float(narrow[i]) for i in range(len(numbers))]
    assert narrow.to(torch.float64).tolist() == narrow.tolist()
    assert math.isnan(torch.tensor(math.nan, dtype=narrow.dtype).item())


def test_apply_and_map():
    x = torch.arange(6.0).reshape(2, 3).T
    assert x.apply_(lambda n: n + 1) is x
    assert x.tolist() == [[1, 4], [2, 5], [3, 6]]
    x.map_(torch.tensor([[10.0], [20.0], [30.0]]), lambda a, b: a * b)
    assert x.tolist() == [[10, 40], [40, 100], [90, 180]]
    for call, error in (
        (lambda: torch.ones(2, requires_grad=True).apply_(abs), AutogradError),
        (lambda: x.map_(torch.ones(3, 2, dtype=torch.int64), max), ArgumentTypeError),
        (lambda: x.apply_(str), ArgumentTypeError),
        (lambda: x.apply_(3), TypeError),
    ):
        with pytest.raises(error):
            call()


def test_apply_elsewhere_than_on_the_cpu(device):
    if device == "cpu":
        assert torch.ones(2, device="meta").apply_(abs).device.type == "meta"
    else:
        with pytest.raises(ArgumentTypeError, match="only implemented on CPU"):
            torch.ones(2, device=device).apply_(abs)
