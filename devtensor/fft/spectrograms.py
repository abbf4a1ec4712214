"""Spectra of a signal's overlapping stretches, and the signal back from them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from devtensor.core.dtype import int64
from devtensor.core.errors import DimensionError, OptionError, ShapeError
from devtensor.core.host import host_read
from devtensor.core.precision import one_op
from devtensor.core.tensor import Tensor, describe
from devtensor.ops import fourier as ops
from devtensor.ops import reduce
from devtensor.ops.create import arange, cast, full
from devtensor.ops.fourier import halved
from devtensor.ops.index import index_select
from devtensor.ops.linalg import transposed
from devtensor.ops.parts import abs, as_real, view_as_real
from devtensor.ops.shape import as_shape, expand
from devtensor.ops.windows import fold, pad, unfold

__all__ = ["istft", "stft"]

NO_WINDOW = (
    "A window was not provided. A rectangular window will be applied, which is known to cause spectral "
    "leakage. Other windows such as devtensor.hann_window or devtensor.hamming_window are recommended to "
    "reduce spectral leakage. To suppress this warning and use a rectangular window, explicitly set "
    "window=devtensor.ones(n_fft)."
)
AS_PAIRS = (
    "stft with return_complex=False is deprecated. Use return_complex=True, and devtensor.view_as_real of "
    "its result to get real and imaginary parts side by side."
)
TOO_SHORT = (
    "The length of signal is shorter than the length parameter. Result is being padded with zeros in the "
    "tail. Please check your center and hop_length settings."
)


@one_op()
def stft(
    input: Tensor, n_fft: int, hop_length: int | None = None, win_length: int | None = None,
    window: Tensor | None = None, center: bool = True, pad_mode: str = "reflect", normalized: bool = False,
    onesided: bool | None = None, return_complex: bool | None = None, align_to_window: bool | None = None,
) -> Tensor:  # fmt: skip
    """The Fourier transforms of stretches of `n_fft` numbers, `hop_length` apart, weighted by a window.

    Shapes: input (B?, T) -> (B?, F, L), F = n_fft // 2 + 1 if onesided, else n_fft; L stretches
    """
    if window is None:
        warnings.warn(NO_WINDOW, stacklevel=2)
    complex_given = input.dtype.is_complex or (window is not None and window.dtype.is_complex)
    if return_complex is None:
        return_complex = _implied(complex_given)
    if not return_complex:
        warnings.warn(AS_PAIRS, stacklevel=2)
    hop, width = hop_length or n_fft // 4, n_fft if win_length is None else win_length
    if hop_length is not None:
        hop = hop_length
    batch = _batched("stft", input, 1)
    if center:
        if align_to_window is not None:
            raise OptionError("[stft] align_to_window should only be set when center = false; leave it out")
        batch = padded(batch, n_fft // 2, pad_mode)
    elif align_to_window:
        batch = padded(batch, (n_fft - width) // 2, "constant")
    _check("stft", batch, n_fft, hop, width, window)
    weights = _weights(batch, n_fft, width, window)
    found = _spectra(unfold(batch, 1, n_fft, hop), weights, normalized, onesided, complex_given)
    found = transposed(found)
    found = found if input.array.ndim > 1 else as_shape(found, tuple(found.array.shape[1:]))
    return found if return_complex else view_as_real(found)


def _implied(complex_given: bool) -> bool:
    if not complex_given:
        raise OptionError(
            "[stft] stft requires the return_complex parameter be given for real inputs; set "
            "return_complex=True"
        )
    return True


def _batched(op: str, x: Tensor, ndim: int) -> Tensor:
    """With a batch dim in front of `ndim` others.

    Errors: DimensionError, or ShapeError, for other numbers of dims.
    """
    if x.array.ndim < ndim:
        raise DimensionError(
            f"[{op}] got {describe(x)}; Dimension out of range: it needs {ndim} dims or one more"
        )
    if not x.dtype.differentiable or x.array.ndim not in (ndim, ndim + 1):
        raise ShapeError(
            f"[{op}] got {describe(x)}; expected a {ndim}D or {ndim + 1}D tensor of floating or complex "
            "values"
        )
    return x if x.array.ndim > ndim else x[None]


def _check(op: str, x: Tensor, n_fft: int, hop: int, width: int, window: Tensor | None) -> None:
    size = x.array.shape[-1]
    if n_fft <= 0 or (op == "stft" and n_fft > size):
        raise ShapeError(f"[{op}] n_fft={n_fft} for {describe(x)}: expected 0 < n_fft <= {size}")
    if hop <= 0:
        raise OptionError(f"[{op}] expected hop_length > 0, but got hop_length={hop}")
    if not 0 < width <= n_fft:
        raise OptionError(f"[{op}] expected 0 < win_length <= n_fft={n_fft}, but got win_length={width}")
    if window is not None and tuple(window.array.shape) != (width,):
        raise ShapeError(
            f"[{op}] window is {describe(window)}; expected a 1D window tensor of size equal to "
            f"win_length={width}"
        )


def _weights(x: Tensor, n_fft: int, width: int, window: Tensor | None) -> Tensor | None:
    """The window with zeros around it; None where all weights are 1."""
    if window is None and width == n_fft:
        return None
    weights = full((width,), 1, x.dtype.to_real(), x.device) if window is None else window
    before = (n_fft - width) // 2
    return pad(weights, ((before, n_fft - width - before),)) if width < n_fft else weights


def _spectra(
    frames: Tensor, weights: Tensor | None, normalized: bool, onesided: bool | None, complex_given: bool
) -> Tensor:
    weighted = frames if weights is None else frames * weights
    norm = "ortho" if normalized else "backward"
    half = not complex_given if onesided is None else onesided
    if not half:
        return ops.fft_c2c(cast(weighted, weighted.dtype.to_complex()), (2,), norm)
    if complex_given:
        raise OptionError(
            "[stft] Cannot have onesided output if window or input is complex; set onesided=False"
        )
    return ops.fft_r2c(weighted, (2,), norm)


def padded(x: Tensor, width: int, mode: str) -> Tensor:
    """`width` more numbers before and after the last dim: mirrored, repeated, from the other end, or
    zeros."""
    size = x.array.shape[-1]
    if mode == "constant" or not width:
        return pad(x, ((0, 0), (width, width)))
    places = PLACES.get(mode)
    if places is None:
        raise OptionError(f"[stft] pad_mode is {mode!r}; use one of {('constant', *PLACES)}")
    if mode != "replicate" and width >= size + (mode == "circular"):
        raise ShapeError(
            f"[stft] {describe(x)}: {mode} padding by {width} needs more numbers than that; give a longer "
            "signal"
        )
    line = arange(-width, 1, size + 2 * width, int64, x.device)
    return index_select(x, places(line, size), 1)


# For places before and after a line of `size` numbers: which of them stands there.
PLACES: dict[str, Callable[[Any, int], Any]] = {
    "reflect": lambda line, size: size - 1 - (size - 1 - line.abs()).abs(),
    "replicate": lambda line, size: line.clamp(0, size - 1),
    "circular": lambda line, size: line % size,
}


def istft(
    input: Tensor, n_fft: int, hop_length: int | None = None, win_length: int | None = None,
    window: Tensor | None = None, center: bool = True, normalized: bool = False,
    onesided: bool | None = None, length: int | None = None, return_complex: bool = False,
) -> Tensor:  # fmt: skip
    """The signal whose `stft` comes nearest to `input`: transformed back, weighted, and added up.

    Shapes: input (B?, F, L) -> (B?, length)
    Source: Griffin and Lim, Signal estimation from modified short-time Fourier transform (1984).
    """
    _check_spectra(input, n_fft, onesided, window, return_complex)
    if window is None:
        warnings.warn(NO_WINDOW, stacklevel=2)
    hop, width = n_fft // 4 if hop_length is None else hop_length, n_fft if win_length is None else win_length
    batch = _batched("istft", input, 2)
    _check("istft", batch, n_fft, hop, width, window)
    if window is None:
        window = full((width,), 1, input.dtype.to_real(), input.device)
    weights = _weights(batch, n_fft, width, window)
    frames = _frames(transposed(batch), n_fft, normalized, return_complex) * weights
    count = frames.array.shape[1]
    size = n_fft + hop * (count - 1)
    summed = fold(frames, size, 1, hop, 1)
    squares = expand(weights * weights, (count, n_fft))  # type: ignore[operator]
    share = fold(squares, size, 0, hop, 1)
    found = _cut(summed, share, n_fft // 2 if center else 0, length)
    return found if input.array.ndim > 2 else as_shape(found, tuple(found.array.shape[1:]))


def _check_spectra(
    x: Tensor, n_fft: int, onesided: bool | None, window: Tensor | None, return_complex: bool
) -> None:
    if not x.dtype.is_complex:
        raise OptionError(
            f"[istft] got {describe(x)}: istft requires a complex-valued input tensor matching the output "
            "from stft with return_complex=True; use view_as_complex()"
        )
    _batched("istft", x, 2)
    if not x.shape.numel():
        raise ShapeError(f"[istft] got {describe(x)}: istft(...) with an empty tensor; give it elements")
    rows = x.array.shape[-2]
    half = rows != n_fft if onesided is None else onesided
    if rows != (halved(n_fft) if half else n_fft):
        raise ShapeError(
            f"[istft] got {describe(x)}: expected the frequency dimension (3rd to the last) to match n_fft / "
            f"2 + 1 when onesided=True, or n_fft; n_fft is {n_fft}"
        )
    if return_complex and half:
        raise OptionError(
            "[istft] cannot have onesided input to give a complex signal; set return_complex=False"
        )
    if window is not None and window.dtype.is_complex and not return_complex:
        raise OptionError("[istft] Complex windows are incompatible with return_complex=False; set it")


def _frames(spectra: Tensor, n_fft: int, normalized: bool, return_complex: bool) -> Tensor:
    """The stretches of the signal."""
    norm = "ortho" if normalized else "backward"
    if return_complex:
        return ops.fft_c2c(spectra, (2,), norm, False)
    if spectra.array.shape[-1] == n_fft and n_fft != halved(n_fft):
        spectra = spectra[..., : halved(n_fft)]
    return ops.fft_c2r(spectra, (2,), norm, n_fft)


def _cut(summed: Tensor, share: Tensor, start: int, length: int | None) -> Tensor:
    """Without what was padded, divided by the windows' share, and of the length asked for."""
    size = summed.array.shape[-1]
    stop = size - start if length is None else start + length
    found, share = summed[:, start:stop], share[start:stop]
    least = host_read(reduce.amin(as_real(abs(share))), "istft").numbers()[0] if share.shape.numel() else 0
    if least <= 1e-11:
        raise ShapeError(
            "[istft] window overlap add min: 1: the windows leave out part of the signal; overlap them"
        )
    found = found / share
    missing = stop - size
    if missing > 0:
        warnings.warn(TOO_SHORT, stacklevel=3)
        found = pad(found, ((0, 0), (0, missing)))
    return found


METHODS: dict[str, Callable] = {"stft": stft, "istft": istft}
