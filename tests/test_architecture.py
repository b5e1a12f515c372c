"""The package is layered, light to import, and its public names are where it says."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import fakelens

SOURCE = Path(fakelens.__file__).parent
MAX_LINES = 500

# A module imports only from earlier lines, never from its own: so there are no cycles either.
LEVELS = (
    ("", "errors", "report", "stages", "assessments", "benchmark"),
    ("data",),
    ("heatmaps", "pixels"),
    ("results",),
    (
        "video",
        "faces",
        "cuts",
        "search",
        "crops",
        "explain",
        "imputation",
        "planting",
        "models.known",
        "models.contract",
        "models.devices",
        "models.graph",
    ),
    ("models.store", "models.surgery", "models.torch", "ablation", "samples"),
    ("regions", "robustness"),
    ("controls", "hiding"),
    ("models.onnx",),
    ("models.mesonet",),
    ("models",),
    ("encode", "tracks"),
    ("table", "findings"),
    ("trust",),
    ("pipeline",),
    ("overlay",),
    ("draw",),
    (
        "report.charts",
        "report.document",
        "report.original",
        "report.pictures",
        "report.review",
        "report.table",
        "report.words",
    ),
    ("report.layer", "report.video"),
    ("report.page",),
    ("report.save",),
    ("benchmark.localisation", "benchmark.passes", "benchmark.forgeries"),
    (
        "benchmark.outcomes",
        "benchmark.faithfulness",
        "benchmark.probing",
        "benchmark.segments",
        "benchmark.differences",
    ),
    ("benchmark.sufficiency", "benchmark.methods", "benchmark.materials"),
    ("benchmark.measure", "benchmark.tables", "benchmark.plots"),
    ("benchmark.save",),
    ("demo", "console", "shell"),
    ("web", "web.limits", "web.problems", "web.protocol", "web.rendering"),
    ("web.records", "web.running", "web.uploads", "web.worker"),
    ("web.files",),
    ("web.bundle", "web.guard", "web.store"),
    ("web.queue", "web.reviews"),
    ("web.asking",),
    ("web.api_jobs", "web.api_results"),
    ("web.api", "web.pages"),
    ("web.app",),
    ("web.server",),
    ("cli_benchmark", "cli_serve"),
    ("cli",),
    ("__main__",),
)
LEVEL_OF = {module: level for level, modules in enumerate(LEVELS) for module in modules}

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


def imports(module: str, *, typing: bool = True) -> set[str]:
    """Modules of this package that a module imports, anywhere in its code."""
    path = MODULES[module]
    package = ["fakelens", *(part for part in module.split(".") if part)]
    if path.name != "__init__.py":
        package.pop()
    found = set()
    for node in statements(ast.parse(path.read_text(encoding="utf-8")), typing=typing):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            assert isinstance(node, ast.ImportFrom)
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            names = [f"{source}.{alias.name}" for alias in node.names]
        for name in names:
            root, _, rest = name.partition(".")
            if root == "fakelens":
                found.add(rest if rest in MODULES else rest.rpartition(".")[0])
    return found


def test_every_module_has_its_level() -> None:
    assert set(MODULES) == set(LEVEL_OF), "place new modules in LEVELS, take old ones out"


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_from_below_only(module: str) -> None:
    # The package's own imports are for type checkers: its names are loaded when they are used.
    used = imports(module, typing=module != "")
    not_below = {name for name in used if LEVEL_OF[name] >= LEVEL_OF.get(module, 0)}
    assert not not_below, f"{module} must not import {not_below}"


def test_imports_are_seen_in_every_form() -> None:
    assert {"models.store", "models.onnx", "data"} <= imports("models.mesonet")
    assert "models.mesonet" in imports("models"), "inside functions"
    assert "data" in imports("tracks"), "relative ones"
    assert {"", "demo"} <= imports("cli"), "from the package itself"
    assert imports("", typing=False) == set()


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_short_enough_to_be_read(module: str) -> None:
    lines = MODULES[module].read_text(encoding="utf-8").count("\n")
    assert lines <= MAX_LINES


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


def test_the_command_line_loads_no_server_unless_it_is_to_serve() -> None:
    loaded = set(run("import sys, fakelens.cli.app; print(*sys.modules)").split())
    assert "fakelens.cli.serve" in loaded
    assert not loaded & {"fastapi", "uvicorn", "fakelens.web"}


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


def test_the_runtime_leaves_no_trace_in_the_home_folder(tmp_path: Path) -> None:
    # onnxruntime's telemetry writes a device id there and contacts a host at every run.
    home = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    command = [sys.executable, "-m", "fakelens", "models"]
    subprocess.run(command, check=True, capture_output=True, env=home)
    assert list(tmp_path.iterdir()) == []
