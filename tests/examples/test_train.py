"""The main job: it learns, goes on bit for bit after a stop, skips bad steps, refuses bad input plainly."""

from __future__ import annotations

import importlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import devtensor

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "examples"))
train = importlib.import_module("train")
train_checkpoint = importlib.import_module("train_checkpoint")
train_data = importlib.import_module("train_data")
train_engine = importlib.import_module("train_engine")
train_models = importlib.import_module("train_models")
train_plots = importlib.import_module("train_plots")
JobError = importlib.import_module("train_errors").JobError

EPOCH_LINE = re.compile(
    r"epoch +(\d+)/\d+  loss (\d+\.\d{4})  accuracy (\d+\.\d\d) %  scale (\S+)  \d+ samples/s"
)
LAST_LINE = re.compile(r"test accuracy (\d+\.\d\d) %")


def job(out: Path, *arguments: str) -> list[str]:
    """Arguments of a small run on the CPU."""
    return ["--device", "cpu", "--out", str(out), "--model", "mlp", "--amp", "off", *arguments]


def printed(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    """What `train.main(arguments)` prints to stdout, or to stderr if it must fail with `code`."""
    assert train.main(list(arguments)) == code
    captured = capsys.readouterr()
    return captured.err if code else captured.out


def epochs(text: str) -> list[tuple[str, ...]]:
    """Epoch, loss, accuracy and scale of each epoch's line; the speed differs from run to run."""
    return [match.groups() for match in EPOCH_LINE.finditer(text)]


def training(**changes: object) -> train_engine.Training:
    """A Training of the digits."""
    settings = dict(
        data="digits", model="mlp", amp="off", epochs=2, batch_size=64, lr=5e-3, optimizer="adamw", seed=0
    )
    device = devtensor.device("cpu")
    return train_engine.Training(
        train_engine.Settings(**(settings | changes)), train_data.load_digits(0), device
    )


def copied(tensors: dict[str, devtensor.Tensor]) -> dict[str, devtensor.Tensor]:
    return {name: tensor.clone() for name, tensor in tensors.items()}


def same(left: object, right: object) -> bool:
    """Whether two nested states are equal to the last bit."""
    if isinstance(left, devtensor.Tensor):
        return (
            isinstance(right, devtensor.Tensor) and left.dtype == right.dtype and devtensor.equal(left, right)
        )
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return left == right


@pytest.fixture(autouse=True)
def threads(monkeypatch):
    """The number of threads is set for a whole process: here it stays as the suite has it."""
    monkeypatch.setattr(devtensor, "set_num_threads", lambda count: None)


@pytest.fixture(autouse=True)
def drawing(request, monkeypatch):
    """Pictures take longer than a small run does: only the tests about them draw."""
    if request.cls not in (TestOptionalPackages, TestPictures):
        monkeypatch.setattr(train, "draw", lambda *run: None)


class TestLearning:
    def test_a_cnn_in_float16_from_the_command_line(self, tmp_path):
        command = [sys.executable, str(ROOT / "examples" / "train.py"), "--epochs", "4", "--device", "cpu"]
        paths = os.pathsep.join([str(ROOT), str(ROOT / "backends"), os.environ.get("PYTHONPATH", "")])
        done = subprocess.run(
            [*command, "--amp", "float16", "--out", str(tmp_path)],
            env=os.environ | {"PYTHONPATH": paths},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        last = LAST_LINE.fullmatch(done.stdout.splitlines()[-1])
        assert last and float(last[1]) >= 96.0, done.stdout
        lines = epochs(done.stdout)
        assert [line[0] for line in lines] == ["1", "2", "3", "4"]
        assert float(lines[-1][1]) < 0.85
        assert float(lines[-1][3]) >= 1024
        files = {path.name for path in tmp_path.iterdir()}
        assert files == {"checkpoint.safetensors", "best.safetensors", "curves.png", "predictions.png"}

    @pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
    def test_each_optimizer_brings_the_loss_down(self, tmp_path, capsys, optimizer):
        text = printed(capsys, *job(tmp_path, "--epochs", "6", "--optimizer", optimizer))
        assert float(epochs(text)[-1][1]) < 0.7
        assert float(LAST_LINE.fullmatch(text.splitlines()[-1])[1]) >= 94.0

    def test_bfloat16_learns_without_a_scale(self, tmp_path, capsys):
        text = printed(capsys, *job(tmp_path, "--epochs", "6", "--amp", "bfloat16"))
        assert float(epochs(text)[-1][1]) < 0.7
        assert {line[3] for line in epochs(text)} == {"1"}

    def test_workers_change_no_number(self, tmp_path, capsys):
        alone = printed(capsys, *job(tmp_path, "--epochs", "2"))
        helped = printed(capsys, *job(tmp_path, "--epochs", "2", "--workers", "1"))
        assert epochs(alone) == epochs(helped) != []

    def test_the_seed_decides_the_numbers(self, tmp_path, capsys):
        first, again, other = (
            epochs(printed(capsys, *job(tmp_path, "--epochs", "1", "--seed", seed))) for seed in "112"
        )
        assert first == again != other

    def test_the_held_out_fifth_is_in_proportion_and_apart(self):
        data = train_data.load_digits(seed=3)
        assert (len(data.train), len(data.test)) == (1437, 360)
        counts = [int((data.test.tensors[1] == digit).sum().item()) for digit in range(10)]
        assert max(counts) - min(counts) <= 3

    @pytest.mark.parametrize("size", [(8, 8), (1, 1), (5, 3), (28, 28), (32, 20)])
    @pytest.mark.parametrize("model", ["mlp", "cnn"])
    def test_models_take_any_image_size(self, model, size):
        net = train_models.build_model(model, size, classes=7)
        assert net(devtensor.zeros(2, 1, *size, dtype=devtensor.uint8)).shape == (2, 7)

    def test_shifting_moves_each_image_by_at_most_a_pixel(self):
        devtensor.manual_seed(0)
        images = devtensor.zeros(200, 1, 5, 6)
        images[:, 0, 2, 3] = 1
        shift = train_models.ShiftByAPixel()
        moved = shift(images)
        assert moved.shape == images.shape
        places = {tuple(place) for place in moved.nonzero()[:, 2:].tolist()}
        assert places == {(row, column) for row in (1, 2, 3) for column in (2, 3, 4)}
        assert moved.sum().item() == 200
        assert shift.eval()(images) is images


class TestResume:
    @pytest.mark.parametrize(
        "options", [("--model", "cnn", "--amp", "float16"), ("--model", "mlp", "--optimizer", "sgd")]
    )
    def test_a_stopped_run_goes_on_bit_for_bit(self, tmp_path, capsys, monkeypatch, options):
        whole, parts = tmp_path / "whole", tmp_path / "parts"
        expected = epochs(printed(capsys, *job(whole, "--epochs", "3", *options)))

        with monkeypatch.context() as patch:
            patch.setattr(train_engine.Training, "train_epoch", stop_after(1))
            message = printed(capsys, *job(parts, "--epochs", "3", *options), code=130)
        assert "interrupted; add --resume" in message
        resumed = epochs(printed(capsys, *job(parts, "--epochs", "3", *options, "--resume")))

        assert resumed == expected[1:]
        left, right = (
            train_checkpoint.safetensors.load(out / "checkpoint.safetensors") for out in (whole, parts)
        )
        for state in (left, right):
            del state["history"]["speed"]
        assert same(left, right)

    def test_a_killed_process_leaves_a_checkpoint_to_go_on_from(self, tmp_path, capsys):
        arguments = job(tmp_path, "--epochs", "400")
        paths = os.pathsep.join([str(ROOT), str(ROOT / "backends"), os.environ.get("PYTHONPATH", "")])
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "examples" / "train.py"), *arguments],
            env=os.environ | {"PYTHONPATH": paths},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        with process:
            for line in process.stdout:
                if line.startswith("epoch   3"):
                    break
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        options = train.parse(arguments)
        path = tmp_path / "checkpoint.safetensors"
        state = train_checkpoint.load_checkpoint(path, vars_of(train.make_settings(options)))
        assert state["epoch"] >= 2
        assert len(state["history"]["loss"]) == state["epoch"]

    def test_a_finished_run_only_reports(self, tmp_path, capsys):
        first = printed(capsys, *job(tmp_path, "--epochs", "1"))
        again = printed(capsys, *job(tmp_path, "--epochs", "1", "--resume"))
        assert epochs(again) == []
        assert again.splitlines()[-1] == first.splitlines()[-1]

    def test_a_checkpoint_of_other_settings_is_refused(self, tmp_path, capsys):
        printed(capsys, *job(tmp_path, "--epochs", "1"))
        arguments = job(tmp_path, "--epochs", "1", "--model", "cnn", "--batch-size", "32", "--resume")
        message = printed(capsys, *arguments, code=2)
        assert (
            "was made with --model mlp --batch-size 64, this run has --model cnn --batch-size 32" in message
        )

    @pytest.mark.parametrize("damage", ["missing", "text", "cut", "foreign"])
    def test_an_unreadable_checkpoint_is_refused(self, tmp_path, capsys, damage):
        path = tmp_path / "some.safetensors"
        if damage == "text":
            path.write_text("no checkpoint")
        if damage == "cut":
            printed(capsys, *job(tmp_path, "--epochs", "1"))
            path.write_bytes((tmp_path / "checkpoint.safetensors").read_bytes()[:5000])
        if damage == "foreign":
            train_checkpoint.safetensors.save(path, {"weight": devtensor.ones(2)})
        before = path.read_bytes() if path.exists() else None
        message = printed(capsys, *job(tmp_path, "--epochs", "1", "--resume", str(path)), code=2)
        meaning = {"missing": "there is no file", "foreign": "no checkpoint of this program"}
        assert f"{path}" in message and meaning.get(damage, "cannot be read as a checkpoint") in message
        assert (path.read_bytes() if path.exists() else None) == before


def stop_after(count: int):
    """A `train_epoch` that is interrupted, as by Ctrl-C, when `count` epochs are done."""
    original = train_engine.Training.train_epoch

    def train_epoch(self, watch):
        if self.epoch == count:
            raise KeyboardInterrupt
        return original(self, watch)

    return train_epoch


def vars_of(settings: train_engine.Settings) -> dict[str, object]:
    return dict(vars(settings))


class TestSkippedStep:
    @pytest.mark.parametrize("model", ["mlp", "cnn"])
    def test_an_overflow_leaves_the_weights_and_halves_the_scale(self, model):
        run = training(model=model, amp="float16")
        images, labels = (column[:64] for column in run.data.train.tensors)
        run.step(images, labels)
        scale = run.scaler.get_scale()
        weights = copied(dict(run.model.named_parameters()))
        moments = [copied(slots) for slots in run.optimizer.state_dict()["state"].values()]

        handle = next(run.model.parameters()).register_hook(lambda gradient: gradient * float("inf"))
        run.step(images, labels)
        handle.remove()
        assert same(weights, dict(run.model.named_parameters()))
        assert same(moments, list(run.optimizer.state_dict()["state"].values()))
        assert run.scaler.get_scale() == scale / 2

        run.step(images, labels)
        assert not same(weights, dict(run.model.named_parameters()))
        assert run.scaler.get_scale() == scale / 2

    def test_a_run_with_a_skipped_step_still_learns(self, tmp_path, capsys, monkeypatch):
        original = train_engine.Training.step
        calls = []

        def step(self, images, labels):
            calls.append(1)
            if len(calls) != 10:
                return original(self, images, labels)
            parameter = next(self.model.parameters())
            handle = parameter.register_hook(lambda gradient: gradient + float("nan"))
            loss = original(self, images, labels)
            handle.remove()
            return loss

        monkeypatch.setattr(train_engine.Training, "step", step)
        text = printed(capsys, *job(tmp_path, "--epochs", "6", "--amp", "float16"))
        lines = epochs(text)
        assert {line[3] for line in lines} == {"32768"}
        assert float(lines[-1][1]) < 0.7


class TestCommandLine:
    def test_an_unknown_device_is_told_which_there_are(self, tmp_path, capsys):
        message = printed(capsys, "--device", "gpu", "--out", str(tmp_path), code=2)
        assert "[--device] gpu cannot be used" in message and "cpu" in message

    def test_a_device_without_values_is_refused(self, tmp_path, capsys):
        message = printed(capsys, "--device", "meta", "--out", str(tmp_path), code=2)
        assert "[--device] meta cannot be used" in message

    def test_a_precision_that_the_device_lacks_is_refused(self, tmp_path, capsys, monkeypatch):
        def ones(*shape, dtype=None, device=None):
            if dtype is devtensor.float16:
                raise RuntimeError("no halves here")
            return original(*shape, dtype=dtype, device=device)

        original = devtensor.ones
        monkeypatch.setattr(devtensor, "ones", ones)
        message = printed(capsys, *job(tmp_path, "--amp", "float16"), code=2)
        assert "[--amp] device cpu has no float16: no halves here; use --amp off" in message

    def test_auto_takes_the_first_accelerator_else_the_cpu(self, monkeypatch):
        monkeypatch.setattr(train, "accelerators", lambda: [])
        assert train.choose_device("auto") == devtensor.device("cpu")
        monkeypatch.setattr(train, "accelerators", lambda: ["nowhere"])
        with pytest.raises(JobError, match="nowhere"):
            train.choose_device("auto")

    def test_a_directory_that_is_not_there_is_named(self, tmp_path, capsys):
        message = printed(capsys, *job(tmp_path, "--data", str(tmp_path / "none")), code=2)
        assert f"{tmp_path / 'none'} is not a directory" in message

    def test_an_output_that_cannot_be_made_costs_no_training(self, tmp_path, capsys):
        (tmp_path / "file").write_text("in the way")
        message = printed(capsys, *job(tmp_path / "file" / "out"), code=2)
        assert "[--out]" in message and "cannot be made" in message

    @pytest.mark.parametrize(
        "wrong", [("--epochs", "0"), ("--lr", "nan"), ("--lr", "-1"), ("--amp", "float8"), ("--workers", "x")]
    )
    def test_wrong_values_are_usage_errors(self, capsys, wrong):
        with pytest.raises(SystemExit) as stop:
            train.main(list(wrong))
        assert stop.value.code == 2
        assert f"argument {wrong[0]}" in capsys.readouterr().err


class TestOptionalPackages:
    def test_without_them_the_run_goes_on(self, tmp_path, capsys, monkeypatch):
        for package in ("tqdm", "matplotlib"):
            monkeypatch.setitem(sys.modules, package, None)
        text = printed(capsys, *job(tmp_path, "--epochs", "1"))
        assert "no progress bar: tqdm is not installed (pip install tqdm)" in text
        assert "no pictures: matplotlib is not installed (pip install matplotlib)" in text
        assert LAST_LINE.fullmatch(text.splitlines()[-1])
        assert not list(tmp_path.glob("*.png"))

    def test_without_scikit_learn_the_digits_are_refused(self, tmp_path, capsys, monkeypatch):
        for package in ("sklearn", "sklearn.datasets", "sklearn.model_selection"):
            monkeypatch.setitem(sys.modules, package, None)
        message = printed(capsys, *job(tmp_path), code=2)
        assert "pip install scikit-learn" in message and "--data DIR" in message


class TestPictures:
    def test_mistakes_come_first_and_the_surest_of_them_before_all(self):
        chosen = devtensor.tensor([1, 0, 0, 1, 1, 0])
        labels = devtensor.tensor([1, 1, 0, 0, 1, 0])
        confidence = devtensor.tensor([0.9, 0.6, 0.8, 0.7, 0.5, 0.4])
        answers = train_engine.Answers(chosen, confidence, labels)
        assert train_plots.images_to_show(answers, 4) == [3, 1, 0, 4]
        assert train_plots.images_to_show(answers, 40)[:2] == [3, 1]
        assert answers.accuracy == pytest.approx(100 * 4 / 6)

    def test_both_pictures_are_whole_and_drawn(self, tmp_path, capsys):
        image = pytest.importorskip("matplotlib.image")
        printed(capsys, *job(tmp_path, "--epochs", "1", "--amp", "float16"))
        for name in ("curves.png", "predictions.png"):
            pixels = image.imread(tmp_path / name)
            assert pixels.shape[0] > 300 and pixels.shape[1] > 1000
            assert pixels[..., :3].std() > 0.05
        assert not list(tmp_path.glob(".*"))
