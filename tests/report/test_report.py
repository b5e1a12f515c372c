"""The files of a report: complete, true to the analysis, and never half written."""

import csv
import dataclasses
import json
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import jsonschema
import numpy as np
import pytest

from fakelens.errors import MediaError, OutputError, ReportError
from fakelens.faces.crops import extract_crop
from fakelens.media.reader import open_video
from fakelens.records.arrays import sigmoid
from fakelens.records.faces import Box
from fakelens.records.report import Report
from fakelens.records.tracks import Track
from fakelens.render.style import Style
from fakelens.report.document import json_schema, read_report, write_document
from fakelens.report.portraits import Portraits
from fakelens.report.save import save_drawings, save_report
from fakelens.report.table import COLUMNS, write_table
from support.builders import make_report, make_track
from support.toys import (
    FAKE,
    HEIGHT,
    REAL,
    WIDTH,
    Actor,
    analyzed,
    count_frames,
    draw_scene,
    film,
    photograph,
)

FRAMES = 30
FILES = {
    "report.json",
    "heatmaps.f16",
    "scores.csv",
    "report.html",
    "annotated.mp4",
    "untouched.mp4",
    "faces/person-1.png",
    "faces/person-2.png",
}
DRAWINGS = {"annotated.mp4", "faces/person-1.png", "faces/person-2.png"}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("clip") / "two.mp4", FAKE, REAL, frames=FRAMES)


@pytest.fixture(scope="module")
def report(clip: Path) -> Report:
    return analyzed(clip, FAKE, REAL)


@pytest.fixture(scope="module")
def saved(report: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all files; not to be changed."""
    folder = tmp_path_factory.mktemp("saved") / "out"
    save_report(report, folder)
    return folder


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in files(folder)}


# --- report.json ---------------------------------------------------------------------------------

ROUNDED_TO = {
    "times": 1e-6,
    "boxes": 1e-2,
    "areas": 1e-2,
    "landmarks": 1e-2,
    "confidences": 1e-4,
    "sharpness": 1e-3,
    "logits": 1e-6,
}


def lively_track(person: int, rows: range) -> Track:
    """A track in which every value of every column is different."""
    count, rng = len(rows), np.random.default_rng(person)
    landmarks = rng.uniform(0, 200, (count, 5, 2)).astype(np.float32)
    landmarks[::4] = np.nan
    corners = rng.uniform(-20, 100, (count, 2))
    return dataclasses.replace(
        make_track(rng.normal(0, 5, count), person=person, every=2, first=person),
        times=np.cumsum(rng.uniform(0.01, 0.1, count)),
        boxes=np.hstack([corners, corners + rng.uniform(1, 50, (count, 2))]).astype(np.float32),
        areas=np.hstack([corners, corners + rng.uniform(1, 80, (count, 1))]).astype(np.float32),
        landmarks=landmarks,
        confidences=rng.uniform(0, 1, count).astype(np.float32),
        detected=rng.random(count) < 0.5,
        sharpness=rng.uniform(0, 1, count).astype(np.float32),
        quality_flags=rng.integers(0, 8, count).astype(np.uint8),
        heatmaps=np.asarray(rng.permutation(rows), dtype=np.int64),
        peaks=rng.uniform(0, 1e-3, count).astype(np.float32),
    )


@pytest.fixture
def lively() -> Report:
    maps = np.random.default_rng(9).normal(0, 1, (50, 6, 6))
    return make_report(
        lively_track(1, range(30)), lively_track(2, range(30, 50)), maps=maps, every=2
    )


def written(report: Report, folder: Path) -> Path:
    write_document(report, folder, folder)
    return folder / "report.json"


def test_a_report_comes_back_as_it_was(lively: Report, tmp_path: Path) -> None:
    read = read_report(written(lively, tmp_path))
    for track, wanted in zip(read.tracks, lively.tracks, strict=True):
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
        np.testing.assert_array_equal(read.heatmaps[row], lively.heatmaps[row])
    for field in dataclasses.fields(Report):
        if field.name not in ("tracks", "heatmaps", "source"):
            assert getattr(read, field.name) == getattr(lively, field.name), field.name


def test_places_may_be_named_by_strings(report: Report, tmp_path: Path) -> None:
    """As in the example that the package's docstring begins with."""
    save_report(report, str(tmp_path / "out"), video=False)
    read = read_report(str(tmp_path / "out" / "report.json"))
    save_drawings(read, str(tmp_path / "again"), style=Style())
    assert files(tmp_path / "again") == DRAWINGS


def test_a_report_without_persons_comes_back_too(clip: Path, tmp_path: Path) -> None:
    empty = analyzed(clip)
    read = read_report(written(empty, tmp_path))
    assert (read.tracks, read.findings, len(read.heatmaps)) == ((), (), 0)
    assert read.frames == FRAMES


def test_a_report_that_was_read_can_be_written_again(lively: Report, tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    second.mkdir()
    written(read_report(written(lively, first)), second)
    assert contents(first) == contents(second)


@pytest.mark.parametrize("name", ["lively", "report", "empty"])
def test_the_file_is_what_the_schema_says(
    name: str, request: pytest.FixtureRequest, clip: Path, tmp_path: Path
) -> None:
    report = analyzed(clip) if name == "empty" else request.getfixturevalue(name)
    content = json.loads(written(report, tmp_path).read_text(encoding="utf-8"))
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(content, schema, jsonschema.Draft202012Validator)


def test_a_long_report_is_written_in_pieces(
    lively: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole columns: 30 and 20 rows; pieces of 7."""
    for name, piece in (("whole", 1000), ("pieces", 7)):
        monkeypatch.setattr("fakelens.report.document._PIECE", piece)
        (tmp_path / name).mkdir()
        write_document(lively, tmp_path / name, tmp_path / name)
    whole, pieces = ((tmp_path / name / "report.json").read_text() for name in ("whole", "pieces"))
    assert pieces == whole


def test_half_an_hour_of_faces_takes_no_more_memory_to_write_than_five_minutes(
    tmp_path: Path,
) -> None:
    peaks = []
    for minutes in (5, 30):
        rows = minutes * 60 * 25
        report = make_report(lively_track(1, range(rows)), maps=np.zeros((rows, 1, 1)))
        tracemalloc.start()
        write_document(report, tmp_path, tmp_path)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


def test_the_schema_refuses_what_is_not_a_report(lively: Report, tmp_path: Path) -> None:
    content = json.loads(written(lively, tmp_path).read_text(encoding="utf-8"))
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


def test_where_the_input_is_now_can_be_said(saved: Path, tmp_path: Path) -> None:
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
        lambda c: c.update(schema_version=3, frames={"count": 3}),
        "schema_version: is 3, this program reads 2; analyze the video again",
    ),
    "an older version": (
        lambda c: c.update(schema_version=1),
        "schema_version: is 1, this program reads 2; analyze the video again",
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
    "a box turned round": (
        lambda c: track_of(c)["boxes"][2].reverse(),
        "a box has no width or height",
    ),
    "frames out of order": (
        lambda c: track_of(c)["frames"].reverse(),
        "the frames are not in order",
    ),
    "a heatmap that is not there": (
        lambda c: track_of(c)["heatmaps"].__setitem__(3, 50),
        "a face points at a heatmap that is not there",
    ),
    "a negative heatmap": (
        lambda c: track_of(c)["heatmaps"].__setitem__(3, -1),
        "greater than or equal to 0",
    ),
    "an endless number": (
        lambda c: track_of(c)["frames"].__setitem__(-1, 10**30),
        "persons.0.track.frames.29: Input should be less than",
    ),
    "no number": (
        lambda c: track_of(c)["logits"].__setitem__(3, float("nan")),
        "finite number",
    ),
    "a doubt that does not exist": (
        lambda c: track_of(c)["quality_flags"].__setitem__(3, 8),
        "less than or equal to 7",
    ),
    "an unknown heatmap method": (
        lambda c: c["heatmaps"].update(method="guess"),
        "heatmaps.method: is none of this program's heatmap methods",
    ),
    "another file": (
        lambda c: c["heatmaps"].update(file="../../secret"),
        "heatmaps.file: String should match",
    ),
    "thresholds crossed": (
        lambda c: c["thresholds"].update(real=0.9),
        "thresholds must satisfy",
    ),
    "a setting out of range": (
        lambda c: c["settings"].update(every=0),
        "every must be 1",
    ),
    "an unknown verdict": (
        lambda c: c["persons"][0]["finding"].update(verdict="maybe"),
        "Input should be 'likely fake', 'likely real' or 'inconclusive'",
    ),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_report_is_refused_in_one_sentence(
    kind: str, lively: Report, tmp_path: Path
) -> None:
    written(lively, tmp_path)
    change, sentence = DAMAGE[kind]
    path = damaged(tmp_path, change)
    with pytest.raises(ReportError, match=sentence) as caught:
        read_report(path)
    assert_one_sentence(caught.value, path)


def test_a_field_that_a_later_version_added_is_passed_over(lively: Report, tmp_path: Path) -> None:
    written(lively, tmp_path)

    def add(content: dict[str, Any]) -> None:
        content["mood"] = "sunny"
        content["settings"]["mood"] = content["persons"][0]["finding"]["mood"] = "sunny"

    assert read_report(damaged(tmp_path, add)).findings == lively.findings


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"\xff\xfe\x00", b'{"schema_version": 1}', b"PK\x03\x04"]
)
def test_what_is_not_a_report_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(content)
    with pytest.raises(ReportError, match="not a report this version can read") as caught:
        read_report(path)
    assert_one_sentence(caught.value, path)


def test_a_report_that_is_cut_off_anywhere_is_refused(lively: Report, tmp_path: Path) -> None:
    path = written(lively, tmp_path)
    whole = path.read_bytes()
    for end in np.linspace(0, len(whole) - 1, 40).astype(int).tolist():
        path.write_bytes(whole[:end])
        with pytest.raises(ReportError):
            read_report(path)


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir()])
def test_a_report_that_is_not_there_is_a_report_error(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "report.json"
    make(path)
    with pytest.raises(ReportError, match="cannot read the report: ") as caught:
        read_report(path)
    assert_one_sentence(caught.value, path)


def test_missing_or_short_heatmaps_are_told(lively: Report, tmp_path: Path) -> None:
    path = written(lively, tmp_path)
    heatmaps = tmp_path / "heatmaps.f16"
    heatmaps.write_bytes(heatmaps.read_bytes()[:-1])
    with pytest.raises(ReportError, match="has 3599 bytes where its report promises 3600"):
        read_report(path)
    heatmaps.unlink()
    with pytest.raises(ReportError, match=r"heatmaps\.f16: cannot read the heatmaps: No such file"):
        read_report(path)


# --- scores.csv ----------------------------------------------------------------------------------


def test_the_table_has_one_row_per_face_ordered_by_frame_and_person(
    lively: Report, tmp_path: Path
) -> None:
    write_table(lively, tmp_path)
    with (tmp_path / "scores.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert ",".join(header).startswith("frame,time,person,x1,y1,x2,y2,logit,score")
    assert tuple(header) == COLUMNS
    keys = [(int(row[0]), int(row[2])) for row in rows]
    assert keys == sorted(keys)
    by_key = dict(zip(keys, rows, strict=True))
    assert len(by_key) == 50
    for track in lively.tracks:
        for observation in track:
            row = by_key[observation.frame, track.person]
            box = observation.box
            np.testing.assert_allclose(
                [float(value) for value in row[1:2] + row[3:8]],
                [observation.time, box.x1, box.y1, box.x2, box.y2, observation.logit],
                atol=0.0051,
            )
            assert float(row[7]) == pytest.approx(observation.logit, abs=1e-6)
            assert float(row[8]) == pytest.approx(float(sigmoid(float(row[7]))), abs=2e-6)
            assert row[9] == str(int(observation.quality_flags == 0))
            assert bool(row[10]) == bool(observation.quality_flags)


def test_the_table_names_the_doubts(tmp_path: Path) -> None:
    track = make_track([1, 2], quality_flags=[0, 0b111])
    write_table(make_report(track, maps=np.ones((2, 4, 4))), tmp_path)
    rows = list(csv.DictReader((tmp_path / "scores.csv").read_text().splitlines()))
    assert [row["quality_flags"] for row in rows] == [
        "",
        "the face is too small; the face is too blurred; it may not be a face",
    ]


def test_the_table_of_nobody_has_a_header_only(tmp_path: Path) -> None:
    write_table(make_report(maps=np.ones((1, 4, 4))), tmp_path)
    assert (tmp_path / "scores.csv").read_text() == ",".join(COLUMNS) + "\n"


# --- all files -----------------------------------------------------------------------------------


def test_all_files_are_there_and_nothing_else(report: Report, tmp_path: Path) -> None:
    paths = save_report(report, tmp_path / "new" / "out")
    assert files(tmp_path) == {f"new/out/{name}" for name in FILES}
    assert {path.relative_to(tmp_path / "new" / "out").as_posix() for path in paths} == FILES
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["out"]


def test_what_is_drawn_is_the_video_with_the_faces_marked(saved: Path, clip: Path) -> None:
    assert count_frames(saved / "annotated.mp4") == FRAMES
    with open_video(saved / "annotated.mp4") as drawn, open_video(clip) as plain:
        for found, wanted in zip(drawn.frames(), plain.frames(), strict=True):
            assert found.time == wanted.time
            difference = np.abs(found.image.astype(int) - wanted.image).mean(axis=2)
            box = FAKE.box(found.index)
            assert box is not None
            face = difference[80:110, int(box.x1) + 15 : int(box.x2) - 15]
            assert face.mean() > 20, "heat"
            assert difference[135:, 215:].mean() < 8, "nothing but compression"


@pytest.mark.parametrize(("person", "actor"), [(1, FAKE), (2, REAL)])
def test_the_picture_of_a_person_shows_them_untouched_and_with_the_heatmap(
    saved: Path, person: int, actor: Actor
) -> None:
    image = cv2.imread(str(saved / f"faces/person-{person}.png"))
    assert image.shape == (320, 640, 3)
    untouched, drawn = image[:, :320, ::-1].astype(int), image[:, 320:, ::-1].astype(int)
    np.testing.assert_allclose(untouched[110:210, 110:210].mean(axis=(0, 1)), actor.colour, atol=8)
    heat = np.abs(drawn - untouched).mean()
    assert (heat > 10) == (actor is FAKE), "by default evidence of fake alone is drawn"


def test_the_picture_of_a_person_is_of_their_own_key_frame(
    report: Report, clip: Path, tmp_path: Path
) -> None:
    keys = (20, 5)
    findings = [
        dataclasses.replace(finding, key_frame=key)
        for finding, key in zip(report.findings, keys, strict=True)
    ]
    told = dataclasses.replace(report, findings=tuple(findings))
    Portraits(told, tmp_path / "faces", Style()).write_all()
    with open_video(clip) as reader:
        images = [frame.image for frame in reader.frames()]
    for person, track, key in zip((1, 2), report.tracks, keys, strict=True):
        (x, y), half = track[key].area.center, 1.25 * track[key].area.width / 2
        wanted = extract_crop(images[key], Box(x - half, y - half, x + half, y + half), 320)
        image = cv2.imread(str(tmp_path / "faces" / f"person-{person}.png"))
        np.testing.assert_array_equal(image[:, :320, ::-1], wanted)


def test_the_video_can_be_left_out(report: Report, tmp_path: Path) -> None:
    save_report(report, tmp_path / "out", video=False)
    assert files(tmp_path / "out") == FILES - {"annotated.mp4", "untouched.mp4"}


def test_a_report_of_nobody_has_neither_drawings_nor_faces(clip: Path, tmp_path: Path) -> None:
    save_report(analyzed(clip), tmp_path / "out")
    assert files(tmp_path / "out") == FILES - DRAWINGS


def test_a_picture_is_drawn_as_a_picture(tmp_path: Path) -> None:
    image = draw_scene(0, (FAKE, REAL))
    path = photograph(tmp_path / "in.png", image)
    save_report(analyzed(path, FAKE, REAL), tmp_path / "out", style=Style(side_by_side=True))
    assert files(tmp_path / "out") == FILES - {"annotated.mp4", "untouched.mp4"} | {"annotated.png"}
    drawn = cv2.imread(str(tmp_path / "out" / "annotated.png"))[:, :, ::-1]
    np.testing.assert_array_equal(drawn[:, :WIDTH], image)
    assert np.abs(drawn[80:110, WIDTH + 30 : WIDTH + 60].astype(int) - image[80:110, 30:60]).min()
    np.testing.assert_array_equal(drawn[130:, WIDTH:], image[130:])


def test_progress_is_told_while_drawing(report: Report, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    save_report(report, tmp_path / "out", progress=lambda *at: told.append(at))
    assert told == [(frame + 1, FRAMES) for frame in range(FRAMES)]


def test_a_report_is_not_overwritten_unless_told(saved: Path, report: Report) -> None:
    before = contents(saved)
    for save in (save_report, lambda *a: save_drawings(*a, style=Style())):
        with pytest.raises(OutputError, match=r"holds .* already; --force replaces it"):
            save(report, saved)
    assert contents(saved) == before


def test_force_replaces_a_report_and_leaves_everything_else(
    report: Report, clip: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    save_report(report, folder)
    mine = {"notes.txt": b"mine", "faces/me.png": b"me", "sub/report.json": b"{}"}
    for name, content in mine.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    save_report(analyzed(clip, FAKE), folder, force=True, video=False)
    stale = {"annotated.mp4", "untouched.mp4", "faces/person-2.png"}
    assert files(folder) == FILES - stale | set(mine)
    assert contents(folder).items() >= mine.items()
    assert len(read_report(folder / "report.json").tracks) == 1


def test_force_leaves_no_empty_folder_behind(report: Report, clip: Path, tmp_path: Path) -> None:
    save_report(report, tmp_path / "out")
    save_report(analyzed(clip), tmp_path / "out", force=True)
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES - DRAWINGS


class DrawingError(Exception):
    pass


def fail_at_frame_9(done: int, total: int | None) -> None:
    if done == 9:
        raise DrawingError


def test_an_error_while_drawing_leaves_nothing(report: Report, tmp_path: Path) -> None:
    with pytest.raises(DrawingError):
        save_report(report, tmp_path / "new" / "out", progress=fail_at_frame_9)
    assert list(tmp_path.iterdir()) == []


def test_an_error_while_drawing_leaves_an_earlier_report_as_it_was(
    report: Report, tmp_path: Path
) -> None:
    save_report(report, tmp_path / "out")
    before = contents(tmp_path)
    with pytest.raises(DrawingError):
        save_report(report, tmp_path / "out", force=True, progress=fail_at_frame_9)
    assert contents(tmp_path) == before


def test_a_video_that_is_gone_is_a_media_error_and_leaves_nothing(
    report: Report, tmp_path: Path
) -> None:
    lost = dataclasses.replace(report, source=tmp_path / "lost.mp4")
    with pytest.raises(MediaError, match=r"lost\.mp4"):
        save_report(lost, tmp_path / "out")
    with pytest.raises(MediaError, match=r"lost\.mp4"):
        save_drawings(lost, tmp_path / "out", style=Style())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file_is_refused(report: Report, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(OutputError, match="out: is a file; name a folder"):
        save_report(report, tmp_path / "out", force=True)
    assert (tmp_path / "out").read_text() == "mine"


def test_a_place_under_a_file_is_refused(report: Report, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match="out: cannot write there: Not a directory"):
        save_report(report, tmp_path / "file" / "out")
    assert contents(tmp_path) == {"file": b"mine"}


def test_a_folder_may_be_the_only_place_that_can_be_written(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where it is a disk of its own, mounted into a place that is read-only."""
    folder = tmp_path / "out"
    folder.mkdir()
    whole = Path.replace

    def replace(source: Path, target: Path) -> Path:
        assert source.is_relative_to(folder), "moved from another disk"
        return whole(source, target)

    monkeypatch.setattr(Path, "replace", replace)
    save_report(report, folder, video=False)
    assert files(folder) == FILES - {"annotated.mp4", "untouched.mp4"}


@pytest.mark.parametrize("name", ["annotated.mp4", "untouched.mp4", "report.json"])
def test_the_input_is_never_overwritten(name: str, clip: Path, tmp_path: Path) -> None:
    """The annotated video of an earlier run is a video like any other."""
    path = Path(shutil.copy(clip, tmp_path / name))
    report = analyzed(path, FAKE)
    for save in (save_report, lambda *a, **k: save_drawings(*a, style=Style(), **k)):
        if save is save_report or name == "annotated.mp4":
            with pytest.raises(OutputError, match="is the input"):
                save(report, tmp_path, force=True)
    assert contents(tmp_path) == {name: clip.read_bytes()}


def test_the_picture_of_a_face_can_be_the_input(tmp_path: Path) -> None:
    path = tmp_path / "faces" / "person-1.png"
    path.parent.mkdir()
    photograph(path, draw_scene(0, (FAKE,)))
    before = contents(tmp_path)
    with pytest.raises(OutputError, match="is the input"):
        save_report(analyzed(path, FAKE), tmp_path, force=True)
    assert contents(tmp_path) == before


# --- drawing again -------------------------------------------------------------------------------


def test_a_saved_report_is_drawn_again_without_the_model(saved: Path, tmp_path: Path) -> None:
    read = read_report(saved / "report.json")
    save_drawings(read, tmp_path / "out", style=Style())
    assert files(tmp_path / "out") == DRAWINGS
    # The rounding of the boxes can move a pixel, so the files are not the same to the bit.
    again, first = (folder / "annotated.mp4" for folder in (tmp_path / "out", saved))
    with open_video(again) as drawn, open_video(first) as before:
        for found, wanted in zip(drawn.frames(), before.frames(), strict=True):
            assert np.abs(found.image.astype(int) - wanted.image).mean() < 1


def test_another_style_draws_another_video_of_the_same_frames(saved: Path, tmp_path: Path) -> None:
    read = read_report(saved / "report.json")
    save_drawings(read, tmp_path / "out", style=Style(side_by_side=True, evidence="both"))
    with open_video(tmp_path / "out" / "annotated.mp4") as reader:
        assert (reader.info.width, reader.info.height) == (2 * WIDTH, HEIGHT)
        assert sum(1 for _ in reader.frames()) == FRAMES


def test_drawing_again_into_the_reports_folder_leaves_the_report(
    report: Report, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    save_report(report, folder)
    before = contents(folder)
    save_drawings(
        read_report(folder / "report.json"), folder, style=Style(colormap="turbo"), force=True
    )
    after = contents(folder)
    assert set(after) == FILES
    different = {name for name in FILES if before[name] != after[name]}
    assert {"annotated.mp4", "faces/person-1.png"} <= different <= DRAWINGS


def test_another_video_is_not_taken_for_the_reports(
    saved: Path, tmp_path: Path, clip: Path
) -> None:
    other = film(tmp_path / "other.mp4", FAKE, frames=FRAMES)
    read = read_report(saved / "report.json", source=other)
    with pytest.raises(MediaError, match="not the video of this report"):
        save_drawings(read, tmp_path / "out", style=Style())
    assert files(tmp_path) == {"other.mp4"}
