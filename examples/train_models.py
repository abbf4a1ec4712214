"""The two models of the main job. Both take grey images as they are stored and give one logit per class."""

from __future__ import annotations

import devtensor
from devtensor import nn

CHANNELS = (16, 32, 64)
HIDDEN = 128
DROPOUT = {"mlp": 0.2, "cnn": 0.3}


class Normalize(nn.Module):
    """(pixels - mean) / std, in float32; the two numbers are buffers, so a checkpoint carries them.

    Shapes: pixels (*S) of any dtype -> (*S) float32
    """

    def __init__(self, mean: float, std: float) -> None:
        super().__init__()
        self.register_buffer("mean", devtensor.tensor(mean))
        self.register_buffer("std", devtensor.tensor(std))

    def forward(self, pixels: devtensor.Tensor) -> devtensor.Tensor:
        return (pixels.float() - self.mean) / self.std


class ShiftByAPixel(nn.Module):
    """While training, move each image by -1, 0 or 1 pixel along each axis at random; the border is 0.

    Shapes: images (N, 1, H, W) -> (N, 1, H, W)
    """

    def forward(self, images: devtensor.Tensor) -> devtensor.Tensor:
        if not self.training:
            return images
        count, _, height, width = images.shape
        device = images.device
        down, right = devtensor.randint(0, 3, (2, count, 1, 1), device=device)
        rows = devtensor.arange(height, device=device)[:, None] + down
        columns = devtensor.arange(width, device=device) + right
        image = devtensor.arange(count, device=device)[:, None, None]
        return nn.functional.pad(images, (1, 1, 1, 1))[image, 0, rows, columns].unsqueeze(1)


def build_model(
    name: str, image_size: tuple[int, int], classes: int, mean: float = 0.0, std: float = 1.0
) -> nn.Module:
    """Build the model called `name`, "mlp" or "cnn".

    Shapes: the model maps pixels (N, 1, H, W) to logits (N, classes)
    """
    build = {"mlp": build_mlp, "cnn": build_cnn}[name]
    return build(Normalize(mean, std), image_size, classes)


def build_mlp(normalize: Normalize, image_size: tuple[int, int], classes: int) -> nn.Module:
    """One hidden layer with dropout."""
    height, width = image_size
    return nn.Sequential(
        normalize,
        nn.Flatten(),
        nn.Linear(height * width, HIDDEN),
        nn.ReLU(),
        nn.Dropout(DROPOUT["mlp"]),
        nn.Linear(HIDDEN, classes),
    )


def build_cnn(normalize: Normalize, image_size: tuple[int, int], classes: int) -> nn.Module:
    """Three 3 x 3 convolutions with batch norm and pooling; small images are not pooled after the first."""
    height, width = image_size
    layers: list[nn.Module] = [ShiftByAPixel(), normalize]
    previous = 1
    for depth, channels in enumerate(CHANNELS):
        convolution = nn.Conv2d(previous, channels, 3, padding=1, bias=False)
        layers += [convolution, nn.BatchNorm2d(channels), nn.ReLU()]
        if min(height, width) >= 16 or (depth > 0 and min(height, width) >= 2):
            layers.append(nn.MaxPool2d(2))
            height, width = height // 2, width // 2
        previous = channels
    features = previous * height * width
    return nn.Sequential(*layers, nn.Flatten(), nn.Dropout(DROPOUT["cnn"]), nn.Linear(features, classes))
