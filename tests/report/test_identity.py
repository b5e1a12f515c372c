"""What a report is about is read without its persons, and as ``read_report`` reads it."""

import json
import tracemalloc
from pathlib import Path

import pytest

from fakelens.errors import ReportError
from fakelens.records.report import Report
from fakelens.report.document import read_report
from fakelens.report.identity import read_identity
from fakelens.report.save import save_report


@pytest.fixture
def path(report: Report, tmp_path: Path) -> Path:
    save_report(report, tmp_path / "out", video=False)
    return tmp_path / "out" / "report.json"


@pytest.mark.parametrize("indent", [None, 1])
def test_it_is_the_same_as_in_the_whole_report(indent: int | None, path: Path) -> None:
    if indent:  # by another program
        content = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps(content, indent=indent), encoding="utf-8")
    known, whole = read_identity(path), read_report(path)
    assert (
        known.provenance.model_dump().items()
        <= {name: getattr(whole.provenance, name) for name in known.provenance.model_dump()}.items()
    )
    assert known.settings == whole.settings
    assert known.heatmaps.method == whole.cam
    assert known.heatmaps.rows == len(whole.heatmaps) > 0
    assert known.model.name == whole.model.name
    assert known.video.is_picture == whole.video.is_picture


def test_the_persons_of_a_long_video_are_not_read(path: Path) -> None:
    before, persons, after = path.read_bytes().partition(b'"persons":[')
    with path.open("wb") as file:
        file.write(before + persons)
        for _ in range(300):
            file.write(b'{"finding":{},"track":{"heatmaps":[' + b"1," * 50_000 + b"1]}},")
        file.write(after)
    assert path.stat().st_size > 25e6
    tracemalloc.start()
    try:
        assert read_identity(path).heatmaps.method == "hirescam"
        assert tracemalloc.get_traced_memory()[1] < 5e6
    finally:
        tracemalloc.stop()


def test_a_damaged_report_is_refused(path: Path) -> None:
    whole = path.read_bytes()
    for content in (b"", b"{}", b"\xff", whole[:100], whole[:-1], whole.replace(b'"every"', b"1")):
        path.write_bytes(content)
        with pytest.raises(ReportError, match="not a report this version can read"):
            read_identity(path)
    path.unlink()
    with pytest.raises(ReportError, match="cannot read the report"):
        read_identity(path)
