"""The examples and the Python code of the documentation run, on a short demo clip."""

import ast
import dataclasses
import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import fakelens
from fakelens.evaluation import demo

pytest.importorskip("torch", reason="the examples need the extra torch")
from fakelens.media.source_file import file_sha256
from fakelens.models.registry import KNOWN
from support.commands import run
from support.meso_reference import TorchMeso, write_keras_h5

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
DOCS = ROOT / "docs"
SCRIPTS = sorted(path.name for path in EXAMPLES.glob("*.py"))
PACKAGE = Path(fakelens.__file__).parent

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the examples expect: the demo, its report, labelled clips, and weights."""
    folder = tmp_path_factory.mktemp("workplace")
    clip = folder / "demo" / "demo.mp4"
    demo.make_clip(clip, seconds=2)
    fakelens.save_report(fakelens.analyze(clip), clip.parent)
    for copy in ("interview_analyzed", "results/interview"):
        shutil.copytree(clip.parent, folder / copy)
    (folder / "clips").mkdir()
    for name in ("swapped.mp4", "interview.mp4"):
        shutil.copy(clip, folder / "clips" / name)
    table = "path,label\ninterview.mp4,real\nswapped.mp4,fake\n"
    (folder / "clips" / "labels.csv").write_text(table, encoding="utf-8")
    weights = TorchMeso("mesoinception4", 256)
    write_keras_h5(weights, folder / "own.h5")
    shutil.copy(clip, folder / "name.mp4")
    return folder


def run_script(script: str, folder: Path) -> str:
    """Run an example as a user does; others run in this process, which has imported torch."""
    command = [sys.executable, str(EXAMPLES / script)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout


@pytest.fixture
def run_example(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Run an example with arguments and return what it prints."""

    def example(script: str, *arguments: str) -> str:
        monkeypatch.chdir(workplace)
        monkeypatch.setenv("KERAS_BACKEND", "torch")  # as one of them does
        monkeypatch.setattr(sys, "argv", [script, *arguments])
        runpy.run_path(str(EXAMPLES / script), run_name="__main__")
        printed, complaints = capsys.readouterr()
        assert not complaints
        return printed

    return example


SCORED = r"Person 2: score [01]\.\d\d\n$"
MARKED = r"Person 2: score [01]\.\d\d, heatmap faithfulness: (weak|supported|not .*)\n$"

# What each example prints without arguments, in the folder above.
OUTPUT = {
    "analyze_video.py": r"2: likely fake, score 0\.9\d(.|\n)*Open example-report.report\.html",
    "compare_models.py": r"fakelens-patch\tdemo\.mp4\t\tlikely fake\t0\.9\d+\n$",
    "model_efficientnet.py": rf"Explained layer: head\n(.|\n)*{MARKED}",
    "model_keras.py": rf"^\d+% of new pictures(.|\n)*layer: last_map\n(.|\n)*{MARKED}",
    "model_mesonet_h5.py": rf"example-mesonet: outputs: fake; fake: fake\n(.|\n)*{SCORED}",
    "model_onnx_softmax.py": rf"Explained layer: relu2\n(.|\n)*{MARKED}",
    "model_swin.py": rf"Heatmaps of \(7, 7\) cells from norm\n(.|\n)*{SCORED}",
    "model_vit.py": rf"Heatmaps of \(8, 8\) cells from blocks\.2\.norm1\n(.|\n)*{SCORED}",
    "own_detector.py": r"large faces of yunet.*: 2 persons\nPerson 1: \d+ pixels wide\n",
    "read_heatmaps.py": r"hirescam, 16 x 16 cells, unit: logit\nPerson 1: 25 faces(.|\n)*Person 2",
    "redraw_report.py": r"example-drawings.annotated\.mp4\n(.*person-\d\.png\n){2}$",
    "torch_model.py": MARKED,
}


# Of Keras on torch; a program shows no such warning.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")
@pytest.mark.parametrize("script", SCRIPTS)
def test_an_example_runs_as_it_is(
    script: str, workplace: Path, run_example: Callable[..., str]
) -> None:
    as_a_user = script == "analyze_video.py"
    printed = run_script(script, workplace) if as_a_user else run_example(script)
    assert re.search(OUTPUT[script], printed), printed


def test_models_are_compared_by_their_auc_on_labelled_clips(
    run_example: Callable[..., str],
) -> None:
    models = ("fakelens-patch", "own.h5")
    printed = run_example("compare_models.py", "clips", *models)
    for model in models:
        assert re.search(rf"^{re.escape(model)}\tswapped\.mp4\tfake\t", printed, re.MULTILINE)
        assert re.search(
            rf"^{re.escape(model)}: AUC [01]\.\d{{3}} on 1 fake and 1 real", printed, re.M
        )


@pytest.mark.parametrize("script", SCRIPTS)
def test_an_example_is_explained(script: str) -> None:
    docstring = ast.get_docstring(ast.parse((EXAMPLES / script).read_text(encoding="utf-8")))
    assert docstring is not None
    assert f"\nUsage: python examples/{script}" in docstring
    assert f"| [{script}]({script}) |" in (EXAMPLES / "README.md").read_text(encoding="utf-8")


# Pages whose blocks of Python run one after the other in the folder above.
SNIPPETS = (
    "tutorial.md",
    "how-to/labelled-clips.md",
    "how-to/redraw.md",
    "how-to/scripts.md",
    "reference/migration.md",
)


def _publish(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let weights pass for the published ones, which the tests do not have."""
    known = KNOWN["mesoinception4-df"]
    shutil.copy(weights, weights.with_name(known.file))
    assert known.download is not None
    download = dataclasses.replace(known.download, sha256=file_sha256(weights))
    monkeypatch.setitem(KNOWN, known.name, dataclasses.replace(known, download=download))


@pytest.mark.parametrize("page", SNIPPETS)
def test_the_python_snippets_of_a_page_run(
    page: str, workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.S)
    assert blocks
    if page == "reference/migration.md":
        pytest.importorskip("dlib")
        _publish(workplace / "own.h5", monkeypatch)
    monkeypatch.chdir(workplace)
    if page == "how-to/scripts.md":
        lines = run("analyze", "name.mp4", "-o", "lines", "--json").stdout
        Path("verdicts.jsonl").write_text(lines, encoding="utf-8")
    for block in blocks:
        exec(block, {})
    printed = capsys.readouterr().out
    if page == "how-to/labelled-clips.md":
        assert re.search(r"^AUC 0\.500 on 1 fake and 1 real clips$", printed, re.MULTILINE)
    if page == "how-to/scripts.md":
        assert "name.mp4 2 likely fake 0.9" in printed


# Where a line is added to a table: right after this text.
TABLES = {
    "METHODS": "\nMETHODS = {\n    method.name: method\n    for method in (\n",
    "DETECTORS": "\nDETECTORS = {\n",
    "LOADERS": "\nLOADERS = {\n",
}
TRY = """
import sys
import torch
import fakelens
from fakelens.models.tiny import Tiny

torch.manual_seed(0)
torch.save(Tiny().state_dict(), "state.pt")
assert fakelens.__file__.startswith(sys.argv[1])
settings = fakelens.Settings(cam="elementwise", every=5)
detector = fakelens.load_detector("haar-alt")
report = fakelens.analyze("demo/demo.mp4", settings=settings)
assert report.cam == "elementwise"
assert report.findings[0].trust_mark is not None
quick = fakelens.Settings(per_second=5, trust=False)
report = fakelens.analyze("demo/demo.mp4", detector=detector, settings=quick)
assert report.provenance.detector.startswith("haar-frontalface-alt2")
assert len(report.tracks) == 2
report = fakelens.analyze("demo/demo.mp4", model=fakelens.load_model("state.pt"), settings=quick)
assert report.model.name == "tiny"
print(*(len(track) for track in report.tracks))
"""


def test_the_extensions_of_the_page_work(workplace: Path, tmp_path: Path) -> None:
    package = tmp_path / "src" / "fakelens"
    shutil.copytree(PACKAGE, package)
    page = (DOCS / "how-to" / "extend.md").read_text(encoding="utf-8")
    added = {"files": 0, "functions": 0, "lines": 0}
    for name, table, code in re.findall(
        r"^```python\n# (src/fakelens/\S+?\.py)(?:: (\w+))?\n(.*?)^```", page, re.S | re.M
    ):
        path = tmp_path / name
        if table:
            text = path.read_text(encoding="utf-8")
            assert text.count(TABLES[table]) == 1
            line = code.rstrip().rstrip(",") + ",\n"
            path.write_text(text.replace(TABLES[table], TABLES[table] + line), encoding="utf-8")
            added["lines"] += 1
        elif path.exists():
            text = path.read_text(encoding="utf-8")
            before, table_start, after = text.partition(TABLES["METHODS"])
            path.write_text(before + f"\n{code}\n" + table_start + after, encoding="utf-8")
            added["functions"] += 1
        else:
            path.write_text(code, encoding="utf-8")
            added["files"] += 1
    assert added == {"files": 2, "functions": 1, "lines": 3}

    done = subprocess.run(
        [sys.executable, "-c", TRY, str(tmp_path)],
        cwd=workplace,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) == 2
