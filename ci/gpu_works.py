"""Work that gpu_check.py times on devtensor's tensors and on PyTorch's alike: `T` is either library."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from gpu_numbers import DEVICE, few, sized


class Work(NamedTuple):
    """What to run, and how many bytes it must at the least read from memory and write, if that binds it."""

    run: Callable[[], object]
    moved: int = 0


Maker = Callable[[Any], Work]


def large(T: Any, dtype: str = "float32") -> Any:
    """A table that no cache holds."""
    rows = sized(8192)
    return T.rand(rows, rows // 2, device=DEVICE).to(getattr(T, dtype))


def over(function: Callable[[Any, Any], object], passes: float, dtype: str = "float32") -> Maker:
    """Work on one large table, through which memory is gone so many times."""

    def make(T: Any) -> Work:
        x = large(T, dtype)
        return Work(lambda: function(T.nn.functional, x), int(passes * x.nbytes))

    return make


def back(T: Any, function: Callable[..., Any], *inputs: Any) -> Work:
    """Work and the gradients of all its inputs."""
    wanted = [each.detach().requires_grad_() for each in inputs]
    gradient = T.ones_like(function(*wanted)).detach()
    return Work(lambda: T.autograd.grad(function(*wanted), wanted, gradient))


def add(T: Any) -> Work:
    x, y = large(T), large(T)
    return Work(lambda: x + y, 3 * x.nbytes)


def product(T: Any) -> Work:
    x = T.rand(sized(4096), sized(4096), device=DEVICE).to(T.float16)
    return Work(lambda: x @ x.T)


def batched_product(T: Any) -> Work:
    x = T.rand(few(256), 64, 64, device=DEVICE).to(T.float16)
    return Work(lambda: x @ x.transpose(1, 2))


def heads(T: Any) -> list[Any]:
    """Queries, keys and values."""
    shape = few(8), few(16), sized(1024), few(64)
    return [T.rand(*shape, device=DEVICE).to(T.float16) for _ in range(3)]


def attention(T: Any) -> Work:
    return Work(partial(T.nn.functional.scaled_dot_product_attention, *heads(T), is_causal=True))


def attention_and_back(T: Any) -> Work:
    return back(T, partial(T.nn.functional.scaled_dot_product_attention, is_causal=True), *heads(T))


def image_and_filters(T: Any, dtype: str) -> list[Any]:
    """In the layout that each library does best with."""
    channels = few(64)
    shapes = (few(32), channels, few(56), few(56)), (channels, channels, 3, 3)
    made = [T.rand(*shape, device=DEVICE) for shape in shapes]
    order = T.channels_last if T.__name__ == "torch" else T.contiguous_format
    return [each.to(getattr(T, dtype)).contiguous(memory_format=order) for each in made]


def convolution(T: Any) -> Work:
    return Work(partial(T.nn.functional.conv2d, *image_and_filters(T, "float32"), padding=1))


def convolution_and_back(T: Any) -> Work:
    return back(T, partial(T.nn.functional.conv2d, padding=1), *image_and_filters(T, "float16"))


def linear_and_back(T: Any) -> Work:
    rows, F = sized(8192), T.nn.functional
    shapes = (rows, rows // 2), (rows // 2, rows // 2), (rows // 2,)
    inputs = [T.rand(*shape, device=DEVICE).to(T.bfloat16) for shape in shapes]
    return back(T, lambda x, weight, bias: F.gelu(F.linear(x, weight, bias)), *inputs)


def adamw(T: Any) -> Work:
    """A step over as many parameters, in the same shapes, as GPT-2 has."""
    width = few(768)
    block = [(width,)] * 6 + [(3 * width,), (4 * width,)]
    block += [(3 * width, width), (width, width), (4 * width, width), (width, 4 * width)]
    shapes = [(65 * width, width), (width, width), *(few(12) * block), (width,), (width,)]
    parameters = [T.nn.Parameter(T.rand(*shape, device=DEVICE)) for shape in shapes]
    for each in parameters:
        each.grad = T.rand(*each.shape, device=DEVICE)
    return Work(T.optim.AdamW(parameters, lr=1e-4, fused=True).step)


def small_add(T: Any) -> Work:
    x = T.rand(8, 8, device=DEVICE)
    return Work(lambda: x + x)


MAKERS: dict[str, Maker] = {
    "add": add,
    "softmax": over(lambda F, x: F.softmax(x, -1), 2),
    "layer norm": over(lambda F, x: F.layer_norm(x, x.shape[-1:]), 2),
    "AdamW": adamw,
    "linear, gelu, and back": linear_and_back,
    "attention, and back": attention_and_back,
    "convolution, and back": convolution_and_back,
    "batched product of halves": batched_product,
    "add of 8 x 8": small_add,
    "exp": over(lambda F, x: x.exp(), 2),
    "gelu": over(lambda F, x: F.gelu(x), 2),
    "gelu of halves": over(lambda F, x: F.gelu(x), 2, "float16"),
    "softmax of halves": over(lambda F, x: F.softmax(x, -1), 2, "float16"),
    "layer norm of halves": over(lambda F, x: F.layer_norm(x, x.shape[-1:]), 2, "float16"),
    "sum": over(lambda F, x: x.sum(), 1),
    "sum of rows": over(lambda F, x: x.sum(-1), 1),
    "transposed copy": over(lambda F, x: x.T.contiguous(), 2),
    "to half": over(lambda F, x: x.half(), 1.5),
    "product of halves": product,
    "convolution 3x3": convolution,
    "attention of halves": attention,
}
"""Common work, that which goals speak of first; large enough to be bound by the device, but for one."""
