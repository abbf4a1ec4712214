"""The smaller examples run, learn, and do what they say."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import pytest

import devtensor

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "examples"))
PROGRAMS = ("char_gpt", "finetune", "lstm_series", "vae")
SMALL_GPT = ["--device", "cpu", "--width", "16", "--layers", "1", "--heads", "2", "--context", "12"]
SMALL_GPT += ["--batch-size", "4", "--steps", "6", "--every", "2", "--characters", "20000", "--write", "20"]


def run(capsys, program: str, *arguments: str) -> str:
    """What an example prints."""
    importlib.import_module(program).main([*map(str, arguments)])
    return capsys.readouterr().out


def small_gpt(capsys, out: Path, *arguments: str) -> tuple[list[str], str]:
    """What a small GPT says of its steps, and what it writes."""
    text = run(capsys, "char_gpt", *SMALL_GPT, "--out", out, *arguments)
    steps = [line for line in text.splitlines() if line.startswith("step ")]
    return steps, text[text.rindex("def ") :]


@pytest.mark.parametrize("program", PROGRAMS)
def test_only_imports_name_devtensor(program):
    source = (ROOT / "examples" / f"{program}.py").read_text(encoding="utf-8")
    naming = [line for line in source.splitlines() if "devtensor" in line]
    assert naming == [line for line in naming if re.match(r"(import|from) devtensor", line)] != []


class TestCharGPT:
    @pytest.mark.parametrize("amp", ["off", "float16", "bfloat16"])
    def test_a_resumed_run_ends_as_an_uninterrupted_one(self, tmp_path, capsys, monkeypatch, amp):
        whole, parts = tmp_path / "whole", tmp_path / "parts"
        steps, text = small_gpt(capsys, whole, "--amp", amp)
        module = importlib.import_module("char_gpt")
        with monkeypatch.context() as patch:
            patch.setattr(module.Run, "round", interrupted_after(module.Run.round, 4))
            with pytest.raises(KeyboardInterrupt):
                small_gpt(capsys, parts, "--amp", amp)
        capsys.readouterr()
        assert small_gpt(capsys, parts, "--amp", amp, "--resume") == (steps[2:], text)
        left, right = (devtensor.load(out / "char_gpt.pt") for out in (whole, parts))
        assert left["steps"] == right["steps"] == 6
        assert left["scaler"] == right["scaler"] and left["scheduler"] == right["scheduler"]
        for name, value in left["model"].items():
            assert devtensor.equal(value, right["model"][name]), name
        for number, slots in left["optimizer"]["state"].items():
            others = right["optimizer"]["state"][number]
            assert all(devtensor.equal(value, others[name]) for name, value in slots.items())

    def test_it_learns_and_writes(self, tmp_path, capsys):
        steps, text = small_gpt(capsys, tmp_path, "--steps", "60", "--every", "30", "--lr", "0.01")
        losses = [float(number) for number in re.findall(r"loss (\d+\.\d+)", " ".join(steps))]
        assert losses[0] > losses[1] and len(text.rstrip("\n")) <= 24 and text.startswith("def ")

    def test_warm_up_rises_and_the_cosine_falls(self):
        module = importlib.import_module("char_gpt")
        options = module.parse([*SMALL_GPT, "--steps", "100", "--lr", "1"])
        run = module.Run(options, 5, devtensor.device("cpu"))
        rates = []
        for _ in range(100):
            rates.append(run.scheduler.get_last_lr()[0])
            run.optimizer.step()
            run.scheduler.step()
        assert rates[0] == pytest.approx(0.01) and max(rates) == pytest.approx(1.0)
        assert rates.index(max(rates)) == 5 and rates[5:] == sorted(rates[5:], reverse=True)
        assert rates[-1] < 0.01

    def test_a_checkpoint_of_other_options_is_refused(self, tmp_path, capsys):
        small_gpt(capsys, tmp_path)
        with pytest.raises(SystemExit, match="made with other options"):
            small_gpt(capsys, tmp_path, "--lr", "0.5", "--resume")


def interrupted_after(original, steps: int):
    """A `round` that Ctrl-C ends once so many steps are done."""

    def one_round(self, data, watch):
        if self.steps == steps:
            raise KeyboardInterrupt
        return original(self, data, watch)

    return one_round


class TestVAE:
    def test_it_learns_and_draws(self, tmp_path, capsys):
        image = pytest.importorskip("matplotlib.image")
        text = run(
            capsys,
            "vae",
            "--device",
            "cpu",
            "--epochs",
            10,
            "--batch-size",
            256,
            "--lr",
            0.01,
            "--width",
            4,
            "--out",
            tmp_path,
        )
        first, last = (float(number) for number in re.findall(r"held out (\d+\.\d+)", text))
        assert last < first < 60
        pixels = image.imread(tmp_path / "vae.png")
        assert pixels.shape[0] > 300 and pixels.shape[1] > 900 and pixels[..., :3].std() > 0.1

    def test_the_loss_is_the_bound(self):
        module = importlib.import_module("vae")
        logits = devtensor.tensor([[0.5, -1.0]])
        images = devtensor.tensor([[1.0, 0.0]])
        mean, log_variance = devtensor.tensor([[0.3]]), devtensor.tensor([[-0.2]])
        lost = -(devtensor.sigmoid(logits[0, 0]).log() + (1 - devtensor.sigmoid(logits[0, 1])).log()).item()
        variance = devtensor.tensor(-0.2).exp().item()
        divergence = 0.5 * (variance + 0.3**2 - 1 + 0.2)
        bound = module.negative_elbo(logits, images, mean, log_variance).item()
        assert bound == pytest.approx(lost + divergence, rel=1e-6)


class TestLSTM:
    def test_it_beats_the_simple_guesses(self, capsys):
        options = ["--epochs", 15, "--hidden", 24, "--length", 1500, "--ahead", 10, "--lr", 0.01]
        text = run(capsys, "lstm_series", "--device", "cpu", *options)
        errors = re.findall(r"^ +(LSTM|as before|a line) +(\d\.\d+) +(\d+\.\d+)$", text, re.MULTILINE)
        near = {name: float(error) for name, error, _ in errors}
        far = {name: float(error) for name, _, error in errors}
        assert near["LSTM"] < near["a line"] < near["as before"]
        assert far["LSTM"] < min(far["a line"], far["as before"])

    def test_the_series_is_the_equation_s(self):
        module = importlib.import_module("lstm_series")
        series = module.mackey_glass(60, skipped=0).double()
        late, now, after = series[:-18], series[17:-1], series[18:]
        expected = now + 0.2 * late / (1 + late**10) - 0.1 * now
        assert devtensor.allclose(after, expected, atol=1e-6)

    def test_continuing_goes_on_from_its_own_forecasts(self):
        module = importlib.import_module("lstm_series")
        devtensor.manual_seed(0)
        model = module.Forecaster(4, 1)
        series = devtensor.rand(2, 9)
        continued = model.continue_series(series, 3)
        grown = series
        with devtensor.no_grad():
            for _ in range(3):
                grown = devtensor.cat((grown, model(grown)[0][:, -1:]), dim=1)
        assert devtensor.allclose(continued, grown[:, 9:], atol=1e-6)


class TestFineTune:
    def test_it_knows_the_old_digits_and_learns_the_new(self, capsys):
        text = run(capsys, "finetune", "--device", "cpu", "--epochs", 10)
        old, before, after = (float(number) for number in re.findall(r"(\d+\.\d) %", text))
        assert old >= 99 and before < 50 and after > 80

    def test_a_frozen_trunk_stays_as_it_was(self, monkeypatch, capsys):
        module = importlib.import_module("finetune")
        made = []
        original = module.Network.__init__

        def remembering(self, classes):
            original(self, classes)
            made.append(self)

        monkeypatch.setattr(module.Network, "__init__", remembering)
        weights = devtensor.load(module.WEIGHTS, weights_only=True)
        for options, kept in (([], True), (["--unfreeze"], False)):
            run(capsys, "finetune", "--device", "cpu", "--epochs", 1, *options)
            state = made[-1].trunk.state_dict()
            same = [devtensor.equal(value, weights[f"trunk.{name}"]) for name, value in state.items()]
            assert all(same) == kept
            assert tuple(made[-1].head.weight.shape) == (5, 256)
