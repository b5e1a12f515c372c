"""``fakelens report``: the examiner's report of a finished analysis."""

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from support.commands import one_sentence, run

EXAMPLE = Path(__file__).parents[2] / "examples" / "case.toml"
NAMES = {"examiner-report.pdf", "examiner-report.html"}


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def results(analyzed: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    shutil.copytree(analyzed, folder)
    return folder


def test_it_is_written_beside_the_results_which_stay_as_they_are(results: Path) -> None:
    pytest.importorskip("reportlab")
    before = contents(results)
    done = run("report", results, "--examiner", EXAMPLE)
    assert done.exit_code == 0, done.output
    assert {Path(line).name for line in done.output.split("\n") if line} == NAMES
    after = contents(results)
    assert after.keys() - before.keys() == NAMES
    assert before.items() <= after.items()
    assert (results / "examiner-report.pdf").read_bytes().startswith(b"%PDF-")


def test_an_existing_file_is_kept_without_force(results: Path) -> None:
    pytest.importorskip("reportlab")
    kept = results / "examiner-report.html"
    kept.write_text("mine")
    message = one_sentence(run("report", results, "--examiner", EXAMPLE))
    assert "already contains examiner-report.html; use --force" in message
    assert kept.read_text() == "mine"
    assert not (results / "examiner-report.pdf").exists()
    assert run("report", results, "--examiner", EXAMPLE, "--force").exit_code == 0
    first = contents(results)
    assert run("report", results, "--examiner", EXAMPLE, "--force", "-q").output == ""
    assert contents(results) == first


def test_it_goes_where_it_is_wanted_from_the_document_too(results: Path, tmp_path: Path) -> None:
    pytest.importorskip("reportlab")
    before = contents(results)
    target = tmp_path / "new" / "case 17.pdf"
    arguments = ("report", results / "report.json", "--examiner", EXAMPLE, "-o", target)
    done = run(*arguments, "--paper", "letter")
    assert done.exit_code == 0, done.output
    assert set(contents(target.parent)) == {"case 17.pdf", "case 17.html"}
    assert contents(results) == before


def test_html_alone_needs_no_extra(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "reportlab"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "fakelens.casework.pdf", raising=False)
    monkeypatch.delitem(sys.modules, "fakelens.casework.fonts", raising=False)
    monkeypatch.setitem(sys.modules, "reportlab", None)
    message = one_sentence(run("report", results, "--examiner", EXAMPLE))
    assert "the extra 'casework'" in message
    target = tmp_path / "out.html"
    done = run("report", results, "--examiner", EXAMPLE, "-o", target)
    assert done.exit_code == 0, done.output
    assert "Ada Example" in target.read_text(encoding="utf-8")


def test_characters_that_the_pdf_cannot_show_are_announced(results: Path, tmp_path: Path) -> None:
    pytest.importorskip("reportlab")
    case = tmp_path / "case.toml"
    case.write_text('[case]\nnumber = "案件"\n', encoding="utf-8")
    assert "2 characters without a glyph" in one_sentence(
        run("report", results, "--examiner", case)
    )


def test_a_mistake_is_one_sentence(results: Path, tmp_path: Path) -> None:
    pytest.importorskip("reportlab")
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[case]\nnumber = 17\n")
    done = run("report", results, "--examiner", wrong)
    assert done.exit_code == 2
    assert "case.number must be a text in quotes" in one_sentence(done)
    assert "no such file" in one_sentence(run("report", results, "--examiner", tmp_path / "no"))
    assert run("report", results).exit_code == 2
    named = one_sentence(run("report", results, "--examiner", EXAMPLE, "-o", tmp_path / "a.docx"))
    assert "end it in .pdf or .html" in named
    nothing = run("report", tmp_path, "--examiner", EXAMPLE)
    assert nothing.exit_code == 1
    assert "give the report.json of an analysis" in one_sentence(nothing)
    font = run("report", results, "--examiner", EXAMPLE, "--font", wrong)
    assert "not a TrueType font" in one_sentence(font)
    assert not NAMES & set(contents(results))


def test_the_input_is_found_where_it_is_said_to_be(
    results: Path, clip: Path, tmp_path: Path
) -> None:
    (results / "untouched.mp4").unlink()
    document = results / "report.json"
    content = json.loads(document.read_text(encoding="utf-8"))
    document.write_text(json.dumps(content | {"input_path": "nowhere.mp4"}), encoding="utf-8")
    target = tmp_path / "a.html"
    assert run("report", results, "--examiner", EXAMPLE, "-o", target).exit_code == 0
    assert "the file was not found" in target.read_text(encoding="utf-8")
    moved = tmp_path / "elsewhere.mp4"
    shutil.copy(clip, moved)
    arguments = ("report", results, "--examiner", EXAMPLE, "-o", target, "--force")
    assert run(*arguments, "--video", moved).exit_code == 0
    assert "SHA-256 of the file is that of the file analysed" in target.read_text(encoding="utf-8")


def test_results_without_a_face_can_be_reported(faceless: Path, tmp_path: Path) -> None:
    run("analyze", faceless, "-o", tmp_path / "out")
    target = tmp_path / "a.html"
    done = run("report", tmp_path / "out", "--examiner", EXAMPLE, "-o", target)
    assert done.exit_code == 0, done.output
    assert "No face was found" in target.read_text(encoding="utf-8")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs a folder that is closed")
def test_a_folder_that_cannot_be_written_is_named(results: Path, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    target = closed / "a.html"
    message = one_sentence(run("report", results, "--examiner", EXAMPLE, "-o", target))
    assert "cannot be written" in message
