import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fakelens.errors import MediaError, OutputError
from fakelens.media.planes import Planes
from fakelens.media.reader import open_video
from fakelens.media.transcode import transcode
from support.media import (
    BT709,
    NTSC,
    UNTAGGED,
    Tags,
    draw_frame,
    make_clip,
    open_files,
    read_number,
    scribble,
    threads,
    threads_come_down_to,
)

IRREGULAR = [30, 31, 35, 36, 37, 50, 51, 52, 53, 54, 55, 900]


def leave_alone(index: int, planes: Planes) -> None:
    pass


def copy(source: Path, draw: Callable[[int, Planes], None] = leave_alone, **options: bool) -> Path:
    target = source.with_name("copy.mp4")
    notes = transcode(source, target, draw, **options)
    assert not any("ound" in note for note in notes)  # the sound is as it was
    return target


def luma(path: Path) -> NDArray[np.int64]:
    """(frames, height, width), as stored."""
    with av.open(path) as container:
        return np.stack(
            [
                np.frombuffer(frame.planes[0], np.uint8)
                .reshape(-1, frame.planes[0].line_size)[:, : frame.width]
                .astype(int)
                for frame in container.decode(video=0)
            ]
        )


def rgb(path: Path) -> NDArray[np.int64]:
    """(frames, height, width, 3), upright."""
    with open_video(path) as reader:
        return np.stack([frame.image for frame in reader.frames()]).astype(int)


def times(path: Path) -> list[Fraction]:
    with open_video(path) as reader:
        return [frame.time for frame in reader.frames()]


def packets(path: Path, stream: int) -> list[tuple[bytes, Fraction]]:
    """Content and time of each packet of a sound stream."""
    with av.open(path) as container:
        sound = container.streams.audio[stream]
        return [
            (bytes(packet), packet.pts * packet.time_base)
            for packet in container.demux(sound)
            if packet.size
        ]


# time


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("ntsc.mp4", {}),
        ("b-frames.mp4", {"options": {"bf": "3", "g": "12"}}),
        ("irregular.mp4", {"pts": IRREGULAR, "time_base": Fraction(1, 600)}),
        ("irregular.mkv", {"pts": IRREGULAR, "time_base": Fraction(1, 1000)}),
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
def test_every_frame_keeps_its_time_exactly(tmp_path, name, settings):
    source = make_clip(tmp_path / name, **settings)
    target = copy(source)
    assert times(target) == times(source)
    count = settings.get("frames", 12)
    assert [read_number(image) for image in rgb(target)] == list(range(count))


def test_the_whole_lasts_as_long_as_before(tmp_path):
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
def test_the_last_frame_is_shown_to_its_end(tmp_path, name, settings, seconds):
    target = copy(make_clip(tmp_path / name, **settings))
    with av.open(target) as container:
        assert container.duration / av.time_base == pytest.approx(seconds, abs=0.002)


def test_every_frame_is_offered_for_drawing_in_order_and_progress_is_told(tmp_path):
    source = make_clip(tmp_path / "a.mp4", options={"bf": "3"})
    seen, told = [], []

    def draw(index: int, planes: Planes) -> None:
        seen.append((index, read_number(planes.y)))

    transcode(source, tmp_path / "copy.mp4", draw, progress=lambda *done: told.append(done))
    assert seen == [(index, index) for index in range(12)]
    assert told == [(index + 1, 12) for index in range(12)]


# sound


@pytest.mark.parametrize(
    ("name", "sounds"),
    [
        ("a.mp4", ["aac"]),
        ("two.mp4", ["aac", "aac"]),
        ("a.mp4", ["libmp3lame"]),
        ("a.mkv", ["libopus"]),
        ("a.mkv", ["flac", "ac3"]),
    ],
)
def test_sound_is_copied_bit_by_bit(tmp_path, name, sounds):
    source = make_clip(tmp_path / name, frames=40, sounds=sounds)
    target = copy(source)
    with av.open(target) as container:
        assert len(container.streams.audio) == len(sounds)
        rates = [Fraction(1, stream.rate) for stream in container.streams.audio]
    for stream, tick in enumerate(rates):
        ours, theirs = packets(target, stream), packets(source, stream)
        assert [content for content, _ in ours] == [content for content, _ in theirs]
        late = [abs(mine - their) for (_, mine), (_, their) in zip(ours, theirs, strict=True)]
        assert max(late) <= (0 if name.endswith(".mp4") else Fraction(1, 1000) + tick)


def test_sound_is_copied_when_picture_and_sound_start_apart(tmp_path):
    pts = range(2000, 3600, 40)
    source = make_clip(
        tmp_path / "a.mp4", frames=40, pts=pts, time_base=Fraction(1, 1000), sounds=["aac"]
    )
    target = copy(source)
    assert packets(target, 0) == packets(source, 0)
    assert times(target) == times(source)


def pitch(path: Path, stream: int) -> float:
    """Hz of the tone."""
    with av.open(path) as container:
        frames = [frame.to_ndarray()[0] for frame in container.decode(audio=stream)]
        rate = container.streams.audio[stream].rate
    wave = np.concatenate(frames)[: 2 * rate].astype(float)
    return float(np.abs(np.fft.rfft(wave)).argmax() * rate / len(wave))


def samples(path: Path, stream: int) -> int:
    with av.open(path) as container:
        return sum(frame.samples for frame in container.decode(audio=stream))


def first_sound(path: Path, stream: int) -> float:
    """When a player hears the first sample, in seconds."""
    with av.open(path) as container:
        return next(container.decode(audio=stream)).time


@pytest.mark.parametrize(
    ("name", "sounds"),
    [
        ("a.mov", ["pcm_s16le"]),
        ("a.asf", ["wmav2", "wmav1"]),
        ("a.avi", ["pcm_s16le"]),
    ],
)
def test_sound_that_browsers_do_not_play_in_mp4_is_encoded_again_and_told(tmp_path, name, sounds):
    source = make_clip(tmp_path / name, frames=60, sounds=sounds)
    target = tmp_path / "copy.mp4"
    notes = transcode(source, target, leave_alone)
    assert len(notes) == len(sounds)
    assert all("AAC" in note for note in notes)
    with av.open(target) as container:
        assert {sound.codec.name for sound in container.streams.audio} == {"aac"}
    for stream in range(len(sounds)):
        assert samples(target, stream) >= samples(source, stream)
        assert pitch(target, stream) == pytest.approx(220 * (stream + 2), abs=3)
        starts = [first_sound(path, stream) for path in (source, target)]
        assert abs(starts[1] - starts[0]) < 0.03
    assert times(target) == times(source)


def test_no_sound_gives_no_sound(tmp_path):
    with av.open(copy(make_clip(tmp_path / "a.mp4"))) as container:
        assert len(container.streams) == 1


def test_a_sound_whose_time_jumps_back_does_not_stop_the_writing(tmp_path):
    parts = [make_clip(tmp_path / f"{n}.ts", frames=20, sounds=["aac"]) for n in range(2)]
    source = tmp_path / "both.ts"
    source.write_bytes(parts[0].read_bytes() + parts[1].read_bytes())
    target = copy(source)
    assert times(target) == times(source)
    assert len(packets(target, 0)) == len(packets(source, 0))


# picture


@pytest.mark.parametrize("rotation", [90, 180, 270])
@pytest.mark.parametrize("size", [(128, 96), (131, 97)])
def test_the_picture_is_upright_in_itself(tmp_path, rotation, size):
    source = make_clip(tmp_path / "a.mp4", rotation=rotation, size=size, pixel_format="yuv444p")
    target = copy(source)
    with av.open(target) as container:
        assert next(container.decode(video=0)).rotation == 0
    capture = cv2.VideoCapture(str(source))  # turns by itself
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
    before, after = luma(source), np.stack(seen)
    assert after.shape == (12, size[1] + size[1] % 2, size[0] + size[0] % 2)
    assert np.array_equal(after[:, : size[1], : size[0]], before)
    assert np.array_equal(after[:, -1, : size[0]], before[:, -1])
    assert np.array_equal(after[:, : size[1], -1], before[:, :, -1])
    assert luma(target).shape == after.shape


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
def test_colours_stay_what_they_are(tmp_path, name, codec, pixel_format, tags):
    options = {"crf": "5"} if codec == "libx264" else {}
    source = make_clip(
        tmp_path / name, codec=codec, pixel_format=pixel_format, tags=tags, options=options
    )
    target = copy(source)
    difference = (rgb(target) - rgb(source))[:, 20:]  # below the blocks: their edges have ringing
    limit = 20 if codec == "gif" else 3  # a pattern of single coloured dots gets lost
    assert np.abs(difference).mean() < limit
    assert np.abs(difference.mean(axis=(0, 1, 2))).max() < 2.5


@pytest.mark.parametrize(("name", "codec", "pixel_format", "tags"), FORMATS)
def test_the_output_says_how_its_colours_are_to_be_read(tmp_path, name, codec, pixel_format, tags):
    source = make_clip(tmp_path / name, codec=codec, pixel_format=pixel_format, tags=tags)
    with av.open(source) as before, av.open(copy(source)) as after:
        old, new = next(before.decode(video=0)), next(after.decode(video=0))
    full = old.color_range == 2 and not old.format.is_rgb and "gray" not in pixel_format
    assert new.format.name == ("yuvj420p" if full else "yuv420p")  # what browsers play
    if old.format.is_rgb:
        assert new.colorspace in (5, 6)  # BT.601, which the conversion used
    elif codec == "libx264":
        names = ("colorspace", "color_range", "color_primaries", "color_trc")
        assert [getattr(new, n) for n in names] == [getattr(old, n) for n in names]


def test_the_shape_of_a_pixel_is_carried(tmp_path):
    source = make_clip(tmp_path / "a.mp4", aspect=Fraction(4, 3))
    with av.open(copy(source)) as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(4, 3)


def test_the_shape_of_a_pixel_is_turned_with_it(tmp_path):
    source = make_clip(tmp_path / "a.mp4", aspect=Fraction(4, 3), rotation=90)
    with av.open(copy(source)) as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(3, 4)


def test_key_frames_are_the_encoder_s_choice_and_not_the_source_s(tmp_path):
    source = make_clip(tmp_path / "a.mp4", options={"g": "1"})
    with av.open(copy(source)) as container:
        keys = [packet.is_keyframe for packet in container.demux(video=0) if packet.size]
    assert keys == [True, *[False] * 11]


def test_a_player_can_start_before_it_has_the_whole_file(tmp_path):
    data = copy(make_clip(tmp_path / "a.mp4")).read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


# drawing


def white_square(index: int, planes: Planes) -> None:
    planes.y[40:60, 60:80], planes.u[20:30, 30:40], planes.v[20:30, 30:40] = 235, 128, 128


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv444p"])
def test_what_is_drawn_is_there_and_nothing_else_changes(tmp_path, pixel_format):
    source = make_clip(tmp_path / "a.mp4", pixel_format=pixel_format)
    plain = rgb(copy(source))
    drawn = rgb(copy(source, white_square))
    assert drawn[:, 42:58, 62:78].min() > 225
    far = np.ones(plain.shape[1:3], dtype=bool)
    far[24:76, 44:96] = False  # further than a macroblock from the square
    error = ((drawn - plain)[:, far] ** 2).mean()
    assert 10 * np.log10(255**2 / max(error, 1e-9)) > 42  # dB


@pytest.mark.parametrize("options", [{"bf": "0"}, {"bf": "3", "b_strategy": "0"}])
def test_drawing_on_a_frame_leaves_those_predicted_from_it_alone(tmp_path, options):
    source = make_clip(tmp_path / "a.mp4", options=options)

    def blacken(index: int, planes: Planes) -> None:
        if index % 4 == 0:
            planes.y[:] = 16

    before, after = luma(source), luma(copy(source, blacken))
    for index in range(12):
        if index % 4:
            assert np.abs(after[index] - before[index]).mean() < 3
        else:
            assert after[index].mean() < 20


def test_side_by_side_the_left_is_untouched(tmp_path):
    source = make_clip(tmp_path / "a.mp4")
    drawn = rgb(copy(source, white_square, side_by_side=True))
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
def test_a_colour_drawn_is_the_colour_seen(tmp_path, tags):
    """FFmpeg, which knows nothing of ``Planes.encode``, converts the drawn video back."""
    source = make_clip(tmp_path / "a.mp4", tags=tags)
    for colour in COLOURS.astype(np.uint8):

        def fill(index: int, planes: Planes, colour: NDArray[np.uint8] = colour) -> None:
            planes.y[:], planes.u[:], planes.v[:] = planes.encode(colour[None])[0]

        seen = rgb(copy(source, fill))
        assert np.abs(seen - colour).max() <= 6


# trouble


def test_the_rest_of_a_damaged_video_is_drawn_with_the_same_numbers(tmp_path):
    source = make_clip(tmp_path / "a.mp4", frames=90, options={"g": "10"}, sounds=["aac"])
    scribble(source, 0.4, 0.5)
    with open_video(source) as reader:
        expected = [(frame.index, frame.time) for frame in reader.frames()]
    seen: list[int] = []
    target = tmp_path / "copy.mp4"
    transcode(source, target, lambda index, planes: seen.append(index))
    assert seen == [index for index, _ in expected]
    assert times(target) == [time for _, time in expected]


def test_damaged_sound_that_must_be_encoded_again_is_told(tmp_path):
    source = make_clip(tmp_path / "a.asf", frames=60, sounds=["wmav2"])
    data = bytearray(source.read_bytes())
    content = [content for content, _ in packets(source, 0)]
    for packet in content[20:25]:
        place = data.index(packet)
        data[place : place + len(packet)] = b"\xff" * len(packet)
    source.write_bytes(data)
    notes = transcode(source, tmp_path / "copy.mp4", leave_alone)
    assert any("amaged" in note for note in notes)
    assert pitch(tmp_path / "copy.mp4", 0) == pytest.approx(440, abs=5)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_flipped_bytes_give_a_video_or_a_media_error(tmp_path, name):
    random = np.random.default_rng(0)
    clip = make_clip(tmp_path / name, frames=5, size=(48, 32), sounds=["aac", "mp2"])
    whole = np.frombuffer(clip.read_bytes(), np.uint8)
    source, target = tmp_path / f"broken-{name}", tmp_path / "copy.mp4"
    written = 0
    for _ in range(40):
        data = whole.copy()
        places = random.integers(0, len(data), random.integers(1, 2 + len(data) // 200))
        data[places] = random.integers(0, 256, len(places))
        source.write_bytes(data.tobytes())
        try:
            transcode(source, target, leave_alone)
            expected = times(source)
        except MediaError:
            continue
        assert times(target) == expected
        written += 1
    assert written > 3


class DrawingError(Exception):
    pass


@pytest.mark.parametrize("at", [0, 5])
@pytest.mark.parametrize("rotation", [0, 90])
def test_an_error_while_drawing_comes_through_and_everything_is_closed(tmp_path, at, rotation):
    source = make_clip(tmp_path / "a.mp4", frames=30, rotation=rotation, sounds=["aac"])
    before = threads()

    def fail(index: int, planes: Planes) -> None:
        if index == at:
            raise DrawingError

    with pytest.raises(DrawingError):
        transcode(source, tmp_path / "copy.mp4", fail)
    assert threads_come_down_to(before)
    assert not [name for name in open_files() if name.endswith(".mp4")]


def test_an_error_of_the_caller_is_not_taken_for_one_of_the_disk(tmp_path):
    source = make_clip(tmp_path / "a.mp4")

    def fail(index: int, planes: Planes) -> None:
        raise FileNotFoundError("a font")

    with pytest.raises(FileNotFoundError, match="a font"):
        transcode(source, tmp_path / "copy.mp4", fail)


def test_threads_end_with_the_work(tmp_path):
    source = make_clip(tmp_path / "a.mp4")
    before = threads()
    copy(source)
    assert threads_come_down_to(before)


@pytest.mark.parametrize("where", ["missing/copy.mp4", "folder", "full"])
def test_a_target_that_cannot_be_written_is_an_output_error(tmp_path, where, capfd):
    source = make_clip(tmp_path / "a.mp4", frames=60, sounds=["aac"])
    (tmp_path / "folder").mkdir()
    (tmp_path / "full").symlink_to("/dev/full")  # a disk without any room
    target = tmp_path / where
    with pytest.raises(OutputError) as caught:
        transcode(source, target, leave_alone)
    assert str(caught.value).startswith(f"{target}: ")
    assert capfd.readouterr() == ("", "")


def test_a_source_that_cannot_be_read_is_a_media_error_and_leaves_nothing(tmp_path):
    (tmp_path / "a.mp4").write_text("no video")
    with pytest.raises(MediaError):
        transcode(tmp_path / "a.mp4", tmp_path / "copy.mp4", leave_alone)
    assert not (tmp_path / "copy.mp4").exists()


@pytest.mark.parametrize("name", ["50%d.mp4", "a:b.mp4", "né à Paris.mp4"])
def test_a_target_s_name_is_just_a_name(tmp_path, name, monkeypatch):
    make_clip(tmp_path / "in.mp4")
    monkeypatch.chdir(tmp_path)
    transcode(Path("in.mp4"), Path(name), leave_alone)
    assert times(tmp_path / name) == times(tmp_path / "in.mp4")


def test_the_source_is_not_touched(tmp_path):
    source = make_clip(tmp_path / "a.mp4", sounds=["aac"])
    spare = shutil.copy(source, tmp_path / "spare.mp4")
    copy(source, white_square)
    assert source.read_bytes() == Path(spare).read_bytes()


def test_a_still_frame_is_the_same_in_both_passes(tmp_path):
    """What is drawn on is what was examined, to the bit where no conversion is needed."""
    source = make_clip(tmp_path / "a.mp4")
    seen: list[NDArray[np.uint8]] = []
    copy(source, lambda index, planes: seen.append(planes.y.copy()))
    assert np.array_equal(np.stack(seen), luma(source))
    assert (
        np.abs(luma(source)[3] - cv2.cvtColor(draw_frame(3), cv2.COLOR_RGB2YUV_I420)[:96]).mean()
        < 4
    )


# real videos


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "ghost_2person_real_0034.mp4",  # sound before picture, BT.709
        "ghost_dirtydancing_real_0035.mp4",  # MP3
        "hamilton_real_0058.mp4",  # late start
        "retalk_1_unknown_0040.mp4",  # varying rate
        "ghost_gif_unknown_0037.gif",
        "dfdctest_5_real_0028.mp4",
        "hdtf_RD_Radio2_000_real_0038.mp4",  # MPEG-4 part 2
    ],
)
def test_real_videos_keep_time_sound_and_picture(shared_data, tmp_path, name):
    source = shared_data / "videos" / name
    target = tmp_path / "copy.mp4"
    notes = transcode(source, target, leave_alone)
    assert not any("ound" in note for note in notes)
    with open_video(source) as before, open_video(target) as after:
        assert after.info.audio == before.info.audio
        sounds = len(before.info.audio)
        pairs = zip(before.frames(), after.frames(), strict=True)
        for old, new in pairs:
            assert new.time == old.time
            error = ((old.image.astype(int) - new.image[: old.image.shape[0]]) ** 2).mean()
            assert 10 * np.log10(255**2 / error) > 32
    for stream in range(sounds):
        ours, theirs = packets(target, stream), packets(source, stream)
        assert [content for content, _ in ours] == [content for content, _ in theirs]


def test_changes_to_the_picture_are_told(tmp_path: Path) -> None:
    plain = make_clip(tmp_path / "plain.mp4")
    assert transcode(plain, tmp_path / "copy.mp4", leave_alone) == ()
    source = make_clip(tmp_path / "a.mp4", size=(127, 95), rotation=90, pixel_format="yuv444p")
    told = " ".join(transcode(source, tmp_path / "copy.mp4", leave_alone))
    for word in ("upright", "yuv444p", "even"):
        assert word in told
