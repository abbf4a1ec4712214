"""Training that gpu_check.py times with devtensor and with PyTorch alike: `T` is either library."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from gpu_numbers import DEVICE, Numbers, interleaved, is_standin, sized
from gpu_speeds import beside, libraries


class Model(NamedTuple):
    """The layers of a width, the shape of a batch, and how many classes its outputs tell apart."""

    layers: Callable[[Any, int], list]
    batch: tuple[int, ...]
    classes: int = 10
    of_tokens: bool = False


def small(nn: Any, width: int) -> list:
    """So little work that launching it is what takes the time."""
    return [nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)]


def perceptron(nn: Any, width: int) -> list:
    between = [nn.ReLU(), nn.Linear(width, width), nn.ReLU()]
    return [nn.Linear(784, width), *between, nn.Linear(width, 10)]


def convolutions(nn: Any, width: int) -> list:
    few, many = width // 32, width // 16
    first = [nn.Conv2d(3, few, 3, padding=1), nn.BatchNorm2d(few), nn.ReLU(), nn.MaxPool2d(2)]
    second = [nn.Conv2d(few, many, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(4)]
    return [*first, *second, nn.Flatten(), nn.Linear(width, 10)]


def transformer(nn: Any, width: int) -> list:
    inner = width // 4
    layers = [nn.TransformerEncoderLayer(inner, 8, width, 0.0, batch_first=True) for _ in range(4)]
    return [nn.Linear(256, inner), *layers, nn.Linear(inner, 10), nn.AdaptiveAvgPool2d((1, 10)), nn.Flatten()]


VOCABULARY = 50257


def gpt(nn: Any, width: int) -> list:
    """GPT-2 as it is for a width of 1024, the small one, its first and last layer sharing their weight."""
    F, inner, heads, words = nn.functional, 3 * width // 4, 12, sized(VOCABULARY)

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.before, self.between = nn.LayerNorm(inner), nn.LayerNorm(inner)
            self.heads, self.joined = nn.Linear(inner, 3 * inner), nn.Linear(inner, inner)
            self.wide, self.narrow = nn.Linear(inner, 4 * inner), nn.Linear(4 * inner, inner)

        def forward(self, x: Any) -> Any:
            apart = self.heads(self.before(x)).unflatten(-1, (3, heads, inner // heads))
            query, key, value = apart.transpose(1, 3).unbind(2)
            seen = F.scaled_dot_product_attention(query, key, value, is_causal=True)
            x = x + self.joined(seen.transpose(1, 2).flatten(2))
            return x + self.narrow(F.gelu(self.wide(self.between(x)), approximate="tanh"))

    class Words(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.places = nn.Embedding(words, inner), nn.Embedding(width, inner)

        def forward(self, tokens: Any) -> Any:
            return self.words(tokens) + self.places.weight[: tokens.shape[1]]

    first, last = Words(), nn.Linear(inner, words, bias=False)
    last.weight = first.words.weight
    blocks = [Block() for _ in range(12 if width == 1024 else 1)]
    return [first, *blocks, nn.LayerNorm(inner), last, nn.Flatten(0, 1)]


MODELS = {
    "MLP, width 64": Model(small, (32, 64)),
    "GPT, 12 layers of 768": Model(gpt, (8, 512), VOCABULARY, True),
    "Transformer, 4 layers of 256": Model(transformer, (32, 128, 256)),
    "CNN, 32 and 64 channels": Model(convolutions, (256, 3, 32, 32)),
    "MLP, width 1024": Model(perceptron, (256, 784)),
}
ALL = ("bfloat16", "float16", "float32")
PRECISIONS = {"MLP, width 64": ("float32",), "GPT, 12 layers of 768": ("bfloat16",)}
"""What models are trained in, if not in all."""


def training(T: Any, model: str, precision: str) -> Callable[[], Any]:
    """One step of a model on one batch by AdamW; float16 with a scaled loss. Gives the loss."""
    told = MODELS[model]
    T.manual_seed(0)
    net = T.nn.Sequential(*told.layers(T.nn, sized(1024))).to(DEVICE)
    optimizer = T.optim.AdamW(net.parameters(), lr=1e-4)
    scaler = T.amp.GradScaler(DEVICE, enabled=precision == "float16")
    samples, *shape = told.batch
    if is_standin():
        samples, shape = 4, [sized(size) for size in shape] if told.of_tokens else shape
    classes = sized(told.classes)
    make = partial(T.randint, 0, classes) if told.of_tokens else T.rand
    x = make((samples, *shape), device=DEVICE)
    answers = x.numel() if told.of_tokens else samples
    y = T.randint(0, classes, (answers,), device=DEVICE)

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
        for precision in PRECISIONS.get(model, ALL):
            key = f"{model}, {precision}"
            if not told.attempt(key, partial(trained, model, precision)) or not told[key]["fell"]:
                worse.append(key)
    assert not worse, f"no training: {worse}"


def trained(model: str, precision: str) -> dict[str, Any]:
    """Times of a step by library, and whether ours learns."""
    steps = {name: training(T, model, precision) for name, T in libraries().items()}
    first = float(steps["devtensor"]())
    told: dict[str, Any] = beside(interleaved(steps, 10))
    last = float(steps["devtensor"]())
    return told | {"first loss": round(first, 4), "last loss": round(last, 4), "fell": last < first}
