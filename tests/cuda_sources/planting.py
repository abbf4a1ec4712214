"""A fault in a source: a few characters that make the difference."""

from __future__ import annotations

import re
from dataclasses import dataclass

from devtensor_cupy.compile import SOURCES
from devtensor_cupy.compile.registry import Source

ENTRY_TEXT = re.compile(r'extern "C" __global__ void (\w+)\(.*?\n\}\n', re.DOTALL)


@dataclass(frozen=True)
class Fault:
    """In a source's text, `right` is replaced by `wrong`; a kernel's cases must show it."""

    name: str
    entry: str
    right: str
    wrong: str

    def planted(self) -> Source:
        home = SOURCES.of(self.entry)
        assert home.text.count(self.right) >= 1, f"{self.name}: the text to be replaced is gone"
        text = home.text.replace(self.right, self.wrong)
        alone = ENTRY_TEXT.sub(lambda found: found[0] if found[1] == self.entry else "", text)
        return Source(home.name, alone, {self.entry: home.entries[self.entry]})
