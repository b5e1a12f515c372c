"""The docs say what the program does: every command, option, link, schema and snippet."""

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner

import fakelens
from fakelens.cli.app import app
from fakelens.evaluation import demo
from fakelens.models.loading import KNOWN, pull
from fakelens.report.document import json_schema
from support.meso_reference import TorchMeso, write_keras_h5

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("training/*.md")])
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands() -> dict[str, list[str]]:
    """Every command of the program and its long options."""
    found = {}

    def walk(command: object, name: str) -> None:
        children = getattr(command, "commands", {})
        if not children or getattr(command, "invoke_without_command", False):
            found[name] = [
                option
                for parameter in command.params  # type: ignore[attr-defined]
                for option in getattr(parameter, "opts", [])
                if option.startswith("--") and option != "--help"
            ]
        for child_name, child in children.items():
            walk(child, f"{name} {child_name}")

    walk(typer.main.get_command(app), "fakelens")
    return found


def test_every_command_and_option_is_in_the_readme() -> None:
    known = commands()
    assert {"fakelens analyze", "fakelens render", "fakelens models pull"} <= set(known)
    for command, options in known.items():
        if command == "fakelens":
            continue
        assert command in README or command == "fakelens demo", command
        for option in options:
            assert option in README or option == "--output", f"{command} {option}"


def test_the_readme_uses_no_command_or_option_that_does_not_exist() -> None:
    known = commands()
    options = {option for some in known.values() for option in some}
    for line in re.findall(r"^\$ (fakelens .*)$", README, re.MULTILINE):
        assert any(line.startswith(command) for command in known), line
        assert set(re.findall(r"--[a-z-]+", line)) <= options, line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", text):
        assert (page.parent / target).exists(), target


def test_the_published_schema_is_the_one_in_use() -> None:
    published = json.loads((ROOT / "docs" / "reference" / "report.schema.json").read_text(encoding="utf-8"))
    assert published == json.loads(json.dumps(json_schema())), (
        "write docs/reference/report.schema.json again, see docs/reference/outputs.md"
    )


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
    first, second = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[:2]
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


def test_the_help_names_the_exit_codes() -> None:
    said = " ".join(CliRunner().invoke(app, ["--help"]).stdout.split())
    for code in ("0 done", "1 failed", "2 wrong usage", "3 done", "4 no face"):
        assert code in said
        assert code in " ".join(README.split())
