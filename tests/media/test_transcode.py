"""Transcoding keeps timestamps, frame numbers and the source file."""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import pytest

from fakelens.media.planes import Planes
from fakelens.media.reader import open_video
from fakelens.media.transcode import transcode
from support.media import NTSC, make_clip, read_number
from support.transcoding import (
    copy,
    draw_nothing,
    draw_white_square,
    frame_times,
    rgb,
    sound_packets,
)

IRREGULAR_PTS = [30, 31, 35, 36, 37, 50, 51, 52, 53, 54, 55, 900]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("ntsc.mp4", {}),
        ("b-frames.mp4", {"options": {"bf": "3", "g": "12"}}),
        ("irregular.mp4", {"pts": IRREGULAR_PTS, "time_base": Fraction(1, 600)}),
        ("irregular.mkv", {"pts": IRREGULAR_PTS, "time_base": Fraction(1, 1000)}),
        ("late.mp4", {"pts": range(1000, 1240, 20), "time_base": Fraction(1, 600)}),
        ("late.mkv", {"pts": range(12345, 12825, 40), "time_base": Fraction(1, 1000)}),
        ("offset.ts", {"sounds": ["aac"]}),
        ("a.avi", {"codec": "mpeg4"}),
        ("a.gif", {"codec": "gif", "pixel_format": "rgb8", "rate": Fraction(100, 7)}),
        ("slow.mp4", {"rate": Fraction(1, 3)}),
        ("fast.mp4", {"rate": Fraction(240)}),
        ("single.mp4", {"frames": 1}),
        ("no timestamps.h264", {"rate": Fraction(25)}),
    ],
)
def test_every_frame_keeps_its_timestamp_exactly(tmp_path, name, settings):
    source = make_clip(tmp_path / name, **settings)
    target = copy(source)
    assert frame_times(target) == frame_times(source)
    count = settings.get("frames", 12)
    assert [read_number(image) for image in rgb(target)] == list(range(count))


def test_streams_keep_their_duration(tmp_path):
    source = make_clip(tmp_path / "a.mp4", frames=30, sounds=["aac"])
    with av.open(source) as before, av.open(copy(source)) as after:
        assert after.streams.video[0].duration == before.streams.video[0].duration
        assert abs(after.streams.audio[0].duration - before.streams.audio[0].duration) < 48
        assert after.streams.video[0].average_rate == NTSC


@pytest.mark.parametrize(
    ("name", "settings", "seconds"),
    [
        (
            "gap.mkv",
            {"pts": [*range(0, 110, 10), 900], "time_base": Fraction(1, 1000)},
            0.9 + 0.033,
        ),
        ("long last frame.gif", {"codec": "gif", "pixel_format": "rgb8", "rate": Fraction(1)}, 12),
        ("single.mp4", {"frames": 1, "rate": Fraction(2)}, 0.5),
    ],
)
def test_the_last_frame_keeps_its_duration(tmp_path, name, settings, seconds):
    target = copy(make_clip(tmp_path / name, **settings))
    with av.open(target) as container:
        assert container.duration / av.time_base == pytest.approx(seconds, abs=0.002)


def test_frames_are_drawn_on_in_order_and_progress_is_reported(tmp_path):
    source = make_clip(tmp_path / "a.mp4", options={"bf": "3"})
    seen, reported = [], []

    def draw(index: int, planes: Planes) -> None:
        seen.append((index, read_number(planes.y)))

    transcode(source, tmp_path / "copy.mp4", draw, progress=lambda *done: reported.append(done))
    assert seen == [(index, index) for index in range(12)]
    assert reported == [(index + 1, 12) for index in range(12)]


def test_the_index_precedes_the_data_so_players_can_start_early(tmp_path):
    data = copy(make_clip(tmp_path / "a.mp4")).read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize("name", ["50%d.mp4", "a:b.mp4", "né à Paris.mp4"])
def test_special_characters_in_the_target_s_name_have_no_meaning(tmp_path, name, monkeypatch):
    make_clip(tmp_path / "in.mp4")
    monkeypatch.chdir(tmp_path)
    transcode(Path("in.mp4"), Path(name), draw_nothing)
    assert frame_times(tmp_path / name) == frame_times(tmp_path / "in.mp4")


def test_the_source_is_not_changed(tmp_path):
    source = make_clip(tmp_path / "a.mp4", sounds=["aac"])
    before = source.read_bytes()
    copy(source, draw_white_square)
    assert source.read_bytes() == before


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "ghost_2person_real_0034.mp4",  # sound starts before the video, BT.709
        "ghost_dirtydancing_real_0035.mp4",  # MP3
        "hamilton_real_0058.mp4",  # late start
        "retalk_1_unknown_0040.mp4",  # variable frame rate
        "ghost_gif_unknown_0037.gif",
        "dfdctest_5_real_0028.mp4",
        "hdtf_RD_Radio2_000_real_0038.mp4",  # MPEG-4 part 2
    ],
)
def test_real_videos_keep_timestamps_sound_and_picture(shared_data, tmp_path, name):
    source = shared_data / "videos" / name
    target = tmp_path / "copy.mp4"
    notes = transcode(source, target, draw_nothing)
    assert not any("ound" in note for note in notes)
    with open_video(source) as before, open_video(target) as after:
        assert after.info.audio == before.info.audio
        sounds = len(before.info.audio)
        pairs = zip(before.frames(), after.frames(), strict=True)
        for old, new in pairs:
            assert new.time == old.time
            assert cv2.PSNR(old.image, new.image[: old.image.shape[0]]) > 32
    for stream in range(sounds):
        ours, theirs = sound_packets(target, stream), sound_packets(source, stream)
        assert [content for content, _ in ours] == [content for content, _ in theirs]
