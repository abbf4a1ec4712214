"""Several measurements as one table."""

from __future__ import annotations

from collections.abc import Iterable

from devtensor.utils.benchmark.timer import Measurement

__all__ = ["Compare"]


class Compare:
    """A table of measurements: a row for each `sub_label`, a column for each `description`.

    Units: microseconds for one run, the median.
    """

    def __init__(self, results: Iterable[Measurement]) -> None:
        self.results = list(results)

    def extend_results(self, results: Iterable[Measurement]) -> None:
        """Add measurements."""
        self.results.extend(results)

    def trim_significant_figures(self) -> None:
        """Taken, without effect: the table shows two decimals."""

    def colorize(self, rowwise: bool = False) -> None:
        """Taken, without effect: the table has no colours."""

    def __str__(self) -> str:
        columns = list(dict.fromkeys(each.description or "" for each in self.results))
        rows: dict[tuple, dict[str, str]] = {}
        for each in self.results:
            key = (each.label or "", each.sub_label or "", str(each.num_threads))
            rows.setdefault(key, {})[each.description or ""] = f"{each.median * 1e6:.2f}"
        table = [("label", "sub_label", "threads", *columns)]
        table += [(*key, *(found.get(column, "") for column in columns)) for key, found in rows.items()]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in table]
        return "\n".join([*lines, "microseconds"])

    def print(self) -> None:
        """Print the table."""
        print(self)
