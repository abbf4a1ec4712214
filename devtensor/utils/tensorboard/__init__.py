"""Logs for TensorBoard, written by tensorboardX: `pip install devtensor[tensorboard]`."""

from devtensor.utils.tensorboard.writer import FileWriter, SummaryWriter

__all__ = ["FileWriter", "SummaryWriter"]
