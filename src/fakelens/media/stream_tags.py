"""What a stream says about the shape of its pixels and about interlacing."""

from fractions import Fraction

from av.video.stream import VideoStream

# FFmpeg's AVFieldOrder of interlaced video: which field is displayed first.
_FIELD_ORDERS = {2: "tff", 3: "bff", 4: "bff", 5: "tff"}
# Their frames say themselves whether they are interlaced; the header may be wrong.
_CODECS_WITH_SCAN = {"h264", "hevc", "mpeg2video", "mpeg4", "vc1", "dvvideo", "prores", "dnxhd"}


def header_aspect(stream: VideoStream) -> Fraction | None:
    """Return width by height of a pixel if the container has a value of its own.

    Call it before the first frame is decoded.
    """
    aspect = stream.sample_aspect_ratio  # that of the codec if the container has none
    return None if aspect == codec_aspect(stream) else aspect


def codec_aspect(stream: VideoStream) -> Fraction | None:
    """Return width by height of a pixel according to the frames decoded last."""
    return stream.codec_context.sample_aspect_ratio


def field_order(stream: VideoStream) -> str | None:
    """Return "tff" or "bff" for interlaced video whose frames are not marked as interlaced."""
    context = stream.codec_context
    return None if context.name in _CODECS_WITH_SCAN else _FIELD_ORDERS.get(context.field_order)
