"""Files and models from the network: single files are fetched, other people's code is not run."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import Request, urlopen

from devtensor.core.errors import CheckpointError
from devtensor.core.refusal import refused

try:
    from tqdm import tqdm
except ImportError:
    from devtensor.utils.progress import Progress as tqdm

__all__ = [
    "download_url_to_file",
    "get_dir",
    "help",
    "list",
    "load",
    "load_state_dict_from_url",
    "set_dir",
]

REASON = "it would run code from a repository; install the package, or fetch the weights by their URL"
# In a file's name, the beginning of its SHA-256 between a dash and the dot.
HASH_REGEX = re.compile(r"-([a-f0-9]*)\.")
CHUNK = 1 << 16
BYTES: dict[str, Any] = {"unit": "B", "unit_scale": True, "unit_divisor": 1024}

load = refused("hub.load", REASON)
list = refused("hub.list", REASON)
help = refused("hub.help", REASON)

_chosen: dict[str, str] = {}


def _get_torch_home() -> str:
    """The folder for all that is kept: $TORCH_HOME, or `torch` in the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return os.path.expanduser(os.environ.get("TORCH_HOME", os.path.join(cache, "torch")))


def get_dir() -> str:
    """The folder of fetched files: what `set_dir` was told, else `hub` in $TORCH_HOME or the user's cache."""
    return _chosen.get("dir") or os.path.join(_get_torch_home(), "hub")


def set_dir(d: str | os.PathLike) -> None:
    """Choose the folder of fetched files."""
    _chosen["dir"] = os.path.expanduser(d)


def download_url_to_file(url: str, dst: str, hash_prefix: str | None = None, progress: bool = True) -> None:
    """Fetch a URL into a file, which appears whole or not at all; a bar on the error stream tells how far.

    Errors: CheckpointError if the SHA-256 of what came does not begin with `hash_prefix`; URLError if
    nothing comes.
    """
    digest = hashlib.sha256()
    folder = os.path.dirname(os.path.abspath(dst))
    with urlopen(Request(url, headers={"User-Agent": "devtensor.hub"})) as source:
        handle, path = tempfile.mkstemp(dir=folder, suffix=".partial")
        try:
            size = source.headers.get("Content-Length")
            with (
                os.fdopen(handle, "wb") as file,
                tqdm(total=int(size) if size else None, disable=not progress, **BYTES) as bar,
            ):
                while chunk := source.read(CHUNK):
                    file.write(chunk)
                    digest.update(chunk)
                    bar.update(len(chunk))
            if hash_prefix is not None and not digest.hexdigest().startswith(hash_prefix):
                raise CheckpointError(
                    f"[download_url_to_file] invalid hash value (expected {hash_prefix!r}, got "
                    f"{digest.hexdigest()[: len(hash_prefix)]!r}); fetch the file again"
                )
            shutil.move(path, dst)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(path)
            raise


def load_state_dict_from_url(
    url: str,
    model_dir: str | None = None,
    map_location: Any = None,
    progress: bool = True,
    check_hash: bool = False,
    file_name: str | None = None,
    weights_only: bool = False,
) -> dict[str, Any]:
    """The state dict at a URL; fetched once and kept in `model_dir`, by default `checkpoints` in `get_dir()`.

    What is read is weights only, whatever `weights_only` says.

    Errors: CheckpointError if `check_hash` and the hash in the file's name is not that of what came.
    """
    from devtensor.serialization import load as load_file

    folder = Path(model_dir or os.path.join(get_dir(), "checkpoints"))
    folder.mkdir(parents=True, exist_ok=True)
    name = file_name or os.path.basename(urlparse(url).path)
    path = folder / name
    if not path.exists():
        if progress:
            print(f'Downloading: "{url}" to {path}', file=sys.stderr)
        found = HASH_REGEX.search(name) if check_hash else None
        download_url_to_file(url, str(path), found[1] if found else None, progress)
    return load_file(path, map_location=map_location, weights_only=True)
