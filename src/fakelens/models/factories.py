"""Imports Python code of the user that a model needs: ``module:function``."""

import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fakelens.errors import ModelError


def call_factory(factory: str, arguments: Mapping[str, Any], folder: Path) -> object:
    """Import a function and call it.

    Args:
        factory: ``module:function``.
        arguments: keyword arguments.
        folder: searched for the module before the installed packages.

    Raises:
        ModelError: the module or function does not exist, or the call fails.
    """
    module, _, function = factory.partition(":")
    with _importing(folder):
        imported = _import(module, f"the factory {factory}")
        try:
            return getattr(imported, function)(**arguments)
        except Exception as error:  # the function is the user's, and may raise anything
            raise ModelError(f"the factory {factory} failed: {first_line(error)}") from error


def import_modules(names: Sequence[str], folder: Path) -> None:
    """Import modules that register what a model file needs.

    Raises:
        ModelError: a module does not exist, or its import fails.
    """
    with _importing(folder):
        for name in names:
            _import(name, f"the module {name}")


def _import(name: str, what: str) -> Any:
    try:
        return importlib.import_module(name)
    except Exception as error:  # likewise
        raise ModelError(f"{what} cannot be imported: {first_line(error)}") from error


@contextmanager
def _importing(folder: Path) -> Iterator[None]:
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message; its type if it has none."""
    return (str(error).strip().splitlines() or [""])[0] or type(error).__name__
