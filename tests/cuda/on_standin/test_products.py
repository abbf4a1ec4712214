"""How cuBLAS sees matrices: which lie by rows, which by columns, and how far those of a batch are apart."""

from __future__ import annotations

import numpy as np
import pytest

from devtensor_cupy.products import batch_stride, matrix_layout

X = np.zeros((3, 4), np.float16)
LAYOUTS = {
    "rows": (X, (False, 4)),
    "columns": (X.T, (True, 4)),
    "rows apart": (X[:, :2], (False, 4)),
    "columns apart": (X.T[:2], (True, 4)),
    "every other row": (X[::2], (False, 8)),
    "every other column": (X[:, ::2], None),
    "one column": (X[:, :1], (False, 4)),
    "one row": (X[:1], (False, 4)),
    "one row, numbers apart": (X[:1, ::2], (True, 2)),
    "one column of one row": (X[:1, :1], (False, 1)),
    "one column, lines apart": (np.zeros((3, 4, 2), np.float16)[:, :1, 0], (False, 8)),
    "a column seen as a row": (X[:, :1].T, (True, 4)),
    "the same row": (np.broadcast_to(X[0], (3, 4)), None),
    "the same column": (np.broadcast_to(X[:, :1], (3, 4)), None),
    "from the end": (X[::-1], None),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts(name):
    matrix, layout = LAYOUTS[name]
    assert matrix_layout(matrix) == layout


BATCH = np.zeros((5, 2, 3, 4), np.float16)
STRIDES = {
    "one matrix": (X, 0),
    "a batch": (BATCH[0], 12),
    "a batch of batches": (BATCH, 12),
    "every other one": (BATCH[::2, 0], 48),
    "every other batch": (BATCH[::2], None),
    "one dim of one": (BATCH[:, :1], 24),
    "the same matrix": (np.broadcast_to(X, (5, 2, 3, 4)), 0),
    "the same batch": (np.broadcast_to(BATCH[0], (5, 2, 3, 4)), None),
    "dims swapped": (BATCH.swapaxes(0, 1), None),
    "from the end": (BATCH[0, ::-1], None),
}


@pytest.mark.parametrize("name", STRIDES)
def test_strides_of_batches(name):
    matrices, stride = STRIDES[name]
    assert batch_stride(matrices) == stride
