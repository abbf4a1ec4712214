"""A variational autoencoder of handwritten digits, which then draws digits that nobody wrote.

    python examples/vae.py
    python examples/vae.py --device cuda --epochs 200 --latent 16

Writes vae.png to --out: test images, what is left of them behind the bottleneck, and images from noise.
"""

import argparse
from pathlib import Path

from sklearn.datasets import load_digits

import devtensor as torch
from devtensor import nn, optim
from devtensor.nn import functional as F
from devtensor.utils.data import DataLoader, TensorDataset, random_split
from train import choose_device, optional

SIDE = 8


def parse(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--device", default="auto", help="auto (default), cpu, cuda, cuda:1 or any plug-in's device")
    add("--epochs", type=int, default=40)
    add("--batch-size", type=int, default=64)
    add("--latent", type=int, default=8, help="numbers that a digit is squeezed into")
    add("--width", type=int, default=24, help="channels of the first convolution")
    add("--lr", type=float, default=2e-3)
    add("--seed", type=int, default=0)
    add("--out", type=Path, default=Path("runs"), metavar="DIR", help="where the picture goes")
    return parser.parse_args(arguments)


def digits(seed):
    """Scikit-learn's digits, pixels from 0 to 1; a tenth is held out."""
    images = torch.from_numpy(load_digits().images.astype("float32") / 16).unsqueeze(1)
    return random_split(TensorDataset(images), [0.9, 0.1], torch.Generator().manual_seed(seed))


class VAE(nn.Module):
    def __init__(self, width, latent):
        super().__init__()
        self.latent = latent
        self.encoder = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Flatten(),
            nn.Linear(2 * width * (SIDE // 2) ** 2, 2 * latent),
        )
        self.decoder = nn.Sequential(
            nn.Linear(latent, 2 * width * (SIDE // 2) ** 2),
            nn.SiLU(),
            nn.Unflatten(1, (2 * width, SIDE // 2, SIDE // 2)),
            nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, 1, 3, padding=1),
        )

    def forward(self, images):
        mean, log_variance = self.encoder(images).chunk(2, dim=1)
        noise = torch.randn_like(mean) if self.training else 0.0
        return self.decoder(mean + noise * torch.exp(0.5 * log_variance)), mean, log_variance

    def draw(self, count, device):
        """Images from noise."""
        return self.decoder(torch.randn(count, self.latent, device=device)).sigmoid()


def negative_elbo(logits, images, mean, log_variance):
    """How much of an image is lost, and how far its code is from noise, both in nats per image."""
    lost = F.binary_cross_entropy_with_logits(logits, images, reduction="sum")
    divergence = -0.5 * torch.sum(1 + log_variance - mean.square() - log_variance.exp())
    return (lost + divergence) / len(images)


def train_epoch(model, loader, optimizer, device):
    model.train()
    total = torch.zeros((), device=device)
    for (images,) in loader:
        images = images.to(device)
        logits, mean, log_variance = model(images)
        loss = negative_elbo(logits, images, mean, log_variance)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.detach() * len(images)
    return total.item() / len(loader.dataset)


@torch.no_grad()
def held_out_loss(model, images):
    model.eval()
    logits, mean, log_variance = model(images)
    return negative_elbo(logits, images, mean, log_variance).item()


@torch.no_grad()
def save_picture(path, model, images, columns=16):
    """Three bands of digits: from the data, behind the bottleneck, from noise."""
    from matplotlib.figure import Figure

    model.eval()
    shown = images[:columns]
    bands = (
        ("held-out digits", shown),
        ("behind the bottleneck", model(shown)[0].sigmoid()),
        ("drawn from noise", model.draw(2 * columns, images.device)),
    )
    figure = Figure(figsize=(columns * 0.55, 3.6), layout="constrained")
    for axes, (title, band) in zip(figure.subplots(3, 1, height_ratios=(1, 1, 2)), bands, strict=True):
        rows = band.view(-1, columns, SIDE, SIDE)
        page = F.pad(rows, (1, 1, 1, 1), value=0.5).permute(0, 2, 1, 3).flatten(2).flatten(0, 1)
        axes.imshow(page.cpu().numpy(), cmap="gray_r", vmin=0, vmax=1)
        axes.set_title(title, fontsize=9, loc="left")
        axes.set_axis_off()
    figure.savefig(path, dpi=120)


def main(arguments=None):
    options = parse(arguments)
    device = choose_device(options.device)
    torch.manual_seed(options.seed)
    train_set, test_set = digits(options.seed)
    loader = DataLoader(train_set, options.batch_size, shuffle=True)
    held_out = torch.stack([image for (image,) in test_set]).to(device)
    model = VAE(options.width, options.latent).to(device)
    optimizer = optim.Adam(model.parameters(), lr=options.lr)
    scheduler = optim.lr_scheduler.OneCycleLR(optimizer, options.lr, total_steps=options.epochs)
    for epoch in range(1, options.epochs + 1):
        loss = train_epoch(model, loader, optimizer, device)
        scheduler.step()
        if epoch % 5 == 0 or epoch == options.epochs:
            print(f"epoch {epoch}: {loss:.3f} nats, held out {held_out_loss(model, held_out):.3f}")
    if optional("matplotlib", "picture"):
        options.out.mkdir(parents=True, exist_ok=True)
        save_picture(options.out / "vae.png", model, held_out)
        print(f"picture: {options.out / 'vae.png'}")


if __name__ == "__main__":
    main()
