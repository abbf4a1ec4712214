"""devtensor.array_api: the standard's names and signatures, and values and dtypes as NumPy has them."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import devtensor
from devtensor import array_api
from devtensor.core.errors import ArgumentError, ArgumentTypeError, DimensionError, DTypeError


def words(text):
    """Names separated by spaces."""
    return text.split()


ONE, TWO = "x, /", "x1, x2, /"
ALONG = "x, /, *, axis=None, keepdims=False"
SUMMED = "x, /, *, axis=None, dtype=None, keepdims=False"
SPREAD = "x, /, *, axis=None, correction=0.0, keepdims=False"
RUNNING = "x, /, *, axis=None, dtype=None, include_initial=False"
ORDERED = "x, /, *, axis=-1, descending=False, stable=True"
MADE, LIKE = "shape, *, dtype=None, device=None", "x, /, *, dtype=None, device=None"
OF_ONE = words(
    "abs acos acosh asin asinh atan atanh bitwise_invert ceil conj cos cosh exp expm1 floor imag "
    "isfinite isinf isnan log log10 log1p log2 logical_not matrix_transpose negative nonzero positive "
    "real reciprocal round sign signbit sin sinh sqrt square tan tanh trunc unique_all unique_counts "
    "unique_inverse unique_values linalg.det linalg.eigh linalg.eigvalsh linalg.inv "
    "linalg.matrix_transpose linalg.slogdet linalg.svdvals"
)
OF_TWO = words(
    "add atan2 bitwise_and bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor copysign "
    "divide equal floor_divide greater greater_equal hypot less less_equal logaddexp logical_and "
    "logical_or logical_xor matmul maximum minimum multiply nextafter not_equal pow remainder subtract "
    "linalg.matmul linalg.outer linalg.solve"
)
LINES = words("fft.fft fft.ifft fft.rfft fft.irfft fft.hfft fft.ihfft")
# Source: the Python array API standard, version 2024.12.
SIGNATURES = {
    **dict.fromkeys(OF_ONE, ONE),
    **dict.fromkeys(OF_TWO, TWO),
    **dict.fromkeys(LINES, "x, /, *, n=None, axis=-1, norm='backward'"),
    **dict.fromkeys(["all", "any", "max", "mean", "min", "count_nonzero", "argmax", "argmin"], ALONG),
    **dict.fromkeys(["sum", "prod"], SUMMED),
    **dict.fromkeys(["std", "var"], SPREAD),
    **dict.fromkeys(["cumulative_sum", "cumulative_prod"], RUNNING),
    **dict.fromkeys(["sort", "argsort"], ORDERED),
    **dict.fromkeys(["empty", "ones", "zeros"], MADE),
    **dict.fromkeys(["empty_like", "ones_like", "zeros_like"], LIKE),
    "arange": "start, /, stop=None, step=1, *, dtype=None, device=None",
    "asarray": "obj, /, *, dtype=None, device=None, copy=None",
    "astype": "x, dtype, /, *, copy=True, device=None",
    "broadcast_arrays": "*arrays",
    "broadcast_to": "x, /, shape",
    "can_cast": "from_, to, /",
    "clip": "x, /, min=None, max=None",
    "concat": "arrays, /, *, axis=0",
    "diff": "x, /, *, axis=-1, n=1, prepend=None, append=None",
    "expand_dims": "x, /, axis=0",
    "eye": "n_rows, n_cols=None, /, *, k=0, dtype=None, device=None",
    "finfo": "type, /",
    "flip": "x, /, *, axis=None",
    "from_dlpack": "x, /, *, device=None, copy=None",
    "full": "shape, fill_value, *, dtype=None, device=None",
    "full_like": "x, /, fill_value, *, dtype=None, device=None",
    "iinfo": "type, /",
    "isdtype": "dtype, kind",
    "linspace": "start, stop, /, num, *, dtype=None, device=None, endpoint=True",
    "meshgrid": "*arrays, indexing='xy'",
    "moveaxis": "x, source, destination, /",
    "permute_dims": "x, /, axes",
    "repeat": "x, repeats, /, *, axis=None",
    "reshape": "x, /, shape, *, copy=None",
    "result_type": "*arrays_and_dtypes",
    "roll": "x, /, shift, *, axis=None",
    "searchsorted": "x1, x2, /, *, side='left', sorter=None",
    "squeeze": "x, /, axis",
    "stack": "arrays, /, *, axis=0",
    "take": "x, indices, /, *, axis=None",
    "take_along_axis": "x, indices, /, *, axis=-1",
    "tensordot": "x1, x2, /, *, axes=2",
    "tile": "x, repetitions, /",
    "tril": "x, /, *, k=0",
    "triu": "x, /, *, k=0",
    "unstack": "x, /, *, axis=0",
    "vecdot": "x1, x2, /, *, axis=-1",
    "where": "condition, x1, x2, /",
    "linalg.cholesky": "x, /, *, upper=False",
    "linalg.cross": "x1, x2, /, *, axis=-1",
    **dict.fromkeys(
        [f"linalg.{name}" for name in ("det", "eigh", "eigvalsh", "inv", "slogdet", "svdvals")], ONE
    ),
    "linalg.diagonal": "x, /, *, offset=0",
    "linalg.matrix_norm": "x, /, *, keepdims=False, ord='fro'",
    "linalg.matrix_power": "x, n, /",
    "linalg.matrix_rank": "x, /, *, rtol=None",
    "linalg.pinv": "x, /, *, rtol=None",
    "linalg.qr": "x, /, *, mode='reduced'",
    "linalg.svd": "x, /, *, full_matrices=True",
    "linalg.tensordot": "x1, x2, /, *, axes=2",
    "linalg.trace": "x, /, *, offset=0, dtype=None",
    "linalg.vecdot": "x1, x2, /, *, axis=-1",
    "linalg.vector_norm": "x, /, *, axis=None, keepdims=False, ord=2",
    **dict.fromkeys(
        [f"fft.{name}" for name in ("fftn", "ifftn", "rfftn", "irfftn")],
        "x, /, *, s=None, axes=None, norm='backward'",
    ),
    **dict.fromkeys(["fft.fftfreq", "fft.rfftfreq"], "n, /, *, d=1.0, dtype=None, device=None"),
    **dict.fromkeys(["fft.fftshift", "fft.ifftshift"], "x, /, *, axes=None"),
}


def named(namespace, name):
    """The function of a dotted name."""
    for part in name.split("."):
        namespace = getattr(namespace, part)
    return namespace


@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures(name):
    signature = inspect.signature(named(array_api, name))
    plain = [
        parameter.replace(annotation=inspect.Parameter.empty) for parameter in signature.parameters.values()
    ]
    assert str(inspect.Signature(plain)) == f"({SIGNATURES[name]})"


RNG = np.random.default_rng(5)
F = RNG.standard_normal((2, 3, 4))
G = RNG.standard_normal((3, 1)).astype(np.float32)
N = np.array([[np.nan, 1.0, -0.0], [0.0, np.inf, -np.inf]])
P = np.abs(F) + 0.5
C = F[0] + 1j * F[1]
INTS = RNG.integers(-9, 9, (3, 4))
SMALL = INTS.astype(np.int8)
WORDS = np.abs(INTS).astype(np.uint16)
B = INTS > 0
SQUARE = F[0, :, :3] + 3 * np.eye(3)
SYMMETRIC = SQUARE @ SQUARE.T
LINE = np.array([3, 1, 2, 3, 1])


def each(text, what, *arrays):
    """A case for each of several functions, on the same arrays."""
    return {
        f"{name}{what}": (lambda xp, *given, name=name: named(xp, name)(*given), *arrays)
        for name in words(text)
    }


# name: (function of a namespace and arrays, the arrays)
CASES = {
    **each("cos sin tan sinh cosh tanh exp asinh", "", F),
    **each("log log1p log2 log10 sqrt expm1 atan reciprocal", "", P),
    **each("isnan isinf isfinite signbit sign", "", N),
    **each("abs conj real imag exp log sqrt square sign negative sin tanh acos", " of complex numbers", C),
    **each("abs floor ceil trunc square negative positive sign bitwise_invert", " of integers", SMALL),
    **each("add subtract multiply divide maximum minimum", " of two dtypes", F, G),
    **each("less equal atan2 hypot floor_divide", " of two dtypes", F, G),
    **each(
        "add subtract multiply bitwise_and bitwise_or bitwise_xor", " of two kinds of integers", SMALL, WORDS
    ),
    **each("greater not_equal less_equal", " of two kinds of integers", SMALL, WORDS),
    "add to a 0-d array of a wider dtype": (lambda xp, x, y: xp.add(x, y), G, np.array(1.5)),
    "add a number": (lambda xp, x: xp.add(x, 3), SMALL),
    "subtract from a number": (lambda xp, x: xp.subtract(3.5, x), G),
    "copysign": (lambda xp, x, y: xp.copysign(x, y), N, -np.abs(N)),
    "nextafter": (lambda xp, x, y: xp.nextafter(x, y), F[0], -F[0]),
    "logaddexp": (lambda xp, x, y: xp.logaddexp(x, y), F[0], F[1]),
    "pow": (lambda xp, x, y: xp.pow(x, y), P, F),
    "remainder": (lambda xp, x, y: xp.remainder(x, y), INTS, np.array(3)),
    "round to even": (lambda xp, x: xp.round(x), np.array([0.5, 1.5, 2.5, -0.5])),
    "logical_xor": (lambda xp, x, y: xp.logical_xor(x, y), B, B[::-1].copy()),
    "clip": (lambda xp, x: xp.clip(x, -2, 3), SMALL),
    "clip below": (lambda xp, x, y: xp.clip(x, y, None), F, F[1]),
    "sum": (lambda xp, x: xp.sum(x), F),
    "sum along two": (lambda xp, x: xp.sum(x, axis=(0, -1), keepdims=True), F),
    "sum along none": (lambda xp, x: xp.sum(x, axis=()), SMALL),
    "sum of small integers": (lambda xp, x: xp.sum(x, axis=0), SMALL),
    "sum of unsigned integers": (lambda xp, x: xp.sum(x), WORDS),
    "sum of truths": (lambda xp, x: xp.sum(x), B),
    "prod": (lambda xp, x: xp.prod(x, axis=(0, 2)), F),
    "prod of small integers": (lambda xp, x: xp.prod(x, axis=1, keepdims=True), SMALL),
    "mean": (lambda xp, x: xp.mean(x, axis=1), F),
    "std": (lambda xp, x: xp.std(x, axis=(1, 2), correction=1), F),
    "var": (lambda xp, x: xp.var(x), F),
    "max": (lambda xp, x: xp.max(x, axis=(0, 1)), F),
    "min of NaN": (lambda xp, x: xp.min(x, axis=1), N),
    "all": (lambda xp, x: xp.all(x, axis=0), B),
    "any along none": (lambda xp, x: xp.any(x, axis=()), INTS),
    "count_nonzero": (lambda xp, x: xp.count_nonzero(x, axis=1, keepdims=True), INTS),
    "argmax": (lambda xp, x: xp.argmax(x, axis=1), INTS),
    "argmin of all": (lambda xp, x: xp.argmin(x, keepdims=True), INTS),
    "cumulative_sum": (lambda xp, x: xp.cumulative_sum(x, axis=1, include_initial=True), SMALL),
    "cumulative_prod": (lambda xp, x: xp.cumulative_prod(x, axis=-1), F),
    "cumulative_sum of unsigned": (lambda xp, x: xp.cumulative_sum(x, axis=0), WORDS),
    "diff": (lambda xp, x: xp.diff(x, axis=0, n=2), INTS),
    "sort": (lambda xp, x: xp.sort(x, axis=0), INTS),
    "argsort": (lambda xp, x: xp.argsort(x, stable=True), LINE),
    "nonzero": (lambda xp, x: xp.nonzero(x), INTS),
    "searchsorted": (lambda xp, x, y: xp.searchsorted(x, y, side="right"), np.sort(LINE), LINE),
    "where": (lambda xp, c, x, y: xp.where(c, x, y), B, INTS, SMALL),
    "take": (lambda xp, x, i: xp.take(x, i, axis=1), INTS, np.array([2, 0])),
    "take_along_axis": (lambda xp, x, i: xp.take_along_axis(x, i, axis=0), INTS, np.array([[2, 0, -1, 1]])),
    "unique_all": (lambda xp, x: tuple(xp.unique_all(x)), LINE),
    "unique_counts": (lambda xp, x: tuple(xp.unique_counts(x)), INTS),
    "unique_inverse": (lambda xp, x: tuple(xp.unique_inverse(x)), INTS),
    "unique_values": (lambda xp, x: xp.unique_values(x), B),
    "concat": (lambda xp, x, y: xp.concat([x, y], axis=1), SMALL, WORDS),
    "concat in a row": (lambda xp, x, y: xp.concat((x, y), axis=None), SMALL, INTS),
    "stack": (lambda xp, x, y: xp.stack([x, y], axis=-1), F[0], F[1]),
    "unstack": (lambda xp, x: xp.unstack(x, axis=1), INTS),
    "expand_dims": (lambda xp, x: xp.expand_dims(x, axis=-2), INTS),
    "squeeze": (lambda xp, x: xp.squeeze(x, axis=(0, -1)), F[None, ..., None]),
    "flip": (lambda xp, x: xp.flip(x), INTS),
    "roll": (lambda xp, x: xp.roll(x, 2, axis=(0, 1)), INTS),
    "roll in a row": (lambda xp, x: xp.roll(x, -5), INTS),
    "tile": (lambda xp, x: xp.tile(x, (2, 1, 3)), INTS),
    "repeat": (lambda xp, x: xp.repeat(x, 2, axis=0), INTS),
    "repeat by an array": (lambda xp, x, y: xp.repeat(x, y, axis=0), INTS, np.array([2, 0, 1])),
    "moveaxis": (lambda xp, x: xp.moveaxis(x, (0, 1), (-1, 0)), F),
    "permute_dims": (lambda xp, x: xp.permute_dims(x, (2, 0, 1)), F),
    "broadcast_arrays": (lambda xp, x, y: tuple(xp.broadcast_arrays(x, y)), F, G),
    "reshape": (lambda xp, x: xp.reshape(x, (4, -1)), F),
    "tril": (lambda xp, x: xp.tril(x, k=-1), INTS),
    "triu": (lambda xp, x: xp.triu(x, k=1), F),
    "meshgrid": (lambda xp, x, y: tuple(xp.meshgrid(x, y)), LINE, LINE[:2]),
    "eye": (lambda xp: xp.eye(3, 4, k=-1, dtype=xp.int32),),
    "arange down": (lambda xp: xp.arange(3.0, -1.0, -0.5, dtype=xp.float64),),
    "arange of nothing": (lambda xp: xp.arange(5, 3),),
    "linspace": (lambda xp: xp.linspace(-1, 2, 7, dtype=xp.float64, endpoint=False),),
    "linspace of complex numbers": (lambda xp: xp.linspace(1j, 2, 4, dtype=xp.complex128),),
    "full": (lambda xp: xp.full((2, 3), 7),),
    "full of complex numbers": (lambda xp: xp.full(2, 1j, dtype=xp.complex128),),
    "ones": (lambda xp: xp.ones(3, dtype=xp.uint32),),
    "zeros_like": (lambda xp, x: xp.zeros_like(x, dtype=xp.bool), F),
    "astype": (lambda xp, x: xp.astype(x, xp.float32), INTS),
    "matmul": (lambda xp, x, y: xp.matmul(x, y), INTS, SMALL.T.copy()),
    "vecdot": (lambda xp, x, y: xp.vecdot(x, y), C, F[0]),
    "tensordot": (lambda xp, x, y: xp.tensordot(x, y, axes=((1, 2), (0, 1))), F, F[0]),
    "linalg.outer": (lambda xp, x: xp.linalg.outer(x, x), LINE),
    "linalg.cross": (lambda xp, x: xp.linalg.cross(x, xp.flip(x, axis=0)), SQUARE),
    "linalg.trace": (lambda xp, x: xp.linalg.trace(x, offset=1), SMALL),
    "linalg.diagonal": (lambda xp, x: xp.linalg.diagonal(x, offset=-1), F),
    "linalg.det": (lambda xp, x: xp.linalg.det(x), SQUARE),
    "linalg.slogdet": (lambda xp, x: tuple(xp.linalg.slogdet(x)), SQUARE),
    "linalg.inv": (lambda xp, x: xp.linalg.inv(x), SQUARE),
    "linalg.pinv": (lambda xp, x: xp.linalg.pinv(x), F),
    "linalg.solve": (lambda xp, x, y: xp.linalg.solve(x, y), SQUARE, F[0]),
    "linalg.solve for a vector": (lambda xp, x, y: xp.linalg.solve(x, y), SQUARE, F[0, :, 0]),
    "linalg.solve of a batch": (lambda xp, x, y: xp.linalg.solve(x, y), np.stack([SQUARE, SQUARE + 1]), F[0]),
    "linalg.cholesky": (lambda xp, x: xp.linalg.cholesky(x, upper=True), SYMMETRIC),
    "linalg.eigvalsh": (lambda xp, x: xp.linalg.eigvalsh(x), SYMMETRIC),
    "linalg.svdvals": (lambda xp, x: xp.linalg.svdvals(x), F),
    "linalg.matrix_rank": (lambda xp, x: xp.linalg.matrix_rank(x), F),
    "linalg.matrix_power": (lambda xp, x: xp.linalg.matrix_power(x, -2), SQUARE),
    "linalg.matrix_norm": (lambda xp, x: xp.linalg.matrix_norm(x, ord="nuc", keepdims=True), F),
    "linalg.vector_norm": (lambda xp, x: xp.linalg.vector_norm(x, axis=(0, 2), ord=3), F),
    "linalg.vector_norm of all": (lambda xp, x: xp.linalg.vector_norm(x, keepdims=True, ord=1), F),
    **{
        f"fft.{name}": (lambda xp, x, name=name: named(xp.fft, name)(x, n=5, axis=0, norm="ortho"), C)
        for name in ["fft", "ifft", "irfft", "hfft"]
    },
    "fft.rfft": (lambda xp, x: xp.fft.rfft(x), F),
    "fft.ihfft": (lambda xp, x: xp.fft.ihfft(x, axis=1), F),
    "fft.fftn": (lambda xp, x: xp.fft.fftn(x), C),
    "fft.irfftn": (lambda xp, x: xp.fft.irfftn(x, s=(4, 4), axes=(0, 1)), C),
    "fft.fftshift": (lambda xp, x: xp.fft.fftshift(x, axes=1), INTS),
    "fft.fftfreq": (lambda xp: xp.fft.fftfreq(5, d=0.5),),
}


def close(found, wanted):
    """Assert that results agree: numbers, dtypes and shapes."""
    if isinstance(wanted, tuple):
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            close(one, other)
        return
    wanted = np.asarray(wanted)
    found = found.cpu()
    assert found.numpy().shape == wanted.shape
    np.testing.assert_allclose(
        found.numpy(), wanted, rtol=1e-6 if "32" in found.dtype.name else 1e-9, atol=1e-9
    )


@pytest.mark.parametrize("name", CASES)
def test_values(name, device):
    function, *arrays = CASES[name]
    wanted = function(np, *arrays)
    found = function(array_api, *[array_api.asarray(array, device=device) for array in arrays])
    close(found, wanted)
    if "fftfreq" not in name:
        first, other = (result[0] if isinstance(result, tuple) else result for result in (found, wanted))
        assert first.dtype.name == other.dtype.name


def test_names_of_results():
    x = array_api.asarray(SQUARE)
    assert array_api.unique_all(x)._fields == ("values", "indices", "inverse_indices", "counts")
    assert array_api.linalg.eigh(x)._fields == ("eigenvalues", "eigenvectors")
    assert array_api.linalg.qr(x)._fields == ("Q", "R")
    assert array_api.linalg.svd(x)._fields == ("U", "S", "Vh")
    assert array_api.linalg.slogdet(x)._fields == ("sign", "logabsdet")
    u, s, vh = array_api.linalg.svd(array_api.asarray(F), full_matrices=False)
    close((u * s.unsqueeze(-2)) @ vh, F)
    values, vectors = array_api.linalg.eigh(array_api.asarray(SYMMETRIC))
    close(vectors @ (values.unsqueeze(-1) * vectors.mT), SYMMETRIC)
    q, r = array_api.linalg.qr(x, mode="complete")
    close(q @ r, SQUARE)


def test_every_nan_is_distinct():
    found = array_api.unique_all(array_api.asarray([np.nan, 1.0, np.nan, 1.0]))
    assert found.counts.tolist() == [2, 1, 1]
    assert found.indices.tolist() == [1, 0, 2]
    assert found.inverse_indices.tolist() == [1, 0, 2, 0]
    assert array_api.unique_values(array_api.zeros((0, 2))).shape == (0,)


def test_descending_order():
    x = array_api.asarray(LINE)
    assert array_api.sort(x, descending=True).tolist() == [3, 3, 2, 1, 1]
    assert array_api.argsort(x, descending=True).tolist() == [0, 3, 2, 1, 4]


def test_the_namespace_of_an_array():
    x = devtensor.ones(2)
    assert x.__array_namespace__() is array_api
    assert x.__array_namespace__(api_version="2024.12") is array_api
    assert x.to_device("cpu") is x
    assert x.device == array_api.__array_namespace_info__().default_device()
    with pytest.raises(ArgumentError, match="api_version"):
        x.__array_namespace__(api_version="1999.01")
    with pytest.raises(ArgumentError, match="stream"):
        x.to_device("cpu", stream=1)


def test_inspection():
    info = array_api.__array_namespace_info__()
    assert info.capabilities()["boolean indexing"] is True
    assert info.default_dtypes()["real floating"] is array_api.float32
    assert info.default_dtypes()["complex floating"] is array_api.complex64
    assert len(info.dtypes()) == 13
    assert set(info.dtypes(kind="unsigned integer")) == {"uint8", "uint16", "uint32", "uint64"}
    assert set(info.dtypes(kind=("bool", "complex floating"))) == {"bool", "complex64", "complex128"}
    assert info.default_device() in info.devices()


def test_dtypes():
    xp = array_api
    assert xp.result_type(xp.int8, xp.uint8) is xp.int16
    assert xp.result_type(xp.float32, xp.complex64, xp.float64) is xp.complex128
    assert xp.result_type(xp.asarray(1.0, dtype=xp.float64), xp.ones(2)) is xp.float64
    assert xp.result_type(xp.int8, 3) is xp.int8
    assert xp.result_type(xp.float32, 1j) is xp.complex64
    assert xp.can_cast(xp.int8, xp.int16)
    assert not xp.can_cast(xp.int16, xp.int8)
    assert not xp.can_cast(xp.int8, xp.uint64)
    assert not xp.can_cast(xp.int32, xp.float64)
    assert xp.can_cast(xp.ones(2), xp.complex128)
    assert xp.isdtype(xp.uint8, "integral")
    assert xp.isdtype(xp.uint8, ("real floating", "unsigned integer"))
    assert not xp.isdtype(xp.bool, "numeric")
    assert xp.isdtype(xp.float32, xp.float32)
    assert xp.finfo(xp.complex128).dtype is xp.float64
    assert xp.finfo(xp.float32).eps == np.finfo(np.float32).eps
    assert xp.iinfo(xp.asarray([1], dtype=xp.uint16)).max == 65535
    for call, error in (
        (lambda: xp.result_type(1, 2), ArgumentError),
        (lambda: xp.isdtype(xp.bool, "float"), ArgumentError),
        (lambda: xp.isdtype(xp.bool, 1), ArgumentTypeError),
        (lambda: xp.finfo(xp.int8), DTypeError),
        (lambda: xp.add(1, 2), ArgumentError),
        (lambda: xp.add(xp.ones(2), "a"), ArgumentTypeError),
        (lambda: xp.sin(1.0), ArgumentTypeError),
    ):
        with pytest.raises(error):
            call()


def test_memory_is_shared_as_asked():
    xp, x = array_api, array_api.zeros((2, 3))
    assert xp.reshape(x, (6,), copy=False).data_ptr() == x.data_ptr()
    assert xp.reshape(x, (6,), copy=True).data_ptr() != x.data_ptr()
    assert xp.astype(x, x.dtype, copy=False) is x
    assert xp.astype(x, x.dtype) is not x
    assert xp.asarray(x, copy=True).data_ptr() != x.data_ptr()
    with pytest.raises(ArgumentError, match="copy=False"):
        xp.reshape(x.T, (6,), copy=False)


def test_what_is_refused():
    xp, x = array_api, array_api.zeros((2, 3))
    for call, error in (
        (lambda: xp.squeeze(x, axis=0), ArgumentError),
        (lambda: xp.expand_dims(x, axis=4), DimensionError),
        (lambda: xp.nonzero(xp.asarray(1)), ArgumentError),
        (lambda: xp.cumulative_sum(x), ArgumentError),
        (lambda: xp.take(x, xp.asarray([0])), ArgumentError),
        (lambda: xp.searchsorted(xp.ones(2), xp.ones(2), side="middle"), ArgumentError),
        (lambda: xp.meshgrid(xp.ones(2), xp.ones(2, dtype=xp.int8)), ArgumentError),
        (lambda: xp.linalg.qr(x, mode="r"), ArgumentError),
        (lambda: xp.vecdot(x, xp.ones((2, 4))), ArgumentError),
        (lambda: xp.sum(x, axis=2), DimensionError),
    ):
        with pytest.raises(error):
            call()


def test_constants():
    assert array_api.newaxis is None
    assert (array_api.e, array_api.pi, array_api.inf) == (np.e, np.pi, np.inf)
    assert np.isnan(array_api.nan)
    assert array_api.__array_api_version__ == "2024.12"
