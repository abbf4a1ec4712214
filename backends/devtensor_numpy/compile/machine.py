"""From LLVM's text to functions that can be called, by llvmlite."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from devtensor_numpy.compile.objects import keep, kept, path_of

SWITCH = "DEVTENSOR_FAST"
"""The environment variable that switches machine code off if it is 0."""
LEVEL = 3
OLDEST = (20,)
"""The first LLVM whose text this is; llvmlite 0.45 brings it."""


class Unavailable(Exception):
    """No machine code can be made here; the text says why."""


@dataclass(frozen=True)
class Processor:
    """The processor that code is made for, and LLVM's version."""

    triple: str
    name: str
    features: str
    version: str


def binding() -> Any:
    """llvmlite's binding of LLVM, ready to compile for this processor.

    Errors: Unavailable if it is switched off, not installed or unusable.
    """
    if os.environ.get(SWITCH) == "0":
        raise Unavailable(f"off, as {SWITCH}=0 says")
    return _binding()


@lru_cache(1)
def _binding() -> Any:
    try:
        import llvmlite.binding as llvm
    except ImportError as error:
        raise Unavailable(f"llvmlite cannot be imported ({error}); install devtensor[fast]") from None
    if version_of(llvm) < OLDEST:
        raise Unavailable(f"LLVM {version_of(llvm)} is too old; upgrade llvmlite")
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm


def version_of(llvm: Any) -> tuple[int, ...]:
    return tuple(llvm.llvm_version_info)


@lru_cache(1)
def processor() -> Processor:
    """This one.

    Errors: Unavailable as `binding` raises it.
    """
    llvm = binding()
    import llvmlite

    triple = llvm.get_process_triple()
    if os.name == "nt":
        # LLVM's loader in memory knows ELF best, whatever the system's own format is.
        triple += "-elf"
    told = llvmlite.__version__, *version_of(llvm)
    features = llvm.get_host_cpu_features().flatten()
    return Processor(triple, llvm.get_host_cpu_name(), features, ".".join(map(str, told)))


def target_machine() -> Any:
    cpu = processor()
    target = _binding().Target.from_triple(cpu.triple)
    return target.create_target_machine(
        cpu=cpu.name, features=cpu.features, opt=LEVEL, reloc="pic", codemodel="jitdefault"
    )


def object_code(text: str, machine: Any) -> bytes:
    """LLVM's text, optimised for this processor and compiled."""
    llvm = _binding()
    module = llvm.parse_assembly(text)
    module.triple = processor().triple
    module.data_layout = str(machine.target_data)
    module.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=LEVEL)
    options.loop_vectorization = options.slp_vectorization = True
    llvm.create_pass_builder(machine, options).getModulePassManager().run(
        module, llvm.create_pass_builder(machine, options)
    )
    return machine.emit_object(module)


class Code:
    """Compiled functions in memory."""

    def __init__(self, name: str, text: str) -> None:
        llvm, machine = binding(), target_machine()
        path = path_of(name, text, processor())
        code = kept(path)
        if code is None:
            code = object_code(text, machine)
            keep(path, code)
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        self._engine.finalize_object()

    def functions(self, types: Mapping[str, Any]) -> dict[str, Any]:
        """The functions of these names and ctypes' types; any of them keeps the code alive.

        Errors: Unavailable if there is none of a name.
        """
        found = {}
        for name, type in types.items():
            address = self._engine.get_function_address(name)
            if not address:
                raise Unavailable(f"the object code has no function {name}")
            found[name] = type(address)
            found[name].code = self
        return found
