"""Anomaly detection: what it says of a NaN in backward, and what it costs when it is off."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import devtensor as torch
from devtensor.autograd import Function, detect_anomaly, set_detect_anomaly
from devtensor.core.errors import AutogradError


def leaf() -> torch.Tensor:
    return torch.tensor([0.0, 1.0], requires_grad=True)


def spoilt(x: torch.Tensor) -> torch.Tensor:
    return (x.sqrt() * 0).sum()  # the line of the NaN


@contextmanager
def told(*patterns: str) -> Iterator[None]:
    """Expect these warnings, in this order, beside what the library says of the numbers."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        yield
    said = [str(one.message) for one in heard if one.category is UserWarning]
    assert len(said) == len(patterns), said
    for text, pattern in zip(said, patterns, strict=True):
        assert re.search(pattern, text, re.DOTALL), text


def test_a_nan_names_its_node_and_its_line():
    with set_detect_anomaly(True):
        out = spoilt(leaf())
        with (
            told("Error detected in SqrtBackward0.*the line of the NaN"),
            pytest.raises(
                RuntimeError, match="Function 'SqrtBackward0' returned nan values in its 0th output"
            ),
        ):
            out.backward()


def test_without_it_a_nan_goes_through():
    x = leaf()
    spoilt(x).backward()
    assert x.grad.isnan().any()
    with set_detect_anomaly(True, check_nan=False):
        spoilt(leaf()).backward()


def test_a_graph_made_before_has_no_lines():
    out = spoilt(leaf())
    with (
        set_detect_anomaly(True),
        told("No forward pass information available"),
        pytest.raises(AutogradError, match="nan"),
    ):
        out.backward()


def test_an_error_in_a_function_is_told_with_its_line():
    class Broken(Function):
        forward = staticmethod(lambda ctx, x: x * 1)

        @staticmethod
        def backward(ctx, g):
            raise ValueError("broken on purpose")

    with set_detect_anomaly(True):
        out = Broken.apply(leaf()).sum()
        with (
            told("Error detected in BrokenBackward.*Broken.apply"),
            pytest.raises(ValueError, match="on purpose"),
        ):
            out.backward()


def test_a_second_derivative_tells_of_both_lines():
    x = leaf()
    with set_detect_anomaly(True), told("Error detected in", r"previous calculation.*x\.pow\(1\.5\)"):
        y = x.pow(1.5).sum()
        (g,) = torch.autograd.grad(y, x, create_graph=True)
        with pytest.raises(AutogradError, match="nan"):
            (g * 0).sum().backward()


def test_it_is_on_for_as_long_as_it_is_asked_for():
    def states() -> tuple[bool, bool]:
        return torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()

    assert states() == (False, True)
    with set_detect_anomaly(True, check_nan=False):
        assert states() == (True, False)
        with set_detect_anomaly(False):
            assert states() == (False, True)
        assert states() == (True, False)
    set_detect_anomaly(True)
    assert states() == (True, True)
    set_detect_anomaly(False)
    with pytest.warns(UserWarning, match="Anomaly Detection has been enabled"):
        guard = detect_anomaly()
    with guard:
        assert states() == (True, True)
    assert states() == (False, True)


def test_off_it_leaves_no_layer_and_no_notes():
    from devtensor.core.state import current

    x = leaf()
    with set_detect_anomaly(True):
        on = x * 2
    off = x * 2
    assert current().layers == () and "traceback_" in on.grad_fn.metadata and off.node.extra is None
