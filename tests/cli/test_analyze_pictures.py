"""``fakelens analyze`` on pictures of many formats that show the same face."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from fakelens.records.arrays import RGBImage
from support.commands import one_sentence, run
from support.media import truncate
from support.pictures import Image, draw_scene, save, save_heic_grid


@pytest.fixture(scope="module")
def portrait() -> RGBImage:
    image: RGBImage = pytest.importorskip("skimage.data").astronaut()[:400]
    return image


def analyze(path: Path, *options: str) -> dict[str, Any]:
    result = run("analyze", path, "-o", path.with_suffix(".results"), *options)
    assert result.exit_code == 0, result.output
    text = (path.with_suffix(".results") / "report.json").read_text(encoding="utf-8")
    report: dict[str, Any] = json.loads(text)
    return report


@pytest.fixture(scope="module")
def reference(portrait: RGBImage, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = save(tmp_path_factory.mktemp("reference") / "a.png", portrait)
    return analyze(path, "--no-trust")


def write(path: Path, portrait: RGBImage) -> Path:
    """Write the portrait as the name says."""
    name, orientation = path.stem.split("-")
    if name == "grid":
        return save_heic_grid(path, portrait, tile=256, turns=int(orientation))
    if name == "deep":
        cv2.imwrite(str(path), portrait[..., ::-1].astype(np.uint16) * 257)
        return path
    return save(path, portrait, int(orientation), **({"quality": 100} if name == "camera" else {}))


@pytest.mark.parametrize(
    "name",
    [
        "phone-6.heic",
        "grid-1.heic",
        "web-5.avif",
        "camera-8.jpg",
        "camera-2.jpg",
        "scan-3.tiff",
        "web-7.webp",
        "deep-1.png",
        "deep-1.tiff",
    ],
)
def test_a_face_has_the_same_score_and_box_in_every_format(
    name: str, portrait: RGBImage, reference: dict[str, Any], tmp_path: Path
) -> None:
    report = analyze(write(tmp_path / name, portrait), "--no-trust")
    (found,), (expected,) = report["persons"], reference["persons"]
    assert found["finding"]["score"] == pytest.approx(expected["finding"]["score"], abs=0.02)
    assert found["track"]["boxes"][0] == pytest.approx(expected["track"]["boxes"][0], abs=2)
    assert report["damage"] == []
    annotated = cv2.imread(str(tmp_path / name).rsplit(".", 1)[0] + ".results/annotated.png")
    assert annotated.shape == portrait.shape
    below = slice(250, 320)  # the face, and above the caption
    untouched = annotated[below, :, ::-1].astype(int) - portrait[below]
    assert np.abs(untouched).mean() < 3


def test_other_pages_are_named_in_the_report(portrait: RGBImage, tmp_path: Path) -> None:
    second = Image.fromarray(draw_scene(300, 200))
    path = save(tmp_path / "a.tiff", portrait, save_all=True, append_images=[second])
    report = analyze(path, "--no-trust")
    assert report["video"]["stream"] == 1
    assert report["video"]["other_streams"] == ["page 2: 300 x 200"]
    page = (tmp_path / "a.results" / "report.html").read_text(encoding="utf-8")
    assert "page 2: 300 x 200" in page


def test_what_was_changed_and_what_is_missing_is_told(portrait: RGBImage, tmp_path: Path) -> None:
    path = truncate(save(tmp_path / "a.jpg", portrait, 3), 0.8)
    report = analyze(path, "--no-trust")
    page = (tmp_path / "a.results" / "report.html").read_text(encoding="utf-8")
    (damage,) = report["damage"]
    for told in (damage["message"], "The picture was turned upright (EXIF orientation 3)."):
        assert told in page


def test_a_picture_that_cannot_be_decoded_ends_with_one_sentence(
    portrait: RGBImage, tmp_path: Path
) -> None:
    path = truncate(save(tmp_path / "a.webp", portrait), 0.5)
    result = run("analyze", path, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert "no part of it can be decoded" in one_sentence(result)
