"""No layers: a spectrogram and its inverse, least squares, principal components, clusters, neighbours."""

import math

import numpy as np
import torch
import torch.nn.functional as F

torch.set_printoptions(precision=3, sci_mode=False, linewidth=100)
torch.manual_seed(0)
rate = 1000
t = torch.arange(0, 1, 1 / rate)
signal = torch.sin(2 * torch.pi * 50 * t) + 0.5 * torch.sin(2 * math.pi * 120 * t)

spectrum = torch.fft.rfft(signal)
loudest = torch.fft.rfftfreq(signal.numel(), d=1 / rate)[spectrum.abs().topk(2).indices]
print("loudest:", loudest.tolist())
assert loudest.tolist() == [50, 120] and torch.is_complex(spectrum)

window = torch.hann_window(64)
S = torch.stft(signal, n_fft=64, hop_length=16, window=window, return_complex=True)
power = S.abs() ** 2
decibels = torch.maximum(10 * torch.log10(power.clamp(min=1e-10)), 10 * power.max().log10() - 80)
rebuilt = torch.istft(torch.polar(S.abs(), S.angle()), 64, 16, window=window, length=len(signal))
print("spectrogram:", S.shape, S.dtype, decibels.argmax(0).unique())
assert torch.allclose(rebuilt, signal, atol=1e-4) and torch.view_as_real(S).shape == (33, 63, 2)
frames = signal.unfold(0, 100, 50)
crossings = (frames[:, 1:] * frames[:, :-1] < 0).sum(-1)
assert frames.shape == (19, 100) and crossings.float().mean() > 5
kernel = torch.hamming_window(21, periodic=False)
kernel /= kernel.sum()
smooth = F.conv1d(signal.view(1, 1, -1), kernel.view(1, 1, -1), padding=10).flatten()
n = 1024
by_fft = torch.fft.irfft(torch.fft.rfft(signal, n) * torch.fft.rfft(kernel, n), n)[10:1010]
assert torch.allclose(smooth, by_fft, atol=1e-4)

A = torch.stack([torch.ones_like(t), t, torch.sin(2 * torch.pi * 50 * t)], dim=1).double()
truth = torch.tensor([0.5, -2.0, 1.0], dtype=torch.float64)
b = A @ truth + 0.01 * torch.randn(len(t), dtype=torch.float64)
fit = torch.linalg.lstsq(A, b[:, None]).solution.squeeze(1)
print("fit:", fit)
assert torch.allclose(fit, truth, atol=1e-2) and torch.allclose(fit, torch.linalg.pinv(A) @ b)
L = torch.linalg.cholesky(A.T @ A)
assert torch.allclose(torch.cholesky_solve((A.T @ b)[:, None], L).flatten(), fit)
try:
    torch.linalg.cholesky(-torch.eye(2))
except torch.linalg.LinAlgError as error:
    print("refused:", type(error).__name__)

centres = torch.tensor([[0.0, 0, 0], [4, 4, 0], [0, 4, 4]])
points = (centres.repeat_interleave(30, dim=0) + 0.3 * torch.randn(90, 3))[torch.randperm(90)]
centred = points - points.mean(dim=0, keepdim=True)
U, s, Vh = torch.linalg.svd(centred, full_matrices=False)
values, vectors = torch.linalg.eigh(torch.cov(points.T))
assert torch.allclose(s**2 / 89, values.flip(0), atol=1e-3) and torch.allclose(U * s @ Vh, centred, atol=1e-4)
print("explained:", values.flip(0) / values.sum())

means = points[[0]]
for _ in range(2):
    farthest = torch.cdist(points, means).min(dim=1).values.argmax()
    means = torch.cat([means, points[farthest][None]])
for _ in range(20):
    nearest = torch.cdist(points, means).argmin(dim=1)
    sums = torch.zeros_like(means).index_add_(0, nearest, points)
    counts = torch.zeros(3).scatter_add_(0, nearest, torch.ones(90))
    moved = sums / counts.clamp_min(1)[:, None]
    if torch.equal(moved, means):
        break
    means = moved
print("clusters:", torch.bincount(nearest))
assert (torch.cdist(centres, means).min(dim=1).values < 0.5).all() and counts.tolist() == [30, 30, 30]
votes = torch.mode(nearest[torch.cdist(points, points).topk(5, largest=False).indices], dim=1).values
assert torch.equal(votes, nearest)
histogram, edges = np.histogram(points.numpy()[:, 0], bins=4, range=(-1, 5))
assert torch.histc(points[:, 0], bins=4, min=-1, max=5).int().tolist() == histogram.tolist()
print("finished")
