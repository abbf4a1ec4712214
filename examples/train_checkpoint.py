"""Checkpoints of the main job: one safetensors file with everything that a run needs to go on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from devtensor.utils import safetensors
from train_errors import JobError

KIND = "devtensor main job"
VERSION = 1


def save_checkpoint(path: Path, settings: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Write `state` and the settings it was made with; an interrupted write leaves the older file."""
    try:
        safetensors.save(path, {"kind": KIND, "version": VERSION, "settings": dict(settings), **state})
    except OSError as error:
        raise JobError(f"[checkpoint] {path} cannot be written: {error}; choose another --out") from error


def load_checkpoint(path: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Read the checkpoint at `path`, which must have been made with the same `settings`.

    Errors: JobError if there is no such file, or it is no checkpoint of this job with these settings.
    """
    if not path.is_file():
        raise JobError(f"[--resume] there is no file {path}; start without --resume, or give another path")
    try:
        state = safetensors.load(path)
    except (OSError, RuntimeError) as error:
        raise JobError(f"[--resume] {path} cannot be read as a checkpoint: {error}") from error
    if state.get("kind") != KIND or state.get("version") != VERSION:
        raise JobError(f"[--resume] {path} is a safetensors file, but no checkpoint of this program")
    check_settings(path, state["settings"], settings)
    return state


def check_settings(path: Path, saved: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Name every setting in which this run differs from the one that wrote the checkpoint."""
    different = [name for name, value in given.items() if saved.get(name) != value]
    if different:
        there, here = (
            " ".join(f"--{name.replace('_', '-')} {values.get(name)}" for name in different)
            for values in (saved, given)
        )
        raise JobError(
            f"[--resume] {path} was made with {there}, this run has {here}; "
            "give the same settings, or start without --resume"
        )
