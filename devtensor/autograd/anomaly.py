"""Anomaly detection: a NaN in backward is an error that names the forward line it comes from."""

from __future__ import annotations

import warnings
from collections.abc import Callable

from devtensor.autograd.recording import RecordingLayer
from devtensor.core.callers import user_lines
from devtensor.core.dispatch import call
from devtensor.core.errors import AutogradError
from devtensor.core.host import host_read
from devtensor.core.node import Node
from devtensor.core.op import OPS
from devtensor.core.state import Switch, current, switched
from devtensor.core.tensor import Tensor

# Under these keys of a node's metadata stand the lines that made it, and the node whose backward did.
TRACE, PARENT = "traceback_", "parent_"


class AnomalyLayer(RecordingLayer):
    """Notes for every node which lines made it, and looks at what its formulas give."""

    rank = 26

    def __init__(self, check_nan: bool) -> None:
        self.check_nan = check_nan
        # Nodes whose formulas run now: what they record is their doing.
        self.running: list[Node] = []

    def recorded(self, node: Node) -> None:
        """Note which lines made a node."""
        notes = node.metadata
        if TRACE not in notes:
            notes[TRACE] = user_lines()
            notes[PARENT] = self.running[-1] if self.running else None

    def watch(self, node: Node, gs: list, apply: Callable) -> list:
        """Run a node's formulas; tell of the forward lines if they fail or give NaN."""
        self.running.append(node)
        try:
            found = apply(node, gs)
        except Exception:
            tell(node)
            raise
        finally:
            self.running.pop()
        for place, g in found if self.check_nan else ():
            if has_nan(g):
                tell(node)
                raise AutogradError(
                    f"[{node.name()}] Function '{node.name()}' returned nan values in its {place}th output."
                )
        return found


def has_nan(value: Tensor) -> bool:
    """Whether any element is NaN; waits for the device."""
    reading = tuple(layer for layer in current().layers if hasattr(layer, "host_read"))
    with switched(grad=False, layers=reading):
        found = call(OPS["any"], (call(OPS["isnan"], (value,), ()),), (None, False))
        return bool(host_read(found, "detect_anomaly").numbers()[0])


def tell(node: Node) -> None:
    """Warn with the lines that made the node, and with those of the nodes whose backward made it."""
    said = f"Error detected in {node.name()}. "
    lines = node.metadata.get(TRACE)
    if lines is None:
        said += "No forward pass information available; enable detect_anomaly during forward to have it."
    else:
        said += "Traceback of forward call that caused the error:\n" + "".join(lines)
    warnings.warn(said, stacklevel=3)
    parent = node.metadata.get(PARENT)
    while parent is not None:
        lines = "".join(parent.metadata.get(TRACE) or ())
        warnings.warn(
            f"Previous calculation was induced by {parent.name()}. Traceback of forward call that induced "
            f"the previous calculation:\n{lines}",
            stacklevel=3,
        )
        parent = parent.metadata.get(PARENT)


def _active() -> AnomalyLayer | None:
    return next((layer for layer in current().layers if isinstance(layer, AnomalyLayer)), None)


def _switch(mode: bool, check_nan: bool) -> tuple[bool, bool]:
    """Switch detection on or off in this thread; gives what was."""
    layer = _active()
    before = layer is not None, layer is None or layer.check_nan
    if layer is not None:
        layer.__exit__()
    if mode:
        AnomalyLayer(check_nan).__enter__()
    return before


class set_detect_anomaly(Switch):
    """Switch anomaly detection on or off, at once as a function or for a block as a context manager."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self.mode = mode
        self.check_nan = check_nan
        self.before = _switch(mode, check_nan)

    def again(self) -> set_detect_anomaly:
        return set_detect_anomaly(self.mode, self.check_nan)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        _switch(*self.before)


def set_anomaly_enabled(enabled: bool, check_nan: bool = True) -> None:
    """Switch anomaly detection on or off in this thread."""
    _switch(enabled, check_nan)


class detect_anomaly(Switch):
    """Within it forward remembers its lines, and a NaN that backward makes raises, naming them.

    Example: `with devtensor.autograd.detect_anomaly(): loss(model(x)).backward()`.
    """

    def __init__(self, check_nan: bool = True) -> None:
        self.check_nan = check_nan
        warnings.warn(
            "Anomaly Detection has been enabled. This mode will increase the runtime and should only be "
            "enabled for debugging.",
            stacklevel=2,
        )

    def __enter__(self) -> None:
        self.before = _switch(True, self.check_nan)

    def __exit__(self, *error: object) -> None:
        _switch(*self.before)

    def again(self) -> detect_anomaly:
        return self


def is_anomaly_enabled() -> bool:
    """Whether anomaly detection is on in this thread."""
    return _active() is not None


def is_anomaly_check_nan_enabled() -> bool:
    """Whether it also looks for NaN."""
    layer = _active()
    return layer is None or layer.check_nan
