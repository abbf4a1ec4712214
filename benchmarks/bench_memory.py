"""The most memory a training step holds at once, against the sum of what must live then.

NumPy reports its allocations to tracemalloc; everything else that Python allocates is counted, too.
"""

from __future__ import annotations

import argparse
import gc
import tracemalloc

from measure import report

import devtensor as torch
from devtensor import nn
from devtensor.optim import Adam
from devtensor.utils.checkpoint import checkpoint

BATCH, WIDTH, DEPTH = 1024, 512, 8
FLOAT = 4


class Block(nn.Module):
    """x + Linear(GELU(Linear(LayerNorm(x))))."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.wide = nn.Linear(WIDTH, WIDTH)
        self.narrow = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.narrow(torch.nn.functional.gelu(self.wide(self.norm(x))))


class Model(nn.Module):
    """Blocks one after the other, each a checkpoint or not."""

    def __init__(self, checkpointed: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block() for _ in range(DEPTH))
        self.checkpointed = checkpointed

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = checkpoint(block, x, use_reentrant=False) if self.checkpointed else block(x)
        return x


def needed(checkpointed: bool) -> dict[str, int]:
    """Bytes that have to live at the peak, by what they are.

    A block keeps for backward the inputs of its norm, its two products and its GELU: four activations; a
    checkpointed block one. Where backward begins nothing is freed and no gradient made; on its way gradients
    of the parameters take the place of activations. With checkpoints gradients are what there is most of in
    the end, with the four activations of the first block, that is run again.
    """
    activation = BATCH * WIDTH * FLOAT
    parameters = DEPTH * (2 * (WIDTH * WIDTH + WIDTH) + 2 * WIDTH) * FLOAT
    early = (DEPTH if checkpointed else 4 * DEPTH) * activation
    late = 5 * activation + parameters
    return {"activations or gradients": max(early, late), "parameters": parameters, "moments": 2 * parameters}


def peak_of(checkpointed: bool) -> dict[str, float]:
    """Peaks of the second step, in which all optimizer state exists, and of its forward and backward."""
    torch.manual_seed(0)
    model = Model(checkpointed)
    optimizer = Adam(model.parameters())
    x = torch.randn(BATCH, WIDTH)

    def step() -> dict[str, float]:
        peaks = {}
        optimizer.zero_grad()
        tracemalloc.reset_peak()
        loss = model(x).square().mean()
        peaks["forward"] = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        loss.backward()
        peaks["backward"] = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        optimizer.step()
        peaks["step"] = tracemalloc.get_traced_memory()[1]
        return peaks

    step()
    return step()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", help="write JSON here, too")
    given = parser.parse_args()
    # What is loaded and memoised at first use is not the step's.
    for checkpointed in (False, True):
        peak_of(checkpointed)
    rows = []
    for checkpointed in (False, True):
        gc.collect()
        gc.disable()
        tracemalloc.start()
        peaks = peak_of(checkpointed)
        tracemalloc.stop()
        gc.enable()
        parts = needed(checkpointed)
        must = sum(parts.values())
        rows.append(
            {
                "model": f"{DEPTH} blocks of {WIDTH}, batch {BATCH}"
                + (", checkpointed" if checkpointed else ""),
                "must live (MB)": round(must / 1e6, 1),
                "forward (MB)": round(peaks["forward"] / 1e6, 1),
                "backward (MB)": round(peaks["backward"] / 1e6, 1),
                "Adam (MB)": round(peaks["step"] / 1e6, 1),
                "forward and backward over must": round(max(peaks["forward"], peaks["backward"]) / must, 3),
            }
        )
    report(rows, given.out)


if __name__ == "__main__":
    main()
