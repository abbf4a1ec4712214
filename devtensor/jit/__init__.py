"""TorchScript by its names: what is scripted or traced is the Python object itself, which runs eagerly.

There is no compiler behind these names, so nothing changes: `script(f)` is `f`. What would need one, a file
made by `save` above all, is refused. `devtensor.graph` captures and replays whole steps.
"""

from __future__ import annotations

from devtensor.jit.annotations import (
    Attribute,
    Final,
    _overload,  # noqa: F401 - scripts decorate with it
    annotate,
    export,
    ignore,
    interface,
    is_scripting,
    is_tracing,
    isinstance,
    script_if_tracing,
    script_method,
    unused,
)
from devtensor.jit.futures import Future, fork, wait
from devtensor.jit.scripting import (
    CompilationUnit,
    Error,
    RecursiveScriptModule,
    ScriptFunction,
    ScriptModule,
    TopLevelTracedModule,
    TracerWarning,
    enable_onednn_fusion,
    export_opnames,
    freeze,
    load,
    onednn_fusion_enabled,
    optimize_for_inference,
    optimized_execution,
    save,
    script,
    set_fusion_strategy,
    strict_fusion,
    trace,
    trace_module,
)

__all__ = [
    "Attribute",
    "CompilationUnit",
    "Error",
    "Final",
    "Future",
    "RecursiveScriptModule",
    "ScriptFunction",
    "ScriptModule",
    "TopLevelTracedModule",
    "TracerWarning",
    "annotate",
    "enable_onednn_fusion",
    "export",
    "export_opnames",
    "fork",
    "freeze",
    "ignore",
    "interface",
    "is_scripting",
    "is_tracing",
    "isinstance",
    "load",
    "onednn_fusion_enabled",
    "optimize_for_inference",
    "optimized_execution",
    "save",
    "script",
    "script_if_tracing",
    "script_method",
    "set_fusion_strategy",
    "strict_fusion",
    "trace",
    "trace_module",
    "unused",
    "wait",
]
