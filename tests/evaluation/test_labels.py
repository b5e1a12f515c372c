"""Tables of labelled files, and the faces that are cut from the files."""

from pathlib import Path

import numpy as np
import pytest

from fakelens.errors import FakelensError, MediaError, UsageError
from fakelens.evaluation.labelled_faces import FRAMES, gather_faces
from fakelens.evaluation.labels import LabelledFile, read_labels
from support.builders import CARD
from support.toys import BLUE, FAKE, RED, Actor, ScriptedDetector, film


@pytest.fixture
def table(tmp_path: Path) -> Path:
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).touch()
    return tmp_path / "labels.csv"


def test_labels_are_read(table: Path) -> None:
    rows = (
        "path,label,group,dataset,note\na.mp4,REAL,one,,\nb.mp4, fake ,,set,x\nc.mp4,unknown,,,\n"
    )
    table.write_text(rows, encoding="utf-8-sig")
    one, two = table.parent / "a.mp4", table.parent / "b.mp4"
    wanted = [LabelledFile(one, False, "one", ""), LabelledFile(two, True, str(two), "set")]
    assert read_labels(table) == wanted


def test_an_absolute_path_is_kept(table: Path) -> None:
    table.write_text(f"path,label\n{table.parent / 'a.mp4'},real\nb.mp4,fake\n", encoding="utf-8")
    assert [file.path.name for file in read_labels(table)] == ["a.mp4", "b.mp4"]


@pytest.mark.parametrize(
    ("content", "kind", "words"),
    [
        ("path,answer\na.mp4,real\n", UsageError, "column label is missing"),
        ("label\nreal\n", UsageError, "column path is missing"),
        ("path,label\na.mp4,maybe\n", UsageError, "line 2: the label must be real or fake"),
        ("path,label\na.mp4\n", UsageError, "no value for path or label"),
        ("path,label\na.mp4,real\n", UsageError, "no file is labelled fake"),
        ("path,label\na.mp4,real\na.mp4,fake\n", UsageError, "labelled both real and fake"),
        ("path,label\na.mp4,real\nz.mp4,fake\n", MediaError, "line 3: .*z.mp4 does not exist"),
    ],
)
def test_a_bad_table_is_refused(
    table: Path, content: str, kind: type[FakelensError], words: str
) -> None:
    table.write_text(content, encoding="utf-8")
    with pytest.raises(kind, match=words):
        read_labels(table)


def test_a_table_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="cannot be read as a CSV table"):
        read_labels(tmp_path / "missing.csv")
    (tmp_path / "binary.csv").write_bytes(b"path,label\n\xff\xfe")
    with pytest.raises(MediaError, match="cannot be read as a CSV table"):
        read_labels(tmp_path / "binary.csv")


def files(folder: Path, **actors: tuple[Actor, ...]) -> list[LabelledFile]:
    return [
        LabelledFile(film(folder / f"{name}.mp4", *some), name.startswith("fake"), name, "")
        for name, some in actors.items()
    ]


def test_the_largest_faces_are_cut_evenly(tmp_path: Path) -> None:
    """Each label gets half of the limit; a small blue face beside the red one is not used."""
    small = Actor(BLUE, 120, side=30)
    detector = ScriptedDetector(FAKE, small)
    listed = files(tmp_path, fake=(FAKE, small), real1=(FAKE, small), real2=(FAKE, small))
    done: list[tuple[int, int | None]] = []
    found = gather_faces(listed, CARD, detector, 8, lambda *step: done.append(step))
    assert [(face.group, face.fake) for face in found.faces] == [
        *[("real1", False)] * 2,
        *[("real2", False)] * 2,
        *[("fake", True)] * 4,
    ]
    assert done[-1] == (3, 3)
    for face in found.faces:
        assert face.crop.shape == (32, 32, 3)
        centre = face.crop[8:24, 8:24].mean(axis=(0, 1))
        assert np.abs(centre - RED).max() < 30
    assert found.describe() == "4 genuine and 4 fake faces of 3 files"


def test_no_more_than_eight_frames_of_a_video_are_used(tmp_path: Path) -> None:
    listed = files(tmp_path, fake=(FAKE,), real=(FAKE,))
    found = gather_faces(listed, CARD, ScriptedDetector(FAKE))
    assert len(found.faces) == 2 * FRAMES


def test_files_without_a_face_are_counted(tmp_path: Path) -> None:
    listed = files(tmp_path, fake=(FAKE,), real=(FAKE,))
    late = ScriptedDetector(Actor(RED, 10, first=0, last=2))
    assert gather_faces(listed, CARD, late).without_face == ()
    with pytest.raises(MediaError, match="labelled real"):
        gather_faces(listed, CARD, ScriptedDetector())
    with pytest.raises(UsageError, match="2 or more"):
        gather_faces(listed, CARD, late, limit=1)
