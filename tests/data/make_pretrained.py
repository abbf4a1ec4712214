"""Makes tests/data/pt/digits_0_to_4.pt: weights of a small network that PyTorch itself trained and saved.

    python tests/data/make_pretrained.py tests/data/pt/digits_0_to_4.pt

Run with PyTorch 2.13.0 (CPU), scikit-learn 1.9.1 and one thread. The network is that of examples/finetune.py
with five classes. It has seen the digits 0 to 4 of scikit-learn's `load_digits`, the first four fifths of
each class, and is tried on the rest. The digits are the test set of "Optical Recognition of Handwritten
Digits", E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, 1998.
"""

from __future__ import annotations

import sys

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Network(nn.Module):
    """The network of examples/finetune.py; the names of its parameters are those in the file."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, padding=1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
        )
        self.head = nn.Linear(256, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.trunk(images))


def first_classes() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Images and labels of the digits 0 to 4, and which of them are held out."""
    images, labels = load_digits(return_X_y=True)
    chosen = labels < 5
    images, labels = torch.tensor(images[chosen]).float() / 16, torch.tensor(labels[chosen])
    held_out = torch.zeros(len(labels), dtype=torch.bool)
    for digit in range(5):
        places = (labels == digit).nonzero().flatten()
        held_out[places[len(places) * 4 // 5 :]] = True
    return images.view(-1, 1, 8, 8), labels, held_out


def main(path: str) -> None:
    """Train, say how well, save."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    images, labels, held_out = first_classes()
    model = Network(5)
    learnt = TensorDataset(images[~held_out], labels[~held_out])
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(20):
        for batch, targets in DataLoader(learnt, batch_size=64, shuffle=True):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(batch), targets).backward()
            optimizer.step()
    model.eval()
    with torch.no_grad():
        right = (model(images[held_out]).argmax(1) == labels[held_out]).float().mean().item()
    print(f"PyTorch {torch.__version__}: {100 * right:.2f} % of {int(held_out.sum())} held-out digits")
    torch.save(model.state_dict(), path)


if __name__ == "__main__":
    main(sys.argv[1])
