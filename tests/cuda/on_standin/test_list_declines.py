"""What kernels over lists leave to the body, and what they are given nothing of."""

from __future__ import annotations

from typing import Any

import pytest

import devtensor as torch
from devtensor.core.lists import LIST_OPS
from devtensor.optim import SGD

pytestmark = pytest.mark.usefixtures("compiler")


def array(value: float, dtype: torch.dtype = torch.float32) -> Any:
    return torch.tensor(value, dtype=dtype, device="cuda").array


def kernel(name: str) -> Any:
    return torch.device("cuda:0").backend.list_kernels[name]


@pytest.mark.parametrize("wide", ["inverse", "found"])
def test_unscaling_takes_float32(wide, launched):
    gradients = [torch.ones(3, device="cuda").array]
    numbers = [array(0.5, torch.float64 if name == wide else torch.float32) for name in ("inverse", "found")]
    assert kernel("unscale_all")(gradients, *numbers) is NotImplemented
    assert launched == [] and gradients[0].get().tolist() == [1.0] * 3


def test_clipping_takes_a_norm_that_is_not_a_half(launched):
    gradients = [torch.ones(3, device="cuda").array]
    assert kernel("clip_all")(gradients, array(2.0, torch.float16), 1.0) is NotImplemented and launched == []


@pytest.mark.parametrize("wide", ["found", "scale", "both"])
def test_a_step_takes_its_flag_and_scale_in_float32(wide, launched):
    op: Any = LIST_OPS["sgd_step"]
    lists = [[torch.ones(3, device="cuda").array] if place < 2 else [] for place in range(len(op.lists))]
    numbers = [
        array(1.0, torch.float64 if wide in (name, "both") else torch.float32) for name in ("found", "scale")
    ]
    told = [(op.rule.defaults | op.rule.settings)[name] for name in op.told]
    assert kernel("sgd_step")(*lists, 0.5, *numbers, *told) is NotImplemented and launched == []


def test_empty_parameters_launch_nothing(launched):
    parameters = [torch.nn.Parameter(torch.ones(0, 3, device="cuda")) for _ in range(2)]
    for parameter in parameters:
        parameter.grad = torch.ones(0, 3, device="cuda")
    SGD(parameters, lr=0.5).step()
    assert launched == [] and all(parameter._version for parameter in parameters)


RATES = {
    "of the host": (lambda: torch.tensor(0.5), []),
    "of the device": (lambda: torch.tensor(0.5, device="cuda"), ["multi_sgd"]),
    "a number": (lambda: 0.5, ["multi_sgd"]),
}


@pytest.mark.parametrize("name", RATES)
def test_the_rate_lies_with_the_parameters_or_is_a_number(name, launched):
    rate, kernels = RATES[name]
    parameter = torch.nn.Parameter(torch.ones(3, device="cuda"))
    parameter.grad = torch.ones(3, device="cuda")
    SGD([parameter], lr=rate()).step()
    assert launched == kernels and parameter.tolist() == [0.5] * 3
