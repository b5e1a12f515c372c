"""Loads torch modules from files: states of an architecture, TorchScript, ``torch.export``.

Pickles can run any code, so they are not read unless the user trusts the file.
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
_WRAPPER = "module."  # of every name, if the module was trained by ``DataParallel``
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
        return _load_exported(path)
    if path.suffix.lower() in _SCRIPTS:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                script = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
        except (RuntimeError, ValueError) as error:
            if not weights.trusted:
                raise ModelError(
                    f"{path} is damaged or not TorchScript ({first_line(error)}): if it contains "
                    "the weights of an architecture, state its factory in the model file"
                ) from error
        else:
            return ScriptedModule(script, example)
    module = _read_pickle(path, trusted=weights.trusted)
    if isinstance(module, nn.Module):
        return module
    raise ModelError(f"{path} contains weights alone: state the factory of their architecture")


def _load_exported(path: Path) -> nn.Module:
    try:
        return ExportedModule(torch.export.load(path))
    except ModelError:
        raise
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
        if "weights_only" not in str(error) and "Weights only" not in str(error):
            raise ModelError(f"{path} is damaged: {first_line(error)}") from error
        raise ModelError(
            f"{path} contains Python objects, which can run any code while they are loaded: save "
            "the state_dict alone, or state trusted = true if you made the file yourself"
        ) from error
    except Exception as error:  # of many kinds, depending on what is damaged
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
        if len(states) != 1 or key:
            found = (
                f"several: {', '.join(states)}: state key in the model file" if states else "none"
            )
            raise ModelError(f"{path} must contain one set of weights, but contains {found}")
        chosen = content[states[0]]
    if all(name.startswith(_WRAPPER) for name in chosen):
        return {name.removeprefix(_WRAPPER): tensor for name, tensor in chosen.items()}
    return dict(chosen)


def _is_state(value: object) -> bool:
    return (
        isinstance(value, Mapping)
        and len(value) > 0
        and all(isinstance(tensor, torch.Tensor) for tensor in value.values())
    )


def _load_state(module: nn.Module, state: Mapping[str, torch.Tensor], path: Path) -> None:
    """Load weights into an architecture: all of them, and nothing else."""
    own = module.state_dict()
    missing = [name for name in own if name not in state and not name.endswith(_COUNTERS)]
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
    module.load_state_dict(state, strict=False)
