"""``fakelens analyze``: where the results of each input go, and that nothing is replaced."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest

from fakelens.cli.results import find_folder, plan
from fakelens.errors import OutputError
from support.commands import one_sentence, run
from support.plain_pictures import make_picture

LINKS = pytest.mark.skipif(os.name == "nt", reason="links need a right there")


def analyze(*arguments: object) -> str:
    """Analyze inputs without a face; return what was printed."""
    result = run("analyze", *arguments)
    assert result.exit_code == 4, result.output
    return result.stdout


def results(folder: Path) -> dict[str, str]:
    """Return for each folder with results the input that they name and were made from."""
    found = {}
    for path in folder.rglob("report.json"):
        source = path.parent / json.loads(path.read_text(encoding="utf-8"))["input_path"]
        found[path.parent.relative_to(folder).as_posix()] = os.path.relpath(source, folder)
    return found


def pictures(folder: Path, *names: str) -> list[Path]:
    return [make_picture(folder / name, number) for number, name in enumerate(names)]


# Names of inputs, and of the folders of their results.
BESIDE = [
    {"IMG_1.JPG": "IMG_1.JPG_analyzed", "IMG_1.MOV": "IMG_1.MOV_analyzed", "b.png": "b_analyzed"},
    {"real/1.mp4": "real/1_analyzed", "fake/1.mp4": "fake/1_analyzed"},
    {"clip.png": "clip_analyzed", "no extension": "no extension_analyzed"},
    # The full name of one is the stem of another.
    {"a": "a_analyzed", "a.png": "a.png_analyzed"},
    {"a.mp4": "x-a_analyzed", "a.mov": "a.mov_analyzed", "a.mp4.mov": "a.mp4_analyzed"},
    # Some file systems take these for the same.
    {"CLIP.jpg": "CLIP.jpg_analyzed", "clip.png": "clip.png_analyzed"},
]
INSIDE = [
    {"real/001.mp4": "real-001", "fake/001.mp4": "fake-001", "002.mp4": "002"},
    {"real/1.jpg": "real-1", "real/1.mov": "1.mov", "fake/1.jpg": "fake-1"},
    {"a/x/1.mp4": "a-x-1", "b/x/1.mp4": "b-x-1", "x/1.mp4": "x-x-1"},
    # The stem of "...mp4" is "..", which is another folder.
    {"...mp4": "...mp4", "b.mp4": "b"},
]


def orders(names: dict[str, str]) -> list[list[str]]:
    """Return the names so that each of them is the first once."""
    given = list(names)
    return [given[turn:] + given[:turn] for turn in range(len(given))]


@pytest.mark.parametrize("names", BESIDE, ids=", ".join)
def test_results_beside_the_inputs_have_the_least_specific_names(
    names: dict[str, str], tmp_path: Path
) -> None:
    for number, order in enumerate(orders(names)):
        folder = tmp_path / str(number) / "x"
        made = dict(zip(names, pictures(folder, *names), strict=True))
        analyze(*(made[name] for name in order))
        assert results(folder) == {result: name for name, result in names.items()}


@pytest.mark.parametrize("names", INSIDE, ids=", ".join)
def test_results_in_one_folder_have_the_least_specific_names(
    names: dict[str, str], tmp_path: Path
) -> None:
    made = dict(zip(names, pictures(tmp_path / "x", *names), strict=True))
    for number, order in enumerate(orders(names)):
        out = tmp_path / "x" / str(number)
        analyze(*(made[name] for name in order), "-o", out)
        assert results(out) == {result: f"../{name}" for name, result in names.items()}


def test_names_made_of_folders_are_distinct_too(tmp_path: Path) -> None:
    names = ["x/a-b/c.mp4", "y/a-b/c.mp4", "x/a/b-c.mp4", "y/a/b-c.mp4"]
    analyze(*pictures(tmp_path, *names), "-o", tmp_path / "out")
    found = results(tmp_path / "out")
    assert sorted(found.values()) == sorted(f"../{name}" for name in names)
    again = analyze(*(tmp_path / name for name in reversed(names)), "-o", tmp_path / "out")
    assert again.count("already analyzed") == 4
    assert results(tmp_path / "out") == found


def test_an_input_given_twice_is_examined_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (clip,) = pictures(tmp_path, "sub/clip.png")
    spellings = ["sub/clip.png", "./sub/clip.png", "sub/../sub/clip.png", clip]
    said = analyze(*spellings)
    assert said.count("given more than once, analyzed once") == 3
    assert said.count("Results: ") == 1
    assert results(tmp_path) == {"sub/clip_analyzed": "sub/clip.png"}
    assert analyze(*spellings, "--force", "--quiet") == ""


@LINKS
def test_results_lie_beside_a_link_and_not_beside_what_it_leads_to(tmp_path: Path) -> None:
    (clip,) = pictures(tmp_path, "data/4711.png")
    link = tmp_path / "work" / "clip.png"
    link.parent.mkdir()
    link.symlink_to(clip)
    (tmp_path / "elsewhere").symlink_to(tmp_path / "work")
    analyze(link)
    assert results(tmp_path) == {"work/clip_analyzed": "data/4711.png"}
    # The same link, reached by a link to its folder.
    assert "already analyzed" in analyze(tmp_path / "elsewhere" / "clip.png")


def test_dots_in_a_path_are_no_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = pictures(tmp_path, "real/1.png", "fake/1.png")
    (tmp_path / "real" / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "real")
    analyze("1.png", "../fake/1.png", "-o", "../out")
    assert set(results(tmp_path / "out")) == {"real-1", "fake-1"}
    monkeypatch.chdir(tmp_path / "real" / "sub")
    assert analyze("../1.png", made[1], "-o", tmp_path / "out").count("already analyzed") == 2


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_results_of_another_input_are_left_alone(force: tuple[str, ...], tmp_path: Path) -> None:
    first, second = pictures(tmp_path, "a.png", "a.mov")
    analyze(first)
    before = (tmp_path / "a_analyzed" / "report.json").read_bytes()
    analyze(second, *force)
    assert results(tmp_path) == {"a_analyzed": "a.png", "a.mov_analyzed": "a.mov"}
    assert (tmp_path / "a_analyzed" / "report.json").read_bytes() == before
    # Another file of the same name and size, at another place.
    moved = tmp_path / "moved" / "a.png"
    moved.parent.mkdir()
    moved.write_bytes(first.read_bytes()[:-1] + b"\0")
    out = tmp_path / "out"
    analyze(first, second, "-o", out)
    analyze(moved, second, "-o", out, *force)
    assert set(results(out)) == {"a.png", "a.mov", "moved-a"}


def change(path: Path) -> None:
    """Change what a file holds, but not what it shows."""
    path.write_bytes(path.read_bytes() + b"\0")


def made_from(folder: Path) -> str:
    document = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return str(document["provenance"]["input_sha256"])


@pytest.mark.parametrize("output", [None, "out"])
def test_results_of_an_input_that_changed_are_replaced_if_that_is_wanted(
    output: str | None, tmp_path: Path
) -> None:
    (clip,) = pictures(tmp_path, "c.png")
    folder = tmp_path / (output or "c_analyzed")
    options = ("-o", folder) if output else ()
    analyze(clip, *options)
    for _ in range(3):
        before = made_from(folder)
        change(clip)
        refused = run("analyze", clip, *options)
        assert refused.exit_code == 1
        assert "use --force" in one_sentence(refused)
        (target,) = plan([clip], folder if output else None)
        with pytest.raises(OutputError) as caught:
            find_folder(target, force=False)
        assert str(caught.value) == (
            f"{clip}: changed since it was analyzed; use --force to replace the results in {folder}"
        )
        assert made_from(folder) == before
        analyze(clip, *options, "--force")
        assert made_from(folder) == hashlib.sha256(clip.read_bytes()).hexdigest()
        assert list(results(tmp_path)) == [folder.name]


def test_results_of_an_input_as_it_is_now_come_before_those_of_its_past(tmp_path: Path) -> None:
    (clip,) = pictures(tmp_path, "c.png")
    analyze(clip)
    change(clip)
    analyze(clip, "-o", tmp_path / "c.png_analyzed")
    assert f"results in {tmp_path / 'c.png_analyzed'};" in analyze(clip)


def test_an_input_that_changed_does_not_take_the_results_of_its_copy(tmp_path: Path) -> None:
    real, fake = pictures(tmp_path, "real/1.png", "fake/1.png")
    shutil.copy(real, fake)
    out = tmp_path / "out"
    analyze(real, fake, "-o", out)
    change(fake)
    kept = made_from(out / "real-1")
    analyze(fake, real, "-o", out, "--force")
    assert results(out) == {"real-1": "../real/1.png", "fake-1": "../fake/1.png"}
    assert made_from(out / "real-1") == kept != made_from(out / "fake-1")


def test_results_are_found_again_whatever_else_is_analyzed(tmp_path: Path) -> None:
    first, second = pictures(tmp_path, "a.png", "a.mov")
    analyze(first)
    said = analyze(first, second)
    assert f"{first}: already analyzed, results in {tmp_path / 'a_analyzed'};" in said
    assert set(results(tmp_path)) == {"a_analyzed", "a.mov_analyzed"}
    shutil.rmtree(tmp_path / "a_analyzed")
    analyze(first, second)
    shutil.rmtree(tmp_path / "a.mov_analyzed")
    said = analyze(first)
    assert f"results in {tmp_path / 'a.png_analyzed'};" in said
    assert set(results(tmp_path)) == {"a.png_analyzed"}


def test_copies_of_a_file_do_not_take_each_others_results(tmp_path: Path) -> None:
    real, fake, other = pictures(tmp_path, "real/1.png", "fake/1.png", "2.png")
    shutil.copy(real, fake)
    analyze(real, other, "-o", tmp_path / "out")
    for force in ((), ("--force",)):
        analyze(fake, real, "-o", tmp_path / "out", *force)
        found = results(tmp_path / "out")
        assert found == {"1": "../real/1.png", "2": "../2.png", "fake-1": "../fake/1.png"}


def test_a_given_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    first, second = pictures(tmp_path, "a.png", "b.png")
    out = tmp_path / "out"
    analyze(first, "-o", out)
    assert "already analyzed" in analyze(first, "-o", out)
    refused = run("analyze", second, "-o", out)
    assert refused.exit_code == 1
    assert f"{out}: already contains report.json; use --force" in one_sentence(refused)
    assert results(out) == {".": "../a.png"}
    analyze(second, "-o", out, "--force")
    assert results(out) == {".": "../b.png"}


LONG = ["x" * 225, "x" * 242, "x" * 246, "x" * 251, "\N{FISH}" * 62, "a" + "\N{FISH}" * 62]


@pytest.mark.skipif(os.name == "nt", reason="paths are shorter there")
@pytest.mark.parametrize("stem", LONG, ids=lambda stem: f"{stem[:2]} {len(stem.encode())} bytes")
def test_long_names_are_cut(stem: str, tmp_path: Path) -> None:
    names = [f"{stem}.png", f"{stem[:-1]}y.png"]
    made = pictures(tmp_path, *names)
    analyze(made[0])
    ((name, _),) = results(tmp_path).items()
    assert len(name.encode()) <= 255
    assert stem[:50] in name
    assert name.endswith("_analyzed")
    said = analyze(*made)
    assert said.count("already analyzed") == 1
    assert len(results(tmp_path)) == 2
    analyze(*made, "-o", tmp_path / "out")
    assert len(results(tmp_path / "out")) == 2
