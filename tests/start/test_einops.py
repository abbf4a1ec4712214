"""einops on devtensor's tensors, with and without the name torch."""

from __future__ import annotations

import einops
import numpy as np
import pytest

import devtensor as torch
from script_runs import python, succeeded

PATTERNS = ["a b c -> c (b a)", "a (h w) c -> a c h w", "a b c -> 1 b (c a)"]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_rearrange_gives_numpys_numbers_and_gradients(pattern):
    numbers = np.arange(24.0).reshape(2, 4, 3)
    x = torch.tensor(numbers, requires_grad=True)
    sizes = {"h": 2} if "h" in pattern else {}
    made = einops.rearrange(x, pattern, **sizes)
    assert np.array_equal(made.detach().numpy(), einops.rearrange(numbers, pattern, **sizes))
    weight = torch.arange(24.0).reshape(made.shape).double()
    (made * weight).sum().backward()
    assert sorted(x.grad.flatten().tolist()) == weight.flatten().tolist()


@pytest.mark.parametrize("operation", ["mean", "sum", "max", "min", "prod"])
def test_reduce_gives_numpys_numbers(operation):
    numbers = np.random.default_rng(0).normal(size=(2, 4, 3))
    made = einops.reduce(torch.tensor(numbers), "a (h w) c -> a w", operation, h=2)
    assert np.allclose(made.numpy(), einops.reduce(numbers, "a (h w) c -> a w", operation, h=2), rtol=1e-14)


def test_the_other_operations():
    x = torch.arange(6).reshape(2, 3)
    assert einops.repeat(x, "a b -> a b k", k=2).tolist() == [
        [[0, 0], [1, 1], [2, 2]],
        [[3, 3], [4, 4], [5, 5]],
    ]
    assert einops.einsum(x, x, "a b, c b -> a c").tolist() == (x @ x.T).tolist()
    packed, shapes = einops.pack([x, x[0]], "* b")
    assert packed.tolist() == [[0, 1, 2], [3, 4, 5], [0, 1, 2]]
    assert [part.tolist() for part in einops.unpack(packed, shapes, "* b")] == [x.tolist(), x[0].tolist()]
    assert einops.rearrange([x, x], "k a b -> a (k b)").shape == (2, 6)
    assert einops.reduce(x > 2, "a b -> a", "any").tolist() == [False, True]
    assert einops.parse_shape(x, "rows columns") == {"rows": 2, "columns": 3}
    assert np.array_equal(einops.asnumpy(x), x.numpy())
    with pytest.raises(einops.EinopsError):
        einops.rearrange(x, "a b c -> a b c")


BOTH = """
import einops
import devtensor.as_torch
import torch
from einops.layers.torch import EinMix, Rearrange, Reduce

x = torch.randn(2, 3, 4, 4)
model = torch.nn.Sequential(Rearrange("b c h w -> b (h w) c"), EinMix("b n c -> b n d", "c d", "d", c=3, d=5),
                            Reduce("b n d -> b d", "mean"))
model(x).sum().backward()
assert model(x).shape == (2, 5) and all(p.grad is not None for p in model.parameters())
assert einops.rearrange(x, "b c h w -> b (c h w)").shape == (2, 48)
"""


def test_layers_come_with_the_name_torch():
    succeeded(python("-c", BOTH))
