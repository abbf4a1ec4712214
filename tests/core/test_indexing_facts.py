"""What choosing, placing, ordering and counting give, call by call, as recorded from PyTorch 2.13.

tests/data/choosing.jsonl holds one call a line with its outcome: the results' dtypes, shapes and values, or
the class of the error. Under `--oracle torch` the installed PyTorch is held against the records as well.
"""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path
from typing import Any

import pytest

import devtensor

LINES = (Path(__file__).parents[1] / "data/choosing.jsonl").read_text().splitlines()
FACTS = [json.loads(line) for line in LINES]
CLASSES = (IndexError, ValueError, TypeError, RuntimeError)


def flat(value: Any) -> list:
    """Results as one list: of a tuple or list those of its parts."""
    if isinstance(value, (tuple, list)) and not hasattr(value, "numel"):
        return [part for item in value for part in flat(item)]
    return [value]


def recorded(result: Any) -> Any:
    """One result as the file has it."""
    if hasattr(result, "detach"):
        return [str(result.dtype).split(".")[1], list(result.shape), result.detach().tolist()]
    if isinstance(result, tuple):
        return list(result)
    return result if isinstance(result, (int, float, bool, str)) else str(result).split(".")[-1]


def outcome(library: Any, call: str) -> Any:
    """What a call gives with this library: results, or the classes of its error, as a tuple."""
    given = {
        "x": library.arange(12.0).reshape(3, 4),
        "i": library.tensor([0, 2]),
        "z": library.tensor(2.0),
        "b": library.tensor([1, 2, 3]),
    }
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [recorded(part) for part in flat(eval(call, {"T": library, **given}))]
    except CLASSES as error:
        return tuple(kind.__name__ for kind in CLASSES if isinstance(error, kind))


def equal(found: Any, wanted: Any) -> bool:
    """Equality in which NaN equals itself, and numbers may differ in the last bits of a float32."""
    if isinstance(found, tuple):
        return wanted in found
    if isinstance(wanted, list):
        return isinstance(found, list) and len(found) == len(wanted) and all(map(equal, found, wanted))
    if isinstance(wanted, float) and not isinstance(found, (str, list)):
        return (math.isnan(found) and math.isnan(wanted)) or math.isclose(found, wanted, rel_tol=1e-6)
    return type(found) is type(wanted) and found == wanted


@pytest.mark.parametrize(("call", "wanted"), FACTS, ids=[call for call, _ in FACTS])
def test_it_is_as_recorded(call, wanted):
    found = outcome(devtensor, call)
    assert equal(found, wanted), f"{call} gives {found}; recorded is {wanted}"


def test_the_records_are_pytorchs(torch):
    for call, wanted in FACTS:
        found = outcome(torch, call)
        assert equal(found, wanted), f"{call} gives {found}; recorded is {wanted}"


def test_the_records_speak_of_errors_and_of_results():
    errors = [wanted for _, wanted in FACTS if isinstance(wanted, str)]
    assert len(errors) > 100
    assert set(errors) == {kind.__name__ for kind in CLASSES}
    assert len(FACTS) - len(errors) > 200
