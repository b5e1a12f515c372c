"""What a report says about the software that made it, and where temporary data lie."""

from importlib import metadata
from pathlib import Path

import av
import cv2
import numpy as np
import onnxruntime
import pytest

from fakelens.analysis.pipeline import analyze
from fakelens.errors import OutputError
from fakelens.explain.heatmaps import HeatmapStore
from fakelens.records.report import Report
from support.toys import FAKE, RedModel, ScriptedDetector, film


def _analyze(path: Path, **options: object) -> Report:
    return analyze(path, model=RedModel(), detector=ScriptedDetector(FAKE), **options)  # type: ignore[arg-type]


def test_versions_are_those_of_the_modules_that_run(tmp_path: Path) -> None:
    versions = _analyze(film(tmp_path / "clip.mp4", FAKE, frames=4)).provenance.versions
    assert versions["fakelens"] == metadata.version("fakelens")
    assert versions["onnxruntime"] == onnxruntime.__version__
    assert versions["numpy"] == np.__version__
    assert versions["opencv"] == cv2.__version__
    assert versions["av"] == av.__version__


def test_packages_of_other_names_do_not_fail_a_finished_analysis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With onnxruntime-gpu, no package is named onnxruntime."""

    def version(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", version)
    monkeypatch.delattr(cv2, "__version__")
    versions = _analyze(film(tmp_path / "clip.mp4", FAKE, frames=4)).provenance.versions
    assert versions["fakelens"] == versions["opencv"] == "unknown"
    assert versions["onnxruntime"] == onnxruntime.__version__


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="lists open files by /proc")
def test_the_temporary_heatmap_file_lies_in_the_workspace(tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    seen: set[str] = set()

    def progress(done: int, total: int | None) -> None:
        for link in Path("/proc/self/fd").iterdir():
            try:
                seen.add(str(link.readlink()))
            except FileNotFoundError:  # the descriptor of this listing
                continue

    clip = film(tmp_path / "clip.mp4", FAKE, frames=4)
    _analyze(clip, workspace=workspace, progress=progress)
    assert [path for path in seen if path.startswith(f"{workspace}/")]
    assert list(workspace.iterdir()) == []


def test_a_workspace_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="nowhere: cannot store the heatmaps: No such file"):
        HeatmapStore(tmp_path / "nowhere")
