"""devtensor.fft against NumPy's, the signal back from its spectrogram, and windows by their formulas."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from scipy.signal import windows as scipy_windows

import devtensor as dt
from devtensor.autograd import gradcheck
from devtensor.testing.cases import to_numpy, to_tensor

NAMES = ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
REAL_ONLY = ("rfft", "ihfft")


def drawn(shape: tuple[int, ...], dtype: str = "float64") -> np.ndarray:
    rng = np.random.default_rng(list(shape))
    numbers = rng.standard_normal(shape)
    if dtype.startswith("complex"):
        numbers = numbers + 1j * rng.standard_normal(shape)
    return numbers.astype(dtype)


def near(found: dt.Tensor, wanted: np.ndarray) -> None:
    single = found.dtype.name in ("float32", "complex64")
    assert tuple(found.shape) == wanted.shape
    np.testing.assert_allclose(to_numpy(found), wanted, 1e-3 if single else 1e-9, 1e-4 if single else 1e-12)


@pytest.mark.parametrize("norm", [None, "backward", "forward", "ortho"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("name", NAMES)
def test_one_dim(name, dtype, norm, device):
    if name in REAL_ONLY and dtype.startswith("complex"):
        with pytest.raises(RuntimeError, match="expects a real-valued input"):
            getattr(dt.fft, name)(to_tensor(drawn((4,), dtype), device))
        return
    for n, dim in ((None, -1), (5, 0), (8, 1), (3, -1)):
        x = drawn((4, 6), dtype)
        found = getattr(dt.fft, name)(to_tensor(x, device), n, dim, norm)
        near(found, getattr(np.fft, name)(x, n, dim, norm))
        assert found.dtype.is_complex is (name not in ("irfft", "hfft"))
        assert found.dtype.to_real().name == ("float32" if dtype in ("float32", "complex64") else "float64")


@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft"])
def test_many_dims(name, device):
    x = drawn((4, 5, 6), "float64" if name == "rfft" else "complex128")
    for s, dim in ((None, None), ((3, 7), (0, 2)), (None, (2, 1)), ((8,), (1,))):
        wanted = getattr(np.fft, f"{name}n")(x, s, dim)
        near(getattr(dt.fft, f"{name}n")(to_tensor(x, device), s, dim), wanted)
    near(getattr(dt.fft, f"{name}2")(to_tensor(x, device)), getattr(np.fft, f"{name}2")(x))
    near(getattr(dt.fft, f"{name}n")(to_tensor(x, device), (4, -1), (0, 1)),
         getattr(np.fft, f"{name}n")(x, (4, 2 * (5 - 1) if name == "irfft" else 5), (0, 1)))  # fmt: skip


def test_mirrored_signals_over_many_dims():
    x = drawn((4, 6), "complex128")
    whole = np.fft.hfft(np.fft.fft(x, axis=0), axis=1)
    near(dt.fft.hfft2(to_tensor(x)), whole)
    near(
        dt.fft.hfftn(to_tensor(x), (4, 10), norm="ortho"), np.fft.hfft(np.fft.fft(x, axis=0), 10, 1) / 40**0.5
    )
    real = drawn((4, 6))
    near(dt.fft.ihfft2(to_tensor(real)), np.fft.ifft(np.fft.ihfft(real, axis=1), axis=0))
    near(dt.fft.hfftn(dt.fft.ihfftn(to_tensor(real))), real)


@pytest.mark.parametrize("name", NAMES)
def test_gradients(name):
    function = getattr(dt.fft, name)
    x = to_tensor(drawn((3, 5))).requires_grad_()

    def real(x: dt.Tensor) -> dt.Tensor:
        given = x if name in REAL_ONLY else dt.complex(x, x.flip(0))
        return dt.view_as_real(found) if (found := function(given, norm="ortho")).is_complex() else found

    assert gradcheck(real, (x,))


def test_refusals():
    x = dt.ones(4)
    for call, error, text in (
        (lambda: dt.fft.fft(x, 0), RuntimeError, "Invalid number of data points"),
        (lambda: dt.fft.fft(x, norm="bad"), RuntimeError, "Invalid normalization mode"),
        (lambda: dt.fft.fft(x, dim=1), IndexError, "dim"),
        (lambda: dt.fft.fftn(x, dim=(0, 0)), RuntimeError, "unique"),
        (lambda: dt.fft.fftn(x, (2, 2), (0,)), RuntimeError, "same length"),
        (lambda: dt.fft.fft(x.half()), RuntimeError, "Unsupported dtype"),
        (lambda: dt.fft.rfftn(x, dim=()), RuntimeError, "at least one axis"),
    ):
        with pytest.raises(error, match=text):
            call()


def test_frequencies(device):
    for n in (1, 4, 5):
        near(dt.fft.fftfreq(n, 0.5, dtype=dt.float64, device=device), np.fft.fftfreq(n, 0.5))
        near(dt.fft.rfftfreq(n, 2.0, dtype=dt.float64, device=device), np.fft.rfftfreq(n, 2.0))
    x = drawn((4, 5))
    for dim in (None, 0, (1,), (0, 1)):
        near(dt.fft.fftshift(to_tensor(x, device), dim), np.fft.fftshift(x, dim))
        near(dt.fft.ifftshift(to_tensor(x, device), dim), np.fft.ifftshift(x, dim))


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("onesided", [None, False])
def test_the_signal_comes_back(normalized, center, onesided, device):
    x = to_tensor(drawn((2, 100)), device)
    window = dt.hamming_window(16, dtype=dt.float64, device=device)
    facts = dict(n_fft=20, hop_length=4, win_length=16, window=window, center=center, normalized=normalized)
    spectra = dt.stft(x, onesided=onesided, return_complex=True, **facts)
    rows = 20 if onesided is False else 11
    assert tuple(spectra.shape) == (2, rows, 26 if center else 21)
    if center:
        back = dt.istft(spectra, onesided=onesided, length=100, **facts)
        near(back, to_numpy(x))


def test_spectrogram_of_each_stretch():
    x, window = drawn((30,)), dt.hann_window(8, dtype=dt.float64)
    found = to_tensor(x).stft(8, 3, window=window, center=False, return_complex=True)
    for place in range(found.shape[1]):
        wanted = np.fft.rfft(x[3 * place : 3 * place + 8] * to_numpy(window))
        near(found[:, place], wanted)
    mirrored = np.pad(x, 4, mode="reflect")
    centred = dt.stft(to_tensor(x), 8, 3, window=window, return_complex=True)
    near(centred[:, 0], np.fft.rfft(mirrored[:8] * to_numpy(window)))
    for mode, theirs in (("constant", "constant"), ("replicate", "edge"), ("circular", "wrap")):
        found = dt.stft(to_tensor(x), 8, 3, window=window, pad_mode=mode, return_complex=True)
        near(found[:, 0], np.fft.rfft(np.pad(x, 4, mode=theirs)[:8] * to_numpy(window)))


def test_what_spectrograms_ask_for():
    x = dt.ones(32)
    window = dt.ones(8)
    with pytest.raises(RuntimeError, match="return_complex parameter be given"):
        dt.stft(x, 8, window=window)
    with pytest.warns(UserWarning, match="return_complex=False is deprecated"):
        assert tuple(dt.stft(x, 8, window=window, return_complex=False).shape) == (5, 17, 2)
    with pytest.warns(UserWarning, match="window was not provided"):
        dt.stft(x, 8, return_complex=True)
    for facts in (dict(n_fft=64), dict(n_fft=8, hop_length=0), dict(n_fft=8, win_length=9)):
        with pytest.raises(RuntimeError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dt.stft(x, center=False, return_complex=True, **facts)
    with pytest.raises(RuntimeError, match="complex-valued"):
        dt.istft(dt.ones(5, 4), 8, window=window)
    with pytest.raises(RuntimeError, match="window overlap add"):
        dt.istft(dt.ones(5, 4, dtype=dt.complex64), 8, window=dt.zeros(8))


def test_gradients_of_spectrograms():
    x = to_tensor(drawn((24,))).requires_grad_()
    window = to_tensor(1 + drawn((8,)) ** 2).requires_grad_()

    def around(x: dt.Tensor, window: dt.Tensor) -> dt.Tensor:
        spectra = dt.stft(x, 8, 2, window=window, return_complex=True)
        return dt.istft(spectra * spectra.abs(), 8, 2, window=window)

    assert gradcheck(around, (x, window))


@pytest.mark.parametrize("name", ["bartlett", "blackman", "hamming", "hann", "kaiser", "cosine", "nuttall"])
@pytest.mark.parametrize("length", [0, 1, 2, 7, 8])
def test_windows(name, length, device):
    extra = {"beta": 12.0} if name == "kaiser" else {}
    wanted = getattr(scipy_windows, name)(length, *extra.values()) if length else np.zeros(0)
    found = getattr(dt.signal.windows, name)(length, dtype=dt.float64, device=device, **extra)
    near(found, wanted)
    if hasattr(dt, f"{name}_window"):
        longer = getattr(scipy_windows, name)(length + 1, *extra.values())[:-1] if length > 1 else wanted
        near(getattr(dt, f"{name}_window")(length, dtype=dt.float64, device=device), longer)
        near(getattr(dt, f"{name}_window")(length, False, dtype=dt.float64, device=device), wanted)


def test_windows_with_parameters():
    near(dt.signal.windows.gaussian(7, std=0.9, dtype=dt.float64), scipy_windows.gaussian(7, 0.9))
    near(dt.signal.windows.exponential(7, tau=2.0, dtype=dt.float64), scipy_windows.exponential(7, None, 2.0))
    near(dt.signal.windows.general_cosine(6, a=(0.5, 0.3, 0.2), dtype=dt.float64),
         scipy_windows.general_cosine(6, [0.5, 0.3, 0.2]))  # fmt: skip
    near(
        dt.signal.windows.general_hamming(6, alpha=0.6, dtype=dt.float64),
        scipy_windows.general_hamming(6, 0.6),
    )
    near(dt.hamming_window(9, False, 0.6, 0.3, dtype=dt.float64),
         0.6 - 0.3 * np.cos(2 * math.pi * np.arange(9) / 8))  # fmt: skip
    with pytest.raises(ValueError, match="non-negative"):
        dt.signal.windows.hann(-1)
    with pytest.raises(RuntimeError, match="non-negative"):
        dt.hann_window(-1)
