"""Spectral normalisation by a hook, the older way: `parametrizations.spectral_norm` is the newer."""

from __future__ import annotations

from typing import Any, TypeVar

from devtensor.core.errors import ArgumentError, AutogradError
from devtensor.core.state import no_grad
from devtensor.linalg.products import multi_dot
from devtensor.nn import functional
from devtensor.nn.modules.conv import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from devtensor.nn.modules.module import Module
from devtensor.nn.parameter import Parameter, is_lazy

__all__ = [
    "SpectralNorm",
    "SpectralNormLoadStateDictPreHook",
    "SpectralNormStateDictHook",
    "remove_spectral_norm",
    "spectral_norm",
]

SomeModule = TypeVar("SomeModule", bound=Module)


def output_dim(module: Module, dim: int | None) -> int:
    """The dim of a layer's weight that counts its outputs, unless one is given."""
    if dim is not None:
        return dim
    return 1 if isinstance(module, (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)) else 0


def as_matrix(weight: Any, dim: int) -> Any:
    """`weight` with `dim` as rows and all other dims as columns."""
    if dim:
        weight = weight.permute(dim, *(d for d in range(weight.dim()) if d != dim))
    return weight.reshape(weight.size(0), -1)


def random_direction(like: Any, size: int, eps: float) -> Any:
    """A vector of length 1 that points anywhere."""
    return functional.normalize(like.new_empty(size).normal_(0, 1), dim=0, eps=eps)


class SpectralNorm:
    """The hook: before each forward the tensor is `name`_orig divided by its largest singular value.

    That is estimated: each forward in training takes `n_power_iterations` steps of the power method.
    """

    _version = 1
    name: str
    dim: int
    n_power_iterations: int
    eps: float

    def __init__(
        self, name: str = "weight", n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12
    ) -> None:
        if n_power_iterations <= 0:
            raise ArgumentError(
                "[spectral_norm] Expected n_power_iterations to be positive, but got "
                f"n_power_iterations={n_power_iterations}"
            )
        self.name = name
        self.dim = dim
        self.n_power_iterations = n_power_iterations
        self.eps = eps

    def reshape_weight_to_matrix(self, weight: Any) -> Any:
        """The outputs as rows."""
        return as_matrix(weight, self.dim)

    def compute_weight(self, module: Module, do_power_iteration: bool) -> Any:
        """The tensor divided by the estimate."""
        weight, u, v = (getattr(module, self.name + suffix) for suffix in ("_orig", "_u", "_v"))
        matrix = self.reshape_weight_to_matrix(weight)
        if do_power_iteration:
            with no_grad():
                for _ in range(self.n_power_iterations):
                    v.copy_(functional.normalize(matrix.t().mv(u), dim=0, eps=self.eps))
                    u.copy_(functional.normalize(matrix.mv(v), dim=0, eps=self.eps))
                # A second forward before backward writes to the buffers, not to what this one keeps.
                u, v = u.clone(), v.clone()
        return weight / u.dot(matrix.mv(v))

    def remove(self, module: Module) -> None:
        """Make the tensor a parameter again."""
        with no_grad():
            weight = self.compute_weight(module, do_power_iteration=False)
        for suffix in ("", "_u", "_v", "_orig"):
            delattr(module, self.name + suffix)
        module.register_parameter(self.name, Parameter(weight.detach()))

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module, do_power_iteration=module.training))

    def _solve_v_and_rescale(self, weight_mat: Any, u: Any, target_sigma: Any) -> Any:
        """The vector v that belongs to u, of such length that u^T W v is the singular value."""
        v = multi_dot([weight_mat.t().mm(weight_mat).pinverse(), weight_mat.t(), u.unsqueeze(1)]).squeeze(1)
        return v.mul_(target_sigma / u.dot(weight_mat.mv(v)))

    @staticmethod
    def apply(module: Module, name: str, n_power_iterations: int, dim: int, eps: float) -> SpectralNorm:
        """Register the hooks, and the vectors that the power method improves."""
        for hook in module._forward_pre_hooks.values():
            if isinstance(hook, SpectralNorm) and hook.name == name:
                raise AutogradError(
                    f"[spectral_norm] Cannot register two spectral_norm hooks on the same parameter {name}"
                )
        made = SpectralNorm(name, n_power_iterations, dim, eps)
        weight: Any = module._parameters[name]
        if weight is None or is_lazy(weight):
            what = "cannot be applied as it is None" if weight is None else "can't be uninitialized"
            raise ArgumentError(f"[spectral_norm] parameter `{name}` {what}; give it a value before")
        with no_grad():
            rows, columns = made.reshape_weight_to_matrix(weight).size()
            u, v = (random_direction(weight, size, eps) for size in (rows, columns))
        delattr(module, name)
        module.register_parameter(f"{name}_orig", weight)
        setattr(module, name, weight.data)
        module.register_buffer(f"{name}_u", u)
        module.register_buffer(f"{name}_v", v)
        module.register_forward_pre_hook(made)
        module._register_state_dict_hook(SpectralNormStateDictHook(made))
        module._register_load_state_dict_pre_hook(SpectralNormLoadStateDictPreHook(made))
        return made


class SpectralNormLoadStateDictPreHook:
    """Brings a state of the first version, which held the tensor itself but no v, to the present form."""

    def __init__(self, fn: SpectralNorm) -> None:
        self.fn = fn

    def __call__(
        self,
        state_dict: Any,
        prefix: str,
        local_metadata: Any,
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        fn = self.fn
        version = local_metadata.get("spectral_norm", {}).get(f"{fn.name}.version")
        key = prefix + fn.name
        present = [suffix for suffix in ("", "_orig", "_u", "_v") if key + suffix in state_dict]
        if present == ["_orig", "_u", "_v"] if version is None else version >= 1:
            return
        absent = [key + suffix for suffix in ("_orig", "", "_u") if key + suffix not in state_dict]
        if absent:
            missing_keys.extend(absent if strict else [])
            return
        with no_grad():
            weight = state_dict[f"{key}_orig"]
            sigma = (weight / state_dict.pop(key)).mean()
            matrix = fn.reshape_weight_to_matrix(weight)
            state_dict[f"{key}_v"] = fn._solve_v_and_rescale(matrix, state_dict[f"{key}_u"], sigma)


class SpectralNormStateDictHook:
    """Notes the version of the state's form."""

    def __init__(self, fn: SpectralNorm) -> None:
        self.fn = fn

    def __call__(self, module: Module, state_dict: Any, prefix: str, local_metadata: Any) -> None:
        versions = local_metadata.setdefault("spectral_norm", {})
        key = f"{self.fn.name}.version"
        if key in versions:
            raise AutogradError(f"[spectral_norm] Unexpected key in metadata['spectral_norm']: {key}")
        versions[key] = self.fn._version


def spectral_norm(
    module: SomeModule,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> SomeModule:
    """Divide a parameter by its largest singular value, which the power method estimates.

    `dim` is what counts the outputs: 0, or 1 for transposed convolutions; all other dims count as one.

    Source: Miyato et al. 2018.
    """
    SpectralNorm.apply(module, name, n_power_iterations, output_dim(module, dim), eps)
    return module


def remove_spectral_norm(module: SomeModule, name: str = "weight") -> SomeModule:
    """Undo `spectral_norm`; the parameter keeps its normalised value.

    Errors: ArgumentError if there is none on that name.
    """
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, SpectralNorm) and hook.name == name:
            hook.remove(module)
            del module._forward_pre_hooks[key]
            break
    else:
        raise ArgumentError(f"[remove_spectral_norm] spectral_norm of '{name}' not found in {module}")
    _drop(module._state_dict_hooks, SpectralNormStateDictHook, name)
    _drop(module._load_state_dict_pre_hooks, SpectralNormLoadStateDictPreHook, name)
    return module


def _drop(hooks: dict, kind: type, name: str) -> None:
    """Remove the hook of a class that belongs to the tensor of that name."""
    for key, entry in hooks.items():
        hook = getattr(entry, "hook", entry)
        if isinstance(hook, kind) and hook.fn.name == name:
            del hooks[key]
            return
