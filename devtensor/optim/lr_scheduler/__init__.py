"""Learning-rate schedules, by PyTorch's names and with its numbers."""

# ruff: noqa: F401 - PyTorch offers here what authors of schedules use

from devtensor.optim.lr_scheduler.cyclic import CyclicLR
from devtensor.optim.lr_scheduler.factors import (
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    LinearLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from devtensor.optim.lr_scheduler.lambdas import LambdaLR, MultiplicativeLR
from devtensor.optim.lr_scheduler.one_cycle import OneCycleLR
from devtensor.optim.lr_scheduler.plateau import ReduceLROnPlateau
from devtensor.optim.lr_scheduler.schedule import EPOCH_DEPRECATION_WARNING, LRScheduler, _enable_get_lr_call
from devtensor.optim.lr_scheduler.sequential import ChainedScheduler, SequentialLR
from devtensor.optim.lr_scheduler.warm_restarts import CosineAnnealingWarmRestarts
from devtensor.optim.optimizer import Optimizer

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]

# The name from before PyTorch 2.0.
_LRScheduler = LRScheduler
