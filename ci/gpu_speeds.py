"""Stages of gpu_check.py that measure: what the device can do, common work and training beside PyTorch's."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

from gpu_numbers import DEVICE, Numbers, interleaved, is_standin, milliseconds, sized

# Model -> its layers of a width, and the shape of a batch.
MODELS: dict[str, tuple[Callable[[Any, int], list], tuple[int, ...]]] = {
    "MLP, width 1024": (
        lambda nn, w: [nn.Linear(784, w), nn.ReLU(), nn.Linear(w, w), nn.ReLU(), nn.Linear(w, 10)],
        (256, 784),
    ),
    "CNN, 32 and 64 channels": (
        lambda nn, w: [
            nn.Conv2d(3, w // 32, 3, padding=1), nn.BatchNorm2d(w // 32), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(w // 32, w // 16, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(),
            nn.Linear(w, 10),
        ],
        (256, 3, 32, 32),
    ),
    "Transformer, 4 layers of 256": (
        lambda nn, w: [
            nn.Linear(256, w // 4),
            *(nn.TransformerEncoderLayer(w // 4, 8, w, 0.0, batch_first=True) for _ in range(4)),
            nn.Linear(w // 4, 10), nn.AdaptiveAvgPool2d((1, 10)), nn.Flatten(),
        ],
        (32, 128, 256),
    ),
}  # fmt: skip


def libraries() -> dict[str, Any]:
    """devtensor, and PyTorch if it is here and finds the device as well."""
    found = {"devtensor": importlib.import_module("devtensor")}
    if find_spec("torch") is not None and not is_standin():
        torch = importlib.import_module("torch")
        if torch.cuda.is_available():
            found["torch"] = torch
    return found


def speeds(told: Numbers) -> None:
    """What this device can do, which later numbers are parts of: a large copy, large products."""
    import cupy

    source = cupy.zeros(sized(2**26), "float32")
    target = cupy.empty_like(source)

    def copy() -> None:
        target[...] = source

    told["copy GB/s"] = round(2 * source.nbytes / milliseconds(copy) / 1e6, 1)
    found, size = libraries(), sized(8192)
    for dtype in ("float16", "bfloat16", "float32", "float64"):
        square = {name: T.rand(size, size, device="cuda").to(getattr(T, dtype)) for name, T in found.items()}
        work = {name: partial(T.matmul, square[name], square[name]) for name, T in found.items()}
        told.attempt(f"product {dtype} TFLOP/s", partial(_rates, work, 2 * size**3 / 1e9))
        square.clear()


def _rates(work: dict[str, Callable[[], object]], operations: float) -> dict[str, float]:
    return {name: round(operations / ms, 2) for name, ms in interleaved(work, 10).items()}


def works(T: Any) -> dict[str, Callable[[], object]]:
    """Common work on one library's tensors, large enough to be bound by the device, and one that is not."""
    F, rows = T.nn.functional, sized(8192)
    x = T.rand(rows, rows // 2, device="cuda")
    half, small = x[: rows // 2].to(T.float16).contiguous(), x[:8, :8].contiguous()
    stack = T.rand(256, 64, 64, device="cuda").to(T.float16)
    image = T.rand(2 if is_standin() else 32, 64, 56, 56, device="cuda")
    filters = T.rand(64, 64, 3, 3, device="cuda")
    heads = T.rand(8, 16, sized(1024), 64, device="cuda").to(T.float16)
    return {
        "add": lambda: x + x,
        "exp": lambda: x.exp(),
        "gelu": lambda: F.gelu(x),
        "softmax": lambda: F.softmax(x, -1),
        "layer norm": lambda: F.layer_norm(x, x.shape[-1:]),
        "sum": lambda: x.sum(),
        "sum of rows": lambda: x.sum(-1),
        "transposed copy": lambda: x.T.contiguous(),
        "to half": lambda: x.to(T.float16),
        "product of halves": lambda: half @ half.T,
        "batched product of halves": lambda: stack @ stack.transpose(1, 2),
        "convolution 3x3": lambda: F.conv2d(image, filters, padding=1),
        "attention of halves": lambda: F.scaled_dot_product_attention(heads, heads, heads, is_causal=True),
        "add of 8 x 8": lambda: small + small,
    }


def benchmarks(told: Numbers) -> None:
    """Milliseconds of common work, in turns with PyTorch where it is here."""
    found = {name: works(T) for name, T in libraries().items()}
    with importlib.import_module("devtensor").no_grad():
        for work in found["devtensor"]:
            candidates = {name: each[work] for name, each in found.items()}
            told.attempt(work, partial(compared, candidates))


def compared(candidates: dict[str, Callable[[], object]], rounds: int = 20) -> dict[str, float]:
    """Milliseconds by library, and how many times as fast as PyTorch ours is."""
    times = interleaved(candidates, rounds)
    told = {f"{name} ms": round(ms, 4) for name, ms in times.items()}
    if "torch" in times:
        told["torch / devtensor"] = round(times["torch"] / times["devtensor"], 3)
    return told


def training(T: Any, model: str, precision: str) -> Callable[[], Any]:
    """One step of a model on one batch by AdamW; float16 with a scaled loss. Gives the loss."""
    layers, shape = MODELS[model]
    T.manual_seed(0)
    net = T.nn.Sequential(*layers(T.nn, sized(1024))).to(DEVICE)
    optimizer = T.optim.AdamW(net.parameters(), lr=1e-4)
    scaler = T.amp.GradScaler(DEVICE, enabled=precision == "float16")
    batch = 4 if is_standin() else shape[0]
    x, y = T.rand(batch, *shape[1:], device=DEVICE), T.randint(0, 10, (batch,), device=DEVICE)

    def step() -> Any:
        optimizer.zero_grad()
        with T.autocast(DEVICE, dtype=getattr(T, precision), enabled=precision != "float32"):
            loss = T.nn.functional.cross_entropy(net(x), y)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        return loss.detach()

    return step


def models(told: Numbers) -> None:
    """Milliseconds of training steps, eager, in turns with PyTorch where it is here; losses must fall."""
    worse = []
    for model in MODELS:
        for precision in ("float32", "bfloat16", "float16"):
            key = f"{model}, {precision}"
            if not told.attempt(key, partial(_trained, model, precision)) or not told[key]["fell"]:
                worse.append(key)
    assert not worse, f"no training: {worse}"


def _trained(model: str, precision: str) -> dict[str, Any]:
    steps = {name: training(T, model, precision) for name, T in libraries().items()}
    first = float(steps["devtensor"]())
    told: dict[str, Any] = compared(steps, 10)
    last = float(steps["devtensor"]())
    return told | {"first loss": round(first, 4), "last loss": round(last, 4), "fell": last < first}
