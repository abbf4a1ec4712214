"""Makes the files in tests/data/pt with PyTorch: `python tests/data/make_pt.py`.

Those that lie there were made with PyTorch 2.13.0 on the CPU. The tests need the files alone, not PyTorch.
"""

from __future__ import annotations

import io
import zipfile
from collections import Counter, OrderedDict
from pathlib import Path

import torch
from torch import nn

PLACE = Path(__file__).parent / "pt"

NUMBERS = [0, 1, 1, 0, 1]
DTYPES = """bool uint8 int8 int16 int32 int64 uint16 uint32 uint64 float16 bfloat16 float32 float64 complex64
complex128 float8_e4m3fn float8_e5m2"""


def counted(*shape: int) -> torch.Tensor:
    return torch.arange(torch.Size(shape).numel(), dtype=torch.float32).reshape(shape)


def dtypes() -> dict:
    return {name: torch.tensor(NUMBERS).to(getattr(torch, name)) for name in DTYPES.split()}


def views() -> dict:
    base = counted(3, 4)
    return {
        "base": base,
        "transposed": base.t(),
        "part": base[1:, 1:3],
        "strided": base.reshape(-1)[1::5],
        "expanded": torch.tensor([7.0]).expand(2, 3),
        "number": torch.tensor(5),
        "empty": torch.empty(0, 3),
        "channels_last": counted(1, 2, 2, 2).to(memory_format=torch.channels_last),
    }


def containers() -> dict:
    tagged = counted(2)
    tagged.tag = "hung on"
    return {
        "list": [1, -2, 3.5, 10**30, None, True, "text \u00e9"],
        "tuple": (1, (2, (3,))),
        "bytes": b"\x00\xff",
        "bytearray": bytearray(b"ab"),
        "set": {1, 2},
        "complex": 1 - 2j,
        "counter": Counter("aab"),
        "ordered": OrderedDict([("b", 1), ("a", 2)]),
        "size": torch.Size([2, 3]),
        "dtype": torch.bfloat16,
        "device": torch.device("cuda", 1),
        "cpu": torch.device("cpu"),
        "layout": torch.strided,
        "tagged": tagged,
        "conjugated": torch.tensor([1 + 2j]).conj(),
        "meta": torch.empty(2, 3, device="meta", dtype=torch.float16),
    }


def parameters() -> dict:
    weight = nn.Parameter(counted(2, 2))
    named = nn.Parameter(counted(2), requires_grad=False)
    named._is_initialized = True
    return {
        "weight": weight,
        "tied": weight,
        "named": named,
        "leaf": counted(2).requires_grad_(),
        "inside": (counted(2).requires_grad_() * 2),
    }


def training() -> dict:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    inputs = counted(4, 3) / 10
    for _ in range(3):
        optimizer.zero_grad()
        model(inputs).square().mean().backward()
        optimizer.step()
    model.eval()
    return {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "inputs": inputs,
        "outputs": model(inputs).detach(),
        "epoch": 3,
    }


class Doubled(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2


def module() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(2, 3), nn.ReLU())


def on_cuda() -> None:
    """CPU memory that says it lay on a CUDA device."""
    torch.serialization.register_package(0, lambda storage: "cuda:0", lambda storage, location: None)
    torch.save({"x": counted(3)}, PLACE / "cuda.pt")
    torch.serialization._package_registry.pop(0)


def script() -> None:
    """A TorchScript archive, without the records that tell where on this machine its source stands."""
    whole = io.BytesIO()
    torch.jit.save(torch.jit.script(Doubled()), whole)
    with zipfile.ZipFile(whole) as archive, zipfile.ZipFile(PLACE / "script.pt", "w") as kept:
        for entry in archive.infolist():
            if not entry.filename.endswith(".debug_pkl"):
                kept.writestr(entry, archive.read(entry))


def without_sources() -> None:
    """A module of the old format, which holds its classes' source where it can be had."""

    def none_to_be_had(kind: type) -> tuple:
        raise OSError

    find, torch.serialization.get_source_lines_and_file = (
        torch.serialization.get_source_lines_and_file,
        none_to_be_had,
    )
    torch.save(module(), PLACE / "legacy_module.pt", _use_new_zipfile_serialization=False)
    torch.serialization.get_source_lines_and_file = find


def main() -> None:
    PLACE.mkdir(exist_ok=True)
    for make in (dtypes, views, containers, parameters, training):
        torch.save(make(), PLACE / f"{make.__name__}.pt")
    torch.save(module(), PLACE / "module.pt")
    torch.save({"x": torch.eye(2).to_sparse()}, PLACE / "sparse.pt")
    script()
    old = views() | {"parameter": nn.Parameter(counted(2)), "half": torch.ones(2).half()}
    torch.save(old, PLACE / "legacy.pt", _use_new_zipfile_serialization=False)
    without_sources()
    on_cuda()
    torch.serialization.set_crc32_options(False)
    torch.save(counted(2, 2), PLACE / "unchecked.pt")


if __name__ == "__main__":
    main()
