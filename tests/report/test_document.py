"""``report.json``: read as it was written, follows its schema, and damage is reported."""

import dataclasses
import json
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from fakelens.errors import ReportError
from fakelens.records.findings import DomainCheck
from fakelens.records.report import Report
from fakelens.records.tracks import Track
from fakelens.render.style import Style
from fakelens.report.document import json_schema, read_report, write_document
from fakelens.report.save import save_drawings, save_report
from support.builders import make_report
from support.comparing import compared, in_domain, specificity
from support.report_files import DRAWINGS, FRAMES, contents, files, random_track
from support.toys import (
    analyzed,
    count_frames,
)

ROUNDED_TO = {
    "times": 1e-6,
    "boxes": 1e-2,
    "areas": 1e-2,
    "landmarks": 1e-2,
    "confidences": 1e-4,
    "sharpness": 1e-3,
    "logits": 1e-6,
}


def written(report: Report, folder: Path) -> Path:
    write_document(report, folder, folder)
    return folder / "report.json"


def test_a_report_is_read_as_it_was_written(random_report: Report, tmp_path: Path) -> None:
    read = read_report(written(random_report, tmp_path))
    for track, wanted in zip(read.tracks, random_report.tracks, strict=True):
        for field in dataclasses.fields(Track):
            found, value = getattr(track, field.name), getattr(wanted, field.name)
            if field.name == "person":
                assert found == value
                continue
            assert (found.dtype, found.shape) == (value.dtype, value.shape), field.name
            tolerance = 0.51 * ROUNDED_TO.get(field.name, 0)
            np.testing.assert_allclose(
                found, value, rtol=1e-6 if tolerance else 0, atol=tolerance, err_msg=field.name
            )
    assert (len(read.heatmaps), read.heatmaps.shape) == (50, (6, 6))
    for row in range(50):
        np.testing.assert_array_equal(read.heatmaps[row], random_report.heatmaps[row])
    for field in dataclasses.fields(Report):
        if field.name not in ("tracks", "heatmaps", "source"):
            assert getattr(read, field.name) == getattr(random_report, field.name), field.name


def test_paths_may_be_strings(report: Report, tmp_path: Path) -> None:
    """As in the example in the docstring of the package."""
    save_report(report, str(tmp_path / "out"), video=False)
    read = read_report(str(tmp_path / "out" / "report.json"))
    save_drawings(read, str(tmp_path / "again"), style=Style())
    assert files(tmp_path / "again") == DRAWINGS


def test_a_report_without_people_is_read_as_it_was_written(clip: Path, tmp_path: Path) -> None:
    empty = analyzed(clip)
    read = read_report(written(empty, tmp_path))
    assert (read.tracks, read.findings, len(read.heatmaps)) == ((), (), 0)
    assert read.frames == FRAMES


def test_a_report_can_be_read_and_written_again(random_report: Report, tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    second.mkdir()
    written(read_report(written(random_report, first)), second)
    assert contents(first) == contents(second)


@pytest.mark.parametrize("name", ["random_report", "report", "empty"])
def test_the_file_follows_the_schema(
    name: str, request: pytest.FixtureRequest, clip: Path, tmp_path: Path
) -> None:
    report = analyzed(clip) if name == "empty" else request.getfixturevalue(name)
    content = json.loads(written(report, tmp_path).read_text(encoding="utf-8"))
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(content, schema, jsonschema.Draft202012Validator)


def test_a_long_report_is_written_in_pieces(
    random_report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Columns of 30 and 20 rows, whole and in pieces of 7 rows."""
    for name, piece in (("whole", 1000), ("pieces", 7)):
        monkeypatch.setattr("fakelens.report.track_columns._PIECE", piece)
        (tmp_path / name).mkdir()
        write_document(random_report, tmp_path / name, tmp_path / name)
    whole, pieces = ((tmp_path / name / "report.json").read_text() for name in ("whole", "pieces"))
    assert pieces == whole


@pytest.mark.slow
def test_writing_half_an_hour_takes_no_more_memory_than_five_minutes(
    tmp_path: Path,
) -> None:
    peaks = []
    for minutes in (5, 30):
        rows = minutes * 60 * 25
        report = make_report(random_track(1, range(rows)), maps=np.zeros((rows, 1, 1)))
        tracemalloc.start()
        write_document(report, tmp_path, tmp_path)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


def test_the_schema_rejects_a_value_of_the_wrong_type(
    random_report: Report, tmp_path: Path
) -> None:
    content = json.loads(written(random_report, tmp_path).read_text(encoding="utf-8"))
    content["persons"][0]["track"]["logits"][3] = "high"
    with pytest.raises(jsonschema.ValidationError, match="'high' is not of type 'number'"):
        jsonschema.validate(content, json_schema())


def test_the_path_to_the_input_is_relative(clip: Path, report: Report, tmp_path: Path) -> None:
    together = tmp_path / "project"
    together.mkdir()
    video = Path(shutil.copy(clip, together / "two.mp4"))
    folder = together / "results" / "out"
    save_report(dataclasses.replace(report, source=video), folder, video=False)
    assert json.loads((folder / "report.json").read_text())["input_path"] == "../../two.mp4"
    moved = together.rename(tmp_path / "elsewhere")
    read = read_report(moved / "results" / "out" / "report.json")
    assert read.source == moved / "two.mp4"
    save_drawings(read, moved / "again", style=Style())
    assert count_frames(moved / "again" / "annotated.mp4") == FRAMES


def test_the_path_of_a_moved_input_can_be_given(saved: Path, tmp_path: Path) -> None:
    read = read_report(saved / "report.json", source=tmp_path / "new.mp4")
    assert read.source == tmp_path / "new.mp4"


def damaged(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    path = folder / "report.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def track_of(content: dict[str, Any]) -> dict[str, list[Any]]:
    track: dict[str, list[Any]] = content["persons"][0]["track"]
    return track


def assert_one_sentence(error: ReportError, path: Path) -> None:
    assert str(error).startswith(f"{path}: ")
    assert "\n" not in str(error)
    assert len(str(error)) < len(str(path)) + 200


DAMAGE: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a newer version": (
        lambda c: c.update(schema_version=4, frames={"count": 3}),
        "schema_version: is 4, but this version reads 3; analyze the video again",
    ),
    "an older version": (
        lambda c: c.update(schema_version=2),
        "schema_version: is 2, but this version reads 3; analyze the video again",
    ),
    "no version": (lambda c: c.pop("schema_version"), "schema_version: Field required"),
    "a missing field": (lambda c: c.pop("persons"), "persons: Field required"),
    "a wrong type": (lambda c: c.update(frames="many"), "frames: Input should be"),
    "a short column": (
        lambda c: track_of(c)["logits"].pop(),
        "the columns are empty or of unequal length",
    ),
    "an empty track": (
        lambda c: [column.clear() for column in track_of(c).values()],
        "the columns are empty or of unequal length",
    ),
    "a box of three numbers": (
        lambda c: track_of(c)["boxes"][2].pop(),
        r"persons\.0\.track\.boxes\.2\.3: Field required",
    ),
    "an inverted box": (
        lambda c: track_of(c)["boxes"][2].reverse(),
        "a box has no width or height",
    ),
    "frames out of order": (
        lambda c: track_of(c)["frames"].reverse(),
        "the frames are not in order",
    ),
    "a missing heatmap": (
        lambda c: track_of(c)["heatmaps"].__setitem__(3, 50),
        "a face refers to a heatmap that does not exist",
    ),
    "a negative row of a heatmap": (
        lambda c: track_of(c)["heatmaps"].__setitem__(3, -1),
        "greater than or equal to 0",
    ),
    "a huge number": (
        lambda c: track_of(c)["frames"].__setitem__(-1, 10**30),
        "persons.0.track.frames.29: Input should be less than",
    ),
    "not a number": (
        lambda c: track_of(c)["logits"].__setitem__(3, float("nan")),
        "finite number",
    ),
    "an unknown quality flag": (
        lambda c: track_of(c)["quality_flags"].__setitem__(3, 1 << 7),
        "less than or equal to",
    ),
    "an unknown heatmap method": (
        lambda c: c["heatmaps"].update(method="guess"),
        "heatmaps.method: is not a known heatmap method",
    ),
    "another file": (
        lambda c: c["heatmaps"].update(file="../../secret"),
        "heatmaps.file: String should match",
    ),
    "crossed thresholds": (
        lambda c: c["thresholds"].update(real=0.9),
        "thresholds must satisfy",
    ),
    "a setting out of range": (
        lambda c: c["settings"].update(every=0),
        "every must be 1",
    ),
    "a huge box": (
        lambda c: track_of(c)["boxes"][2].__setitem__(2, 1e9),
        "less than or equal to 1000000",
    ),
    "a huge time": (
        lambda c: track_of(c)["times"].__setitem__(3, 1e30),
        "less than or equal to 10000000",
    ),
    "an area that is not a square": (
        lambda c: track_of(c)["areas"][2].__setitem__(2, 5000),
        "the area of a face crop is not a square",
    ),
    "a key frame without the person": (
        lambda c: c["persons"][0]["finding"].update(key_frame=10**6),
        "a frame without the person",
    ),
    "a video without a size": (
        lambda c: c["video"].update(width=0),
        "has no valid width and height",
    ),
    "an impossible rotation": (
        lambda c: c["video"].update(rotation=45),
        "has no valid rotation",
    ),
    "a frame rate of zero": (
        lambda c: c["video"].update(rate="0"),
        "has no valid frame rate",
    ),
    "an unknown verdict": (
        lambda c: c["persons"][0]["finding"].update(verdict="maybe"),
        "Input should be 'likely fake', 'likely real' or 'inconclusive'",
    ),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_in_a_report_is_reported_in_one_sentence(
    kind: str, random_report: Report, tmp_path: Path
) -> None:
    written(random_report, tmp_path)
    change, sentence = DAMAGE[kind]
    path = damaged(tmp_path, change)
    with pytest.raises(ReportError, match=sentence) as caught:
        read_report(path)
    assert_one_sentence(caught.value, path)


def test_a_comparison_is_read_as_it_was_written(random_report: Report, tmp_path: Path) -> None:
    baseline = np.random.default_rng(1).normal(size=(6, 6))
    report = compared(random_report, specificity(baseline, parts=("nose",)), None)
    path = written(in_domain(report, DomainCheck(False, ("it is dark",))), tmp_path)
    read = read_report(path)
    for found, wanted in zip(read.findings, report.findings, strict=True):
        assert found.assessment == wanted.assessment
        assert found.domain == DomainCheck(False, ("it is dark",))
    jsonschema.validate(json.loads(path.read_text(encoding="utf-8")), json_schema())


@pytest.mark.parametrize("shape", [(5, 6), (6, 5), (0, 0)])
def test_a_baseline_of_another_size_than_the_heatmaps_is_refused(
    shape: tuple[int, int], random_report: Report, tmp_path: Path
) -> None:
    path = written(compared(random_report, None, specificity(np.zeros(shape))), tmp_path)
    with pytest.raises(ReportError, match="a baseline is not of the heatmaps' size") as caught:
        read_report(path)
    assert_one_sentence(caught.value, path)


def test_unknown_fields_are_ignored(random_report: Report, tmp_path: Path) -> None:
    written(random_report, tmp_path)

    def add(content: dict[str, Any]) -> None:
        content["mood"] = "sunny"
        content["settings"]["mood"] = content["persons"][0]["finding"]["mood"] = "sunny"

    assert read_report(damaged(tmp_path, add)).findings == random_report.findings


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"\xff\xfe\x00", b'{"schema_version": 1}', b"PK\x03\x04"]
)
def test_what_is_not_a_report_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(content)
    with pytest.raises(ReportError, match="not a report this version can read") as caught:
        read_report(path)
    assert_one_sentence(caught.value, path)


def test_a_truncated_report_is_refused(random_report: Report, tmp_path: Path) -> None:
    path = written(random_report, tmp_path)
    whole = path.read_bytes()
    for end in np.linspace(0, len(whole) - 1, 40).astype(int).tolist():
        path.write_bytes(whole[:end])
        with pytest.raises(ReportError):
            read_report(path)


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir()])
def test_a_missing_report_is_a_report_error(make: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    make(path)
    with pytest.raises(ReportError, match="cannot read the report: ") as caught:
        read_report(path)
    assert_one_sentence(caught.value, path)


def test_missing_or_truncated_heatmaps_are_reported(random_report: Report, tmp_path: Path) -> None:
    path = written(random_report, tmp_path)
    heatmaps = tmp_path / "heatmaps.f16"
    heatmaps.write_bytes(heatmaps.read_bytes()[:-1])
    with pytest.raises(ReportError, match="has 3599 bytes instead of 3600"):
        read_report(path)
    heatmaps.unlink()
    with pytest.raises(ReportError, match=r"heatmaps\.f16: cannot read the heatmaps: No such file"):
        read_report(path)


def test_heatmaps_in_another_order_are_refused(random_report: Report, tmp_path: Path) -> None:
    path = written(random_report, tmp_path)
    heatmaps = tmp_path / "heatmaps.f16"
    rows = np.frombuffer(heatmaps.read_bytes(), "<f2").reshape(50, -1)
    heatmaps.write_bytes(rows[::-1].tobytes())
    with pytest.raises(ReportError, match=r"heatmaps\.f16: .* SHA-256 differs") as caught:
        read_report(path)
    assert_one_sentence(caught.value, heatmaps)
