"""Who claims which device type: entry points of installed distributions, and those of a plain checkout."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from devtensor.core.errors import DeviceError

GROUP = "devtensor.backends"
OFFERED = "DEVTENSOR_BACKENDS"
CHECKOUT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Claim(NamedTuple):
    """One entry point: `distribution` says that `value` ("module:attribute") serves device type `name`."""

    name: str
    value: str
    distribution: str
    version: str
    checkout: bool = False

    @property
    def source(self) -> str:
        return f"{self.distribution} {self.version}".strip()

    @property
    def module(self) -> str:
        return self.value.partition(":")[0].strip()

    def load(self) -> Any:
        """Import the module and look the attribute up."""
        value = importlib.import_module(self.module)
        for part in self.value.partition(":")[2].strip().split("."):
            value = getattr(value, part)
        return value

    def advice(self, error: BaseException) -> str:
        """What to do about `error`, raised by `load`; empty if nothing better is known than its own text."""
        lost = isinstance(error, ModuleNotFoundError) and error.name == self.module
        folder = os.path.join(CHECKOUT, "backends")
        if self.checkout and lost and os.path.isdir(os.path.join(folder, self.module)):
            return f"; put {folder} on PYTHONPATH, beside {CHECKOUT}"
        return ""


def find_claims() -> dict[str, list[Claim]]:
    """Every claim by device type, read without importing a plug-in.

    Installed metadata wins over the checkout's pyproject.toml: what is said in both places counts once.
    """
    claims: dict[str, list[Claim]] = {}
    for claim in installed_claims():
        claims.setdefault(claim.name, []).append(claim)
    for claim in checkout_claims(os.path.join(CHECKOUT, "pyproject.toml")):
        known = claims.setdefault(claim.name, [])
        if not any(other.value == claim.value or other.distribution == claim.distribution for other in known):
            known.append(claim)
    return claims


def installed_claims() -> Iterator[Claim]:
    """Claims in installed metadata; of two distributions with one name the first on the path counts."""
    import importlib.metadata  # 20 ms, which a program that uses no device should not pay

    seen: set[str] = set()
    for distribution in importlib.metadata.distributions():
        try:
            # Most distributions have no such group. Parsing only those that do saves most of the scan, and
            # a stranger's malformed metadata does not close the door.
            if GROUP not in (distribution.read_text("entry_points.txt") or ""):
                continue
            name = distribution.metadata["Name"] or "a distribution without a name"
            entries = distribution.entry_points.select(group=GROUP)
            version = distribution.metadata["Version"] or ""
        except Exception:
            continue
        key = re.sub(r"[-_.]+", "-", name).lower()
        if key not in seen:
            seen.add(key)
            yield from (Claim(entry.name, entry.value, key, version) for entry in entries)


def checkout_claims(path: str) -> Iterator[Claim]:
    """Claims in the pyproject.toml beside the package, which only a checkout has."""
    if not os.path.isfile(path):
        return
    import tomllib

    try:
        with open(path, "rb") as file:
            project = tomllib.load(file).get("project", {})
    except (OSError, ValueError) as error:
        raise DeviceError(f"[device] {path} cannot be read: {error}; the devices are listed there") from error
    if project.get("name") == "devtensor":
        for name, value in project.get("entry-points", {}).get(GROUP, {}).items():
            yield Claim(name, value, "devtensor", "(checkout)", checkout=True)


def offered_names() -> frozenset[str] | None:
    """The device types that DEVTENSOR_BACKENDS lets in; None when it is unset or empty, and all are."""
    names = frozenset(part.strip() for part in os.environ.get(OFFERED, "").split(",") if part.strip())
    return names or None
