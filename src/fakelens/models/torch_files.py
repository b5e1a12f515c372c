"""Loads torch modules from files: states of an architecture, TorchScript, ``torch.export``.

Pickles can run any code while they are loaded, and so can programs of ``torch.export``: they may
contain pickles and compiled code, and their shapes are evaluated as Python expressions. They are
not read unless the user trusts the file.
"""

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from fakelens.errors import MissingExtraError, ModelError
from fakelens.models.factories import first_line
from fakelens.models.model_file import Weights
from fakelens.models.torch_graphs import ExportedModule, ScriptedModule

_SCRIPTS = (".pt", ".pth", ".ts", ".torchscript")
_COUNTERS = "num_batches_tracked"  # not used in evaluation mode, and missing in old files


def load_module(
    path: Path | None, weights: Weights, architecture: object, example: torch.Tensor
) -> nn.Module:
    """Load a torch module.

    Args:
        path: of the weights; ``None`` if the architecture has them.
        weights: what the model file says about them.
        architecture: what the factory returned; ``None`` if there is none.
        example: input (2, ...) of the module.

    Raises:
        ModelError: the file is damaged or of another kind, contains code and is not trusted, or
            the weights and the architecture do not fit each other.
    """
    if architecture is None:
        if path is None:
            raise ModelError("there is neither an architecture nor a file")
        return _load_program(path, weights, example)
    if not isinstance(architecture, nn.Module):
        raise ModelError(
            f"the factory {weights.factory} returns an object of the type "
            f"{type(architecture).__name__}: it must be a torch module or a Keras model"
        )
    if path is not None:
        _load_state(architecture, _read_state(path, weights), path)
    return architecture


def _load_program(path: Path, weights: Weights, example: torch.Tensor) -> nn.Module:
    if path.suffix.lower() == ".pt2":
        return _load_exported(path, trusted=weights.trusted)
    if path.suffix.lower() in _SCRIPTS:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                script = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
        except (RuntimeError, ValueError):  # what else the file may be, follows
            pass
        else:
            return ScriptedModule(script, example)
    module = _read_pickle(path, trusted=weights.trusted)
    if isinstance(module, nn.Module):
        return module
    raise ModelError(f"{path} contains weights alone: state the factory of their architecture")


def _load_exported(path: Path, *, trusted: bool) -> nn.Module:
    if not trusted:
        raise ModelError(
            f"{path} is a program of torch.export, which can run any code while it is loaded: "
            "state trusted = true if you made the file yourself, or save the model as TorchScript"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about files of other versions, and of torch itself
            return ExportedModule(torch.export.load(path))
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    except Exception as error:  # of many kinds, depending on what is damaged
        raise ModelError(
            f"{path} is damaged or not a program of torch.export: {first_line(error)}"
        ) from error


def _read_state(path: Path, weights: Weights) -> dict[str, torch.Tensor]:
    if path.suffix.lower() == ".safetensors":
        try:
            from safetensors.torch import load_file  # noqa: PLC0415 - of the extra
        except ImportError as error:
            raise MissingExtraError("a .safetensors file", "torch") from error
        try:
            return dict(load_file(path))
        except Exception as error:
            raise ModelError(
                f"{path} is damaged or not a safetensors file: {first_line(error)}"
            ) from error
    content = _read_pickle(path, trusted=weights.trusted)
    if isinstance(content, nn.Module):
        content = content.state_dict()
    return _select_state(content, weights.key, path)


def _read_pickle(path: Path, *, trusted: bool) -> object:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about files of other versions
            return torch.load(path, map_location="cpu", weights_only=not trusted)
    except pickle.UnpicklingError as error:
        if "unsupported global" in str(error).lower():
            raise ModelError(
                f"{path} contains Python objects, which can run any code while they are loaded: "
                "save the state_dict alone, or state trusted = true if you made the file yourself"
            ) from error
        raise ModelError(
            f"{path} is damaged, or a pickle that torch did not write: save the state_dict with "
            "torch.save"
        ) from error
    except Exception as error:  # of many kinds, depending on what is damaged
        if isinstance(error, ImportError) or str(error).startswith("Can't get attribute"):
            raise ModelError(
                f"{path} contains objects of Python code that is not found "
                f"({first_line(error)}): name its modules as weights.modules in the model file, "
                "or save the state_dict alone and state a factory"
            ) from error
        if "TorchScript archive" in str(error):
            raise ModelError(
                f"{path} is TorchScript, which contains its own architecture: leave out the factory"
            ) from error
        raise ModelError(f"{path} is damaged or not a torch file: {first_line(error)}") from error


def _select_state(content: object, key: str, path: Path) -> dict[str, torch.Tensor]:
    """Return the weights in a checkpoint."""
    if not isinstance(content, Mapping):
        raise ModelError(f"{path} contains an object of the type {type(content).__name__}")
    if key and key not in content:
        raise ModelError(f"{path} has no key {key!r}, only {', '.join(map(str, content))}")
    chosen = content[key] if key else content
    if not _is_state(chosen):
        states = [str(name) for name, value in content.items() if _is_state(value)]
        if key:
            raise ModelError(
                f"{path}: the key {key!r} does not contain weights; those that do: "
                f"{', '.join(states) or 'none'}"
            )
        if len(states) != 1:
            found = (
                f"several: {', '.join(states)}: state key in the model file" if states else "none"
            )
            raise ModelError(f"{path} must contain one set of weights, but contains {found}")
        chosen = content[states[0]]
    return dict(chosen)


def _is_state(value: object) -> bool:
    return (
        isinstance(value, Mapping)
        and len(value) > 0
        and all(isinstance(name, str) for name in value)
        and all(isinstance(tensor, torch.Tensor) for tensor in value.values())
    )


def _load_state(module: nn.Module, state: Mapping[str, torch.Tensor], path: Path) -> None:
    """Load weights into an architecture: all of them, and nothing else."""
    own = module.state_dict()
    state = _without_wrappers(state, own)
    # Some files have a tensor that two layers share only once.
    given = {_memory(own[name]) for name in state if name in own}
    missing = [
        name
        for name, tensor in own.items()
        if name not in state and not name.endswith(_COUNTERS) and _memory(tensor) not in given
    ]
    unknown = [name for name in state if name not in own]
    if missing or unknown:
        parts = [
            f"{len(names)} weights {where}, such as {names[0]}"
            for names, where in (
                (missing, "of the architecture are missing in it"),
                (unknown, "in it are not part of the architecture"),
            )
            if names
        ]
        raise ModelError(f"{path} does not fit the architecture: {'; '.join(parts)}")
    for name, tensor in state.items():
        if tensor.shape != own[name].shape:
            raise ModelError(
                f"{path} does not fit the architecture: {name} has the shape "
                f"{tuple(tensor.shape)} instead of {tuple(own[name].shape)}"
            )
        if tensor.is_floating_point() != own[name].is_floating_point():
            raise ModelError(
                f"{path} does not fit the architecture: {name} has the type {tensor.dtype} instead "
                f"of {own[name].dtype}"
            )
    module.load_state_dict(state, strict=False)


def _without_wrappers(
    state: Mapping[str, torch.Tensor], own: Mapping[str, torch.Tensor]
) -> Mapping[str, torch.Tensor]:
    """Return the weights under the names of the architecture.

    A module that contained the architecture when the weights were saved, such as one of
    DataParallel, torch.compile or Lightning, puts its own name before all of them.
    """
    inner = state
    while inner and not any(name in own for name in inner):
        wrapper, dot, _ = next(iter(inner)).partition(".")
        if not dot or not all(name.startswith(wrapper + dot) for name in inner):
            return state
        inner = {name.removeprefix(wrapper + dot): tensor for name, tensor in inner.items()}
    return inner


def _memory(tensor: torch.Tensor) -> tuple[int, tuple[int, ...]]:
    return tensor.data_ptr(), tuple(tensor.shape)
