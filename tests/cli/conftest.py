"""Clips and results that the tests of several commands share."""

from pathlib import Path

import pytest

from fakelens.evaluation import demo
from support.commands import run
from support.media import make_clip
from support.plain_pictures import make_picture


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of two people, with sound, from public-domain portraits."""
    path = tmp_path_factory.mktemp("clip") / "two people é.mp4"
    demo.make_clip(path, seconds=2)
    return path


@pytest.fixture(scope="session")
def faceless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "faceless.mp4", frames=8)


@pytest.fixture(scope="session")
def analyzed(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("analyzed") / "results"
    result = run("analyze", clip, "-o", folder)
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture(scope="session")
def portrait(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture of one person, in the public domain."""
    pixels = pytest.importorskip("skimage.data").astronaut()
    return make_picture(tmp_path_factory.mktemp("portrait") / "portrait.png", pixels)
