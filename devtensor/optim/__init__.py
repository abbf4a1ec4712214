"""Optimizers and learning-rate schedules, by PyTorch's names."""

from importlib import import_module as _import_module
from typing import Any as _Any

from devtensor.optim import lr_scheduler
from devtensor.optim._adafactor import Adafactor
from devtensor.optim._muon import Muon
from devtensor.optim.adadelta import Adadelta
from devtensor.optim.adagrad import Adagrad
from devtensor.optim.adam import Adam, AdamW
from devtensor.optim.adamax import Adamax
from devtensor.optim.asgd import ASGD
from devtensor.optim.lbfgs import LBFGS
from devtensor.optim.nadam import NAdam
from devtensor.optim.optimizer import Optimizer
from devtensor.optim.radam import RAdam
from devtensor.optim.rmsprop import RMSprop
from devtensor.optim.rprop import Rprop
from devtensor.optim.sgd import SGD
from devtensor.optim.sparse_adam import SparseAdam

__all__ = [
    "ASGD",
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Muon",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "SparseAdam",
    "lr_scheduler",
    "swa_utils",
]

# Modules that are loaded when they are asked for: they need more than an optimizer does.
_LATER = ("swa_utils", "adamw")


def __getattr__(name: str) -> _Any:
    if name in _LATER:
        return _import_module(f"devtensor.optim.{name}")
    raise AttributeError(f"module 'devtensor.optim' has no attribute {name!r}")
