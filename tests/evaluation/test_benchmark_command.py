"""The command ``fakelens benchmark explain``."""

import json
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from fakelens.cli.app import app
from fakelens.evaluation import demo
from fakelens.evaluation.measure import BenchmarkSettings
from fakelens.evaluation.sufficiency import AttackSettings
from fakelens.faces.detectors import load_detector
from fakelens.media.reader import open_video
from fakelens.trust.synthetic_forgery import FORGERY_RECIPES, forge
from support.toys import photograph


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["benchmark", "explain", *map(str, arguments)])


def fails(code: int, *arguments: object) -> str:
    result = run(*arguments)
    assert result.exit_code == code, result.output
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("fakelens: ")
    return line


@pytest.fixture(scope="module")
def portraits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with two public-domain portraits and a picture without a face."""
    folder = tmp_path_factory.mktemp("portraits")
    demo.make_clip(folder / "clip.mp4", seconds=1)
    with open_video(folder / "clip.mp4") as reader:
        frame = next(reader.frames()).image
    (folder / "clip.mp4").unlink()
    left, right = frame[:, : frame.shape[1] // 2], frame[:, frame.shape[1] // 2 :]
    photograph(folder / "left.png", np.ascontiguousarray(left))
    photograph(folder / "right.png", np.ascontiguousarray(right))
    photograph(folder / "wall.png", np.full((200, 200, 3), 90, np.uint8))
    return folder


@pytest.mark.slow
def test_synthetic_forgeries_are_measured(
    portraits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = partial(BenchmarkSettings, attack=AttackSettings(steps=2, pairs=2))
    monkeypatch.setattr("fakelens.evaluation.measure.BenchmarkSettings", quick)
    arguments = [portraits, "--method", "hirescam", "--few", 1, "-o", tmp_path / "out"]
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    assert (
        "fakelens-patch, synthetic forgeries, 2 faces of 2 origins: localisation" in result.stdout
    )
    found = json.loads((tmp_path / "out" / "explain.json").read_text(encoding="utf-8"))
    (one,) = found["results"]
    assert one["method"] == "hirescam"
    assert {"inside", "pixel_auc", "deletion", "ablation", "random_weights"} <= set(one["measures"])
    assert found["datasets"][0]["parts"] == {"eyes": 1, "nose": 1}
    assert one["measures"]["named_by_region"]["faces"] == 2
    assert "2 faces of 2 origins: named parts" in result.stdout
    assert [Path(name).name for name in found["datasets"][0]["groups"]] == [
        "left.png",
        "right.png",
    ]
    assert "--force" in fails(1, *arguments)


def test_frame_pairs_and_labelled_fakes_are_measured(portraits: Path, tmp_path: Path) -> None:
    """The same forged picture as a pair and as a labelled fake; a picture is a one-frame video."""
    with open_video(portraits / "left.png") as reader:
        real = next(reader.frames()).image
    (face,) = load_detector("yunet").detect([real])[0]
    fake, mask = forge(real, face.landmarks, FORGERY_RECIPES[0])
    photograph(tmp_path / "fake.png", fake)
    cv2.imwrite(str(tmp_path / "mask.png"), np.where(mask > 0.3, 1, 0).astype(np.uint8))
    table = tmp_path / "table.csv"
    table.write_text("image,mask,group\nfake.png,mask.png,hopper\n", encoding="utf-8")
    pair = ["--real", portraits / "left.png", "--fake", tmp_path / "fake.png"]
    few = ["--few", 0, "--method", "gradcam", "-o", tmp_path / "out"]
    result = run(*pair, "--labelled", table, *few)
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "out" / "explain.json").read_text(encoding="utf-8"))
    assert [(one["name"], one["faces"], one["groups"]) for one in found["datasets"]] == [
        ("fake", 1, ["left"]),
        ("table", 1, ["hopper"]),
    ]
    assert all(one["parts"] == {} for one in found["datasets"])
    assert "Not measured: it is not known which part of a face is forged" in result.stdout
    measured, known = (one["measures"]["inside_uniform"]["value"] for one in found["results"])
    assert measured == pytest.approx(known, rel=0.5)
    assert "--force" in fails(1, *pair, *few)
    again = run(*pair, *few, "--force", "--quiet")
    assert (again.exit_code, again.stdout) == (0, "")
    assert run(*pair[:2], "--fake", portraits / "left.png", *few[:4], "-o", "x").exit_code == 4


def test_usage_errors_are_one_sentence(portraits: Path, tmp_path: Path) -> None:
    out = ["-o", tmp_path / "out"]
    assert "choose one of hirescam, " in fails(2, portraits, "--method", "cam", *out)
    assert "nothing to measure on" in fails(2, *out)
    assert "--real and --fake go in pairs" in fails(2, "--real", portraits, *out)
    assert "the same name" in fails(
        2, portraits, "--model", "fakelens-patch", "--model", "fakelens-patch", *out
    )
    assert "nowhere" in fails(1, tmp_path / "nowhere", *out)
    assert not (tmp_path / "out").exists()


def test_without_a_face_the_exit_code_is_4(portraits: Path, tmp_path: Path) -> None:
    line = fails(4, portraits / "wall.png", "--quiet", "-o", tmp_path / "out")
    assert line == "fakelens: no face with a known forgery, nothing to measure"


def test_a_method_whose_package_is_missing_is_an_error(
    portraits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fakelens.evaluation.methods.find_spec", lambda _name: None)
    line = fails(1, portraits, "--method", "kernelshap", "-o", tmp_path / "out")
    assert "needs the extra 'benchmark'" in line


def test_a_missing_extra_is_told_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fakelens.evaluation.measure.find_spec", lambda _name: None)
    result = CliRunner().invoke(app, ["benchmark", "explain", str(tmp_path)])
    assert result.exit_code == 1
    assert "needs the extra 'benchmark'" in result.stderr
