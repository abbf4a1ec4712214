"""What calls of everyday programs cost on tiny tensors, beside PyTorch's where it is installed."""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import importlib.util
import math
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from measure import interleaved, options, report

import devtensor

SIZE = 4

# Calls by what they are for: views, reductions and so on. `t` is the library, `F` its nn.functional.
CALLS = {
    "elementwise": """
        x + y | x + 1 | x * 2.0 | x - y | x / y | x ** 2 | x.pow(2) | -x | x.exp() | x.log() | x.sqrt()
        x.abs() | x.clamp(0, 1) | t.where(m, x, y) | x == y | x > 0 | x.isnan() | F.sigmoid(x) | t.tanh(x)
        F.relu(x) | F.gelu(x)
    """,
    "in place": """
        x.add_(y) | x.mul_(1.0) | x.zero_() | x.fill_(1.0) | x.copy_(y) | x.clamp_(0, 1)
        x.masked_fill_(m, 1.0)
    """,
    "views": """
        x.view(-1) | x.reshape(-1) | x.transpose(0, 1) | x.permute(1, 0) | x.unsqueeze(0) | x3.squeeze(0)
        x.expand(2, N, N) | x[0] | x[:, 1:2] | x[..., None] | x.flatten() | x.T | x.mT | x.chunk(2)
        x.split(1) | x.detach()
    """,
    "reductions": """
        x.sum() | x.sum(1) | x.mean() | x.mean(-1, keepdim=True) | x.max() | x.max(1) | x.argmax(-1)
        x.std() | x.var(-1) | x.norm() | x.all() | x.any() | x.cumsum(0) | x.topk(2) | x.sort(-1)
        t.equal(x, y) | t.allclose(x, y)
    """,
    "indices": """
        x[i] | x[m] | x.gather(1, i[:, None]) | x.scatter(1, i[:, None], 1.0) | x.index_select(0, i)
        x.masked_fill(m, 0.0) | x.tril() | F.one_hot(i, 5) | F.embedding(i, emb)
    """,
    "together": "t.cat([x, y]) | t.stack([x, y]) | x.repeat(2, 1) | F.pad(x, (1, 1))",
    "products": """
        x @ y | t.matmul(x3, y) | t.bmm(x3, x3) | t.einsum('ij,jk->ik', x, y) | t.outer(v, v)
        F.linear(x, lw, lb)
    """,
    "layers": """
        F.softmax(x, -1) | F.log_softmax(x, -1) | F.cross_entropy(x, i) | F.mse_loss(x, y)
        F.layer_norm(x, (N,), lb, lb) | F.conv2d(im, w) | F.max_pool2d(im, 2) | F.dropout(x, 0.5)
        F.normalize(x, dim=-1) | F.interpolate(im, scale_factor=2)
        F.batch_norm(im, t.zeros(3), t.ones(3)) | F.scaled_dot_product_attention(x3, x3, x3)
    """,
    "new tensors": """
        t.zeros(N, N) | t.ones(N) | t.arange(N) | t.randn(N, N) | t.rand(N) | t.zeros_like(x)
        t.tensor([1.0, 2.0]) | t.tensor(3.0) | t.full((N,), 2.0) | x.clone() | x.to(t.float64)
    """,
    "questions": """
        x.contiguous() | x.float() | v.sum().item() | x.size(0) | x.shape | x.dim() | x.device | x.dtype
        x.tolist() | x.numpy() | x.requires_grad | x.numel()
    """,
    "backward": "(g * 2).sum().backward() | (g @ g).sum().backward()",
}


def calls() -> Iterator[tuple[str, str]]:
    """Each call, with what it is for."""
    for group, text in CALLS.items():
        for line in text.strip().splitlines():
            for call in line.split(" | "):
                yield group, call.strip()


def surroundings(library: Any, size: int) -> dict[str, Any]:
    """What the calls name: tensors of ones, indices, a mask."""
    t = library
    ones = t.ones
    x, i = ones(size, size), t.zeros(size, dtype=t.int64)
    return {
        "t": t, "F": t.nn.functional, "N": size, "x": x, "y": ones(size, size), "i": i, "v": ones(size),
        "x3": ones(2, size, size), "g": ones(size, size, requires_grad=True), "im": ones(1, 3, 8, 8),
        "w": ones(4, 3, 3, 3), "lw": ones(size, size), "lb": ones(size), "m": x > 0, "emb": ones(10, size),
    }  # fmt: skip


def installed() -> ModuleType | None:
    """PyTorch on one thread, or None."""
    if importlib.util.find_spec("torch") is None:
        return None
    import torch

    torch.set_num_threads(1)
    return torch


def compiled(call: str, names: dict[str, Any]) -> Callable[[], Any]:
    return eval(f"lambda: {call}", dict(names))


def main() -> None:
    given = options(__doc__ or "")
    theirs = installed()
    ours_in = surroundings(devtensor, SIZE)
    theirs_in = None if theirs is None else surroundings(theirs, SIZE)
    rows: list[dict] = []
    for group, call in calls():
        candidates = {"ours": compiled(call, ours_in)}
        if theirs_in is not None:
            candidates["theirs"] = compiled(call, theirs_in)
        seconds = interleaved(candidates, given.rounds, 100)
        row = {"of": group, "call": call, "devtensor us": round(seconds["ours"] * 1e6, 2)}
        if theirs_in is not None:
            row["PyTorch us"] = round(seconds["theirs"] * 1e6, 2)
            row["ratio"] = round(seconds["ours"] / seconds["theirs"], 2)
        rows.append(row)
    report(rows, given.out)
    if theirs_in is not None:
        ratios = [row["ratio"] for row in rows]
        mean = math.exp(sum(math.log(max(ratio, 0.01)) for ratio in ratios) / len(ratios))
        ahead = sum(ratio <= 1 for ratio in ratios)
        print(f"geometric mean {mean:.2f}, ahead in {ahead} of {len(ratios)}, {SIZE}x{SIZE} float32")


if __name__ == "__main__":
    main()
