"""Optimizers and learning-rate schedules, by PyTorch's names."""

from devtensor.optim import lr_scheduler
from devtensor.optim.adam import Adam, AdamW
from devtensor.optim.optimizer import Optimizer
from devtensor.optim.sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "lr_scheduler"]
