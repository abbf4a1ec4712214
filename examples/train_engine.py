"""One run of the main job: its parts, and what they do in a step and in an epoch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import devtensor
from devtensor import nn, optim
from train_data import ImageData, batches
from train_models import build_model

TEST_BATCH = 512
WEIGHT_DECAY = 0.05
# With ten classes the loss cannot fall below 0.50: so much is asked back of too sure an answer.
LABEL_SMOOTHING = 0.1
AMP_DTYPES = {"off": None, "float16": devtensor.float16, "bfloat16": devtensor.bfloat16}
LEARNING_RATES = {"sgd": 0.1, "adam": 5e-3, "adamw": 5e-3}
HISTORY = ("loss", "accuracy", "scale", "speed")

Batches = Iterable[tuple[devtensor.Tensor, devtensor.Tensor]]


@dataclass(frozen=True)
class Settings:
    """What decides the numbers of a run. A checkpoint may only be continued with the same settings."""

    data: str
    model: str
    amp: str
    epochs: int
    batch_size: int
    lr: float
    optimizer: str
    seed: int


@dataclass(frozen=True)
class Answers:
    """What the model says to the test images: the class it chose and how sure it is, from 0 to 1.

    Shapes: chosen (N,) int64, confidence (N,) float32, labels (N,) int64, all on the CPU
    """

    chosen: devtensor.Tensor
    confidence: devtensor.Tensor
    labels: devtensor.Tensor

    @property
    def accuracy(self) -> float:
        """Share of right answers, in per cent."""
        return 100.0 * (self.chosen == self.labels).sum().item() / len(self.labels)


def build_optimizer(settings: Settings, parameters: Iterable[nn.Parameter]) -> optim.Optimizer:
    """The optimizer that the settings name."""
    if settings.optimizer == "sgd":
        return optim.SGD(parameters, lr=settings.lr, momentum=0.9, weight_decay=1e-4)
    if settings.optimizer == "adam":
        return optim.Adam(parameters, lr=settings.lr)
    return optim.AdamW(parameters, lr=settings.lr, weight_decay=WEIGHT_DECAY)


class Training:
    """A model being trained on a device.

    Every epoch starts its random numbers from a seed made of the run's seed and the epoch's number.
    A run that goes on after a checkpoint therefore draws what an uninterrupted one would, on any device.
    """

    def __init__(
        self, settings: Settings, data: ImageData, device: devtensor.device, workers: int = 0
    ) -> None:
        self.settings = settings
        self.data = data
        self.device = device
        self.epoch = 0
        self.history: dict[str, list[float]] = {name: [] for name in HISTORY}
        self.order = devtensor.Generator()
        devtensor.manual_seed(settings.seed)
        model = build_model(settings.model, data.image_size, data.classes, data.mean, data.std)
        self.model = model.to(device)
        self.optimizer = build_optimizer(settings, self.model.parameters())
        self.scheduler = optim.lr_scheduler.CosineAnnealingLR(self.optimizer, T_max=settings.epochs)
        self.scaler = devtensor.amp.GradScaler(device.type, enabled=settings.amp == "float16")
        self.loss_function = nn.CrossEntropyLoss(label_smoothing=LABEL_SMOOTHING)
        self.train_batches = batches(data.train, settings.batch_size, self.order, workers)
        self.test_batches = batches(data.test, TEST_BATCH)

    def seed_epoch(self) -> None:
        """Make the random numbers of the coming epoch depend on the run's seed and the epoch alone."""
        seed = self.settings.seed * 1_000_003 + 1 + self.epoch
        devtensor.manual_seed(seed)
        self.order.manual_seed(seed)

    def autocast(self) -> devtensor.autocast:
        """The precision of the forward pass."""
        dtype = AMP_DTYPES[self.settings.amp]
        return devtensor.autocast(self.device.type, dtype=dtype, enabled=dtype is not None)

    def step(self, images: devtensor.Tensor, labels: devtensor.Tensor) -> devtensor.Tensor:
        """Learn from one batch on the device; the loss comes back as a tensor, so nothing waits for it."""
        with self.autocast():
            loss = self.loss_function(self.model(images), labels)
        self.optimizer.zero_grad()
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss.detach()

    def train_epoch(self, watch: Callable[[Batches], Batches] = lambda seen: seen) -> dict[str, float]:
        """Go once through the training images, then test; `watch` sees the batches go by.

        Returns: mean loss, accuracy in per cent, loss scale, training images per second
        """
        self.seed_epoch()
        self.model.train()
        total = devtensor.zeros((), device=self.device)
        start = time.perf_counter()
        for images, labels in watch(self.train_batches):
            images, labels = images.to(self.device), labels.to(self.device)
            total += self.step(images, labels) * len(images)
        mean_loss = total.item() / len(self.data.train)
        seconds = time.perf_counter() - start
        self.scheduler.step()
        self.epoch += 1
        numbers = (mean_loss, self.answer().accuracy, self.scaler.get_scale(), len(self.data.train) / seconds)
        for name, number in zip(HISTORY, numbers, strict=True):
            self.history[name].append(number)
        return {name: values[-1] for name, values in self.history.items()}

    def answer(self) -> Answers:
        """Let the model classify the test images."""
        self.model.eval()
        parts = []
        with devtensor.no_grad():
            for images, labels in self.test_batches:
                with self.autocast():
                    logits = self.model(images.to(self.device))
                confidence, chosen = logits.float().softmax(1).max(1)
                parts.append((chosen.cpu(), confidence.cpu(), labels))
        return Answers(*(devtensor.cat(column) for column in zip(*parts, strict=True)))

    def state_dict(self) -> dict[str, Any]:
        """Everything that changes during a run."""
        return {
            "epoch": self.epoch,
            "history": self.history,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "scaler": self.scaler.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to where `state` was taken."""
        for name in ("model", "optimizer", "scheduler", "scaler"):
            getattr(self, name).load_state_dict(state[name])
        self.epoch = state["epoch"]
        self.history = state["history"]
