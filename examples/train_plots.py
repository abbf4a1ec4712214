"""Pictures of a run: its curves, and what the model says to some test images."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from train_data import ImageData
from train_engine import Answers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, told apart with every kind of colour vision.
BLUE, VERMILION, GREEN = "#0072B2", "#D55E00", "#009E73"
ROWS, COLUMNS = 4, 8


def save_curves(path: Path, history: dict[str, list[float]], title: str, scaled: bool) -> None:
    """Draw loss, accuracy and, if `scaled`, the loss scale against the epoch."""
    panels = [draw_loss, draw_accuracy, *([draw_scale] if scaled else [])]
    figure = new_figure(4.2 * len(panels), 3.6)
    figure.suptitle(title, fontsize=12)
    epochs = list(range(1, 1 + len(history["loss"])))
    for axes, draw in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        draw(axes, epochs, history)
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(True, color="#dddddd", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    save(figure, path)


def draw_loss(axes: Axes, epochs: list[int], history: dict[str, list[float]]) -> None:
    """Mean training loss."""
    axes.plot(epochs, history["loss"], color=VERMILION, marker="o", markersize=3)
    axes.set_title("training loss")
    axes.set_ylabel("cross entropy, smoothed labels (nats)")


def draw_accuracy(axes: Axes, epochs: list[int], history: dict[str, list[float]]) -> None:
    """Test accuracy, with its last value written beside it."""
    accuracy = history["accuracy"]
    axes.plot(epochs, accuracy, color=BLUE, marker="o", markersize=3)
    axes.set_title(f"test accuracy, at the end {accuracy[-1]:.2f} %")
    axes.set_ylabel("right answers (%)")


def draw_scale(axes: Axes, epochs: list[int], history: dict[str, list[float]]) -> None:
    """Loss scale after each epoch; every division is a factor of two."""
    axes.step(epochs, history["scale"], color=GREEN, where="mid", marker="o", markersize=3)
    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_title("loss scale")
    axes.set_ylabel("scale after the epoch")


def save_predictions(path: Path, data: ImageData, answers: Answers, title: str) -> None:
    """Draw test images with the model's answers: the most confident mistakes first, then right answers."""
    figure = new_figure(1.35 * COLUMNS, 1.62 * ROWS + 0.7)
    mistakes = int((answers.chosen != answers.labels).sum().item())
    figure.suptitle(
        f"{title}: {mistakes} mistake{'' if mistakes == 1 else 's'} in {len(answers.labels)} test images "
        f"({answers.accuracy:.2f} % right)\n"
        "thick orange frame: mistake, most confident first; thin blue frame: right answer",
        fontsize=11,
    )
    shown = images_to_show(answers, ROWS * COLUMNS)
    for position, axes in enumerate(figure.subplots(ROWS, COLUMNS).flat):
        if position < len(shown):
            draw_answer(axes, data, answers, shown[position])
        else:
            axes.set_axis_off()
    save(figure, path)


def images_to_show(answers: Answers, count: int) -> list[int]:
    """Indices of at most `count` images: up to half mistakes by falling confidence, then right answers."""
    confidence = answers.confidence.tolist()
    right = (answers.chosen == answers.labels).tolist()
    everything = range(len(right))
    wrong = sorted((i for i in everything if not right[i]), key=lambda i: -confidence[i])[: count // 2]
    good = [i for i in everything if right[i]]
    wanted = min(count - len(wrong), len(good))
    return wrong + [good[k * len(good) // wanted] for k in range(wanted)]


def draw_answer(axes: Axes, data: ImageData, answers: Answers, index: int) -> None:
    """One image, framed by whether the answer is right, with the answer above it."""
    image = data.test.tensors[0][index, 0]
    label, chosen = (int(classes[index].item()) for classes in (answers.labels, answers.chosen))
    sure = f"{100 * answers.confidence[index].item():.0f} %"
    right = label == chosen
    colour = BLUE if right else VERMILION
    axes.imshow(image.numpy(), cmap="gray_r", interpolation="nearest")
    title = f"{chosen} ({sure})" if right else f"says {chosen} ({sure})\nis {label}"
    axes.set_title(title, fontsize=8.5, color=colour)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set(color=colour, linewidth=1 if right else 3)


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of the given size in inches, drawn by Agg, which needs no screen."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write the picture beside its place first, so that a picture seen at `path` is always whole."""
    unfinished = path.with_name(f".{path.name}.part")
    figure.savefig(unfinished, format="png", dpi=130)
    os.replace(unfinished, path)
