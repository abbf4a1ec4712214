"""An LSTM that forecasts a chaotic series (Mackey and Glass, 1977) one step ahead, and then many on its own.

    python examples/lstm_series.py
    python examples/lstm_series.py --device cuda --hidden 128 --epochs 60

Its errors stand beside those of two simple guesses: "as before", and a line through the last two values.
"""

import argparse

import devtensor as torch
from devtensor import nn, optim
from devtensor.utils.data import DataLoader, TensorDataset
from train import choose_device


def parse(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--device", default="auto", help="auto (default), cpu, cuda, cuda:1 or any plug-in's device")
    add("--epochs", type=int, default=30)
    add("--batch-size", type=int, default=32)
    add("--window", type=int, default=50, help="steps of the series in a training sample")
    add("--hidden", type=int, default=48)
    add("--layers", type=int, default=1)
    add("--length", type=int, default=3000, help="steps of the series; a fifth is held out")
    add("--ahead", type=int, default=40, help="steps that are forecast from each other")
    add("--lr", type=float, default=5e-3)
    add("--seed", type=int, default=0)
    return parser.parse_args(arguments)


def mackey_glass(length, delay=17, skipped=300):
    """x' = 0.2 x(t - delay) / (1 + x(t - delay)^10) - 0.1 x, by steps of 1; a blood count, and chaotic."""
    values = [1.2] * (delay + 1)
    for _ in range(length + skipped):
        late = values[-delay - 1]
        values.append(values[-1] + 0.2 * late / (1 + late**10) - 0.1 * values[-1])
    return torch.tensor(values[-length:])


class Forecaster(nn.Module):
    """Says how far the next value is from the line through the last two.

    Shapes: series (N, T) -> forecasts (N, T), and the LSTM's state after them
    """

    def __init__(self, hidden, layers):
        super().__init__()
        self.lstm = nn.LSTM(input_size=2, hidden_size=hidden, num_layers=layers, batch_first=True)
        self.head = nn.Linear(hidden, 1)

    def forward(self, series, state=None, last=None):
        before = torch.cat((series[:, :1] if last is None else last, series[:, :-1]), dim=1)
        change = series - before
        features, state = self.lstm(torch.stack((series, 10 * change), dim=-1), state)
        return series + change + 0.1 * self.head(features).squeeze(-1), state

    @torch.no_grad()
    def continue_series(self, series, steps):
        """`steps` more values of each series, every one from those before it."""
        forecasts, state = self(series)
        last, new = series[:, -1:], forecasts[:, -1:]
        values = [new]
        for _ in range(steps - 1):
            forecast, state = self(new, state, last)
            last, new = new, forecast
            values.append(new)
        return torch.cat(values, dim=1)


def train_epoch(model, loader, optimizer, device):
    criterion = nn.SmoothL1Loss(beta=0.01)
    model.train()
    total = torch.zeros((), device=device)
    for (windows,) in loader:
        windows = windows.to(device)
        forecasts, _ = model(windows[:, :-1])
        loss = criterion(forecasts[:, 5:], windows[:, 6:])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        total += loss.detach() * len(windows)
    return total.item() / len(loader.dataset)


def root_mean_square(errors):
    return errors.square().mean().sqrt().item()


@torch.no_grad()
def errors_of(model, held_out, known, ahead):
    """Errors by forecast: of the next value, and of the `ahead`-th after `known` values."""
    model.eval()
    one_step, _ = model(held_out[None, :-1])
    pieces = held_out.unfold(0, known + ahead, 10)
    seen, wanted = pieces[:, :known], pieces[:, -1]
    return {
        "LSTM": (one_step[0, 20:] - held_out[21:], model.continue_series(seen, ahead)[:, -1] - wanted),
        "as before": (held_out[20:-1] - held_out[21:], seen[:, -1] - wanted),
        "a line": (
            2 * held_out[20:-1] - held_out[19:-2] - held_out[21:],
            seen[:, -1] + ahead * (seen[:, -1] - seen[:, -2]) - wanted,
        ),
    }


def main(arguments=None):
    options = parse(arguments)
    device = choose_device(options.device)
    torch.manual_seed(options.seed)
    series = mackey_glass(options.length)
    learnt = series[: options.length * 4 // 5]
    held_out = series[len(learnt) :].to(device)
    windows = learnt.unfold(0, options.window + 1, 5)
    loader = DataLoader(TensorDataset(windows), options.batch_size, shuffle=True)
    model = Forecaster(options.hidden, options.layers).to(device)
    optimizer = optim.Adam(model.parameters(), lr=options.lr)
    scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, options.epochs)
    for epoch in range(1, options.epochs + 1):
        loss = train_epoch(model, loader, optimizer, device)
        scheduler.step()
        if epoch % 5 == 0 or epoch == options.epochs:
            print(f"epoch {epoch}: loss {loss:.6f}", flush=True)
    print(f"{'error after':>12} {'1 step':>8} {options.ahead:>5} steps")
    for name, (near, far) in errors_of(model, held_out, options.window, options.ahead).items():
        print(f"{name:>12} {root_mean_square(near):>8.4f} {root_mean_square(far):>11.4f}")


if __name__ == "__main__":
    main()
