"""Fourier transforms in the spellings of torch.fft: one table of names over three ops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from devtensor.core.dtype import default_dtype
from devtensor.core.errors import DimensionError, DTypeError, OptionError, ShapeError
from devtensor.core.naming import named
from devtensor.core.precision import one_op
from devtensor.core.spec import normalize_dim
from devtensor.core.tensor import Tensor, describe
from devtensor.functions.out import into
from devtensor.ops import fourier as ops
from devtensor.ops.create import cast, copy
from devtensor.ops.fourier import OPPOSITE, halved
from devtensor.ops.parts import conjugate
from devtensor.ops.shape import getitem
from devtensor.ops.windows import pad


def resized(x: Tensor, dims: Sequence[int], sizes: Sequence[int]) -> Tensor:
    """Cut, or filled up with zeros, at the end of each of `dims`."""
    for dim, size in zip(dims, sizes, strict=True):
        have = x.array.shape[dim]
        if have > size:
            x = getitem(x, (*(slice(None),) * dim, slice(0, size)))
        elif have < size:
            x = pad(x, tuple((0, size - have if d == dim else 0) for d in range(x.array.ndim)))
    return x


def _numbers(x: Tensor, to_complex: bool) -> Tensor:
    """Numbers as floating point, or complex, in the precision that they have."""
    dtype = x.dtype
    if not dtype.differentiable:
        dtype = default_dtype()
    dtype = dtype.to_complex() if to_complex else dtype
    return x if dtype is x.dtype else cast(x, dtype)


def _check_precision(op: str, x: Tensor) -> None:
    if x.dtype.is_floating_point and x.dtype.bits < 32:
        raise DTypeError(f"[{op}] Unsupported dtype {x.dtype.name}; convert it with .float() first")


def _norm(op: str, norm: str | None) -> str:
    if norm is not None and norm not in OPPOSITE:
        raise OptionError(
            f"[{op}] Invalid normalization mode: {norm!r}; use 'forward', 'backward' or 'ortho'"
        )
    return norm or "backward"


def _plan(op: str, x: Tensor, s: Any, dim: Any) -> tuple[tuple[int, ...], list[int | None]]:
    """The dims to transform, and for each the size asked for, None where it stays.

    Errors: ShapeError for dims named twice, or sizes that do not match them.
    """
    _check_precision(op, x)
    ndim = x.array.ndim
    if s is not None and not isinstance(s, Sequence):
        s = (s,)
    count = ndim if s is None else len(s)
    given = range(-count, 0) if dim is None else (dim,) if isinstance(dim, int) else dim
    if s is not None and len(s) > ndim and dim is None:
        raise ShapeError(
            f"[{op}] s {tuple(s)}: Got shape with {len(s)} values but input has {ndim} dimensions"
        )
    if given and not ndim:
        raise DimensionError(f"[{op}] dim {dim} of {describe(x)}: the tensor has no dimensions; give it one")
    dims = tuple(normalize_dim(op, d, ndim) for d in given)
    if s is not None and len(s) != len(dims):
        raise ShapeError(
            f"[{op}] dim {dim} and s {tuple(s)} of {describe(x)}: When given, dim and shape arguments must "
            "have the same length, at most the input's number of dims"
        )
    if len(set(dims)) != len(dims):
        raise ShapeError(f"[{op}] dim is {dim}: FFT dims must be unique; name each once")
    return dims, [None if s is None or s[i] in (None, -1) else int(s[i]) for i in range(len(dims))]


def _check_sizes(op: str, sizes: Sequence[int]) -> None:
    for size in sizes:
        if size < 1:
            raise ShapeError(
                f"[{op}] Invalid number of data points ({size}) specified; at least one is needed"
            )


def _complex(op: str, x: Tensor, s: Any, dim: Any, norm: str | None, forward: bool) -> Tensor:
    """Complex to complex."""
    dims, wanted = _plan(op, x, s, dim)
    kind = _norm(op, norm)
    sizes = [x.array.shape[d] if size is None else size for d, size in zip(dims, wanted, strict=True)]
    _check_sizes(op, sizes)
    x = _numbers(x, True)
    return ops.fft_c2c(resized(x, dims, sizes), dims, kind, forward) if dims else copy(x)


def _from_real(op: str, x: Tensor, s: Any, dim: Any, norm: str | None, forward: bool) -> Tensor:
    """Real to half a spectrum; the inverse transform's is the conjugate of the other, divided as it."""
    if x.dtype.is_complex:
        raise DTypeError(
            f"[{op}] expects a real-valued input tensor, but got {x.dtype.name}; use .real, or fft()"
        )
    dims, wanted = _plan(op, x, s, dim)
    kind = _norm(op, norm)
    if not dims:
        raise ShapeError(f"[{op}] {describe(x)}: must transform at least one axis; name one")
    sizes = [x.array.shape[d] if size is None else size for d, size in zip(dims, wanted, strict=True)]
    _check_sizes(op, sizes)
    x = resized(_numbers(x, False), dims, sizes)
    if forward:
        return ops.fft_r2c(x, dims, kind)
    half = conjugate(ops.fft_r2c(x, dims[-1:], OPPOSITE[kind]))
    return ops.fft_c2c(half, dims[:-1], kind, False) if len(dims) > 1 else half


def _to_real(op: str, x: Tensor, s: Any, dim: Any, norm: str | None, forward: bool) -> Tensor:
    """Half a spectrum to real; the forward transform's is the other one of the conjugate."""
    dims, wanted = _plan(op, x, s, dim)
    kind = _norm(op, norm)
    if not dims:
        raise ShapeError(f"[{op}] {describe(x)}: must transform at least one axis; name one")
    sizes = [x.array.shape[d] if size is None else size for d, size in zip(dims, wanted, strict=True)]
    last = 2 * (x.array.shape[dims[-1]] - 1) if wanted[-1] is None else sizes[-1]
    _check_sizes(op, [*sizes[:-1], last])
    x = resized(_numbers(x, True), dims, [*sizes[:-1], halved(last)])
    return (
        ops.fft_c2r(conjugate(x), dims, OPPOSITE[kind], last) if forward else ops.fft_c2r(x, dims, kind, last)
    )


def _one_dim(name: str, transform: Callable, forward: bool, doc: str) -> Callable:
    def function(
        input: Tensor,
        n: int | None = None,
        dim: int = -1,
        norm: str | None = None,
        *,
        out: Tensor | None = None,
    ) -> Tensor:
        s = None if n is None else (n,)
        return into(out, transform(f"fft_{name}", input, s, (dim,), norm, forward))

    return _named(function, name, f"{doc} along `dim`, cut or filled up with zeros to `n` elements.")


def _two_dims(name: str, transform: Callable, forward: bool, doc: str) -> Callable:
    def function(
        input: Tensor,
        s: Any = None,
        dim: Any = (-2, -1),
        norm: str | None = None,
        *,
        out: Tensor | None = None,
    ) -> Tensor:
        return into(out, transform(f"fft_{name}", input, s, dim, norm, forward))

    return _named(function, name, f"{doc} over two dims, cut or filled up with zeros to sizes `s`.")


def _many_dims(name: str, transform: Callable, forward: bool, doc: str) -> Callable:
    def function(
        input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None, *, out: Tensor | None = None
    ) -> Tensor:
        return into(out, transform(f"fft_{name}", input, s, dim, norm, forward))

    return _named(function, name, f"{doc} over `dim`, all by default, cut or filled with zeros to sizes `s`.")


def _named(function: Callable, name: str, doc: str) -> Callable:
    doc = f"{doc}\n\nUnits: `norm` names the direction that is divided by the count of elements."
    return one_op(name=f"fft_{name}")(named(function, name, doc))


# What is transformed, which way, and what it is called.
KINDS: dict[str, tuple[Callable, bool, str]] = {
    "fft": (_complex, True, "The Fourier transform"),
    "ifft": (_complex, False, "The inverse Fourier transform"),
    "rfft": (_from_real, True, "Half the Fourier transform of real numbers"),
    "irfft": (_to_real, False, "The real numbers with half a Fourier transform"),
    "hfft": (_to_real, True, "The real Fourier transform of half a signal that mirrors"),
    "ihfft": (_from_real, False, "Half the signal that mirrors, of a real Fourier transform"),
}
fft, ifft, rfft, irfft, hfft, ihfft = (_one_dim(name, *kind) for name, kind in KINDS.items())
fft2, ifft2, rfft2, irfft2, hfft2, ihfft2 = (_two_dims(f"{name}2", *kind) for name, kind in KINDS.items())
fftn, ifftn, rfftn, irfftn, hfftn, ihfftn = (_many_dims(f"{name}n", *kind) for name, kind in KINDS.items())
