"""The documentation agrees with the program: commands, options, links, names, schema, snippets."""

import hashlib
import json
import re
import tomllib
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import fakelens
from docs.make_cli_reference import TABLE, Parameter, commands, updated
from fakelens.cli.app import app
from fakelens.cli.summary_table import summary
from fakelens.evaluation import demo
from fakelens.models.loading import pull
from fakelens.models.registry import KNOWN
from fakelens.report.document import json_schema
from support.builders import make_report, make_track
from support.meso_reference import TorchMeso, write_keras_h5

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "examples/*.md", "training/*.md", "benchmarks/*.md")
    for path in ROOT.glob(pattern)
)
TEXTS = {path: path.read_text(encoding="utf-8") for path in PAGES}
README = TEXTS[ROOT / "README.md"]
REFERENCE = TEXTS[ROOT / "docs" / "reference" / "cli.md"]
API = TEXTS[ROOT / "docs" / "reference" / "api.md"]
MIGRATION = TEXTS[ROOT / "docs" / "reference" / "migration.md"]
EXIT_CODES = {
    0: "done",
    1: "failed",
    2: "wrong usage",
    3: "done, but some inputs failed",
    4: "no face found, nothing to examine",
    130: "interrupted",
}

COMMANDS = commands()

FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


def names_of(parameters: list[Parameter]) -> set[str]:
    return {name for parameter in parameters for name in parameter.names}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


# Command line


def test_every_command_is_in_the_reference() -> None:
    known = COMMANDS
    assert {"fakelens analyze", "fakelens render", "fakelens models pull"} <= set(known)
    assert set(re.findall(r"^## (.+)$", REFERENCE, re.MULTILINE)) == set(known)
    for name, parameters in known.items():
        section = REFERENCE.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        assert [found[1] for found in TABLE.findall(section)] == [name] * bool(parameters), name


def test_every_option_is_in_the_reference_with_its_help() -> None:
    assert updated(REFERENCE) == REFERENCE, "run: python docs/make_cli_reference.py"
    for parameters in COMMANDS.values():
        for parameter in parameters:
            for name in parameter.names:
                assert f"`{name}" in REFERENCE


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_has_the_options_of_the_reference(name: str) -> None:
    arguments = [*name.split()[1:], "--help"]
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200", "TERM": "dumb"})
    shown = set(re.findall(r"^[│ ]*\*? *(--[a-z0-9-]+)", result.stdout, re.MULTILINE))
    shown -= {"--help", "--install-completion", "--show-completion"}
    assert shown == {option for option in names_of(COMMANDS[name]) if option.startswith("--")}


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_commands_in_a_page_exist(page: Path) -> None:
    known = COMMANDS
    for line in re.findall(r"^\$ (?:\.venv/bin/)?(fakelens .*)$", TEXTS[page], re.MULTILINE):
        call = line.partition("#")[0]
        command = max((name for name in known if f"{call} ".startswith(f"{name} ")), key=len)
        if "COMMAND" in call:
            continue
        assert command != "fakelens" or "--" in call, line
        given = set(re.findall(r"(?<!\S)--?[a-z][a-z0-9-]*", call))
        assert given <= names_of(known[command]), line


def test_exit_codes_are_the_same_everywhere() -> None:
    help_text = " ".join(CliRunner().invoke(app, ["--help"]).stdout.split())
    scripts = TEXTS[ROOT / "docs" / "how-to" / "scripts.md"]
    for code, meaning in EXIT_CODES.items():
        assert f"{code} {meaning}" in help_text
        for page in (REFERENCE, scripts):
            assert f"| {code} | {meaning}" in page


# Links


def anchors(text: str) -> set[str]:
    """The anchors that hosting sites give to the headings of a page."""
    found: list[str] = []
    for heading in re.findall(r"^#+ (.+?)\s*$", FENCE.sub("", text), re.MULTILINE):
        plain = re.sub(r"\[(.+?)\]\(.+?\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        found.append(f"{slug}-{found.count(slug)}" if slug in found else slug)
    return set(found)


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_links_of_a_page_resolve(page: Path) -> None:
    text = FENCE.sub("", TEXTS[page])
    for target, anchor in re.findall(r"\]\((?!https?://)([^)#\s]*)#?([^)\s]*)\)", text):
        place = page if not target else (page.parent / target).resolve()
        assert place.exists(), target
        assert place.is_relative_to(ROOT), target
        if anchor:
            assert anchor in anchors(TEXTS[place]), f"{target}#{anchor}"


def test_anchors_are_made_like_hosting_sites_make_them() -> None:
    text = "# A `b-c` (d): e\n\n```sh\n# no heading\n```\n\n## [Link](x.md)\n## A b\n## A b\n"
    assert anchors(text) == {"a-b-c-d-e", "link", "a-b", "a-b-1"}


# Names


def test_every_public_name_is_in_the_api_reference() -> None:
    for name in fakelens.__all__:
        assert re.search(rf"^\.\. auto\w+:: fakelens\.{name}$", API, re.MULTILINE), name
        assert f"`~fakelens.{name}`" in API, name


def test_every_package_has_a_section_in_the_api_reference() -> None:
    source = Path(fakelens.__file__).parent
    packages = {path.parent.name for path in source.glob("*/__init__.py")} | {"errors"}
    assert set(re.findall(r"^## fakelens\.(\w+)$", API, re.MULTILINE)) == packages
    for package in packages:
        assert f".. automodule:: fakelens.{package}\n" in API


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table below a heading of the migration page."""
    section = MIGRATION.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [re.split(r" \| ", line.strip("| ")) for line in lines]


def in_backticks(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_new_public_names_on_the_migration_page_exist() -> None:
    for old, new in rows("Python: public names"):
        for name in in_backticks(old):
            assert not hasattr(fakelens, name), name
        for name in in_backticks(new):
            if name[0].isupper() and "." not in name and not name.isupper():
                assert name in fakelens.__all__, name
    assert ["`Network`", "`Model`"] in rows("Python: public names")


def test_new_options_on_the_migration_page_exist() -> None:
    known = {name for parameters in COMMANDS.values() for name in names_of(parameters)}
    for old, new in rows("Command line"):
        if old.startswith("`--"):
            assert set(in_backticks(new)) <= known
            assert not set(in_backticks(old)) & known


def test_new_report_fields_on_the_migration_page_exist() -> None:
    schema = json.dumps(json_schema())
    for old, new in rows("Report files"):
        if "." in new and "/" not in new:
            assert f'"{in_backticks(new)[0].rpartition(".")[2]}"' in schema, new
        for value in in_backticks(old):
            assert value.startswith('"') is in_backticks(new)[0].startswith('"')
    assert len(rows("Report files")) > 15


def test_new_modules_on_the_migration_page_exist() -> None:
    for _old, new in rows("Modules"):
        for name in in_backticks(new):
            import_module(f"fakelens.{name}")
    assert len(rows("Modules")) > 60


def test_new_internal_names_on_the_migration_page_exist() -> None:
    for module, old, new in rows("Classes and functions"):
        home = import_module(f"fakelens.{in_backticks(module)[0]}")
        assert hasattr(home, in_backticks(new)[0]), (module, new)
        assert getattr(home, in_backticks(old)[0], None) is None or old == "`ablation`", (
            module,
            old,
        )


# Files


def test_the_published_schema_is_the_one_in_use() -> None:
    path = ROOT / "docs" / "reference" / "report.schema.json"
    published = json.loads(path.read_text(encoding="utf-8"))
    assert published == json.loads(json.dumps(json_schema())), (
        "write docs/reference/report.schema.json again, see docs/reference/outputs.md"
    )


def test_the_citation_agrees_with_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    for key in ("version", "license"):
        assert f"\n{key}: {project[key]}\n" in citation


def test_pre_commit_runs_the_commands_of_make_lint() -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML, part of the extra docs, is not installed")
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    (repository,) = config["repos"]
    assert repository["repo"] == "local"
    assert {hook["language"] for hook in repository["hooks"]} == {"system"}
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipe = re.findall(r"^lint:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)[0]
    linted = [line.strip().replace("$(BIN)", ".venv/bin") for line in recipe.splitlines()]
    assert [hook["entry"] for hook in repository["hooks"]] == linted


def test_the_changelog_lists_unreleased_changes() -> None:
    unreleased = TEXTS[ROOT / "CHANGELOG.md"].partition("\n## Unreleased\n")[2]
    assert re.findall(r"^### (.+)$", unreleased, re.MULTILINE)[:2] == ["Added", "Changed"]
    assert "Report schema 3" in unreleased


# Output and snippets


@pytest.mark.parametrize(
    ("page", "labels"),
    [
        ("blind-review", r"\*([A-Z][^*]+)\*"),
        ("read-a-report", r"(?:See|Under) \*([A-Z][^*]+)\*"),
    ],
)
def test_labels_of_the_pages_are_those_in_the_docs(page: str, labels: str) -> None:
    source = Path(fakelens.__file__).parent
    templates = [path.read_text(encoding="utf-8") for path in source.rglob("*.jinja")]
    text = TEXTS[ROOT / "docs" / "how-to" / f"{page}.md"]
    found = [" ".join(label.split()) for label in re.findall(labels, text)]
    assert len(found) > 1
    for label in found:
        assert any(re.search(rf">\s*{label}\b", template) for template in templates), label


def test_the_tutorial_shows_the_output_of_the_demo() -> None:
    tutorial = TEXTS[ROOT / "docs" / "tutorial.md"]
    report = make_report(make_track([2.0] * 100), maps=np.zeros((100, 2, 2)))
    columns = [column.header for column in summary(report, width=160).columns]
    (shown,) = re.findall(r"^┃ (person.*) ┃$", tutorial, re.MULTILINE)
    assert re.split(r" *┃ *", shown.strip()) == columns
    table = tutorial.partition("| column | meaning |")[2].partition("\n\n")[0]
    explained = re.findall(r"^\| ([^|-]+?) \|", table, re.MULTILINE)
    assert explained == columns


def test_the_tutorial_lists_the_files_of_the_demo(tmp_path: Path) -> None:
    tutorial = TEXTS[ROOT / "docs" / "tutorial.md"]
    (listed,) = re.findall(r"^\$ ls demo\n(.+)$", tutorial, re.MULTILINE)
    clip = tmp_path / "demo.mp4"
    demo.make_clip(clip, seconds=2)
    report = fakelens.analyze(clip, settings=fakelens.Settings(every=5))
    fakelens.save_report(report, tmp_path)
    assert listed.split() == sorted(path.name for path in tmp_path.iterdir())


def pull_random_weights(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put random weights in the place of a published MesoInception4, which may not be at hand.

    Only the SHA-256 in the table changes: the name, the cache and the format stay those in use.
    """
    write_keras_h5(TorchMeso("mesoinception4", 256), folder / "random.h5")
    digest = hashlib.sha256((folder / "random.h5").read_bytes()).hexdigest()
    download = KNOWN[name].download
    assert download is not None
    changed = replace(KNOWN[name], download=replace(download, sha256=digest))
    monkeypatch.setitem(KNOWN, name, changed)
    monkeypatch.setenv("FAKELENS_CACHE", str(folder / "cache"))
    pull(name, source=folder / "random.h5")


@pytest.mark.slow
def test_the_python_snippets_of_the_readme_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    demo.make_clip(tmp_path / "interview.mp4", seconds=1)
    names: dict[str, object] = {}
    exec(first, names)
    assert (tmp_path / "interview_analyzed" / "report.html").exists()
    pull_random_weights("mesoinception4-df", tmp_path, monkeypatch)
    exec(second, names)
    report = names["report"]
    assert isinstance(report, fakelens.Report)
    assert (report.model.name, report.cam) == ("mesoinception4-df", "gradcam++")
