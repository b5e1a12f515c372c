"""Results folders: what stands in the way is found early, and nothing is left behind."""

import os
from pathlib import Path

import pytest

from fakelens.errors import OutputError
from fakelens.media.results_folder import check_free
from fakelens.media.staging import move_into_place, nearest_existing, staging_folder


@pytest.mark.parametrize("folder", [".", "new", "new/and/below", "new/../other"])
def test_a_folder_that_can_be_made_is_not_made_yet(folder: str, tmp_path: Path) -> None:
    check_free(tmp_path / folder, ["report.json"], force=False)
    assert not list(tmp_path.iterdir())
    assert tmp_path.stat().st_nlink == 2


@pytest.mark.skipif(os.name == "nt", reason="other names are invalid there")
@pytest.mark.parametrize(
    ("folder", "said"),
    [
        ("file", "is a file; choose a folder"),
        ("file/below", "is a file; choose a folder"),
        ("link", "is a link to nothing; choose a folder"),
        ("link/below", "is a link to nothing; choose a folder"),
        ("loop/below", "choose a folder"),
        ("x" * 256, "cannot be written: File name too long"),
        (f"new/{'x' * 256}/below", "cannot be written: File name too long"),
    ],
)
@pytest.mark.parametrize("force", [False, True])
def test_a_folder_that_cannot_be_made_is_told(
    folder: str, said: str, force: bool, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OutputError, match=said):
        check_free(tmp_path / folder, ["report.json"], force=force)
    assert {path.name for path in tmp_path.iterdir()} == {"file", "link", "loop"}


def test_a_full_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "report.json").touch()
    with pytest.raises(OutputError, match=r"already contains report\.json; use --force"):
        check_free(tmp_path, ["scores.csv", "report.json"], force=False)
    check_free(tmp_path, ["scores.csv", "report.json"], force=True)
    check_free(tmp_path, ["scores.csv"], force=False)


@pytest.mark.skipif(os.name == "nt", reason="paths are shorter there")
@pytest.mark.parametrize("name", ["x" * 255, "\N{FISH}" * 63], ids=["ASCII", "4 bytes"])
def test_a_folder_may_have_the_longest_name(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    check_free(folder, ["report.json"], force=False)
    with staging_folder(folder) as staging:
        assert staging.parent.parent == tmp_path
        (staging / "report.json").write_text("{}")
        assert move_into_place(staging, folder, ["*.json"], force=False) == [folder / "report.json"]
    assert list(tmp_path.rglob("*")) == [folder, folder / "report.json"]


def test_the_nearest_existing_folder_is_on_the_same_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    assert nearest_existing(Path("here")) == tmp_path / "here"
    assert nearest_existing(Path("here/new/below")) == tmp_path / "here"
    assert nearest_existing(Path("new")) == tmp_path
