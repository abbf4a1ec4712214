"""What scenes of mixed precision share, which PyTorch and devtensor play and whose ends are compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest


def drawn(T: Any, *shape: int, seed: int = 0) -> Any:
    return T.tensor(np.random.default_rng(seed).standard_normal(shape).tolist())


def asked(function: Callable, *given: Any, **named: Any) -> Any:
    """What a call gives, or its error."""
    try:
        return function(*given, **named)
    except Exception as error:
        return error


def state(T: Any) -> list:
    return [T.is_autocast_enabled("cpu"), T.get_autocast_dtype("cpu"), T.is_autocast_cache_enabled()]


def under(T: Any, function: Callable[[], Any], **region: Any) -> Any:
    with T.autocast("cpu", **region):
        return function()


def agree(theirs: Any, ours: Any) -> None:
    """Equal values, dtypes and kinds of errors; numbers of halves to a few of their steps."""
    if isinstance(theirs, Exception):
        assert isinstance(ours, type(theirs)), f"PyTorch: {theirs!r}; ours: {ours!r}"
    elif hasattr(theirs, "detach"):
        assert [str(theirs.dtype).split(".")[-1], theirs.shape, theirs.requires_grad] == [
            ours.dtype.name, ours.shape, ours.requires_grad
        ]  # fmt: skip
        near = 2e-2 if theirs.dtype.is_floating_point else 0
        np.testing.assert_allclose(ours.double().tolist(), theirs.double().tolist(), near, near)
    elif isinstance(theirs, (list, tuple)):
        assert len(theirs) == len(ours)
        for one, other in zip(theirs, ours, strict=True):
            agree(one, other)
    elif isinstance(theirs, dict):
        agree([*theirs], [*ours])
        agree([*theirs.values()], [*ours.values()])
    elif isinstance(theirs, float):
        assert ours == pytest.approx(theirs, rel=1e-6)
    else:
        assert str(theirs).split(".")[-1] == str(ours).split(".")[-1]
