"""Learning-rate schedules, by PyTorch's names and with its numbers."""

from devtensor.optim.lr_scheduler.factors import (
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiStepLR,
    StepLR,
)
from devtensor.optim.lr_scheduler.one_cycle import OneCycleLR
from devtensor.optim.lr_scheduler.plateau import ReduceLROnPlateau
from devtensor.optim.lr_scheduler.schedule import LRScheduler
from devtensor.optim.lr_scheduler.sequential import SequentialLR

__all__ = [
    "ConstantLR",
    "CosineAnnealingLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "OneCycleLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]

# The name from before PyTorch 2.0.
_LRScheduler = LRScheduler
