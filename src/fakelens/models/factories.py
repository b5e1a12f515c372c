"""Imports Python code of the user that a model needs: ``module:function``."""

import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager
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
        imported = _import(module, f"the factory {factory}", folder)
        try:
            call = getattr(imported, function)
        except AttributeError as error:
            raise ModelError(
                f"the factory {factory} does not exist: {module} has no {function}"
            ) from error
        try:
            with chdir("."):  # back to this folder, wherever the function goes
                return call(**arguments)
        except (
            Exception,
            SystemExit,
        ) as error:  # the function is the user's: it may raise anything
            raise ModelError(f"the factory {factory} failed: {_describe(error)}") from error


def import_modules(names: Sequence[str], folder: Path) -> None:
    """Import modules that register what a model file needs.

    Raises:
        ModelError: a module does not exist, or its import fails.
    """
    with _importing(folder):
        for name in names:
            _import(name, f"the module {name}", folder)


def _import(name: str, what: str, folder: Path) -> Any:
    try:
        module = importlib.import_module(name)
    except (Exception, SystemExit) as error:  # likewise
        raise ModelError(f"{what} cannot be imported: {_describe(error)}") from error
    root = name.partition(".")[0]
    used = _folder_of(sys.modules[root])
    if used != folder.resolve() and _contains(folder, root):
        raise ModelError(
            f"{what}: another module {root} is in use already ({used or 'built in'}): rename the "
            f"one in {folder}"
        )
    return module


@contextmanager
def _importing(folder: Path) -> Iterator[None]:
    """Search a folder for modules first.

    Modules of the same names from the folder of another model file are forgotten before, and those
    of this folder are known as its own after.
    """
    folder = folder.resolve()
    for name, origin in list(_origins.items()):
        root = name.partition(".")[0]
        if origin != folder and _contains(folder, root):
            del _origins[name]
            sys.modules.pop(name, None)
    known = set(sys.modules)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()  # the modules may have been written a moment ago
    try:
        yield
    finally:
        if str(folder) in sys.path:
            sys.path.remove(str(folder))
        for name in set(sys.modules) - known:
            if _contains(folder, name.partition(".")[0]):
                _origins[name] = folder


_origins: dict[str, Path] = {}  # of the modules imported from the folders of model files


def _contains(folder: Path, module: str) -> bool:
    return (folder / f"{module}.py").is_file() or (folder / module / "__init__.py").is_file()


def _folder_of(module: Any) -> Path | None:
    """Return the folder in which a top-level module lies."""
    file = getattr(module, "__file__", None)
    if not file:
        return None
    path = Path(file)
    # A module itself may be a link to another folder.
    return (path.parent.parent if path.stem == "__init__" else path.parent).resolve()


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message; its type if it has none."""
    return (str(error).strip().splitlines() or [""])[0] or type(error).__name__


def _describe(error: BaseException) -> str:
    """Return the first line of an error, with its type if the line says little without."""
    line = first_line(error)
    if isinstance(error, LookupError | SystemExit) and line != type(error).__name__:
        return f"{type(error).__name__} {line}"
    return line
