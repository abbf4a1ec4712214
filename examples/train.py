"""Train a digit classifier in mixed precision on any device.

    python examples/train.py
    python examples/train.py --data /usr/share/datasets/fashion-mnist --device cuda --amp bfloat16

Writes checkpoint.safetensors (after every epoch), best.safetensors, curves.png and predictions.png to --out.
The last line printed is the accuracy on the held-out images.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import ModuleType

import devtensor
from train_checkpoint import load_checkpoint, save_checkpoint
from train_data import load_images
from train_engine import AMP_DTYPES, LEARNING_RATES, Answers, Batches, Settings, Training
from train_errors import JobError

DIGITS_EPOCHS = 30
DIRECTORY_EPOCHS = 5
INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Run the job; the result is the process's exit code."""
    options = parse(arguments)
    try:
        run(options)
    except JobError as error:
        print(f"train.py: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("train.py: interrupted; add --resume to the same command to go on", file=sys.stderr)
        return INTERRUPTED
    return 0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="train.py", description="Train a classifier of small grey images.")
    add = parser.add_argument
    add("--data", default="digits", metavar="digits|DIR", help="scikit-learn's digits or IDX files")
    add("--model", default="cnn", choices=("mlp", "cnn"))
    add("--device", default="auto", help="auto (default), cpu, cuda, cuda:1 or any plug-in's device")
    add("--amp", default="float16", choices=tuple(AMP_DTYPES), help="precision of the forward pass")
    add("--epochs", type=at_least(1, int), help=f"{DIGITS_EPOCHS} for digits, {DIRECTORY_EPOCHS} for others")
    add("--batch-size", type=at_least(1, int), default=64)
    add("--lr", type=at_least(0, float), help=f"learning rate; by optimizer {LEARNING_RATES}")
    add("--optimizer", default="adamw", choices=tuple(LEARNING_RATES))
    add("--seed", type=at_least(0, int), default=0, help="of the split, the first weights and the batches")
    add("--workers", type=at_least(0, int), default=0, help="processes that fetch batches")
    add("--threads", type=at_least(1, int), default=1, help="of the CPU's BLAS; more pay for large models")
    add("--out", type=Path, default=Path("runs"), metavar="DIR", help="where checkpoints and pictures go")
    add("--resume", nargs="?", const="", metavar="PATH", help="go on from a checkpoint (that in --out)")
    return parser.parse_args(arguments)


def at_least(least: float, kind: Callable[[str], float]) -> Callable[[str], float]:
    """An argument type: a finite number of `kind` not below `least`."""

    def number(text: str) -> float:
        value = kind(text)
        if not least <= value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text} is not a finite number of at least {least}")
        return value

    number.__name__ = kind.__name__
    return number


def run(options: argparse.Namespace) -> None:
    """Prepare, train, and show what came of it."""
    devtensor.set_num_threads(options.threads)
    device = choose_device(options.device)
    check_precision(options.amp, device)
    settings = make_settings(options)
    data = load_images(options.data, options.seed)
    training = Training(settings, data, device, options.workers)
    make_directory(options.out)
    if options.resume is not None:
        path = Path(options.resume) if options.resume else options.out / "checkpoint.safetensors"
        resume(training, path)
    print(
        f"{settings.model} on {data.name}: {len(data.train)} images to learn from, "
        f"{len(data.test)} held out; device {device}, amp {settings.amp}"
    )
    train(training, options.out)
    answers = training.answer()
    draw(training, answers, options.out)
    print(f"test accuracy {answers.accuracy:.2f} %")


def make_settings(options: argparse.Namespace) -> Settings:
    """The settings that the command line asks for, with what it leaves open filled in."""
    digits = options.data == "digits"
    return Settings(
        data="digits" if digits else str(Path(options.data).resolve()),
        model=options.model,
        amp=options.amp,
        epochs=options.epochs or (DIGITS_EPOCHS if digits else DIRECTORY_EPOCHS),
        batch_size=options.batch_size,
        lr=LEARNING_RATES[options.optimizer] if options.lr is None else options.lr,
        optimizer=options.optimizer,
        seed=options.seed,
    )


def choose_device(name: str) -> devtensor.device:
    """The device called `name`, tried out; "auto" is the first accelerator at hand, else the CPU."""
    if name == "auto":
        name = next(iter(accelerators()), "cpu")
    try:
        device = devtensor.device(name)
        devtensor.ones((), device=device).item()
    except Exception as error:
        raise JobError(f"[--device] {name} cannot be used: {error}") from error
    return device


def accelerators() -> list[str]:
    """Device types that are available, hold values and are not the CPU."""
    available = (entry.name for entry in devtensor.backend.status() if entry.state == "available")
    return [name for name in available if name not in ("cpu", "meta")]


def check_precision(amp: str, device: devtensor.device) -> None:
    """Refuse a precision that the device does not have."""
    dtype = AMP_DTYPES[amp]
    if dtype is None:
        return
    try:
        devtensor.ones((), dtype=dtype, device=device).float().item()
    except Exception as error:
        raise JobError(f"[--amp] device {device} has no {amp}: {error}; use --amp off") from error


def make_directory(path: Path) -> None:
    """Make the output directory now, so that a bad path costs no training."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise JobError(f"[--out] {path} cannot be made: {error}") from error


def resume(training: Training, path: Path) -> None:
    """Bring `training` to where the checkpoint at `path` was written."""
    state = load_checkpoint(path, asdict(training.settings))
    try:
        training.load_state_dict(state)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise JobError(f"[--resume] {path} does not fit this model: {error}") from error
    print(f"continuing after epoch {training.epoch} of {training.settings.epochs} ({path})")


def train(training: Training, out: Path) -> None:
    """Train what is left of the epochs, with a line and a checkpoint for each."""
    settings = asdict(training.settings)
    tqdm = optional("tqdm", "progress bar")
    total = str(training.settings.epochs)
    for epoch in range(training.epoch + 1, training.settings.epochs + 1):
        title = f"epoch {epoch:>{len(total)}}/{total}"
        numbers = training.train_epoch(progress_bar(tqdm, title))
        print(
            f"{title}  loss {numbers['loss']:.4f}  accuracy {numbers['accuracy']:.2f} %  "
            f"scale {numbers['scale']:g}  {numbers['speed']:.0f} samples/s",
            flush=True,
        )
        state = training.state_dict()
        save_checkpoint(out / "checkpoint.safetensors", settings, state)
        if numbers["accuracy"] > max(training.history["accuracy"][:-1], default=-1.0):
            save_checkpoint(out / "best.safetensors", settings, state)


def progress_bar(tqdm: ModuleType | None, title: str) -> Callable[[Batches], Batches]:
    """What lets the batches be seen going by: a bar on a terminal, else nothing."""
    if tqdm is None:
        return lambda batches: batches
    return lambda batches: tqdm.tqdm(batches, desc=title, unit="batch", leave=False, disable=None)


def draw(training: Training, answers: Answers, out: Path) -> None:
    """Write the pictures, if matplotlib is there."""
    if optional("matplotlib", "pictures") is None:
        return
    from train_plots import save_curves, save_predictions

    settings = training.settings
    title = f"{settings.model} on {training.data.name}, amp {settings.amp}, {training.device}"
    save_curves(out / "curves.png", training.history, title, scaled=training.scaler.is_enabled())
    save_predictions(out / "predictions.png", training.data, answers, title)
    print(f"pictures: {out / 'curves.png'}, {out / 'predictions.png'}")


def optional(name: str, feature: str) -> ModuleType | None:
    """Import the package `name`, or say what is missed without it."""
    try:
        return importlib.import_module(name)
    except ImportError:
        print(f"no {feature}: {name} is not installed (pip install {name})")
        return None


if __name__ == "__main__":
    sys.exit(main())
