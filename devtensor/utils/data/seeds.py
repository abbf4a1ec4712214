"""Seeds for samplers, epochs and workers."""

from __future__ import annotations

import random
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from devtensor import Generator

LARGEST_SEED = 2**63 - 1


def draw_seed(generator: Generator | None = None) -> int:
    """Draw a seed from `generator`, or from the default generator of the CPU."""
    import devtensor

    return int(devtensor.randint(0, LARGEST_SEED, (), generator=generator).item())


def seeded_generator(seed: int) -> Generator:
    """Make a CPU generator that starts from `seed`."""
    import devtensor

    generator = devtensor.Generator()
    generator.manual_seed(seed)
    return generator


def seed_process(seed: int) -> None:
    """Seed everything that draws in this process: devtensor on the CPU, Python, and NumPy where it is loaded.

    Other devices are left alone: a forked process must not touch them.
    """
    import devtensor

    devtensor.random.default_generator.manual_seed(seed)
    random.seed(seed)
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        # The third word keeps NumPy's numbers apart from Python's, whose generator is the same one.
        numpy.random.seed([seed & 0xFFFFFFFF, seed >> 32, 1])
