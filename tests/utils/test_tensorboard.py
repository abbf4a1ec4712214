"""Event files: what is written can be read back, record by record."""

from __future__ import annotations

import inspect
import math
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import devtensor as torch
from devtensor.core.errors import Unsupported

Event: Any = pytest.importorskip("tensorboardX.proto.event_pb2").Event
tensorboard: Any = pytest.importorskip("devtensor.utils.tensorboard")


def events(folder: Path) -> list[Any]:
    """The records of a folder's event file: length, checksum, bytes, checksum, again and again."""
    (file,) = folder.glob("events.out.tfevents.*")
    data, at, found = file.read_bytes(), 0, []
    while at < len(data):
        (size,) = struct.unpack_from("<Q", data, at)
        found.append(Event.FromString(data[at + 12 : at + 12 + size]))
        at += size + 16
    return found


def values(folder: Path) -> dict[str, list[tuple[int, Any]]]:
    held: dict[str, list[tuple[int, Any]]] = {}
    for event in events(folder):
        for value in event.summary.value:
            held.setdefault(value.tag, []).append((event.step, value))
    return held


def test_scalars(tmp_path: Path) -> None:
    with tensorboard.SummaryWriter(tmp_path) as writer:
        assert writer.log_dir == writer.get_logdir() == str(tmp_path)
        for step, loss in enumerate((torch.tensor(2.5, requires_grad=True), 1.5, np.float32(0.5))):
            writer.add_scalar("loss", loss, torch.tensor(step))
        writer.add_scalar("fine", math.pi, 0, double_precision=True)
        writer.add_scalar("new", 0.25, 0, new_style=True)
        writer.add_scalars("both/ends", {"low": torch.tensor([1.0]), "high": 2.0}, 7)
    held = values(tmp_path)
    assert [(step, value.simple_value) for step, value in held["loss"]] == [(0, 2.5), (1, 1.5), (2, 0.5)]
    assert held["fine"][0][1].tensor.double_val[0] == math.pi
    assert held["new"][0][1].tensor.float_val[0] == 0.25
    ends = {end: values(tmp_path / f"both_ends_{end}") for end in ("low", "high")}
    assert [(step, value.simple_value) for step, value in ends["low"]["both/ends"]] == [(7, 1.0)]
    assert [(step, value.simple_value) for step, value in ends["high"]["both/ends"]] == [(7, 2.0)]


def test_tensors_and_histograms(tmp_path: Path) -> None:
    numbers = torch.tensor([[1.0, 2.0, 4.0], [2.0, 2.0, 3.0]])
    with tensorboard.SummaryWriter(tmp_path) as writer:
        writer.add_tensor("whole", numbers, 3)
        writer.add_histogram("spread", numbers.bfloat16(), 3)
        with pytest.raises(ValueError, match="unsupported tensor dtype"):
            writer.add_tensor("odd", numbers.bfloat16())
    held = values(tmp_path)
    whole = held["whole"][0][1].tensor
    assert np.frombuffer(whole.tensor_content, np.float32).tolist() == [1, 2, 4, 2, 2, 3]
    assert [dim.size for dim in whole.tensor_shape.dim] == [2, 3]
    histogram = held["spread"][0][1].histo
    assert (histogram.min, histogram.max, histogram.num, histogram.sum) == (1, 4, 6, 14)
    assert histogram.sum_squares == 38


def test_pictures_text_and_curves(tmp_path: Path) -> None:
    torch.manual_seed(0)
    with tensorboard.SummaryWriter(tmp_path) as writer:
        writer.add_image("one", torch.rand(3, 8, 6), 1)
        writer.add_image("flat", torch.rand(8, 6), 1, dataformats="HW")
        writer.add_images("four", torch.rand(4, 3, 8, 6), 1)
        writer.add_image_with_boxes(
            "boxed", torch.rand(3, 8, 6), torch.tensor([[1, 1, 4, 4]]), 1, labels=["a"]
        )
        writer.add_text("note", "**well**", 1)
        writer.add_pr_curve("curve", torch.tensor([0, 1, 1, 0]), torch.tensor([0.1, 0.9, 0.6, 0.7]), 1)
        writer.add_mesh("cloud", torch.rand(1, 5, 3), global_step=1)
        writer.add_custom_scalars({"all": {"losses": ["Multiline", ["loss/.*"]]}})
    held = values(tmp_path)
    assert [(value.image.height, value.image.width) for _, value in held["one"]] == [(8, 6)]
    assert held["flat"][0][1].image.encoded_image_string.startswith(b"\x89PNG")
    assert (held["four"][0][1].image.height, held["boxed"][0][1].image.height) == (8, 8)
    assert any(
        tag.startswith("note") and b"**well**" in found[0][1].tensor.string_val[0]
        for tag, found in held.items()
    )
    assert {"curve", "custom_scalars__config__"} <= set(held)
    assert any(tag.startswith("cloud") for tag in held)


def test_figures(tmp_path: Path) -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot")
    with tensorboard.SummaryWriter(tmp_path) as writer:
        writer.add_figure("drawn", pyplot.figure(figsize=(1, 1)), 2)
    ((step, value),) = values(tmp_path)["drawn"]
    assert step == 2
    assert value.image.encoded_image_string.startswith(b"\x89PNG")


def test_embeddings(tmp_path: Path) -> None:
    with tensorboard.SummaryWriter(tmp_path) as writer:
        writer.add_embedding(torch.tensor([[1.0, 2.0], [3.0, 4.5]]), metadata=["a", "b"], global_step=1)
    (table,) = tmp_path.rglob("tensors.tsv")
    rows = [[float(number) for number in line.split("\t")] for line in table.read_text().splitlines()]
    assert rows == [[1.0, 2.0], [3.0, 4.5]]
    (labels,) = tmp_path.rglob("metadata.tsv")
    assert labels.read_text().split() == ["a", "b"]


def test_hyperparameters(tmp_path: Path) -> None:
    plugin = pytest.importorskip("tensorboardX.proto.plugin_hparams_pb2").HParamsPluginData
    given = {"lr": torch.tensor(0.5), "kind": "adam", "fast": True}
    with tensorboard.SummaryWriter(tmp_path) as writer:
        writer.add_hparams(given, {"loss": 0.25}, {"kind": ["adam", "sgd"]}, run_name="first", global_step=4)
        with pytest.raises(TypeError, match="should be a dictionary"):
            writer.add_hparams([], {})  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="not in hparam_dict"):
            writer.add_hparams(given, {}, {"other": [1]})
    held = values(tmp_path / "first")
    assert [(step, value.simple_value) for step, value in held["loss"]] == [(4, 0.25)]
    experiment, start = (
        plugin.FromString(held[f"_hparams_/{name}"][0][1].metadata.plugin_data.content)
        for name in ("experiment", "session_start_info")
    )
    domains = {
        info.name: [v.string_value for v in info.domain_discrete.values]
        for info in experiment.experiment.hparam_infos
    }
    assert domains == {"lr": [], "kind": ["adam", "sgd"], "fast": []}
    started = start.session_start_info.hparams
    assert (started["lr"].number_value, started["kind"].string_value, started["fast"].bool_value) == (
        0.5,
        "adam",
        True,
    )


def test_graphs_are_refused(tmp_path: Path) -> None:
    with tensorboard.SummaryWriter(tmp_path) as writer, pytest.raises(Unsupported, match="TorchScript"):
        writer.add_graph(torch.nn.Linear(1, 1))


def test_without_the_library_the_error_names_the_extra() -> None:
    code = "import sys; sys.modules['tensorboardX'] = None; import devtensor.utils.tensorboard"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ImportError: [utils.tensorboard]" in done.stderr
    assert "pip install devtensor[tensorboard]" in done.stderr


def test_parameters_are_pytorchs() -> None:
    """PyTorch's own parameters, as its documentation of 2.13 has them."""
    wanted = {
        "add_scalar": "tag scalar_value global_step walltime new_style double_precision",
        "add_histogram": "tag values global_step bins walltime max_bins",
        "add_figure": "tag figure global_step close walltime",
        "add_embedding": "mat metadata label_img global_step tag metadata_header",
        "add_hparams": "hparam_dict metric_dict hparam_domain_discrete run_name global_step",
        "add_graph": "model input_to_model verbose use_strict_trace",
    }
    for name, parameters in wanted.items():
        found = list(inspect.signature(getattr(tensorboard.SummaryWriter, name)).parameters)
        assert found == ["self", *parameters.split()]
