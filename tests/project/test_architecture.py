"""The package is light to import, its modules are short, and its public names are where it says.

The direction of imports is checked by import-linter, see ``pyproject.toml``.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import fakelens

ROOT = Path(__file__).parents[2]
SOURCE = Path(fakelens.__file__).parent
CODE = [
    path
    for folder in ("src", "tests", "training", "benchmarks", "examples", "docs")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in {".py", ".js", ".css", ".jinja"}
]
MAX_LINES = 400

HEAVY = {
    "cv2",
    "av",
    "onnxruntime",
    "onnx",
    "h5py",
    "torch",
    "scipy",
    "pydantic",
    "jinja2",
    "fastapi",
    "uvicorn",
}


def name_of(path: Path) -> str:
    """Dotted, without the package's own name; the package itself is ""."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(SOURCE.rglob("*.py"))}


def statements(tree: ast.AST, *, typing: bool) -> Iterator[ast.stmt]:
    """All import statements, on request without those for type checkers only."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif typing or not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            yield from statements(node, typing=typing)


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_is_short_enough_to_be_read(path: Path) -> None:
    assert path.read_text(encoding="utf-8").count("\n") <= MAX_LINES


@pytest.mark.parametrize("folder", sorted({path.parent for path in MODULES.values()}), ids=str)
def test_a_package_says_what_belongs_in_it(folder: Path) -> None:
    docstring = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))
    assert docstring


def run(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout


def test_importing_the_package_loads_nothing_heavy() -> None:
    loaded = set(run("import sys, fakelens; print(*sys.modules)").split())
    assert "fakelens" in loaded
    assert not loaded & HEAVY


def test_a_name_loads_no_more_than_it_needs() -> None:
    loaded = set(run("import sys, fakelens; fakelens.FakelensError; print(*sys.modules)").split())
    assert "fakelens.errors" in loaded
    assert not loaded & HEAVY


def test_the_command_line_loads_what_a_command_needs_when_it_runs() -> None:
    loaded = set(run("import sys, fakelens.cli.app; print(*sys.modules)").split())
    assert "fakelens.cli.serve" in loaded
    assert not loaded & HEAVY
    assert not any(name.startswith(("fakelens.web", "fakelens.analysis")) for name in loaded)


def test_the_public_names_are_told_alike_in_all_three_places() -> None:
    tree = ast.parse(MODULES[""].read_text(encoding="utf-8"))
    typed = {}
    for node in statements(tree, typing=True):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fakelens."):
            home = (node.module or "").removeprefix("fakelens.")
            typed |= {alias.name: home for alias in node.names}
    assert typed == fakelens._HOMES
    assert fakelens.__all__ == sorted(typed, key=lambda name: (name[0].islower(), name))


@pytest.mark.parametrize("name", fakelens.__all__)
def test_a_public_name_leads_to_what_it_names(name: str) -> None:
    assert getattr(fakelens, name).__name__ == name


def test_a_name_that_is_not_there_is_told() -> None:
    with pytest.raises(AttributeError, match="no attribute 'analyse'"):
        _ = fakelens.analyse
