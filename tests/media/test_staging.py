"""Results appear together: also beside another analysis, and after a process was killed."""

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fakelens.errors import OutputError
from fakelens.media import staging
from fakelens.media.staging import move_into_place, recover, staging_folder

_PATTERNS = ["report.*", "faces/*.png"]
_NAMES = ["report.json", "report.html", "report.csv", "faces"]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="uses fork and signals")


def _write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def _contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


OLD = {"report.json": "old", "report.html": "old", "faces/1.png": "old", "faces/2.png": "old"}
NEW = {"report.json": "new", "report.html": "new", "faces/1.png": "new", "report.csv": "new"}
MINE = {"mine.txt": "mine", "faces/mine.txt": "mine"}


def _save(folder: Path, *, force: bool = False) -> None:
    with staging_folder(folder) as made:
        _write(made, NEW)
        move_into_place(made, folder, _PATTERNS, force=force)


def test_a_new_folder_has_the_usual_permissions(tmp_path: Path) -> None:
    _save(tmp_path / "out")
    (tmp_path / "usual").mkdir()
    assert (tmp_path / "out").stat().st_mode == (tmp_path / "usual").stat().st_mode
    assert _contents(tmp_path) == {f"out/{name}": text for name, text in NEW.items()}


def test_an_earlier_result_is_replaced_whole_and_other_files_stay(tmp_path: Path) -> None:
    _write(tmp_path / "out", OLD | MINE)
    _save(tmp_path / "out", force=True)
    assert _contents(tmp_path / "out") == NEW | MINE
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("mine", [{}, MINE])
def test_the_second_of_two_results_for_one_folder_is_refused(
    mine: dict[str, str], tmp_path: Path
) -> None:
    _write(tmp_path / "out", mine)
    with staging_folder(tmp_path / "out") as made:
        _write(made, OLD)
        _save(tmp_path / "out")
        with pytest.raises(OutputError, match=r"out: contains .* another analysis .* --force"):
            move_into_place(made, tmp_path / "out", _PATTERNS, force=False)
    assert _contents(tmp_path) == {f"out/{name}": text for name, text in (NEW | mine).items()}


@pytest.mark.parametrize("failing", range(8))
def test_a_move_that_fails_is_undone(
    failing: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(tmp_path / "out", OLD | MINE)
    moves, replace = iter(range(100)), Path.replace

    def fail_once(source: Path, target: Path) -> Path:
        if next(moves) == failing:
            raise OSError(28, "No space left on device")
        return replace(source, target)

    monkeypatch.setattr(Path, "replace", fail_once)
    with pytest.raises(OutputError, match="out: the results cannot be written: No space"):
        _save(tmp_path / "out", force=True)
    monkeypatch.undo()
    assert _contents(tmp_path) == {f"out/{name}": text for name, text in (OLD | MINE).items()}


def test_errors_name_the_folder_of_the_user(tmp_path: Path) -> None:
    with pytest.raises(OutputError) as caught, staging_folder(tmp_path / "out") as made:
        raise OutputError(f"{made / 'annotated.mp4'}: cannot be written")
    assert str(caught.value) == f"{tmp_path / 'out' / 'annotated.mp4'}: cannot be written"


def _killed(folder: Path, moves: int) -> None:
    """Save a result and be killed after a number of moves."""
    counted, replace = iter(range(100)), Path.replace

    def replace_or_die(source: Path, target: Path) -> Path:
        if next(counted) == moves:
            os.kill(os.getpid(), signal.SIGKILL)
        return replace(source, target)

    Path.replace = replace_or_die  # type: ignore[method-assign]
    _save(folder, force=True)
    os.kill(os.getpid(), signal.SIGKILL)


def _in_a_process(run: Callable[..., None], *arguments: object) -> None:
    process = multiprocessing.get_context("fork").Process(target=run, args=arguments)
    process.start()
    process.join(30)
    assert process.exitcode == -signal.SIGKILL


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("moves", range(8))
def test_a_move_that_was_killed_is_completed_or_taken_back_by_the_next_run(
    moves: int, tmp_path: Path
) -> None:
    _write(tmp_path / "out", OLD | MINE)
    _in_a_process(_killed, tmp_path / "out", moves)
    left = _contents(tmp_path / "out")
    assert any(name.startswith(staging.PREFIX) for name in left)
    assert not {"old", "new"} <= {left.get("report.html"), left.get("report.json")}
    recover(tmp_path / "out", _NAMES)
    # Before the first of the new files was moved, the earlier ones come back.
    result = OLD if moves < len(OLD) else NEW
    assert _contents(tmp_path) == {f"out/{name}": text for name, text in (result | MINE).items()}


def _killed_before_the_move(folder: Path) -> None:
    with staging_folder(folder) as made:
        _write(made, NEW)
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")
def test_leftovers_of_killed_processes_are_deleted_and_those_of_living_ones_kept(
    tmp_path: Path,
) -> None:
    with staging_folder(tmp_path / "living") as made:
        _write(made, NEW)
        _in_a_process(_killed_before_the_move, tmp_path / "killed")
        (tmp_path / f"{staging.PREFIX}begun").mkdir()
        assert len(list(tmp_path.iterdir())) == 3
        recover(tmp_path, _NAMES)
        assert {path.name for path in tmp_path.iterdir()} == {
            made.parent.name,
            f"{staging.PREFIX}begun",
        }
        move_into_place(made, tmp_path / "living", _PATTERNS, force=False)
    assert _contents(tmp_path / "living") == NEW


def test_files_that_cannot_be_moved_back_are_kept_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(tmp_path / "out", OLD)
    moves, replace = iter(range(100)), Path.replace

    def fail_from_the_third_on(source: Path, target: Path) -> Path:
        if next(moves) >= 2:
            raise OSError(30, "Read-only file system")
        return replace(source, target)

    monkeypatch.setattr(Path, "replace", fail_from_the_third_on)
    with pytest.raises(OutputError, match="the earlier results are in ") as caught:
        _save(tmp_path / "out", force=True)
    monkeypatch.undo()
    kept = Path(str(caught.value).rpartition(" ")[2])
    assert set(_contents(kept)) == {"faces/1.png", "faces/2.png"}
    recover(tmp_path / "out", _NAMES)
    assert _contents(tmp_path / "out") == OLD


def test_folders_in_folders_are_recovered_and_removed_when_empty(tmp_path: Path) -> None:
    _write(tmp_path / f"{staging.PREFIX}x", {"old/faces/a/b/1.png": "old", "lock": ""})
    recover(tmp_path, _NAMES)
    assert _contents(tmp_path) == {"faces/a/b/1.png": "old"}
    with staging_folder(tmp_path) as made:
        _write(made, {"report.json": "new"})
        move_into_place(made, tmp_path, ["faces/*/*/*.png"], force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_only_files_of_a_result_are_recovered_and_only_beside_it(tmp_path: Path) -> None:
    """A folder of someone else's files may contain anything."""
    (tmp_path / "thesis.txt").write_text("mine")
    holder = tmp_path / f"{staging.PREFIX}x"
    foreign = {"new/thesis.txt": "theirs", "new/.bashrc": "theirs", "new/report.json": "result"}
    _write(holder, foreign | {"old/thesis.txt": "", "lock": "", "replaced": ""})
    recover(tmp_path, _NAMES)
    assert _contents(tmp_path) == {"thesis.txt": "mine", "report.json": "result"}


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("moves", [2, 5])
def test_a_move_is_recovered_once_if_two_processes_try(
    moves: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = Path.replace

    def replace_slowly(source: Path, target: Path) -> Path:
        time.sleep(0.002)
        return replace(source, target)

    for number in range(10):
        folder = tmp_path / str(number)
        _write(folder, OLD)
        _in_a_process(_killed, folder, moves)
        with monkeypatch.context() as patch, ThreadPoolExecutor(4) as pool:
            patch.setattr(Path, "replace", replace_slowly)
            for done in [pool.submit(recover, folder, _NAMES) for _ in range(4)]:
                done.result()
        assert _contents(folder) == (OLD if moves < len(OLD) else NEW)


def test_results_of_two_processes_do_not_mix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = Path.replace

    def replace_slowly(source: Path, target: Path) -> Path:
        time.sleep(0.002)
        return replace(source, target)

    def save(text: str) -> None:
        with staging_folder(tmp_path / "out") as made:
            _write(made, dict.fromkeys((*NEW, f"faces/{text}.png"), text))
            move_into_place(made, tmp_path / "out", _PATTERNS, force=True)

    _write(tmp_path / "out", OLD)
    monkeypatch.setattr(Path, "replace", replace_slowly)
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(save, text) for text in ("one", "two")]:
            done.result()
    (text,) = set(_contents(tmp_path / "out").values())
    assert set(_contents(tmp_path / "out")) == {*NEW, f"faces/{text}.png"}
