"""Fine-tune a network that PyTorch trained, without PyTorch: it knows the digits 0 to 4, and learns 5 to 9.

    python examples/finetune.py
    python examples/finetune.py --weights my_weights.pt --unfreeze --device cuda

The weights are a `.pt` file as torch.save writes it. The trunk is kept as it is (unless --unfreeze), the head
is replaced, and a few examples of each new class are enough for it.
"""

import argparse
from pathlib import Path

from sklearn.datasets import load_digits

import devtensor as torch
from devtensor import nn, optim
from devtensor.nn import functional as F
from devtensor.utils.data import DataLoader, TensorDataset
from train import choose_device

WEIGHTS = Path(__file__).resolve().parents[1] / "tests" / "data" / "pt" / "digits_0_to_4.pt"
OLD, NEW = range(5), range(5, 10)


def parse(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--weights", type=Path, default=WEIGHTS, help="a .pt file with the network's state_dict")
    add("--device", default="auto", help="auto (default), cpu, cuda, cuda:1 or any plug-in's device")
    add("--examples", type=int, default=20, help="of each new class to learn from")
    add("--epochs", type=int, default=30)
    add("--lr", type=float, default=1e-2)
    add("--unfreeze", action="store_true", help="let the trunk learn, too, at a tenth of the rate")
    add("--seed", type=int, default=0)
    return parser.parse_args(arguments)


class Network(nn.Module):
    def __init__(self, classes):
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

    def forward(self, images):
        return self.head(self.trunk(images))


def pick(digits, first, last):
    """Images and labels of some digits, from the `first` to before the `last` example of each."""
    images, targets = load_digits(return_X_y=True)
    images = torch.from_numpy(images.astype("float32") / 16).view(-1, 1, 8, 8)
    targets = torch.from_numpy(targets.astype("int64"))
    places = torch.cat([(targets == digit).nonzero().flatten()[first:last] for digit in digits])
    return images[places], targets[places] - digits[0]


@torch.no_grad()
def accuracy(model, images, labels):
    model.eval()
    return 100 * (model(images).argmax(1) == labels).float().mean().item()


def fine_tune(model, loader, optimizer, options, device):
    scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, options.epochs)
    for epoch in range(1, options.epochs + 1):
        model.train()
        # A trunk that is kept also keeps the statistics of its normalisation.
        model.trunk.train(options.unfreeze)
        for images, labels in loader:
            loss = F.cross_entropy(model(images.to(device)), labels.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        scheduler.step()
        if epoch % 10 == 0 or epoch == options.epochs:
            print(f"epoch {epoch}: loss {loss.item():.4f}")


def main(arguments=None):
    options = parse(arguments)
    device = choose_device(options.device)
    torch.manual_seed(options.seed)
    model = Network(len(OLD))
    model.load_state_dict(torch.load(options.weights, map_location="cpu", weights_only=True))
    model.to(device)
    # The last fifth of the old classes was held out from PyTorch, too.
    held_out = [part.to(device) for part in pick(OLD, 150, None)]
    print(f"digits 0 to 4, as PyTorch trained it: {accuracy(model, *held_out):.1f} %")

    model.head = nn.Linear(256, len(NEW), device=device)
    for parameter in model.trunk.parameters():
        parameter.requires_grad_(options.unfreeze)
    groups = [{"params": model.head.parameters()}]
    if options.unfreeze:
        groups.append({"params": model.trunk.parameters(), "lr": options.lr / 10})
    optimizer = optim.AdamW(groups, lr=options.lr)

    new = [part.to(device) for part in pick(NEW, 100, None)]
    print(f"digits 5 to 9, before: {accuracy(model, *new):.1f} %")
    loader = DataLoader(TensorDataset(*pick(NEW, 0, options.examples)), batch_size=25, shuffle=True)
    fine_tune(model, loader, optimizer, options, device)
    print(f"digits 5 to 9, after {options.examples} examples of each: {accuracy(model, *new):.1f} %")


if __name__ == "__main__":
    main()
