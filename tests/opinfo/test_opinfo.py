"""PyTorch's own list of ops and samples against ours: an optional run (--oracle torch).

The list is `torch.testing._internal`'s op_db, which needs the package expecttest beside PyTorch.
"""

from __future__ import annotations

import fnmatch
import tomllib
import warnings
from pathlib import Path
from typing import Any

import pytest

from opinfo import carrying
from opinfo.checks import Comparison

HERE = Path(__file__).parent
TABLE = tomllib.loads((HERE / "different.toml").read_text())
DIFFERENT = TABLE["different"]
# Names (`*` stands for any rest), and why they are no names of the API that devtensor offers.
LEFT_OUT = {
    "_refs*": "doubles of the same ops, for compilers",
    "sparse.*": "sparse tensors",
    "to_sparse": "sparse tensors",
    "masked.*": "masked tensors, a prototype",
    "torch.ops*": "the dispatcher's registrations, called by their overloads",
    "torch._scaled*": "private, for certain GPUs alone",
    "jiterator*": "functions compiled from CUDA text",
    "chalf": "complex32, which does not exist here",
    "max_pool2d_with_indices_backward": "an overload of the dispatcher's own",
    "native_dropout_backward": "a formula of PyTorch's own autograd",
    "slice": "the dispatcher's name of x[a:b], which has none in Python",
    "_batch_norm_with_update": "private",
    "_chunk_cat": "private",
    "_native_batch_norm_legit": "private",
    "_segment_reduce*": "private",
    "_softmax_backward_data": "private",
    "_unsafe_masked_index*": "private",
    "_upsample_bilinear2d_aa": "private",
}


def pytest_generate_tests(metafunc: Any) -> None:
    if "entry" in metafunc.fixturenames:
        with_entries(metafunc)


def with_entries(metafunc: Any) -> None:
    """A test for each of PyTorch's ops that the API has; none unless PyTorch is the oracle."""
    entries: list[Any] = []
    if metafunc.config.getoption("--oracle") == "torch":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from torch.testing._internal.common_methods_invocations import op_db
        entries = [entry for entry in op_db if not left_out(entry)]
    metafunc.parametrize("entry", entries, ids=[full_name(entry) for entry in entries])


def left_out(entry: Any) -> bool:
    """Whether the entry is none of the API."""
    return any(fnmatch.fnmatch(entry.name, pattern) for pattern in LEFT_OUT)


def full_name(entry: Any) -> str:
    return f"{entry.name}.{entry.variant_test_name}" if entry.variant_test_name else entry.name


@pytest.mark.filterwarnings("ignore")
def test_entry(entry, torch, tally):
    """No difference, or one that different.toml names; a name there that agrees again is taken out."""
    carrying.use(torch)
    torch.set_num_threads(1)
    found = Comparison(entry).run()
    tally(found)
    known = DIFFERENT.get(full_name(entry))
    if known is None:
        assert not found.differences, "\n".join(found.differences[:10])
    else:
        assert found.differences, f"{full_name(entry)} agrees: take it out of different.toml ({known})"


def test_the_page_names_every_difference():
    """docs/conformance.md holds the rows of different.toml, and no others under its heading."""
    page = (HERE.parents[1] / "docs" / "conformance.md").read_text()
    part = page.split("\n## PyTorch\n")[1].split("\n## ")[0]
    rows = [line for line in part.splitlines() if line.startswith("| `")]
    nn = {f"nn.{name}": text for name, text in TABLE["modules"].items()}
    assert rows == [f"| `{name}` | {text} |" for name, text in sorted((DIFFERENT | nn).items())]
