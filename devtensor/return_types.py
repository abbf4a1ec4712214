"""PyTorch's path to the named tuples that functions with several results give."""

# ruff: noqa: F403 - the tuples are listed where they are made

from devtensor.functions.results import *
