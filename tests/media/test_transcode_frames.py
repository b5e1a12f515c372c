"""Transcoding keeps the picture and its colours, and shows what is drawn."""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fakelens.media.planes import Planes
from fakelens.media.transcode import transcode
from support.media import BT709, UNTAGGED, Tags, draw_frame, make_clip
from support.transcoding import copy, draw_nothing, draw_white_square, rgb, stored_luma


@pytest.mark.parametrize("rotation", [90, 180, 270])
@pytest.mark.parametrize("size", [(128, 96), (131, 97)])
def test_rotation_is_applied_to_the_pixels(tmp_path, rotation, size):
    source = make_clip(tmp_path / "a.mp4", rotation=rotation, size=size, pixel_format="yuv444p")
    target = copy(source)
    with av.open(target) as container:
        assert next(container.decode(video=0)).rotation == 0
    capture = cv2.VideoCapture(str(source))  # applies the rotation itself
    upright = capture.read()[1][..., ::-1].astype(int)
    height, width = upright.shape[:2]
    image = rgb(target)[0]
    assert image.shape == (height + height % 2, width + width % 2, 3)
    assert np.abs(image[:height, :width] - upright).mean() < 4


@pytest.mark.parametrize("size", [(131, 96), (128, 97), (131, 97)])
def test_odd_sides_are_made_even_by_repeating_the_edge(tmp_path, size):
    source = make_clip(tmp_path / "a.mp4", size=size, pixel_format="yuv444p")
    seen: list[NDArray[np.uint8]] = []
    target = copy(source, lambda index, planes: seen.append(planes.y.copy()))
    before, after = stored_luma(source), np.stack(seen)
    assert after.shape == (12, size[1] + size[1] % 2, size[0] + size[0] % 2)
    assert np.array_equal(after[:, : size[1], : size[0]], before)
    assert np.array_equal(after[:, -1, : size[0]], before[:, -1])
    assert np.array_equal(after[:, : size[1], -1], before[:, :, -1])
    assert stored_luma(target).shape == after.shape


FORMATS = [
    ("a.mp4", "libx264", "yuv420p", UNTAGGED),
    ("a.mp4", "libx264", "yuv420p", BT709),
    ("a.mp4", "libx264", "yuv444p", UNTAGGED),
    ("a.mp4", "libx264", "yuv444p", BT709),
    ("a.mp4", "libx264", "yuv422p10le", BT709),
    ("a.mp4", "libx264", "yuv420p10le", Tags(9, 1, 9, 14)),
    ("a.mp4", "libx264", "yuvj420p", Tags(6, 2, 6, 6)),
    ("a.mp4", "libx264", "yuv420p", Tags(1, 2, 1, 1)),
    ("a.mp4", "libx264", "yuv444p", Tags(1, 2, 1, 1)),
    ("a.avi", "mjpeg", "yuvj422p", UNTAGGED),
    ("a.mkv", "ffv1", "gray", UNTAGGED),
    ("a.mkv", "ffv1", "gray10le", UNTAGGED),
    ("a.mkv", "ffv1", "bgra", UNTAGGED),
    ("a.mkv", "ffv1", "yuva420p", UNTAGGED),
    ("a.gif", "gif", "rgb8", UNTAGGED),
]


@pytest.mark.parametrize(("name", "codec", "pixel_format", "tags"), FORMATS)
def test_colours_are_preserved(tmp_path, name, codec, pixel_format, tags):
    options = {"crf": "5"} if codec == "libx264" else {}
    source = make_clip(
        tmp_path / name, codec=codec, pixel_format=pixel_format, tags=tags, options=options
    )
    target = copy(source)
    difference = (rgb(target) - rgb(source))[:, 20:]  # below the blocks, whose edges have ringing
    limit = 20 if codec == "gif" else 3  # single coloured dots are lost at half size
    assert np.abs(difference).mean() < limit
    assert np.abs(difference.mean(axis=(0, 1, 2))).max() < 2.5


@pytest.mark.parametrize(("name", "codec", "pixel_format", "tags"), FORMATS)
def test_colour_tags_are_preserved(tmp_path, name, codec, pixel_format, tags):
    source = make_clip(tmp_path / name, codec=codec, pixel_format=pixel_format, tags=tags)
    with av.open(source) as before, av.open(copy(source)) as after:
        old, new = next(before.decode(video=0)), next(after.decode(video=0))
    full = old.color_range == 2 and not old.format.is_rgb and "gray" not in pixel_format
    assert new.format.name == ("yuvj420p" if full else "yuv420p")  # formats that browsers play
    if old.format.is_rgb:
        assert new.colorspace in (5, 6)  # BT.601, used by the conversion
    elif codec == "libx264":
        names = ("colorspace", "color_range", "color_primaries", "color_trc")
        assert [getattr(new, n) for n in names] == [getattr(old, n) for n in names]


@pytest.mark.parametrize("aspect", [None, Fraction(1), Fraction(4, 3)])
def test_the_output_has_square_pixels(tmp_path, aspect):
    source = make_clip(tmp_path / "a.mp4", aspect=aspect)
    with av.open(copy(source)) as container:
        stream = container.streams.video[0]
        assert stream.sample_aspect_ratio == 1
        assert (stream.width, stream.height) == (round(128 * (aspect or 1) / 2) * 2, 96)


def test_the_encoder_chooses_key_frames_not_the_source(tmp_path):
    source = make_clip(tmp_path / "a.mp4", options={"g": "1"})
    with av.open(copy(source)) as container:
        keys = [packet.is_keyframe for packet in container.demux(video=0) if packet.size]
    assert keys == [True, *[False] * 11]


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv444p"])
def test_the_drawing_is_visible_and_nothing_else_changes(tmp_path, pixel_format):
    source = make_clip(tmp_path / "a.mp4", pixel_format=pixel_format)
    plain = rgb(copy(source))
    drawn = rgb(copy(source, draw_white_square))
    assert drawn[:, 42:58, 62:78].min() > 225
    far = np.ones(plain.shape[1:3], dtype=bool)
    far[24:76, 44:96] = False  # more than a macroblock from the square
    error = ((drawn - plain)[:, far] ** 2).mean()
    assert 10 * np.log10(255**2 / max(error, 1e-9)) > 42  # dB


@pytest.mark.parametrize("options", [{"bf": "0"}, {"bf": "3", "b_strategy": "0"}])
def test_drawing_on_a_frame_does_not_change_frames_predicted_from_it(tmp_path, options):
    source = make_clip(tmp_path / "a.mp4", options=options)

    def blacken(index: int, planes: Planes) -> None:
        if index % 4 == 0:
            planes.y[:] = 16

    before, after = stored_luma(source), stored_luma(copy(source, blacken))
    for index in range(12):
        if index % 4:
            assert np.abs(after[index] - before[index]).mean() < 3
        else:
            assert after[index].mean() < 20


def test_side_by_side_keeps_the_left_frame_untouched(tmp_path):
    source = make_clip(tmp_path / "a.mp4")
    drawn = rgb(copy(source, draw_white_square, side_by_side=True))
    plain = rgb(source)
    assert drawn.shape == (12, 96, 256, 3)
    assert np.abs(drawn[:, :, :128] - plain).mean() < 3
    assert drawn[:, 42:58, 128 + 62 : 128 + 78].min() > 225
    assert np.abs(drawn[:, :, 128 + 96 :] - plain[:, :, 96:]).mean() < 3


COLOURS = np.array(
    [[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255], [213, 94, 0]]
)


@pytest.mark.parametrize(
    "tags", [UNTAGGED, BT709, Tags(9, 1, 9, 14), Tags(6, 2, 6, 6), Tags(1, 2, 1, 1)]
)
def test_colours_are_displayed_as_drawn(tmp_path, tags):
    """FFmpeg converts the drawn video back, independently of ``Planes.encode``."""
    source = make_clip(tmp_path / "a.mp4", tags=tags)
    for colour in COLOURS.astype(np.uint8):

        def fill(index: int, planes: Planes, colour: NDArray[np.uint8] = colour) -> None:
            planes.y[:], planes.u[:], planes.v[:] = planes.encode(colour[None])[0]

        seen = rgb(copy(source, fill))
        assert np.abs(seen - colour).max() <= 6


def test_frames_to_draw_on_equal_the_decoded_frames(tmp_path):
    """Without a conversion, the drawing starts from exactly the frames that were examined."""
    source = make_clip(tmp_path / "a.mp4")
    seen: list[NDArray[np.uint8]] = []
    copy(source, lambda index, planes: seen.append(planes.y.copy()))
    assert np.array_equal(np.stack(seen), stored_luma(source))
    drawn = cv2.cvtColor(draw_frame(3), cv2.COLOR_RGB2YUV_I420)[:96]
    assert np.abs(stored_luma(source)[3] - drawn).mean() < 4


def test_changes_to_the_frames_are_reported(tmp_path: Path) -> None:
    plain = make_clip(tmp_path / "plain.mp4")
    assert transcode(plain, tmp_path / "copy.mp4", draw_nothing) == ()
    source = make_clip(tmp_path / "a.mp4", size=(127, 95), rotation=90, pixel_format="yuv444p")
    notes = " ".join(transcode(source, tmp_path / "copy.mp4", draw_nothing))
    for word in ("upright", "yuv444p", "even"):
        assert word in notes
    mirrored = make_clip(tmp_path / "mirrored.mp4", matrix=(-1, 0, 0, 1))
    (note,) = transcode(mirrored, tmp_path / "copy.mp4", draw_nothing)
    assert "mirrored" in note
