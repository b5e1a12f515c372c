"""What every reader of media offers: its properties, and one decoded frame at a time."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeAlias

import av
from av.audio.stream import AudioStream
from av.packet import Packet

from fakelens.media.pixels import upright_pixels
from fakelens.records.media import Damage, Frame, VideoInfo

SoundPacket: TypeAlias = "Packet[AudioStream]"


@dataclass(frozen=True, slots=True)
class DecodedFrame:
    """One frame as decoded.

    Attributes:
        index: 0-based position among the frames that could be decoded.
        pts: timestamp in ticks of ``VideoInfo.time_base``, strictly increasing.
        frame: with square pixels, progressive, in standard dynamic range; not turned upright; in
            the pixel format of the first frame.
        damaged: see ``Frame``.
    """

    index: int
    pts: int
    frame: av.VideoFrame
    damaged: bool = False


class MediaReader(ABC):
    """Reads one video, animation or picture once, from beginning to end; a context manager.

    Attributes:
        info: from the header and the first frame; ``changes`` may grow while frames are decoded.
        damage: places that could not be read, so far.
        decoded: number of frames decoded so far.
        audio_streams: FFmpeg's audio streams.
        formats: FFmpeg's names of the file's format.
    """

    info: VideoInfo
    damage: list[Damage]
    decoded: int
    audio_streams: tuple[AudioStream, ...]
    formats: frozenset[str]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Close the file and end the decoding threads."""

    @abstractmethod
    def first_frame(self) -> av.VideoFrame:
        """Return the first frame without consuming it; call it before ``decoded_frames``.

        Raises:
            MediaError: no frame can be decoded.
        """

    @abstractmethod
    def decoded_frames(
        self, on_packet: Callable[[SoundPacket], None] | None = None
    ) -> Iterator[DecodedFrame]:
        """Decode all frames, in order of presentation.

        Damage is added to ``damage``; frames after it are still decoded.

        Args:
            on_packet: called with each audio packet, in file order.
        """

    def frames(self, every: int = 1) -> Iterator[Frame]:
        """Decode all frames and yield every ``every``-th one, upright."""
        for decoded in self.decoded_frames():
            if decoded.index % every == 0:
                yield upright_frame(decoded, self.info)


def upright_frame(decoded: DecodedFrame, video: VideoInfo) -> Frame:
    """Return a frame as displayed; ``decoded`` must not be drawn on while the result is in use."""
    pixels = upright_pixels(decoded.frame, video.rotation, mirrored=video.mirrored)
    return Frame(decoded.index, decoded.pts * video.time_base, pixels, decoded.damaged)
