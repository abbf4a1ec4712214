"""SummaryWriter: scalars, pictures and more in event files that TensorBoard reads."""

from __future__ import annotations

import functools
import inspect
import os
import time
from collections.abc import Callable
from typing import Any

from devtensor.core.errors import Unsupported
from devtensor.utils.tensorboard.records import (
    FileWriter,
    Writer,
    converted,
    hyperparameters,
    number,
    scalar,
    tensor_record,
)

__all__ = ["FileWriter", "SummaryWriter"]


def _passed_on(method: Callable[..., None]) -> Callable[..., None]:
    """A method that hands its arguments, made arrays and numbers, to tensorboardX's of the same name."""
    signature = inspect.signature(method)
    required = [p.name for p in signature.parameters.values() if p.default is p.empty][1:]

    @functools.wraps(method)
    def passed_on(self: SummaryWriter, *args: Any, **kwargs: Any) -> None:
        given = signature.bind(self, *args, **kwargs)
        given.apply_defaults()
        named = {name: converted(value) for name, value in given.arguments.items() if name != "self"}
        if "global_step" in named:
            named["global_step"] = number(given.arguments["global_step"])
        # These may have other names there.
        values = [named.pop(name) for name in required]
        getattr(self._writer, method.__name__)(*values, **named)

    return passed_on


class SummaryWriter:
    """Writes event files to `log_dir`, by default runs/<time>_<host><comment>.

    Values may be tensors on any device, arrays or numbers.

    Example:
        with SummaryWriter("runs/first") as writer:
            writer.add_scalar("loss", loss, step)
    """

    def __init__(
        self,
        log_dir: Any = None,
        comment: str = "",
        purge_step: int | None = None,
        max_queue: int = 10,
        flush_secs: int = 120,
        filename_suffix: str = "",
    ) -> None:
        self._writer: Any = Writer(
            logdir=None if log_dir is None else os.fspath(log_dir),
            comment=comment,
            purge_step=purge_step,
            max_queue=max_queue,
            flush_secs=flush_secs,
            filename_suffix=filename_suffix,
        )
        self.log_dir: str = self._writer.logdir
        self._series: dict[str, Any] = {}

    def get_logdir(self) -> str:
        """The folder that event files go to."""
        return self.log_dir

    def _get_file_writer(self) -> Any:
        return self._writer._get_file_writer()

    def add_scalar(
        self,
        tag: str,
        scalar_value: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        new_style: bool = False,
        double_precision: bool = False,
    ) -> None:
        """A number: in float32, as a tensor with `new_style`, in float64 with `double_precision`."""
        record = scalar(tag, scalar_value, new_style, double_precision)
        self._get_file_writer().add_summary(record, number(global_step), walltime)

    def add_scalars(
        self,
        main_tag: str,
        tag_scalar_dict: dict[str, Any],
        global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:
        """Several numbers to be drawn in one chart, each in an event file of its own."""
        for tag, value in tag_scalar_dict.items():
            folder = f"{self.log_dir}/{main_tag.replace('/', '_')}_{tag}"
            if folder not in self._series:
                self._series[folder] = FileWriter(folder)
            record = scalar(main_tag, value, False, False)
            self._series[folder].add_summary(record, number(global_step), walltime)

    def add_tensor(
        self, tag: str, tensor: Any, global_step: int | None = None, walltime: float | None = None
    ) -> None:
        """A tensor's numbers as they are.

        Errors: ArgumentError for a dtype that event files cannot hold.
        """
        self._get_file_writer().add_summary(tensor_record(tag, tensor), number(global_step), walltime)

    def add_hparams(
        self,
        hparam_dict: dict[str, Any],
        metric_dict: dict[str, Any],
        hparam_domain_discrete: dict[str, Any] | None = None,
        run_name: str | None = None,
        global_step: int | None = None,
    ) -> None:
        """Hyperparameters and what they led to, as a run of its own below `log_dir`.

        Errors: ArgumentTypeError for what is no dict, ArgumentError for domains of unknown hyperparameters.
        """
        records = hyperparameters(hparam_dict, metric_dict, hparam_domain_discrete)
        folder = os.path.join(self.log_dir, str(time.time()) if run_name is None else run_name)
        with SummaryWriter(folder) as run:
            for record in records:
                run._get_file_writer().add_summary(record)
            for tag, value in metric_dict.items():
                run.add_scalar(tag, value, global_step)

    def add_graph(
        self,
        model: Any,
        input_to_model: Any = None,
        verbose: bool = False,
        use_strict_trace: bool = True,
    ) -> None:
        """Refused.

        Errors: Unsupported: TensorBoard's graphs are TensorFlow's, made of a TorchScript trace.
        """
        raise Unsupported(
            "[add_graph] TensorBoard's graph view needs a TorchScript trace, which devtensor does not make; "
            "print devtensor.compile's graph, or leave the call out"
        )

    @_passed_on
    def add_onnx_graph(self, prototxt: Any) -> None:
        """The graph of an ONNX file, if `onnx` is installed."""

    @_passed_on
    def add_histogram(
        self,
        tag: str,
        values: Any,
        global_step: int | None = None,
        bins: Any = "tensorflow",
        walltime: float | None = None,
        max_bins: Any = None,
    ) -> None:
        """The distribution of a tensor's numbers."""

    @_passed_on
    def add_histogram_raw(
        self,
        tag: str,
        min: Any,
        max: Any,
        num: Any,
        sum: Any,
        sum_squares: Any,
        bucket_limits: Any,
        bucket_counts: Any,
        global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:
        """A histogram that was counted elsewhere."""

    @_passed_on
    def add_image(
        self,
        tag: str,
        img_tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        dataformats: str = "CHW",
    ) -> None:
        """A picture: uint8 of 0 to 255, or numbers of 0 to 1."""

    @_passed_on
    def add_images(
        self,
        tag: str,
        img_tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        dataformats: str = "NCHW",
    ) -> None:
        """Several pictures, side by side."""

    @_passed_on
    def add_image_with_boxes(
        self,
        tag: str,
        img_tensor: Any,
        box_tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        rescale: Any = 1,
        dataformats: str = "CHW",
        labels: Any = None,
    ) -> None:
        """A picture with boxes (left, top, right, bottom) drawn into it."""

    @_passed_on
    def add_figure(
        self,
        tag: str,
        figure: Any,
        global_step: int | None = None,
        close: bool = True,
        walltime: float | None = None,
    ) -> None:
        """A figure of matplotlib's, or several of one size."""

    @_passed_on
    def add_video(
        self,
        tag: str,
        vid_tensor: Any,
        global_step: int | None = None,
        fps: Any = 4,
        walltime: float | None = None,
    ) -> None:
        """A film, (N, T, C, H, W), if `moviepy` is installed."""

    @_passed_on
    def add_audio(
        self,
        tag: str,
        snd_tensor: Any,
        global_step: int | None = None,
        sample_rate: int = 44100,
        walltime: float | None = None,
    ) -> None:
        """A sound of numbers of -1 to 1, if `soundfile` is installed."""

    @_passed_on
    def add_text(
        self, tag: str, text_string: Any, global_step: int | None = None, walltime: float | None = None
    ) -> None:
        """A text, as Markdown."""

    @_passed_on
    def add_embedding(
        self,
        mat: Any,
        metadata: Any = None,
        label_img: Any = None,
        global_step: int | None = None,
        tag: str = "default",
        metadata_header: Any = None,
    ) -> None:
        """Points of many dims, one in each row, with labels and pictures."""

    @_passed_on
    def add_pr_curve(
        self,
        tag: str,
        labels: Any,
        predictions: Any,
        global_step: int | None = None,
        num_thresholds: int = 127,
        weights: Any = None,
        walltime: float | None = None,
    ) -> None:
        """A precision-recall curve of binary labels and predicted chances."""

    @_passed_on
    def add_pr_curve_raw(
        self,
        tag: str,
        true_positive_counts: Any,
        false_positive_counts: Any,
        true_negative_counts: Any,
        false_negative_counts: Any,
        precision: Any,
        recall: Any,
        global_step: int | None = None,
        num_thresholds: int = 127,
        weights: Any = None,
        walltime: float | None = None,
    ) -> None:
        """A precision-recall curve that was counted elsewhere."""

    @_passed_on
    def add_custom_scalars_multilinechart(
        self, tags: Any, category: str = "default", title: str = "untitled"
    ) -> None:
        """One chart for several scalars."""

    @_passed_on
    def add_custom_scalars_marginchart(
        self, tags: Any, category: str = "default", title: str = "untitled"
    ) -> None:
        """A chart of a scalar between two others."""

    @_passed_on
    def add_custom_scalars(self, layout: Any) -> None:
        """Charts of collected scalars: {category: {title: [kind, tags]}}."""

    @_passed_on
    def add_mesh(
        self,
        tag: str,
        vertices: Any,
        colors: Any = None,
        faces: Any = None,
        config_dict: Any = None,
        global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:
        """Meshes or clouds of points in space."""

    def flush(self) -> None:
        """Write what is waiting."""
        for writer in (self._writer, *self._series.values()):
            writer.flush()

    def close(self) -> None:
        """Write what is waiting and close the files."""
        for writer in self._series.values():
            writer.close()
        self._series = {}
        self._writer.close()

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(self, *raised: Any) -> None:
        self.close()
